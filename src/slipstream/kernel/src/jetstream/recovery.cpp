// Opening a store, recovering from it, and a clean stop.
//
// Recovery: the newest snapshots, then every journal entry behind them.
#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "disk/handle_cache.hpp"
#include "jetstream/jetstream.hpp"
#include "jetstream/store_marker.hpp"
#include "log/journal_format.hpp"

namespace slipstream {
namespace {

// nats-server keeps a folder per account ($G and others) in `jetstream` below its store_dir; either of the two may be given
// here by mistake. Empty when there is no such sign.
std::string sign_of_nats_server(const std::string& path) {
  std::error_code error;
  bool below = path.ends_with("jetstream");
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    std::string name = entry.path().filename().string();
    if (name == "jetstream" || name[0] == '$') return name;
    if (below && std::filesystem::exists(entry.path() / "streams", error)) return name;
  }
  return {};
}

// Whole or not at all, and durable before anything else is made: a folder with streams and without it is not ours.
ssize_t write_marker(Disk& disk) {
  std::string unfinished = std::string(kStoreMarker) + ".new";
  int h = disk.open(unfinished, kOpenWrite | kOpenCreate | kOpenTruncate);
  if (h < 0) return h;
  ssize_t n = disk.pwrite(h, kStoreMarkerText, strlen(kStoreMarkerText), 0);
  if (n >= 0) n = disk.sync(h);
  disk.close(h);
  if (n >= 0) n = disk.rename(unfinished, kStoreMarker);
  return n < 0 ? n : disk.sync_folder("");
}

std::vector<uint64_t> stream_folders(Disk& disk) {
  std::vector<std::string> names;
  std::vector<uint64_t> ids;
  disk.list("streams", names);
  for (const std::string& name : names)
    if (uint64_t id = 0; parse_hex16(name, "", id)) ids.push_back(id);
  return ids;
}

}  // namespace

MessageStore* JetStream::new_store(uint64_t stream, const StreamSpec& spec) {
  StoreOptions o;
  char folder[40];
  snprintf(folder, sizeof folder, "streams/%016llx", (unsigned long long)stream);
  o.folder = folder;
  o.memory = spec.memory;
  o.compressed = spec.compress;
  o.keys = &keys_;
  o.rewrites_wanted = &rewrites_wanted_;
  o.trouble_noticed = &segment_trouble_;
  o.when_synced = [this](std::function<void()> erasure) { erase_when_synced(std::move(erasure)); };
  o.segment_bytes_max = options_.segment_bytes_max;
  o.segment_bytes_min = std::min(o.segment_bytes_min, o.segment_bytes_max);
  o.tail_bytes = std::min(o.tail_bytes, 4 * o.segment_bytes_max);
  return MessageStore::create(disk_, io_.get(), o).release();
}

bool JetStream::prepare_folder(std::string& error) {
  if (!options_.disk) {
    if (std::string sign = sign_of_nats_server(options_.path); !sign.empty()) {
      error = options_.path + " holds a store of nats-server (folder '" + sign +
              "'); it was left untouched. Choose another store folder.";
      return false;
    }
    own_disk_.reset(new_real_disk(options_.path));
    disk_ = own_disk_.get();
  } else {
    disk_ = options_.disk;
  }
  int r = disk_->lock(kStoreLock);
  if (r < 0) {
    error = r == -EWOULDBLOCK ? options_.path + " is in use by another server (its LOCK is held). " +
                                    "Stop that server or choose another store folder."
                              : "cannot lock " + options_.path + ": " + strerror(-r);
    return false;
  }
  lock_handle_ = r;
  int h = disk_->open(kStoreMarker, kOpenRead);
  if (h >= 0) {
    char text[64] = "";
    ssize_t n = disk_->pread(h, text, sizeof text - 1, 0);
    disk_->close(h);
    if (n < 0 || std::string(text, (size_t)n) != kStoreMarkerText) {
      error = "the store in " + options_.path + " has a format that this version does not know; it was left untouched.";
      return false;
    }
  } else {
    std::vector<std::string> names;
    disk_->list("", names);
    for (const auto& n : names)
      if (n == "journal" || n == "streams" || n == "checkpoints") {
        error = "the store in " + options_.path + " has no file '" + kStoreMarker + "', but has '" + n + "'; it was left untouched.";
        return false;
      }
    ssize_t n = write_marker(*disk_);
    if (n < 0) {
      error = "cannot write to " + options_.path + ": " + strerror((int)-n);
      return false;
    }
  }
  if (disk_->make_folder("streams") < 0 || disk_->sync_folder("") < 0) {
    error = "cannot make folders in " + options_.path;
    return false;
  }
  return true;
}

