"""Goal: the store says what its disk does to it: damage, cold pages, no room, lost and leftover
files; and it rewrites what is mostly dead.

Method: one small test for each, on the simulated disk (and the round trip on the real one too),
with segments of a few KiB. Where a job runs on the I/O thread, the test waits for the pool.
"""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from slipstream.kernel._kernel import (
    OPEN_READ,
    OPEN_WRITE,
    Disk,
    IoPool,
    MessageStore,
    ReadBuffer,
    RealDisk,
    SimDisk,
)

TINY = {
    "segment_bytes_min": 4096,
    "segment_bytes_max": 65536,
    "tail_bytes": 8192,
    "read_ahead_bytes": 4096,
}
FOLDER = "streams/1"
DAMAGED = b"$SLIPSTREAM.DAMAGED"  # the subject of messages whose own cannot be read


class Stream:
    """A store on a disk, with what restarts need."""

    def __init__(self, disk: Disk | None = None, *, threaded: bool = False, **options: object):
        self.disk = disk or SimDisk(7)
        self.pool = IoPool(self.disk, threaded=threaded)
        self.options = {**TINY, **options}
        self.store = MessageStore(self.pool, FOLDER, **self.options)
        self.buffer = ReadBuffer()

    def fill(self, n: int, size: int = 100, subjects: int = 7) -> None:
        for _ in range(n):
            seq = self.store.last_seq + 1
            assert self.store.append(
                seq, seq * 10, b"s.%d" % (seq % subjects), b"", self.body(seq, size)
            )

    @staticmethod
    def body(seq: int, size: int = 100) -> bytes:
        return (b"%d," % seq * size)[:size]

    def checkpoint(self) -> bytes:
        snapshot = self.store.snapshot()
        assert snapshot is not None, self.store.error
        self.store.checkpoint_durable()
        self.pool.finish()
        return snapshot

    def restart(self, snapshot: bytes) -> bool:
        self.store = MessageStore(self.pool, FOLDER, **self.options)
        return self.store.load(snapshot)

    def read(self, seq: int, blocking: bool = True) -> bytes:
        status, message = self.store.read(seq, self.buffer, blocking)
        assert status == "ok", status
        assert message is not None
        return message[4]

    def files(self) -> list[str]:
        return self.disk.list(FOLDER)

    def content(self, name: str) -> bytes:
        handle = self.disk.open(f"{FOLDER}/{name}", OPEN_READ)
        try:
            return self.disk.pread(handle, self.disk.size(handle), 0)
        finally:
            self.disk.close(handle)

    def sizes(self) -> dict[str, int]:
        return {name: len(self.content(name)) for name in self.files()}

    def cut(self, name: str, size: int) -> None:
        handle = self.disk.open(f"{FOLDER}/{name}", OPEN_WRITE)
        self.disk.truncate(handle, size)
        self.disk.close(handle)


def test_a_restart_on_the_real_disk(tmp_path: Path) -> None:
    stream = Stream(RealDisk(str(tmp_path)), threaded=True)
    stream.fill(500)
    stream.store.remove_below(100)
    stream.store.remove(300)
    snapshot = stream.checkpoint()
    stream.fill(200)
    assert stream.store.write_tail()
    assert stream.restart(snapshot), stream.store.error
    stream.store.check()
    assert (stream.store.first_seq, stream.store.last_seq, stream.store.messages) == (100, 500, 400)
    assert stream.read(499) == Stream.body(499)
    stream.fill(300)
    assert [stream.read(seq) for seq in (501, 650, 800)] == [
        Stream.body(s) for s in (501, 650, 800)
    ]
    snapshot = stream.checkpoint()
    assert stream.restart(snapshot), stream.store.error
    assert stream.read(700) == Stream.body(700)


@pytest.mark.parametrize(("place", "message"), [("body", "damaged"), ("subject", "damaged")])
def test_a_flipped_bit_is_told_and_the_neighbours_are_read(place: str, message: str) -> None:
    stream = Stream()
    stream.fill(100)
    stream.checkpoint()
    record = 36 + 3 + 100
    offset = 64 + 4 * record + {"subject": 37, "body": 80}[place]
    stream.disk.flip_bit(f"{FOLDER}/0000000000000001.segment", offset, 3)
    assert stream.restart(stream.checkpoint()), stream.store.error
    assert stream.store.read(5, stream.buffer) == (message, None)
    assert stream.store.live(5)
    assert (stream.store.find_subject(DAMAGED) == stream.store.subject_of(5)) == (place != "body")
    assert stream.read(4) == Stream.body(4)
    assert stream.read(6) == Stream.body(6)


