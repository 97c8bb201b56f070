"""How long something has lasted, as the monitoring pages write it (K-219)."""

from __future__ import annotations

from slipstream.gotext.durations import SECOND_NS


def format_uptime(duration_ns: int) -> str:
    """Whole seconds, days and years above hours."""
    seconds = max(0, duration_ns) // SECOND_NS
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    years, days = divmod(days, 365)
    parts = [(years, "y"), (days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return "".join(f"{amount}{unit}" for amount, unit in parts)
