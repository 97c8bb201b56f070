// The messages of one stream: segments (files, or memory for memory streams), the index by sequence, and the subjects.
// Only committed messages come here, so segments never roll back; the journal holds what is not yet in them.
//
// Index entry per message (16 bytes): offset, record length, subject id, distance to the next message on the same
// subject (0: none yet; 0xffffffff: far). A removed message has length 0 and keeps its link. Per subject: first, last,
// count, name. Derived numbers (messages, bytes, first sequence) are kept by the store alone; nothing else counts them.
//
// Threading: owned by the kernel's thread. Cold reads and segment syncs go through IoPool.
//
// The room store/ (this header is the contract, SegmentStore its one implementation):
//   segment_store.hpp    the class, whose parts are message_store.cpp to check.cpp
//   message_store.cpp    appending, removing, the index by sequence
//   subjects.cpp         first, last and next on a subject
//   reading.cpp          records from memory, from the page cache without blocking, or parked on the I/O thread
//   tail.cpp             the newest bytes in memory, and when they are written
//   files.cpp            the files of segments and their names
//   snapshot.cpp         checkpoints: what describes a store, and how it is loaded again
//   damage.cpp           damage that loading finds in a segment
//   compaction.cpp       rewriting segments that are mostly dead
//   check.cpp            every invariant, counted again
//   segment.hpp, segment.cpp               a range of sequences: its index and its bytes in memory
//   segment_rebuild.hpp                    how loading reads the heads of a segment's records
//   record.hpp                             how a message lies in a segment
//   framed_file.hpp, framed_file.cpp       the file of a compressed or encrypted segment: frames of up to 64 KiB
//   subject_table.hpp, subject_table.cpp   names and ids of subjects, with first, last and count of each
//   subject_merge.hpp                      the next message of several subjects, in order
//   io_pool.cpp                            the thread that may block
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bytes/bytes.hpp"
#include "disk/checkpoint_syncs.hpp"
#include "disk/cipher.hpp"
#include "disk/disk.hpp"

namespace slipstream {

struct StoredMessage {
  uint64_t seq;
  int64_t time_ns;  // unix
  string_view subject, header, body;  // valid until the next call on the store or the ReadBuffer
};

enum class ReadStatus : uint8_t { ok, missing, pending, damaged };  // pending: the I/O pool was asked; try again when its wake-up came

// Sequences end here, so that they are numbers in every client's language and no arithmetic on them can wrap. Nothing new is taken
// beyond (Stream::ingest, and the API where a client names one); a log of an earlier version may hold entries up to 2^64-1, which
// applying still accepts.
constexpr uint64_t kSequenceMax = INT64_MAX;
constexpr uint64_t behind(uint64_t seq) { return seq == UINT64_MAX ? seq : seq + 1; }

struct SubjectState { uint64_t first, last; uint32_t count; };
constexpr uint32_t kNoSubject = 0xffffffff;
constexpr string_view kDamagedSubject = "$SLIPSTREAM.DAMAGED";  // of messages whose own cannot be read any more

// A thread that does what may block: cold preads, fsync of segments, checkpoint files. `wake` is called (from the pool's thread)
// after jobs finished; drain() then runs their completions on the caller's thread. threaded=false runs jobs inline.
class IoPool {
 public:
  enum class Urgency : uint8_t { foreground, background };  // background: the kernel's thread need not wait for a processor
  static std::unique_ptr<IoPool> create(bool threaded, std::function<void()> wake, Urgency urgency = Urgency::foreground);
  virtual ~IoPool() = default;
  virtual void submit(std::function<void()> job, std::function<void()> done) = 0;
  virtual void drain() = 0;
  virtual bool idle() const = 0;
};

// A cursor's read-ahead: one contiguous piece of one segment. Owned by whoever reads in order (a consumer, a direct get).
struct ReadBuffer {
  uint64_t segment = 0;  // id of the segment, 0: empty
  uint64_t start = 0, end = 0;
  std::shared_ptr<Buffer> bytes;  // shared with an I/O job that may still fill it
  bool waiting = false;           // a cold read is under way
  int failed = 0;                 // -errno of a cold read; the next read() answers `damaged` and clears it
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  std::function<void()> ready;    // called on the kernel's thread when a cold read has ended
  ReadBuffer() = default;         // jobs know its address: it neither moves nor is it copied
  ReadBuffer(const ReadBuffer&) = delete;
  ReadBuffer& operator=(const ReadBuffer&) = delete;
  ~ReadBuffer() { *alive = false; }
  void reset() { segment = start = end = 0; bytes.reset(); failed = 0; }
};

struct StoreOptions {
  std::string folder;              // "streams/<group>"; unused when memory
  bool memory = false;
  uint64_t segment_bytes_min = 64 << 10, segment_bytes_max = 16 << 20;  // a stream's segments start small and double
  bool* trouble_noticed = nullptr;  // set where a write may be tried again
  uint64_t tail_bytes = 1 << 20;   // in memory, written lazily: the journal has it until a checkpoint
  uint64_t read_ahead_bytes = 256 << 10;
  bool compressed = false;
  const KeyRing* keys = nullptr;   // of the store; outlives it
  std::function<void(std::function<void()>)> when_synced;  // runs an erasure once its entry is on stable storage; null: at once
  size_t* rewrites_wanted = nullptr;  // counts the stores that want a rewrite; outlives them
};

class MessageStore {
 public:
  static std::unique_ptr<MessageStore> create(Disk* disk, IoPool* io, StoreOptions options);
  virtual ~MessageStore() = default;