bool JetStream::open(const OpenOptions& options, std::string& error) {
  options_ = options;
  if (!prepare_folder(error)) return false;
  keys_.random = [this] { return kernel.random(); };
  if (options.unlock && !options.unlock(*disk_, keys_, error)) return false;
  auto wake = [this] { kernel.wake(); };
  io_ = IoPool::create(options.threads, wake);
  checkpoint_io_ = IoPool::create(options.threads, wake, IoPool::Urgency::background);
  pace_.hurry(!options.threads);
  kept_ = std::make_unique<KeptEntries>(*disk_, keys_, [this] { return kernel.random(); });
  checkpoints_ = Checkpoints::open(*disk_, "checkpoints", &keys_, pace_, error);
  if (!checkpoints_) return false;
  JournalOptions jo;
  jo.file_bytes = options.journal_file_bytes;
  jo.bytes_max = options.journal_bytes_max;
  jo.mode = relaxed() ? SyncMode::relaxed : SyncMode::durable;
  jo.threaded = options.threads;
  jo.sync_lag = options.sync_lag;
  jo.salt = kernel.random();
  jo.keys = &keys_;
  jo.wake = wake;
  journal_ = Journal::open(*disk_, jo, error);
  if (!journal_) return false;
  if (!recover(error)) return false;
  if (options.follows) {
    recovering_ = true;  // from now on too
    for (auto& [id, s] : streams_) s->forget_memory_consumers();
    return true;
  }
  reserve_whole_ = checkpoints_->make_reserve(reserve_bytes()) >= 0;
  opened_ = true;
  checkpoint_wanted_ = journal_->encrypted_otherwise() || checkpoints_->encrypted_otherwise() || checkpoints_->mended();
  std::vector<uint64_t> half_restored;  // the server stopped before their last entry
  for (auto& [id, s] : streams_) {
    if (s->group.offline) {
      s->subscribe();  // publishers are told
      continue;
    }
    // The log says so, too: else they would be back at the next start, and count where a later entry goes by consumers' interest.
    for (uint32_t consumer : s->forget_memory_consumers()) delete_consumer(0, id, consumer);
    s->lead();
    if (s->spec.restoring) half_restored.push_back(id);
  }
  checkpoint_wanted_ |= rewrites_wanted_ > 0;
  for (uint64_t id : half_restored) delete_stream(0, id);
  for (uint64_t id : stream_folders(*disk_)) {
    auto dropped = [id](const DroppedStore& store) { return store.id == id; };
    bool known = id >= next_stream_id_ || kept_->streams().count(id) || streams_.count(id) ||
                 std::any_of(dropped_stores_.begin(), dropped_stores_.end(), dropped);
    // Deleted by a durable checkpoint, or by what the journal has; a crash came before its files were gone.
    if (!known) std::unique_ptr<MessageStore>(new_store(id, StreamSpec{}))->drop();
  }
  if (relaxed()) kernel.timers.set(journal_timer_, saturated_sum(kernel.now.monotonic_ns, options_.sync_interval_ns));
  return true;
}

