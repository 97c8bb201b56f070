// CRC-32C with the SSE4.2 instruction, or a table where the machine lacks it.
//
// The instruction takes three cycles but one can be begun in each, so long inputs are cut in three lanes that
// run side by side. Lanes are joined by linearity: the state after a lane of n bytes is the state of the lane
// alone, XOR the state before it moved over n zero bytes; that move is a table lookup.
#include "bytes/bytes.hpp"
#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace slipstream {
namespace {

struct Table {
  uint32_t t[8][256];
  Table() {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;
      for (int k = 0; k < 8; k++) c = (c >> 1) ^ (0x82F63B78u & (0u - (c & 1)));
      t[0][i] = c;
    }
    for (int s = 1; s < 8; s++)
      for (uint32_t i = 0; i < 256; i++) t[s][i] = (t[s - 1][i] >> 8) ^ t[0][t[s - 1][i] & 255];
  }
};

uint32_t software(uint32_t crc, const char* p, size_t n) {
  static const Table table;
  const auto& t = table.t;
  while (n >= 8) {
    uint64_t v = load64(p) ^ crc;
    crc = t[7][v & 255] ^ t[6][(v >> 8) & 255] ^ t[5][(v >> 16) & 255] ^ t[4][(v >> 24) & 255] ^
          t[3][(v >> 32) & 255] ^ t[2][(v >> 40) & 255] ^ t[1][(v >> 48) & 255] ^ t[0][v >> 56];
    p += 8;
    n -= 8;
  }
  while (n--) crc = (crc >> 8) ^ t[0][(crc ^ (unsigned char)*p++) & 255];
  return crc;
}

#if defined(__x86_64__)
// Moves a state over `n` zero bytes.
struct ZeroBytes {
  uint32_t t[4][256];
  explicit ZeroBytes(size_t n) {
    uint32_t moved[32];  // of each single bit; all else is their XOR
    for (int bit = 0; bit < 32; bit++) {
      uint32_t c = 1u << bit;
      for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 8; k++) c = (c >> 1) ^ (0x82F63B78u & (0u - (c & 1)));
      moved[bit] = c;
    }
    for (int byte = 0; byte < 4; byte++)
      for (uint32_t v = 0; v < 256; v++) {
        uint32_t c = 0;
        for (int bit = 0; bit < 8; bit++)
          if (v >> bit & 1) c ^= moved[8 * byte + bit];
        t[byte][v] = c;
      }
  }
  uint32_t move(uint32_t c) const {
    return t[0][c & 255] ^ t[1][(c >> 8) & 255] ^ t[2][(c >> 16) & 255] ^ t[3][c >> 24];
  }
};

template <size_t kLaneBytes>
__attribute__((target("sse4.2"))) inline uint32_t three_lanes(uint32_t crc, const char*& p, size_t& n) {
  static const ZeroBytes zeros(kLaneBytes);
  while (n >= 3 * kLaneBytes) {
    uint64_t a = crc, b = 0, c = 0;
    for (const char* end = p + kLaneBytes; p < end; p += 8) {
      a = _mm_crc32_u64(a, load64(p));
      b = _mm_crc32_u64(b, load64(p + kLaneBytes));
      c = _mm_crc32_u64(c, load64(p + 2 * kLaneBytes));
    }
    crc = zeros.move(zeros.move((uint32_t)a) ^ (uint32_t)b) ^ (uint32_t)c;
    p += 2 * kLaneBytes;
    n -= 3 * kLaneBytes;
  }
  return crc;
}

__attribute__((target("sse4.2"))) uint32_t hardware(uint32_t crc, const char* p, size_t n) {
  if (n >= 3 * 2048) crc = three_lanes<2048>(crc, p, n);
  if (n >= 3 * 128) crc = three_lanes<128>(crc, p, n);
  uint64_t c = crc;
  while (n >= 8) {
    c = _mm_crc32_u64(c, load64(p));
    p += 8;
    n -= 8;
  }
  uint32_t r = (uint32_t)c;
  while (n--) r = _mm_crc32_u8(r, (unsigned char)*p++);
  return r;
}
const bool has_hardware = __builtin_cpu_supports("sse4.2");
#endif

}  // namespace

uint32_t crc32c(uint32_t crc, const void* data, size_t n) {
  crc = ~crc;
#if defined(__x86_64__)
  if (has_hardware) return ~hardware(crc, (const char*)data, n);
#endif
  return ~software(crc, (const char*)data, n);
}

}  // namespace slipstream