  // Writing. seq > last_seq(); a gap is allowed. False: the device failed (error()); what is in memory stays readable. What a full
  // disk does not take stays in memory: the journal has it too, and bounds it.
  virtual bool append(uint64_t seq, int64_t time_ns, string_view subject, string_view header, string_view body) = 0;
  virtual void skip(uint64_t seq, int64_t time_ns) = 0;  // the sequence is used, and nothing is there
  virtual void expect(string_view subject) const = 0;  // an append on it comes soon: brings its table entry into the cache
  virtual bool remove(uint64_t seq) = 0;          // false: not there
  virtual bool erase(uint64_t seq) = 0;           // remove, and overwrite the body on disk
  // All live messages < seq; returns how many. Whole segments go without a visit per message where possible.
  virtual uint64_t remove_below(uint64_t seq) = 0;
  // An empty store's position (first_seq config, purge beyond the end).
  virtual void set_sequences(uint64_t first_seq, uint64_t last_seq, int64_t last_time_ns) = 0;

  // State. first_seq()==last_seq()+1 when empty after use; 0/0 when never used.
  virtual uint64_t first_seq() const = 0;
  virtual uint64_t last_seq() const = 0;
  virtual int64_t first_time_ns() = 0;   // 0 when empty
  virtual int64_t last_time_ns() const = 0;
  virtual uint64_t messages() const = 0;
  virtual uint64_t bytes() const = 0;    // as nats-server counts (S-150): memory len(subj)+hdr+msg+16; file 22+subj+(hdr?4+hdr)+msg+8
  virtual uint64_t subjects() const = 0; // with at least one live message
  static uint64_t message_bytes(bool memory, size_t subject, size_t header, size_t body);

