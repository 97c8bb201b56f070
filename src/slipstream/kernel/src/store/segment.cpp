// See segment.hpp.
#include "store/segment.hpp"

#include <algorithm>
#include <atomic>

namespace slipstream {
namespace {

uint64_t next_id() {
  static std::atomic<uint64_t> id{0};  // an identity only: nothing depends on its value
  return ++id;
}

constexpr uint64_t kSegmentMagic = 0x3147455350494c53ull;  // "SLIPSEG1"
constexpr uint32_t kPlainVersion = 1, kFramedVersion = 2;

}  // namespace

void write_segment_head(char* p, uint64_t base) {
  memset(p, 0, kSegmentHead);
  store64(p, kSegmentMagic);
  store32(p + 8, kPlainVersion);
  store64(p + 16, base);
  store32(p + kSegmentHead - 4, crc32c(0, p, kSegmentHead - 4));
}

void write_framed_segment_head(char* p, uint64_t base, uint32_t key_number, string_view salt) {
  write_segment_head(p, base);
  store32(p + 8, kFramedVersion);
  store32(p + kSegmentKeyAt, key_number);
  memcpy(p + kSegmentSaltAt, salt.data(), salt.size());
  store32(p + kSegmentHead - 4, crc32c(0, p, kSegmentHead - 4));
}

bool segment_head_valid(const char* p, uint64_t base, bool& framed, std::string& why) {
  framed = load32(p + 8) == kFramedVersion;
  if (load64(p) != kSegmentMagic || load32(p + kSegmentHead - 4) != crc32c(0, p, kSegmentHead - 4))
    why = kHeadDamaged;
  else if (!framed && load32(p + 8) != kPlainVersion)
    why = "its format version is unknown";
  else if (load64(p + 16) != base)
    why = "it begins with another sequence";
  return why.empty();
}

bool mend_segment_head(char* p, uint64_t base, bool& framed, std::string& why) {
  if (segment_head_valid(p, base, framed, why)) return true;
  for (uint32_t bit = 0; bit < kSegmentHead * 8; bit++) {
    std::string ignored;
    p[bit / 8] ^= (char)(1 << bit % 8);
    if (segment_head_valid(p, base, framed, ignored)) return why.clear(), true;
    p[bit / 8] ^= (char)(1 << bit % 8);
  }
  framed = false;
  return false;
}

void DeadMap::resize(uint32_t n) {
  bits_.resize((n + 63) / 64);
  blocks_.resize((n + kBlock - 1) / kBlock);
}

void DeadMap::mark(uint32_t i) {
  assert(!marked(i));
  bits_[i / 64] |= 1ull << (i % 64);
  blocks_[i / kBlock]++;
}

uint32_t DeadMap::count_from(uint32_t i) const {
  uint32_t word = i / 64;
  if (word >= bits_.size()) return 0;
  uint32_t dead = (uint32_t)__builtin_popcountll(bits_[word] >> (i % 64));
  uint32_t block_end = std::min((uint32_t)bits_.size(), (i / kBlock + 1) * (kBlock / 64));
  while (++word < block_end) dead += (uint32_t)__builtin_popcountll(bits_[word]);
  for (uint32_t block = i / kBlock + 1; block < blocks_.size(); block++) dead += blocks_[block];
  return dead;
}

uint32_t DeadMap::next_clear(uint32_t i, uint32_t n) const {
  while (i < n) {
    if (i % kBlock == 0 && blocks_[i / kBlock] == kBlock) {
      i += kBlock;
      continue;
    }
    uint64_t clear = ~bits_[i / 64] >> (i % 64);
    if (clear) return std::min(n, i + (uint32_t)__builtin_ctzll(clear));
    i = (i / 64 + 1) * 64;
  }
  return n;
}

int64_t DeadMap::previous_clear(int64_t i) const {
  while (i >= 0) {
    uint32_t at = (uint32_t)i;
    if (at % kBlock == kBlock - 1 && blocks_[at / kBlock] == kBlock) {
      i -= kBlock;
      continue;
    }
    uint64_t clear = ~bits_[at / 64] << (63 - at % 64);
    if (clear) return i - __builtin_clzll(clear);
    i = (int64_t)(at / 64) * 64 - 1;
  }
  return -1;
}

Segment::Segment(uint64_t first, uint32_t max, uint32_t entries_expected)
    : id(next_id()), base(first), bytes_max(max) {
  entries_.reserve(entries_expected);
}

void Segment::push(uint64_t seq, const IndexEntry& e, int64_t time_ns) {
  uint32_t i = count();
  last_time_ns = i ? std::max(time_ns, last_time_ns) : time_ns;
  if (i % kTimeBlock == 0) times_.push_back(last_time_ns);
  if (!e.live() && live_ && !dead_) need_dead_map();
  if (sparse_) {
    assert(seq - base < kFar && (!i || seq >= end()));
    deltas_.push_back((uint32_t)(seq - base));
  } else {
    assert(seq == base + i);
  }
  entries_.push_back(e);
  if (dead_) dead_->resize(i + 1);
  if (e.live()) {
    live_++;
    live_bytes_ += e.length();
  } else {
    if (dead_) dead_->mark(i);
    if (!live_) head_ = i + 1;
  }
}

uint32_t Segment::position(uint64_t seq) const {
  if (seq <= base) return 0;
  uint64_t distance = seq - base;
  if (!sparse_) return (uint32_t)std::min<uint64_t>(distance, count());
  auto at = std::lower_bound(deltas_.begin(), deltas_.end(), distance,
                             [](uint32_t d, uint64_t wanted) { return d < wanted; });
  return (uint32_t)(at - deltas_.begin());
}

void Segment::need_dead_map() {
  dead_ = std::make_unique<DeadMap>();
  dead_->resize(count());
  for (uint32_t i = 0; i < head_; i++) dead_->mark(i);
}

void Segment::remove(uint32_t i) {
  IndexEntry& e = entries_[i];
  assert(e.live() && live_ > 0);
  live_--;
  live_bytes_ -= e.length();
  e.packed = 0;
  if (i != head_ && !dead_) need_dead_map();
  if (dead_) dead_->mark(i);
  if (i == head_) head_ = dead_ ? dead_->next_clear(i + 1, count()) : i + 1;
}

uint32_t Segment::live_from(uint32_t i) const {
  if (i <= head_) return live_;
  if (i >= count()) return 0;
  uint32_t behind = count() - i;
  return dead_ ? behind - dead_->count_from(i) : behind;
}

uint32_t Segment::next_live(uint32_t i) const {
  if (i <= head_) return head_;
  if (i >= count()) return count();
  return dead_ ? dead_->next_clear(i, count()) : i;
}

int64_t Segment::previous_live(int64_t i) const {
  if (i >= (int64_t)count()) i = (int64_t)count() - 1;
  if (i < (int64_t)head_) return -1;
  return dead_ ? dead_->previous_clear(i) : i;
}

uint32_t Segment::first_entry_at(int64_t time_ns) const {
  auto block = std::lower_bound(times_.begin(), times_.end(), time_ns) - times_.begin();
  return block ? (uint32_t)(block - 1) * kTimeBlock : 0;
}

void Segment::seal() {
  sealed = true;
  entries_.shrink_to_fit();
  deltas_.shrink_to_fit();
}

uint64_t Segment::index_memory() const {
  return sizeof(Segment) + entries_.capacity() * sizeof(IndexEntry) + deltas_.capacity() * 4 +
         times_.capacity() * 8 + (dead_ ? dead_->memory() : 0);
}

Chunk* Segment::chunk_at(uint32_t offset) {
  if (chunks_.empty() || offset < chunks_.front().start) return nullptr;
  Chunk* chunk = &chunks_.back();
  if (offset < chunk->start) {
    auto after = std::upper_bound(chunks_.begin(), chunks_.end(), offset,
                                  [](uint32_t o, const Chunk& c) { return o < c.start; });
    chunk = &*(after - 1);
  }
  assert(offset - chunk->start < chunk->size);
  return chunk;
}

char* Segment::in_memory(uint32_t offset) const {
  const Chunk* chunk = const_cast<Segment*>(this)->chunk_at(offset);
  return chunk ? chunk->memory->bytes + (offset - chunk->start) : nullptr;
}

void Segment::check() const {
  uint32_t live = 0, head = count();
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count(); i++) {
    const IndexEntry& e = entries_[i];
    if (dead_) assert(dead_->marked(i) == !e.live());
    if (!e.live()) continue;
    if (head == count()) head = i;
    live++;
    bytes += e.length();
    assert((uint64_t)e.offset + e.length() <= size_);
  }
  assert(live == live_ && bytes == live_bytes_ && head == head_);
  assert(dead_ || live_ == count() - head_);
  assert(times_.size() == (count() + kTimeBlock - 1) / kTimeBlock);
  assert(std::is_sorted(times_.begin(), times_.end()));
  assert(written() <= size_ && handed <= size_ && (progress != nullptr) == (file != nullptr));
  assert(deltas_.size() == (sparse_ ? count() : 0));
  assert(std::adjacent_find(deltas_.begin(), deltas_.end(), std::greater_equal<>()) == deltas_.end());
  for (uint32_t i = 0; i <= count(); i += std::max(1u, count() / 7)) {
    uint32_t from = 0;
    for (uint32_t k = i; k < count(); k++) from += entries_[k].live();
    assert(live_from(i) == from);
  }
  if (chunks_.empty()) return;
  for (size_t i = 0; i + 1 < chunks_.size(); i++)
    assert(chunks_[i].start + chunks_[i].size == chunks_[i + 1].start);
  assert(chunks_.back().start + chunks_.back().size == size_);
}

}  // namespace slipstream
