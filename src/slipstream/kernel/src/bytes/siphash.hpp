// SipHash (Aumasson and Bernstein, 2012): the keyed hash of everything that clients name.
//
// Clients choose subjects, subscription ids, queue and consumer names and message ids, so a table of them is only as good as
// its hash is unpredictable. SipHash is a pseudo-random function under its key, studied for a decade and used for exactly this by Linux,
// Python, Rust and Ruby. The multiply-and-fold family (wyhash, rapidhash) and xxh3 with a secret are faster, but make no such
// claim: they are built from products, and a block that makes one factor zero forgets what came before, whatever the key.
//
// Tables take 1-3 with the process's key, as Rust and Python do. Message ids, whose hashes are stored and stand for the ids
// themselves, take the conservative 2-4 with 128 bits. Where a collision costs one lookup and nothing grows (the cache of match
// results), the faster quick_hash() of bytes.hpp is enough.
#pragma once
#include <cstdint>

#include "bytes/bytes.hpp"

namespace slipstream {

struct HashKey { uint64_t a, b; };
struct Hash128 {
  uint64_t a, b;
  bool operator==(const Hash128&) const = default;
};

HashKey draw_hash_key();  // from the operating system
// Of the tables in this process's memory. Never written anywhere. Nothing may depend on the order in which such a table is walked.
inline const HashKey kTableKey = draw_hash_key();

template <int kCompress, int kFinish>
class SipHash {
 public:
  static uint64_t hash64(string_view s, HashKey key) {
    SipHash h(key);
    h.absorb(s);
    h.v2_ ^= 0xff;
    h.template rounds<kFinish>();
    return h.mixed();
  }
  static Hash128 hash128(string_view s, HashKey key) {
    SipHash h(key);
    h.v1_ ^= 0xee;
    h.absorb(s);
    h.v2_ ^= 0xee;
    h.template rounds<kFinish>();
    Hash128 out;
    out.a = h.mixed();
    h.v1_ ^= 0xdd;
    h.template rounds<kFinish>();
    out.b = h.mixed();
    return out;
  }

 private:
  explicit SipHash(HashKey key)
      : v0_(key.a ^ 0x736f6d6570736575ull), v1_(key.b ^ 0x646f72616e646f6dull),
        v2_(key.a ^ 0x6c7967656e657261ull), v3_(key.b ^ 0x7465646279746573ull) {}
  static uint64_t turned(uint64_t v, int bits) { return v << bits | v >> (64 - bits); }
  template <int kRounds>
  void rounds() {
    for (int i = 0; i < kRounds; i++) {
      v0_ += v1_, v2_ += v3_;
      v1_ = turned(v1_, 13) ^ v0_, v3_ = turned(v3_, 16) ^ v2_;
      v0_ = turned(v0_, 32);
      v2_ += v1_, v0_ += v3_;
      v1_ = turned(v1_, 17) ^ v2_, v3_ = turned(v3_, 21) ^ v0_;
      v2_ = turned(v2_, 32);
    }
  }
  void block(uint64_t m) {
    v3_ ^= m;
    rounds<kCompress>();
    v0_ ^= m;
  }
  void absorb(string_view s) {
    const char* p = s.data();
    size_t n = s.size();
    uint64_t last = (uint64_t)n << 56;
    for (; n >= 8; p += 8, n -= 8) block(load64(p));
    block(last | tail_of(p, n));
  }
  // The last bytes, fewer than 8, without a copy of a length that the compiler does not know.
  static uint64_t tail_of(const char* p, size_t n) {
    auto byte = [p](size_t i) { return (uint64_t)(uint8_t)p[i]; };
    if (n >= 4) return load32(p) | (uint64_t)load32(p + n - 4) << 8 * (n - 4);
    if (n == 0) return 0;
    return byte(0) | byte(n / 2) << 8 * (n / 2) | byte(n - 1) << 8 * (n - 1);
  }
  uint64_t mixed() const { return v0_ ^ v1_ ^ v2_ ^ v3_; }

  uint64_t v0_, v1_, v2_, v3_;
};

inline uint64_t table_hash(string_view s) { return SipHash<1, 3>::hash64(s, kTableKey); }
inline Hash128 stored_hash(string_view s, HashKey key) { return SipHash<2, 4>::hash128(s, key); }

}  // namespace slipstream
