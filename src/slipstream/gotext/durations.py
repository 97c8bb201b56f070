"""Go's time.Duration as text (`1h2m3.5s`, `250ms`), in nanoseconds: in configurations, patterns of
schedules, log lines and errors.
"""

from __future__ import annotations

import re

MICROSECOND_NS = 1_000
MILLISECOND_NS = 1_000_000
SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS
HOUR_NS = 60 * MINUTE_NS

UNITS_NS = {
    "ns": 1,
    "us": MICROSECOND_NS,
    "µs": MICROSECOND_NS,  # U+00B5
    "μs": MICROSECOND_NS,  # U+03BC
    "ms": MILLISECOND_NS,
    "s": SECOND_NS,
    "m": MINUTE_NS,
    "h": HOUR_NS,
}
# One way only to match digits, and each part where the last one ended: a long text takes as long as
# its length.
_PART = re.compile(r"(?:(\d+)(?:\.(\d*))?|\.(\d+))(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_INT64_MAX = 2**63 - 1
_WHOLE_DIGITS_MAX = 19  # of 2**63 - 1
_FRACTION_DIGITS_MAX = 30  # what comes after them is less than a nanosecond of an hour


def parse_duration(text: str) -> int:
    """Nanoseconds; of each part's fraction, whole ones. Raises ValueError with the reason."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total = at = 0
    while part := _PART.match(rest, at):
        whole = part[1].lstrip("0") if part[1] else ""
        fraction = (part[2] or part[3] or "")[:_FRACTION_DIGITS_MAX]
        unit_ns = UNITS_NS[part[4]]
        if len(whole) > _WHOLE_DIGITS_MAX:
            raise ValueError(f"duration {text!r} is out of the range")
        total += int(whole or "0") * unit_ns
        total += int(fraction or "0") * unit_ns // 10 ** len(fraction)
        at = part.end()
    if not rest or at < len(rest):
        raise ValueError(f"invalid duration {text!r}: write it like '30s', '2m' or '1h30m'")
    if total > _INT64_MAX:
        raise ValueError(f"duration {text!r} is out of the range")
    return sign * total


def format_duration(duration_ns: int) -> str:
    """As Go's Duration.String: `2m0s`, `1.5s`, `974.951µs`."""
    sign, left = ("-", -duration_ns) if duration_ns < 0 else ("", duration_ns)
    if left == 0:
        return "0s"
    if left < SECOND_NS:
        for unit in ("ms", "µs", "ns"):
            if left >= UNITS_NS[unit]:
                return f"{sign}{_fraction(left, UNITS_NS[unit])}{unit}"
    hours, left = divmod(left, HOUR_NS)
    minutes, left = divmod(left, MINUTE_NS)
    text = f"{_fraction(left, SECOND_NS)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _fraction(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    if rest == 0:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")
