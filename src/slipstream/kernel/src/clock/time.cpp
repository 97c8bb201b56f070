#include "clock/time.hpp"

#include <time.h>

namespace slipstream {

Time read_clocks() {
  timespec a, b;
  clock_gettime(CLOCK_REALTIME, &a);
  clock_gettime(CLOCK_MONOTONIC, &b);
  return {a.tv_sec * 1'000'000'000ll + a.tv_nsec, b.tv_sec * 1'000'000'000ll + b.tv_nsec};
}

}  // namespace slipstream
