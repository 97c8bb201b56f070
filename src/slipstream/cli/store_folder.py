"""What `slipstream verify` and `slipstream repair` both look at in a store's folder, and how they
name what they find.
"""

from __future__ import annotations

import errno
import json
from enum import IntEnum

from slipstream.kernel._kernel import (
    OPEN_CREATE,
    OPEN_READ,
    OPEN_TRUNCATE,
    OPEN_WRITE,
    STORE_LOCK,
    STORE_MARKER,
    STORE_MARKER_TEXT,
    Disk,
    OverlayDisk,
)

DAMAGED_SHOWN_MAX = 1 << 20


class Outcome(IntEnum):
    """The exit code."""

    SOUND = 0
    DAMAGED = 1
    NOT_A_STORE = 2  # or one that cannot be looked at now


def why_not(disk: Disk) -> str:
    """Empty if it is a store that no server uses."""
    names = disk.list("")
    if "jetstream" in names and STORE_MARKER not in names:
        return "a store of nats-server (folder 'jetstream')"
    if STORE_MARKER not in names:
        return f"not a store of slipstream: it has no file '{STORE_MARKER}'"
    if STORE_LOCK in names:
        try:
            disk.close(disk.lock(STORE_LOCK))
        except OSError as error:
            if error.errno != errno.EWOULDBLOCK:
                raise
            return "in use by a server; stop it first"
    return ""


def marker_text(disk: Disk) -> bytes:
    handle = disk.open(STORE_MARKER, OPEN_READ)
    try:
        return disk.pread(handle, 2 * len(STORE_MARKER_TEXT), 0)
    finally:
        disk.close(handle)


def with_marker(disk: Disk) -> Disk:
    """The same store, as if its marker were whole."""
    overlay = OverlayDisk(disk)
    handle = overlay.open(STORE_MARKER, OPEN_WRITE | OPEN_CREATE | OPEN_TRUNCATE)
    overlay.pwrite(handle, STORE_MARKER_TEXT, 0)
    overlay.close(handle)
    return overlay


def list_or_nothing(disk: Disk, folder: str) -> list[str]:
    """A store whose first start was interrupted lacks some folders."""
    try:
        return disk.list(folder)
    except FileNotFoundError:
        return []


def total_bytes(disk: Disk, folder: str, names: list[str]) -> int:
    total = 0
    for name in names:
        handle = disk.open(f"{folder}/{name}", OPEN_READ)
        total += disk.size(handle)
        disk.close(handle)
    return total


def ranges(numbers: list[int]) -> str:
    """Ascending numbers; neighbours as `3-7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ", ".join("-".join(map(str, part)) for part in parts)


def stream_name(description: bytes) -> str:
    """From what the JetStream API keeps with a stream; other text is nobody's fault."""
    try:
        return str(json.loads(description)["config"]["name"])
    except (ValueError, KeyError, TypeError):
        return ""
