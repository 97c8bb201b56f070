"""A client that speaks bytes: it sends exactly what a test says and reads what the server says,
each wait bounded by a deadline.
"""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from typing import Any, TypeVar

Found = TypeVar("Found")

WAIT_S_MAX = 60.0
QUIET = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\n'
MESSAGE = re.compile(rb"(H?)MSG ([^\r\n]+)\r\n")


def wait_until(condition: Callable[[], Found], what: str, timeout_s: float = WAIT_S_MAX) -> Found:
    """Polls a condition that no event announces, and returns what it found in the end."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.005)
    return found


class RawClient:
    """One connection; the INFO line is read at once, CONNECT is sent unless `connect` is empty."""

    def __init__(self, port: int, connect: bytes = QUIET, *, receive_buffer_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(WAIT_S_MAX)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        line = self.line()
        assert line.startswith(b"INFO ")
        self.info: dict[str, Any] = json.loads(line[5:])
        if connect:
            self.send(connect)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.socket.close()

    def send(self, sent: bytes) -> None:
        self.socket.sendall(sent)

    def line(self) -> bytes:
        """The next line, without its end."""
        while b"\r\n" not in self._received:
            assert self._receive(), f"the server closed after {self._received!r}"
        line, self._received = self._received.split(b"\r\n", 1)
        return line

    def flush(self) -> bytes:
        """Everything up to the answer to a PING sent now, without that, and without the PING that
        the server sends in its third second.
        """
        self.send(b"PING\r\n")
        return self.until(b"PONG\r\n").replace(b"PING\r\n", b"")

    def until(self, end: bytes) -> bytes:
        while end not in self._received:
            assert self._receive(), f"the server closed after {self._received!r}"
        received, self._received = self._received.split(end, 1)
        return received

    def until_closed(self) -> bytes:
        """Everything until the server hangs up."""
        try:
            while self._receive():
                pass
        except ConnectionResetError:
            pass
        received, self._received = self._received, b""
        return received

    def publish(self, subject: bytes, body: bytes = b"", reply: bytes = b"") -> None:
        to = subject + b" " + reply if reply else subject
        self.send(b"PUB %b %d\r\n%b\r\n" % (to, len(body), body))

    def _receive(self) -> bool:
        chunk = self.socket.recv(1 << 16)
        self._received += chunk
        return bool(chunk)


def bodies(received: bytes) -> list[tuple[bytes, bytes]]:
    """(sid, body) of each MSG in what a client received."""
    found = []
    at = 0
    while match := MESSAGE.search(received, at):
        words = match[2].split(b" ")
        end = match.end() + int(words[-1])
        found.append((words[1], received[match.end() : end]))
        at = end + 2
    return found
