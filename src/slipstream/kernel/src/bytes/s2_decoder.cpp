#include "bytes/s2_decoder.hpp"

namespace slipstream {
namespace {

constexpr uint8_t kCompressed = 0x00, kUncompressed = 0x01, kSkippableFirst = 0x80, kStreamIdentifier = 0xff;
constexpr size_t kChunkHead = 4, kChecksum = 4, kSnappyBlockBytesMax = 64 << 10;

uint32_t masked_crc(string_view block) {
  uint32_t crc = crc32c(0, block.data(), block.size());
  return (crc >> 15 | crc << 17) + 0xa282ead8;
}

// Little-endian; false when the input ends before.
bool take(const uint8_t*& p, const uint8_t* end, int n, uint32_t& value) {
  if (end - p < n) return false;
  value = 0;
  for (int i = 0; i < n; i++) value |= (uint32_t)p[i] << (8 * i);
  p += n;
  return true;
}

bool take_varint(const uint8_t*& p, const uint8_t* end, uint64_t& value) {
  value = 0;
  for (int shift = 0; shift < 35 && p < end; shift += 7) {
    uint8_t byte = *p++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return true;
  }
  return false;
}

// An element's length and, for copies, offset. Offset 0 in the two-byte form says: the offset of the copy before.
struct Element { bool literal; uint32_t length, offset; };

bool take_element(const uint8_t*& p, const uint8_t* end, uint32_t last_offset, Element& e) {
  uint8_t tag = *p++;
  uint32_t more = 0;
  switch (tag & 3) {
    case 0: {
      uint32_t length = tag >> 2;
      if (length >= 60 && !take(p, end, (int)length - 59, length)) return false;
      e = {true, length, 0};
      return length != UINT32_MAX && ++e.length;
    }
    case 1: {
      if (!take(p, end, 1, more)) return false;
      uint32_t length = tag >> 2 & 7, offset = (uint32_t)(tag & 0xe0) << 3 | more;
      if (offset == 0) {
        offset = last_offset;
        if (length >= 5) {
          int bytes = (int)length - 4;
          constexpr uint32_t kBase[] = {4, 1 << 8, 1 << 16};
          if (!take(p, end, bytes, more)) return false;
          length = more + kBase[bytes - 1];
        }
      }
      e = {false, length + 4, offset};
      return true;
    }
    default: {
      bool wide = (tag & 3) == 3;
      if (!take(p, end, wide ? 4 : 2, more)) return false;
      e = {false, (uint32_t)(tag >> 2) + 1, more};
      return true;
    }
  }
}

}  // namespace

bool decode_s2_block(string_view in, char* to, size_t to_size) {
  const uint8_t *p = (const uint8_t*)in.data(), *end = p + in.size();
  size_t at = 0;
  uint32_t last_offset = 0;
  while (p < end) {
    Element e;
    if (!take_element(p, end, last_offset, e) || e.length > to_size - at) return false;
    if (e.literal) {
      if ((size_t)(end - p) < e.length) return false;
      memcpy(to + at, p, e.length);
      p += e.length;
    } else {
      if (e.offset == 0 || e.offset > at) return false;
      last_offset = e.offset;
      const char* from = to + at - e.offset;
      if (e.offset >= e.length) memcpy(to + at, from, e.length);
      else
        for (uint32_t i = 0; i < e.length; i++) to[at + i] = from[i];  // the copy overlaps itself: a run
    }
    at += e.length;
  }
  return at == to_size;
}

bool decode_s2_block_with_length(string_view in, char* to, size_t to_size) {
  const uint8_t *p = (const uint8_t*)in.data(), *end = p + in.size();
  uint64_t length = 0;
  return take_varint(p, end, length) && length == to_size && decode_s2_block({(const char*)p, (size_t)(end - p)}, to, to_size);
}

void S2Decoder::feed(string_view bytes) {
  if (skip_) {
    size_t n = std::min(skip_, bytes.size());
    skip_ -= n;
    bytes.remove_prefix(n);
  }
  if (start_) {  // what is left moves to the front: less than a chunk
    memmove(in_.data(), in_.data() + start_, in_.size() - start_);
    in_.resize(in_.size() - start_);
    start_ = 0;
  }
  in_.append(bytes);
}

string_view S2Decoder::next() {
  while (!error_ && in_.size() - start_ >= kChunkHead) {
    const char* head = in_.data() + start_;
    uint8_t type = (uint8_t)head[0];
    size_t length = load32(head) >> 8, there = in_.size() - start_ - kChunkHead;
    if (!magic_seen_ && type != kStreamIdentifier) return fail("not an S2 or Snappy stream");
    if (type >= kSkippableFirst && type != kStreamIdentifier) {
      size_t n = std::min(length, there);
      skip_ = length - n;
      start_ += kChunkHead + n;
      continue;
    }
    if (length > kChunkBytesMax) return fail("a chunk of the S2 stream is too long");
    if (there < length) return {};
    string_view chunk(head + kChunkHead, length);
    start_ += kChunkHead + length;
    if (type == kStreamIdentifier) {
      if (chunk != "S2sTwO" && chunk != "sNaPpY") return fail("not an S2 or Snappy stream");
      snappy_ = chunk == "sNaPpY";
      magic_seen_ = true;
    } else if (!decode_chunk(type, chunk)) {
      return {};
    } else if (block_.size()) {
      return block_.view();
    }
  }
  return {};
}

bool S2Decoder::decode_chunk(uint8_t type, string_view chunk) {
  size_t block_max = snappy_ ? kSnappyBlockBytesMax : kBlockBytesMax;
  if (type > kUncompressed) return fail("a chunk of the S2 stream has an unknown type"), false;
  if (chunk.size() < kChecksum) return fail("a chunk of the S2 stream is too short"), false;
  uint32_t checksum = load32(chunk.data());
  chunk.remove_prefix(kChecksum);
  if (type == kUncompressed) {
    if (chunk.size() > block_max) return fail("a block of the S2 stream is too long"), false;
    block_.clear();
    block_.append(chunk);
  } else {
    const uint8_t *p = (const uint8_t*)chunk.data(), *end = p + chunk.size();
    uint64_t length = 0;
    if (!take_varint(p, end, length)) return fail("a block of the S2 stream is damaged"), false;
    if (length > block_max) return fail("a block of the S2 stream is too long"), false;
    block_.resize(length);
    if (!decode_s2_block({(const char*)p, (size_t)(end - p)}, block_.data(), length))
      return fail("a block of the S2 stream is damaged"), false;
  }
  if (masked_crc(block_.view()) != checksum) return fail("a checksum of the S2 stream is wrong"), false;
  return true;
}

}  // namespace slipstream
