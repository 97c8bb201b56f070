// Deliveries that wait for an acknowledgement: by stream sequence (hash), in order of first delivery (list), and, until their
// deadline was noticed, in order of deadline. Records live in a slab; nothing is allocated per delivery once it has grown.
//
// A deadline is nearly always the latest: such ones stand in a list. One that is shorter than others (they were put off for an
// hour by a NAK, or the wait was made shorter) stands in a heap; a place in the list would be looked for past all of them.
#pragma once
#include <utility>
#include <vector>

#include "bytes/bytes.hpp"

namespace slipstream {

struct PendingDelivery {
  uint64_t stream_seq, consumer_seq;  // the consumer sequence of the first delivery
  int64_t sent_ns, deadline_ns;
  uint32_t deliveries;
  bool queued;   // stands in the redelivery queue
  bool acking;   // an ack is on its way through the log
  bool under_way;  // a redelivery is on its way
  enum class Timed : uint8_t { no, listed, in_heap } timed;  // where it stands in the order of deadlines
  uint32_t previous, next, earlier, later;  // in the heap, `earlier` is its place
  uint32_t ticket;                          // of the redelivery queue
};

class PendingTable {
 public:
  static constexpr uint32_t kNone = 0xffffffff;
  size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  PendingDelivery* find(uint64_t stream_seq) {
    if (!count_) return nullptr;
    for (size_t i = home(stream_seq);; i = (i + 1) & mask()) {
      if (slots_[i] == kNone) return nullptr;
      if (slab_[slots_[i]].stream_seq == stream_seq) return &slab_[slots_[i]];
    }
  }
  PendingDelivery* first() { return head_ == kNone ? nullptr : &slab_[head_]; }
  PendingDelivery* next(PendingDelivery* p) { return p->next == kNone ? nullptr : &slab_[p->next]; }
  PendingDelivery* earliest() {
    if (heap_.empty()) return earliest_ == kNone ? nullptr : &slab_[earliest_];
    bool listed = earliest_ != kNone && slab_[earliest_].deadline_ns <= slab_[heap_[0]].deadline_ns;
    return &slab_[listed ? earliest_ : heap_[0]];
  }

  // stream_seq must not be in the table.
  PendingDelivery* insert(uint64_t stream_seq, uint64_t consumer_seq, int64_t sent_ns, int64_t deadline_ns, uint32_t deliveries) {
    if ((count_ + 1) * 2 > slots_.size()) grow();
    uint32_t id;
    if (free_ != kNone) {
      id = free_;
      free_ = slab_[id].next;
    } else {
      id = (uint32_t)slab_.size();
      slab_.emplace_back();
    }
    slab_[id] = {stream_seq, consumer_seq, sent_ns, deadline_ns, deliveries, false, false, false,
                 PendingDelivery::Timed::no, kNone, kNone, kNone, kNone, 0};
    put_slot(id);
    link_order(id);
    link_deadline(id);
    count_++;
    if (deliveries > 1) redelivered_++;
    return &slab_[id];
  }
  void set_deadline(PendingDelivery* p, int64_t deadline_ns) {
    uint32_t id = (uint32_t)(p - slab_.data());
    unlink_deadline(id);
    p->deadline_ns = deadline_ns;
    link_deadline(id);
  }
  // Its deadline was noticed. It keeps it, so that whoever loads a snapshot notices it too.
  void stop_timing(PendingDelivery* p) { unlink_deadline((uint32_t)(p - slab_.data())); }
  void set_deliveries(PendingDelivery* p, uint32_t n) {
    redelivered_ += (n > 1) - was_redelivered(*p);
    p->deliveries = n;
    p->under_way = false;
  }
  // The leader has sent it again; the log will say so.
  void begin_redelivery(PendingDelivery* p) {
    redelivered_ += !was_redelivered(*p);
    p->under_way = true;
    stop_timing(p);
  }
  void erase(PendingDelivery* p) {
    uint32_t id = (uint32_t)(p - slab_.data());
    redelivered_ -= was_redelivered(*p);
    drop_slot(id);
    if (p->previous == kNone) head_ = p->next; else slab_[p->previous].next = p->next;
    if (p->next == kNone) tail_ = p->previous; else slab_[p->next].previous = p->previous;
    stop_timing(p);
    p->next = free_;
    free_ = id;
    count_--;
  }
  void clear() { *this = PendingTable(); }
  size_t redelivered() const { return (size_t)redelivered_; }

