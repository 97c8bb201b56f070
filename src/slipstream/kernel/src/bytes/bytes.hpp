// Small pieces that every part of the kernel uses: hashing, number formatting, little-endian access, checksums and a
// growable byte buffer. Nothing here knows what a message is.
//
// The room bytes/:
//   crc32c.cpp         CRC-32C, with the processor's instruction where there is one
//   siphash.hpp, siphash.cpp   the keyed hash of everything that clients name; the process draws its key
//   highwayhash.hpp, highwayhash.cpp   the checksum in files of nats-server
//   s2_decoder.hpp, s2_decoder.cpp     decompresses an S2 stream that others wrote
//   json_reader.hpp    reads the JSON objects of requests that the kernel answers itself
//   json_text.hpp      text inside a JSON string, as Go writes it
//   decimal.hpp        whole numbers of any size, for counters
//   saturating.hpp     arithmetic on times up to the ends of int64
//   large_memory.hpp   memory for big tables, aligned to huge pages
//   sliced_map.hpp     a table of which a snapshot is written over several turns
#pragma once
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>

namespace slipstream {

using std::string_view;

inline uint64_t load64(const char* p) { uint64_t v; memcpy(&v, p, 8); return v; }
inline uint32_t load32(const char* p) { uint32_t v; memcpy(&v, p, 4); return v; }
inline uint16_t load16(const char* p) { uint16_t v; memcpy(&v, p, 2); return v; }
inline void store64(char* p, uint64_t v) { memcpy(p, &v, 8); }
inline void store32(char* p, uint32_t v) { memcpy(p, &v, 4); }
inline void store16(char* p, uint16_t v) { memcpy(p, &v, 2); }

// Multiply-fold hash (in the manner of wyhash), for speed alone: who chooses the bytes can choose the hash, with or without a
// seed. What clients name in tables that grow is hashed by siphash.hpp.
inline uint64_t fold(uint64_t a, uint64_t b) {
  __uint128_t r = (__uint128_t)a * b;
  return (uint64_t)r ^ (uint64_t)(r >> 64);
}
inline uint64_t quick_hash(const char* p, size_t n, uint64_t seed = 0x9E3779B97F4A7C15ull) {
  uint64_t h = seed ^ (n * 0xA0761D6478BD642Full);
  while (n >= 8) { h = fold(load64(p) ^ 0xE7037ED1A0B428DBull, h ^ 0x8EBC6AF09C88C6E3ull); p += 8; n -= 8; }
  uint64_t tail = 0;
  memcpy(&tail, p, n);
  return fold(tail ^ 0x589965CC75374CC3ull, h ^ 0x1D8E4E27C47D124Full);
}
inline uint64_t quick_hash(string_view s, uint64_t seed = 0x9E3779B97F4A7C15ull) {
  return quick_hash(s.data(), s.size(), seed);
}

// Writes v in decimal at d and returns the number of bytes (at most 20).
inline size_t format_u64(char* d, uint64_t v) {
  char t[20];
  int i = 20;
  do { t[--i] = (char)('0' + v % 10); v /= 10; } while (v);
  memcpy(d, t + i, 20 - i);
  return 20 - i;
}

// CRC-32C (Castagnoli), hardware where the machine has it. crc32c(0, "123456789") == 0xE3069283.
uint32_t crc32c(uint32_t crc, const void* data, size_t n);

// A growable byte buffer. Memory is kept on clear() and given back by release().
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& o) noexcept : data_(o.data_), size_(o.size_), cap_(o.cap_) { o.data_ = nullptr; o.size_ = o.cap_ = 0; }
  Buffer& operator=(Buffer&& o) noexcept {
    if (this == &o) return *this;
    free(data_);
    data_ = o.data_, size_ = o.size_, cap_ = o.cap_;
    o.data_ = nullptr, o.size_ = o.cap_ = 0;
    return *this;
  }
  ~Buffer() { free(data_); }
  char* data() { return data_; }
  const char* data() const { return data_; }
  size_t size() const { return size_; }
  size_t capacity() const { return cap_; }
  bool empty() const { return size_ == 0; }
  string_view view() const { return {data_, size_}; }
  void clear() { size_ = 0; }
  void release() { free(data_); data_ = nullptr; size_ = cap_ = 0; }
  void resize(size_t n) { reserve(n); size_ = n; }
  void reserve(size_t n) {
    if (n <= cap_) return;
    if (n > SIZE_MAX / 2) throw std::bad_alloc();
    size_t cap = cap_ ? cap_ : 256;
    while (cap < n) cap *= 2;
    char* p = (char*)realloc(data_, cap);
    if (!p) throw std::bad_alloc();
    data_ = p;
    cap_ = cap;
  }
  // Room for n more bytes; write there, then grow(n written).
  char* room(size_t n) { reserve(size_ + n); return data_ + size_; }
  void grow(size_t n) { size_ += n; }
  void append(const void* p, size_t n) {
    if (n == 0) return;  // an empty view may have no address, which memcpy does not take
    memcpy(room(n), p, n);
    size_ += n;
  }
  void append(string_view s) { append(s.data(), s.size()); }
  void put8(uint8_t v) { *room(1) = (char)v; size_ += 1; }
  void put16(uint16_t v) { store16(room(2), v); size_ += 2; }
  void put32(uint32_t v) { store32(room(4), v); size_ += 4; }
  void put64(uint64_t v) { store64(room(8), v); size_ += 8; }
  void put_text(string_view s) { put32((uint32_t)s.size()); append(s); }  // u32 length, bytes

 private:
  char* data_ = nullptr;
  size_t size_ = 0, cap_ = 0;
};

// Reads what Buffer wrote. After any read past the end, ok() is false and reads give zeros.
class Reader {
 public:
  explicit Reader(string_view s) : p_(s.data()), e_(s.data() + s.size()) {}
  bool ok() const { return ok_; }
  size_t left() const { return (size_t)(e_ - p_); }
  uint8_t get8() { return need(1) ? (uint8_t)*(p_++) : 0; }
  uint16_t get16() { if (!need(2)) return 0; uint16_t v = load16(p_); p_ += 2; return v; }
  uint32_t get32() { if (!need(4)) return 0; uint32_t v = load32(p_); p_ += 4; return v; }
  uint64_t get64() { if (!need(8)) return 0; uint64_t v = load64(p_); p_ += 8; return v; }
  string_view get_bytes(size_t n) { if (!need(n)) return {}; string_view v(p_, n); p_ += n; return v; }
  string_view get_text() { return get_bytes(get32()); }

 private:
  bool need(size_t n) { if ((size_t)(e_ - p_) >= n) return true; ok_ = false; p_ = e_; return false; }
  const char *p_, *e_;
  bool ok_ = true;
};

}  // namespace slipstream
