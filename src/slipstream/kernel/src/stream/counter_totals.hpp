// The total of each subject of a counter stream, as its newest message says it: what the next increment is added to. It is part of
// the stream's state and of its snapshots, so that applying an increment never reads a stored message, which may be erased or
// damaged by the time the log is replayed.
//
// A total is kept by the id of its subject, with the sequence of its message, and counts only as long as that message is the last
// one of the subject: an id that was given to another name, or a newest message that was removed, never yields a wrong total.
// 24 bytes a subject; numbers beyond 64 bits and what was seen of sources are kept beside.
#pragma once
#include <deque>
#include <memory>
#include <string>

#include "bytes/bytes.hpp"
#include "store/message_store.hpp"

namespace slipstream {

struct CounterTotal {
  std::string total, sources;  // sources: the text of Nats-Counter-Sources
  bool broken = false;         // the message is no counter's: its subject cannot be counted on
};

class CounterTotals {
 public:
  // unread: its message could not be read here, so that this replica cannot say what an increment makes of it.
  enum class Known : uint8_t { no, yes, unread };

  Known find(uint32_t subject, uint64_t last_seq, CounterTotal& out) const;
  void set(uint32_t subject, uint64_t seq, CounterTotal total);
  void set_unread(uint32_t subject, uint64_t seq);
  bool any_unread() const { return unread_ > 0; }

  // A snapshot of the totals as they are now, written to `out` in slices, whatever is counted meanwhile. `out` stays where it is
  // until everything is written, or end_cut().
  void begin_cut(Buffer& out, uint64_t last_seq);
  bool write_cut(size_t totals);  // at most so many more; true when nothing is left
  void end_cut() { cut_ = nullptr; }
  bool empty() const { return totals_.empty(); }
  bool load(Reader& in, const MessageStore& store);  // of messages that `store` has
  template <class F>
  void each_unread(F visit) const {
    for (uint32_t id = 0; unread_ && id < totals_.size(); id++)
      if (totals_[id].seq && totals_[id].exact && totals_[id].exact->unread) visit(id, totals_[id].seq);
  }

 private:
  struct Exact {
    CounterTotal total;
    bool unread = false;
  };
  struct Total {
    uint64_t seq = 0;  // 0: none
    int64_t value = 0;
    std::unique_ptr<Exact> exact;  // instead of `value`
  };
  Total& replace(uint32_t subject, uint64_t seq);
  void write(const Total& t);

  std::deque<Total> totals_;  // by subject id
  size_t unread_ = 0;
  Buffer* cut_ = nullptr;
  uint64_t cut_last_seq_ = 0;
  uint32_t cut_at_ = 0;
};

}  // namespace slipstream
