// Deliveries that are to be repeated, in the order in which they became due. One that is acknowledged or removed leaves a gap,
// found by its ticket, so that neither costs a search: millions may wait here while nobody pulls.
#pragma once
#include <deque>

#include "consumer/pending_table.hpp"

namespace slipstream {

class RedeliveryQueue {
 public:
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  uint64_t front() const { return seqs_.front(); }

  void push(PendingDelivery* p) {
    p->queued = true;
    p->ticket = first_ + (uint32_t)seqs_.size();
    seqs_.push_back(p->stream_seq);
    size_++;
  }

  void take_out(PendingDelivery* p, PendingTable& table) {
    p->queued = false;
    seqs_[(uint32_t)(p->ticket - first_)] = 0;
    size_--;
    for (; !seqs_.empty() && !seqs_.front(); first_++) seqs_.pop_front();
    if (seqs_.size() > 2 * size_ + kGapsMax) close_gaps(table);
  }

  void clear() { *this = RedeliveryQueue(); }

  template <class F>
  void each(F visit) const {
    for (uint64_t seq : seqs_)
      if (seq) visit(seq);
  }

 private:
  static constexpr size_t kGapsMax = 64;  // beyond as many as there are deliveries

  void close_gaps(PendingTable& table) {
    std::deque<uint64_t> all;
    all.swap(seqs_);
    size_ = 0;
    for (uint64_t seq : all)
      if (seq) push(table.find(seq));
  }

  std::deque<uint64_t> seqs_;  // 0: a gap, never the first
  size_t size_ = 0;
  uint32_t first_ = 0;         // ticket of the first one
};

}  // namespace slipstream
