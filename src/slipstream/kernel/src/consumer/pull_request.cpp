#include "consumer/pull_request.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "bytes/json_reader.hpp"

namespace slipstream {
namespace {

string_view trim(string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t' || s.front() == '\r' || s.front() == '\n')) s.remove_prefix(1);
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r' || s.back() == '\n')) s.remove_suffix(1);
  return s;
}

bool pull_field(JsonObjectReader& in, const std::string& key, PullBody& out) {
  if (in.null()) return true;
  if (same_key(key, "batch")) return in.number(out.batch);
  if (same_key(key, "expires")) return in.number(out.expires_ns);
  if (same_key(key, "max_bytes")) return in.number(out.max_bytes);
  if (same_key(key, "idle_heartbeat")) return in.number(out.heartbeat_ns);
  if (same_key(key, "min_pending")) return in.number(out.min_pending);
  if (same_key(key, "min_ack_pending")) return in.number(out.min_ack_pending);
  if (same_key(key, "priority")) return in.number(out.priority);
  if (same_key(key, "no_wait")) return in.boolean(out.no_wait);
  if (same_key(key, "group")) return in.text(out.group);
  if (same_key(key, "id")) return in.text(out.id);
  return in.skip();
}

}  // namespace

bool parse_pull_body(string_view body, PullBody& out, std::string& error) {
  body = trim(body);
  if (body.empty()) return true;
  if (body[0] == '{') {
    out.json = true;
    out.batch = 0;
    JsonObjectReader reader(body);
    if (!reader.read([&](const std::string& key) { return pull_field(reader, key, out); })) {
      return false;
    }
    if (out.heartbeat_ns > 0 && saturated_product(out.heartbeat_ns, 2) > out.expires_ns) {
      error = "heartbeat value too large";
      return false;
    }
    return true;
  }
  bool negative = body[0] == '-';
  string_view digits = negative || body[0] == '+' ? body.substr(1) : body;
  int64_t v = 0;
  if (digits.empty() || digits.size() > 18) return true;
  for (char c : digits) {
    if (c < '0' || c > '9') return true;
    v = v * 10 + (c - '0');
  }
  out.batch = negative ? -v : v;
  return true;
}

bool parse_nak_delay(string_view body, int64_t& delay_ns) {
  body = trim(body);
  if (body.empty() || body[0] != '{') return parse_duration(body, delay_ns);
  JsonObjectReader reader(body);
  return reader.read([&](const std::string& key) {
    if (reader.null()) return true;
    return same_key(key, "delay") ? reader.number(delay_ns) : reader.skip();
  });
}

// As Go reads them: `1h30m`, `1.5s`; a number without a unit is none, except 0.
bool parse_duration(string_view s, int64_t& ns) {
  constexpr struct { string_view name; uint64_t ns; } units[] = {
      {"ns", 1}, {"us", 1'000}, {"\xC2\xB5s", 1'000}, {"\xCE\xBCs", 1'000}, {"ms", 1'000'000},
      {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000}};
  bool negative = false;
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) negative = s[0] == '-', s.remove_prefix(1);
  if (s == "0") { ns = 0; return true; }
  if (s.empty()) return false;
  auto digits = [&] {
    size_t n = 0;
    while (n < s.size() && s[n] >= '0' && s[n] <= '9') n++;
    string_view found = s.substr(0, n);
    s.remove_prefix(n);
    return found;
  };
  unsigned __int128 total = 0;
  while (!s.empty()) {
    string_view whole = digits(), fraction;
    if (!s.empty() && s[0] == '.') s.remove_prefix(1), fraction = digits();
    if (whole.empty() && fraction.empty()) return false;
    size_t length = std::min(s.find_first_of(".0123456789"), s.size());
    auto unit = std::find_if(std::begin(units), std::end(units), [&](auto& u) { return u.name == s.substr(0, length); });
    if (unit == std::end(units)) return false;
    s.remove_prefix(length);
    unsigned __int128 v = 0, part = 0, scale = 1;
    for (char c : whole) {
      v = v * 10 + (unsigned)(c - '0');
      if (v > (uint64_t)INT64_MAX) return false;
    }
    for (char c : fraction.substr(0, 18)) part = part * 10 + (unsigned)(c - '0'), scale *= 10;
    total += v * unit->ns + part * unit->ns / scale;
    if (total > (uint64_t)INT64_MAX) return false;
  }
  ns = negative ? -(int64_t)total : (int64_t)total;
  return true;
}

std::string format_duration(int64_t ns) {
  if (ns == 0) return "0s";
  std::string sign = ns < 0 ? "-" : "";
  uint64_t v = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
  auto decimal = [](uint64_t whole, uint64_t fraction, int digits) {
    std::string out = std::to_string(whole);
    if (!fraction) return out;
    std::string f = std::to_string(fraction);
    f.insert(0, (size_t)digits - f.size(), '0');
    while (f.back() == '0') f.pop_back();
    return out + "." + f;
  };
  if (v < 1000) return sign + std::to_string(v) + "ns";
  if (v < 1'000'000) return sign + decimal(v / 1000, v % 1000, 3) + "\xC2\xB5s";
  if (v < 1'000'000'000) return sign + decimal(v / 1'000'000, v % 1'000'000, 6) + "ms";
  uint64_t s = v / 1'000'000'000;
  std::string out = decimal(s % 60, v % 1'000'000'000, 9) + "s";
  if (s >= 60) out = std::to_string(s / 60 % 60) + "m" + out;
  if (s >= 3600) out = std::to_string(s / 3600) + "h" + out;
  return sign + out;
}

}  // namespace slipstream
