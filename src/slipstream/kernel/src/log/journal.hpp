// The journal: one per server, shared by all groups. An entry is *written* when its bytes were handed to the
// file, *synced* when they are on stable storage. Positions are logical byte offsets that only grow, across
// all files.
//
// The caller's order:
//   1. recover() once; it calls back for every valid record, oldest first, and new records follow behind.
//   2. append() as entries arise in a turn; flush() once at the end of the turn.
//   3. after a wake-up (or on each turn) look at written() and synced(), and apply what they cover.
//   4. release(position) when durable checkpoints cover everything before it: whole files are recycled.
// Group commit has no timer: whatever was appended while the previous sync ran is written and synced
// together. A failed write or sync is final: failed() stays set, synced() never moves again, and the
// descriptor is not used again.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "bytes/bytes.hpp"
#include "disk/cipher.hpp"
#include "disk/disk.hpp"

namespace slipstream {

struct JournalRecord {
  uint64_t group, term, index;
  uint8_t kind;
  string_view payload;
  uint64_t end;  // position just behind this record
};

enum class SyncMode : uint8_t {
  durable,  // whatever asks for it is synced at once (group commit in a thread); the default
  relaxed,  // flush() writes on the calling thread; synced every sync_interval by sync_now() or the thread
};

struct JournalOptions {
  std::string folder = "journal";
  uint64_t file_bytes = 16ull << 20;  // zero-filled once, then recycled
  uint64_t bytes_max = 256ull << 20;
  SyncMode mode = SyncMode::durable;
  const KeyRing* keys = nullptr;  // null or without a current one: not encrypted
  uint64_t salt = 0;     // a random number: records cannot be forged from outside (journal_format.hpp)
  bool threaded = true;  // false: flush() itself writes and syncs (simulation); no threads exist
  uint32_t sync_lag = 0; // simulation: a sync is made by so many flushes later than it was asked for
  // Called by the thread after written() or synced() moved, failed() was set, or a file became ready.
  std::function<void()> wake;
};

class Journal {
 public:
  // Null, with `error`, when the folder cannot be read or a file in it is damaged.
  static std::unique_ptr<Journal> open(Disk& disk, JournalOptions options, std::string& error);
  virtual ~Journal() = default;

  // Calls `record` for each valid record, oldest first. False with error() set when damage lies before data
  // that was known to be synced (never delete on doubt); a torn tail that was never acknowledged is cut
  // silently.
  virtual bool recover(const std::function<void(const JournalRecord&)>& record) = 0;

  // Returns the position just behind the record, or 0 when the journal is failed, or full (see full()), or,
  // with neither of them, so far ahead of the disk that files cannot be filled with zeros in time: try again
  // after the next wake-up.
  //
  // `kind` is below 0xf0. A payload larger than file_bytes waits for a file of its own size; others go on meanwhile. Without room
  // for that file large_refused() is set, until the next append() of such a payload.
  // `durable`: somebody waits for the sync. Without it the record is only written at flush() and is synced
  // along with the next durable one.
  // `reserve`: may use the file kept for purge, delete, ack and checkpoint on a full disk.
  virtual uint64_t append(uint64_t group, uint64_t term, uint64_t index, uint8_t kind, string_view payload,
                          bool durable, bool reserve = false) = 0;
  // The end of the turn. More than 1 MiB in a turn is written, but not synced, before it.
  virtual void flush() = 0;
  // Asks for a sync of all that was appended (sync_interval, checkpoints); threaded: asynchronous.
  virtual void sync_now() = 0;
  virtual bool wait_synced() = 0;  // flush, sync and wait; false when failed

  // A file that is not released yet is encrypted with another key than new ones are, or is not.
  virtual bool encrypted_otherwise() const = 0;
  virtual uint64_t position() const = 0;  // behind the last appended record
  virtual uint64_t written() const = 0;
  virtual uint64_t synced() const = 0;
  virtual bool failed() const = 0;
  // The disk or bytes_max leaves only the reserve: append() refused a record for that. Or what was appended cannot be written now.
  virtual bool full() const = 0;
  virtual bool large_refused() const = 0;
  // -errno of what the journal waits to try again (disk_trouble.hpp), else 0. retry() tries it again.
  virtual int trouble() const = 0;
  virtual void retry() = 0;
  virtual void give_up_spares() = 0;  // those that are not needed at once, so that others may use their room
  virtual uint64_t reserve_left() const = 0;  // bytes that records of the reserve may still take
  virtual std::string error() const = 0;

  // Before recover(): whether the log's files have room for this position, which a checkpoint says is needed.
  virtual bool reaches(uint64_t position) const = 0;
  // The records that end in (from, to], all of them written, from the files. A damaged record that was passed over is named in
  // `passed`. False with `error`: not all could be read, and it is not known which are missing.
  virtual bool read_back(uint64_t from, uint64_t to, const std::function<void(const JournalRecord&)>& record, std::string& passed,
                         std::string& error) = 0;
  virtual uint64_t released() const = 0;
  virtual void release(uint64_t position) = 0;
  virtual uint64_t in_use() const = 0;  // bytes between the released position and position()
  struct Stats {
    uint64_t syncs, sync_ns_total, sync_ns_max, bytes_written, writes;
  };
  virtual Stats stats() const = 0;
};

}  // namespace slipstream