bool JetStream::recover(std::string& error) {
  recovering_ = true;
  std::string damage;
  checkpoints_->load([&](uint64_t group, uint64_t applied, string_view payload, const std::string& broken) {
    Reader in(payload);
    uint16_t format = payload.empty() ? 0 : in.get16();
    if (group == kStoreGroup) {
      if (broken.empty() && format == 1) journal_needed_ = in.get64();
    } else if (broken.empty() && (format < 1 || format > (group == 0 ? 1 : Stream::kFormat))) {
      damage = "a checkpoint has format " + std::to_string(format) + ", which this version does not know";
    } else if (group == 0) {
      if (broken.empty()) next_stream_id_ = std::max(next_stream_id_, in.get64());
      meta_damage_ = broken;
      meta_.last_index = meta_.applied = meta_.checkpointed = applied;
    } else {
      recover_stream(group, applied, in, format, broken);
    }
  });
  note_damage(0, checkpoints_->error());
  if (!damage.empty()) {
    error = damage;
    return false;
  }
  if (!meta_damage_.empty()) guess_next_stream();
  if (journal_needed_ && !journal_->reaches(journal_needed_)) {
    error = "the journal is missing, or files of it are: the newest checkpoint needs it from position " +
            std::to_string(journal_needed_) + " on. Put the folder 'journal' back as it was; 'slipstream repair " + options_.path +
            "' says what could be saved without it.";
    return false;
  }
  recover_kept_entries();
  if (!journal_->recover([this](const JournalRecord& r) { recover_record(r); })) {
    error = journal_->error();
    return false;
  }
  recovering_ = false;
  run_erasures();
  if (!failed_.empty()) {
    error = failed_;
    return false;
  }
  return true;
}

// What is damaged, or was written for a later version, is offline; its files stay as they are.
void JetStream::recover_stream(uint64_t id, uint64_t applied, Reader& in, uint16_t format, const std::string& broken) {
  std::string account(in.get_text()), name(in.get_text()), description(in.get_text());
  StreamSpec spec;
  bool known = format && in.ok() && spec.decode(in);
  if (!known) account = "$G", name = "number " + std::to_string(id), description.clear(), spec = {};
  auto s = std::make_unique<Stream>(*this, id, kernel.account(account), name, description, std::move(spec));
  s->group.last_index = s->group.applied = s->group.checkpointed = applied;
  Stream& stream = *s;
  streams_[id] = std::move(s);
  next_stream_id_ = std::max(next_stream_id_, id + 1);  // a relaxed journal may have lost its creation
  if (!broken.empty() || !known) return stream.go_offline(broken.empty() ? "its checkpoint cannot be read" : broken);
  if (!stream.load(in, format)) {
    std::string why = stream.store->error();
    return stream.go_offline(why.empty() ? "its checkpoint is damaged" : why);
  }
  stream.count_bytes();
  note_damage(id, stream.store->error());
  for (uint64_t seq : stream.store->damaged()) stream.found_damaged(seq);
}

// Damage that did no harm is told all the same.
void JetStream::note_damage(uint64_t stream, const std::string& text) {
  if (text.empty()) return;
  EventRecord e{EventType::damaged};
  e.a = stream;
  e.s0 = text;
  kernel.emit(std::move(e));
}

// The snapshot that has it is damaged.
void JetStream::guess_next_stream() {
  meta_.checkpointed = Group::kNever;  // so that the next round writes it anew
  for (const auto& [id, s] : streams_) next_stream_id_ = std::max(next_stream_id_, id + 1);
  for (uint64_t id : stream_folders(*disk_)) next_stream_id_ = std::max(next_stream_id_, id + 1);
}

void JetStream::recover_kept_entries() {
  std::string error;
  bool found = kept_->find(error);
  for (const auto& kept : kept_->streams()) {
    const uint64_t id = kept.first;
    auto apply = [&](const JournalRecord& r) {
      if (r.group) {
        recover_record(r);
        if (Stream* s = stream(id)) s->group.kept = r.index;
        return;
      }
      Reader in(r.payload);
      if (!streams_.count(id)) apply_meta((EntryKind)r.kind, in, nullptr);
    };
    bool whole = kept_->read(id, apply, error);
    Stream* s = stream(id);
    if (s && !whole) s->go_offline(error);
  }
  if (!found) fail(error);
}

