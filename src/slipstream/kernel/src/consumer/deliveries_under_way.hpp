// First deliveries that the leader has made and the log does not have yet. They go up in both sequences, so that they stand in a
// row; when the log has one it becomes a pending delivery. They end with the leader's reign, and what they were comes again.
#pragma once
#include <algorithm>
#include <deque>
#include <optional>

#include "bytes/bytes.hpp"

namespace slipstream {

class DeliveriesUnderWay {
 public:
  struct First {
    uint64_t stream_seq, consumer_seq;
    int64_t sent_ns;
    bool acking = false;  // its acknowledgement is on its way through the log, behind it
  };

  size_t size() const { return row_.size(); }
  bool empty() const { return row_.empty(); }
  void add(uint64_t stream_seq, uint64_t consumer_seq, int64_t sent_ns) { row_.push_back({stream_seq, consumer_seq, sent_ns}); }

  First* find(uint64_t stream_seq) {
    auto it = place_of(stream_seq);
    return it == row_.end() || it->stream_seq != stream_seq ? nullptr : &*it;
  }
  // The log has it.
  std::optional<First> take(uint64_t stream_seq) {
    while (!row_.empty() && row_.front().stream_seq < stream_seq) row_.pop_front();
    if (row_.empty() || row_.front().stream_seq != stream_seq) return {};
    First found = row_.front();
    row_.pop_front();
    return found;
  }
  // Its message is gone.
  void forget(uint64_t stream_seq) {
    auto it = place_of(stream_seq);
    if (it != row_.end() && it->stream_seq == stream_seq) row_.erase(it);
  }
  template <class Gone>
  void forget_if(Gone gone) {
    std::erase_if(row_, [&](const First& f) { return gone(f.stream_seq); });
  }
  template <class F>
  void each(F visit) const {
    for (const First& f : row_) visit(f);
  }
  void clear() { row_.clear(); }

 private:
  std::deque<First>::iterator place_of(uint64_t stream_seq) {
    return std::lower_bound(row_.begin(), row_.end(), stream_seq, [](const First& f, uint64_t seq) { return f.stream_seq < seq; });
  }

  std::deque<First> row_;
};

}  // namespace slipstream
