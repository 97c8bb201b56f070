#include "log/groups.hpp"

namespace slipstream {
namespace {

constexpr int64_t kAsyncSyncNs = 120'000'000'000;  // what streams with persist_mode async lose at most to a power failure
constexpr size_t kSpareBuffers = 32, kSpareBufferBytes = 2 << 20;

}  // namespace

// When the journal has no room at this moment (a file is still being prepared, a checkpoint has to free some), entries wait
// in order of their proposal: that is back-pressure. Only a disk that stays full refuses what does not free space (Groups::admitted).
bool Groups::propose(Group& group, EntryKind kind, Buffer&& payload, bool durable, uint64_t token, Buffer&& replies,
                     bool reserve, bool relaxed) {
  bool logged = group.logged && journal_;
  if (group.offline || (logged && !failed_.empty())) return false;
  if (logged && refusing_ && !admitted(kind, durable, reserve)) [[unlikely]] return false;
  if (logged && !reserve && journal_->full()) checkpoint_wanted_ = true;
  // What may use the reserve does not wait behind what may not, unless it is of the same group.
  bool must_wait = !unwritten_.empty() && (!reserve || (!group.inflight.empty() && group.inflight.back().end == kUnwritten));
  Entry& e = group.inflight.emplace_back();
  e.kind = kind;
  e.index = ++group.last_index;
  e.durable = durable && logged;
  e.relaxed = relaxed;
  e.reserve = reserve;
  e.payload = std::move(payload);
  e.proposal.token = token;
  e.proposal.replies = std::move(replies);
  if (logged && (must_wait || !append(group, e))) {
    e.end = kUnwritten;
    unwritten_.emplace_back(group.id, e.index);
  }
  if (!group.active) {
    group.active = true;
    active_.push_back(&group);
  }
  return true;
}

bool Groups::append(Group& group, Entry& e) {
  e.end = journal_->append(group.id, group.term, e.index, (uint8_t)e.kind, e.payload.view(), e.durable && !e.relaxed, e.reserve);
  if (e.relaxed && !journal_timer_.armed()) timers_.set(journal_timer_, now_.monotonic_ns + kAsyncSyncNs);
  if (e.end == 0 && journal_->failed()) fail(journal_->error());
  return e.end != 0;
}

void Groups::fail(const std::string& why) {
  if (failed_.empty()) failed_ = why.empty() ? "the store failed" : why;
}

Buffer Groups::buffer() {
  if (spare_buffers_.empty()) return Buffer();
  Buffer b = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return b;
}

void Groups::recycle(Buffer&& b) {
  if (b.capacity() == 0 || b.capacity() > kSpareBufferBytes || spare_buffers_.size() >= kSpareBuffers) return;
  b.clear();
  spare_buffers_.push_back(std::move(b));
}

}  // namespace slipstream