@pytest.mark.parametrize("offset", [0, 8, 17, 30, 62])
def test_a_flipped_bit_in_a_segments_head_is_mended_in_memory(offset: int) -> None:
    stream = Stream()
    stream.fill(300)
    snapshot = stream.checkpoint()
    name = stream.files()[1]
    stream.disk.flip_bit(f"{FOLDER}/{name}", offset, 0)
    assert stream.restart(snapshot)
    assert name in stream.store.error
    assert [stream.read(seq) for seq in range(1, 301)] == [Stream.body(s) for s in range(1, 301)]


@pytest.mark.parametrize("place", [0, 1, 12, 14, 16, 24, 32, 36])
def test_a_damaged_record_costs_itself(place: int) -> None:
    """Whatever of its head is hit, its length included."""
    stream = Stream()
    stream.fill(300)
    snapshot = stream.checkpoint()
    name = stream.files()[1]
    first = int(name[:16], 16)
    record = 36 + 3 + 100
    stream.disk.flip_bit(f"{FOLDER}/{name}", 64 + 3 * record + place, 0)
    assert stream.restart(snapshot), stream.store.error
    assert stream.store.messages == 300
    for seq in range(1, 301):
        if seq == first + 3:
            assert stream.store.read(seq, stream.buffer) == ("damaged", None)
        else:
            assert stream.read(seq) == Stream.body(seq)
    stream.store.check()


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_damaged_segment_is_not_loaded_and_nothing_is_removed(damage: str) -> None:
    stream = Stream()
    stream.fill(300)
    snapshot = stream.checkpoint()
    files = stream.files()
    path = f"{FOLDER}/{files[1]}"
    if damage == "missing":
        stream.disk.unlink(path)
    else:
        stream.cut(files[1], 500)
    before = stream.sizes()
    assert not stream.restart(snapshot)
    assert files[1] in stream.store.error
    assert not stream.store.append(301, 1, b"a", b"", b"")
    assert stream.sizes() == before


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 20, 70])
def test_a_cut_snapshot_is_refused(cut: int) -> None:
    stream = Stream()
    stream.fill(300)
    stream.store.remove(50)
    snapshot = stream.checkpoint()
    assert not stream.restart(snapshot[:cut])
    assert stream.store.error
    assert not stream.restart(snapshot[:-1])


@pytest.mark.parametrize("threaded", [False, True])
def test_a_cold_read_parks_and_wakes_the_reader(threaded: bool) -> None:
    stream = Stream(threaded=threaded)
    stream.fill(300)
    stream.disk.set_cold(True)
    assert stream.restart(stream.checkpoint())
    assert stream.store.read(10, stream.buffer)[0] == "pending"
    assert stream.buffer.waiting
    assert stream.store.read(11, stream.buffer)[0] == "pending"  # one read at a time
    stream.pool.finish()
    assert (stream.buffer.ready, stream.buffer.waiting) == (1, False)
    for seq in range(10, 30):  # the read-ahead has them all
        assert stream.read(seq, blocking=False) == Stream.body(seq)


def test_a_cold_read_outlives_its_segment_its_store_and_its_buffer() -> None:
    stream = Stream(threaded=True)
    stream.fill(300)
    stream.disk.set_cold(True)
    assert stream.restart(stream.checkpoint())
    assert stream.store.read(10, stream.buffer)[0] == "pending"
    assert stream.store.read(10, ReadBuffer())[0] == "pending"  # its buffer goes at once
    stream.store.remove_below(200)
    stream.store = MessageStore(stream.pool, "streams/2")
    stream.pool.finish()
    assert stream.buffer.ready == 1


def test_a_failing_cold_read_is_damage_and_not_an_endless_wait() -> None:
    stream = Stream()
    stream.fill(300)
    stream.disk.set_cold(True)
    assert stream.restart(stream.checkpoint())
    stream.cut(stream.files()[0], 100)
    assert stream.store.read(10, stream.buffer)[0] == "pending"
    stream.pool.finish()
    assert stream.store.read(10, stream.buffer) == ("damaged", None)