void JetStream::recover_record(const JournalRecord& r) {
  if (failed()) return;
  Group* g = &meta_;
  Stream* s = nullptr;
  if (r.group != 0) {
    s = stream(r.group);
    if (!s && r.group >= next_stream_id_ && !meta_damage_.empty())
      next_stream_id_ = r.group + 1;
    else if (!s && r.group >= next_stream_id_)
      fail("the journal has entries of stream " + std::to_string(r.group) + ", whose creation is in no checkpoint: one is missing");
    if (!s) return;  // deleted later on
    g = &s->group;
  }
  if (g->offline) g->last_index = std::max(g->last_index, r.index);
  if (r.index <= g->applied || g->offline) return;
  if (r.index != g->applied + 1 && s)
    return s->go_offline("its log goes on at entry " + std::to_string(r.index) + " where " + std::to_string(g->applied + 1) +
                         " is expected: a checkpoint is missing");
  if (r.index != g->applied + 1)
    return fail("the log of the server's streams goes on at entry " +
                std::to_string(r.index) + " where " + std::to_string(g->applied + 1) + " is expected: a checkpoint is missing");
  g->last_index = g->applied = r.index;
  note_change(*g);
  g->term = r.term;
  Reader in(r.payload);
  if (s) {
    s->apply((EntryKind)r.kind, in, nullptr);
    s->count_bytes();
  } else {
    apply_meta((EntryKind)r.kind, in, nullptr);
  }
}

void JetStream::follow(const AppliedEntry& entry) {
  assert(options_.follows && failed_.empty());
  JournalRecord record{};
  record.group = entry.group, record.term = entry.term, record.index = entry.index, record.kind = entry.kind;
  record.payload = entry.payload;
  recover_record(record);
  drain_io();
}

// A clean stop: everything is synced, and a last checkpoint makes the next start quick.
void JetStream::stop() {
  if (stopped_) return;
  pace_.hurry(true);  // also of a store that failed: the thread is waited for
  for (auto& [id, s] : streams_)
    for (auto& [cid, c] : s->consumers) c->release_requests("409 Server Shutdown");
  if (opened_ && failed_.empty()) {  // a store that could not be opened is left as it was found
    release_offline_streams();
    for (auto& [id, s] : streams_)
      for (auto& [cid, c] : s->consumers) c->propose_acks(), c->propose_delivered();
    for (auto& [id, s] : streams_) s->seal();
    append_unwritten();
    if (journal_->wait_synced()) {
      stopping_ = true;  // entries are applied at once
      apply_committed();
      journal_->wait_synced();
      run_erasures();
      while (!drain_io() || phase_ == CheckpointPhase::writing) {}
      if (phase_ == CheckpointPhase::serializing) abandon_round();
      if (phase_ == CheckpointPhase::finishing) tell_groups(true);
      phase_ = CheckpointPhase::idle;
      checkpoint_wanted_ = true;
      for (int i = 0; i < 8 && (checkpoint_wanted_ || phase_ != CheckpointPhase::idle); i++) {
        checkpoint_retry_ns_ = 0;  // also where a stream's sync failed: the next round is without it
        checkpoint_step();
        while (phase_ == CheckpointPhase::writing && failed_.empty()) drain_io();
      }
    }
  }
  stopped_ = true;
  for (auto& [id, s] : streams_) {
    s->close_feeds();
    for (auto& [cid, c] : s->consumers) c->detach(nullptr);
  }
  journal_.reset();
  if (lock_handle_ >= 0) disk_->close(lock_handle_);
  lock_handle_ = -1;
  if (!own_disk_) return;
  HandleCache::of(disk_)->close_all();  // reads may follow, and open what they need
  disk_->give_up_reserve();
}

JetStreamStats JetStream::stats() const {
  JetStreamStats out;
  out.memory_bytes = (uint64_t)stream_bytes.memory, out.file_bytes = (uint64_t)stream_bytes.file;
  if (journal_) {
    auto j = journal_->stats();
    out.journal_bytes = journal_->in_use();
    out.syncs = j.syncs, out.sync_ns_total = j.sync_ns_total, out.sync_ns_max = j.sync_ns_max;
  }
  out.checkpoints = checkpoints_done_;
  out.failed = failed_;
  out.no_room = refusing_ ? no_room_.text : std::string();
  out.bytes_in_flight = bytes_in_flight;
  return out;
}

}  // namespace slipstream
