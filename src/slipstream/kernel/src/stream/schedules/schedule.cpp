#include "stream/schedules/schedule.hpp"


#include <algorithm>
#include <vector>

#include "bytes/saturating.hpp"
#include "clock/civil_time.hpp"
#include "consumer/pull_request.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kStar = 1ull << 63;  // the field was `*` or `?`: any value
constexpr int64_t kYearsMax = 5;

struct Field { uint64_t lowest, highest; const char* const* names; };
constexpr const char* kMonths[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec", nullptr};
constexpr const char* kDays[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", nullptr};
constexpr Field kFields[] = {{0, 59, nullptr}, {0, 59, nullptr}, {0, 23, nullptr}, {1, 31, nullptr}, {1, 12, kMonths}, {0, 6, kDays}};

std::vector<string_view> split(string_view text, char by) {
  std::vector<string_view> parts;
  for (size_t at = 0;;) {
    size_t end = std::min(text.find(by, at), text.size());
    parts.push_back(text.substr(at, end - at));
    if (end == text.size()) return parts;
    at = end + 1;
  }
}

std::vector<string_view> words_of(string_view text) {
  constexpr string_view blanks = " \t\n\v\f\r";
  std::vector<string_view> words;
  for (size_t at = 0; (at = text.find_first_not_of(blanks, at)) != string_view::npos;) {
    size_t end = std::min(text.find_first_of(blanks, at), text.size());
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

bool parse_value(string_view text, const Field& field, uint64_t& value) {
  if (field.names && text.size() == 3) {
    for (size_t i = 0; field.names[i]; i++) {
      string_view name = field.names[i];
      if (std::equal(name.begin(), name.end(), text.begin(), [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b | 0x20 : b); })) {
        value = i + field.lowest;
        return true;
      }
    }
  }
  if (!text.empty() && text[0] == '+') text.remove_prefix(1);
  if (text.empty()) return false;
  value = 0;
  for (char c : text) {
    if (c < '0' || c > '9' || value > (INT64_MAX - 9) / 10) return false;
    value = value * 10 + (uint64_t)(c - '0');
  }
  return true;
}

// `*`, `?`, a number or a name, or a range of two; each with a step behind a slash.
bool parse_range(string_view text, const Field& field, uint64_t& bits) {
  auto with_step = split(text, '/'), ends = split(with_step[0], '-');
  uint64_t first = field.lowest, last = field.highest, step = 1, star = 0;
  if (ends[0] == "*" || ends[0] == "?") {
    star = kStar;
  } else {
    if (ends.size() > 2 || !parse_value(ends[0], field, first)) return false;
    last = first;
    if (ends.size() == 2 && !parse_value(ends[1], field, last)) return false;
  }
  if (with_step.size() > 2) return false;
  if (with_step.size() == 2) {
    if (!parse_value(with_step[1], {0, 0, nullptr}, step)) return false;
    if (ends.size() == 1) last = field.highest;  // "5/10" goes on to the end
    if (step > 1) star = 0;
  }
  if (first < field.lowest || last > field.highest || first > last || step == 0) return false;
  for (uint64_t v = first; v <= last; v += step) bits |= 1ull << v;
  bits |= star;
  return true;
}

bool parse_field(string_view text, const Field& field, uint64_t& bits) {
  bits = 0;
  for (string_view range : split(text, ','))
    if (!range.empty() && !parse_range(range, field, bits)) return false;
  return true;
}

struct Cron { uint64_t second, minute, hour, day, month, weekday; };

bool parse_cron(string_view pattern, Cron& out) {
  if (pattern == "@yearly" || pattern == "@annually") pattern = "0 0 0 1 1 *";
  else if (pattern == "@monthly") pattern = "0 0 0 1 * *";
  else if (pattern == "@weekly") pattern = "0 0 0 * * 0";
  else if (pattern == "@daily" || pattern == "@midnight") pattern = "0 0 0 * * *";
  else if (pattern == "@hourly") pattern = "0 0 * * * *";
  auto words = words_of(pattern);
  if (words.size() != 6) return false;
  uint64_t* fields[] = {&out.second, &out.minute, &out.hour, &out.day, &out.month, &out.weekday};
  for (size_t i = 0; i < 6; i++)
    if (!parse_field(words[i], kFields[i], *fields[i])) return false;
  return out.second && out.minute && out.hour && out.month;  // a field without a value ("," alone) never comes
}

// A moment, and what a clock in the zone shows then.
class WallClock {
 public:
  WallClock(const TimeZone* zone, int64_t unix_s) : zone_(zone) { move_to(unix_s); }
  int64_t unix_s() const { return unix_s_; }
  const Civil& shows() const { return civil_; }
  int64_t weekday() const { return weekday_of(days_of(civil_.year, civil_.month, civil_.day)); }
  void move_to(int64_t unix_s) {
    unix_s_ = unix_s;
    civil_ = civil_of(unix_s + offset(unix_s));
  }
  // To when the clock shows this; months and days may be beyond their ends. Where it shows it never or twice, one offset is
  // tried first and the one that holds there is taken, as Go's time.Date does.
  void show(Civil c) {
    int64_t months = c.year * 12 + c.month - 1;
    int64_t days = days_of(floor_div(months, 12), months - floor_div(months, 12) * 12 + 1, 1) + c.day - 1;
    int64_t unix = days * kDaySeconds + c.hour * 3600 + c.minute * 60 + c.second;
    if (int64_t first = offset(unix)) unix -= offset(unix - first);
    move_to(unix);
  }

 private:
  int64_t offset(int64_t unix_s) const { return zone_ ? zone_->offset_s(unix_s) : 0; }
  const TimeZone* zone_;
  int64_t unix_s_ = 0;
  Civil civil_{};
};

bool has(uint64_t bits, int64_t value) { return bits >> value & 1; }

// If both days are given, either will do.
bool day_fits(const Cron& cron, const WallClock& clock) {
  bool day = has(cron.day, clock.shows().day), weekday = has(cron.weekday, clock.weekday());
  return (cron.day & kStar) || (cron.weekday & kStar) ? day && weekday : day || weekday;
}

// Moves each field to its next fitting value, from the month down to the second; when one wraps around, all are looked at again.
bool next_cron(const Cron& cron, const TimeZone* zone, int64_t after_ns, int64_t& at_s) {
  WallClock clock(zone, floor_div(after_ns, kSecondNs) + 1);
  int64_t year_max = clock.shows().year + kYearsMax;
  bool cut = false;  // the smaller fields stand at their beginning
  auto cut_to = [&](auto move) { if (!cut) cut = true, move(); };
  auto step = [&]() -> bool {  // false: a field wrapped around
    while (!has(cron.month, clock.shows().month)) {
      cut_to([&] { clock.show({clock.shows().year, clock.shows().month, 1, 0, 0, 0}); });
      Civil c = clock.shows();
      c.month++;
      clock.show(c);
      if (clock.shows().month == 1) return false;
    }
    while (!day_fits(cron, clock)) {
      cut_to([&] { clock.show({clock.shows().year, clock.shows().month, clock.shows().day, 0, 0, 0}); });
      Civil c = clock.shows();
      c.day++;
      clock.show(c);
      if (clock.shows().day == 1) return false;
    }
    while (!has(cron.hour, clock.shows().hour)) {
      cut_to([&] { Civil c = clock.shows(); c.minute = c.second = 0; clock.show(c); });
      clock.move_to(clock.unix_s() + 3600);
      if (clock.shows().hour == 0) return false;
    }
    while (!has(cron.minute, clock.shows().minute)) {
      cut_to([&] { clock.move_to(floor_div(clock.unix_s(), 60) * 60); });
      clock.move_to(clock.unix_s() + 60);
      if (clock.shows().minute == 0) return false;
    }
    while (!has(cron.second, clock.shows().second)) {
      cut = true;
      clock.move_to(clock.unix_s() + 1);
      if (clock.shows().second == 0) return false;
    }
    return true;
  };
  do {
    if (clock.shows().year > year_max) return false;
  } while (!step());
  at_s = clock.unix_s();
  return true;
}

int64_t round_to_second(int64_t ns) {
  int64_t s = floor_div(ns, kSecondNs), up = ns - s * kSecondNs >= kSecondNs / 2;
  return std::clamp(s + up, INT64_MIN / kSecondNs, INT64_MAX / kSecondNs) * kSecondNs;
}

// A message of an archive or of an origin may have any time: behind it the end of all times may come.
int64_t nanoseconds_of(int64_t s) { return s > INT64_MAX / kSecondNs ? ScheduleMark::kNever - 1 : s * kSecondNs; }

NextRun faulty() { return {.fault = ScheduleFault::pattern}; }

NextRun next_interval(string_view text, int64_t after_ns, int64_t now_ns) {
  int64_t interval_ns = 0;
  if (!parse_duration(text, interval_ns) || interval_ns < kSecondNs) return faulty();
  int64_t next = saturated_sum(round_to_second(after_ns), interval_ns);
  if (next < now_ns) next = saturated_sum(round_to_second(now_ns), interval_ns);
  return {.scheduled = true, .repeats = true, .at_ns = next};
}

}  // namespace

NextRun next_run(string_view pattern, const TimeZone* zone, int64_t after_ns, int64_t now_ns) {
  if (pattern.empty()) return {};
  if (pattern.starts_with("@at ")) {
    int64_t at_ns = 0;
    bool zero = false;
    if (zone || !parse_rfc3339(pattern.substr(4), at_ns, zero)) return faulty();
    return {.scheduled = !zero, .at_ns = at_ns};
  }
  if (pattern.starts_with("@every ")) return zone ? faulty() : next_interval(pattern.substr(7), after_ns, now_ns);
  Cron cron;
  int64_t at_s = 0;
  if (!parse_cron(pattern, cron) || !next_cron(cron, zone, after_ns, at_s)) return faulty();
  bool missed = nanoseconds_of(at_s) < now_ns;
  if (missed && !next_cron(cron, zone, round_to_second(now_ns), at_s)) return faulty();
  return {.scheduled = true, .repeats = true, .at_ns = nanoseconds_of(at_s), .offset_s = zone ? zone->offset_s(at_s) : 0};
}

bool parse_rfc3339(string_view text, int64_t& unix_ns, bool& zero) {
  size_t at = 0;
  bool ok = true;
  auto is_digit = [&](size_t i) { return i < text.size() && text[i] >= '0' && text[i] <= '9'; };
  auto number = [&](size_t digits) {
    int64_t v = 0;
    for (size_t i = 0; i < digits; i++) {
      ok = ok && is_digit(at);
      v = v * 10 + (ok ? text[at++] - '0' : 0);
    }
    return v;
  };
  auto expect = [&](char c) { ok = ok && at < text.size() && text[at] == c; at++; };
  Civil c;
  c.year = number(4), expect('-'), c.month = number(2), expect('-'), c.day = number(2), expect('T');
  c.hour = number(is_digit(at + 1) ? 2 : 1), expect(':'), c.minute = number(2), expect(':'), c.second = number(2);
  int64_t fraction = 0;
  if (ok && at + 1 < text.size() && (text[at] == '.' || text[at] == ',') && is_digit(at + 1))
    for (int64_t scale = kSecondNs / 10; is_digit(++at); scale /= 10) fraction += (text[at] - '0') * scale;
  int64_t offset_s = 0;
  if (ok && at < text.size() && (text[at] == '+' || text[at] == '-')) {
    int64_t sign = text[at++] == '-' ? -1 : 1, hours = number(2);
    expect(':');
    int64_t minutes = number(2);
    ok = ok && hours <= 24 && minutes <= 60;
    offset_s = sign * (hours * 3600 + minutes * 60);
  } else {
    expect('Z');
  }
  ok = ok && at == text.size() && c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= days_in_month(c.year, c.month) &&
       c.hour < 24 && c.minute < 60 && c.second < 60;
  if (!ok) return false;
  int64_t s = days_of(c.year, c.month, c.day) * kDaySeconds + c.hour * 3600 + c.minute * 60 + c.second - offset_s;
  zero = s == days_of(1, 1, 1) * kDaySeconds && fraction == 0;
  constexpr int64_t highest_s = INT64_MAX / kSecondNs - 1, lowest_s = INT64_MIN / kSecondNs + 1;
  unix_ns = s > highest_s ? ScheduleMark::kNever - 1 : s < lowest_s ? INT64_MIN : s * kSecondNs + fraction;
  return true;
}

}  // namespace slipstream
