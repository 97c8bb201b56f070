// Appending, removing, and the index by sequence. See segment_store.hpp for the other parts.
#include "store/message_store.hpp"

#include <algorithm>

#include "store/segment_store.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kChunkBytesMin = 4 << 10, kChunkBytesMax = 128 << 10;
constexpr uint64_t kMemorySegmentBytesMax = kHugePage;  // compacted in one go, so that one stays short
constexpr uint32_t kDeadActiveBytesMax = 64 << 10;  // a wholly dead active segment beyond this starts anew
constexpr uint64_t kGapMin =
    64;  // a gap below this, or below the segment's length, is filled rather than starting a segment

uint32_t segment_bytes_max(const StoreOptions& o) {
  return (uint32_t)(o.memory ? std::min(o.segment_bytes_max, kMemorySegmentBytesMax) : o.segment_bytes_max);
}

}  // namespace

std::unique_ptr<MessageStore> MessageStore::create(Disk* disk, IoPool* io, StoreOptions options) {
  return std::make_unique<SegmentStore>(disk, io, std::move(options));
}

uint64_t MessageStore::message_bytes(bool memory, size_t subject, size_t header, size_t body) {
  return memory ? subject + header + body + 16
                : 22 + subject + (header ? 4 + header : 0) + body + 8;  // S-150
}

SegmentStore::SegmentStore(Disk* disk, IoPool* io, StoreOptions options)
    : disk_(disk), io_(io), options_(std::move(options)), compressed_(options_.compressed), self_(std::make_shared<SegmentStore*>(this)) {
  assert(options_.segment_bytes_min >= 1024 && options_.segment_bytes_max <= kRecordMax);
  assert(options_.segment_bytes_min <= options_.segment_bytes_max);
  next_segment_bytes_ = std::min((uint32_t)options_.segment_bytes_min, segment_bytes_max(options_));
  chunk_bytes_max_ =
      (uint32_t)(options_.memory ? kMemorySegmentBytesMax
                                 : std::clamp(options_.tail_bytes / 8, kChunkBytesMin, kChunkBytesMax));
  if (!options_.memory) handles_ = HandleCache::of(disk_);
}

SegmentStore::~SegmentStore() {
  want_rewrite(false);
  *self_ = nullptr;
}

bool SegmentStore::append(uint64_t seq, int64_t time_ns, string_view subject, string_view header,
                          string_view body) {
  assert(seq > last_seq_ && subject.size() <= 0xffff);
  uint64_t length = (uint64_t)kRecordHead + subject.size() + header.size() + body.size();
  assert(length <= kRecordMax);
  if (failed_) return false;
  Segment* segment = segment_for(seq, (uint32_t)length, time_ns);
  char* to = place(segment, (uint32_t)length);
  if (!to) return false;
  uint32_t offset = segment->size() - (uint32_t)length;
  subjects_.expect(subject);  // its cache miss passes while the record is written
  encode_record(to, (uint32_t)length, seq, time_ns, subject, header, body, !options_.memory);
  uint32_t id = appended_subject_ = subjects_.intern(subject);
  link(id, seq);
  segment->push(seq, {offset, pack_length((uint32_t)length, !header.empty()), id, 0}, time_ns);
  last_seq_ = seq;
  last_time_ns_ = time_ns;
  messages_++;
  bytes_ += message_bytes(options_.memory, subject.size(), header.size(), body.size());
  appended_since_snapshot_ = true;
  return true;
}

void SegmentStore::skip(uint64_t seq, int64_t time_ns) {
  assert(seq > last_seq_);
  last_seq_ = seq;
  last_time_ns_ = time_ns;
  if (!messages_) empty_first_ = seq + 1;
}

