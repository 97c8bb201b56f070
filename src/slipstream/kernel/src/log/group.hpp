// A group's log with a single member: entries are proposed, committed, applied, in order.
//
// An entry is committed when nobody waits for its durability, or when the journal has synced it (durable mode) or
// written it (relaxed mode). Another commit rule, such as a quorum's, would replace JetStream::entry_committed; streams
// and consumers see only propose and apply.
//
// The room log/ (the top of journal_format.hpp and of checkpoint.cpp describes the formats on the disk):
//   specs.hpp, specs.cpp             the compiled decisions about a stream and a consumer, and their encoding in entries
//   groups.hpp, groups.cpp           the logs of all groups, from a proposal to the journal; JetStream derives from it
//   entry_work.hpp, entry_work.cpp   coroutines for entries whose work takes several turns
//   journal.hpp, journal.cpp         the one log file chain of all groups: append, write, sync, release
//   journal_format.hpp, journal_format.cpp       the bytes of the journal: headers, records, checksums
//   journal_files.hpp, journal_files.cpp         its files: filled with zeros once, prepared, recycled (docs/measurements.md)
//   journal_recovery.hpp, journal_recovery.cpp   reading it back: a torn tail, or damage
//   journal_salvage.hpp, journal_salvage.cpp     every whole record of a damaged journal, for `slipstream repair`
//   checkpoint.hpp, checkpoint.cpp   the newest snapshot of each group, in files that many groups share
//   checkpoint_pace.hpp              a checkpoint works in small parts and rests after each, unless the journal gets full
#pragma once
#include <deque>

#include "bytes/bytes.hpp"

namespace slipstream {

enum class EntryKind : uint8_t {
  stream_create = 1,  // meta group
  stream_delete = 2,
  messages = 16,
  purge = 17,
  remove = 18,
  remove_below = 19,  // age limit
  config = 20,
  consumer_create = 21,
  consumer_update = 22,
  consumer_delete = 23,
  delivered = 24,
  acks = 25,          // explicit acknowledgements and terms
  ack_all = 26,
  deadline = 27,      // nak with delay, in progress
  exceeded = 28,      // max_deliver reached
  expire = 29,        // messages whose own time to live is over
  // Messages with a sequence and a time of their own; `mirrored` and `sourced` in copied_messages.cpp.
  mirrored = 30,
  sourced = 31,
  restored_messages = 32,  // these two: stream_restore.cpp
  restored_consumer = 33,
  batch_part = 34,    // of an atomic batch; nothing is visible before its commit
  batch_commit = 35,
  consumer_reset = 36,
  ack_flow = 37,      // what a flow control reply acknowledges
  schedule_forgotten = 38,  // its message is gone, or it cannot run any more
  counter_total = 39,       // of a subject whose total was not known any more
  subjects_lost = 40,       // of messages whose heads the leader cannot read (lost_subjects.hpp)
};

constexpr uint64_t kUnwritten = UINT64_MAX;

// What the leader that proposed an entry remembers of it. It ends with its reign, or its process; the entry does not.
struct Proposal {
  uint64_t token = 0;           // Python waits
  Buffer replies;               // who is answered when it is applied; layout by kind
  uint64_t messages = 0, bytes = 0;  // counted as in flight until then
};

struct Entry {
  EntryKind kind;
  uint64_t index = 0, end = 0;  // end: journal position; 0 when it is not logged, kUnwritten while it waits for room
  bool durable = false, reserve = false;
  bool mine = true;             // proposed in this reign; false: it only waits to be applied
  bool relaxed = false;         // durable, but only written: of a stream with persist_mode async
  Buffer payload;
  Proposal proposal;
};

struct Group {
  uint64_t id = 0, term = 1;
  bool logged = true;
  static constexpr uint64_t kNever = UINT64_MAX;
  uint64_t last_index = 0, applied = 0;
  uint64_t checkpointed = kNever;  // the index of its last durable snapshot
  bool active = false;          // stands in Groups::active_
  bool perhaps_named = false;   // by a round that could not be written, or only not be made durable
  uint64_t kept = 0;            // the log up to here is in files of its own (kept_entries.hpp)
  bool offline = false;         // nothing more is applied or proposed (offline.cpp); its entries stay in the journal
  bool changed = false;         // since its last snapshot: stands in JetStream::changed_, or the round under way has still to come to it
  std::deque<Entry> inflight;
};

}  // namespace slipstream
