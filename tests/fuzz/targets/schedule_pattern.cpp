// Schedules: when a pattern runs next lies behind now, in any zone.
#include <memory>

#include "bytes_of.hpp"
#include "stream/schedules/schedule.hpp"

using namespace slipstream;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static TimeZones zones;
  static const char* kZones[] = {"UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Africa/Casablanca"};
  Input in(data, size);
  int64_t after_ns = in.number<int64_t>(), now_ns = in.number<int64_t>();
  uint8_t choice = in.number<uint8_t>();
  const TimeZone* zone = choice % 2 ? zones.find(kZones[choice / 2 % std::size(kZones)]) : nullptr;
  NextRun run = next_run(in.rest, zone, after_ns, now_ns);
  if (run.repeats && run.fault == ScheduleFault::none) expect(run.at_ns >= std::min(after_ns, now_ns));
  return 0;
}