// The segment whose next entry is `seq`. A dense segment fills a short gap with dead entries (streams with interest retention skip
// sequences all the time). A long gap starts a sparse segment, which has entries for its messages alone and takes any gap: a mirror
// of a few subjects needs no file per message.
Segment* SegmentStore::segment_for(uint64_t seq, uint32_t length, int64_t time_ns) {
  Segment* segment = active();
  uint64_t gap = segment ? seq - segment->end() : 0;
  if (segment && (uint64_t)segment->size() + length > segment->bytes_max && segment->count()) {
    seal(segment);
    segment = nullptr;
  }
  if (segment) {
    if (segment->sparse() ? seq - segment->base < kFar : gap == 0) return segment;
    if (gap <= kGapMin + segment->count() && segment->count() && !segment->sparse()) {
      while (segment->end() < seq)
        segment->push(segment->end(), kNeverThere, std::min(time_ns, last_time_ns_));
      return segment;
    }
    seal(segment);
  }
  open_segment(seq);
  segment = slots_.back().segment.get();
  if (gap > kGapMin) segment->make_sparse();
  return segment;
}

void SegmentStore::open_segment(uint64_t seq) {
  uint32_t expected = entry_bytes_expected_ ? next_segment_bytes_ / entry_bytes_expected_ + 16 : 0;
  slots_.push_back({seq, std::make_unique<Segment>(seq, next_segment_bytes_, expected)});
  next_segment_bytes_ = std::min(next_segment_bytes_ * 2, segment_bytes_max(options_));
}

void SegmentStore::seal(Segment* segment) {
  segment->seal();
  if (segment->count()) entry_bytes_expected_ = std::max(kRecordHead, segment->size() / segment->count());
  after_removal(segment);
}

bool SegmentStore::remove(uint64_t seq) {
  Place place = find(seq);
  if (!place.live()) return false;
  uint32_t id = place->subject;
  messages_--;
  bytes_ -= message_bytes(*place.operator->());
  before_change(place.segment);
  place.segment->remove(place.index);
  unlink(id, seq);
  after_removal(place.segment);
  if (!messages_) empty_first_ = last_seq_ + 1;
  return true;
}

// What a segment that lost messages (or was sealed) calls for. It may be gone afterwards.
void SegmentStore::after_removal(Segment* segment) {
  if (segment->live()) {
    if (segment->sealed && segment->live_bytes() * 2 < segment->size()) consider_compaction(segment);
    return;
  }
  if (!segment->sealed && segment->size() <= kDeadActiveBytesMax) return;
  drop_slot(slot_of(segment->base));
}

uint64_t SegmentStore::remove_below(uint64_t seq) {
  if (seq > last_seq_) return remove_all();
  uint64_t removed = 0;
  while (!slots_.empty() && slots_.front().base < seq) {
    Segment* segment = slots_.front().segment.get();
    uint32_t end = segment->position(seq);
    before_change(segment);
    bool partly = segment->live_from(end) != 0 || !segment->sealed;
    uint32_t before = segment->live();
    // Whole segments: the entries are visited for their subjects' sake alone, and go with the segment.
    for (uint32_t i = segment->head(); i < end; i = segment->next_live(i + 1)) {
      IndexEntry& e = segment->entry(i);
      bytes_ -= message_bytes(e);
      messages_--;
      removed++;
      if (partly) segment->remove(i);
      unlink(e.subject, segment->seq_at(i));
    }
    if (partly) {
      if (before != segment->live()) after_removal(segment);
      break;
    }
    drop_slot(0);
  }
  if (!messages_ && removed) empty_first_ = last_seq_ + 1;
  return removed;
}

uint64_t SegmentStore::remove_all() {
  uint64_t removed = messages_;
  while (!slots_.empty()) drop_slot(slots_.size() - 1);
  subjects_.clear();
  messages_ = bytes_ = 0;
  if (removed) empty_first_ = last_seq_ + 1;
  return removed;
}

void SegmentStore::drop_slot(size_t slot) {
  Segment* segment = slots_[slot].segment.get();
  before_change(segment);
  release_chunks(segment);
  if (segment->file) forget_file(segment);
  slots_.erase(slots_.begin() + (std::ptrdiff_t)slot);
  hot_slot_ = 0;
}

