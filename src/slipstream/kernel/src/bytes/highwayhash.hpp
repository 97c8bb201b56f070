// HighwayHash-64 (https://github.com/google/highwayhash), a keyed checksum: nats-server protects the files of its stores with it, and
// with them the archives of its versions before 2.15.
#pragma once
#include "bytes/bytes.hpp"

namespace slipstream {

class HighwayHash {
 public:
  explicit HighwayHash(const char* key);  // 32 bytes
  void update(string_view bytes);
  uint64_t finish();                      // once

 private:
  void packet(const char* p);
  void mix(const uint64_t* lanes);
  void remainder();

  uint64_t v0_[4], v1_[4], mul0_[4], mul1_[4];
  char held_[32];
  size_t held_size_ = 0;
};

}  // namespace slipstream
