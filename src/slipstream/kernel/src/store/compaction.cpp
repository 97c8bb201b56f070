// Rewriting segments that are mostly dead.
//
// A sealed segment of which less than half is live goes into a new file, together with neighbours that are as
// dead or small, so that a bucket of rarely changed keys does not become a crowd of tiny files. The I/O
// thread copies what was live when it began; what was removed meanwhile is dead in the new segment too. The
// old files go after the next durable checkpoint. Memory streams do the same at once: their segments are
// small.
#include <algorithm>
#include <cerrno>

#include "store/segment_store.hpp"

namespace slipstream {
namespace {

constexpr size_t kCopyBytes = 1 << 20;
constexpr int kDamaged = -EBADMSG;

struct Piece {
  uint64_t seq;
  int64_t time_ns;  // once it was copied
  uint32_t position, offset, length;
};

struct Source {
  uint64_t id, base;
  uint32_t erasures, size;
  bool rewrite;  // whatever is damaged: a body is copied as it is then, and stays told by its checksum
  std::shared_ptr<OpenFile> file;
  std::shared_ptr<FramedFile> frames;
  std::shared_ptr<WriteProgress> progress;
  std::vector<Piece> live;  // by position, and so by offset
};

// Appends to a file through a buffer.
class FileWriter {
 public:
  FileWriter(std::shared_ptr<OpenFile> file, FramedFile* frames) : file_(std::move(file)), frames_(frames) {}
  int append(string_view bytes) {
    out_.append(bytes);
    return out_.size() < kCopyBytes ? 0 : flush();
  }
  int flush() {
    ssize_t n = frames_ ? frames_->write(*file_, out_.data(), (uint32_t)out_.size(), (uint32_t)written_, true)
                        : file_->disk->pwrite(file_->handle, out_.data(), out_.size(), written_);
    if (n < 0) return (int)n;
    written_ += out_.size();
    out_.clear();
    return 0;
  }

 private:
  std::shared_ptr<OpenFile> file_;
  FramedFile* const frames_;
  Buffer out_;
  uint64_t written_ = 0;
};

// `n` bytes of the segment at `offset`; -errno.
int read_piece(const Source& from, uint32_t offset, uint32_t n, Buffer& stored, Buffer& piece, const char*& at) {
  if (!from.frames) {
    piece.resize(n);
    ssize_t got = from.file->disk->pread(from.file->handle, piece.data(), n, offset);
    at = piece.data();
    return got < 0 ? (int)got : (size_t)got < n ? kDamaged : 0;
  }
  FramedFile::Span span = from.frames->span(offset, n, n);
  stored.resize(span.stored);
  piece.resize(span.end - span.start);
  ssize_t got = from.file->disk->pread(from.file->handle, stored.data(), span.stored, span.at);
  at = piece.data() + (offset - span.start);
  if (got < 0) return (int)got;
  return (size_t)got == span.stored && from.frames->decode(span, stored.view(), piece.data()) ? 0 : kDamaged;
}

// Copies records in pieces of up to kCopyBytes (at least one record); each must be whole, but for a body that has to leave its file.
int copy_records(Source& from, FileWriter& to) {
  Buffer stored, piece;
  if (from.progress->written.load() < from.size) return -EIO;
  for (size_t i = 0; i < from.live.size();) {
    uint32_t start = from.live[i].offset;
    size_t last = i;
    while (last + 1 < from.live.size() &&
           from.live[last + 1].offset + from.live[last + 1].length - start <= kCopyBytes)
      last++;
    const char* bytes = nullptr;
    if (int error = read_piece(from, start, from.live[last].offset + from.live[last].length - start, stored, piece, bytes)) return error;
    for (; i <= last; i++) {
      Piece& p = from.live[i];
      Record record;
      bool whole =
          decode_record(bytes + (p.offset - start), p.length, record) && record.length == p.length;
      if (!whole || !head_valid(record) || !(from.rewrite || body_valid(record))) return kDamaged;
      p.time_ns = record.time_ns;
      if (int error = to.append({record.start, record.length})) return error;
    }
  }
  return 0;
}

}  // namespace

struct SegmentStore::Compaction {
  std::vector<Source> sources;
  std::string name;
  uint64_t base;  // of the new segment
  std::shared_ptr<OpenFile> file;
  std::shared_ptr<FramedFile> frames;  // of the new file
  int error = 0;