void SegmentStore::set_sequences(uint64_t first_seq, uint64_t last_seq, int64_t last_time_ns) {
  assert(messages_ == 0 && last_seq >= last_seq_ && first_seq == last_seq + 1);
  remove_all();
  empty_first_ = first_seq;
  last_seq_ = last_seq;
  last_time_ns_ = last_time_ns;
}

uint64_t SegmentStore::first_seq() const {
  if (!messages_) return empty_first_;
  const Slot& front = slots_.front();
  assert(front.segment->live());
  return front.segment->seq_at(front.segment->head());
}

size_t SegmentStore::slot_of(uint64_t seq) const {
  size_t n = slots_.size();
  if (hot_slot_ < n && slots_[hot_slot_].base <= seq &&
      (hot_slot_ + 1 == n || seq < slots_[hot_slot_ + 1].base))
    return hot_slot_;
  if (!n || seq < slots_.front().base) return n;
  if (slots_.back().base <= seq) return hot_slot_ = n - 1;
  auto after = std::upper_bound(slots_.begin(), slots_.end(), seq,
                                [](uint64_t s, const Slot& slot) { return s < slot.base; });
  return hot_slot_ = (size_t)(after - slots_.begin()) - 1;
}

SegmentStore::Place SegmentStore::find(uint64_t seq) const {
  size_t slot = slot_of(seq);
  if (slot == slots_.size()) return {nullptr, 0};
  Segment* segment = slots_[slot].segment.get();
  uint32_t i = segment->position(seq);
  if (i == segment->count() || (segment->sparse() && segment->seq_at(i) != seq)) return {nullptr, 0};
  return {segment, i};
}

bool SegmentStore::live(uint64_t seq) const { return find(seq).live(); }

uint64_t SegmentStore::next_live(uint64_t seq) const {
  if (!messages_ || seq == 0 || seq > last_seq_) return 0;
  size_t slot = slot_of(seq);
  if (slot == slots_.size()) return first_seq();
  for (; slot < slots_.size(); slot++) {
    const Segment& segment = *slots_[slot].segment;
    uint32_t i = segment.next_live(segment.position(seq));
    if (i < segment.count()) return segment.seq_at(i);
  }
  return 0;
}

uint64_t SegmentStore::previous_live(uint64_t seq) const {
  size_t slot = slot_of(seq);
  if (slot == slots_.size()) return 0;
  for (;; slot--) {
    const Segment& segment = *slots_[slot].segment;
    int64_t i = segment.previous_live((int64_t)segment.position(seq + 1) - 1);
    if (i >= 0) return segment.seq_at((uint32_t)i);
    if (!slot) return 0;
  }
}

// From the nearer end, so that consumers at either end of a long stream look at few segments.
uint64_t SegmentStore::live_above(uint64_t seq) const {
  if (!messages_ || seq >= last_seq_) return 0;
  size_t slot = slot_of(seq);
  if (slot == slots_.size()) return messages_;
  const Segment& here = *slots_[slot].segment;
  uint64_t inside = here.live_from(here.position(seq + 1));
  if (slot < slots_.size() / 2) {
    uint64_t below = here.live() - inside;
    for (size_t i = 0; i < slot; i++) below += slots_[i].segment->live();
    return messages_ - below;
  }
  uint64_t above = inside;
  for (size_t i = slot + 1; i < slots_.size(); i++) above += slots_[i].segment->live();
  return above;
}

uint32_t SegmentStore::subject_of(uint64_t seq) const {
  Place place = find(seq);
  return place.live() ? place->subject : kNoSubject;
}

uint64_t SegmentStore::size_of(uint64_t seq) const {
  Place place = find(seq);
  return place.live() ? message_bytes(*place.operator->()) : 0;
}

MessageStore::Memory SegmentStore::memory() const {
  Memory memory{0, subjects_.memory(), chunk_bytes_};
  for (const Slot& slot : slots_) memory.index += sizeof(Slot) + slot.segment->index_memory();
  return memory;
}

}  // namespace slipstream