def test_the_tail_is_read_without_the_disk() -> None:
    stream = Stream()
    stream.fill(300)
    stream.disk.set_cold(True)
    for seq in range(300, 280, -1):
        assert stream.read(seq, blocking=False) == Stream.body(seq)
    assert stream.store.snapshot() is not None
    assert stream.read(300, blocking=False) == Stream.body(300)
    stream.store.checkpoint_durable()  # nothing came since: an idle stream keeps no tail
    assert stream.store.memory()["tails"] == 0
    assert stream.store.read(300, stream.buffer)[0] == "pending"


def test_a_full_disk_loses_nothing_and_there_may_be_room_again() -> None:
    stream = Stream()
    stream.fill(20)
    snapshot = stream.checkpoint()
    stream.disk.set_capacity(20_000)
    while not stream.store.error:  # what is taken up meanwhile stays in memory: the journal has it
        assert stream.store.append(stream.store.last_seq + 1, 0, b"s", b"", bytes(100))
        assert stream.store.last_seq < 20_000
    full_at = stream.store.last_seq
    assert "No space left" in stream.store.error
    stream.store.check()
    assert stream.store.messages == full_at
    assert stream.store.read(full_at, stream.buffer)[0] == "ok"
    assert stream.store.snapshot() is None
    stream.disk.set_capacity(0)
    stream.fill(100)
    assert not stream.store.error
    assert stream.store.last_seq == full_at + 100
    assert stream.restart(snapshot)
    assert stream.store.last_seq == 20


def test_mostly_dead_segments_are_rewritten() -> None:
    stream = Stream(threaded=True)
    stream.fill(3000)
    stream.checkpoint()
    kept = [seq for seq in range(1, 3001) if seq % 100 == 0]
    for seq in range(1, 3001):
        if seq % 100:
            assert stream.store.remove(seq)
    for _ in range(30):  # one run of segments at a time
        stream.checkpoint()
    stream.store.check()
    size = sum(stream.sizes().values())
    assert size < 3000 * 139 / 4
    assert [stream.read(seq) for seq in kept] == [Stream.body(seq) for seq in kept]
    assert stream.store.memory()["index"] < 3000 * 16 / 2
    for time_ns in range(0, 30_100, 10):  # times stay exact, also across blocks that were joined
        wanted = min((seq for seq in kept if seq * 10 >= time_ns), default=3001)
        assert stream.store.first_at_or_after(time_ns, stream.buffer) == wanted
    assert stream.restart(stream.checkpoint()), stream.store.error
    stream.store.check()
    assert [stream.read(seq) for seq in kept] == [Stream.body(seq) for seq in kept]
    walked, seq = [], stream.store.next_live(1)
    while seq:
        walked.append(seq)
        seq = stream.store.next_live(seq + 1)
    assert walked == kept


def test_removals_during_a_rewrite_hold() -> None:
    stream = Stream()
    stream.fill(1000)
    stream.checkpoint()
    for seq in range(1, 900):
        if seq % 10:
            stream.store.remove(seq)
    assert stream.store.write_tail()  # starts: the copy is made, and not yet in use
    gone = range(100, 500, 20)
    for seq in gone:
        assert stream.store.remove(seq)
    stream.pool.finish()
    stream.store.check()
    assert not any(stream.store.live(seq) for seq in gone)
    assert stream.restart(stream.checkpoint()), stream.store.error
    assert not any(stream.store.live(seq) for seq in gone)
    assert stream.read(110) == Stream.body(110)


def test_an_erased_body_does_not_live_on_in_a_rewritten_segment() -> None:  # S-177
    stream = Stream()
    stream.fill(1000)
    stream.checkpoint()
    for seq in range(1, 900):
        if seq % 10:
            stream.store.remove(seq)
    assert stream.store.write_tail()
    assert stream.store.erase(50)
    stream.checkpoint()
    contents = [stream.content(name) for name in stream.files()]
    assert any(Stream.body(60) in content for content in contents)
    assert not any(Stream.body(50) in content for content in contents)


