// The messages on some subjects of a store, in order of sequence, without a visit to those in between: the next one of each
// subject stands in a heap. Knows subjects that had messages when it began, and so reaches up to the end of then.
#pragma once
#include <algorithm>
#include <functional>
#include <vector>

#include "store/message_store.hpp"

namespace slipstream {

class SubjectMerge {
 public:
  bool active() const { return upto_ != 0; }
  bool covers(uint64_t seq) const { return seq >= from_ && seq <= upto_; }
  uint64_t upto() const { return upto_; }
  void forget() { *this = SubjectMerge(); }

  void begin(const MessageStore& store, const std::vector<uint32_t>& subjects, uint64_t from) {
    from_ = from;
    upto_ = store.last_seq();
    heap_.clear();
    for (uint32_t id : subjects)
      if (uint64_t seq = store.next_on_subject(id, from)) heap_.push_back({seq, id});
    std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  // Smallest live sequence >= from, which covers() must hold for; 0: none up to upto(). Never goes back.
  uint64_t next(const MessageStore& store, uint64_t from) {
    from_ = from;
    while (!heap_.empty()) {
      auto [seq, id] = heap_.front();
      if (seq >= from && store.subject_of(seq) == id) return seq;
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.pop_back();
      // An id that stands for another name by now has messages behind upto_ alone.
      uint64_t later = id < store.subject_ids() ? store.next_on_subject(id, std::max(from, seq + 1)) : 0;
      if (!later || later > upto_) continue;
      heap_.push_back({later, id});
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }
    return 0;
  }

 private:
  std::vector<std::pair<uint64_t, uint32_t>> heap_;
  uint64_t from_ = 0, upto_ = 0;
};

}  // namespace slipstream
