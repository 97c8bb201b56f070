#include "clock/time_zone.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "clock/civil_time.hpp"

namespace slipstream {
namespace {

constexpr const char* kFolders[] = {"/usr/share/zoneinfo/", "/usr/share/lib/zoneinfo/", "/usr/lib/locale/TZ/", "/etc/zoneinfo/"};
constexpr size_t kFileBytesMax = 1 << 20, kHeadBytes = 44;

std::string read_file(const std::string& path) {
  std::error_code error;
  uintmax_t size = std::filesystem::file_size(path, error);
  if (error || size > kFileBytesMax) return {};
  std::ifstream file(path, std::ios::binary);
  std::string text((size_t)size, '\0');
  file.read(text.data(), (std::streamsize)text.size());
  text.resize((size_t)std::max<std::streamsize>(file.gcount(), 0));
  return text;
}

int64_t big_endian(std::string_view bytes) {
  uint64_t v = bytes[0] & 0x80 ? UINT64_MAX : 0;
  for (char c : bytes) v = v << 8 | (uint8_t)c;
  return (int64_t)v;
}

// Reads the text of a rule from the left.
struct RuleReader {
  std::string_view left;
  bool ok = true;
  bool take(char c) {
    if (left.empty() || left[0] != c) return false;
    left.remove_prefix(1);
    return true;
  }
  int64_t number(int64_t lowest, int64_t highest) {
    size_t digits = 0;
    int64_t v = 0;
    while (digits < left.size() && digits < 4 && std::isdigit((unsigned char)left[digits])) v = v * 10 + (left[digits++] - '0');
    ok = ok && digits > 0 && v >= lowest && v <= highest;
    left.remove_prefix(digits);
    return v;
  }
  int64_t time() {  // [+-]hh[:mm[:ss]]
    int64_t sign = take('-') ? -1 : (take('+'), 1);
    int64_t s = number(0, 167) * 3600;
    if (take(':')) s += number(0, 59) * 60;
    if (take(':')) s += number(0, 59);
    return sign * s;
  }
  void name() {
    size_t n = 0;
    if (take('<')) {
      n = left.find('>');
      ok = ok && n != std::string_view::npos;
      left.remove_prefix(ok ? n + 1 : left.size());
      return;
    }
    while (n < left.size() && std::isalpha((unsigned char)left[n])) n++;
    ok = ok && n >= 3;
    left.remove_prefix(n);
  }
};

}  // namespace

std::unique_ptr<TimeZone> TimeZone::load(const std::string& name) {
  auto zone = std::unique_ptr<TimeZone>(new TimeZone());
  if (name == "UTC") return zone;
  if (name == "Local") {
    std::string file = read_file("/etc/localtime");
    if (file.empty() || !zone->parse(file)) *zone = TimeZone();
    return zone;
  }
  if (name.empty() || name[0] == '/' || name[0] == '\\' || name.find("..") != std::string::npos || name.find('\0') != std::string::npos)
    return nullptr;
  for (const char* folder : kFolders) {
    std::string file = read_file(folder + name);
    if (!file.empty()) return zone->parse(file) ? std::move(zone) : nullptr;
  }
  return nullptr;
}

// A head with six counts, then the data; files since version 2 have both twice, the second time with 64 bits, and the rule behind.
bool TimeZone::parse(std::string_view file) {
  size_t width = 4;
  for (int part = 0;; part++) {
    if (file.size() < kHeadBytes || file.substr(0, 4) != "TZif") return false;
    int64_t counts[6];
    for (size_t i = 0; i < 6; i++) {
      counts[i] = big_endian(file.substr(20 + 4 * i, 4));
      if (counts[i] < 0 || counts[i] > (int64_t)kFileBytesMax) return false;
    }
    auto [utc_flags, standard_flags, leaps, times, types, characters] = counts;
    size_t size = (size_t)times * (width + 1) + (size_t)types * 6 + (size_t)characters + (size_t)leaps * (width + 4) +
                  (size_t)(standard_flags + utc_flags);
    bool last = part == 1 || file[4] < '2';
    if (file.size() < kHeadBytes + size || types == 0) return false;
    if (!last) {
      file.remove_prefix(kHeadBytes + size);
      width = 8;
      continue;
    }
    std::string_view at = file.substr(kHeadBytes), kinds = at.substr((size_t)times * width), zones = kinds.substr((size_t)times);
    auto offset_of = [&](size_t type) { return big_endian(zones.substr(type * 6, 4)); };
    auto is_summer = [&](size_t type) { return zones[type * 6 + 4] != 0; };
    for (size_t i = 0; i < (size_t)times; i++) {
      auto type = (uint8_t)kinds[i];
      if (type >= types) return false;
      transitions_.push_back({big_endian(at.substr(i * width, width)), (int32_t)offset_of(type)});
    }
    size_t first = 0;
    while (first + 1 < (size_t)types && is_summer(first)) first++;
    first_offset_s_ = offset_of(is_summer(first) ? 0 : first);
    std::string_view rule = file.substr(kHeadBytes + size);
    if (width == 8 && rule.size() > 2 && rule.front() == '\n' && rule.back() == '\n')
      return parse_rule(rule.substr(1, rule.size() - 2), rule_);
    return true;
  }
}

// std offset [dst [offset] , start [/time] , end [/time]]; offsets count westwards.
bool TimeZone::parse_rule(std::string_view text, Rule& rule) {
  RuleReader in{text};
  in.name();
  rule.standard_s = -in.time();
  rule.present = in.ok;
  if (!in.ok || in.left.empty()) return in.ok;
  rule.summer = true;
  in.name();
  rule.summer_s = rule.standard_s + 3600;
  if (!in.left.empty() && in.left[0] != ',') rule.summer_s = -in.time();
  for (Day* day : {&rule.begins, &rule.ends}) {
    in.ok = in.take(',') && in.ok;
    if (in.take('M')) {
      day->kind = 'M';
      day->month = (int)in.number(1, 12), in.ok = in.take('.') && in.ok;
      day->week = (int)in.number(1, 5), in.ok = in.take('.') && in.ok;
      day->day = (int)in.number(0, 6);
    } else {
      day->kind = in.take('J') ? 'J' : '0';
      day->day = (int)in.number(day->kind == 'J' ? 1 : 0, 365);
    }
    if (in.take('/')) day->time_s = in.time();
  }
  return in.ok && in.left.empty();
}

int64_t TimeZone::day_in_year(const Day& d, int64_t year) {
  int64_t days = days_of(year, 1, 1);
  if (d.kind == 'M') {
    int64_t first = days_of(year, d.month, 1), length = days_in_month(year, d.month);
    int64_t back = (d.day - weekday_of(first) + 7) % 7 + (d.week - 1) * 7;
    days = first + (back >= length ? back - 7 : back);
  } else if (d.kind == 'J') {  // 29 February does not count
    days += d.day - 1 + (is_leap(year) && d.day >= 60);
  } else {
    days += d.day;
  }
  return days * kDaySeconds + d.time_s;
}

int64_t TimeZone::rule_offset_s(int64_t unix_s) const {
  if (!rule_.summer) return rule_.standard_s;
  int64_t year = civil_of(unix_s + rule_.standard_s).year;
  int64_t begins = day_in_year(rule_.begins, year) - rule_.standard_s, ends = day_in_year(rule_.ends, year) - rule_.summer_s;
  bool summer = begins < ends ? unix_s >= begins && unix_s < ends : unix_s >= begins || unix_s < ends;
  return summer ? rule_.summer_s : rule_.standard_s;
}

int64_t TimeZone::offset_s(int64_t unix_s) const {
  auto after = std::upper_bound(transitions_.begin(), transitions_.end(), unix_s,
                                [](int64_t at, const Transition& t) { return at < t.at_s; });
  if (after == transitions_.end() && rule_.present) return rule_offset_s(unix_s);
  return after == transitions_.begin() ? first_offset_s_ : std::prev(after)->offset_s;
}

void TimeZones::list_names() {
  names_ = {"UTC", "Local"};
  for (const char* folder : kFolders) {
    std::error_code error;
    std::filesystem::recursive_directory_iterator it(folder, error), end;
    for (size_t prefix = std::string_view(folder).size(); !error && it != end && names_.size() < kNamesMax; it.increment(error)) {
      std::error_code unreadable;
      if (it->is_regular_file(unreadable)) names_.insert(it->path().string().substr(prefix));
    }
  }
}

const TimeZone* TimeZones::find(std::string_view name) {
  auto it = zones_.find(std::string(name));
  if (it != zones_.end()) return it->second.get();
  if (names_.empty()) list_names();
  if (!names_.count(std::string(name))) return nullptr;
  auto zone = TimeZone::load(std::string(name));
  if (!zone) return nullptr;
  if (zones_.size() >= kZonesMax) zones_.clear();
  return (zones_[std::string(name)] = std::move(zone)).get();
}

}  // namespace slipstream
