// What the store does while its disk is full, or the process may open no more files: a state that ends by itself.
//
// Publishes are refused, at once and with the reason. What frees room goes on from what is kept for it: purges, deletions and
// acknowledgements from the journal's reserve, and checkpoints from a file of the checkpoints' folder that is given up when a
// round finds no room. Publishes are accepted again when the journal has room and that file is back, so that it is whole when the
// disk fills again. Nothing here waits for the disk.
//
//   journal has no room, or a round found none -> give up spares and the reserved file, begin a round
//   still none                                 -> refuse publishes, withdraw those that wait for room
//   the journal has room, the reserve is whole -> accept publishes
#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "disk/disk_trouble.hpp"
#include "jetstream/jetstream.hpp"
#include "stream/publish_errors.hpp"

namespace slipstream {
namespace {

constexpr int64_t kPatienceNs = 300'000'000;  // how long publishes wait for a checkpoint that may free the journal
constexpr int64_t kRetryNs = 250'000'000;     // between two attempts to get room
constexpr int64_t kRoundNs = 1'000'000'000;   // between two rounds meanwhile
constexpr size_t kUnwrittenMax = 4096;        // entries of the reserve that wait for a file of it

std::string shown_bytes(uint64_t n) {
  char text[32];
  if (n >= 10'000'000'000) snprintf(text, sizeof text, "%llu GB", (unsigned long long)(n / 1'000'000'000));
  else if (n >= 10'000'000) snprintf(text, sizeof text, "%llu MB", (unsigned long long)(n / 1'000'000));
  else snprintf(text, sizeof text, "%llu kB", (unsigned long long)(n / 1000));
  return text;
}

bool may_be_withdrawn(EntryKind kind) {
  return kind == EntryKind::messages || kind == EntryKind::batch_part || kind == EntryKind::batch_commit ||
         kind == EntryKind::mirrored || kind == EntryKind::sourced;
}

}  // namespace

// Of an entry while publishes are refused. What frees most may use most of the reserve, so that a flood of what frees nothing
// leaves room for it.
bool JetStream::admitted(EntryKind kind, bool durable, bool reserve) const {
  if (!reserve || kind == EntryKind::stream_create || unwritten_.size() >= kUnwrittenMax) return false;
  uint64_t whole = options_.journal_file_bytes;
  switch (kind) {
    case EntryKind::purge:
    case EntryKind::remove:
    case EntryKind::remove_below:
    case EntryKind::expire:
    case EntryKind::consumer_delete:
    case EntryKind::stream_delete:
    case EntryKind::delivered:  // few: deliveries pause before (parks_deliveries)
      return journal_->reserve_left() > whole / 16;
    case EntryKind::acks:
    case EntryKind::ack_all:
    case EntryKind::ack_flow:
      return journal_->reserve_left() > (durable ? whole / 8 : whole / 4);
    default:
      return journal_->reserve_left() > whole / 2;
  }
}

Intake JetStream::intake() const {
  if (!takes_publishes()) return Intake::refuses;
  const bool tight = journal_ && journal_->in_use() > options_.journal_bytes_max / 8 * 7;
  if (tight || bytes_in_flight >= kBehindInflightBytes) return Intake::behind;
  return bytes_in_flight < kBehindInflightBytes / 2 ? Intake::caught_up : Intake::keeps_up;
}

bool JetStream::parks_deliveries() const {
  return refusing_ && journal_->reserve_left() <= options_.journal_file_bytes / 2;
}

void JetStream::watch_room() {
  if (!journal_ || !failed_.empty() || stopped_ || stopping_) return;
  const int trouble = journal_->trouble();
  const bool full = journal_->full();
  if (!trouble && !full && !round_trouble_ && !segment_trouble_ && reserve_whole_ && !refusing_) [[likely]] {
    no_room_.full_since_ns = 0;
    return;
  }
  const int64_t now = kernel.now.monotonic_ns;
  if (!full) {
    no_room_.full_since_ns = 0;
  } else if (!no_room_.full_since_ns) {
    no_room_.full_since_ns = now;
    checkpoint_wanted_ = true;
    checkpoint_retry_ns_ = 0;
  }
  if (std::exchange(segment_trouble_, false) && !round_trouble_) checkpoint_wanted_ = true;
  if (now >= no_room_.retry_ns) {
    no_room_.retry_ns = now + kRetryNs;
    get_room(trouble);
  }
  kernel.timers.set_earlier(journal_timer_, no_room_.retry_ns);
  const bool waited = full && now - no_room_.full_since_ns >= kPatienceNs;
  const bool refuse = !reserve_whole_ || (full && (round_trouble_ || (trouble && (waited || refusing_))));
  if (refuse != refusing_) refuse ? begin_refusing() : end_refusing();
  if (refusing_) {
    if (now - no_room_.told_ns >= kRoundNs) describe_no_room();
    if (!unwritten_.empty()) withdraw_unwritten({});
  }
}

