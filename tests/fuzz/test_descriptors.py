"""Goal: a server that runs out of file descriptors turns new clients away, keeps serving those that
it has, does not spin, and takes new ones again as soon as it can.

Method: a server process with 64 descriptors and more clients than that.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from hostile import Crowd
from raw_client import WAIT_S_MAX, RawClient, bodies, wait_until
from slipstream.testing import ServerProcess

DESCRIPTORS = 64
PROGRAM = (
    "sh",
    "-c",
    f'ulimit -n {DESCRIPTORS} && exec "$0" "$@"',
    *(sys.executable, "-m", "slipstream.cli.nats_server"),
)


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_server_without_free_descriptors() -> None:
    with ServerProcess([], program=PROGRAM) as process, RawClient(process.port) as client:
        client.send(b"SUB alive 1\r\n")
        client.flush()
        with Crowd(process.port) as crowd:
            for _ in range(3 * DESCRIPTORS):
                crowd.connect()
            wait_until(lambda: _turned_away(crowd) > DESCRIPTORS, "clients are turned away")
            began, used_s = time.monotonic(), processor_s(process.pid)
            for _ in range(100):
                client.publish(b"alive", b"x")
                assert bodies(client.flush()) == [(b"1", b"x")]
                time.sleep(0.005)  # a thread that spins would use this time
            assert processor_s(process.pid) - used_s < (time.monotonic() - began) * 0.8
        wait_until(lambda: _can_connect(process.port), "there is room again")


def _turned_away(crowd: Crowd) -> int:
    """Those that read an end; the others have an INFO or nothing to read."""
    count = 0
    for connection in crowd.sockets:
        try:
            count += connection.recv(4096) == b""
        except (BlockingIOError, ConnectionError):
            continue
    return count


def _can_connect(port: int) -> bool:
    with Crowd(port) as crowd:
        connection = crowd.connect()
        connection.settimeout(WAIT_S_MAX)
        try:
            return connection.recv(5) == b"INFO "
        except ConnectionError:
            return False
