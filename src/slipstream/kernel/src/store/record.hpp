// How a message lies in a segment: a fixed head of 36 bytes, then subject, header and body, without padding.
//
//    0 u32 head checksum     of bytes 10.. up to the end of the header
//    4 u32 body checksum     of the body, continuing from the flags
//    8 u16 flags
//   10 u16 subject length
//   12 u32 record length     all of it, this head included
//   16 u64 sequence
//   24 i64 time, unix ns
//   32 u32 header length
//
// The head checksum leaves out the flags and the body, so that erasing a body in place (which is not atomic)
// never makes the head unreadable: after a power failure in between, the index still loads and the journal
// repeats the erasure.
#pragma once
#include <cstdint>

#include "bytes/bytes.hpp"
#include "store/message_store.hpp"

namespace slipstream {

constexpr uint32_t kRecordHead = 36;
constexpr uint16_t kRecordErased = 1;
constexpr uint64_t kRecordMax = 1u << 30;

struct Record {
  uint64_t seq;
  int64_t time_ns;
  uint32_t length, header_length, body_length;
  uint16_t subject_length, flags;
  const char* start;
  string_view subject() const { return {start + kRecordHead, subject_length}; }
  string_view header() const { return {start + kRecordHead + subject_length, header_length}; }
  string_view body() const { return {start + length - body_length, body_length}; }
  uint32_t head_length() const { return length - body_length; }
};

inline uint32_t body_checksum(const char* record, string_view body) {
  return crc32c(load16(record + 8), body.data(), body.size());
}

// Writes at `p`, which has room for `length`. Memory streams never verify, so they need no checksums.
inline void encode_record(char* p, uint32_t length, uint64_t seq, int64_t time_ns, string_view subject,
                          string_view header, string_view body, bool checksums) {
  store32(p + 8, (uint32_t)subject.size() << 16);
  store32(p + 12, length);
  store64(p + 16, seq);
  store64(p + 24, (uint64_t)time_ns);
  store32(p + 32, (uint32_t)header.size());
  char* to = p + kRecordHead;
  memcpy(to, subject.data(), subject.size());
  to += subject.size();
  if (!header.empty()) memcpy(to, header.data(), header.size());
  to += header.size();
  if (!body.empty()) memcpy(to, body.data(), body.size());
  store32(p, checksums ? crc32c(0, p + 10, (size_t)(to - p) - 10) : 0);
  store32(p + 4, checksums ? body_checksum(p, {to, body.size()}) : 0);
}

// Takes the head apart. False: what lies there (`n` bytes) cannot be a record.
inline bool decode_record(const char* p, size_t n, Record& out) {
  if (n < kRecordHead) return false;
  out.start = p;
  out.flags = load16(p + 8);
  out.subject_length = load16(p + 10);
  out.length = load32(p + 12);
  out.seq = load64(p + 16);
  out.time_ns = (int64_t)load64(p + 24);
  out.header_length = load32(p + 32);
  uint64_t head = (uint64_t)kRecordHead + out.subject_length + out.header_length;
  if (out.length < head || out.length > kRecordMax) return false;
  out.body_length = out.length - (uint32_t)head;
  return true;
}

inline bool head_valid(const Record& r) {
  return load32(r.start) == crc32c(0, r.start + 10, r.head_length() - 10);
}
inline bool body_valid(const Record& r) { return load32(r.start + 4) == body_checksum(r.start, r.body()); }

}  // namespace slipstream