void JetStream::get_room(int trouble) {
  if (trouble) {
    journal_->retry();
    if (trouble_of(trouble) == DiskTrouble::no_room) journal_->give_up_spares();
  }
  if (phase_ != CheckpointPhase::idle) return;
  if (!reserve_whole_) keep_reserve();
  // A round frees the journal, and the files of what was removed since the last one.
  bool helps = !changed_.empty() || !dropped_stores_.empty() || journal_->in_use() > options_.journal_file_bytes;
  if (helps && kernel.now.monotonic_ns - no_room_.round_ns >= kRoundNs) {
    no_room_.round_ns = kernel.now.monotonic_ns;
    checkpoint_wanted_ = true;
  }
}

// On the thread that also writes rounds, so that the file has one user at a time.
void JetStream::keep_reserve() {
  if (reserve_job_) return;
  reserve_job_ = true;
  auto result = std::make_shared<int>(0);
  checkpoint_io_->submit([this, result] { *result = checkpoints_->make_reserve(reserve_bytes()); },
                         [this, result] {
                           reserve_job_ = false;
                           reserve_whole_ = *result >= 0;
                           if (*result >= 0 || passes(*result)) return;
                           fail("cannot keep room for checkpoints: " + std::string(strerror(-*result)));
                         });
}

// A round found no room: the next one has that of the reserved file, which may be there although the reserve is not whole.
void JetStream::give_up_reserve() {
  if (trouble_of(round_trouble_) != DiskTrouble::no_room) return;
  reserve_whole_ = false;
  auto given_up = std::make_shared<bool>(false);
  checkpoint_io_->submit([this, given_up] { *given_up = checkpoints_->give_up_reserve(); },
                         [this, given_up] {
                           if (*given_up) checkpoint_retry_ns_ = 0;
                         });
}

void JetStream::begin_refusing() {
  refusing_ = true;
  no_room_.error = round_trouble_ ? round_trouble_ : journal_->trouble() ? journal_->trouble() : -ENOSPC;
  describe_no_room();
  EventRecord e{EventType::storage};
  e.a = 1, e.s0 = no_room_.text;
  kernel.emit(std::move(e));
}

void JetStream::end_refusing() {
  refusing_ = false;
  no_room_ = NoRoom();
  describe_no_room();
  EventRecord e{EventType::storage};
  e.a = 0, e.s0 = no_room_.text;
  kernel.emit(std::move(e));
}

void JetStream::describe_no_room() {
  no_room_.told_ns = kernel.now.monotonic_ns;
  std::string text = no_room_.error ? std::string(strerror(-no_room_.error)) + ": " : std::string();
  Disk::Space space;
  if (disk_->space(space) >= 0)
    text += shown_bytes(space.free_bytes) + " of " + shown_bytes(space.total_bytes) + " are free on the disk of the store, ";
  text += "its journal holds " + shown_bytes(journal_->in_use()) + " of at most " + shown_bytes(options_.journal_bytes_max);
  no_room_.text = std::move(text);
  bool descriptors = trouble_of(no_room_.error) == DiskTrouble::no_descriptors;
  no_room_.refusal = std::string(descriptors ? kServerLimit.description : kStorageFull.description) + ": " + no_room_.text;
}

PublishError JetStream::refusal() const {
  if (failed()) return kStoreFailed;
  PublishError error = trouble_of(no_room_.error) == DiskTrouble::no_descriptors ? kServerLimit : kStorageFull;
  if (refusing_) error.description = no_room_.refusal.c_str();
  return error;
}

// What waits for room and may not use the reserve is refused; what stands behind it in the log of its group moves up.
// `only`: of these groups; empty: of all.
void JetStream::withdraw_unwritten(const std::set<uint64_t>& only) {
  std::map<std::pair<uint64_t, uint64_t>, uint64_t> kept;  // the new index of what stays
  std::set<uint64_t> groups;
  for (auto [id, index] : unwritten_)
    if (only.empty() || only.count(id)) groups.insert(id);
  for (uint64_t id : groups) {
    Stream* s = id ? stream(id) : nullptr;
    if (id && (!s || s->group.offline)) continue;
    withdraw_from(id ? s->group : meta_, s, kept);
  }
  std::deque<std::pair<uint64_t, uint64_t>> left;
  for (auto entry : unwritten_) {
    auto it = kept.find(entry);
    if (!groups.count(entry.first)) left.push_back(entry);
    else if (it != kept.end()) left.emplace_back(entry.first, it->second);
  }
  unwritten_ = std::move(left);
}

void JetStream::withdraw_from(Group& g, Stream* s, std::map<std::pair<uint64_t, uint64_t>, uint64_t>& kept) {
  std::deque<Entry> waiting;
  while (!g.inflight.empty() && g.inflight.back().end == kUnwritten) {
    waiting.push_front(std::move(g.inflight.back()));
    g.inflight.pop_back();
    g.last_index--;
  }
  std::vector<Entry> withdrawn;
  for (Entry& e : waiting) {
    if (s && may_be_withdrawn(e.kind)) {
      withdrawn.push_back(std::move(e));
      continue;
    }
    uint64_t before = e.index;
    e.index = ++g.last_index;
    kept[{g.id, before}] = e.index;
    g.inflight.push_back(std::move(e));
  }
  for (Entry& e : withdrawn) {
    s->withdrawn(e);
    recycle(std::move(e.payload));
    recycle(std::move(e.proposal.replies));
  }
}

}  // namespace slipstream
