// The two clocks, read together. A turn reads them once and goes by that; who measures its own work reads them again.
#pragma once
#include <cstdint>

namespace slipstream {

struct Time {
  int64_t wall_ns = 0;       // unix; stamps messages
  int64_t monotonic_ns = 0;  // runs timers
};

Time read_clocks();

}  // namespace slipstream
