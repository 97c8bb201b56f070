// Message ids inside the duplicate window: 32 bytes in a ring, in order of time, and a 4-byte slot in a hash table.
//
// An id is remembered as a 128-bit keyed hash, which stands for it: two ids with one hash would be duplicates. The key is drawn
// when the stream is created and is part of its log, so that every replica agrees and nobody can aim for a collision.
//
// Snapshots before format 5 have hashes of another function, for which collisions can be made without the key. Those ids are the
// oldest of the window: for as long as there are some, an id is looked up by both.
#pragma once
#include <cassert>
#include <vector>

#include "bytes/bytes.hpp"
#include "bytes/saturating.hpp"
#include "bytes/siphash.hpp"

namespace slipstream {

class DedupeWindow {
 public:
  void set_key(uint64_t a, uint64_t b) { key_a_ = a, key_b_ = b; }

  // The sequence under which the id was stored, 0 if it is not in the window.
  uint64_t find(string_view id) const {
    if (count_ == 0) return 0;
    uint64_t seq = find(stored_hash(id, {key_a_, key_b_}));
    if (seq == 0 && quick_hashes_) seq = find({quick_hash(id, key_a_), quick_hash(id, key_b_)});
    return seq;
  }

  void insert(string_view id, uint64_t seq, int64_t time_ns) {
    Hash128 h = stored_hash(id, {key_a_, key_b_});
    insert({h.a, h.b, seq, time_ns});
  }

  void expire(int64_t now_ns, int64_t window_ns) {
    while (count_ && saturated_difference(now_ns, ring_[head_].time_ns) >= window_ns) {
      if (cut_left_ && !cut_at_) write_cut(kCutIds);  // what is about to go belongs to the snapshot under way
      if (cut_left_) cut_at_--;
      drop_oldest();
    }
  }

  size_t size() const { return count_; }
  template <class F>
  void each(F f) const {  // oldest first
    for (size_t i = 0; i < count_; i++) {
      const Id& e = ring_[(head_ + i) & (ring_.size() - 1)];
      f(e.a, e.b, e.seq, e.time_ns);
    }
  }
  size_t memory() const { return ring_.capacity() * sizeof(Id) + slots_.capacity() * 4; }

  // A snapshot of the window as it is now, written to `out` piece by piece with write_cut(), whatever comes and goes meanwhile.
  // `out` must stay where it is until everything is written, or end_cut().
  void begin_cut(Buffer& out) {
    out.reserve(out.size() + 32 + count_ * sizeof(Id));  // growing by and by would copy tens of megabytes at once
    out.put64(key_a_), out.put64(key_b_), out.put64(count_), out.put64(quick_hashes_);
    cut_ = &out;
    cut_at_ = 0;
    cut_left_ = count_;
  }
  // At most `ids` more; true when nothing is left.
  bool write_cut(size_t ids) {
    for (; ids && cut_left_; ids--, cut_at_++, cut_left_--) {
      const Id& e = ring_[(head_ + cut_at_) & (ring_.size() - 1)];
      char* to = cut_->room(sizeof(Id));
      store64(to, e.a), store64(to + 8, e.b), store64(to + 16, e.seq), store64(to + 24, (uint64_t)e.time_ns);
      cut_->grow(sizeof(Id));
    }
    return !cut_left_;
  }
  void end_cut() { cut_left_ = 0; }
  static constexpr size_t kCutIds = 1024;

  enum class Format : uint8_t { quick_hashes, stored_hashes };
  bool load(Reader& in, Format format) {  // into an empty one
    assert(!count_);
    key_a_ = in.get64(), key_b_ = in.get64();
    uint64_t n = in.get64();
    quick_hashes_ = format == Format::quick_hashes ? n : in.get64();
    if (quick_hashes_ > n) return false;
    for (uint64_t i = 0; i < n && in.ok(); i++) {
      Id e{};
      e.a = in.get64(), e.b = in.get64(), e.seq = in.get64(), e.time_ns = (int64_t)in.get64();
      if (in.ok()) insert(e);
    }
    return in.ok();
  }

 private:
  struct Id { uint64_t a, b, seq; int64_t time_ns; };

  // Ids are numbered 1, 2, ... (mod 2^32, never 0 in use at once); a slot holds the number, the ring its place.
  size_t mask() const { return slots_.size() - 1; }
  uint64_t find(const Hash128& h) const {
    for (size_t i = h.a & mask();; i = (i + 1) & mask()) {
      if (slots_[i] == 0) return 0;
      const Id& e = at(slots_[i]);
      if (e.a == h.a && e.b == h.b) return e.seq;
    }
  }
  const Id& at(uint32_t number) const { return ring_[(head_ + (uint32_t)(number - first_number_)) & (ring_.size() - 1)]; }

  void insert(Id e) {
    if (count_ == ring_.size() || slots_.empty() || (uint32_t)(first_number_ + count_) == 0) rebuild();
    ring_[(head_ + count_) & (ring_.size() - 1)] = e;
    place(e.a, (uint32_t)(first_number_ + count_));
    count_++;
  }
  void place(uint64_t a, uint32_t number) {
    size_t i = a & mask();
    while (slots_[i]) i = (i + 1) & mask();
    slots_[i] = number;
  }
  void rebuild() {
    std::vector<Id> old;
    old.reserve(count_);
    for (size_t i = 0; i < count_; i++) old.push_back(ring_[(head_ + i) & (ring_.size() - 1)]);
    size_t cap = 64;
    while (cap < count_ + count_ / 2 + 1) cap *= 2;
    ring_.assign(cap, {});
    slots_.assign(cap * 2, 0);
    head_ = 0;
    first_number_ = 1;
    for (size_t i = 0; i < old.size(); i++) {
      ring_[i] = old[i];
      place(old[i].a, (uint32_t)(1 + i));
    }
  }
  void drop_oldest() {
    size_t i = ring_[head_].a & mask();
    while (slots_[i] != first_number_) i = (i + 1) & mask();
    for (size_t j = i;;) {  // close the gap (linear probing)
      j = (j + 1) & mask();
      if (slots_[j] == 0) break;
      size_t home = at(slots_[j]).a & mask();
      bool between = i <= j ? (home > i && home <= j) : (home > i || home <= j);
      if (between) continue;
      slots_[i] = slots_[j];
      i = j;
    }
    slots_[i] = 0;
    head_ = (head_ + 1) & (ring_.size() - 1);
    first_number_++;
    count_--;
    if (quick_hashes_) quick_hashes_--;
    if (first_number_ == 0) first_number_ = 1, rebuild();
  }

  std::vector<Id> ring_;
  std::vector<uint32_t> slots_;
  size_t head_ = 0, count_ = 0;
  uint64_t quick_hashes_ = 0;  // so many of the oldest have hashes of the old function
  Buffer* cut_ = nullptr;
  size_t cut_at_ = 0, cut_left_ = 0;  // still to be written: so many, from this place behind the oldest on
  uint32_t first_number_ = 1;
  uint64_t key_a_ = 1, key_b_ = 2;
};

}  // namespace slipstream
