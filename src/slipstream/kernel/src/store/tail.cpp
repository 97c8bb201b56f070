// The newest bytes of a stream, in memory: chunks, oldest first, across segments.
//
// Of streams in files, the older half of the tail is handed to the I/O thread, which writes it; so a segment
// that is dead before that never touches the disk, and the kernel's thread does not wait for the page cache.
// A chunk leaves memory when it is written and its place is needed. If writing is slower than appending, the
// tail grows to twice its size (of a compressed stream sixteen times), and then append() writes itself. While the
// disk is full the tail grows further: the journal, which has the same messages, cannot be released then either
// and soon takes no more. A chunk of a memory stream stays until its messages are gone.
#include <algorithm>
#include <cerrno>

#include "store/segment_store.hpp"

namespace slipstream {
namespace {

constexpr uint32_t kChunkBytesMin = 4 << 10, kChunkBytesSmall = 128 << 10;

struct Piece {
  std::shared_ptr<ChunkMemory> memory;
  const char* bytes;
  uint32_t size, offset;
};

void write_pieces(Disk* disk, const std::string& path, FramedFile* frames, const std::vector<Piece>& pieces, WriteProgress& progress) {
  if (progress.error.load()) return;
  int error = 0;
  std::shared_ptr<OpenFile> file = OpenFile::at(disk, path, error);
  if (!file) {
    progress.error = error;
    return;
  }
  for (const Piece& piece : pieces) {
    if (progress.error.load() || progress.written.load() < piece.offset)
      return;  // an earlier one failed: no gaps
    ssize_t n = frames ? frames->write(*file, piece.bytes, piece.size, piece.offset, true)
                       : disk->pwrite(file->handle, piece.bytes, piece.size, piece.offset);
    if (n < 0) {
      progress.error = (int)n;
      return;
    }
    progress.advance(piece.offset + piece.size);
  }
}

}  // namespace

char* SegmentStore::place(Segment* segment, uint32_t length) {
  if (!segment->has_room(length) && !make_chunk(segment, length)) return nullptr;
  return segment->place(length);
}

// Chunks grow with their segment, so that a small stream is small in memory; a large memory stream takes a
// huge page for each segment.
uint32_t SegmentStore::chunk_capacity(const Segment& segment, uint32_t length) const {
  uint32_t most =
      segment.bytes_max >= chunk_bytes_max_ ? chunk_bytes_max_ : std::min(kChunkBytesSmall, chunk_bytes_max_);
  uint32_t wanted = most > kChunkBytesSmall
                        ? most
                        : std::clamp(std::max(segment.size(), segment.bytes_max / 16), kChunkBytesMin, most);
  return std::max(wanted, length);
}

bool SegmentStore::make_chunk(Segment* segment, uint32_t length) {
  bool begins = !options_.memory && segment->size() == 0;
  uint32_t capacity = chunk_capacity(*segment, length + (begins ? kSegmentHead : 0));
  if (!options_.memory && !make_room(capacity)) return false;
  std::shared_ptr<ChunkMemory> memory;
  if (capacity == chunk_bytes_max_) memory.swap(spare_chunk_);
  if (!memory) memory = std::make_shared<ChunkMemory>(capacity);
  if (!options_.memory && (resident_.empty() || resident_.back() != segment)) resident_.push_back(segment);
  segment->add_chunk(std::move(memory), capacity);
  chunk_bytes_ += capacity;
  if (begins) write_segment_head(segment->place(kSegmentHead), segment->base);
  return true;
}

bool SegmentStore::make_room(uint32_t capacity) {
  uint64_t behind = chunk_bytes_ + capacity;
  for (size_t i = 0; i < resident_.size() && behind > options_.tail_bytes / 2; i++) {
    Segment* segment = resident_[i];
    uint32_t end = 0;
    for (const Chunk& chunk : segment->chunks()) {
      if (behind <= options_.tail_bytes / 2) break;
      behind -= chunk.capacity;
      end = chunk.start + chunk.size;
    }
    if (!hand_over(segment, end)) return !failed_;  // full: it stays in memory
  }
  while (!resident_.empty() && chunk_bytes_ + capacity > options_.tail_bytes) {
    Segment* segment = resident_.front();
    Chunk& oldest = segment->chunks().front();
    uint32_t end = oldest.start + oldest.size;
    if (segment->written() < end) {
      // A compressor needs time, and what is written here is not compressed.
      if (chunk_bytes_ + capacity <= (compressed_ ? 16 : 2) * options_.tail_bytes) break;
      if (!write_now(segment, end)) return !failed_;
    }
    give_back(*segment, oldest);
    segment->chunks().erase(segment->chunks().begin());
    if (segment->chunks().empty()) resident_.pop_front();
  }
  return true;
}

// Lets the I/O thread write what of the segment lies before offset `end` and was not handed over yet.
bool SegmentStore::hand_over(Segment* segment, uint32_t end) {
  if (segment->progress && segment->progress->error.load()) return write_now(segment, end);
  segment->handed = std::max(segment->handed, segment->written());
  if (segment->handed >= end) return true;
  if (!segment->file && !create_file(segment)) return false;
  std::vector<Piece> pieces;
  for (const Chunk& chunk : segment->chunks()) {
    uint32_t from = std::max(chunk.start, segment->handed), to = std::min(chunk.start + chunk.size, end);
    if (from >= to) continue;
    assert(from == segment->handed);
    pieces.push_back({chunk.memory, chunk.memory->bytes + (from - chunk.start), to - from, from});
    segment->handed = to;
  }
  assert(segment->handed == end);
  segment->dirty = true;
  segment->progress->jobs++;
  auto job = [disk = disk_, path = segment->file->path(), frames = segment->frames, pieces = std::move(pieces),
              progress = segment->progress] {
    write_pieces(disk, path, frames.get(), pieces, *progress);
    progress->jobs--;
  };
  io_->submit(std::move(job), nullptr);
  return true;
}

// On this thread: where the I/O thread does not keep up, and to try again after it failed. Not compressed then: that is slow.
bool SegmentStore::write_now(Segment* segment, uint32_t end) {
  int error = 0;
  std::shared_ptr<OpenFile> file = segment->file->open(error);
  if (!file) return fail("open " + segment->file->path(), error);
  segment->dirty = segment->written_twice = true;
  for (const Chunk& chunk : segment->chunks()) {
    uint32_t from = std::max(chunk.start, segment->written()), to = std::min(chunk.start + chunk.size, end);
    if (from >= to) continue;
    while (from < to) {
      uint32_t until = from < segment->described && segment->described < to ? segment->described : to;
      const char* bytes = chunk.memory->bytes + (from - chunk.start);
      ssize_t n = segment->frames ? segment->frames->write(*file, bytes, until - from, from, false)
                                  : disk_->pwrite(file->handle, bytes, until - from, from);
      if (n < 0) return fail("write " + segment->file->path(), (int)n);
      segment->progress->advance(from = until);
    }
  }
  assert(segment->written() >= end);
  // Jobs behind a failed one gave up: what they had is handed over again.
  if (segment->progress->error.exchange(0)) segment->handed = segment->written();
  segment->handed = std::max(segment->handed, end);
  if (!failed_) error_.clear(), trouble_ = 0;  // there is room again
  return true;
}

void SegmentStore::give_back(const Segment& segment, Chunk& chunk) {
  chunk_bytes_ -= chunk.capacity;
  bool written = segment.written() >= chunk.start + chunk.size && !segment.written_twice;
  bool unread = written || !segment.being_written();  // by jobs
  if (chunk.capacity == chunk_bytes_max_ && !spare_chunk_ && unread) spare_chunk_ = std::move(chunk.memory);
  chunk.memory.reset();
}

void SegmentStore::release_chunks(Segment* segment) {
  for (Chunk& chunk : segment->chunks()) give_back(*segment, chunk);
  segment->chunks().clear();
  auto resident = std::find(resident_.begin(), resident_.end(), segment);
  if (resident != resident_.end()) resident_.erase(resident);
}

bool SegmentStore::write_tail() {
  for (Segment* segment : resident_)
    if (!hand_over(segment, segment->size())) return false;
  queue_rewrites();
  start_compaction();
  return true;
}

}  // namespace slipstream
