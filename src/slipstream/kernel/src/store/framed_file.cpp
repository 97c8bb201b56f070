#include "store/framed_file.hpp"

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "bytes/s2_decoder.hpp"
#include "store/segment.hpp"

namespace slipstream {
namespace {

constexpr size_t kFrameHead = 12;
constexpr uint32_t kCompressedBit = 1u << 31;
Compressor compressor = nullptr;

uint32_t frame_crc(const char* head, string_view stored) { return crc32c(crc32c(0, head, 8), stored.data(), stored.size()); }

}  // namespace

void set_compressor(Compressor given) { compressor = given; }

FramedFile::FramedFile(uint64_t base, bool compressed, const KeyRing* keys) : FramedFile(base, compressed) {
  if (!keys || !keys->current()) return;
  salt_ = keys->new_salt();
  cipher_ = keys->cipher(keys->current(), salt_);
}

uint64_t FramedFile::file_bytes() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return end_;
}

void FramedFile::put_head(Buffer& out) const {
  write_framed_segment_head(out.room(kSegmentHead), base_, key_number(), salt_);
  out.grow(kSegmentHead);
}

std::string FramedFile::context(uint32_t offset, uint32_t length_word) const {
  std::string place(16, '\0');
  store64(place.data(), base_);
  store32(place.data() + 8, offset);
  store32(place.data() + 12, length_word);
  return place;
}

void FramedFile::put_frame(Buffer& out, string_view bytes, uint32_t offset, bool compress) {
  uint32_t length_word = (uint32_t)bytes.size();
  if (compress) {
    compressed_bytes_.resize(compressed_room(bytes.size()));
    size_t n = compressor(bytes.data(), bytes.size(), compressed_bytes_.data(), compressed_bytes_.size());
    if (n && n < bytes.size()) {
      bytes = {compressed_bytes_.data(), n};
      length_word |= kCompressedBit;
    }
  }
  size_t stored = bytes.size() + (cipher_ ? kSealBytes : 0);
  char* head = out.room(kFrameHead + stored);
  out.grow(kFrameHead + stored);
  if (cipher_) cipher_->seal(bytes, context(offset, length_word), head + kFrameHead);
  else memcpy(head + kFrameHead, bytes.data(), bytes.size());
  store32(head, length_word);
  store32(head + 4, (uint32_t)stored);
  store32(head + 8, frame_crc(head, {head + kFrameHead, stored}));
}

int FramedFile::write(const OpenFile& file, const char* bytes, uint32_t n, uint32_t offset, bool may_compress) {
  std::lock_guard<std::mutex> one_writer(writing_);
  uint32_t from = length_, end = offset + n;  // only who holds writing_ changes length_ and end_
  if (end <= from) return 0;
  assert(offset <= from);
  const char* start = bytes - offset;
  Buffer out;
  std::vector<Frame> made;
  if (from == 0) {
    assert(end >= kSegmentHead);
    put_head(out);
    from = kSegmentHead;
  }
  while (from < end) {
    uint32_t piece = std::min(kFrameBytes, end - from);
    made.push_back({from, end_ + out.size()});
    put_frame(out, {start + from, piece}, from, compressed_ && may_compress);
    from += piece;
  }
  ssize_t written = file.disk->pwrite(file.handle, out.data(), out.size(), end_);
  if (written < 0) return (int)written;
  std::lock_guard<std::mutex> lock(mutex_);
  frames_.insert(frames_.end(), made.begin(), made.end());
  length_ = end;
  end_ += out.size();
  return 0;
}

FramedFile::Span FramedFile::span(uint32_t offset, uint32_t need, uint32_t ask) const {
  std::lock_guard<std::mutex> lock(mutex_);
  assert(offset >= kSegmentHead && offset + need <= length_);
  auto behind = [](uint32_t wanted, const Frame& frame) { return wanted < frame.start; };
  auto first = std::upper_bound(frames_.begin(), frames_.end(), offset, behind) - 1;
  auto last = std::upper_bound(first, frames_.end(), offset + need - 1, behind);
  auto end_of = [&](auto frame) { return frame == frames_.end() ? length_ : frame->start; };
  while (last != frames_.end() && (uint64_t)end_of(last + 1) <= (uint64_t)offset + ask) ++last;
  uint64_t end = last == frames_.end() ? end_ : last->at;
  return {first->at, (uint32_t)(end - first->at), first->start, end_of(last)};
}

