// Checkpoints: a snapshot describes a store in a few hundred bytes a segment, and load() makes the store from
// it.
//
// load() believes nothing: each file's head, each record's head checksum, and the totals must be as the
// snapshot says, before anything on the disk is changed. The index is rebuilt from the records' heads.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "store/segment_rebuild.hpp"

namespace slipstream {
namespace {

constexpr uint32_t kSnapshotVersion = 3;  // 1: without kRewrite; 2: without kDeadLater
constexpr uint8_t kSparse = 1, kRewrite = 2;
// kDeadLater: behind all segments, as one of the others, led by the segment's number.
enum DeadEncoding : uint8_t { kDeadHead, kDeadBitmap, kDeadList, kDeadLater };
constexpr size_t kDeadWordsPerEntry = 8;  // of a bitmap, in the time that another table's entry takes

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
    for (uint32_t word = segment.head() / 64; word < dead->words().size(); word++)
      for (uint64_t bits = dead->words()[word]; bits; bits &= bits - 1)
        if (uint32_t i = word * 64 + (uint32_t)__builtin_ctzll(bits); i >= segment.head()) out.put32(i);
    return;
  }
  out.put8(kDeadBitmap);
  out.put32((uint32_t)dead->words().size());
  out.append(dead->words().data(), dead->words().size() * 8);
}

}  // namespace

bool SegmentStore::snapshot(Buffer& out, CheckpointSyncs& syncs) {
  if (failed_ || !write_tail()) return false;
  appended_since_snapshot_ = false;
  assert(unwritten_dead_.empty());
  dead_out_ = &out;
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
    assert(segment.file && segment.handed == segment.size());
    out.put_text(segment.file_name);
    out.put64(segment.base);
    out.put32(segment.count());
    out.put32(segment.size());
    out.put8(segment.sealed);
    out.put8((uint8_t)((segment.sparse() ? kSparse : 0) | (segment.rewrite ? kRewrite : 0)));
    if (segment.sealed && segment.dead()) {
      unwritten_dead_.push_back(&segment);
      segment.dead_number = (uint32_t)unwritten_dead_.size();
      out.put8(kDeadLater);
    } else {
      put_dead(out, segment);
    }
    segment.named = true;
    segment.described = segment.size();
    if (!segment.dirty) continue;
    syncs.add_file(segment.file->path(), segment.progress, segment.size());
    segment.dirty = false;
  }
  if (folder_dirty_) {
    for (size_t at = 0; at != std::string::npos; at = options_.folder.find('/', at + 1))
      syncs.add_shared_folder(options_.folder.substr(0, at));
    syncs.add_folder(options_.folder);
    folder_dirty_ = false;
  }
  unnamed_.insert(unnamed_.end(), retired_.begin(), retired_.end());
  retired_.clear();
  return true;
}

void SegmentStore::put_dead_now(Segment* segment) {
  uint32_t number = std::exchange(segment->dead_number, 0);
  unwritten_dead_[number - 1] = nullptr;
  dead_out_->put32(number);
  put_dead(*dead_out_, *segment);
}

bool SegmentStore::write_dead(Buffer& out, size_t entries) {
  assert(&out == dead_out_);
  for (size_t words = entries * kDeadWordsPerEntry; dead_at_ < unwritten_dead_.size(); dead_at_++) {
    Segment* segment = unwritten_dead_[dead_at_];
    if (!segment) continue;
    if (!words) return false;
    words -= std::min(words, segment->dead()->words().size());
    put_dead_now(segment);
  }
  return true;
}

void SegmentStore::end_dead() {
  for (Segment* segment : unwritten_dead_)
    if (segment) segment->dead_number = 0;
  unwritten_dead_.clear();
  dead_at_ = 0;
  dead_out_ = nullptr;
}

bool SegmentStore::frees_files() const {
  auto written = [](const Segment* s) { return s->written() == s->size(); };
  return !failed_ && !(retired_.empty() && unnamed_.empty()) && std::all_of(resident_.begin(), resident_.end(), written);
}

void SegmentStore::snapshot_abandoned() {
  for (const Slot& slot : slots_) slot.segment->dirty |= slot.segment->file != nullptr;
  folder_dirty_ |= folder_ready_;
}

