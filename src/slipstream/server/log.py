"""The server's log, in nats-server's format, because harnesses and operators read it (K-323):

    [pid] 2006/01/02 15:04:05.000000 [INF] text

Lines go to stderr or to a file; a file is begun anew when it passes its size limit, and reopened on
request after somebody renamed it. One lock makes lines of several threads whole.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

LABELS = {
    "info": "INF",
    "warn": "WRN",
    "error": "ERR",
    "fatal": "FTL",
    "debug": "DBG",
    "trace": "TRC",
}
COLOURS = {"info": "32", "warn": "0;93", "error": "31", "fatal": "31", "debug": "36", "trace": "33"}
FILE_MODE = 0o640
ROTATED_STAMP = "%Y.%m.%d.%H.%M.%S"


class Log(Protocol):
    """What the server's parts see of it."""

    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...
    def fatal(self, text: str) -> None: ...
    def debug(self, text: str) -> None: ...
    def trace(self, text: str) -> None: ...


class ServerLog:
    """A log that can change its target and its levels while others write to it."""

    def __init__(self, *, sink: Callable[[str], None] | None = None) -> None:
        """Writes to stderr until `configure`; a `sink` gets every line instead (embedding)."""
        self._sink = sink
        self._lock = threading.Lock()
        self._path = ""
        self._descriptor = -1
        self._written = 0
        self._size_limit = 0
        self._files_max = 0
        self._prefix = f"[{os.getpid()}] "
        self._colours = sink is None and sys.stderr.isatty()
        self._logtime = True
        self._utc = False
        self.debugging = False
        self.tracing = False

    def configure(
        self,
        *,
        path: str = "",
        size_limit: int = 0,
        files_max: int = 0,
        debug: bool = False,
        trace: bool = False,
        logtime: bool = True,
        utc: bool = False,
    ) -> None:
        """Raises OSError when the file cannot be opened; the log then stays as it was."""
        descriptor = -1
        if path:
            descriptor = _open(path)
        with self._lock:
            self._close()
            self._path, self._descriptor = path, descriptor
            self._written = os.fstat(descriptor).st_size if path else 0
            self._size_limit, self._files_max = size_limit, files_max
            self._colours = not path and self._sink is None and sys.stderr.isatty()
            self._logtime, self._utc = logtime, utc
            self.debugging, self.tracing = debug, trace

    def reopen(self) -> bool:
        """Opens the file of that name anew. False when the log does not go to a file."""
        if not self._path:
            return False
        descriptor = _open(self._path)
        with self._lock:
            self._close()
            self._descriptor = descriptor
            self._written = os.fstat(descriptor).st_size
        return True

    def close(self) -> None:
        with self._lock:
            self._close()
            self._path = ""

    def info(self, text: str) -> None:
        self._write("info", text)

    def warn(self, text: str) -> None:
        self._write("warn", text)

    def error(self, text: str) -> None:
        self._write("error", text)

    def fatal(self, text: str) -> None:
        self._write("fatal", text)

    def debug(self, text: str) -> None:
        if self.debugging:
            self._write("debug", text)

    def trace(self, text: str) -> None:
        if self.tracing:
            self._write("trace", text)

    def _write(self, level: str, text: str) -> None:
        with self._lock:
            self._emit(level, text)
            if self._path and 0 < self._size_limit < self._written:
                self._rotate()

    def _emit(self, level: str, text: str) -> None:
        label = LABELS[level]
        if self._colours:
            label = f"\x1b[{COLOURS[level]}m{label}\x1b[0m"
        line = f"{self._prefix}{self._stamp()}[{label}] {text}\n"
        if self._sink is not None and not self._path:
            self._sink(line)
            return
        written = line.encode("utf-8", "backslashreplace")
        os.write(self._descriptor if self._path else sys.stderr.fileno(), written)
        self._written += len(written)

    def _stamp(self) -> str:
        if not self._logtime:
            return ""
        now = datetime.now(UTC)
        if not self._utc:
            now = now.astimezone()
        return now.strftime("%Y/%m/%d %H:%M:%S.%f ")

    def _rotate(self) -> None:
        now = datetime.now()
        kept = f"{self._path}.{now.strftime(ROTATED_STAMP)}.{now.microsecond:06d}000"
        os.rename(self._path, kept)
        descriptor = _open(self._path)
        self._close()
        self._descriptor = descriptor
        self._written = 0
        self._emit("info", f'Rotated log, backup saved as "{kept}"')
        if self._files_max > 0:
            self._purge()

    def _purge(self) -> None:
        """Removes the oldest backups; their stamps sort by age."""
        current = Path(self._path)
        backups = sorted(
            entry
            for entry in current.parent.iterdir()
            if _is_backup(entry.name.removeprefix(current.name))
            and entry.name.startswith(current.name)
        )
        surplus = len(backups) - (self._files_max - 1)
        for backup in backups[: max(0, surplus)]:
            backup.unlink()
            self._emit("info", f'Purged log file "{backup.name}"')

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, FILE_MODE)


def _is_backup(suffix: str) -> bool:
    stamp, _, nanoseconds = suffix.removeprefix(".").rpartition(".")
    if not suffix.startswith(".") or not nanoseconds.isdigit():
        return False
    try:
        datetime.strptime(stamp, ROTATED_STAMP)
    except ValueError:
        return False
    return True
