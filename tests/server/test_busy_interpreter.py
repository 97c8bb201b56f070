"""An embedded server beside Python code that never lets go: messages must not notice, because they
never visit Python.

Method: request-reply latency from another process (the load generator), first quiet, then while a
thread of this interpreter spins. By hand, with figures: pytest -s
tests/server/test_busy_interpreter.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading

from slipstream.testing import server

REQUESTS = 5000
TIMES_SLOWER_MAX = 5
NOISE_US = 300  # what the scheduler of a loaded machine adds by itself


def median_us(url: str) -> float:
    command = [sys.executable, "-m", "slipstream.cli.main", "bench", "request"]
    flags = ["--count", str(REQUESTS), "--json", "-s", url]
    ended = subprocess.run([*command, *flags], capture_output=True, timeout=60, check=True)
    latency = json.loads(ended.stdout.splitlines()[-1])["latency"]
    print(f"request-reply: p50 {latency['p50_us']:.1f} us, p99 {latency['p99_us']:.1f} us")
    median: float = latency["p50_us"]
    return median


def test_messages_do_not_wait_for_a_busy_thread() -> None:
    done = threading.Event()

    def spin() -> None:
        while not done.is_set():
            pass

    with server() as running:
        quiet_us = median_us(running.url)
        busy = threading.Thread(target=spin)
        busy.start()
        try:
            busy_us = median_us(running.url)
        finally:
            done.set()
            busy.join()
    assert busy_us <= quiet_us * TIMES_SLOWER_MAX + NOISE_US
