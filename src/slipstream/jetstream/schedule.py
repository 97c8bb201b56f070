"""When a message schedule runs (ADR-51, S-206, S-211).

This is the readable twin of the kernel's schedule.cpp, and its specification: the same tests run on
both. The kernel computes every run; nothing in the server calls this.

Patterns: `@at <RFC 3339>` runs once; `@every <duration>` repeats from the second in which the
schedule was stored; six cron fields (second, minute, hour, day of month, month, day of week), or
one of their names (`@hourly`), repeat by the clock on the wall of a zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from slipstream.gotext.durations import SECOND_NS, parse_duration
from slipstream.gotext.times import parse_time

LATEST_NS = 2**63 - 1
YEARS_MAX = 5
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

NAMED_PATTERNS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]


class PatternError(ValueError):
    """Not a pattern, or one without a run within five years."""


class NextRun(NamedTuple):
    at_ns: int
    offset_s: int  # of the zone at that time
    repeats: bool


class Field(NamedTuple):
    """The values of a cron field; `any` if it was `*` or `?`, which matters for days."""

    values: frozenset[int]
    any: bool


class Cron(NamedTuple):
    second: Field
    minute: Field
    hour: Field
    day: Field
    month: Field
    weekday: Field


def next_run(pattern: str, zone: tzinfo | None, after_ns: int, now_ns: int) -> NextRun | None:
    """The first run behind `after_ns`; None without one (an empty pattern, Go's zero time).

    Runs that were missed, before `now_ns`, collapse into one. Raises PatternError.
    """
    if not pattern:
        return None
    if pattern.startswith("@at "):
        return _once(pattern.removeprefix("@at "), zone)
    if pattern.startswith("@every "):
        return _interval(pattern.removeprefix("@every "), zone, after_ns, now_ns)
    cron = parse_cron(NAMED_PATTERNS.get(pattern, pattern))
    at_s = next_by_clock(cron, zone, after_ns // SECOND_NS + 1)
    if at_s * SECOND_NS < now_ns:
        at_s = next_by_clock(cron, zone, _rounded_s(now_ns) + 1)
    return NextRun(at_s * SECOND_NS, offset_s(zone, at_s), True)


def _once(text: str, zone: tzinfo | None) -> NextRun | None:
    if zone is not None:
        raise PatternError("a time has its own offset")
    # Unlike a time in JSON it may have an hour of one digit, and an offset of 60 minutes.
    text = re.sub(r"^([^T]*T)(\d:)", r"\g<1>0\2", text, flags=re.ASCII)
    westwards_s = 0
    if (found := re.search(r"([+-])\d\d:(60)$", text, re.ASCII)) is not None:
        text = text[: found.start(2)] + "00"
        westwards_s = 3600 if found.group(1) == "-" else -3600
    try:
        time = parse_time(text)
    except ValueError as error:
        raise PatternError(str(error)) from None
    if time.is_zero and not westwards_s:
        return None
    at_ns = (time.seconds + westwards_s) * SECOND_NS + time.nanoseconds
    return NextRun(min(max(at_ns, -LATEST_NS - 1), LATEST_NS - 1), 0, False)


def _interval(text: str, zone: tzinfo | None, after_ns: int, now_ns: int) -> NextRun:
    try:
        interval_ns = parse_duration(text)
    except ValueError as error:
        raise PatternError(str(error)) from None
    if zone is not None or interval_ns < SECOND_NS:
        raise PatternError("an interval is at least a second, and the same in every zone")
    at_ns = _rounded_s(after_ns) * SECOND_NS + interval_ns
    if at_ns < now_ns:
        at_ns = _rounded_s(now_ns) * SECOND_NS + interval_ns
    return NextRun(min(at_ns, LATEST_NS), 0, True)


def _rounded_s(unix_ns: int) -> int:
    return (unix_ns + SECOND_NS // 2) // SECOND_NS


# ---------------------------------------------------------------- cron


def parse_cron(pattern: str) -> Cron:
    words = re.findall(r"[^ \t\n\v\f\r]+", pattern)
    if len(words) != 6:
        raise PatternError(f"six fields, not {len(words)}")
    second, minute, hour, day, month, weekday = words
    cron = Cron(
        parse_field(second, 0, 59),
        parse_field(minute, 0, 59),
        parse_field(hour, 0, 23),
        parse_field(day, 1, 31),
        parse_field(month, 1, 12, MONTHS),
        parse_field(weekday, 0, 6, DAYS),
    )
    for field in (cron.second, cron.minute, cron.hour, cron.month):
        if not field.values:
            raise PatternError("a field without a value")
    return cron


def parse_field(text: str, lowest: int, highest: int, names: list[str] | None = None) -> Field:
    values: set[int] = set()
    any_value = False
    for part in filter(None, text.split(",")):
        found, star = _parse_range(part, lowest, highest, names or [])
        values.update(found)
        any_value = any_value or star
    return Field(frozenset(values), any_value)


def _parse_range(text: str, lowest: int, highest: int, names: list[str]) -> tuple[range, bool]:
    bounds, *steps = text.split("/")
    first_text, *last_texts = bounds.split("-")
    star = first_text in ("*", "?")
    if star:
        first, last = lowest, highest
    else:
        if len(last_texts) > 1:
            raise PatternError(f"too many hyphens: {text}")
        first = _value(first_text, lowest, names)
        last = _value(last_texts[0], lowest, names) if last_texts else first
    if len(steps) > 1:
        raise PatternError(f"too many slashes: {text}")
    step = 1
    if steps:
        step = _value(steps[0], 0, [])
        if not last_texts:
            last = highest  # "5/10" goes on to the end
    if first < lowest or last > highest or first > last or step == 0:
        raise PatternError(f"out of range: {text}")
    return range(first, last + 1, step), star and step == 1


def _value(text: str, lowest: int, names: list[str]) -> int:
    if text.lower() in names:
        return names.index(text.lower()) + lowest
    if not re.fullmatch(r"\+?[0-9]+", text) or int(text) > LATEST_NS:
        raise PatternError(f"{text!r} is no number")
    return int(text)


# ---------------------------------------------------------------- the clock on the wall


def offset_s(zone: tzinfo | None, unix_s: int) -> int:
    if zone is None:
        return 0
    offset = (EPOCH + timedelta(seconds=unix_s)).astimezone(zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


def shown(zone: tzinfo | None, unix_s: int) -> datetime:
    """What the clock shows then, as a naive date."""
    return datetime(1970, 1, 1) + timedelta(seconds=unix_s + offset_s(zone, unix_s))


def moment(zone: tzinfo | None, wall: datetime) -> int:
    """When the clock shows `wall`. Where it does never or twice: as Go's time.Date has it."""
    unix_s = round((wall - datetime(1970, 1, 1)).total_seconds())
    first = offset_s(zone, unix_s)
    return unix_s - offset_s(zone, unix_s - first) if first else unix_s


def next_by_clock(cron: Cron, zone: tzinfo | None, from_s: int) -> int:
    """The first second from `from_s` on that all fields allow.

    Each field in turn moves to its next allowed value, the greater first; when one wraps around,
    all are looked at again. Raises PatternError if there is none within five years.
    """
    year_max = shown(zone, from_s).year + YEARS_MAX
    for unix_s, complete in _candidates(cron, zone, from_s):
        if complete:
            return unix_s
        if shown(zone, unix_s).year > year_max:
            break
    raise PatternError(f"no run within {YEARS_MAX} years")


def _candidates(cron: Cron, zone: tzinfo | None, from_s: int) -> Iterator[tuple[int, bool]]:
    """Where a field wrapped around (False), and the first moment that all fields allow (True)."""
    unix_s = from_s
    cut = False  # the smaller fields stand at their beginning
    while True:
        wrapped = False
        while not wrapped and shown(zone, unix_s).month not in cron.month.values:
            wall = shown(zone, unix_s)
            if not cut:
                cut, unix_s = True, moment(zone, datetime(wall.year, wall.month, 1))
            unix_s = moment(zone, _month_later(shown(zone, unix_s)))
            wrapped = shown(zone, unix_s).month == 1
        while not wrapped and not _day_fits(cron, shown(zone, unix_s)):
            wall = shown(zone, unix_s)
            if not cut:
                cut, unix_s = True, moment(zone, datetime(wall.year, wall.month, wall.day))
            unix_s = moment(zone, shown(zone, unix_s) + timedelta(days=1))
            wrapped = shown(zone, unix_s).day == 1
        while not wrapped and shown(zone, unix_s).hour not in cron.hour.values:
            if not cut:
                wall = shown(zone, unix_s)
                cut, unix_s = True, moment(zone, wall.replace(minute=0, second=0))
            unix_s += 3600
            wrapped = shown(zone, unix_s).hour == 0
        while not wrapped and shown(zone, unix_s).minute not in cron.minute.values:
            if not cut:
                cut, unix_s = True, unix_s // 60 * 60
            unix_s += 60
            wrapped = shown(zone, unix_s).minute == 0
        while not wrapped and shown(zone, unix_s).second not in cron.second.values:
            cut = True
            unix_s += 1
            wrapped = shown(zone, unix_s).second == 0
        yield unix_s, not wrapped


def _month_later(wall: datetime) -> datetime:
    """The same day of the next month; days beyond its end run into the month behind."""
    years, month = divmod(wall.month, 12)
    first = wall.replace(year=wall.year + years, month=month + 1, day=1)
    return first + timedelta(days=wall.day - 1)


def _day_fits(cron: Cron, wall: datetime) -> bool:
    """If both days are given, either will do."""
    day = wall.day in cron.day.values
    weekday = wall.isoweekday() % 7 in cron.weekday.values
    return (day and weekday) if cron.day.any or cron.weekday.any else (day or weekday)
