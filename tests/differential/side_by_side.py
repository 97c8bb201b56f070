"""One conversation with both servers at the same time, and what was noted of each.

nats-server goes on working after it has answered: it counts a message as pending, and hears of
subscriptions and origins, a moment later. So it may look again where it reads a state, until it
says what ours said at its first look. What is left is a difference.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Protocol, TypeVar

from api_connection import ANSWER_S_MAX, Connection
from targets import LiveTarget

CATCHING_UP_S = 2.0
BETWEEN_LOOKS_S = 0.005
PLAYS_MAX = 3
# What nats-server itself answers in more than one way. Ours must say the same each time.
HELD_AGAIN = {
    # Its stream closes the channel that ends the loop for outgoing messages when it has queued the
    # advisory of its deletion; with both ready, Go selects either.
    "a_stream_ends_with_its_consumers": "the advisory of a deletion may be lost",
}

State = TypeVar("State")


class Leading:
    """Ours: looks once, and its partner has to come to the same."""

    def __init__(self) -> None:
        self.looks: SimpleQueue[object] = SimpleQueue()

    def look(self, read: Callable[[], State]) -> State:
        state = read()
        self.looks.put(state)
        return state


class Following:
    """nats-server: looks until it sees what ours saw, as long as that may still come."""

    def __init__(self, partner: Leading) -> None:
        self._partner = partner

    def look(self, read: Callable[[], State]) -> State:
        try:
            wanted = self._partner.looks.get(timeout=ANSWER_S_MAX)
        except Empty:
            return read()  # the partner's conversation is over, and has failed
        deadline = time.monotonic() + CATCHING_UP_S
        while (state := read()) != wanted and time.monotonic() < deadline:
            time.sleep(BETWEEN_LOOKS_S)  # nothing tells when it has caught up
        return state


class Noting(Protocol):
    notes: list[str]
    watch: Leading | Following | None


Session = TypeVar("Session", bound=Noting)


def notes_of_both(
    ours: LiveTarget,
    oracle: LiveTarget,
    play: Callable[[Session], None],
    start: Callable[[Connection], Session],
) -> tuple[list[str], list[str]]:
    """Ours, then the oracle's; `start` makes what `play` drives, over a connection of its own."""

    def play_once() -> tuple[list[str], list[str]]:
        leading = Leading()

        def notes(target: LiveTarget) -> list[str]:
            with Connection(*target.connection.peer) as connection:
                session = start(connection)
                session.watch = leading if target is ours else Following(leading)
                play(session)
                return session.notes

        return held_side_by_side(ours, oracle, notes)

    got, expected = play_once()
    plays = PLAYS_MAX if play.__name__ in HELD_AGAIN else 1
    for _ in range(1, plays):
        if got == expected:
            break
        again, expected = play_once()
        assert again == got, "ours says the same each time"
    return got, expected


def held_side_by_side(
    ours: LiveTarget, oracle: LiveTarget, hold: Callable[[LiveTarget], list[str]]
) -> tuple[list[str], list[str]]:
    """What `hold` notes of either server, each without streams at the beginning."""

    def held(target: LiveTarget) -> list[str]:
        while json.loads(target.request("STREAM.NAMES", b"", b"") or b"{}")["streams"]:
            target.remove_everything()  # nats-server takes its time while batches are open
        target.connection.drain_queued()
        return hold(target)

    with ThreadPoolExecutor(2) as threads:
        got, expected = threads.map(held, (ours, oracle))
    return got, expected
