"""Go's time.Time in JSON: RFC 3339 with up to nine decimals, trailing zeros trimmed, the offset of
the sender kept.

A point in time is an integer of unix nanoseconds everywhere else; only what a client sent and
expects back unchanged (start times) is kept as a `Timestamp` with its offset.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import NamedTuple

from slipstream.gotext.durations import SECOND_NS

_EPOCH = datetime(1970, 1, 1)  # naive: its text is wanted without a zone
_ZERO_SECONDS = -62_135_596_800  # 0001-01-01T00:00:00Z, what Go calls the zero time
_LAST_SECONDS = 253_402_300_799  # 9999-12-31T23:59:59Z
ZERO_TIME = "0001-01-01T00:00:00Z"


class Timestamp(NamedTuple):
    """Seconds and nanoseconds since the epoch, and the offset in which it was written."""

    seconds: int
    nanoseconds: int
    offset_minutes: int

    @property
    def unix_ns(self) -> int:
        """Saturated: 64 bits reach from 1677 to 2262, the calendar of texts to 9999."""
        unix_ns = self.seconds * SECOND_NS + self.nanoseconds
        return min(max(unix_ns, -(2**63)), 2**63 - 1)

    @property
    def is_zero(self) -> bool:
        return self.seconds == _ZERO_SECONDS and self.nanoseconds == 0

    def in_utc(self) -> Timestamp:
        return self._replace(offset_minutes=0)

    def __str__(self) -> str:
        local = _EPOCH + timedelta(seconds=self.seconds + self.offset_minutes * 60)
        fraction = f".{self.nanoseconds:09d}".rstrip("0") if self.nanoseconds else ""
        return f"{local.isoformat()}{fraction}{self._zone()}"

    def _zone(self) -> str:
        if self.offset_minutes == 0:
            return "Z"
        hours, minutes = divmod(abs(self.offset_minutes), 60)
        return f"{'+' if self.offset_minutes > 0 else '-'}{hours:02d}:{minutes:02d}"


ZERO = Timestamp(_ZERO_SECONDS, 0, 0)


def from_unix_ns(unix_ns: int) -> Timestamp:
    seconds, nanoseconds = divmod(unix_ns, SECOND_NS)
    return Timestamp(seconds, nanoseconds, 0)


def format_time(unix_ns: int) -> str:
    """UTC text of a unix time; 0 stands for "never" and gives the zero time."""
    if unix_ns == 0:
        return ZERO_TIME
    return str(from_unix_ns(unix_ns))


# Go reads the parts from left to right and names the first that does not fit.
_PARTS = (
    (re.compile(r"[0-9]{4}"), "2006"),
    (re.compile(r"-"), "-"),
    (re.compile(r"[0-9]{2}"), "01"),
    (re.compile(r"-"), "-"),
    (re.compile(r"[0-9]{2}"), "02"),
    (re.compile(r"T"), "T"),
    (re.compile(r"[0-9]{2}"), "15"),
    (re.compile(r":"), ":"),
    (re.compile(r"[0-9]{2}"), "04"),
    (re.compile(r":"), ":"),
    (re.compile(r"[0-9]{2}"), "05"),
)
_FRACTION = re.compile(r"[.,][0-9]+")
_ZONE = re.compile(r"Z|[+-][0-9]{2}:[0-9]{2}")
_LAYOUT = "2006-01-02T15:04:05Z07:00"
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def parse_time(text: str) -> Timestamp:
    """Raises ValueError with Go's words."""
    numbers: list[int] = []
    position = 0
    for pattern, layout in _PARTS:
        found = pattern.match(text, position)
        if found is None:
            raise _cannot_parse(text, text[position:], layout)
        position = found.end()
        if layout.isdigit():
            numbers.append(int(found.group()))
    nanoseconds = 0
    if (fraction := _FRACTION.match(text, position)) is not None:
        nanoseconds = int(fraction.group()[1:10].ljust(9, "0"))
        position = fraction.end()
    zone = _ZONE.match(text, position)
    if zone is None:
        raise _cannot_parse(text, text[position:], "Z07:00")
    if zone.end() != len(text):
        raise ValueError(f'parsing time "{text}": extra text: "{text[zone.end() :]}"')
    return _checked(text, numbers, nanoseconds, zone.group())


def _checked(text: str, numbers: list[int], nanoseconds: int, zone: str) -> Timestamp:
    year, month, day, hour, minute, second = numbers
    offset_hours, offset_minutes = (0, 0) if zone == "Z" else (int(zone[1:3]), int(zone[4:6]))
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    ranges = (
        ("month", 1 <= month <= 12),
        ("day", 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] + leap),
        ("hour", hour < 24),
        ("minute", minute < 60),
        ("second", second < 60),
        ("time zone offset hour", offset_hours <= 24),
        ("time zone offset minute", offset_minutes < 60),
    )
    for part, fits in ranges:
        if not fits:
            raise ValueError(f'parsing time "{text}": {part} out of range')
    offset = (offset_hours * 60 + offset_minutes) * (-1 if zone[0] == "-" else 1)
    if year == 0:
        # Python's calendar starts at year 1, and no message is that old.
        raise ValueError(f'parsing time "{text}": year out of range')
    local = datetime(year, month, day, hour, minute, second) - _EPOCH
    seconds = local.days * 86_400 + local.seconds - offset * 60
    # With an offset the year in UTC may be 0 or 10000, which no text has.
    return Timestamp(min(max(seconds, _ZERO_SECONDS), _LAST_SECONDS), nanoseconds, offset)


def _cannot_parse(text: str, rest: str, layout: str) -> ValueError:
    return ValueError(f'parsing time "{text}" as "{_LAYOUT}": cannot parse "{rest}" as "{layout}"')
