"""A kernel with real sockets whose turns and clock the test drives: nothing depends on how fast the
machine is.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from slipstream.kernel import Kernel
from slipstream.kernel.events import ClosedEvent, ConnectEvent, Event

SECOND_NS = 1_000_000_000
START_NS = 1_900_000_000 * SECOND_NS
TURNS_MAX = 100_000
ACCEPTED = {
    "verbose": False,
    "pedantic": False,
    "echo": True,
    "headers": True,
    "no_responders": False,
    "protocol": 0,
}


class DrivenKernel:
    """Use as a context. `connect` gives a socket whose CONNECT was accepted."""

    def __init__(self, **limits: int) -> None:
        self.kernel = Kernel(ping_interval_ns=1 << 62, **limits)
        self.kernel.set_info(b"{}")
        self.account = self.kernel.account(b"$G")
        self.now_ns = START_NS
        self.events: list[Event] = []
        self.options: dict[str, Any] = dict(ACCEPTED)
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        listener.setblocking(False)
        self.kernel.listen(listener.detach())
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> DrivenKernel:
        return self

    def __exit__(self, *exc: object) -> None:
        for client in self._sockets:
            client.close()
        self.kernel.stop()

    def turn(self, later_ns: int = 1, timeout_ms: int = 0) -> int:
        """One turn, at a later time; takes its events and accepts who connects."""
        self.now_ns += later_ns
        ready = self.kernel.turn(self.now_ns, self.now_ns, timeout_ms)
        for event in self.kernel.wait_events(0):
            self.events.append(event)
            if isinstance(event, ConnectEvent):
                self.kernel.accept(event.cid, self.account, **self.options)
        return ready

    def turns_until(self, condition: Callable[[], bool], what: str) -> None:
        for _ in range(TURNS_MAX):
            if condition():
                return
            self.turn(timeout_ms=1)
        raise AssertionError(f"in vain: {what}")

    def connect(self, receive_buffer_bytes: int = 0) -> socket.socket:
        client = socket.socket()
        if receive_buffer_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        client.connect(("127.0.0.1", self.port))
        client.setblocking(False)
        self._sockets.append(client)
        client.send(b"CONNECT {}\r\nPING\r\n")
        received = b""

        def answered() -> bool:
            nonlocal received
            received += self.read(client)
            return b"PONG\r\n" in received

        self.turns_until(answered, "the answer to CONNECT")
        return client

    @staticmethod
    def read(client: socket.socket, size: int = 1 << 20) -> bytes:
        """What is there now."""
        try:
            return client.recv(size)
        except BlockingIOError:
            return b""

    def feed(self, client: socket.socket, text: bytes) -> int:
        """Sends as much as the kernel takes while turns do not read it any more."""
        sent = 0
        idle = 0
        while sent < len(text) and idle < 5:
            try:
                sent += client.send(text[sent : sent + (1 << 20)])
                idle = 0
            except BlockingIOError:
                idle = 0 if self.turn() else idle + 1
        return sent

    def pending(self, cid: int) -> int:
        return next((row.pending_bytes for row in self.kernel.connections() if row.cid == cid), 0)

    @property
    def closed(self) -> dict[int, str]:
        """Reasons, by cid."""
        return {e.cid: e.reason for e in self.events if isinstance(e, ClosedEvent)}
