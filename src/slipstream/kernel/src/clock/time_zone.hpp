// An IANA time zone: what a clock on the wall shows there at a given moment, from the system's TZif files (RFC 8536).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace slipstream {

class TimeZone {
 public:
  // Null when there is no such zone. UTC needs no file.
  static std::unique_ptr<TimeZone> load(const std::string& name);

  int64_t offset_s(int64_t unix_s) const;  // east of Greenwich

 private:
  // A day of the year in the rule behind the last transition: Mm.w.d, Jn or n, and the time of day.
  struct Day { char kind = 0; int month = 0, week = 0, day = 0; int64_t time_s = 7200; };
  struct Rule {
    int64_t standard_s = 0, summer_s = 0;
    bool present = false, summer = false;
    Day begins, ends;
  };
  struct Transition { int64_t at_s; int32_t offset_s; };

  bool parse(std::string_view file);
  static bool parse_rule(std::string_view text, Rule& rule);
  static int64_t day_in_year(const Day& day, int64_t year);  // unix seconds of its time as if the zone were UTC
  int64_t rule_offset_s(int64_t unix_s) const;

  std::vector<Transition> transitions_;
  int64_t first_offset_s_ = 0;
  Rule rule_;
};

// Zones that were asked for, kept in memory; at most kZonesMax of them. The names that there are were listed when the first zone was
// asked for: a name that is none, which any publisher can write, costs no look at the disk.
class TimeZones {
 public:
  const TimeZone* find(std::string_view name);  // valid until the next call

 private:
  static constexpr size_t kZonesMax = 1024, kNamesMax = 1 << 14;
  void list_names();

  std::unordered_set<std::string> names_;
  std::unordered_map<std::string, std::unique_ptr<TimeZone>> zones_;
};

}  // namespace slipstream
