"""Goal: damage to one page of a file of checkpoints costs nothing, because each snapshot that is
not long stands in it twice; and the files of earlier versions are read.

Method: pages of zeros are written over each page of a file by turns; what is loaded then is what
was written, and the next round puts it into a whole file. The files of earlier versions lie beside
this one, as the programs of their time wrote them (keys: format, and whether it is encrypted).
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path

import pytest

from encryption_keys import ring
from slipstream.kernel._kernel import (
    OPEN_CREATE,
    OPEN_READ,
    OPEN_WRITE,
    Checkpoints,
    Loss,
    SimDisk,
    StorageError,
    crc32c,
)

PAGE = 4096
COPIED_BYTES_MAX = 256 << 10
EARLIER = json.loads(Path(__file__).with_name("checkpoints_of_earlier_versions.json").read_text())


def sizes(disk: SimDisk) -> dict[str, int]:
    found = {}
    for name in disk.list("checkpoints"):
        handle = disk.open(f"checkpoints/{name}", OPEN_READ)
        found[name] = disk.size(handle)
        disk.close(handle)
    return found


def overwrite(disk: SimDisk, name: str, offset: int, content: bytes) -> None:
    handle = disk.open(f"checkpoints/{name}", OPEN_WRITE)
    disk.pwrite(handle, content, offset)
    disk.sync(handle)
    disk.close(handle)


def write(checkpoints: Checkpoints, groups: dict[int, bytes], applied: int) -> None:
    checkpoints.begin()
    for group, payload in groups.items():
        checkpoints.add(group, applied, payload)
    assert checkpoints.write()


@pytest.mark.parametrize("key", [0, 1])
def test_a_lost_page_costs_nothing(key: int) -> None:
    whole = SimDisk(1)
    payloads = {group: bytes([group]) * (group * 3000) for group in range(6)}
    write(Checkpoints(whole, keys=ring(key)), payloads, 7)
    expected = {group: (7, payload) for group, payload in payloads.items()}
    ((name, size),) = sizes(whole).items()
    for offset in range(0, size, PAGE):
        disk = whole.image(Loss.none)
        overwrite(disk, name, offset, bytes(min(PAGE, size - offset)))
        checkpoints = Checkpoints(disk, keys=ring(key))
        if key and offset == 0:  # the header's salt, without which nothing can be decrypted
            with pytest.raises(StorageError, match=name):
                checkpoints.load()
            continue
        assert checkpoints.load() == expected
        damaged = checkpoints.error
        write(checkpoints, {9: b"more"}, 8)
        again = Checkpoints(disk, keys=ring(key))
        assert again.load() == {**expected, 9: (8, b"more")}
        assert again.error == ""
        if damaged:
            assert name in damaged
            assert name not in disk.list("checkpoints")


def test_a_long_snapshot_has_no_copy() -> None:
    disk = SimDisk(1)
    write(Checkpoints(disk), {1: b"x" * (COPIED_BYTES_MAX + PAGE), 2: b"y" * COPIED_BYTES_MAX}, 1)
    ((name, size),) = sizes(disk).items()
    assert 3 * COPIED_BYTES_MAX < size < 3 * COPIED_BYTES_MAX + 5 * PAGE
    overwrite(disk, name, 64 + 100, b"?")
    with pytest.raises(StorageError, match=r"damaged in the snapshot at byte 64"):
        Checkpoints(disk).load()


def place(name: str, content: bytes) -> SimDisk:
    disk = SimDisk(1)
    disk.make_folder("checkpoints")
    handle = disk.open(f"checkpoints/{name}", OPEN_WRITE | OPEN_CREATE)
    disk.pwrite(handle, content, 0)
    disk.sync(handle)
    disk.close(handle)
    return disk


@pytest.mark.parametrize("kind", sorted(EARLIER))
def test_files_of_earlier_versions_are_read(kind: str) -> None:
    disk = SimDisk(1)
    disk.make_folder("checkpoints")
    for name, text in EARLIER[kind].items():
        handle = disk.open(f"checkpoints/{name}", OPEN_WRITE | OPEN_CREATE)
        content = zlib.decompress(base64.b85decode(text))
        assert content[8] == int(kind.split()[0])
        disk.pwrite(handle, content, 0)
        disk.close(handle)
    expected = {0: (5, b"meta"), 7: (70, b"seven"), 8: (90, b"changed")}
    keys = ring(1 if kind.endswith("sealed") else 0)
    checkpoints = Checkpoints(disk, keys=keys)
    assert checkpoints.load() == expected
    write(checkpoints, {7: b"7"}, 71)
    for applied in range(100, 105):
        write(checkpoints, {8: b"8"}, applied)
    assert Checkpoints(disk, keys=keys).load() == {0: expected[0], 7: (71, b"7"), 8: (104, b"8")}


def test_a_version_to_come_is_refused() -> None:
    disk = SimDisk(1)
    write(Checkpoints(disk), {1: b"a"}, 1)
    ((name, size),) = sizes(disk).items()
    overwrite(disk, name, 8, struct.pack("<I", 7))
    for at in range(size - 4):
        handle = disk.open(f"checkpoints/{name}", OPEN_READ)
        footer = disk.pread(handle, 12, at)
        disk.close(handle)
        if footer[4:] == b"SLIPCEND":
            overwrite(disk, name, at, struct.pack("<I", 7))
    with pytest.raises(StorageError, match="version 7"):
        Checkpoints(disk)


def test_a_checksum_says_whose_a_copy_is() -> None:
    """A copy at a wrong place is not taken for another group's."""
    disk = SimDisk(1)
    write(Checkpoints(disk), {1: b"one", 2: b"two"}, 1)
    ((name, size),) = sizes(disk).items()
    handle = disk.open(f"checkpoints/{name}", OPEN_READ)
    content = bytearray(disk.pread(handle, size, 0))
    disk.close(handle)
    content[64 + 32] ^= 1  # the payload of group 1
    copies = [at for at in range(PAGE, size - 64, 8) if content[at + 7] == 0x40]
    assert len(copies) == 2
    first, second = (content[at : at + 40] for at in copies)
    content[copies[0] : copies[0] + 40], content[copies[1] : copies[1] + 40] = second, first
    assert crc32c(bytes(first)) != crc32c(bytes(second))
    disk = place(name, bytes(content))
    with pytest.raises(StorageError, match="damaged in the snapshot at byte 64"):
        Checkpoints(disk).load()
