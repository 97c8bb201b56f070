// Live messages whose heads cannot be read: which subjects they are on is not known, so that any of them may be the last message
// of any subject. What rests on which messages a subject has (the total of a counter, an expected last sequence, limits per subject,
// roll-ups and purges of a subject, what filtered consumers need, markers) cannot be decided from such a store alone.
//
// Two kinds are told apart. What load() finds is *open*: the entries behind the snapshot were applied before the damage, perhaps,
// and rested on these messages. An entry that an open one leaves undecided stops the stream, before it has an effect. Before it
// takes in anything the leader says in the log which messages are lost; behind that entry they are *settled*: their subjects count
// as lost on every replica and in each replay, and apply decides by that.
#pragma once
#include <vector>

#include "bytes/bytes.hpp"
#include "store/message_store.hpp"

namespace slipstream {

class LostSubjects {
 public:
  void found(const std::vector<uint64_t>& damaged);  // by load()
  bool any_open() const { return !open_.empty(); }
  bool any_open(const MessageStore& store) { return any_open() && newest_open(store); }
  bool any() const { return !open_.empty() || !settled_.empty(); }
  bool is_open(uint64_t seq) const;
  bool is_settled(uint64_t seq) const;
  // The first one that is still there from `first` to `last`; 0 for none.
  uint64_t open_within(uint64_t first, uint64_t last, const MessageStore& store) const;
  uint64_t open_count() const { return open_.size(); }
  // The newest one that is still there; 0 for none.
  uint64_t newest_open(const MessageStore& store) { return newest(open_, store); }
  uint64_t newest_settled(const MessageStore& store) { return newest(settled_, store); }
  template <class F>
  void each_open(F visit) const {
    for (uint64_t seq : open_) visit(seq);
  }

  // What the leader has to say, which is all that is damaged now; false where the log says it already.
  bool put_lost(const std::vector<uint64_t>& damaged, const MessageStore& store, Buffer& payload) const;
  void snapshot(const MessageStore& store, Buffer& out) const;
  bool settle(Reader& in, const MessageStore& store);  // that entry, or snapshot; false when it cannot be decoded

 private:
  using Sequences = std::vector<uint64_t>;  // ascending
  static uint64_t newest(Sequences& seqs, const MessageStore& store);
  static Sequences live_of(const Sequences& seqs, const MessageStore& store);
  static void put_ranges(const Sequences& seqs, Buffer& out);
  void close_settled();

  Sequences open_, settled_;
};

}  // namespace slipstream
