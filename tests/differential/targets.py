"""What a conversation can be held with: a server over a socket, or the API alone over the fake
kernel.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import conversation
from wire import Connection

SILENCE_S = 0.25


class Target(Protocol):
    def request(self, verb: str, body: bytes, header: bytes) -> bytes | None:
        """The answer's header and body; None when nobody answered."""

    def store(self, subject: str, body: bytes, header: bytes) -> None:
        """Publishes what a stream captures."""


class LiveTarget:
    """A server over a socket. Silence is believed after a quarter of a second."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def request(self, verb: str, body: bytes, header: bytes) -> bytes | None:
        reply = self._connection.request(f"$JS.API.{verb}", body, header, SILENCE_S)
        return None if reply is None else reply.header + reply.body

    def store(self, subject: str, body: bytes, header: bytes) -> None:
        reply = self._connection.request(subject, body, header)
        assert reply is not None
        assert b'"seq"' in reply.body, reply

    def remove_everything(self) -> None:
        names = json.loads(self.request("STREAM.NAMES", b"", b"") or b"{}")["streams"]
        for name in names or []:
            self.request(f"STREAM.DELETE.{name}", b"", b"")


class ApiTarget:
    """The API in this process, over the fake kernel; a fresh one for each conversation."""

    def __init__(self) -> None:
        self._conversation = conversation.Conversation()

    def request(self, verb: str, body: bytes, header: bytes) -> bytes | None:
        return self._conversation.request_raw(verb, body, header)

    def store(self, subject: str, body: bytes, header: bytes) -> None:
        self._conversation.publish(subject, body, header)


def find_oracle() -> str | None:
    """nats-server, from the test dependencies or the path."""
    beside_python = str(Path(sys.executable).parent)
    search = os.pathsep.join([beside_python, os.environ.get("PATH", "")])
    return shutil.which("nats-server", path=search)


@contextmanager
def running_oracle(executable: str, store: Path) -> Iterator[LiveTarget]:
    """A nats-server of its own on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ["-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(store), "-n", "ORACLE"]
    process = subprocess.Popen(
        [executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        with _connect(port, process) as connection:
            yield LiveTarget(connection)
    finally:
        process.terminate()
        process.wait(10)


def _connect(port: int, process: subprocess.Popen[bytes]) -> Connection:
    deadline = time.monotonic() + 10
    while True:
        try:
            return Connection("127.0.0.1", port)
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)  # between attempts to connect