def test_a_damaged_record_keeps_its_segment_from_being_rewritten() -> None:
    stream = Stream()
    stream.fill(200)
    stream.checkpoint()
    stream.disk.flip_bit(f"{FOLDER}/{stream.files()[0]}", 64 + 9 * 139 + 100, 1)  # message 10
    files = stream.files()
    for seq in range(1, 30):
        if seq != 10:
            stream.store.remove(seq)
    stream.checkpoint()
    stream.pool.finish()
    assert files[0] in stream.files()
    assert stream.restart(stream.checkpoint())
    assert stream.store.read(10, stream.buffer) == ("damaged", None)


def test_a_memory_stream_gives_memory_back() -> None:
    stream = Stream(memory=True)
    stream.fill(5000)
    before = stream.store.memory()["tails"]
    for seq in range(1, 5001):
        if seq % 20:
            stream.store.remove(seq)
    stream.store.check()
    assert stream.store.memory()["tails"] < before / 4
    assert [stream.read(seq) for seq in range(20, 5001, 20)] == [
        Stream.body(seq) for seq in range(20, 5001, 20)
    ]


def test_short_lived_messages_never_touch_the_disk() -> None:
    stream = Stream(tail_bytes=1 << 20)
    for _ in range(200):
        stream.fill(50)
        stream.store.remove_below(stream.store.last_seq + 1)
    assert stream.store.memory()["tails"] <= 1 << 20
    assert stream.disk.list("") == []


def test_files_of_an_interrupted_life_are_kept_until_the_next_checkpoint() -> None:
    stream = Stream()
    stream.fill(300)
    snapshot = stream.checkpoint()
    named = stream.files()
    stream.fill(1000)
    assert stream.store.write_tail()
    left = set(stream.files())
    assert left > set(named)
    assert stream.restart(snapshot)
    assert set(stream.files()) == left
    stream.fill(1000)
    snapshot = stream.checkpoint()
    assert not (left - set(named)) & set(stream.files())
    assert stream.restart(snapshot), stream.store.error
    assert stream.read(1200) == Stream.body(1200)


def test_drop_leaves_nothing() -> None:
    stream = Stream(threaded=True)
    stream.fill(1000)
    stream.checkpoint()
    stream.store.drop()
    stream.pool.finish()
    assert stream.disk.list("streams") == []
    assert (stream.store.messages, stream.store.bytes) == (0, 0)


def test_handles_stay_bounded(tmp_path: Path) -> None:
    """More segments than open files are allowed: all can be read, few are open."""
    stream = Stream(RealDisk(str(tmp_path)), segment_bytes_min=1024, segment_bytes_max=1024)
    stream.fill(4000)
    stream.checkpoint()
    assert len(list((tmp_path / FOLDER).iterdir())) > 600
    descriptors = Path("/proc/self/fd")
    assert all(stream.read(seq) == Stream.body(seq) for seq in range(1, 4001, 3))
    assert sum(FOLDER in str(f.resolve()) for f in descriptors.iterdir()) <= 512


def test_a_subject_id_is_reused_only_after_its_last_message() -> None:
    stream = Stream(memory=True)
    store = stream.store
    for round_ in range(1, 200):
        assert store.append(round_, 0, b"only.%d" % round_, b"", b"")
        assert store.subject_name(store.subject_of(round_)) == b"only.%d" % round_
        if round_ > 3:
            store.remove(round_ - 3)
        store.check()
    assert store.subject_ids <= 5
    assert store.find_subject(b"only.1") is None


@pytest.mark.parametrize("number", [1 << 20, 1 << 40, 1 << 62])
def test_numbers_of_a_snapshot_reserve_no_memory(number: int) -> None:
    """Load believes them when it has counted."""
    stream = Stream()
    stream.fill(300)
    snapshot = stream.checkpoint()
    messages, subjects, entries = 28, 44, 64 + 4 + len("0000000000000001.segment") + 8
    assert int.from_bytes(snapshot[messages : messages + 8], "little") == 300
    damaged = bytearray(snapshot)
    for offset in (messages, subjects):
        damaged[offset : offset + 8] = number.to_bytes(8, "little")
    damaged[entries : entries + 4] = (0xFFFFFFF0).to_bytes(4, "little")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert not stream.restart(bytes(damaged))
    assert "other messages than the snapshot says" in stream.store.error
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10
