"""Where log lines go: stderr, a file that rotates by size, or a callable of an embedding program.

`write` takes one encoded line and raises OSError when the line, or a part of it, was not written.
Whoever calls it holds the log's lock.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Protocol

FILE_MODE = 0o640
ROTATED_STAMP = "%Y.%m.%d.%H.%M.%S"


class Target(Protocol):
    def write(self, line: bytes) -> None: ...
    def close(self) -> None: ...


class SinkTarget:
    def __init__(self, sink: Callable[[str], None]) -> None:
        self._sink = sink

    def write(self, line: bytes) -> None:
        try:
            self._sink(line.decode("utf-8"))
        except Exception as error:
            raise OSError(f"the log's sink failed: {error!r}") from error

    def close(self) -> None:
        """The sink belongs to the embedding program."""


class StderrTarget:
    """Looks `sys.stderr` up for each line, because programs replace it while they run."""

    def __init__(self) -> None:
        self._tail = _Tail()

    def write(self, line: bytes) -> None:
        stream = sys.stderr
        if stream is None:  # the process was started without one
            return
        try:
            descriptor = stream.fileno()
        except (OSError, ValueError, AttributeError):
            self._write_text(line)
            return
        self._tail.write(descriptor, line)

    def _write_text(self, line: bytes) -> None:
        """To an object that is no file (a notebook), or to a stream that was closed."""
        try:
            sys.stderr.write(line.decode("utf-8"))
        except Exception as error:
            raise OSError(f"stderr cannot be written: {error}") from error

    def close(self) -> None:
        """stderr belongs to the process."""


class FileTarget:
    """Appends to a file; with a size limit it moves the file aside and begins a new one."""

    def __init__(self, path: str, size_limit: int = 0, files_max: int = 0) -> None:
        """Raises OSError when the file cannot be opened."""
        self.path = path
        self._size_limit, self._files_max = size_limit, files_max
        self._descriptor = _open(path)
        self._size = os.fstat(self._descriptor).st_size
        self._rotate_above = size_limit
        self._tail = _Tail()

    def write(self, line: bytes) -> None:
        self._size += self._tail.write(self._descriptor, line)

    def reopen(self) -> None:
        """Opens the file of that name again. Raises OSError; the old one stays in use then."""
        self._replace_descriptor(_open(self.path))

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def is_full(self) -> bool:
        return self._size_limit > 0 and self._rotate_above < self._size

    def rotate(self) -> list[str]:
        """Begins a new file and removes surplus backups; returns what is to be logged about it.

        Raises OSError when the file cannot be moved or begun. The old file then stays in use, and
        counts as full again after another `size_limit` bytes.
        """
        self._rotate_above = self._size + self._size_limit
        now = datetime.now()
        kept = f"{self.path}.{now.strftime(ROTATED_STAMP)}.{now.microsecond:06d}000"
        with suppress(FileNotFoundError):  # somebody removed or renamed it: begin a new one
            os.rename(self.path, kept)
        try:
            descriptor = _open(self.path)
        except OSError:
            with suppress(OSError):
                os.rename(kept, self.path)
            raise
        self._replace_descriptor(descriptor)
        self._rotate_above = self._size_limit
        done = [f'Rotated log, backup saved as "{kept}"']
        if self._files_max > 0:
            done += self._purge()
        return done

    def _replace_descriptor(self, descriptor: int) -> None:
        os.close(self._descriptor)
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._tail = _Tail()

    def _purge(self) -> list[str]:
        """Removes the oldest backups; their stamps sort by age."""
        current = Path(self.path)
        backups = sorted(
            entry
            for entry in current.parent.iterdir()
            if entry.name.startswith(current.name)
            and _is_backup(entry.name.removeprefix(current.name))
        )
        surplus = len(backups) - (self._files_max - 1)
        done = []
        for backup in backups[: max(0, surplus)]:
            backup.unlink(missing_ok=True)
            done.append(f'Purged log file "{backup.name}"')
        return done


class _Tail:
    """Remembers that the last line was written in part, so that the next one begins a new line."""

    def __init__(self) -> None:
        self._is_torn = False

    def write(self, descriptor: int, line: bytes) -> int:
        """Returns how many bytes were written. Raises OSError unless all of them were."""
        rest = b"\n" + line if self._is_torn else line
        total = len(rest)
        while rest:
            written = os.write(descriptor, rest)
            rest = rest[written:]
            self._is_torn = bool(rest)
        return total


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)


def _is_backup(suffix: str) -> bool:
    stamp, _, nanoseconds = suffix.removeprefix(".").rpartition(".")
    if not suffix.startswith(".") or not nanoseconds.isdigit():
        return False
    try:
        datetime.strptime(stamp, ROTATED_STAMP)
    except ValueError:
        return False
    return True
