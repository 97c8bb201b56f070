"""Goal: damage in a segment that has entries for its messages alone (of a mirror of a few subjects,
say) costs the messages of the damaged places and no others: the stream goes on, as many messages
cannot be read as were lost, and the whole ones between and behind the places are found as before.

Method: messages far from each other, some of them removed; a snapshot; records are overwritten in
the file, or a bit of a frame is flipped; the store is loaded again.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from encryption_keys import ring
from slipstream.kernel._kernel import (
    OPEN_WRITE,
    IoPool,
    Loss,
    MessageStore,
    ReadBuffer,
    SimDisk,
)

FOLDER = "streams/1"
SIZES = {"segment_bytes_min": 1 << 20, "segment_bytes_max": 1 << 20}
FIRST, STEP = 1000, 300  # sequences
RECORD_HEAD, SEGMENT_HEAD = 36, 64
BODY, SUBJECT = 84, 4
LENGTH = RECORD_HEAD + SUBJECT + BODY


class Sparse:
    """`count` messages in one sparse segment, behind a single one in a dense one."""

    def __init__(self, count: int, removed: set[int], **options: Any) -> None:
        self.options = {**SIZES, **options}
        self.disk = SimDisk(5)
        store = MessageStore(IoPool(self.disk, threaded=False), FOLDER, **self.options)
        self.messages: dict[int, bytes] = {}
        for number in range(-1, count):
            seq = FIRST + number * STEP
            body = random.Random(number).randbytes(BODY)
            assert store.append(seq, seq * 10, b"s.%02d" % (number % 7), b"", body)
            self.messages[seq] = body
        for number in removed:
            seq = FIRST + number * STEP
            assert store.remove(seq)
            del self.messages[seq]
        store.check()
        snapshot = store.snapshot()
        assert snapshot is not None
        self.snapshot = snapshot
        store.checkpoint_durable()
        self.path = f"{FOLDER}/{sorted(self.disk.list(FOLDER))[-1]}"
        assert len(self.disk.list(FOLDER)) == 2

    def check(self, disk: SimDisk, lost: int) -> None:
        """`lost` of the messages that were there cannot be read."""
        store = MessageStore(IoPool(disk, threaded=False), FOLDER, **self.options)
        assert store.load(self.snapshot), store.error
        store.check()
        assert store.messages == len(self.messages)
        buffer = ReadBuffer()
        damaged, whole = [], {}
        seq = store.next_live(1)
        while seq:
            status, message = store.read(seq, buffer, True)
            if status == "ok":
                assert message is not None
                whole[seq] = message[4]
            else:
                assert status == "damaged"
                damaged.append(seq)
            seq = store.next_live(seq + 1)
        assert len(damaged) == lost
        assert whole.items() <= self.messages.items()
        assert len(whole) == len(self.messages) - lost
        for seq in damaged:
            assert store.remove(seq)
        store.check()
        assert store.messages == len(whole)


def overwrite(disk: SimDisk, path: str, first: int, count: int) -> None:
    handle = disk.open(path, OPEN_WRITE)
    disk.pwrite(handle, b"\xa5" * (count * LENGTH), SEGMENT_HEAD + first * LENGTH)
    disk.sync(handle)
    disk.close(handle)


@pytest.mark.parametrize(
    "places",
    [
        [(0, 1)],
        [(0, 5)],
        [(7, 1)],
        [(7, 12)],
        [(39, 1)],
        [(30, 10)],
        [(0, 40)],
        [(3, 2), (10, 7)],
        [(0, 3), (5, 1), (30, 10)],
        [(2, 4), (12, 4), (22, 4)],
    ],
)
@pytest.mark.parametrize("removed", [set(), set(range(9)), set(range(1, 40, 4))])
def test_records_that_are_overwritten(places: list[tuple[int, int]], removed: set[int]) -> None:
    sparse = Sparse(40, removed)
    disk = sparse.disk.image(Loss.none)
    for first, count in places:
        overwrite(disk, sparse.path, first, count)
    gone = {number for first, count in places for number in range(first, first + count)}
    sparse.check(disk, len(gone - removed))


@pytest.mark.parametrize(
    "options", [{"compressed": True}, {"keys": ring(1)}], ids=["compressed", "encrypted"]
)
def test_a_flipped_bit_of_a_frame(options: dict[str, Any]) -> None:
    sparse = Sparse(2000, set(range(500, 600)), **options)
    size = 2000 * LENGTH
    frames = -(-size // (64 << 10))
    for number in range(frames):
        disk = sparse.disk.image(Loss.none)
        disk.flip_bit(sparse.path, SEGMENT_HEAD + number * (size // frames) + 500, 4)
        store = MessageStore(IoPool(disk, threaded=False), FOLDER, **sparse.options)
        assert store.load(sparse.snapshot), store.error
        buffer = ReadBuffer()
        lost = [s for s in live(store) if store.read(s, buffer, True)[0] == "damaged"]
        assert 300 < len(lost) < 700
        sparse.check(disk, len(lost))


def live(store: MessageStore) -> list[int]:
    found, seq = [], store.next_live(1)
    while seq:
        found.append(seq)
        seq = store.next_live(seq + 1)
    return found
