// See stream/snapshot.hpp. The format is what Stream::load() reads.
#include "stream/snapshot.hpp"

#include <algorithm>
#include <cassert>

#include "stream/stream.hpp"

namespace slipstream {

namespace {

constexpr size_t kPartBytes = 256 << 10;  // of a batch, in a slice

}  // namespace

StreamSnapshot::StreamSnapshot(Stream& s, CheckpointSyncs& syncs)
    : stream_(s), applied_(s.group.applied) {
  if (!s.store->snapshot(pieces_[kStore], syncs)) {
    refused_ = true;
    return;
  }
  const uint64_t last_seq = s.store->last_seq();
  s.snapshot_head(pieces_[kHead]);
  s.dedupe_.begin_cut(pieces_[kIds]);
  s.ttls_.begin_cut(pieces_[kEnds], pieces_[kNevers], last_seq);
  s.source_positions.begin_cut(pieces_[kSources]);
  s.schedules_.begin_cut(pieces_[kSchedules]);
  s.counters_.begin_cut(pieces_[kTotals], last_seq);
  if (s.batch_part_count_) {
    parts_ = s.batch_parts_;
    parts_bytes_ = parts_->size();
    pieces_[kParts].reserve(parts_bytes_ + 64);
    pieces_[kParts].put32(s.batch_part_count_);
  }
  for (auto [number, index] : s.ended_fast_batches_) pieces_[kFastBatches].put64(number), pieces_[kFastBatches].put64(index);
  s.lost_subjects_.snapshot(*s.store, pieces_[kLostSubjects]);
  pieces_[kMiddle].put32(s.next_consumer_id);
  logged_count_at_ = pieces_[kMiddle].size();
  pieces_[kMiddle].put32(0);
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
    end_cuts();
    for (auto& [id, c] : stream_.consumers) c->snapshots_seen_ = stream_.snapshots_;
  }
  stream_.snapshot_under_way_ = nullptr;
}

void StreamSnapshot::end_cuts() {
  stream_.dedupe_.end_cut();
  stream_.ttls_.end_cut();
  stream_.source_positions.end_cut();
  stream_.schedules_.end_cut();
  stream_.counters_.end_cut();
  if (stream_.store) stream_.store->end_dead();
}

bool StreamSnapshot::write(size_t consumers, size_t entries) {
  assert(!refused_ && !written_);
  if (!write_tables(entries)) return false;
  auto it = stream_.consumers.lower_bound(next_consumer_);
  for (; it != stream_.consumers.end() && consumers; ++it, consumers--) {
    next_consumer_ = it->first + 1;
    if (it->second->snapshots_seen_ != stream_.snapshots_) write_first(*it->second);
  }
  written_ = it == stream_.consumers.end();
  if (written_) end_cuts();
  return written_;
}

bool StreamSnapshot::write_tables(size_t entries) {
  auto live = [this](uint64_t seq) { return stream_.store->live(seq); };
  auto stays = [](const std::string&, const SourcePosition&) { return false; };
  return stream_.dedupe_.write_cut(entries) && stream_.ttls_.write_cut(entries, live) &&
         stream_.source_positions.write_cut(entries, stays) && stream_.schedules_.write_cut(entries, live) &&
         stream_.counters_.write_cut(entries) && write_parts(kPartBytes) &&
         stream_.store->write_dead(pieces_[kStore], entries);
}

bool StreamSnapshot::write_parts(size_t bytes) {
  bytes = std::min(bytes, parts_bytes_ - parts_at_);
  if (bytes) pieces_[kParts].append(parts_->data() + parts_at_, bytes);
  parts_at_ += bytes;
  if (parts_at_ < parts_bytes_) return false;
  parts_.reset();
  return true;
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
  put_section_heads();
  store32(pieces_[kMiddle].data() + logged_count_at_, logged_count_);
  store32(pieces_[kRetention].data() + count_at_, count_);
  return std::move(pieces_);
}

void StreamSnapshot::put_section_heads() {
  using Section = Stream::Section;
  uint16_t count = 0;
  auto put_head = [&](Section which, Piece head, Piece content, bool wanted) {
    if (!wanted) return pieces_[content].clear();
    pieces_[head].put16((uint16_t)which);
    pieces_[head].put64(pieces_[content].size());
    count++;
  };
  Buffer& first = pieces_[kSections];
  first.put16(0);
  put_head(Section::batch_parts, kSections, kParts, parts_bytes_ > 0);
  put_head(Section::ended_fast_batches, kFastBatchesHead, kFastBatches, !pieces_[kFastBatches].empty());
  put_head(Section::schedules, kSchedulesHead, kSchedules, true);
  put_head(Section::counter_totals, kTotalsHead, kTotals, stream_.spec.counter);
  put_head(Section::lost_subjects, kLostSubjectsHead, kLostSubjects, !pieces_[kLostSubjects].empty());
  store16(first.data(), count);
}

}  // namespace slipstream
