#include "bytes/highwayhash.hpp"

#include <algorithm>

namespace slipstream {
namespace {

constexpr uint64_t kInitial0[4] = {0xdbe6d5d5fe4cce2f, 0xa4093822299f31d0, 0x13198a2e03707344, 0x243f6a8885a308d3};
constexpr uint64_t kInitial1[4] = {0x3bd39e10cb0ef593, 0xc0acf169b5f18a8c, 0xbe5466cf34e90c6c, 0x452821e638d01377};

uint64_t swap_halves(uint64_t v) { return v >> 32 | v << 32; }

uint32_t rotate(uint32_t v, size_t by) { return by ? v << by | v >> (32 - by) : v; }

// Adds the bytes of two lanes, in an order that brings those with much entropy to where the next product takes them from.
void zipper_merge(uint64_t high, uint64_t low, uint64_t& to_high, uint64_t& to_low) {
  to_low += ((low & 0xff000000) | (high & 0xff00000000)) >> 24 | ((low & 0xff0000000000) | (high & 0xff000000000000)) >> 16 |
            (low & 0xff0000) | (low & 0xff00) << 32 | (high & 0xff00000000000000) >> 8 | low << 56;
  to_high += ((high & 0xff000000) | (low & 0xff00000000)) >> 24 | (high & 0xff0000) | (high & 0xff0000000000) >> 16 |
             (high & 0xff00) << 24 | (low & 0xff000000000000) >> 8 | (high & 0xff) << 48 | (low & 0xff00000000000000);
}

}  // namespace

HighwayHash::HighwayHash(const char* key) {
  for (int i = 0; i < 4; i++) {
    uint64_t k = load64(key + 8 * i);
    mul0_[i] = kInitial0[i];
    mul1_[i] = kInitial1[i];
    v0_[i] = mul0_[i] ^ k;
    v1_[i] = mul1_[i] ^ swap_halves(k);
  }
}

void HighwayHash::mix(const uint64_t* lanes) {
  for (int i = 0; i < 4; i++) {
    v1_[i] += mul0_[i] + lanes[i];
    mul0_[i] ^= (v1_[i] & 0xffffffff) * (v0_[i] >> 32);
    v0_[i] += mul1_[i];
    mul1_[i] ^= (v0_[i] & 0xffffffff) * (v1_[i] >> 32);
  }
  zipper_merge(v1_[1], v1_[0], v0_[1], v0_[0]);
  zipper_merge(v1_[3], v1_[2], v0_[3], v0_[2]);
  zipper_merge(v0_[1], v0_[0], v1_[1], v1_[0]);
  zipper_merge(v0_[3], v0_[2], v1_[3], v1_[2]);
}

void HighwayHash::packet(const char* p) {
  uint64_t lanes[4];
  for (int i = 0; i < 4; i++) lanes[i] = load64(p + 8 * i);
  mix(lanes);
}

void HighwayHash::update(string_view bytes) {
  if (held_size_) {
    size_t n = std::min(sizeof held_ - held_size_, bytes.size());
    memcpy(held_ + held_size_, bytes.data(), n);
    held_size_ += n;
    bytes.remove_prefix(n);
    if (held_size_ < sizeof held_) return;
    packet(held_);
    held_size_ = 0;
  }
  for (; bytes.size() >= sizeof held_; bytes.remove_prefix(sizeof held_)) packet(bytes.data());
  if (!bytes.empty()) memcpy(held_, bytes.data(), bytes.size());
  held_size_ = bytes.size();
}

void HighwayHash::remainder() {
  size_t size = held_size_, odd = size & 3;
  for (int i = 0; i < 4; i++) {
    v0_[i] += ((uint64_t)size << 32) + size;
    v1_[i] = (uint64_t)rotate((uint32_t)(v1_[i] >> 32), size) << 32 | rotate((uint32_t)v1_[i], size);
  }
  char padded[32] = {};
  memcpy(padded, held_, size - odd);
  const char* rest = held_ + (size - odd);
  if (size & 16) {
    memcpy(padded + 28, rest + odd - 4, 4);
  } else if (odd) {
    padded[16] = rest[0];
    padded[17] = rest[odd >> 1];
    padded[18] = rest[odd - 1];
  }
  packet(padded);
}

uint64_t HighwayHash::finish() {
  if (held_size_) remainder();
  for (int round = 0; round < 4; round++) {
    uint64_t lanes[4] = {swap_halves(v0_[2]), swap_halves(v0_[3]), swap_halves(v0_[0]), swap_halves(v0_[1])};
    mix(lanes);
  }
  return v0_[0] + v1_[0] + mul0_[0] + mul1_[0];
}

}  // namespace slipstream
