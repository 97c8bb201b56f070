"""What lies on a simulated disk, and damage to it."""

from __future__ import annotations

from slipstream.kernel._kernel import OPEN_READ, SimDisk


def files(disk: SimDisk, folder: str = "") -> dict[str, int]:
    """Sizes of all files that hold something, by path."""
    found = {}
    for name in disk.list(folder):
        path = f"{folder}/{name}" if folder else name
        try:
            handle = disk.open(path, OPEN_READ)
        except IsADirectoryError:
            found |= files(disk, path)
            continue
        found[path] = disk.size(handle)
        disk.close(handle)
    return {path: size for path, size in found.items() if size}


def flip_in_only_segment(disk: SimDisk, text: bytes, behind: int, bit: int) -> None:
    """Flips a bit of the store's first stream, whose messages are in one segment: `behind` bytes
    behind the beginning of `text`.
    """
    folder = "streams/0000000000000001"
    (name,) = [n for n in disk.list(folder) if n.endswith(".segment")]
    path = f"{folder}/{name}"
    handle = disk.open(path, OPEN_READ)
    content = disk.pread(handle, disk.size(handle), 0)
    disk.close(handle)
    disk.flip_bit(path, content.index(text) + behind, bit)
