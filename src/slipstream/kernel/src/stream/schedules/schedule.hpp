// When a message schedule runs (ADR-51): @at, @every, @daily and the like, and cron patterns of six fields. The
// readable twin, and the specification, is slipstream/jetstream/schedule.py.
//
// The room stream/schedules/:
//   schedule.cpp            patterns, and the next time of one
//   schedule_index.hpp      which messages of a stream are schedules, and when each runs next
//   scheduled_publish.cpp   what clients may schedule, and the messages that due schedules make
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "clock/time_zone.hpp"
#include "message/logged_message.hpp"

namespace slipstream {

struct NextRun {
  ScheduleFault fault = ScheduleFault::none;
  bool scheduled = false;   // there is a pattern, and it is no zero time
  bool repeats = false;
  int64_t at_ns = ScheduleMark::kNever;
  int64_t offset_s = 0;     // of the zone at that time
};

// The first run behind `after_ns`. Runs that were missed (they lie before `now_ns`) collapse into one. `zone` is null without a
// header that names one.
NextRun next_run(std::string_view pattern, const TimeZone* zone, int64_t after_ns, int64_t now_ns);

}  // namespace slipstream
