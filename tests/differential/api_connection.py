"""A raw NATS connection for differential tests: blocking, one request at a time, bytes in and bytes
out.

nats-py hides what these tests compare (byte-exact replies, malformed requests, silence), so this
speaks the protocol itself.
"""

from __future__ import annotations

import itertools
import socket
import time
from typing import NamedTuple

from answer_schemas import check_answer

ANSWER_S_MAX = 30.0  # for what is sure to come


class Message(NamedTuple):
    subject: str
    reply: str
    header: bytes
    body: bytes
    sid: int = 0  # of the subscription that it came for


class Connection:
    """One client connection. Use as a context manager."""

    def __init__(self, host: str, port: int, timeout_s: float = ANSWER_S_MAX) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.peer = (host, port)
        self._buffer = b""
        self._inbox = f"_INBOX.differential{port}.{id(self)}"
        self._count = itertools.count(1)
        self._queued: list[Message] = []
        assert self._line().startswith(b"INFO ")
        self._socket.sendall(
            b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true,'
            b'"lang":"python","version":"0","name":"differential","protocol":1}\r\n'
            b"SUB " + self._inbox.encode() + b".* 1\r\n"
        )
        self.flush()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    def request(
        self,
        subject: str,
        body: bytes = b"",
        header: bytes = b"",
        timeout_s: float = ANSWER_S_MAX,
    ) -> Message | None:
        """The reply, or None when there was none in time."""
        reply = f"{self._inbox}.{next(self._count)}"
        self.publish(subject, body, header, reply)
        deadline = time.monotonic() + timeout_s
        while (message := self.next_message(deadline - time.monotonic())) is not None:
            if message.subject == reply:
                return message
            self._queued.append(message)
        return None

    def publish(
        self, subject: str, body: bytes = b"", header: bytes = b"", reply: str = ""
    ) -> None:
        to = f"{subject} {reply} " if reply else f"{subject} "
        if header:
            line = f"HPUB {to}{len(header)} {len(header) + len(body)}\r\n"
        else:
            line = f"PUB {to}{len(body)}\r\n"
        self._socket.sendall(line.encode() + header + body + b"\r\n")

    def subscribe(self, subject: str, queue: str = "") -> int:
        sid = next(self._count) + 1
        self._socket.sendall(f"SUB {subject} {queue} {sid}\r\n".encode())
        self.flush()
        return sid

    def unsubscribe(self, sid: int) -> None:
        self._socket.sendall(f"UNSUB {sid}\r\n".encode())
        self.flush()

    def flush(self) -> None:
        """Waits until the server has processed everything sent so far."""
        self._socket.sendall(b"PING\r\n")
        while True:
            line = self._line()
            if line == b"PONG":
                return
            if (message := self._take(line)) is not None:
                self._queued.append(message)

    def next_message(self, timeout_s: float) -> Message | None:
        """The next message on any subscription, or None at the end of the time."""
        if self._queued and timeout_s <= 0:
            return None
        deadline = time.monotonic() + timeout_s
        while True:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            self._socket.settimeout(remaining)
            try:
                line = self._line()
            except TimeoutError:
                return None
            finally:
                self._socket.settimeout(ANSWER_S_MAX)
            if (message := self._take(line)) is not None:
                return message

    def next_of_any(self, timeout_s: float) -> Message | None:
        """The next message, also of those that arrived beside a requested reply."""
        return self._queued.pop(0) if self._queued else self.next_message(timeout_s)

    def drain_queued(self) -> list[Message]:
        """Messages that arrived beside requested replies."""
        queued, self._queued = self._queued, []
        return queued

    def _take(self, line: bytes) -> Message | None:
        words = line.split(b" ")
        if words[0] == b"PING":
            self._socket.sendall(b"PONG\r\n")
            return None
        if words[0] == b"MSG":
            size = int(words[-1])
            body = self._exactly(size + 2)[:-2]
            check_answer(body)
            return Message(words[1].decode(), _reply(words, 5), b"", body, int(words[2]))
        if words[0] == b"HMSG":
            header_size, size = int(words[-2]), int(words[-1])
            block = self._exactly(size + 2)[:-2]
            reply, sid = _reply(words, 6), int(words[2])
            return Message(words[1].decode(), reply, block[:header_size], block[header_size:], sid)
        if words[0] == b"-ERR":
            raise ConnectionError(line.decode())
        return None

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill()
        line, self._buffer = self._buffer.split(b"\r\n", 1)
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill()
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _fill(self) -> None:
        chunk = self._socket.recv(65536)
        if not chunk:
            raise ConnectionError("closed by the server")
        self._buffer += chunk


def _reply(words: list[bytes], with_reply: int) -> str:
    return words[3].decode() if len(words) == with_reply else ""
