"""Goal: the client protocol is answered with the bytes that nats-server answers.

Method: each script of raw bytes goes to a nats-server and to Slipstream, once in one piece and once
byte by byte; everything that comes back until the last PONG or the end of the connection is
compared. INFO lines are cut out (they name the server); a reset counts as an end. Scripts that are
meant to differ say why, and fail when they do not differ any more.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from raw_scripts import LIMITED_SCRIPTS, SCRIPTS, Script
from slipstream.testing import ServerProcess, server

ANSWER_S_MAX = 30.0
BYTEWISE_BYTES_MAX = 300
INFO = re.compile(rb"INFO \{[^\n]*\r\n")
LIMITS = "max_payload: 100\nmax_control_line: 128\nmax_subscriptions: 2\n"


@pytest.fixture(scope="module")
def plain_servers(nats_server: str) -> Iterator[tuple[int, int]]:
    with ServerProcess([], program=[nats_server]) as theirs, server() as ours:
        yield theirs.port, ours.port


@pytest.fixture(scope="module")
def limited_servers(nats_server: str) -> Iterator[tuple[int, int]]:
    with (
        ServerProcess([], program=[nats_server], config=LIMITS) as theirs,
        server(LIMITS) as ours,
    ):
        yield theirs.port, ours.port


def answers(port: int, sent: bytes, piece_bytes: int) -> bytes:
    """Everything until as many PONGs came as PINGs were sent, or the connection ended."""
    if not sent.lower().endswith((b"ping\r\n", b"ping\n")):
        sent += b"PING\r\n"
    pongs = len(re.findall(rb"(?im)^ping[^\r\n]*\r?$", sent))
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=ANSWER_S_MAX) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for start in range(0, len(sent), piece_bytes):
                connection.sendall(sent[start : start + piece_bytes])
            while received.count(b"PONG\r\n") < pongs:
                chunk = connection.recv(65536)
                if not chunk:
                    break
                received += chunk
            else:
                return INFO.sub(b"", received)
        except (ConnectionResetError, BrokenPipeError):
            received += _rest(connection)
    return INFO.sub(b"", received) + b"<end>"


def _rest(connection: socket.socket) -> bytes:
    """What the server had said before it closed, when sending failed for that."""
    received = b""
    try:
        while chunk := connection.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def compare(servers: tuple[int, int], script: Script, piece_bytes: int) -> None:
    theirs, ours = (answers(port, script.sent, piece_bytes) for port in servers)
    if script.differs:
        assert ours != theirs, f"no difference any more: {script.differs}"
    else:
        assert ours == theirs


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_in_one_piece(plain_servers: tuple[int, int], script: Script) -> None:
    compare(plain_servers, script, len(script.sent))


@pytest.mark.parametrize(
    "script",
    [s for s in SCRIPTS if len(s.sent) <= BYTEWISE_BYTES_MAX and s.bytewise and not s.differs],
    ids=lambda script: script.name,
)
def test_byte_by_byte(plain_servers: tuple[int, int], script: Script) -> None:
    compare(plain_servers, script, 1)


@pytest.mark.parametrize("script", LIMITED_SCRIPTS, ids=lambda script: script.name)
def test_limits(limited_servers: tuple[int, int], script: Script) -> None:
    compare(limited_servers, script, len(script.sent))
