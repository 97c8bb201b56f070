"""Lines that a client, or damage, can make the log write without end: the first ones of each second
are written, and the next line that is says how many were not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

LINES_PER_S = 10


class LineLimit:
    """Of one kind of lines, on one thread."""

    def __init__(self, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._since_s = -1.0
        self._written = self._unsaid = 0

    def suffix(self) -> str | None:
        """What stands behind the line; None: it is not written."""
        now_s = self._monotonic_s()
        if not 0 <= now_s - self._since_s < 1.0:
            self._since_s, self._written = now_s, 0
        if self._written >= LINES_PER_S:
            self._unsaid += 1
            return None
        self._written += 1
        unsaid, self._unsaid = self._unsaid, 0
        return f" (and {unsaid} others before it)" if unsaid else ""
