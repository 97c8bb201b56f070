"""Texts as Go writes and reads them: times, durations, JSON."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

SECOND_NS = 1_000_000_000
NEVER = "0001-01-01T00:00:00Z"

_DURATION_PART = re.compile(r"([0-9]*\.?[0-9]+)(ns|us|µs|ms|s|m|h)")
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
}


def time_text(unix_ns: int) -> str:
    if not unix_ns:
        return NEVER
    seconds, ns = divmod(unix_ns, 1_000_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return text + (f".{ns:09d}".rstrip("0") if ns else "") + "Z"


def duration_text(duration_ns: int) -> str:
    """Of at least a second, as Go prints it."""
    seconds, ns = divmod(duration_ns, 1_000_000_000)
    fraction = f".{ns:09d}".rstrip("0") if ns else ""
    text = f"{seconds % 60}{fraction}s"
    if seconds >= 60:
        text = f"{seconds // 60 % 60}m{text}"
    return f"{seconds // 3600}h{text}" if seconds >= 3600 else text


def duration_of(text: str) -> int | None:
    """Go's durations, as far as clients write them: 1h2m3.5s."""
    if text == "0":
        return 0
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(round(float(number) * _UNIT_NS[unit]) for number, unit in parts)


def go_json(value: object) -> bytes:
    """Go's spelling (S-140)."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()
