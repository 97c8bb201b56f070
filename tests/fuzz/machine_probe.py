"""Tells a wait for the machine from a wait for the server.

    python machine_probe.py FOLDER

Until its standard input ends, one thread looks how late a timer comes, and another how long a small
synced write takes in FOLDER, where the server has its files. Then it prints the stalls as one line
of JSON. Its clock is the one of all processes.

The server is not to blame for a wait where the machine stalled for at least half of the time: a
timer was late, or, if the answer needs the disk, a sync was under way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMER_S = 0.01
SYNC_S = 0.1
SYNCED_BYTES = 4096
STALL_S = 0.05
NEED_THE_DISK = {"publish", "fetch"}  # their answers tell of what is synced
BLAMED_SHARE = 0.5


@dataclass(frozen=True)
class Stall:
    what: str  # "timer" or "sync"
    began_s: float
    took_s: float


@dataclass(frozen=True)
class Wait:
    """Of the bystander. For `queued_s` of it the server wanted a processor and had none."""

    kind: str
    began_s: float
    took_s: float
    queued_s: float = 0.0

    def __str__(self) -> str:
        queued = (
            f", {self.queued_s:.2f} s of it without a processor" if self.queued_s > 0.01 else ""
        )
        return f"{self.kind} took {self.took_s:.2f} s{queued}"


def machine_to_blame(wait: Wait, stalls: Iterable[Stall]) -> str:
    """What the machine did in that time, or nothing."""
    stalled = dict.fromkeys(("timer", "sync"), 0.0)
    for stall in stalls:
        end_s = min(stall.began_s + stall.took_s, wait.began_s + wait.took_s)
        stalled[stall.what] += max(end_s - max(stall.began_s, wait.began_s), 0.0)
    needed = BLAMED_SHARE * wait.took_s
    without_processor = max(stalled["timer"], wait.queued_s)
    if without_processor >= needed:
        return f"the machine had no processor for {without_processor:.2f} s"
    if wait.kind in NEED_THE_DISK and stalled["sync"] >= needed:
        return f"the disk was busy for {stalled['sync']:.2f} s"
    return ""


class MachineProbe:
    """The other process, seen from the fuzzer."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stalls(self) -> list[Stall]:
        """Ends it."""
        printed, _ = self._process.communicate(timeout=60)
        return [Stall(*stall) for stall in json.loads(printed)]

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()


class _Watch:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "probe"
        self._stopping = threading.Event()
        self.stalls: list[tuple[str, float, float]] = []
        self._threads = [
            threading.Thread(target=watch) for watch in (self._watch_timer, self._watch_disk)
        ]

    def run_until(self, file: Iterable[str]) -> None:
        for thread in self._threads:
            thread.start()
        for _ in file:
            pass
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _add(self, what: str, began_s: float, usual_s: float) -> None:
        late_s = time.monotonic() - began_s - usual_s
        if late_s > STALL_S:
            self.stalls.append((what, began_s + usual_s, late_s))

    def _watch_timer(self) -> None:
        while not self._stopping.is_set():
            began_s = time.monotonic()
            time.sleep(TIMER_S)
            self._add("timer", began_s, TIMER_S)

    def _watch_disk(self) -> None:
        opened = os.open(self._path, os.O_RDWR | os.O_CREAT)
        try:
            while not self._stopping.wait(SYNC_S):
                began_s = time.monotonic()
                os.pwrite(opened, os.urandom(SYNCED_BYTES), 0)
                os.fdatasync(opened)
                self._add("sync", began_s, 0.0)
        finally:
            os.close(opened)
            self._path.unlink()


def main(arguments: Sequence[str]) -> int:
    watch = _Watch(Path(arguments[0]))
    watch.run_until(sys.stdin)
    print(json.dumps(watch.stalls))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
