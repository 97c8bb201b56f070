#include "entry_work.hpp"

#include "kernel.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kLookEvery = 32;             // operations between two looks at the clock
constexpr uint64_t kOperationsUnthreaded = 16;  // few, so that little is enough to take several turns

}  // namespace

void WorkShare::begin(bool by_clock, int64_t ns) {
  limited_ = true;
  by_clock_ = by_clock;
  done_ = 0;
  look_at_ = by_clock ? kLookEvery : kOperationsUnthreaded;
  if (by_clock) end_ns_ = Kernel::clock().monotonic_ns + ns;
}

bool WorkShare::look() {
  if (!by_clock_) return true;
  look_at_ = done_ + kLookEvery;
  return Kernel::clock().monotonic_ns >= end_ns_;
}

}  // namespace slipstream
