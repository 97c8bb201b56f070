// A range of sequences: the index of its messages, and their bytes as far as they are in memory.
//
// The index is by position. In a dense segment each sequence from `base` on has one, also where a message was
// removed or never was. A sparse one has positions for its messages alone: a rewritten segment of whose messages
// few are left, and one that began behind a long gap.
//
// Offsets are those of the segment's file. Bytes are appended into chunks; of a stream in files the newest
// chunks stay readable in memory after they were written, of a memory stream all do. Who writes, evicts and
// reads files is the store.
#pragma once
#include <cassert>
#include <cstdint>
#include <memory>
#include <vector>

#include "bytes/bytes.hpp"
#include "bytes/large_memory.hpp"
#include "disk/handle_cache.hpp"
#include "disk/write_progress.hpp"
#include "store/framed_file.hpp"
#include "store/message_store.hpp"

namespace slipstream {

constexpr uint32_t kSegmentHead = 64;
constexpr uint32_t kFar = 0xffffffff;

// The first kSegmentHead bytes of a segment's file.
constexpr uint32_t kSegmentKeyAt = 24, kSegmentSaltAt = 32;
void write_segment_head(char* p, uint64_t base);
void write_framed_segment_head(char* p, uint64_t base, uint32_t key_number, string_view salt);
bool segment_head_valid(const char* p, uint64_t base, bool& framed, std::string& why);
constexpr const char* kHeadDamaged = "its head is damaged";  // why, when the checksum is wrong
// The same; one flipped bit is put right in memory first: the checksum says where it is.
bool mend_segment_head(char* p, uint64_t base, bool& framed, std::string& why);

struct IndexEntry {
  uint32_t offset;
  uint32_t packed;  // record length, and whether it has a header in the top bit; 0: removed
  uint32_t subject;
  uint32_t next;  // distance to the next message on the subject; 0 none yet, kFar: look for it
  bool live() const { return packed != 0; }
  uint32_t length() const { return packed & 0x7fffffff; }
  bool has_header() const { return packed >> 31; }
};
static_assert(sizeof(IndexEntry) == 16);
inline uint32_t pack_length(uint32_t length, bool has_header) { return length | (uint32_t)has_header << 31; }
constexpr IndexEntry kNeverThere{0, 0, kNoSubject, 0};

// Which entries are removed, with a count per block; made only when a message behind the first live one is
// removed.
class DeadMap {
 public:
  void resize(uint32_t n);
  void mark(uint32_t i);
  bool marked(uint32_t i) const { return bits_[i / 64] >> (i % 64) & 1; }
  uint32_t count_from(uint32_t i) const;              // marked at i or behind
  uint32_t next_clear(uint32_t i, uint32_t n) const;  // n if none
  int64_t previous_clear(int64_t i) const;            // -1 if none
  uint64_t memory() const { return bits_.capacity() * 8 + blocks_.capacity() * 2; }
  const std::vector<uint64_t>& words() const { return bits_; }

 private:
  static constexpr uint32_t kBlock = 1024;
  std::vector<uint64_t> bits_;
  std::vector<uint16_t> blocks_;
};

// The memory of a chunk; a write job shares it, so that the chunk may go meanwhile.
struct ChunkMemory {
  explicit ChunkMemory(uint32_t n) : bytes((char*)allocate_large(n)) {}
  ChunkMemory(const ChunkMemory&) = delete;
  ~ChunkMemory() { free(bytes); }
  char* const bytes;
};

struct Chunk {
  uint32_t start, size, capacity;  // offset of the first byte, bytes used, bytes there
  std::shared_ptr<ChunkMemory> memory;
};

class Segment {
 public:
  Segment(uint64_t base, uint32_t bytes_max, uint32_t entries_expected);
  Segment(const Segment&) = delete;

