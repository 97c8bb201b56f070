"""Goal: requests that cost much do not make a round of the loop long.

Method: the loop over a kernel of the test's own, whose requests move a clock of the test's own; how
many it asks for in each round.
"""

from __future__ import annotations

from typing import Any

import pytest

from slipstream.kernel.events import Event
from slipstream.server import loop as module
from slipstream.server.loop import REQUESTS_PER_ROUND_MAX, ROUND_S, Loop


class Clock:
    """As the module `time`."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def monotonic_ns(self) -> int:
        return int(self.now_s * 1e9)


class Requests:
    """As many as are asked for; each costs what the list says for its round."""

    def __init__(self, costs_s: list[float]) -> None:
        self.costs_s = costs_s
        self.asked: list[int] = []
        self.loop: Loop | None = None

    def wait_events(self, timeout_s: float, requests_max: int) -> list[Any]:
        if len(self.asked) == len(self.costs_s):
            assert self.loop is not None
            self.loop.stop()
            return []
        self.asked.append(requests_max)
        return [self.costs_s[len(self.asked) - 1]] * requests_max

    def wake(self) -> None:
        pass


def asked_for(costs_s: list[float], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    requests = Requests(costs_s)

    def handle(event: Event) -> None:
        clock.now_s += event  # type: ignore[operator]

    loop = Loop(requests, handle, lambda: None, lambda what, error: "")  # type: ignore[arg-type]
    requests.loop = loop
    loop.run()
    return requests.asked


def test_cheap_requests_come_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = asked_for([ROUND_S / 1000] * 5, monkeypatch)
    assert asked == [REQUESTS_PER_ROUND_MAX] * 5


def test_costly_ones_come_one_by_one_and_then_many_again(monkeypatch: pytest.MonkeyPatch) -> None:
    costly, cheap = [2 * ROUND_S] * 6, [ROUND_S / 1000] * 5
    asked = asked_for(costly + cheap, monkeypatch)
    assert asked == [16, 8, 4, 2, 1, 1, 1, 2, 4, 8, 16]
