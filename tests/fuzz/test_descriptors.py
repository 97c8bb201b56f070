"""Goal: a server that runs out of file descriptors turns new clients away, keeps serving those that
it has, does not spin, and takes new ones again as soon as it can; streams never need many.

Method: a server process with 64 descriptors and more clients than that; a server with fewer
descriptors than streams, all of which change between two checkpoints.
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile import Crowd
from raw_client import WAIT_S_MAX, RawClient, bodies, wait_until
from slipstream.testing import ServerProcess, server
from slipstream.testing.process import PROGRAM

DESCRIPTORS = 64
STREAMS = 640
SEGMENTS_OPEN_MAX = 512  # HandleCache::kOpenMax
CHECKPOINT_S_MAX = 240.0  # two syncs for each stream


def program(limit: str) -> tuple[str, ...]:
    """With so many descriptors, in the shell's words."""
    return ("sh", "-c", f'{limit} && exec "$0" "$@"', *PROGRAM)


def processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_server_without_free_descriptors() -> None:
    limited = program(f"ulimit -n {DESCRIPTORS}")
    with ServerProcess([], program=limited) as process, RawClient(process.port) as client:
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


def test_all_that_may_be_had_are_used() -> None:
    with ServerProcess([], program=program("ulimit -Sn 100 && ulimit -Hn 900")) as process:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"Max open files +900 +900 ", limits), limits


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """What is open here, and as many more as a store has for its segments, and some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + SEGMENTS_OPEN_MAX + 100, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_many_streams_change_between_checkpoints(few_descriptors: None) -> None:
    with server() as running, RawClient(running.port) as client:
        client.send(b"SUB answer 1\r\n")
        for number in range(STREAMS):
            config = b'{"name":"S%d","subjects":["s.%d"]}' % (number, number)
            client.publish(b"$JS.API.STREAM.CREATE.S%d" % number, config, b"answer")
        for _ in range(STREAMS):
            client.until(b'"did_create":true')
        for number in range(STREAMS):
            client.publish(b"s.%d" % number, b"x", b"answer")
        for _ in range(STREAMS):
            client.until(b'"seq":1}')
        kernel = running.server.kernel
        done = kernel.store_stats().checkpoints
        kernel.checkpoint()
        wait_until(
            lambda: kernel.store_stats().checkpoints > done, "the checkpoint", CHECKPOINT_S_MAX
        )
        assert not kernel.store_stats().failed
