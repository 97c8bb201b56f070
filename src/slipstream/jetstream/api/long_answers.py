"""Answers that are too long for one step, by the client that asked for them.

Clients take turns, and each has one answer under way: a client that asks ten thousand times for a
list of everything holds the memory of one such list, and delays the others by one slice at a time.
Beyond `CLIENTS_AT_ONCE` clients the memory is bounded by letting the later ones wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

# Waiting ones; further ones are dropped, their callers time out (S-109).
LONG_ANSWERS_MAX = 10_000
CLIENTS_AT_ONCE = 16  # whose answers are under way

LongAnswer = tuple[Any, Iterator[None]]  # the request


class LongAnswers:
    def __init__(self) -> None:
        self._by_client: dict[int, deque[LongAnswer]] = {}
        self._turns: deque[int] = deque()  # of clients whose first answer is under way
        self._later: deque[int] = deque()
        self._waiting = 0

    def __bool__(self) -> bool:
        return bool(self._turns)

    def add(self, cid: int, answer: LongAnswer, *, always: bool = False) -> None:
        """Nothing of `answer` has run yet. A client may have as many as there is room left, so that
        some is left for the others. `always`: what it answers is committed; proposals are bounded.
        """
        of_client = self._by_client.get(cid)
        if not always and len(of_client or ()) >= LONG_ANSWERS_MAX - self._waiting:
            return
        self._waiting += 1
        if of_client is not None:
            of_client.append(answer)
            return
        self._by_client[cid] = deque([answer])
        (self._turns if len(self._turns) < CLIENTS_AT_ONCE else self._later).append(cid)

    def turn(self) -> LongAnswer:
        """The answer whose next slice is due. Its caller runs one, and calls `end_turn`."""
        return self._by_client[self._turns[0]][0]

    def end_turn(self, *, ended: bool) -> None:
        cid = self._turns.popleft()
        if not ended:
            self._turns.append(cid)
            return
        self._waiting -= 1
        of_client = self._by_client[cid]
        of_client.popleft()
        if of_client:
            self._later.append(cid)
        else:
            del self._by_client[cid]
        if self._later:
            self._turns.append(self._later.popleft())
