// The logs of all groups on the way from a proposal to the journal. Whoever applies what is committed derives from this;
// streams and consumers propose through it.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bytes/bytes.hpp"
#include "clock/time.hpp"
#include "clock/timers.hpp"
#include "log/entry_work.hpp"
#include "log/group.hpp"
#include "log/journal.hpp"

namespace slipstream {

class Groups {
 public:
  // False when the store has failed or is full: nothing was appended, and the caller answers with an error.
  bool propose(Group& group, EntryKind kind, Buffer&& payload, bool durable, uint64_t token = 0, Buffer&& replies = {},
               bool reserve = false, bool relaxed = false);
  // What became of a proposal for whose result Python waits.
  virtual void committed(uint64_t token, int64_t result) = 0;
  virtual void abandoned(uint64_t token, const std::string& reason) = 0;  // it will not be applied, at least not before a restart
  bool refuses_publishes() const { return refusing_; }
  bool takes_publishes() const { return !failed() && !refuses_publishes(); }  // of streams on disk
  void fail(const std::string& why);
  bool failed() const { return !failed_.empty(); }
  void request_checkpoint() { checkpoint_wanted_ = true; }

  Buffer buffer();  // a recycled one
  void recycle(Buffer&& b);
  virtual void begin_share() = 0;  // of an entry's work
  WorkShare share;
  WorkShare search;  // of a turn: what all consumers together look for among messages that they do not want

 protected:
  Groups(TimerHeap& timers, const Time& now) : timers_(timers), now_(now) {}
  Groups(const Groups&) = delete;
  ~Groups() = default;
  // Whether an entry may be proposed while publishes are refused.
  virtual bool admitted(EntryKind kind, bool durable, bool reserve) const = 0;
  bool append(Group& group, Entry& e);

  std::unique_ptr<Journal> journal_;
  Timer journal_timer_{TimerKind::journal, this};
  std::vector<Group*> active_;                           // with entries that are not applied yet
  std::deque<std::pair<uint64_t, uint64_t>> unwritten_;  // (group, index) of entries for which the journal had no room yet
  std::string failed_;                                   // why; empty: it has not
  bool refusing_ = false;                                // publishes to files, for want of room
  bool checkpoint_wanted_ = false;

 private:
  TimerHeap& timers_;
  const Time& now_;
  std::vector<Buffer> spare_buffers_;
};

}  // namespace slipstream
