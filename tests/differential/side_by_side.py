"""One conversation with both servers at the same time, and what was noted of each.

The notes depend on time in places: heartbeats are counted, and nats-server goes on working after it
has answered. A machine that stands still for a moment shows as a difference then, so a conversation
that differs is held again, and a difference counts when it comes every time.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from difflib import unified_diff
from typing import Protocol, TypeVar

from api_connection import Connection
from targets import LiveTarget

PLAYS_MAX = 3


class Noting(Protocol):
    notes: list[str]


Session = TypeVar("Session", bound=Noting)


def notes_of_both(
    ours: LiveTarget,
    oracle: LiveTarget,
    play: Callable[[Session], None],
    start: Callable[[Connection], Session],
) -> tuple[list[str], list[str]]:
    """Ours, then the oracle's; `start` makes what `play` drives, over a connection of its own."""

    def notes(target: LiveTarget) -> list[str]:
        with Connection(*target.connection.peer) as connection:
            session = start(connection)
            play(session)
            return session.notes

    return held_side_by_side(ours, oracle, notes)


def held_side_by_side(
    ours: LiveTarget, oracle: LiveTarget, hold: Callable[[LiveTarget], list[str]]
) -> tuple[list[str], list[str]]:
    """What `hold` notes of either server, each without streams at the beginning."""

    def held(target: LiveTarget) -> list[str]:
        while json.loads(target.request("STREAM.NAMES", b"", b"") or b"{}")["streams"]:
            target.remove_everything()  # nats-server takes its time while batches are open
        target.connection.drain_queued()
        return hold(target)

    def both() -> tuple[list[str], list[str]]:
        with ThreadPoolExecutor(2) as threads:
            got, expected = threads.map(held, (ours, oracle))
        return got, expected

    for _ in range(PLAYS_MAX - 1):
        try:
            got, expected = both()
        except AssertionError as failed:
            reason = str(failed)
        else:
            if got == expected:
                return got, expected
            reason = "\n".join(unified_diff(expected, got, "theirs", "ours", n=0, lineterm=""))
        warnings.warn(f"the conversation is held again: {reason[:800]}", stacklevel=2)
    return both()
