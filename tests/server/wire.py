"""The NATS protocol and HTTP by hand: what a test sends and receives, byte for byte."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

NATS_SERVER = shutil.which("nats-server", path=str(Path(sys.executable).parent))
CLOSED = b"<closed>"
ANSWER_S_MAX = 60.0


class WireClient:
    """A connection on which nothing happens by itself."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._socket = socket.create_connection((parts.hostname, parts.port), ANSWER_S_MAX)
        self._received = b""
        greeting = self.until(b"\r\n")
        if greeting.startswith(b"INFO "):
            self.info = json.loads(greeting.removeprefix(b"INFO "))
        else:  # a refusal
            self.info = {}
            self._received = greeting + self._received

    def send(self, request: bytes) -> None:
        self._socket.sendall(request)

    def until(self, end: bytes) -> bytes:
        """Everything up to and with `end`. Raises TimeoutError, or EOFError when it never comes."""
        while end not in self._received:
            self._receive()
        found, _, self._received = self._received.partition(end)
        return found + end

    def until_closed(self) -> bytes:
        """Everything that is left."""
        while True:
            try:
                self._receive()
            except (EOFError, ConnectionResetError):
                return self._received

    def answer(self, request: bytes) -> bytes:
        """What comes before the PONG to a PING behind the request, or until the server closes."""
        self.send(request + b"PING\r\n")
        try:
            return self.until(b"PONG\r\n").removesuffix(b"PONG\r\n")
        except (EOFError, ConnectionResetError):
            return self._received + CLOSED

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        if not received:
            raise EOFError(self._received)
        self._received += received

    def __enter__(self) -> WireClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def without_unasked(answer: bytes) -> bytes:
    """INFO may come at any time, and a PING two seconds after the connect."""
    return re.sub(rb"INFO \{.*?\} ?\r\n|PING\r\n", b"", answer)


@dataclass(frozen=True)
class Place:
    """Where a server is reached."""

    url: str
    monitoring_url: str


StartBoth = Callable[[str], tuple[Place, Place]]  # configuration -> (ours, theirs)


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def get(url: str, path: str, method: str = "GET") -> HttpAnswer:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=ANSWER_S_MAX)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return HttpAnswer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def shape(value: Any) -> Any:
    """Keys and types of a JSON value, for comparing what two servers say of different things."""
    if isinstance(value, dict):
        return {key: shape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        shapes = [shape(entry) for entry in value]
        if shapes and all(isinstance(entry, dict) for entry in shapes):
            # Any order, and not each entry has every key.
            return [{key: found for entry in shapes for key, found in sorted(entry.items())}]
        return shapes[:1]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return type(value).__name__
    return "number"
