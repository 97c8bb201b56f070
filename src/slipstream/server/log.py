"""The server's log, in nats-server's format, because harnesses and operators read it (K-323):

    [pid] 2006/01/02 15:04:05.000000 [INF] text

One lock makes lines of several threads whole. Logging never raises into its caller: a line that
cannot be written (full disk, closed stderr) is counted, and the log says how many were lost with
the first line that it can write again.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from slipstream.server.log_targets import FileTarget, SinkTarget, StderrTarget, Target

LABELS = {
    "info": "INF",
    "warn": "WRN",
    "error": "ERR",
    "fatal": "FTL",
    "debug": "DBG",
    "trace": "TRC",
}
COLOURS = {"info": "32", "warn": "0;93", "error": "31", "fatal": "31", "debug": "36", "trace": "33"}


class Log(Protocol):
    """What the server's parts see of it."""

    @property
    def lines_dropped(self) -> int: ...
    def info(self, text: str) -> None: ...
    def warn(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...
    def fatal(self, text: str) -> None: ...
    def debug(self, text: str) -> None: ...
    def trace(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`path` is "" for stderr, or for the sink of an embedded server."""

    path: str = ""
    size_limit: int = 0
    files_max: int = 0
    debug: bool = False
    trace: bool = False
    logtime: bool = True
    utc: bool = False


class ServerLog:
    """A log that can change its target and its levels while others write to it."""

    def __init__(self, *, sink: Callable[[str], None] | None = None) -> None:
        """Writes to stderr until it is configured; a `sink` gets every line instead (embedding)."""
        self._sink = sink
        self._lock = threading.Lock()
        self._settings = LogSettings()
        self._target = self._open("", 0, 0)
        self._prefix = f"[{os.getpid()}] "
        self._colours = sink is None and _stderr_is_terminal()
        self._lines_dropped = 0
        self._unreported = 0
        self._failure = ""

    @property
    def debugging(self) -> bool:
        return self._settings.debug

    @property
    def tracing(self) -> bool:
        return self._settings.trace

    @property
    def lines_dropped(self) -> int:
        """Since the start."""
        return self._lines_dropped

    def configure(self, settings: LogSettings) -> None:
        """Raises OSError when the file cannot be opened; the log then stays as it was."""
        self.adopt(settings, self.prepare(settings))

    def prepare(self, settings: LogSettings) -> Target:
        """Opens what `adopt` will write to. Raises OSError and changes nothing when it cannot."""
        return self._open(settings.path, settings.size_limit, settings.files_max)

    def adopt(self, settings: LogSettings, target: Target) -> None:
        with self._lock:
            replaced, self._target = self._target, target
            self._settings = settings
            self._colours = not settings.path and self._sink is None and _stderr_is_terminal()
        _close(replaced)

    def reopen(self) -> bool:
        """Opens the file of that name anew. False when the log does not go to a file.

        Raises OSError when it cannot be opened; lines go to the old file then.
        """
        with self._lock:
            if not isinstance(self._target, FileTarget):
                return False
            self._target.reopen()
        return True

    def close(self) -> None:
        """Later lines go to stderr, or to the sink."""
        self.adopt(LogSettings(), self._open("", 0, 0))

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

    def _open(self, path: str, size_limit: int, files_max: int) -> Target:
        if path:
            return FileTarget(path, size_limit, files_max)
        return StderrTarget() if self._sink is None else SinkTarget(self._sink)

    def _write(self, level: str, text: str) -> None:
        with self._lock:
            if self._unreported and not self._report_drops():
                self._drop()
                return
            self._emit(level, text)
            if isinstance(self._target, FileTarget) and self._target.is_full:
                self._rotate(self._target)

    def _emit(self, level: str, text: str) -> bool:
        """False when the line could not be written, which is counted."""
        try:
            self._target.write(self._line(level, text))
        except (OSError, ValueError) as error:
            self._failure = str(error)
            self._drop()
            return False
        return True

    def _drop(self) -> None:
        self._lines_dropped += 1
        self._unreported += 1

    def _report_drops(self) -> bool:
        """Says once that lines are missing, in front of the first that can be written again."""
        lost = self._unreported
        line = self._line("warn", f"{lost} log lines could not be written: {self._failure}")
        try:
            self._target.write(line)
        except (OSError, ValueError):
            return False
        self._unreported = 0
        return True

    def _line(self, level: str, text: str) -> bytes:
        label = LABELS[level]
        if self._colours:
            label = f"\x1b[{COLOURS[level]}m{label}\x1b[0m"
        line = f"{self._prefix}{self._stamp()}[{label}] {text}\n"
        return line.encode("utf-8", "backslashreplace")

    def _stamp(self) -> str:
        if not self._settings.logtime:
            return ""
        now = datetime.now(UTC)
        if not self._settings.utc:
            now = now.astimezone()
        return now.strftime("%Y/%m/%d %H:%M:%S.%f ")

    def _rotate(self, target: FileTarget) -> None:
        try:
            done = target.rotate()
        except OSError as error:
            self._emit("error", f"The log file could not be rotated and grows on: {error}")
            return
        for text in done:
            self._emit("info", text)


def _stderr_is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except (OSError, ValueError, AttributeError):
        return False


def _close(target: Target) -> None:
    """A file that cannot be closed (its file system reports a late error) is given up all the
    same.
    """
    try:
        target.close()
    except OSError:
        return
