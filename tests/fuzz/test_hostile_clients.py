"""Goal: whatever clients send, or fail to read, the server goes on serving the others, and its
memory stays bounded.

Method: a server process; hostile clients (hostile.py) act in small steps, each kind alone and all
together; after each step a healthy client makes requests to its own service, which must be answered
in time. At the end of a scenario the process must live, its log must be free of tracebacks, and its
resident memory within a bound.

SLIPSTREAM_FUZZ_SECONDS (default 2) is the budget of each scenario, SLIPSTREAM_FUZZ_SEED (default 1;
0 draws one) repeats a run; both stand in the message of a failure.
"""

from __future__ import annotations

import os
import random
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hostile import ALL, Steps, everything
from raw_client import RawClient, bodies
from slipstream.testing import ServerProcess

BUDGET_S = float(os.environ.get("SLIPSTREAM_FUZZ_SECONDS", "2"))
SEED = int(os.environ.get("SLIPSTREAM_FUZZ_SEED", "1")) or random.SystemRandom().getrandbits(32)
IS_SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
ANSWER_S_MAX = 30.0
RESIDENT_BYTES_MAX = 400 << 20
DESCRIPTORS = 4096
CONFIG = "max_pending: 16MB\nwrite_deadline: '1s'\nping_interval: '1s'\n"


@pytest.fixture(scope="module", autouse=True)
def descriptors() -> None:
    """This process and the server's need more than the usual thousand."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        pytest.skip(f"a process may open {hard} files here, and {DESCRIPTORS} are needed")
    if soft < DESCRIPTORS:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))


@pytest.fixture(scope="module")
def process(descriptors: None) -> Iterator[ServerProcess]:
    with ServerProcess(["-js"], config=CONFIG) as running:
        yield running
        assert running.stop() == 0


class HealthyClient:
    """Requests and answers over two connections of its own."""

    def __init__(self, port: int) -> None:
        self._asks, self._serves = RawClient(port), RawClient(port)
        self._asks.send(b"SUB healthy.answer 1\r\n")
        self._asks.flush()
        self._serves.send(b"SUB healthy.ask 1\r\n")
        self._serves.flush()
        self.requests = 0
        self.slowest_s = 0.0

    def close(self) -> None:
        self._asks.socket.close()
        self._serves.socket.close()

    def request(self) -> None:
        began = time.monotonic()
        body = b"%d" % self.requests
        self._asks.publish(b"healthy.ask", body, b"healthy.answer")
        self._asks.flush()
        assert bodies(self._serves.flush()) == [(b"1", body)]
        self._serves.publish(b"healthy.answer", body)
        self._serves.flush()
        assert bodies(self._asks.flush()) == [(b"1", body)]
        self.requests += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match, status
    return int(match[1]) << 10


def check_it_serves_on(process: ServerProcess, steps: Steps, name: str) -> None:
    repeat = f"{name}: SLIPSTREAM_FUZZ_SEED={SEED} SLIPSTREAM_FUZZ_SECONDS={BUDGET_S}"
    healthy = HealthyClient(process.port)
    try:
        end = time.monotonic() + BUDGET_S
        largest = 0
        for _ in steps:
            assert process.is_running, f"{repeat}\n{process.log}"
            healthy.request()
            largest = max(largest, resident_bytes(process.pid))
            if time.monotonic() > end:
                break
        healthy.request()
    finally:
        healthy.close()
    assert process.is_running, f"{repeat}\n{process.log}"
    assert healthy.slowest_s < ANSWER_S_MAX, repeat
    assert "Traceback" not in process.log, f"{repeat}\n{process.log}"
    assert largest < RESIDENT_BYTES_MAX or IS_SANITIZED, f"{repeat}: {largest >> 20} MiB"
    print(
        f"{name}: {healthy.requests} requests beside it, slowest {healthy.slowest_s * 1000:.0f} ms,"
        f" {largest >> 20} MiB"
    )


@pytest.mark.parametrize("hostile", ALL, ids=lambda make: make.__name__)
def test_one_kind(process: ServerProcess, hostile) -> None:
    check_it_serves_on(process, hostile(process.port, random.Random(SEED)), hostile.__name__)


def test_all_kinds_at_once(process: ServerProcess) -> None:
    check_it_serves_on(process, everything(process.port, random.Random(SEED)), "everything")
