// Reading a whole stream back, for `slipstream verify`.
#pragma once
#include <cstdint>
#include <vector>

namespace slipstream {

class Kernel;

struct ReadBack {
  uint64_t read = 0;
  std::vector<uint64_t> damaged;  // sequences, ascending; at most `limit`
};

// Reads every live message and checks both of its checksums.
ReadBack read_back(Kernel& kernel, uint64_t stream, uint64_t limit);

}  // namespace slipstream