  void run(Disk* disk, const std::string& path) {
    int handle = disk->open(path, kOpenWrite | kOpenCreate | kOpenExclusive);
    if (handle < 0) {
      error = handle;
      return;
    }
    FileWriter writer(std::make_shared<OpenFile>(disk, handle), frames.get());
    char head[kSegmentHead];
    write_segment_head(head, base);
    error = writer.append({head, kSegmentHead});
    for (size_t i = 0; i < sources.size() && !error; i++) error = copy_records(sources[i], writer);
    if (!error) error = writer.flush();
    if (!error) error = disk->sync(handle);
  }
};

void SegmentStore::consider_compaction(Segment* segment) {
  // What is dead before the first live message does not count: messages that go oldest first will take the
  // rest with them.
  uint32_t head = segment->entry(segment->head()).offset, behind = segment->size() - head;
  if (options_.memory) release_below(segment, head);
  if (segment->live_bytes() * 2 >= behind || behind - segment->live_bytes() < options_.segment_bytes_min)
    return;
  if (segment->compacting || segment->uncompactable) return;
  if (options_.memory) {
    compact_memory(slot_of(segment->base));
    return;
  }
  segment->compacting = true;
  compactable_.push_back(segment->base);
}

// Once in a checkpoint: segments whose files must not stay as they are, whatever is live in them.
void SegmentStore::queue_rewrites() {
  if (!rewrite_wanted_) return;
  want_rewrite(false);
  if (Segment* segment = active(); segment && segment->rewrite) seal(segment);
  for (const Slot& slot : slots_) {
    Segment& segment = *slot.segment;
    if (!segment.rewrite || segment.uncompactable) continue;
    want_rewrite(true);  // as long as it is under way; an attempt may fail
    if (segment.compacting || !segment.sealed) continue;
    segment.compacting = true;
    compactable_.push_back(segment.base);
  }
}

// The run of segments around `slot` that go together; `last` is the last of them.
size_t SegmentStore::compaction_run(size_t slot, size_t& last) const {
  uint64_t total = slots_[slot].segment->live_bytes();
  auto joins = [&](const Segment& s) {
    bool small = s.size() < next_segment_bytes_ / 4, dead = s.live_bytes() * 2 < s.size();
    if (!s.sealed || s.uncompactable || !(small || dead) || total + s.live_bytes() > next_segment_bytes_)
      return false;
    total += s.live_bytes();
    return true;
  };
  size_t first = last = slot;
  while (first > 0 && slots_[last].segment->end() - slots_[first - 1].base < kFar &&
         joins(*slots_[first - 1].segment))
    first--;
  while (last + 1 < slots_.size() && slots_[last + 1].segment->end() - slots_[first].base < kFar &&
         joins(*slots_[last + 1].segment))
    last++;
  return first;
}

void SegmentStore::start_compaction() {
  if (compacting_ || failed_) return;
  size_t slot = slots_.size();
  for (; !compactable_.empty() && slot == slots_.size(); compactable_.pop_front()) {
    slot = slot_of(compactable_.front());
    if (slot < slots_.size() &&
        (slots_[slot].base != compactable_.front() || !slots_[slot].segment->compacting))
      slot = slots_.size();
  }
  if (slot == slots_.size()) return;
  auto work = std::make_shared<Compaction>();
  size_t last, first = compaction_run(slot, last);
  for (size_t i = first; i <= last; i++) {
    Segment& segment = *slots_[i].segment;
    segment.compacting = true;
    int error = 0;
    if (segment.handed < segment.size() && !hand_over(&segment, segment.size())) error = -EIO;
    Source source{segment.id,
                  segment.base,
                  segment.erasures,
                  segment.size(),
                  segment.rewrite,
                  error ? nullptr : segment.file->open(error),
                  segment.frames,
                  segment.progress,
                  {}};
    if (error) {
      for (size_t k = first; k <= i; k++) slots_[k].segment->compacting = false;
      return;
    }
    source.live.reserve(segment.live());
    for (uint32_t k = segment.head(); k < segment.count(); k = segment.next_live(k + 1))
      source.live.push_back({segment.seq_at(k), 0, k, segment.entry(k).offset, segment.entry(k).length()});
    work->sources.push_back(std::move(source));
  }
  generation_++;
  work->base = slots_[first].segment->seq_at(slots_[first].segment->head());
  work->name = new_file_name(work->base);
  work->frames = new_frames(work->base);
  compacting_ = true;
  io_->submit([work, disk = disk_, path = path_of(work->name)] { work->run(disk, path); },
              [work, self = self_] {
                if (*self) (*self)->finish_compaction(work);
              });
}

void SegmentStore::finish_compaction(const std::shared_ptr<Compaction>& work) {
  compacting_ = false;
  size_t first = slots_.size(), found = 0;
  bool unchanged = !work->error, rewrite = false;
  for (const Source& source : work->sources) {
    size_t slot = slot_of(source.base);
    if (slot == slots_.size() || slots_[slot].segment->id != source.id) continue;  // wholly dead by now
    Segment& segment = *slots_[slot].segment;
    segment.compacting = false;
    if (work->error == kDamaged) segment.uncompactable = true;
    if (segment.erasures != source.erasures) {  // what was erased must not live on in the copy
      rewrite = rewrite || work->frames;
      unchanged = unchanged && work->frames;
    }
    if (!found++) first = slot;
  }
  if (!unchanged || !found) {
    unlink_files({work->name});
    return;
  }
  uint32_t offset = kSegmentHead;
  auto fresh = new_compacted(work->base, first, found);
  for (const Source& source : work->sources) {
    size_t slot = slot_of(source.base);
    bool here = slot < slots_.size() && slots_[slot].segment->id == source.id;
    for (const Piece& piece : source.live) {
      IndexEntry e = here ? slots_[slot].segment->entry(piece.position) : kNeverThere;
      e.offset = offset;
      push_copied(*fresh, piece.seq, e, piece.time_ns);
      offset += piece.length;
    }
  }
  fresh->set_size(offset);
  fresh->file_name = work->name;
  fresh->file = std::make_shared<CachedFile>(handles_, path_of(work->name));
  fresh->progress = std::make_shared<WriteProgress>();
  fresh->progress->advance(fresh->handed = offset);
  fresh->frames = work->frames;
  fresh->rewrite = rewrite;
  if (rewrite) want_rewrite(true);
  folder_dirty_ = true;
  replace_slots(first, found, std::move(fresh));
  start_compaction();
}

// An empty segment for the messages of `n` slots from `first` on: sparse where that takes less memory.
std::unique_ptr<Segment> SegmentStore::new_compacted(uint64_t base, size_t first, size_t n) {
  uint64_t entries = 0, bytes = kSegmentHead;
  for (size_t i = first; i < first + n; i++) {
    entries += slots_[i].segment->live();
    bytes += slots_[i].segment->live_bytes();
  }
  uint64_t span = slots_[first + n - 1].segment->end() - base;
  auto fresh = std::make_unique<Segment>(base, (uint32_t)bytes, (uint32_t)entries);
  if (span > 2 * entries) fresh->make_sparse();
  return fresh;
}

// Each record of the new file has its position, also one whose message was removed meanwhile: load() finds it
// so again.
void SegmentStore::push_copied(Segment& to, uint64_t seq, const IndexEntry& e, int64_t time_ns) {
  while (!to.sparse() && to.end() < seq) to.push(to.end(), kNeverThere, to.last_time_ns);
  to.push(seq, e, time_ns);
}

void SegmentStore::replace_slots(size_t first, size_t n, std::unique_ptr<Segment> fresh) {
  fresh->last_time_ns = slots_[first + n - 1].segment->last_time_ns;
  fresh->seal();
  for (size_t i = first; i < first + n; i++) {
    before_change(slots_[i].segment.get());
    release_chunks(slots_[i].segment.get());
    if (slots_[i].segment->file) forget_file(slots_[i].segment.get());
  }
  slots_[first] = {fresh->base, std::move(fresh)};
  slots_.erase(slots_.begin() + (std::ptrdiff_t)first + 1, slots_.begin() + (std::ptrdiff_t)(first + n));
  hot_slot_ = 0;
}

// Chunks of a memory stream that hold only messages before offset `head`, all dead.
void SegmentStore::release_below(Segment* segment, uint32_t head) {
  std::vector<Chunk>& chunks = segment->chunks();
  size_t n = 0;
  for (; n < chunks.size() && chunks[n].start + chunks[n].size <= head; n++) give_back(*segment, chunks[n]);
  chunks.erase(chunks.begin(), chunks.begin() + (std::ptrdiff_t)n);
}

void SegmentStore::compact_memory(size_t slot) {
  size_t last, first = compaction_run(slot, last);
  const Segment& front = *slots_[first].segment;
  auto fresh = new_compacted(front.seq_at(front.head()), first, last - first + 1);
  for (size_t i = first; i <= last; i++) {
    Segment& from = *slots_[i].segment;
    for (uint32_t k = from.head(); k < from.count(); k = from.next_live(k + 1)) {
      uint32_t offset = fresh->size(), length = from.entry(k).length();
      char* to = place(fresh.get(), length);
      memcpy(to, from.in_memory(from.entry(k).offset), length);
      Record record;
      bool whole = decode_record(to, length, record);
      assert(whole);
      IndexEntry e = from.entry(k);
      e.offset = offset;
      push_copied(*fresh, from.seq_at(k), e, record.time_ns);
    }
  }
  replace_slots(first, last - first + 1, std::move(fresh));
}

}  // namespace slipstream
