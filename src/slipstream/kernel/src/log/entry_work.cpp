#include "log/entry_work.hpp"

#include <algorithm>

#include "clock/time.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kLookEvery = 32;             // operations between two looks at the clock
constexpr size_t kSortedAtOnce = 1024;          // values; pieces of them are merged
constexpr uint64_t kOperationsUnthreaded = 16;  // few, so that little is enough to take several turns

}  // namespace

void WorkShare::begin(bool by_clock, int64_t ns) {
  limited_ = true;
  by_clock_ = by_clock;
  done_ = 0;
  look_at_ = by_clock ? kLookEvery : kOperationsUnthreaded;
  if (by_clock) end_ns_ = read_clocks().monotonic_ns + ns;
}

bool WorkShare::look() {
  if (!by_clock_) return true;
  look_at_ = done_ + kLookEvery;
  return read_clocks().monotonic_ns >= end_ns_;
}

Work sort_in_slices(std::vector<uint64_t>& values, WorkShare& share) {
  const size_t n = values.size();
  for (size_t at = 0; at < n; at += kSortedAtOnce) {
    std::sort(values.begin() + (ptrdiff_t)at, values.begin() + (ptrdiff_t)std::min(at + kSortedAtOnce, n));
    if (share.spent(kSortedAtOnce)) co_await Work::Pause{share};
  }
  std::vector<uint64_t> merged(n > kSortedAtOnce ? n : 0);
  for (size_t width = kSortedAtOnce; width < n; width *= 2) {
    for (size_t from = 0; from < n; from += 2 * width) {
      size_t middle = std::min(from + width, n), end = std::min(from + 2 * width, n), a = from, b = middle;
      for (size_t to = from; to < end; to++) {
        bool first = b == end || (a < middle && values[a] <= values[b]);
        merged[to] = first ? values[a++] : values[b++];
        if (share.spent()) co_await Work::Pause{share};
      }
    }
    values.swap(merged);
  }
}

}  // namespace slipstream
