// Arithmetic on times and durations that clients and configurations choose, up to the ends of int64: a result that does not fit is
// the nearest one that does. INT64_MAX so means "never", and stays it: a deadline beyond the calendar is not one in the past.
#pragma once
#include <cstdint>

namespace slipstream {

constexpr int64_t saturated_sum(int64_t a, int64_t b) {
  int64_t result = 0;
  if (!__builtin_add_overflow(a, b, &result)) [[likely]] return result;
  return b < 0 ? INT64_MIN : INT64_MAX;
}

constexpr int64_t saturated_difference(int64_t a, int64_t b) {
  int64_t result = 0;
  if (!__builtin_sub_overflow(a, b, &result)) [[likely]] return result;
  return b < 0 ? INT64_MAX : INT64_MIN;
}

constexpr int64_t saturated_product(int64_t a, int64_t b) {
  int64_t result = 0;
  if (!__builtin_mul_overflow(a, b, &result)) [[likely]] return result;
  return (a < 0) != (b < 0) ? INT64_MIN : INT64_MAX;
}

}  // namespace slipstream