  const uint64_t id;  // unique in the process: a ReadBuffer names the segment by it
  const uint64_t base;
  const uint32_t
      bytes_max;  // a record that would end behind it goes into the next segment, unless it is first
  std::shared_ptr<CachedFile> file;  // null until something is to be written (always in memory streams)
  std::shared_ptr<WriteProgress> progress;  // as long as file
  std::shared_ptr<FramedFile> frames;       // as long as file; null: its bytes lie there as they are
  std::string file_name;                    // in the store's folder
  bool sealed = false;
  bool named = false;  // by a snapshot, durable or not
  bool dirty = false;  // written to since the last sync was handed out
  bool compacting = false, uncompactable = false;
  bool rewrite = false;  // what is in the file must not stay there: an erased body in a frame, or another encryption
  uint32_t dead_number = 0;  // above 0: the snapshot under way has yet to say what is removed here
  uint32_t erasures = 0;  // in-place overwrites so far
  uint32_t handed = 0;    // bytes that were handed to write jobs, from the file's start
  uint32_t described = 0;  // size in the last snapshot: load() begins there, so no frame may reach across
  bool written_twice = false;  // also on the kernel's thread: a job may still read what is written already
  bool being_written() const { return progress && progress->jobs.load() != 0; }
  uint32_t written() const { return progress ? progress->written.load() : 0; }
  int64_t last_time_ns = 0;  // of the newest that was appended, live or not

  // Index.
  uint32_t count() const { return (uint32_t)entries_.size(); }
  uint64_t end() const { return count() ? seq_at(count() - 1) + 1 : base; }
  uint64_t seq_at(uint32_t i) const { return base + (sparse_ ? deltas_[i] : i); }
  uint32_t position(uint64_t seq) const;  // of the first entry that is not before seq; count() if none
  bool sparse() const { return sparse_; }
  void make_sparse() {
    assert(!count());
    sparse_ = true;
  }
  IndexEntry& entry(uint32_t i) { return entries_[i]; }
  const IndexEntry& entry(uint32_t i) const { return entries_[i]; }
  uint32_t size() const { return size_; }
  uint32_t live() const { return live_; }
  uint64_t live_bytes() const { return live_bytes_; }
  uint32_t head() const { return head_; }                    // first live entry; count() if none
  void push(uint64_t seq, const IndexEntry& e, int64_t time_ns);  // dense: seq is end()
  void remove(uint32_t i);                                   // the link stays
  uint32_t live_from(uint32_t i) const;                      // live entries at i or behind
  uint32_t next_live(uint32_t i) const;                      // count() if none
  int64_t previous_live(int64_t i) const;                    // -1 if none
  uint32_t first_entry_at(int64_t time_ns) const;            // all entries before it are older
  // No entry from i's block on is older than this.
  int64_t block_time(uint32_t i) const { return times_[i / kTimeBlock]; }
  static constexpr uint32_t kTimeBlock = 128;
  void seal();
  uint64_t index_memory() const;
  const DeadMap* dead() const { return dead_.get(); }

  // Bytes.
  bool has_room(uint32_t n) const {
    return !chunks_.empty() && chunks_.back().capacity - chunks_.back().size >= n;
  }
  void add_chunk(std::shared_ptr<ChunkMemory> memory, uint32_t capacity) {
    chunks_.push_back({size_, 0, capacity, std::move(memory)});
  }
  char* place(uint32_t n) {  // room for n bytes in the last chunk, which the caller fills
    Chunk& chunk = chunks_.back();
    char* p = chunk.memory->bytes + chunk.size;
    chunk.size += n;
    size_ += n;
    return p;
  }
  Chunk* chunk_at(uint32_t offset);  // null: in the file only
  char* in_memory(uint32_t offset) const;
  std::vector<Chunk>& chunks() { return chunks_; }
  const std::vector<Chunk>& chunks() const { return chunks_; }
  void set_size(uint32_t size) { size_ = size; }  // loaded from a file

  void check() const;

 private:
  void need_dead_map();

  std::vector<IndexEntry> entries_;
  std::vector<uint32_t> deltas_;  // sparse: the entries' distances from base
  bool sparse_ = false;
  std::unique_ptr<DeadMap> dead_;
  std::vector<int64_t> times_;  // per block: not before any message of earlier blocks, not after its own
  std::vector<Chunk> chunks_;   // in order of start, without gaps up to size()
  uint32_t size_ = 0;
  uint32_t live_ = 0, head_ = 0;
  uint64_t live_bytes_ = 0;
};

}  // namespace slipstream
