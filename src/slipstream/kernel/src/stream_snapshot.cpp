// See stream_snapshot.hpp. The format is what Stream::load() reads.
#include "stream_snapshot.hpp"

#include <cassert>

#include "stream.hpp"

namespace slipstream {

StreamSnapshot::StreamSnapshot(Stream& s, CheckpointSyncs& syncs)
    : stream_(s), applied_(s.group.applied) {
  if (!s.store->snapshot(pieces_[kStore], syncs)) {
    refused_ = true;
    return;
  }
  s.snapshot_head(pieces_[kHead]);
  s.dedupe_.begin_cut(pieces_[kIds]);
  s.snapshot_middle(pieces_[kMiddle]);
  logged_count_at_ = pieces_[kMiddle].size();
  pieces_[kMiddle].put32(0);
  Buffer sections;
  s.snapshot_sections(sections);
  sections.append(pieces_[kStore].view());
  pieces_[kStore] = std::move(sections);
  s.snapshot_retention(pieces_[kRetention]);
  count_at_ = pieces_[kRetention].size();
  pieces_[kRetention].put32(0);
  assert(!s.snapshot_under_way_);
  s.snapshot_under_way_ = this;
  s.snapshots_++;
}

StreamSnapshot::~StreamSnapshot() {
  if (refused_) return;
  if (!written_) {
    stream_.dedupe_.end_cut();
    for (auto& [id, c] : stream_.consumers) c->snapshots_seen_ = stream_.snapshots_;
  }
  stream_.snapshot_under_way_ = nullptr;
}

bool StreamSnapshot::write(size_t consumers, size_t ids) {
  assert(!refused_ && !written_);
  if (!stream_.dedupe_.write_cut(ids)) return false;
  auto it = stream_.consumers.lower_bound(next_consumer_);
  for (; it != stream_.consumers.end() && consumers; ++it, consumers--) {
    next_consumer_ = it->first + 1;
    if (it->second->snapshots_seen_ != stream_.snapshots_) write_first(*it->second);
  }
  return written_ = it == stream_.consumers.end();
}

// Wherever the consumer's own storage is: an entry behind this snapshot may make an interest stream of a stream that keeps
// everything, and then what it wants is retained. Else an opened store forgets it (Stream::forgets).
void StreamSnapshot::write_first(Consumer& c) {
  assert(c.snapshots_seen_ + 1 == stream_.snapshots_);
  c.snapshots_seen_ = stream_.snapshots_;
  c.snapshot(pieces_[kConsumers]);
  logged_count_++;
  pieces_[kRetention].put32(c.id);
  pieces_[kRetention].put64(c.applied_cursor_);
  count_++;
}

std::vector<Buffer> StreamSnapshot::take() {
  assert(written_);
  store32(pieces_[kMiddle].data() + logged_count_at_, logged_count_);
  store32(pieces_[kRetention].data() + count_at_, count_);
  return std::move(pieces_);
}

}  // namespace slipstream