void SegmentStore::checkpoint_durable() {
  unlink_files(std::move(unnamed_));
  unnamed_.clear();
  if (appended_since_snapshot_ || options_.memory) return;
  // An idle stream: what is in its tail is in the page cache too, if anybody wants it.
  while (!resident_.empty() && resident_.front()->written() == resident_.front()->size())
    release_chunks(resident_.front());
  spare_chunk_.reset();
}

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
  uint8_t flags = in.get8();
  plan.sparse = flags & kSparse;
  plan.rewrite = flags & kRewrite;
  if (!load_dead(in, plan)) return false;
  if (!in.ok() || !plan.base || plan.size < kSegmentHead || plan.head > plan.entries) {
    return load_failed("the snapshot of a segment is damaged");
  }
  plans.push_back(std::move(plan));
  return true;
}

bool SegmentStore::load_dead(Reader& in, SegmentPlan& plan) {
  uint8_t encoding = in.get8();
  plan.dead_later = encoding == kDeadLater;
  if (plan.dead_later) return true;
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
  return true;
}

bool SegmentStore::load_later_dead(Reader& in, std::vector<SegmentPlan>& plans) {
  std::vector<SegmentPlan*> later;
  for (SegmentPlan& plan : plans)
    if (plan.dead_later) later.push_back(&plan);
  for (size_t left = later.size(); left; left--) {
    uint32_t number = in.get32();
    if (!in.ok() || !number || number > later.size() || !later[number - 1]->dead_later)
      return load_failed("the snapshot of a segment is damaged");
    SegmentPlan& plan = *later[number - 1];
    if (!load_dead(in, plan)) return false;
    if (plan.dead_later || plan.head > plan.entries) return load_failed("the snapshot of a segment is damaged");
  }
  return true;
}

bool SegmentStore::load(Reader& in) {
  assert(slots_.empty() && !last_seq_);
  uint32_t version = in.get32();
  if (version < 1 || version > kSnapshotVersion) return load_failed("the snapshot's format version is unknown");
  last_seq_ = in.get64();
  last_time_ns_ = (int64_t)in.get64();
  empty_first_ = in.get64();
  uint64_t messages = in.get64(), bytes = in.get64(), subjects = in.get64();
  next_segment_bytes_ =
      (uint32_t)std::clamp<uint64_t>(in.get32(), options_.segment_bytes_min, options_.segment_bytes_max);
  entry_bytes_expected_ = in.get32();
  uint32_t segments = in.get32();
  std::vector<SegmentPlan> plans;
  for (uint32_t i = 0; i < segments && in.ok(); i++)
    if (!load_segment(in, plans)) return false;
  if (!load_later_dead(in, plans)) return false;
  if (!in.ok()) return load_failed("the snapshot is shorter than it should be");
  if (options_.memory) return segments == 0 || load_failed("a memory stream's snapshot names segments");
  uint64_t bytes_on_disk = 0;
  for (const SegmentPlan& plan : plans) bytes_on_disk += plan.size;
  subjects_.reserve(std::min({subjects, messages, bytes_on_disk / kRecordHead}));  // the snapshot's numbers may be damaged
  std::vector<std::string> named;
  for (const SegmentPlan& plan : plans) named.push_back(plan.name);
  if (!prepare_folder(named)) return false;
  for (const SegmentPlan& plan : plans) {
    if (!slots_.empty() && plan.base < slots_.back().segment->end())
      return load_failed("the snapshot's segments overlap");
    uint32_t bytes_max = (uint32_t)std::max<uint64_t>(plan.size, plan.sealed ? 0 : next_segment_bytes_);
    const auto entries_expected = (uint32_t)std::min<uint64_t>(plan.entries, plan.size / kRecordHead);
    slots_.push_back({plan.base, std::make_unique<Segment>(plan.base, bytes_max, entries_expected)});
    if (!rebuild(slots_.back().segment.get(), plan)) return false;
  }
  bool others = bytes_ != bytes || subjects_.with_messages() != subjects;
  if (messages_ != messages || (others && damaged_.empty())) {
    return load_failed("the segments hold other messages than the snapshot says");
  }
  error_ = mended_;
  // Only now that all is whole: what was appended behind the snapshot is cut; the journal has it.
  for (const Slot& slot : slots_) {
    int error = 0;
    std::shared_ptr<OpenFile> file = slot.segment->file->open(error);
    if (!file) return fail("open " + slot.segment->file->path(), error);
    uint64_t size = slot.segment->frames ? slot.segment->frames->file_bytes() : slot.segment->size();
    if (disk_->size(file->handle) == (int64_t)size) continue;
    error = disk_->truncate(file->handle, size);
    if (error < 0) return fail("truncate " + slot.segment->file->path(), error);
    slot.segment->dirty = true;
  }
  return true;
}

