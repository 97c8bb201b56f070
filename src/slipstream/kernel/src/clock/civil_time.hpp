// Days, dates and clocks of the proleptic Gregorian calendar, from and to unix seconds, and RFC 3339.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace slipstream {

constexpr int64_t kDaySeconds = 86'400, kSecondNs = 1'000'000'000;

inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
inline bool is_leap(int64_t y) { return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0); }
inline int64_t days_in_month(int64_t y, int64_t m) { return m == 2 ? 28 + is_leap(y) : 30 + ((m + m / 8) & 1); }

// Days since 1970-01-01. The year is thought to begin in March, so that the day that may be missing is its last.
inline int64_t days_of(int64_t y, int64_t m, int64_t d) {
  y -= m <= 2;
  int64_t era = floor_div(y, 400), of_era = y - era * 400;
  int64_t of_year = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
  return era * 146'097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719'468;
}

inline int64_t weekday_of(int64_t days) { return ((days + 4) % 7 + 7) % 7; }  // Sunday is 0

struct Civil { int64_t year, month, day, hour, minute, second; };

inline Civil civil_of(int64_t unix_s) {
  int64_t days = floor_div(unix_s, kDaySeconds), s = unix_s - days * kDaySeconds;
  int64_t z = days + 719'468, era = floor_div(z, 146'097), of_era = z - era * 146'097;
  int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
  int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  int64_t shifted = (5 * of_year + 2) / 153;
  int64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  return {era * 400 + year_of_era + (month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1, s / 3600, s / 60 % 60, s % 60};
}

// As Go writes RFC3339Nano: without trailing zeros, with the offset of the zone.
inline std::string format_rfc3339(int64_t unix_ns, int64_t offset_s = 0) {
  int64_t s = floor_div(unix_ns, kSecondNs), fraction = unix_ns - s * kSecondNs;
  Civil c = civil_of(s + offset_s);
  char text[64];
  size_t n = (size_t)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d", (int)c.year, (int)c.month, (int)c.day, (int)c.hour,
                              (int)c.minute, (int)c.second);
  if (fraction) {
    n += (size_t)snprintf(text + n, sizeof text - n, ".%09d", (int)fraction);
    while (text[n - 1] == '0') n--;
  }
  int64_t minutes = (offset_s < 0 ? -offset_s : offset_s) / 60;
  if (offset_s == 0) n += (size_t)snprintf(text + n, sizeof text - n, "Z");
  else n += (size_t)snprintf(text + n, sizeof text - n, "%c%02d:%02d", offset_s < 0 ? '-' : '+', (int)(minutes / 60), (int)(minutes % 60));
  return {text, n};
}

// As Go parses RFC 3339: any number of decimals behind a point or a comma, an hour of one digit too. False if it is none.
// What is beyond the range of unix nanoseconds becomes the nearest that is in it; `zero` says it was year 1's first moment.
bool parse_rfc3339(std::string_view text, int64_t& unix_ns, bool& zero);

}  // namespace slipstream
