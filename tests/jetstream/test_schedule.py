"""Goal: the kernel and the readable twin agree on when a schedule runs.

Method: patterns that are valid, nearly valid and random, in zones with every kind of transition,
at random times and around transitions: kernel/schedule.cpp against jetstream/schedule.py. Zones are
read by our TZif reader on one side, by the standard library's on the other. nats-server's answers
to the same patterns: tests/differential/test_schedules.py. More examples than CI takes:
SLIPSTREAM_SCHEDULE_EXAMPLES=5000.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from slipstream.jetstream.schedule import PatternError, next_run
from slipstream.kernel._kernel import schedule_next_run, zone_offset_s

SECOND_NS = 1_000_000_000
YEAR_S = 31_556_952
EXAMPLES = int(os.environ.get("SLIPSTREAM_SCHEDULE_EXAMPLES", "100"))
ZONES = (
    "Europe/Berlin", "America/New_York", "America/Sao_Paulo", "Australia/Lord_Howe",
    "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia", "America/St_Johns", "Asia/Tehran",
    "Europe/Dublin", "America/Santiago", "Asia/Beirut", "Africa/Cairo", "Etc/GMT-14", "UTC",
)  # fmt: skip

seconds = st.integers(1_500_000_000, 1_500_000_000 + 40 * YEAR_S)
nanoseconds = st.one_of(st.sampled_from((0, 1, 499_999_999, 500_000_000, 999_999_999)))


def twin(pattern: str, zone: str | None, after_ns: int, now_ns: int) -> object:
    try:
        found = next_run(pattern, ZoneInfo(zone) if zone else None, after_ns, now_ns)
    except PatternError:
        return "pattern"
    return None if found is None else tuple(found)


def kernel(pattern: str, zone: str | None, after_ns: int, now_ns: int) -> object:
    name = None if zone is None else zone.encode()
    return schedule_next_run(pattern.encode(), name, after_ns, now_ns)


def field(lowest: int, highest: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest).map(str)
    value = st.one_of(number, st.sampled_from(names)) if names else number
    span = st.tuples(value, value).map("-".join)
    plain = st.one_of(st.sampled_from(("*", "?")), value, span)
    step = st.tuples(plain, st.integers(1, highest).map(str)).map("/".join)
    part = st.one_of(plain, step)
    return st.one_of(part, st.lists(part, min_size=2, max_size=3).map(",".join))


mostly = st.sampled_from(("0", "*", "30", "*/15"))
months = ("jan", "Feb", "MAR", "apr", "oct", "dec")
days = ("sun", "Mon", "SAT")
crons = st.tuples(
    st.one_of(mostly, field(0, 59)),
    st.one_of(mostly, field(0, 59)),
    st.one_of(st.sampled_from(("*", "0", "2", "3", "23")), field(0, 23)),
    st.one_of(st.just("*"), field(1, 31)),
    st.one_of(st.just("*"), field(1, 12, months)),
    st.one_of(st.just("*"), field(0, 6, days)),
).map(" ".join)
named = st.sampled_from(
    ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly", "@never")
)


@given(st.one_of(crons, named), st.none() | st.sampled_from(ZONES), seconds, nanoseconds)
@settings(max_examples=EXAMPLES, deadline=None)
def test_cron(pattern: str, zone: str | None, unix_s: int, ns: int) -> None:
    at = unix_s * SECOND_NS + ns
    assert kernel(pattern, zone, at, at) == twin(pattern, zone, at, at)


@given(crons, seconds, st.integers(0, 10 * YEAR_S * SECOND_NS))
@settings(max_examples=EXAMPLES, deadline=None)
def test_missed_runs_collapse(pattern: str, unix_s: int, late_ns: int) -> None:  # S-211
    after = unix_s * SECOND_NS
    now = after + late_ns
    found = kernel(pattern, None, after, now)
    assert found == twin(pattern, None, after, now)
    if isinstance(found, tuple):
        assert found[0] >= now


@given(st.sampled_from(ZONES), st.integers(0, 400), st.integers(-7200, 7200), crons)
@settings(max_examples=EXAMPLES // 4, deadline=None)
def test_around_transitions(zone: str, week: int, offset_s: int, pattern: str) -> None:
    """Clocks change at night from Saturday to Sunday, mostly in spring and autumn."""
    sunday = int(datetime(2020, 1, 5, 1, tzinfo=UTC).timestamp())
    at = (sunday + week * 604_800 + offset_s) * SECOND_NS
    _, _, hour, _, _, _ = pattern.split()
    nightly = f"0 */15 {hour} * * *"
    for tried in (nightly, "0 30 2 * * *", "0 30 0 * * *", "@hourly", pattern):
        assert kernel(tried, zone, at, at) == twin(tried, zone, at, at)


@given(st.text("0123456789*?/-,+@ jansu\t", max_size=24))
@settings(max_examples=EXAMPLES, deadline=None)
@example("0 0 0 , * *")
@example(", 0 0 * * *")
@example("0 0 0 31 2 *")
@example("0 0 0 29 2 *")
@example("+1 +2 +3 +4 +5 +6")
@example("0 0 0 */1 * 1")
@example("0 0 0 ?/2 * mon")
@example("*-5 * * * * *")
@example("0 0 0 1 1 7")
@example("9223372036854775808 * * * * *")
def test_random_patterns(pattern: str) -> None:
    at = 1_800_000_000 * SECOND_NS
    assert kernel(pattern, None, at, at) == twin(pattern, None, at, at)


durations = st.one_of(
    st.from_regex(r"\A[+-]?([0-9]{1,4}(\.[0-9]{0,3})?(ns|us|ms|s|m|h)){1,3}\Z"),
    st.text("0123456789.smhnuµ+-", max_size=8),
    st.sampled_from(("0", "1s", "999ms", "1000ms", "1.5s", "1h30m", "9223372036s", "9223372037s")),
)


@given(durations, seconds, nanoseconds, st.integers(0, 10**12))
@settings(max_examples=EXAMPLES, deadline=None)
def test_intervals(duration: str, unix_s: int, ns: int, late_ns: int) -> None:  # S-211
    after = unix_s * SECOND_NS + ns
    pattern = f"@every {duration}"
    assert kernel(pattern, None, after, after + late_ns) == twin(
        pattern, None, after, after + late_ns
    )


times = st.one_of(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda t: t.isoformat() + "Z"),
    st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)).map(
        lambda t: t.isoformat() + "+05:30"
    ),
    st.text("0123456789-:TZ+.,", max_size=28),
)


@given(times)
@settings(max_examples=EXAMPLES, deadline=None)
@example("0001-01-01T00:00:00Z")
@example("2024-02-29T12:00:00.123456789123Z")
@example("2023-02-29T12:00:00Z")
@example("2024-01-01T23:59:60Z")
@example("2024-01-01T00:00:00,5Z")
@example("2024-01-01T00:00:00+24:00")
@example("2024-01-01T00:00:00+25:00")
@example("2024-01-01 00:00:00Z")
@example("2024-01-01T5:00:00Z")
@example("2024-01-01T05:00:00-00:60")
@example("2024-01-01T5:00:00+24:60")
@example("2024-01-01T00:00:00z")
def test_single_times(text: str) -> None:
    assert kernel(f"@at {text}", None, 0, 0) == twin(f"@at {text}", None, 0, 0)


@pytest.mark.parametrize("pattern", ["@at 2030-01-01T00:00:00Z", "@every 1s"])
def test_zones_are_for_the_clock(pattern: str) -> None:  # S-205
    assert kernel(pattern, "Europe/Berlin", 0, 0) == "pattern"
    assert kernel(pattern, None, 0, 0) != "pattern"


@pytest.mark.parametrize(
    "name", ["", "Nowhere/City", "../UTC", "/etc/localtime", "Europe", "zone.tab"]
)
def test_unknown_zones(name: str) -> None:  # S-205
    assert kernel("@hourly", name, 0, 0) == "time zone"


def test_every_zone_of_the_system() -> None:
    """Our reader of TZif files against the standard library's, by transitions of a century."""
    zones = sorted(available_timezones() - {"localtime"})
    assert len(zones) > 300
    for index, name in enumerate(zones):
        if zone_offset_s(name.encode(), 0) is None:
            continue  # known to Python's own collection of zones only
        zone = ZoneInfo(name)
        for step in range(12):
            unix_s = 600_000_000 + step * 277_777_777 + index * 86_413
            expected = datetime.fromtimestamp(unix_s, zone).utcoffset()
            assert expected is not None
            found = zone_offset_s(name.encode(), unix_s)
            assert found == expected.total_seconds(), f"{name} at {unix_s}"


def test_daylight_saving() -> None:
    """Half past two comes not at all on one night, and twice on another."""
    spring = int(datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()) * SECOND_NS
    at_ns, offset, _ = schedule_next_run(b"0 30 2 * * *", b"Europe/Berlin", spring, spring)
    assert (datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat(), offset) == (
        "2026-03-30T00:30:00+00:00",
        7200,
    )
