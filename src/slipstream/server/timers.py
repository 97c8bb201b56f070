"""Callbacks at a time, for the server's loop: a heap, and how long the loop may sleep."""

from __future__ import annotations

import heapq
from collections.abc import Callable


class Timers:
    """Times are monotonic seconds. Not for several threads."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def at(self, due_s: float, callback: Callable[[], None]) -> None:
        self._count += 1  # equal times fire in the order in which they were set
        heapq.heappush(self._heap, (due_s, self._count, callback))

    def wait_s(self, now_s: float, wait_max_s: float) -> float:
        """Seconds until the next timer, at most `wait_max_s`."""
        if not self._heap:
            return wait_max_s
        return min(wait_max_s, max(0.0, self._heap[0][0] - now_s))

    def take_due(self, now_s: float) -> list[Callable[[], None]]:
        """What the caller has to call now; what these callbacks set waits for the next round."""
        due: list[Callable[[], None]] = []
        while self._heap and self._heap[0][0] <= now_s:
            due.append(heapq.heappop(self._heap)[2])
        return due