 private:
  static bool was_redelivered(const PendingDelivery& p) { return p.deliveries > 1 || p.under_way; }
  size_t mask() const { return slots_.size() - 1; }
  size_t home(uint64_t seq) const { return (seq * 0x9E3779B97F4A7C15ull >> 32) & mask(); }
  void put_slot(uint32_t id) {
    size_t i = home(slab_[id].stream_seq);
    while (slots_[i] != kNone) i = (i + 1) & mask();
    slots_[i] = id;
  }
  void drop_slot(uint32_t id) {
    size_t i = home(slab_[id].stream_seq);
    while (slots_[i] != id) i = (i + 1) & mask();
    for (size_t j = i;;) {
      j = (j + 1) & mask();
      if (slots_[j] == kNone) break;
      size_t h = home(slab_[slots_[j]].stream_seq);
      if (i <= j ? (h > i && h <= j) : (h > i || h <= j)) continue;
      slots_[i] = slots_[j];
      i = j;
    }
    slots_[i] = kNone;
  }
  void grow() {
    slots_.assign(slots_.empty() ? 16 : slots_.size() * 2, kNone);
    for (uint32_t id = head_; id != kNone; id = slab_[id].next) put_slot(id);
  }
  void link_order(uint32_t id) {  // nearly always at the tail
    uint32_t after = tail_;
    while (after != kNone && slab_[after].consumer_seq > slab_[id].consumer_seq) after = slab_[after].previous;
    PendingDelivery& p = slab_[id];
    p.previous = after;
    p.next = after == kNone ? head_ : slab_[after].next;
    if (p.previous == kNone) head_ = id; else slab_[p.previous].next = id;
    if (p.next == kNone) tail_ = id; else slab_[p.next].previous = id;
  }
  void link_deadline(uint32_t id) {
    PendingDelivery& p = slab_[id];
    if (latest_ != kNone && slab_[latest_].deadline_ns > p.deadline_ns) {
      p.timed = PendingDelivery::Timed::in_heap;
      heap_.push_back(id);
      return rise(heap_.size() - 1);
    }
    p.timed = PendingDelivery::Timed::listed;
    p.earlier = latest_;
    p.later = kNone;
    if (latest_ == kNone) earliest_ = id; else slab_[latest_].later = id;
    latest_ = id;
  }
  void unlink_deadline(uint32_t id) {
    PendingDelivery& p = slab_[id];
    auto was = std::exchange(p.timed, PendingDelivery::Timed::no);
    if (was == PendingDelivery::Timed::no) return;
    if (was == PendingDelivery::Timed::in_heap) return take_out_of_heap(p.earlier);
    if (p.earlier == kNone) earliest_ = p.later; else slab_[p.earlier].later = p.later;
    if (p.later == kNone) latest_ = p.earlier; else slab_[p.later].earlier = p.earlier;
  }

  // The heap: none has an earlier deadline than the one at half its place.
  bool sooner(uint32_t a, uint32_t b) const { return slab_[a].deadline_ns < slab_[b].deadline_ns; }
  void rise(size_t at) {
    uint32_t id = heap_[at];
    for (; at && sooner(id, heap_[(at - 1) / 2]); at = (at - 1) / 2) put_in_heap(at, heap_[(at - 1) / 2]);
    put_in_heap(at, id);
  }
  void sink(size_t at) {
    uint32_t id = heap_[at];
    for (size_t child; (child = 2 * at + 1) < heap_.size(); at = child) {
      if (child + 1 < heap_.size() && sooner(heap_[child + 1], heap_[child])) child++;
      if (!sooner(heap_[child], id)) break;
      put_in_heap(at, heap_[child]);
    }
    put_in_heap(at, id);
  }
  void put_in_heap(size_t at, uint32_t id) {
    heap_[at] = id;
    slab_[id].earlier = (uint32_t)at;
  }
  void take_out_of_heap(size_t at) {
    uint32_t last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    put_in_heap(at, last);
    sink(at);
    rise(slab_[last].earlier);
  }

  std::vector<PendingDelivery> slab_;
  std::vector<uint32_t> slots_, heap_;
  uint32_t head_ = kNone, tail_ = kNone, earliest_ = kNone, latest_ = kNone, free_ = kNone;
  size_t count_ = 0;
  int64_t redelivered_ = 0;
};

}  // namespace slipstream
