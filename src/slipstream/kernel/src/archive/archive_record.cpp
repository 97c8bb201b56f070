#include "archive/archive_record.hpp"

namespace slipstream {
namespace {

void put_varint(Buffer& out, uint64_t v) {
  char* p = out.room(10);
  size_t n = 0;
  for (; v >= 0x80; v >>= 7) p[n++] = (char)(v | 0x80);
  p[n++] = (char)v;
  out.grow(n);
}

ArchiveStatus take_varint(const uint8_t*& p, const uint8_t* end, uint64_t& v) {
  v = 0;
  for (int shift = 0; p < end; shift += 7) {
    uint8_t byte = *p++;
    if (shift == 63 && byte > 1) return ArchiveStatus::invalid;
    v |= (uint64_t)(byte & 0x7f) << shift;
    if (!(byte & 0x80)) return ArchiveStatus::ok;
    if (shift == 63) return ArchiveStatus::invalid;
  }
  return ArchiveStatus::incomplete;
}

}  // namespace

void put_archive_record(Buffer& out, const ArchiveRecord& r) {
  put_varint(out, r.name.size());
  put_varint(out, (uint64_t)r.time_ns << 1 ^ (uint64_t)(r.time_ns >> 63));
  put_varint(out, r.seq);
  put_varint(out, r.header.size());
  put_varint(out, r.payload.size());
  out.append(r.name);
  out.append(r.header);
  out.append(r.payload);
}

ArchiveStatus take_archive_record(string_view& in, ArchiveRecord& r, uint64_t bytes_max) {
  const uint8_t *p = (const uint8_t*)in.data(), *end = p + in.size();
  uint64_t name = 0, time = 0, header = 0, payload = 0;
  for (uint64_t* v : {&name, &time, &r.seq, &header, &payload})
    if (ArchiveStatus status = take_varint(p, end, *v); status != ArchiveStatus::ok) return status;
  if (name > bytes_max || header > bytes_max || payload > bytes_max || name + header + payload > bytes_max)
    return ArchiveStatus::invalid;
  if ((uint64_t)(end - p) < name + header + payload) return ArchiveStatus::incomplete;
  r.time_ns = (int64_t)(time >> 1 ^ (0 - (time & 1)));
  r.name = {(const char*)p, name};
  r.header = {(const char*)p + name, header};
  r.payload = {(const char*)p + name + header, payload};
  in.remove_prefix((size_t)(p - (const uint8_t*)in.data()) + name + header + payload);
  return ArchiveStatus::ok;
}

}  // namespace slipstream
