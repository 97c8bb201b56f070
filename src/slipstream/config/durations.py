"""Go's duration notation (`1h2m3.5s`, `250ms`), in nanoseconds: in configuration files, log lines
and monitoring.
"""

from __future__ import annotations

import re
from decimal import Decimal

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
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_INT64_MAX = 2**63 - 1


def parse_duration(text: str) -> int:
    """Nanoseconds. Raises ValueError with the reason."""
    sign = -1 if text.startswith("-") else 1
    rest = text.lstrip("+-") if text[:1] in ("+", "-") else text
    if rest == "0":
        return 0
    total = Decimal(0)
    offset = 0
    while offset < len(rest):
        part = _PART.match(rest, offset)
        if part is None:
            break
        total += Decimal(part[1]) * UNITS_NS[part[2]]
        offset = part.end()
    if not rest or offset < len(rest) or len(text) - len(rest) > 1:
        raise ValueError(f"invalid duration {text!r}: write it like '30s', '2m' or '1h30m'")
    if total > _INT64_MAX:
        raise ValueError(f"duration {text!r} is out of the range")
    return sign * int(total)


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


def format_uptime(duration_ns: int) -> str:
    """As the monitoring pages show it: whole seconds, days and years above hours (K-219)."""
    seconds = max(0, duration_ns) // SECOND_NS
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    years, days = divmod(days, 365)
    parts = [(years, "y"), (days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return "".join(f"{amount}{unit}" for amount, unit in parts)


def _fraction(amount: int, unit: int) -> str:
    whole, rest = divmod(amount, unit)
    if rest == 0:
        return str(whole)
    digits = len(str(unit)) - 1
    return f"{whole}.{rest:0{digits}d}".rstrip("0")
