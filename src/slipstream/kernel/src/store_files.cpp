// The files of segments: made when there is something to write, erased in place, unlinked.
//
// Names are never used twice in a folder, so that a file that a durable snapshot
// names is neither overwritten nor unlinked before a later one no longer names it.
#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "segment_store.hpp"

namespace slipstream {
namespace {

constexpr string_view kSuffix = ".segment";

// Of a name `<16 hex base>[.<hex generation>].segment`; -1: another file.
int64_t generation_of(const std::string& name) {
  unsigned long long base = 0, generation = 0;
  int end = 0;
  if (name.size() < kSuffix.size() || name.compare(name.size() - kSuffix.size(), kSuffix.size(), kSuffix) != 0) return -1;
  if (sscanf(name.c_str(), "%16llx%n", &base, &end) != 1 || end != 16) return -1;
  if (name.size() == 16 + kSuffix.size()) return 0;
  return sscanf(name.c_str() + 16, ".%llx", &generation) == 1 ? (int64_t)generation : -1;
}

}  // namespace

bool SegmentStore::fail(const std::string& what, int error) {
  failed_ = failed_ || (error != -ENOSPC && error != -EDQUOT);
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
  return true;
}

std::string SegmentStore::new_file_name(uint64_t base) {
  char name[64];
  if (generation_) snprintf(name, sizeof name, "%016llx.%x.segment", (unsigned long long)base, generation_);
  else snprintf(name, sizeof name, "%016llx.segment", (unsigned long long)base);
  return name;
}

// Makes the folder and looks at what is there already. Files without a name in the snapshot hold only what the journal
// has too; they go once a later snapshot is durable, and their names are avoided.
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
    if (orphan) retired_.push_back(name);
  }
  folder_ready_ = folder_dirty_ = true;
  return true;
}

void SegmentStore::forget_file(Segment* segment) {
  segment->file.reset();
  if (segment->named) retired_.push_back(segment->file_name);
  else unlink_files({segment->file_name});
}

// A file that cannot be unlinked now is found as an orphan by the next start, and unlinked after its first checkpoint.
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

// A body is overwritten in memory and in its file; the record stays valid and says that it was erased. What is written over it
// comes from the sequence alone, so that a seed replays; it hides nothing and needs no secret. A write job that is under
// way may still bring the old bytes to the file, but not after the write here: a file system orders writes to one file.
bool SegmentStore::erase(uint64_t seq) {
  Place place = find(seq);
  if (!place.live()) return false;
  const IndexEntry& e = *place.operator->();
  Segment* segment = place.segment;
  int error = 0;
  std::shared_ptr<OpenFile> file = segment->file && e.offset < segment->handed ? segment->file->open(error) : nullptr;
  if (error) return fail("open " + segment->file->path(), error);
  Buffer copy;
  char* p = segment->in_memory(e.offset);
  if (!p) {
    copy.resize(e.length());
    ssize_t n = disk_->pread(file->handle, copy.data(), e.length(), e.offset);
    if (n < 0) return fail("read " + segment->file->path(), (int)n);
    p = copy.data();
  }
  Record record;
  // A damaged record has no body that could be found; all of it behind the head is overwritten then.
  bool whole = decode_record(p, e.length(), record) && record.length == e.length();
  uint32_t body = e.length() - (whole ? record.body_length : e.length() - kRecordHead);
  uint64_t noise = seq;
  for (uint32_t i = body; i < e.length(); i++) p[i] = (char)(noise = fold(noise ^ 0x9E3779B97F4A7C15ull, i + 0xA0761D6478BD642Full));
  store16(p + 8, load16(p + 8) | kRecordErased);
  store32(p + 4, body_checksum(p, {p + body, e.length() - body}));
  if (file) {
    ssize_t n = disk_->pwrite(file->handle, p + 4, 6, e.offset + 4);
    if (n >= 0) n = disk_->pwrite(file->handle, p + body, e.length() - body, e.offset + body);
    if (n < 0) return fail("erase in " + segment->file->path(), (int)n);
    segment->dirty = true;
    segment->erasures++;
  }
  return remove(seq);
}

}  // namespace slipstream
