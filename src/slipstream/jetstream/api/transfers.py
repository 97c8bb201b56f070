"""Backups and restores under way: long conversations with one client each, which advance in slices
between other work.

Each has a subject of its own with a random token, on which its client sends chunks or confirms
them; the kernel reports these messages under TRANSFER_SERVICE.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from slipstream.jetstream.unexpected import Report, raise_again, unexpected
from slipstream.kernel.events import RequestEvent
from slipstream.protocol.errors import ApiError

T = TypeVar("T")

# The number under which the kernel reports messages to transfers; JETSTREAM_SERVICE is 1.
TRANSFER_SERVICE = 2
# Each holds a chunk, a block and a piece: some ten megabytes at most.
TRANSFERS_MAX = 256
_TOKEN_INDEX = 4  # $JS.SNAPSHOT.ACK.<stream>.<token>..., $JS.SNAPSHOT.RESTORE.<stream>.<token>


class Transfer(Protocol):
    """`step` does about a millisecond of work and says whether there is more to do at once; with
    nothing to do it returns False and costs nothing. `deadline_ns`: when to call it even so.
    """

    @property
    def ended(self) -> bool: ...
    def message(self, event: RequestEvent, now_ns: int) -> None: ...
    def readable(self, backup: int) -> None: ...
    def step(self, now_ns: int) -> bool: ...
    def deadline_ns(self) -> int | None: ...
    def store_failed(self, text: str, now_ns: int) -> None: ...
    def give_up(self, error: ApiError, now_ns: int) -> None:
        """Tells the client, lets go of everything and has ended, whatever state it is in."""


class Transfers:
    def __init__(self, report: Report = raise_again) -> None:
        self._report = report
        self._by_token: dict[str, Transfer] = {}
        self._turns: deque[str] = deque()

    def __len__(self) -> int:
        return len(self._by_token)

    @property
    def full(self) -> bool:
        return len(self._by_token) >= TRANSFERS_MAX

    def add(self, token: str, transfer: Transfer) -> None:
        assert token not in self._by_token
        assert not self.full
        self._by_token[token] = transfer
        self._turns.append(token)

    def message(self, event: RequestEvent, now_ns: int) -> None:
        """What comes after the end of a transfer is nobody's."""
        tokens = event.subject.decode("utf-8", "replace").split(".")
        transfer = self._by_token.get(tokens[_TOKEN_INDEX]) if len(tokens) > _TOKEN_INDEX else None
        if transfer is not None:
            self._run(transfer, lambda: transfer.message(event, now_ns), now_ns)

    def readable(self, backup: int) -> None:
        for transfer in self._by_token.values():
            transfer.readable(backup)

    def step(self, now_ns: int) -> bool:
        """One slice of the first that has something to do; then it is the others' turn."""
        for _ in range(len(self._turns)):
            token = self._turns.popleft()
            transfer = self._by_token[token]
            more = self._run(transfer, lambda: transfer.step(now_ns), now_ns)  # noqa: B023
            if transfer.ended:
                del self._by_token[token]
            else:
                self._turns.append(token)
            if more:
                return True
        return False

    def deadline_ns(self) -> int | None:
        deadlines = (transfer.deadline_ns() for transfer in self._by_token.values())
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def store_failed(self, text: str, now_ns: int) -> None:
        for transfer in self._by_token.values():
            self._run(transfer, lambda: transfer.store_failed(text, now_ns), now_ns)  # noqa: B023

    def _run(self, transfer: Transfer, step: Callable[[], T], now_ns: int) -> T | None:
        """What a step raises ends its transfer, and no other one."""
        try:
            return step()
        except Exception as error:
            id_ = self._report("a backup or restore", error)
        try:
            transfer.give_up(unexpected(id_), now_ns)
        except Exception as error:
            self._report("the end of a backup or restore", error)
        return None
