// The tail in memory, the files of segments, and checkpoints.
//
// Bytes go to the file when their chunk is the oldest and its place is needed, or at a checkpoint; a segment that is dead
// before that never touches the disk. Names are never used twice in a folder, so that a file that a durable snapshot
// names is neither overwritten nor unlinked before a later one no longer names it.
#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "segment_store.hpp"

namespace slipstream {
namespace {

constexpr uint32_t kChunkBytesMin = 4 << 10;
constexpr uint64_t kSegmentMagic = 0x31474553534c4953ull;  // "SILSSEG1"
constexpr uint32_t kSegmentVersion = 1;
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

void write_segment_head(char* p, uint64_t base) {
  memset(p, 0, kSegmentHead);
  store64(p, kSegmentMagic);
  store32(p + 8, kSegmentVersion);
  store64(p + 16, base);
  store32(p + kSegmentHead - 4, crc32c(0, p, kSegmentHead - 4));
}

bool segment_head_valid(const char* p, uint64_t base, std::string& why) {
  if (load64(p) != kSegmentMagic || load32(p + kSegmentHead - 4) != crc32c(0, p, kSegmentHead - 4)) why = "its head is damaged";
  else if (load32(p + 8) != kSegmentVersion) why = "its format version is unknown";
  else if (load64(p + 16) != base) why = "it begins with another sequence";
  return why.empty();
}

bool SegmentStore::fail(const std::string& what, int error) {
  failed_ = failed_ || (error != -ENOSPC && error != -EDQUOT);
  error_ = what + ": " + strerror(-error);
  return false;
}

// --- the tail ------------------------------------------------------------------------------------------------------

char* SegmentStore::place(Segment* segment, uint32_t length) {
  if (!segment->has_room(length) && !make_chunk(segment, length)) return nullptr;
  return segment->place(length);
}

bool SegmentStore::make_chunk(Segment* segment, uint32_t length) {
  uint32_t capacity = std::clamp(std::max(segment->size(), segment->bytes_max / 16), kChunkBytesMin, chunk_bytes_max_);
  capacity = std::max(capacity, length);
  if (!options_.memory)
    while (!resident_.empty() && chunk_bytes_ + capacity > options_.tail_bytes)
      if (!evict_oldest()) return false;
  char* bytes = nullptr;
  if (capacity == chunk_bytes_max_) std::swap(bytes, spare_chunk_);
  if (!bytes) bytes = (char*)malloc(capacity);
  if (!bytes) throw std::bad_alloc();
  if (!options_.memory && (resident_.empty() || resident_.back() != segment)) resident_.push_back(segment);
  segment->add_chunk(bytes, capacity);
  chunk_bytes_ += capacity;
  return true;
}

bool SegmentStore::evict_oldest() {
  Segment* segment = resident_.front();
  Chunk& oldest = segment->chunks().front();
  if (segment->written < oldest.start + oldest.size && !write_segment(segment, oldest.start + oldest.size)) return false;
  give_back(oldest);
  segment->chunks().erase(segment->chunks().begin());
  if (segment->chunks().empty()) resident_.pop_front();
  return true;
}

void SegmentStore::give_back(Chunk& chunk) {
  chunk_bytes_ -= chunk.capacity;
  if (chunk.capacity == chunk_bytes_max_ && !spare_chunk_) {
    spare_chunk_ = chunk.bytes;
  } else {
    free(chunk.bytes);
  }
}

void SegmentStore::release_chunks(Segment* segment) {
  for (Chunk& chunk : segment->chunks()) give_back(chunk);
  segment->chunks().clear();
  auto resident = std::find(resident_.begin(), resident_.end(), segment);
  if (resident != resident_.end()) resident_.erase(resident);
}

// --- files ---------------------------------------------------------------------------------------------------------

// Writes what is in memory up to offset `end` and not yet in the file.
bool SegmentStore::write_segment(Segment* segment, uint32_t end) {
  if (!segment->file && !create_file(segment)) return false;
  int error = 0;
  std::shared_ptr<OpenFile> file = segment->file->open(error);
  if (!file) return fail("open " + segment->file->path(), error);
  for (const Chunk& chunk : segment->chunks()) {
    uint32_t from = std::max(chunk.start, segment->written), to = std::min(chunk.start + chunk.size, end);
    if (from >= to) continue;
    assert(from == segment->written);
    ssize_t n = disk_->pwrite(file->handle, chunk.bytes + (from - chunk.start), to - from, from);
    if (n < 0) return fail("write " + segment->file->path(), (int)n);
    segment->written = to;
    segment->dirty = true;
  }
  assert(segment->written >= end);
  if (!failed_) error_.clear();  // there is room again
  return true;
}

bool SegmentStore::create_file(Segment* segment) {
  if (!folder_ready_ && !prepare_folder({})) return false;
  segment->file_name = new_file_name(segment->base);
  auto cached = std::make_shared<CachedFile>(handles_, path_of(segment->file_name));
  int error = 0;
  std::shared_ptr<OpenFile> file = cached->create(error);
  if (!file) return fail("create " + cached->path(), error);
  folder_dirty_ = true;
  char head[kSegmentHead];
  write_segment_head(head, segment->base);
  ssize_t n = disk_->pwrite(file->handle, head, kSegmentHead, 0);
  if (n < 0) {
    retired_.push_back(segment->file_name);
    generation_++;
    return fail("write " + cached->path(), (int)n);
  }
  segment->file = std::move(cached);
  segment->dirty = true;
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

// --- checkpoints ---------------------------------------------------------------------------------------------------

namespace {

constexpr uint32_t kSnapshotVersion = 1;
enum DeadEncoding : uint8_t { kDeadHead, kDeadBitmap, kDeadList };

void put_dead(Buffer& out, const Segment& segment) {
  const DeadMap* dead = segment.dead();
  if (!dead) {
    out.put8(kDeadHead);
    out.put32(segment.head());
    return;
  }
  uint32_t behind_head = segment.count() - segment.head() - segment.live();
  if ((uint64_t)behind_head * 4 < dead->words().size() * 8) {
    out.put8(kDeadList);
    out.put32(segment.head());
    out.put32(behind_head);
    for (uint32_t i = segment.head(); i < segment.count(); i++)
      if (!segment.entry(i).live()) out.put32(i);
    return;
  }
  out.put8(kDeadBitmap);
  out.put32((uint32_t)dead->words().size());
  for (uint64_t word : dead->words()) out.put64(word);
}

}  // namespace

bool SegmentStore::write_tail() {
  for (Segment* segment : resident_)
    if (segment->written < segment->size() && !write_segment(segment, segment->size())) return false;
  start_compaction();
  return true;
}

bool SegmentStore::snapshot(Buffer& out, std::vector<SyncStep>& sync) {
  if (failed_ || !write_tail()) return false;
  if (!appended_since_snapshot_ && !options_.memory) {  // idle: the page cache will do
    while (!resident_.empty()) release_chunks(resident_.front());
    free(spare_chunk_);
    spare_chunk_ = nullptr;
  }
  appended_since_snapshot_ = false;
  bool keeps = !options_.memory && messages_;
  out.put32(kSnapshotVersion);
  out.put64(last_seq_);
  out.put64((uint64_t)last_time_ns_);
  out.put64(messages_ ? last_seq_ + 1 : empty_first_);
  out.put64(keeps ? messages_ : 0);
  out.put64(keeps ? bytes_ : 0);
  out.put64(keeps ? subjects_.with_messages() : 0);
  out.put32(next_segment_bytes_);
  out.put32(entry_bytes_expected_);
  out.put32(keeps ? (uint32_t)slots_.size() : 0);
  for (const Slot& slot : slots_) {
    if (!keeps) break;
    Segment& segment = *slot.segment;
    assert(segment.file && segment.written == segment.size());
    out.put_text(segment.file_name);
    out.put64(segment.base);
    out.put32(segment.count());
    out.put32(segment.size());
    out.put8(segment.sealed);
    put_dead(out, segment);
    segment.named = true;
    if (!segment.dirty) continue;
    int error = 0;
    std::shared_ptr<OpenFile> file = segment.file->open(error);
    if (!file) return fail("open " + segment.file->path(), error);
    sync.push_back([file] { return file->disk->sync(file->handle); });
    segment.dirty = false;
  }
  if (folder_dirty_) {
    for (size_t at = 0; at != std::string::npos;) {
      sync.push_back([disk = disk_, path = options_.folder.substr(0, at)] { return disk->sync_folder(path); });
      at = options_.folder.find('/', at + 1);
    }
    sync.push_back([disk = disk_, path = options_.folder] { return disk->sync_folder(path); });
    folder_dirty_ = false;
  }
  unnamed_.insert(unnamed_.end(), retired_.begin(), retired_.end());
  retired_.clear();
  return true;
}

void SegmentStore::checkpoint_durable() {
  unlink_files(std::move(unnamed_));
  unnamed_.clear();
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

// --- load ----------------------------------------------------------------------------------------------------------

struct SegmentStore::SegmentPlan {
  std::string name;
  uint64_t base;
  uint32_t entries, size;
  bool sealed;
  uint32_t head = 0;              // entries before it are dead
  std::vector<uint64_t> bitmap;   // if not empty: all dead entries
  std::vector<uint32_t> list;     // dead ones behind head, ascending
};

bool SegmentStore::load_failed(const std::string& what) {
  error_ = what;
  failed_ = true;
  return false;
}

bool SegmentStore::load_segment(Reader& in, std::vector<SegmentPlan>& plans) {
  SegmentPlan plan;
  plan.name = std::string(in.get_text());
  plan.base = in.get64();
  plan.entries = in.get32();
  plan.size = in.get32();
  plan.sealed = in.get8() != 0;
  uint8_t encoding = in.get8();
  uint32_t n = in.get32();
  if (encoding == kDeadHead) {
    plan.head = n;
  } else if (encoding == kDeadList) {
    plan.head = n;
    n = in.get32();
    for (uint32_t i = 0; i < n && in.ok(); i++) plan.list.push_back(in.get32());
  } else if (encoding == kDeadBitmap) {
    for (uint32_t i = 0; i < n && in.ok(); i++) plan.bitmap.push_back(in.get64());
    if (n != (plan.entries + 63) / 64) return load_failed("the snapshot of a segment is damaged");
  } else {
    return load_failed("the snapshot has an unknown encoding of removed messages");
  }
  if (!in.ok() || !plan.base || plan.size < kSegmentHead || plan.head > plan.entries) {
    return load_failed("the snapshot of a segment is damaged");
  }
  plans.push_back(std::move(plan));
  return true;
}

bool SegmentStore::load(Reader& in) {
  assert(slots_.empty() && !last_seq_);
  uint32_t version = in.get32();
  if (version != kSnapshotVersion) return load_failed("the snapshot's format version is unknown");
  last_seq_ = in.get64();
  last_time_ns_ = (int64_t)in.get64();
  empty_first_ = in.get64();
  uint64_t messages = in.get64(), bytes = in.get64(), subjects = in.get64();
  next_segment_bytes_ = (uint32_t)std::clamp<uint64_t>(in.get32(), options_.segment_bytes_min, options_.segment_bytes_max);
  entry_bytes_expected_ = in.get32();
  uint32_t segments = in.get32();
  std::vector<SegmentPlan> plans;
  for (uint32_t i = 0; i < segments && in.ok(); i++)
    if (!load_segment(in, plans)) return false;
  if (!in.ok()) return load_failed("the snapshot is shorter than it should be");
  if (options_.memory) return segments == 0 || load_failed("a memory stream's snapshot names segments");
  subjects_.reserve(std::min<uint64_t>(subjects, messages));
  std::vector<std::string> named;
  for (const SegmentPlan& plan : plans) named.push_back(plan.name);
  if (!prepare_folder(named)) return false;
  for (const SegmentPlan& plan : plans) {
    if (!slots_.empty() && plan.base < slots_.back().segment->end()) return load_failed("the snapshot's segments overlap");
    uint32_t bytes_max = (uint32_t)std::max<uint64_t>(plan.size, plan.sealed ? 0 : next_segment_bytes_);
    slots_.push_back({plan.base, std::make_unique<Segment>(plan.base, bytes_max, false, plan.entries)});
    if (!rebuild(slots_.back().segment.get(), plan)) return false;
  }
  if (messages_ != messages || bytes_ != bytes || subjects_.with_messages() != subjects) {
    return load_failed("the segments hold other messages than the snapshot says");
  }
  // Only now that all is whole: what was appended behind the snapshot is cut; the journal has it.
  for (const Slot& slot : slots_) {
    int error = 0;
    std::shared_ptr<OpenFile> file = slot.segment->file->open(error);
    if (!file) return fail("open " + slot.segment->file->path(), error);
    if (disk_->size(file->handle) == (int64_t)slot.segment->size()) continue;
    error = disk_->truncate(file->handle, slot.segment->size());
    if (error < 0) return fail("truncate " + slot.segment->file->path(), error);
    slot.segment->dirty = true;
  }
  return true;
}

// Reads the heads of a segment's records in big pieces (bodies of a size are passed over) and makes its index.
bool SegmentStore::rebuild(Segment* segment, const SegmentPlan& plan) {
  constexpr uint64_t kPiece = 1 << 20, kLongRecord = 256 << 10, kShortPiece = 8 << 10;
  segment->file_name = plan.name;
  segment->file = std::make_shared<CachedFile>(handles_, path_of(plan.name));
  const std::string& path = segment->file->path();
  int error = 0;
  std::shared_ptr<OpenFile> file = segment->file->open(error);
  if (!file) return fail("open " + path, error);
  if (disk_->size(file->handle) < (int64_t)plan.size) return load_failed(path + " is shorter than when it was synced");
  Buffer piece;
  uint64_t start = 0, at = kSegmentHead, last_length = 0;
  std::string why;
  // The piece holds at least `n` bytes from `at` on, or false.
  auto have = [&](uint64_t n) {
    if (at + n > plan.size) return false;
    if (at >= start && at + n <= start + piece.size()) return true;
    uint64_t ask = std::max(n, std::min(last_length > kLongRecord ? kShortPiece : kPiece, plan.size - at));
    piece.resize(ask);
    start = at;
    ssize_t got = disk_->pread(file->handle, piece.data(), ask, at);
    if (got < 0) why = strerror((int)-got);
    piece.resize(got < 0 ? 0 : (size_t)got);
    return piece.size() >= n;
  };
  at = 0;
  if (!have(kSegmentHead)) return load_failed(path + " cannot be read: " + why);
  if (!segment_head_valid(piece.data(), plan.base, why)) return load_failed(path + ": " + why);
  at = kSegmentHead;
  size_t next_listed = 0;
  while (at < plan.size) {
    Record record;
    bool whole = have(kRecordHead) && decode_record(piece.data() + (at - start), kRecordHead, record) &&
                 at + record.length <= plan.size && have(record.head_length());
    whole = whole && decode_record(piece.data() + (at - start), record.head_length(), record) && head_valid(record);
    if (!whole || record.seq < segment->end() || record.seq - plan.base >= plan.entries) {
      return load_failed(path + ": the record at offset " + std::to_string(at) + " is damaged " + why);
    }
    while (segment->end() < record.seq) segment->push_dead(segment->last_time_ns);
    uint32_t i = segment->count();
    bool dead = plan.bitmap.empty() ? i < plan.head : plan.bitmap[i / 64] >> (i % 64) & 1;
    while (next_listed < plan.list.size() && plan.list[next_listed] < i) next_listed++;
    if (next_listed < plan.list.size() && plan.list[next_listed] == i) dead = true;
    segment->set_size((uint32_t)at + record.length);
    if (dead) {
      segment->push_dead(record.time_ns);
    } else {
      uint32_t id = subjects_.intern(record.subject());
      link(id, record.seq);
      segment->push((uint32_t)at, record.length, record.header_length != 0, id, record.time_ns);
      messages_++;
      bytes_ += message_bytes(segment->entry(i));
    }
    last_length = record.length;
    at += record.length;
  }
  if (segment->count() != plan.entries) return load_failed(path + " holds other messages than the snapshot says");
  segment->written = plan.size;
  segment->named = true;
  if (plan.sealed) segment->seal();
  return true;
}

}  // namespace slipstream
