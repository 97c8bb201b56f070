# When a message schedule runs, for the tests that hold it against its twin (slipstream/jetstream/schedule.py).
from libc.stdint cimport int64_t, uint8_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.string_view cimport string_view


cdef extern from "stream/schedules/schedule.hpp" namespace "slipstream" nogil:
    cdef enum class ScheduleFault "slipstream::ScheduleFault"(uint8_t):
        none
        pattern
        time_zone

    cdef cppclass CNextRun "slipstream::NextRun":
        ScheduleFault fault
        cbool scheduled, repeats
        int64_t at_ns, offset_s

    cdef cppclass CTimeZone "slipstream::TimeZone":
        @staticmethod
        unique_ptr[CTimeZone] load(const string&)
        int64_t offset_s(int64_t)

    CNextRun c_next_run "slipstream::next_run"(string_view, const CTimeZone*, int64_t, int64_t)


def schedule_next_run(bytes pattern, bytes zone, int64_t after_ns, int64_t now_ns):
    cdef unique_ptr[CTimeZone] held
    if zone is not None:
        held = CTimeZone.load(zone)
        if held.get() is NULL:
            return "time zone"
    cdef CNextRun run = c_next_run(_to_view(pattern), held.get(), after_ns, now_ns)
    if run.fault != ScheduleFault.none:
        return "pattern"
    return (run.at_ns, run.offset_s, run.repeats) if run.scheduled else None


def zone_offset_s(bytes zone, int64_t unix_s):
    cdef unique_ptr[CTimeZone] held = CTimeZone.load(zone)
    return held.get().offset_s(unix_s) if held.get() is not NULL else None
