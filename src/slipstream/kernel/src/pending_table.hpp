// Deliveries that wait for an acknowledgement: by stream sequence (hash), in order of first delivery (list), and, until their
// deadline was noticed, in order of deadline (list). Records live in a slab; nothing is allocated per delivery once it has grown.
#pragma once
#include <vector>

#include "bytes.hpp"

namespace slipstream {

struct PendingDelivery {
  uint64_t stream_seq, consumer_seq;  // the consumer sequence of the first delivery
  int64_t sent_ns, deadline_ns;
  uint32_t deliveries;
  bool queued;   // stands in the redelivery queue
  bool acking;   // an ack is on its way through the log
  bool timed;    // stands in the order of deadlines
  uint32_t previous, next, earlier, later;
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
  PendingDelivery* earliest() { return earliest_ == kNone ? nullptr : &slab_[earliest_]; }
  PendingDelivery* later(PendingDelivery* p) { return p->later == kNone ? nullptr : &slab_[p->later]; }

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
    slab_[id] = {stream_seq, consumer_seq, sent_ns, deadline_ns, deliveries, false, false, false, kNone, kNone, kNone, kNone};
    put_slot(id);
    link_order(id);
    link_deadline(id);
    count_++;
    if (deliveries > 1) redelivered_++;
    return &slab_[id];
  }
  void set_deadline(PendingDelivery* p, int64_t deadline_ns) {
    uint32_t id = (uint32_t)(p - slab_.data());
    if (p->timed) unlink_deadline(id);
    p->deadline_ns = deadline_ns;
    link_deadline(id);
  }
  // Its deadline was noticed. It keeps it, so that whoever loads a snapshot notices it too.
  void stop_timing(PendingDelivery* p) {
    if (p->timed) unlink_deadline((uint32_t)(p - slab_.data()));
  }
  void set_deliveries(PendingDelivery* p, uint32_t n) {
    redelivered_ += (n > 1) - (p->deliveries > 1);
    p->deliveries = n;
  }
  void erase(PendingDelivery* p) {
    uint32_t id = (uint32_t)(p - slab_.data());
    if (p->deliveries > 1) redelivered_--;
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
  void link_deadline(uint32_t id) {  // the tail, unless a shorter wait comes behind longer ones
    uint32_t after = latest_;
    while (after != kNone && slab_[after].deadline_ns > slab_[id].deadline_ns) after = slab_[after].earlier;
    PendingDelivery& p = slab_[id];
    p.timed = true;
    p.earlier = after;
    p.later = after == kNone ? earliest_ : slab_[after].later;
    if (p.earlier == kNone) earliest_ = id; else slab_[p.earlier].later = id;
    if (p.later == kNone) latest_ = id; else slab_[p.later].earlier = id;
  }
  void unlink_deadline(uint32_t id) {
    PendingDelivery& p = slab_[id];
    p.timed = false;
    if (p.earlier == kNone) earliest_ = p.later; else slab_[p.earlier].later = p.later;
    if (p.later == kNone) latest_ = p.earlier; else slab_[p.later].earlier = p.earlier;
  }

  std::vector<PendingDelivery> slab_;
  std::vector<uint32_t> slots_;
  uint32_t head_ = kNone, tail_ = kNone, earliest_ = kNone, latest_ = kNone, free_ = kNone;
  size_t count_ = 0;
  int64_t redelivered_ = 0;
};

}  // namespace slipstream
