// Checkpoint rounds, which let the journal be recycled.
//
// A round: note the journal's position; wait until all entries before it are applied; serialize the groups that changed, some
// each turn; sync their segments, a batch at a time, and write the round, in a thread of its own and at its own pace; then the
// journal up to that position is free.
//
// Where a round finds no room for what the streams have in memory, the next one describes only streams that write nothing and
// whose files go, and forgets those that were deleted. It fits into a file that is kept for it; the journal stays as it is.
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "disk/disk_trouble.hpp"
#include "jetstream/jetstream.hpp"

namespace slipstream {
namespace {

constexpr int64_t kCheckpointRetryNs = 1'000'000'000;
constexpr int64_t kSerializeNs = 100'000;  // of one turn: about what a sync takes, which a publish waits for anyway
struct Slice {  // what is done before the clock is looked at again
  size_t consumers, entries, groups;
};
constexpr Slice kSlice{8, 512, 16};
// Without a clock, so that a simulated run repeats; small, so that little is enough to be written over several turns.
constexpr Slice kSliceUnthreaded{1, 4, 1};
constexpr int kSlicesUnthreaded = 4;  // of one turn
constexpr CheckpointSyncs::Sizes kSyncs{.batch = 64, .one_by_one_max = 32}, kSyncsUnthreaded{.batch = 8, .one_by_one_max = 4};

// When a turn's share of work on a checkpoint is done: asked after each slice.
class SlicePause {
 public:
  SlicePause(bool at_once, bool by_clock) : at_once_(at_once), by_clock_(by_clock) {}
  bool operator()() {
    if (at_once_) return false;
    return by_clock_ ? read_clocks().monotonic_ns - began_ns_ > kSerializeNs : ++slices_ > kSlicesUnthreaded;
  }

