"""The pull requests of one consumer as plain Python: who gets the next message, and what the others
hear. A twin of waiting_requests.cpp and pulling.cpp, for tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LAST = 1 << 62


@dataclass
class Request:
    inbox: int
    batch: int
    max_bytes: int = 0
    priority: int = 0
    min_pending: int = 0
    min_ack_pending: int = 0
    pin_id: str = ""
    grouped: bool = True

    @property
    def rank(self) -> int:
        return self.priority if self.grouped else LAST


@dataclass
class Queue:
    """`notes` are (inbox, what it got): a stream sequence, or the status's text."""

    policy: str
    waiting: list[Request] = field(default_factory=list)
    pinned: int = 0  # number of the pin that is held; 0: none
    pins: int = 0
    notes: list[tuple[int, object]] = field(default_factory=list)

    def ask(self, request: Request) -> None:
        if self.pinned and request.pin_id and request.pin_id != str(self.pinned):
            self.notes.append((request.inbox, "423 Nats-Pin-Id mismatch"))
            return
        self._insert(request)

    def offer(self, seq: int, size: int, pending: int, ack_pending: int) -> bool:
        """One message; whether somebody took it."""
        passed = 0
        while self.waiting:
            first = self.waiting[0]
            if not self._fits(first, pending, ack_pending):
                if self.policy == "pinned_client" and first.pin_id:
                    self._end(first, "423 Nats-Wrong-Pin-Id")
                    continue
                self.waiting.append(self.waiting.pop(0))
                passed += 1
                if passed >= len(self.waiting):
                    return False
                continue
            if first.max_bytes and size > first.max_bytes:
                self._end(first, "409 Message Size Exceeds MaxBytes")
                continue
            self._give(first, seq, size)
            return True
        return False

    def unpin(self) -> None:
        self.pinned = 0

    def _fits(self, request: Request, pending: int, ack_pending: int) -> bool:
        if self.policy == "pinned_client":
            return request.pin_id == (str(self.pinned) if self.pinned else "")
        if self.policy != "overflow" or not (request.min_pending or request.min_ack_pending):
            return True
        by_pending = 0 < request.min_pending <= pending
        return by_pending or 0 < request.min_ack_pending <= ack_pending

    def _give(self, request: Request, seq: int, size: int) -> None:
        if self.policy == "pinned_client" and not self.pinned and request.grouped:
            self.pins += 1
            self.pinned = self.pins
            request.pin_id = str(self.pinned)
        self.notes.append((request.inbox, (seq, self.pinned)))
        request.batch -= 1
        limited = request.max_bytes > 0
        if limited:
            request.max_bytes -= size
        self.waiting.pop(0)
        if limited and request.max_bytes == 0:
            return
        if request.batch <= 0:
            if limited:
                self.notes.append((request.inbox, "409 Batch Completed"))
            return
        self._insert(request)

    def _insert(self, request: Request) -> None:
        at = len(self.waiting)
        if self.policy == "prioritized":
            later = (i for i, other in enumerate(self.waiting) if other.rank > request.rank)
            at = next(later, at)
        self.waiting.insert(at, request)

    def _end(self, request: Request, text: str) -> None:
        self.waiting.remove(request)
        self.notes.append((request.inbox, text))