bool SegmentStore::rebuild(Segment* segment, const SegmentPlan& plan) {
  segment->file_name = plan.name;
  segment->file = std::make_shared<CachedFile>(handles_, path_of(plan.name));
  segment->progress = std::make_shared<WriteProgress>();
  const std::string& path = segment->file->path();
  int error = 0;
  std::shared_ptr<OpenFile> file = segment->file->open(error);
  if (!file) return fail("open " + path, error);
  char head[kSegmentHead];
  std::string why;
  bool framed = false;
  ssize_t got = disk_->pread(file->handle, head, kSegmentHead, 0);
  if (got < 0) return load_failed(path + " cannot be read: " + strerror((int)-got));
  const std::string is_short = path + " is shorter than when it was synced, of " + std::to_string(plan.size) + " bytes";
  if (got < (ssize_t)kSegmentHead) return load_failed(is_short);
  if (std::string damage; !segment_head_valid(head, plan.base, framed, damage))
    mended_ += (mended_.empty() ? "" : "; ") + path + ": " + damage;
  if (!mend_segment_head(head, plan.base, framed, why) && !(why == kHeadDamaged && begins_with_a_record(*file)))
    return load_failed(path + ": " + why);
  if (!framed && disk_->size(file->handle) < (int64_t)plan.size)
    return load_failed(is_short);
  if (framed && !(segment->frames = FramedFile::open(*file, plan.base, plan.size, compressed_, options_.keys, why)))
    return load_failed(path + ": " + why);
  // Turning encryption on, or to another key, concerns what is there already; compression does not.
  uint32_t key = segment->frames ? segment->frames->key_number() : 0, wanted = options_.keys ? options_.keys->current() : 0;
  segment->rewrite = plan.rewrite || key != wanted;
  if (segment->rewrite) want_rewrite(true);
  HeadReader reader(disk_, file->handle, segment->frames.get(), plan.size);
  if (plan.sparse) segment->make_sparse();
  // In batches, because a subject's place in the table is far away and several can be on their way at once.
  constexpr size_t kBatch = 16;
  Record batch[kBatch];
  std::vector<uint32_t> lost;  // of a sparse segment with damage
  for (uint64_t at = kSegmentHead; at < plan.size;) {
    size_t n = 0;
    bool damaged = false;
    for (; n < kBatch && at < plan.size; n++) {
      Record& r = batch[n];
      if (n && !(reader.holds(at, kRecordHead) && decode_record(reader.at(at, kRecordHead), kRecordHead, r) &&
                 reader.holds(at, r.head_length())))
        break;
      const char* p = reader.at(at, kRecordHead);
      bool whole = p && decode_record(p, kRecordHead, r) && at + r.length <= plan.size &&
                   (p = reader.at(at, r.head_length()));
      damaged = !whole || !decode_record(p, r.head_length(), r) || !head_valid(r);
      if (damaged) break;
      subjects_.expect(r.subject());
      reader.passed(r.length);
      at += r.length;
    }
    for (size_t i = 0; i < n; i++)
      if (!load_record(segment, plan, batch[i]))
        return load_failed(path + " holds other messages than the snapshot says");
    if (damaged && !pass_damage(segment, plan, reader, at, lost))
      return load_failed(path + ": the record at offset " + std::to_string(at) + " is damaged " + reader.error());
  }
  if (segment->count() != plan.entries)
    return load_failed(path + " holds other messages than the snapshot says");
  segment->handed = plan.size;
  segment->progress->advance(plan.size);
  segment->named = true;
  if (plan.sealed) segment->seal();
  return true;
}

bool SegmentStore::load_record(Segment* segment, const SegmentPlan& plan, const Record& record) {
  uint64_t last = plan.sparse ? plan.base + kFar - 1 : plan.base + plan.entries - 1;
  if (record.seq < segment->end() || record.seq > last || segment->count() >= plan.entries) return false;
  while (!plan.sparse && segment->end() < record.seq)
    segment->push(segment->end(), kNeverThere, segment->last_time_ns);
  uint32_t i = segment->count();
  if (i >= plan.entries) return false;
  uint32_t offset = std::max(segment->size(), kSegmentHead);
  segment->set_size(offset + record.length);
  if (plan.dead(i)) {
    segment->push(record.seq, kNeverThere, record.time_ns);
    return true;
  }
  uint32_t id = subjects_.intern(record.subject());
  link(id, record.seq);
  IndexEntry e{offset, pack_length(record.length, record.header_length != 0), id, 0};
  segment->push(record.seq, e, record.time_ns);
  messages_++;
  bytes_ += message_bytes(e);
  return true;
}

}  // namespace slipstream
