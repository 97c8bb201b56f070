// The files of segments: made when there is something to write, erased in place, unlinked.
//
// Names are never used twice in a folder, so that a file that a durable snapshot
// names is neither overwritten nor unlinked before a later one no longer names it.
#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "disk/disk_trouble.hpp"
#include "store/segment_store.hpp"

namespace slipstream {
namespace {

constexpr string_view kSuffix = ".segment";

// Of a name `<16 hex base>[.<hex generation>].segment`; -1: another file.
int64_t generation_of(const std::string& name) {
  unsigned long long base = 0, generation = 0;
  int end = 0;
  if (name.size() < kSuffix.size() ||
      name.compare(name.size() - kSuffix.size(), kSuffix.size(), kSuffix) != 0)
    return -1;
  if (sscanf(name.c_str(), "%16llx%n", &base, &end) != 1 || end != 16) return -1;
  if (name.size() == 16 + kSuffix.size()) return 0;
  return sscanf(name.c_str() + 16, ".%llx", &generation) == 1 ? (int64_t)generation : -1;
}

}  // namespace

bool SegmentStore::fail(const std::string& what, int error) {
  failed_ = failed_ || !passes(error);
  trouble_ = error;
  if (options_.trouble_noticed && !failed_) *options_.trouble_noticed = true;
  error_ = what + ": " + strerror(-error);
  return false;
}

bool SegmentStore::create_file(Segment* segment) {
  if (!folder_ready_ && !prepare_folder({})) return false;
  segment->file_name = new_file_name(segment->base);
  auto cached = std::make_shared<CachedFile>(handles_, path_of(segment->file_name));
  int error = 0;
  std::shared_ptr<OpenFile> file = cached->create(error);
  if (!file) return fail("create " + cached->path(), error);
  folder_dirty_ = true;
  segment->file = std::move(cached);
  segment->progress = std::make_shared<WriteProgress>();
  segment->frames = new_frames(segment->base);
  return true;
}

// Null where bytes lie in the file as they are.
std::shared_ptr<FramedFile> SegmentStore::new_frames(uint64_t base) const {
  if (!compressed_ && !encrypts()) return nullptr;
  return std::make_shared<FramedFile>(base, compressed_, options_.keys);
}

std::string SegmentStore::new_file_name(uint64_t base) {
  char name[64];
  if (generation_)
    snprintf(name, sizeof name, "%016llx.%x.segment", (unsigned long long)base, generation_);
  else
    snprintf(name, sizeof name, "%016llx.segment", (unsigned long long)base);
  return name;
}

// Makes the folder and looks at what is there already. Files without a name in the snapshot hold only what
// the journal has too; they go once a later snapshot is durable, and their names are avoided.
bool SegmentStore::prepare_folder(const std::vector<std::string>& named) {
  for (size_t at = 0; at != std::string::npos;) {
    at = options_.folder.find('/', at + 1);
    std::string path = options_.folder.substr(0, at);
    int error = disk_->make_folder(path);
    if (error < 0) return fail("make folder " + path, error);
  }
  std::vector<std::string> found;
  int error = disk_->list(options_.folder, found);
  if (error < 0) return fail("list " + options_.folder, error);
  std::vector<std::string> known = named;
  std::sort(known.begin(), known.end());
  for (const std::string& name : found) {
    int64_t generation = generation_of(name);
    if (generation < 0) continue;
    bool orphan = !std::binary_search(known.begin(), known.end(), name);
    generation_ = std::max(generation_, (uint32_t)generation + orphan);
    if (!orphan) continue;
    retired_.push_back(name);
    if (encrypts()) want_rewrite(true);  // it may be readable: a checkpoint that removes it is due, also of an idle stream
  }
  folder_ready_ = folder_dirty_ = true;
  return true;
}

void SegmentStore::forget_file(Segment* segment) {
  segment->file.reset();
  if (segment->named)
    retired_.push_back(segment->file_name);
  else
    unlink_files({segment->file_name});
}

// A file that cannot be unlinked now is found as an orphan by the next start, and unlinked after its first
// checkpoint.
void SegmentStore::unlink_files(std::vector<std::string> names) {
  if (names.empty()) return;
  auto job = [disk = disk_, folder = options_.folder, names = std::move(names)] {
    for (const std::string& name : names) disk->unlink(folder + "/" + name);
  };
  io_->submit(std::move(job), nullptr);
}

void SegmentStore::drop() {
  for (const Slot& slot : slots_) slot.segment->file.reset();
  remove_all();
  retired_.clear();
  unnamed_.clear();
  compactable_.clear();
  *self_ = nullptr;  // completions of jobs under way find nothing
  self_ = std::make_shared<SegmentStore*>(this);
  compacting_ = false;
  folder_ready_ = false;
  if (options_.memory) return;
  auto job = [disk = disk_, folder = options_.folder] {
    std::vector<std::string> names;
    if (disk->list(folder, names) < 0) return;
    for (const std::string& name : names)
      if (generation_of(name) >= 0) disk->unlink(folder + "/" + name);
    disk->remove_folder(folder);
  };
  io_->submit(std::move(job), nullptr);
}

namespace {

// Overwrites the body of the record at `p` and marks it; it stays valid. Returns where the body begins. The
// noise comes from the sequence alone, so that a seed replays; it hides nothing and needs no secret.
uint32_t overwrite_body(char* p, uint32_t length, uint64_t seq) {
  Record record;
  // A damaged record has no body that could be found; all behind its head is overwritten then.
  bool whole = decode_record(p, length, record) && record.length == length;
  uint32_t body = whole ? record.head_length() : kRecordHead;
  uint64_t noise = seq;
  for (uint32_t i = body; i < length; i += 8) {
    noise = fold(noise ^ 0x9E3779B97F4A7C15ull, i + 0xA0761D6478BD642Full);
    memcpy(p + i, &noise, std::min(8u, length - i));
  }
  store16(p + 8, load16(p + 8) | kRecordErased);
  store32(p + 4, body_checksum(p, {p + body, length - body}));
  return body;
}

int erase_in_file(const OpenFile& file, uint32_t offset, uint32_t length, uint64_t seq) {
  Buffer record;
  record.resize(length);
  ssize_t n = file.disk->pread(file.handle, record.data(), length, offset);
  if (n >= 0 && (size_t)n < length) n = -EIO;
  if (n < 0) return (int)n;
  uint32_t body = overwrite_body(record.data(), length, seq);
  n = file.disk->pwrite(file.handle, record.data() + 4, 6, offset + 4);
  if (n >= 0) n = file.disk->pwrite(file.handle, record.data() + body, length - body, offset + body);
  return n < 0 ? (int)n : 0;
}

}  // namespace

// In memory at once; in the file by the I/O thread, behind the writes that were handed to it before.
bool SegmentStore::erase(uint64_t seq) {
  Place place = find(seq);
  if (!place.live() || failed_) return false;
  IndexEntry e = *place.operator->();
  Segment* segment = place.segment;
  if (Chunk* chunk = segment->chunk_at(e.offset)) {
    if (segment->being_written()) {  // the job keeps the old bytes
      auto copy = std::make_shared<ChunkMemory>(chunk->capacity);
      memcpy(copy->bytes, chunk->memory->bytes, chunk->size);
      chunk->memory = std::move(copy);
    }
    overwrite_body(segment->in_memory(e.offset), e.length(), seq);
  }
  if (segment->frames && e.offset < segment->handed) {  // frames are not changed: the next checkpoint writes the segment anew
    segment->rewrite = true;
    want_rewrite(true);
    segment->erasures++;
  } else if (segment->file && e.offset < segment->handed) {
    auto result = std::make_shared<int>(0);
    auto job = [disk = disk_, path = segment->file->path(), result, progress = segment->progress, offset = e.offset,
                length = e.length(), seq] {
      // Where the record has not reached the file, its erased form will: the jobs before this one have written, or failed.
      if (progress->written.load() < offset + length) return;
      std::shared_ptr<OpenFile> file = OpenFile::at(disk, path, *result);
      if (file) *result = erase_in_file(*file, offset, length, seq);
      if (*result == -ENOENT) *result = 0;  // its live messages were copied meanwhile, and it is gone
    };
    auto done = [self = self_, result, path = segment->file->path(), base = segment->base, id = segment->id] {
      if (*result && *self) (*self)->not_erased("erase in " + path, *result, base, id);
    };
    auto begin = [io = io_, job = std::move(job), done = std::move(done)] { io->submit(job, done); };
    options_.when_synced ? options_.when_synced(begin) : begin();
    segment->dirty = true;
    segment->erasures++;
  }
  return remove(seq);
}

// The body is still in the file. The next checkpoint writes the segment anew, without the record.
void SegmentStore::not_erased(const std::string& what, int error, uint64_t base, uint64_t id) {
  fail(what, error);
  size_t slot = slot_of(base);
  if (failed_ || slot == slots_.size() || slots_[slot].segment->id != id) return;
  slots_[slot].segment->rewrite = true;
  want_rewrite(true);
}

}  // namespace slipstream