  // The index: never touches the disk.
  virtual bool live(uint64_t seq) const = 0;
  virtual uint64_t next_live(uint64_t seq) const = 0;          // smallest live sequence >= seq, 0 if none, or for 0
  virtual uint64_t previous_live(uint64_t seq) const = 0;      // greatest live sequence <= seq, 0 if none
  virtual uint64_t live_above(uint64_t seq) const = 0;         // number of live messages with sequence > seq; O(segments)
  virtual uint32_t subject_of(uint64_t seq) const = 0;         // kNoSubject if not live
  virtual uint32_t appended_subject() const = 0;               // of the message that was appended last
  virtual uint64_t size_of(uint64_t seq) const = 0;            // message_bytes of a live message
  virtual uint32_t find_subject(string_view subject) const = 0;  // kNoSubject without a live message
  virtual string_view subject_name(uint32_t id) const = 0;
  // Ids are 0..subject_ids()-1; an id's name never changes while it has live messages; one without may be given to
  // another name: its state then counts from 1 again.
  virtual uint32_t subject_ids() const = 0;
  virtual SubjectState subject_state(uint32_t id) const = 0;
  virtual uint64_t next_on_subject(uint32_t id, uint64_t seq) const = 0;  // smallest live sequence >= seq on the subject, 0 if none
  virtual void match_subjects(string_view filter, const std::function<void(uint32_t)>& each) const = 0;  // filter with wildcards

  // Reading.
  virtual ReadStatus read(uint64_t seq, StoredMessage& out, ReadBuffer& buffer) = 0;
  virtual ReadStatus read_blocking(uint64_t seq, StoredMessage& out, ReadBuffer& buffer) = 0;  // recovery and rare reads
  // Smallest live sequence with time >= t; last_seq()+1 if none (may block).
  virtual uint64_t first_at_or_after(int64_t time_ns, ReadBuffer& buffer) = 0;
  // The same from `seq` on, all before it being older. `damaged`: the time of message `seq` cannot be read.
  virtual ReadStatus seek_time_blocking(int64_t time_ns, uint64_t& seq, ReadBuffer& buffer) = 0;
  // The same without blocking. `seq` is 0 at first, then where the last call had to wait; with `ok` it is the answer.
  virtual ReadStatus seek_time(int64_t time_ns, uint64_t& seq, ReadBuffer& buffer) = 0;

  // Durability. A checkpoint: snapshot() hands the tail to the I/O pool and describes the store as of now into `out`; after
  // `syncs` ran with result 0, in a job submitted to the same pool afterwards, the snapshot may be made durable. False: the
  // device refused before (error()). Files that no durable snapshot names any more are unlinked by checkpoint_durable().
  virtual void set_compressed(bool compressed) = 0;  // files that are made from now on
  // A checkpoint would begin to write files anew whose bytes must not stay as they are: erased, or encrypted otherwise than now.
  virtual bool wants_rewrite() const = 0;
  virtual bool frees_files() const = 0;  // the next snapshot writes no messages, and then files go
  virtual bool write_tail() = 0;            // hands the tail to the I/O pool; begins a rewriting of mostly dead segments
  virtual bool snapshot(Buffer& out, CheckpointSyncs& syncs) = 0;
  // A snapshot goes on with which messages of its segments are removed, some segments at a time, as it was when snapshot() was
  // called: `out` is the same, and stays where it is. True when nothing is left; end_dead() gives the rest up.
  virtual bool write_dead(Buffer& out, size_t entries) = 0;
  virtual void end_dead() = 0;
  virtual void checkpoint_durable() = 0;    // the last snapshot() is on stable storage
  virtual void snapshot_abandoned() = 0;    // its steps may not have run: the next one has them all
  virtual bool load(Reader& in) = 0;        // opens the segments that a snapshot names, cuts what is behind it, rebuilds the index
  virtual const std::vector<uint64_t>& damaged() const = 0;  // live messages whose records load() found damaged
  virtual void drop() = 0;                  // the stream was deleted: closes and unlinks everything
  virtual std::string error() const = 0;
  virtual bool failed() const = 0;          // for good; a full disk is not
  virtual int trouble() const = 0;          // -errno of the last write that may be tried again; 0: none since one succeeded
  virtual void check() const = 0;           // asserts every invariant; slow, for tests

  struct Memory { uint64_t index, subjects, tails; };
  virtual Memory memory() const = 0;
};

}  // namespace slipstream
