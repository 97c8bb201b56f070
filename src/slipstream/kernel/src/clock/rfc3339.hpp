// Times as Go writes and reads them in headers and JSON (RFC 3339, nanoseconds without trailing zeros, UTC).
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

namespace slipstream {

// Any fraction and offset; false if it is none.
inline bool parse_rfc3339(const std::string& text, int64_t& ns) {
  std::tm tm{};
  const char* p = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &tm);
  if (!p) return false;
  int64_t fraction = 0, scale = 100'000'000;
  if (*p == '.')
    for (p++; *p >= '0' && *p <= '9'; p++, scale /= 10) fraction += (*p - '0') * scale;
  int64_t offset = 0;
  if (*p == '+' || *p == '-') {
    int hours = 0, minutes = 0;
    if (sscanf(p + 1, "%2d:%2d", &hours, &minutes) != 2) return false;
    offset = (hours * 3600 + minutes * 60) * (*p == '-' ? -1 : 1);
  } else if (*p != 'Z') {
    return false;
  }
  int64_t seconds = (int64_t)timegm(&tm) - offset, most = INT64_MAX / 1'000'000'000 - 1;
  ns = std::clamp(seconds, -most, most) * 1'000'000'000 + fraction;  // years that no message has are clipped
  return true;
}

inline std::string rfc3339(int64_t ns) {
  time_t s = (time_t)(ns / 1'000'000'000);
  std::tm tm{};
  gmtime_r(&s, &tm);
  char text[48];
  size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
  if (int64_t fraction = ns % 1'000'000'000) {
    n += (size_t)snprintf(text + n, sizeof text - n, ".%09lld", (long long)fraction);
    while (text[n - 1] == '0') n--;
  }
  text[n] = 0;
  return std::string(text) + "Z";
}

}  // namespace slipstream