bool FramedFile::decode(const Span& span, string_view stored, char* to) const {
  std::string opened;
  uint32_t offset = span.start;
  while (!stored.empty()) {
    if (stored.size() < kFrameHead) return false;
    const char* head = stored.data();
    uint32_t length_word = load32(head), stored_length = load32(head + 4), length = length_word & ~kCompressedBit;
    if (stored_length > stored.size() - kFrameHead || length > span.end - offset) return false;
    string_view bytes = stored.substr(kFrameHead, stored_length);
    if (load32(head + 8) != frame_crc(head, bytes)) return false;
    if (cipher_) {
      if (bytes.size() < kSealBytes) return false;
      opened.resize(bytes.size() - kSealBytes);
      if (!cipher_->open(bytes, context(offset, length_word), opened.data())) return false;
      bytes = opened;
    }
    if (length_word & kCompressedBit) {
      if (!decode_s2_block_with_length(bytes, to, length)) return false;
    } else {
      if (bytes.size() != length) return false;
      memcpy(to, bytes.data(), length);
    }
    to += length;
    offset += length;
    stored.remove_prefix(kFrameHead + stored_length);
  }
  return offset == span.end;
}

std::shared_ptr<FramedFile> FramedFile::open(const OpenFile& file, uint64_t base, uint32_t size, bool compressed, const KeyRing* keys,
                                             std::string& why) {
  char head[kSegmentHead];
  ssize_t n = file.disk->pread(file.handle, head, sizeof head, 0);
  if (n != (ssize_t)sizeof head) {
    why = n < 0 ? strerror((int)-n) : "it is too short";
    return nullptr;
  }
  bool is_framed = false;
  if (!mend_segment_head(head, base, is_framed, why)) return nullptr;
  std::shared_ptr<FramedFile> framed(new FramedFile(base, compressed));
  uint32_t key = load32(head + kSegmentKeyAt);
  framed->salt_.assign(head + kSegmentSaltAt, kSaltBytes);
  if (key && !(keys && (framed->cipher_ = keys->cipher(key, framed->salt_)))) {
    why = "it is encrypted with key " + std::to_string(key) + ", which the store does not have";
    return nullptr;
  }
  return framed->find_frames(file, size, why) ? framed : nullptr;
}

// The last frame is read as a whole: what lies behind it is cut off, and only its head says where that is.
bool FramedFile::find_frames(const OpenFile& file, uint32_t size, std::string& why) {
  int64_t file_size = file.disk->size(file.handle);
  end_ = length_ = kSegmentHead;
  Buffer frame;
  while (length_ < size) {
    frame.resize(kFrameHead);
    ssize_t n = file.disk->pread(file.handle, frame.data(), kFrameHead, end_);
    uint32_t length = 0, stored = 0;
    bool whole = n == (ssize_t)kFrameHead && head_plausible(frame.data(), length, stored) && length <= size - length_ &&
                 end_ + kFrameHead + stored <= (uint64_t)std::max<int64_t>(file_size, 0);
    if (whole && length_ + length == size) {
      frame.resize(kFrameHead + stored);
      n = file.disk->pread(file.handle, frame.data(), frame.size(), end_);
      whole = n == (ssize_t)frame.size() && (load32(frame.data() + 8) == frame_crc(frame.data(), {frame.data() + kFrameHead, stored}) ||
                                             end_ + frame.size() == (uint64_t)file_size);  // nothing is cut off: its records are damaged
    }
    if (!whole) {
      why = n < 0 ? strerror((int)-n) : "the frame at byte " + std::to_string(end_) + " is damaged or missing: it has bytes " +
                                      std::to_string(length_) + " and more of " + std::to_string(size);
      return false;
    }
    frames_.push_back({length_, end_});
    length_ += length;
    end_ += kFrameHead + stored;
  }
  return true;
}

// What is stored is as long as what it holds, with its seal, or shorter where it is compressed.
bool FramedFile::head_plausible(const char* head, uint32_t& length, uint32_t& stored) const {
  length = load32(head) & ~kCompressedBit;
  stored = load32(head + 4);
  uint32_t uncompressed = length + (cipher_ ? (uint32_t)kSealBytes : 0);
  if (!length || length > kFrameBytes) return false;
  return load32(head) & kCompressedBit ? stored < uncompressed : stored == uncompressed;
}

}  // namespace slipstream
