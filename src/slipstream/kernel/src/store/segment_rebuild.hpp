// What load() knows of a segment from its snapshot, and how it reads the heads of its records.
#pragma once
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "store/segment_store.hpp"

namespace slipstream {

struct SegmentStore::SegmentPlan {
  std::string name;
  uint64_t base;
  uint32_t entries, size;
  bool sealed, sparse, rewrite, dead_later = false;
  uint32_t head = 0;             // entries before it are dead
  std::vector<uint64_t> bitmap;  // if not empty: all dead entries
  std::vector<uint32_t> list;    // dead ones behind head, ascending
  bool dead(uint32_t i) const {
    if (!bitmap.empty()) return bitmap[i / 64] >> (i % 64) & 1;
    return i < head || std::binary_search(list.begin(), list.end(), i);
  }
};

// Reads a segment's file in big pieces; the bodies of long records are passed over.
class SegmentStore::HeadReader {
 public:
  HeadReader(Disk* disk, int handle, const FramedFile* frames, uint32_t size)
      : disk_(disk), handle_(handle), frames_(frames), size_(size) {}

  // `n` bytes at `at`, null if they cannot be had. Pointers into earlier pieces go stale when this reads
  // anew.
  const char* at(uint64_t at, uint64_t n) {
    if (at + n > size_) return nullptr;
    if (!holds(at, n)) read(at, n);
    return holds(at, n) ? piece_.data() + (at - start_) : nullptr;
  }
  bool holds(uint64_t at, uint64_t n) const { return at >= start_ && at + n <= start_ + piece_.size(); }
  // Where the next whole record of a sequence in [first, last] begins, behind damage at `at`; the segment's size if there is none.
  uint64_t next_record(uint64_t damage, uint64_t first, uint64_t last, Record& found) {
    const char* p = at(damage, kRecordHead);
    if (p && decode_record(p, kRecordHead, found) && damage + found.length <= size_) {  // its length may be right
      uint64_t behind = damage + found.length;
      if (behind == size_ || whole_at(behind, first, last, found)) return behind;
    }
    for (uint64_t next = damage + 1; next + kRecordHead <= size_; next++)
      if (whole_at(next, first, last, found)) return next;
    return size_;
  }
  bool whole_at(uint64_t where, uint64_t first, uint64_t last, Record& found) {
    const char* p = at(where, kRecordHead);
    if (!p || !decode_record(p, kRecordHead, found) || found.seq < first || found.seq > last) return false;
    if (where + found.length > size_ || !(p = at(where, found.head_length()))) return false;
    return decode_record(p, found.head_length(), found) && head_valid(found);
  }
  // What cannot be read there may be exactly `length` bytes of one record.
  bool may_be_one_record(uint64_t where, uint64_t length) {
    Record found;
    const char* p = at(where, kRecordHead);
    return p && decode_record(p, kRecordHead, found) && found.length == length;
  }
  void passed(uint32_t record_length) { last_length_ = record_length; }
  const std::string& error() const { return error_; }

 private:
  void read(uint64_t at, uint64_t n) {
    uint64_t ask = std::max(n, std::min(last_length_ > kLongRecord ? kShortPiece : kPiece, size_ - at));
    if (frames_) return read_frames(frames_->span((uint32_t)at, (uint32_t)n, (uint32_t)ask));
    piece_.resize(ask);
    start_ = at;
    ssize_t got = disk_->pread(handle_, piece_.data(), ask, at);
    if (got < 0) return read_pages(ask);
    piece_.resize((size_t)got);
  }
  // What the device cannot read of a piece is zeros, which no record is.
  void read_pages(uint64_t ask) {
    constexpr uint64_t kPage = 4096;
    for (uint64_t from = 0; from < ask; from += kPage) {
      uint64_t n = std::min(kPage, ask - from);
      ssize_t got = disk_->pread(handle_, piece_.data() + from, n, start_ + from);
      if (got < 0) error_ = strerror((int)-got);
      if (got < (ssize_t)n) memset(piece_.data() + from + std::max<ssize_t>(got, 0), 0, n - (size_t)std::max<ssize_t>(got, 0));
    }
  }
  void read_frames(const FramedFile::Span& span) {
    stored_.resize(span.stored);
    piece_.resize(span.end - span.start);
    start_ = span.start;
    ssize_t got = disk_->pread(handle_, stored_.data(), span.stored, span.at);
    if (got < 0) error_ = strerror((int)-got);
    bool whole = got == (ssize_t)span.stored && frames_->decode(span, stored_.view(), piece_.data());
    if (whole) return;
    error_ = "(the frames at byte " + std::to_string(span.at) + " of the file cannot be read)";
    for (uint32_t from = span.start; from < span.end;) from = read_frame(from, span.start);
  }
  // One that cannot be read is zeros. Returns where the next one begins.
  uint32_t read_frame(uint32_t from, uint32_t piece_start) {
    FramedFile::Span one = frames_->span(from, 1, 1);
    char* to = piece_.data() + (one.start - piece_start);
    stored_.resize(one.stored);
    ssize_t got = disk_->pread(handle_, stored_.data(), one.stored, one.at);
    if (got != (ssize_t)one.stored || !frames_->decode(one, stored_.view(), to)) memset(to, 0, one.end - one.start);
    return one.end;
  }
  static constexpr uint64_t kPiece = 1 << 20, kLongRecord = 256 << 10, kShortPiece = 8 << 10;
  Disk* const disk_;
  const int handle_;
  const FramedFile* const frames_;  // null: a plain file
  const uint64_t size_;
  Buffer piece_, stored_;
  uint64_t start_ = 0, last_length_ = 0;
  std::string error_;
};

}  // namespace slipstream
