"""Memory, processors and processor time of this process, for /varz."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

# Of control groups, version 2 and 1.
_CONTAINER_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def memory_bytes() -> int:
    """Resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def cores() -> int:
    return os.cpu_count() or 1


def usable_cores() -> int:
    return len(os.sched_getaffinity(0))


def machine_memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * _PAGE_BYTES


def usable_memory_bytes() -> int:
    """The machine's memory, or less where the container has less."""
    limits = [machine_memory_bytes()]
    for path in _CONTAINER_LIMITS:
        with suppress(OSError, ValueError):  # "max" is no number: no limit
            limits.append(int(Path(path).read_text()))
    return min(limits)


def free_disk_bytes(folder: str) -> int:
    """Of the file system that holds the folder, or would."""
    path = Path(folder).absolute()
    while not path.exists():
        path = path.parent
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


class ProcessorTime:
    """Percent of one processor since the previous question, as tools show it."""

    def __init__(self) -> None:
        self._asked_s = time.monotonic()
        self._used_s = time.process_time()

    def percent(self) -> float:
        now_s, used_s = time.monotonic(), time.process_time()
        passed_s = now_s - self._asked_s
        if passed_s <= 0:
            return 0.0
        percent = 100 * (used_s - self._used_s) / passed_s
        self._asked_s, self._used_s = now_s, used_s
        return round(percent, 1)