 private:
  const bool at_once_, by_clock_;
  const int64_t began_ns_ = read_clocks().monotonic_ns;
  int slices_ = 0;
};

}  // namespace

void JetStream::checkpoint_step() {
  if (!failed_.empty() || stopped_) return;
  if (options_.threads && phase_ != CheckpointPhase::idle)
    pace_.hurry(stopping_ || journal_->full() || journal_->in_use() > options_.journal_bytes_max / 4 * 3);
  switch (phase_) {
    case CheckpointPhase::idle:
      if (kernel.now.monotonic_ns < checkpoint_retry_ns_) return;
      if (checkpoint_wanted_ || journal_->in_use() > options_.journal_bytes_max / 2) begin_checkpoint();
      return;
    case CheckpointPhase::waiting: {
      // Entries before the noted position must be applied before their groups are described.
      auto open = [this](const Group& g) { return g.logged && !g.inflight.empty() && g.inflight.front().end <= checkpoint_position_; };
      for (Group* g : active_)
        if (open(*g)) return;
      if (!erasures_.empty() || (!offline_.empty() && journal_->written() < checkpoint_position_)) return;
      if (!drop_entries_of_deleted()) return entries_not_kept("what is kept of deleted streams cannot be removed", -EIO);
      if (!offline_.empty() && !frees_first_ && !keep_offline_entries()) return;
      begin_round();
      phase_ = CheckpointPhase::serializing;
      busy_ = true;
      return;
    }
    case CheckpointPhase::serializing:
      if (!snapshot_groups(stopping_)) return;
      phase_ = CheckpointPhase::writing;
      sync_batch();
      return;
    case CheckpointPhase::writing:
      return;
    case CheckpointPhase::finishing:
      busy_ = true;
      if (tell_groups(stopping_)) phase_ = CheckpointPhase::idle;
      return;
  }
}

// Behind the jobs that write what the batch names.
void JetStream::sync_batch() {
  assert(!batch_);
  batch_ = std::make_shared<CheckpointSyncs::Result>();
  io_->submit([] {}, [this, result = batch_, syncs = std::exchange(checkpoint_syncs_, {})] {
    const size_t one_by_one_max = sync_one_by_one_ ? SIZE_MAX : (options_.threads ? kSyncs : kSyncsUnthreaded).one_by_one_max;
    checkpoint_io_->submit([=, this] { *result = pace_.run([&] { return syncs.run(*disk_, one_by_one_max); }); },
                           [this, result] { batch_synced(result); });
  });
}

// A failed sync is final for its stream even if the round was given up meanwhile: those of later rounds would succeed, and say
// nothing of it. What such a round names may be gone, though. The others' round begins again without the stream, whose last
// snapshot and journal entries stay.
void JetStream::batch_synced(const std::shared_ptr<CheckpointSyncs::Result>& result) {
  const bool given_up = result != batch_;
  if (!given_up) batch_.reset();
  sync_one_by_one_ |= result->together_failed;
  if (result->error && !result->again) {
    phase_ = CheckpointPhase::idle;
    return fail("segments could not be synced: " + std::string(strerror(-result->error)));
  }
  for (const CheckpointSyncs::Failure& failure : result->failures)
    if (Stream* s = stream(failure.stream); s && !(given_up && failure.error == -ENOENT)) s->go_offline(failure.text);
  if (given_up) return;
  if (!result->synced()) return abandon_round(passes(result->error) ? result->error : 0);
  if (phase_ == CheckpointPhase::writing) write_round();
}

void JetStream::write_round() {
  if (!going_offline_.empty()) return leave_round();
  auto durable = std::make_shared<bool>(false);
  round_leaves_ = true;
  checkpoint_io_->submit([this, durable] { *durable = checkpoints_->write(); },
                         [this, durable] { *durable ? finish_checkpoint() : round_not_written(); });
}

// Its file may have its name all the same, and be what the next start reads.
void JetStream::round_not_written() {
  for (auto [id, applied] : checkpoint_taken_)
    if (Stream* s = stream(id)) s->group.perhaps_named = true;
  const int error = checkpoints_->error_number();
  if (trouble_of(error) == DiskTrouble::read_only) fail(checkpoints_->error() + ". Make it writable and start the server again");
  abandon_round(error);
}

// Lets what the threads have finished take effect; true when nothing is under way.
bool JetStream::drain_io() {
  io_->drain();
  checkpoint_io_->drain();
  return io_->idle() && checkpoint_io_->idle();
}

void JetStream::begin_checkpoint() {
  checkpoint_wanted_ = false;
  frees_first_ = trouble_of(round_trouble_) == DiskTrouble::no_room && !reserve_whole_ && frees_files();
  checkpoint_position_ = journal_->position();
  phase_ = CheckpointPhase::waiting;
  if (!relaxed()) journal_->sync_now();  // else what was written counts, and a released part need never reach the disk
}

bool JetStream::frees_files(uint64_t id) {
  Stream* s = stream(id);
  return s && !s->group.offline && s->store->frees_files();
}

bool JetStream::frees_files() {
  return !dropped_stores_.empty() || std::any_of(changed_.begin(), changed_.end(), [this](uint64_t id) { return frees_files(id); });
}

// The other groups keep their last snapshots, and the journal has all entries since. Meta among them: that a stream is already
// there, or no more, does no harm when its creation or deletion is applied again.
void JetStream::begin_freeing_round() {
  checkpoints_->begin(true);
  drop_stores();
  auto others = std::partition(changed_.begin(), changed_.end(), [this](uint64_t id) { return frees_files(id); });
  checkpoint_groups_.assign(changed_.begin(), others);
  changed_.erase(changed_.begin(), others);
}

void JetStream::drop_stores() {
  for (auto& dropped : dropped_stores_) {
    checkpoints_->drop(dropped.id);
    leaving_stores_.push_back(std::move(dropped));
  }
  dropped_stores_.clear();
}

// Which streams there are is described at one moment: meta's snapshot, the streams that it knows of, and those that it knows
// to be deleted. What changes while the others are serialized lies behind meta's index, and so in the journal.
void JetStream::begin_round() {
  checkpoint_taken_.clear();
  checkpoint_syncs_.clear();
  assert(checkpoint_groups_.empty());
  if (frees_first_) return begin_freeing_round();
  checkpoints_->begin();
  if (meta_.applied != meta_.checkpointed) {
    Buffer out;
    out.put16(1);
    out.put64(next_stream_id_);
    checkpoints_->add(0, meta_.applied, out.view());
    checkpoint_taken_.emplace_back(0, meta_.applied);
  }
  Buffer store;
  store.put16(1);
  store.put64(checkpoint_position_);
  checkpoints_->add(kStoreGroup, 0, store.view());
  drop_stores();
  if (rewrites_wanted_)
    for (auto& [id, s] : streams_)
      if (s->store->wants_rewrite()) note_change(s->group);
  checkpoint_groups_.swap(changed_);
}

// So that a round need not look at all groups.
void JetStream::note_change(Group& g) {
  if (g.changed || !g.logged || g.id == 0 || g.offline) return;
  g.changed = true;
  changed_.push_back(g.id);
}

bool JetStream::in_checkpoint(uint64_t id) const {
  Stream* s = const_cast<JetStream*>(this)->stream(id);
  if (s && (s->group.checkpointed != Group::kNever || s->group.perhaps_named)) return true;
  return std::any_of(checkpoint_taken_.begin(), checkpoint_taken_.end(), [&](const auto& taken) { return taken.first == id; });
}

// False when the device refused: the round is over.
bool JetStream::begin_snapshot(Stream& s) {
  checkpoint_taken_.emplace_back(s.group.id, s.group.applied);
  s.group.changed = false;
  checkpoint_syncs_.of_stream(s.group.id);
  snapshot_ = std::make_unique<StreamSnapshot>(s, checkpoint_syncs_);
  if (!snapshot_->refused()) return true;
  snapshot_.reset();
  if (s.store->failed()) s.go_offline(s.store->error());
  abandon_round(s.store->failed() ? 0 : s.store->trouble());
  return false;
}

// A stream in the middle of an entry waits: brings one that is not to the end of the list, if there is one.
bool JetStream::next_at_rest() {
  auto rests = [this](uint64_t id) {
    Stream* s = stream(id);
    return !s || !s->working();
  };
  auto found = std::find_if(checkpoint_groups_.rbegin(), checkpoint_groups_.rend(), rests);
  if (found == checkpoint_groups_.rend()) return false;
  std::iter_swap(found, checkpoint_groups_.rbegin());
  return true;
}

// Serializes for a bounded time, and no further than a batch ahead of the syncs; true when nothing is left.
bool JetStream::snapshot_groups(bool at_once) {
  SlicePause pauses(at_once, options_.threads);
  const Slice& slice = options_.threads ? kSlice : kSliceUnthreaded;
  const size_t batch = (options_.threads ? kSyncs : kSyncsUnthreaded).batch;
  while (snapshot_ || !checkpoint_groups_.empty()) {
    if (pauses()) {
      busy_ = true;
      return false;
    }
    if (!snapshot_) {
      if (!at_once && checkpoint_syncs_.size() >= batch) {
        if (batch_) return false;  // its end wakes the kernel
        sync_batch();
      }
      if (!next_at_rest()) {
        busy_ = true;
        return false;
      }
      Stream* s = stream(checkpoint_groups_.back());
      checkpoint_groups_.pop_back();
      if (!s || s->group.offline) continue;  // its deletion is in the journal; or its last snapshot stays
      if (!begin_snapshot(*s)) return false;
    }
    if (!snapshot_->write(slice.consumers, slice.entries)) continue;
    checkpoints_->add(snapshot_->stream().group.id, snapshot_->applied(), snapshot_->take());
    snapshot_.reset();
  }
  return !batch_;
}

// The last round still holds and the journal has everything since.
void JetStream::abandon_round(int trouble) {
  phase_ = CheckpointPhase::idle;
  round_leaves_ = false;
  snapshot_.reset();
  batch_.reset();
  for (auto [id, applied] : checkpoint_taken_)
    if (Stream* s = stream(id)) s->store->snapshot_abandoned(), note_change(s->group);
  checkpoint_taken_.clear();
  changed_.insert(changed_.end(), checkpoint_groups_.begin(), checkpoint_groups_.end());
  checkpoint_groups_.clear();
  for (auto& left : leaving_stores_) dropped_stores_.push_back(std::move(left));
  leaving_stores_.clear();
  want_checkpoint_later();  // a full disk is tried again, after a while
  round_trouble_ = trouble;
  give_up_reserve();
}

void JetStream::finish_checkpoint() {
  phase_ = CheckpointPhase::idle;
  round_leaves_ = false;
  if (!frees_first_) {
    round_trouble_ = 0;
    journal_->release(checkpoint_position_);
  }
  for (auto& left : leaving_stores_) left.store->drop();
  leaving_stores_.clear();
  if (tell_groups(stopping_)) return;
  phase_ = CheckpointPhase::finishing;
  busy_ = true;
}

// The round is durable: files that it does not name go, for a bounded time; true when all groups have been told.
bool JetStream::tell_groups(bool at_once) {
  SlicePause pauses(at_once, options_.threads);
  const Slice& slice = options_.threads ? kSlice : kSliceUnthreaded;
  while (!checkpoint_taken_.empty()) {
    for (size_t n = 0; n < slice.groups && !checkpoint_taken_.empty(); n++) {
      auto [id, applied] = checkpoint_taken_.back();
      checkpoint_taken_.pop_back();
      Stream* s = id ? stream(id) : nullptr;
      if (!id) meta_.checkpointed = applied;
      if (!s) continue;
      s->group.checkpointed = applied;
      if (s->group.offline) continue;
      s->store->checkpoint_durable();
      kept_->drop(id);
    }
    if (pauses()) break;
  }
  if (!checkpoint_taken_.empty()) return false;
  checkpoints_done_++;
  if (rewrites_wanted_ || frees_first_) want_checkpoint_later();
  return true;
}

void JetStream::want_checkpoint_later() {
  checkpoint_wanted_ = true;
  checkpoint_retry_ns_ = kernel.now.monotonic_ns + kCheckpointRetryNs;
  kernel.timers.set_earlier(journal_timer_, checkpoint_retry_ns_);
}

}  // namespace slipstream
