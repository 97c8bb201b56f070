"""Goal: compressed and encrypted segments are smaller or unreadable, tell damage, and keep nothing
that was erased.

Method: small stores on the simulated disk, whose files are looked at byte by byte; the random
operations of test_message_store.py run over these files too.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from encryption_keys import ring
from slipstream.kernel._kernel import OPEN_CREATE, OPEN_WRITE, SimDisk
from test_message_store_disks import FOLDER, Stream

FRAME = 64 << 10


def noise(seq: int, size: int = 100) -> bytes:
    """A body that no compressor makes smaller, so that it stands in the file as it is."""
    return random.Random(seq).randbytes(size)


class NoisyStream(Stream):
    @staticmethod
    def body(seq: int, size: int = 100) -> bytes:
        return noise(seq, size)


def holds(stream: Stream, text: bytes) -> bool:
    return any(text in stream.content(name) for name in stream.files())


def test_a_compressed_stream_is_smaller_and_reads_the_same() -> None:
    plain, compressed = Stream(), Stream(compressed=True)
    for stream in (plain, compressed):
        stream.fill(2000)
        assert stream.restart(stream.checkpoint()), stream.store.error
        assert [stream.read(seq) for seq in (1, 999, 2000)] == [
            Stream.body(seq) for seq in (1, 999, 2000)
        ]
        stream.store.check()
    assert sum(compressed.sizes().values()) < sum(plain.sizes().values()) / 3


def test_what_does_not_compress_is_stored_as_it_is() -> None:
    stream = NoisyStream(compressed=True)
    stream.fill(100)
    stream.checkpoint()
    assert sum(stream.sizes().values()) < 100 * (36 + 3 + 100) * 1.05


def test_compression_concerns_new_files_alone() -> None:
    """S-029."""
    stream = Stream()
    stream.fill(300)
    before = stream.sizes()
    stream.options["compressed"] = True
    assert stream.restart(stream.checkpoint())
    assert not stream.store.wants_rewrite
    stream.fill(600)
    stream.checkpoint()
    kept = {name: size for name, size in stream.sizes().items() if name in before}
    assert kept.items() >= {n: s for n, s in before.items() if s == before[n]}.items() or kept
    assert [stream.read(seq) for seq in (1, 900)] == [Stream.body(1), Stream.body(900)]


def test_frames_of_a_large_message() -> None:
    stream = NoisyStream(compressed=True, keys=ring(1), segment_bytes_max=1 << 20)
    for size in (3 * FRAME + 5, FRAME, 1):
        stream.fill(1, size)
    snapshot = stream.checkpoint()
    assert stream.restart(snapshot), stream.store.error
    assert [stream.read(seq) for seq in (1, 2, 3)] == [
        noise(1, 3 * FRAME + 5),
        noise(2, FRAME),
        noise(3, 1),
    ]


@pytest.mark.parametrize("current", [1, 2])
def test_an_encrypted_stream_shows_nothing(current: int) -> None:
    stream = Stream(keys=ring(current))
    stream.fill(500)
    stream.checkpoint()
    assert not holds(stream, b"s.1")
    assert not holds(stream, Stream.body(77)[:20])
    assert stream.read(77) == Stream.body(77)


@pytest.mark.parametrize("style", [{"compressed": True}, {"keys": ring(1)}])
def test_damage_in_a_frame_is_told(style: dict[str, object]) -> None:
    """When it is read, and at the next start, which rebuilds the index from the frames."""
    stream = NoisyStream(**style)
    stream.fill(100)
    snapshot = stream.checkpoint()
    name = stream.files()[0]
    damaged = [seq for seq in range(1, 101) if stream.store.live(seq)]
    stream.disk.flip_bit(f"{FOLDER}/{name}", 64 + 2000, 3)
    assert stream.restart(snapshot), stream.store.error
    statuses = [stream.store.read(seq, stream.buffer, True)[0] for seq in damaged]
    assert set(statuses) == {"ok", "damaged"}
    assert statuses == sorted(statuses)  # the first file's


def test_a_frame_of_another_place_is_damaged() -> None:
    """Frames carry valid checksums; what seals them knows where they belong."""
    stream = NoisyStream(keys=ring(1), segment_bytes_min=1 << 20, segment_bytes_max=1 << 20)
    stream.fill(1, 40_000)
    assert stream.store.write_tail()
    stream.fill(1, 40_000)
    snapshot = stream.checkpoint()
    [name] = stream.files()
    content = stream.content(name)
    first = 64
    second = first + 12 + int.from_bytes(content[first + 4 : first + 8], "little")
    assert content[second : second + 4] == (36 + 3 + 40_000).to_bytes(4, "little")
    swapped = content[:first] + content[second:] + content[first:second]
    handle = stream.disk.open(f"{FOLDER}/{name}", 2)
    stream.disk.pwrite(handle, swapped, 0)
    stream.disk.close(handle)
    assert stream.restart(snapshot)
    assert stream.store.subject_of(1) == stream.store.find_subject(b"$SLIPSTREAM.DAMAGED")


def test_an_erased_body_leaves_a_framed_file_with_the_next_checkpoints() -> None:
    stream = NoisyStream(compressed=True)
    stream.fill(300)
    stream.checkpoint()
    assert holds(stream, noise(50)[:60])
    assert stream.store.erase(50)
    assert stream.store.wants_rewrite
    snapshot = stream.checkpoint()
    assert stream.restart(snapshot), stream.store.error  # the wish is part of the snapshot
    assert stream.store.wants_rewrite
    stream.checkpoint()
    stream.checkpoint()
    assert not holds(stream, noise(50)[:60])
    assert holds(stream, noise(51)[:60])
    assert stream.store.read(50, stream.buffer)[0] == "missing"
    assert stream.read(51) == noise(51)


def test_a_key_that_is_missing_is_named() -> None:
    stream = Stream(keys=ring(2))
    stream.fill(50)
    snapshot = stream.checkpoint()
    stream.options["keys"] = None
    assert not stream.restart(snapshot)
    assert "encrypted with key 2" in stream.store.error


def test_cold_reads_of_frames_wait_for_the_pool() -> None:
    disk = SimDisk(3)
    stream = Stream(disk, compressed=True, keys=ring(1))
    stream.fill(2000)
    stream.checkpoint()
    disk.set_cold(True)
    status, _ = stream.store.read(5, stream.buffer)
    assert status == "pending"
    stream.pool.finish()
    assert stream.read(5, blocking=False) == Stream.body(5)


@pytest.mark.parametrize("options", [{"compressed": True}, {"keys": ring(1)}], ids=["s2", "keys"])
def test_what_is_written_behind_a_snapshot_is_in_frames_of_its_own(options: dict[str, Any]) -> None:
    """Where the I/O thread failed, the kernel's writes what it was given and what came since."""
    stream = Stream(**options)
    stream.fill(20)
    disk = stream.disk
    assert isinstance(disk, SimDisk)
    disk.set_capacity(1)

    def go_on() -> None:
        disk.set_capacity(0)
        stream.fill(5)
        assert stream.store.write_tail()

    snapshot = stream.store.snapshot(before_sync=go_on)
    assert snapshot is not None, stream.store.error
    assert stream.restart(snapshot), stream.store.error
    stream.store.check()
    assert stream.store.last_seq == 20
    stream.fill(5)
    assert stream.restart(stream.checkpoint()), stream.store.error
    assert [stream.read(seq) for seq in (1, 20, 25)] == [Stream.body(seq) for seq in (1, 20, 25)]


@pytest.mark.parametrize("options", [{"compressed": True}, {"keys": ring(1)}], ids=["s2", "keys"])
def test_a_file_whose_last_frame_is_damaged_is_not_cut(options: dict[str, Any]) -> None:
    """Long bodies are passed over at the start, but where the file ends is in that frame's head."""
    stream = NoisyStream(segment_bytes_min=4 << 20, segment_bytes_max=4 << 20, **options)
    stream.fill(5, 300_000)
    snapshot = stream.checkpoint()
    [name] = stream.files()
    content = stream.content(name)
    last = at = 64
    while at < len(content):
        last, at = at, at + 12 + int.from_bytes(content[at + 4 : at + 8], "little")
    for offset, bit in ((4, 3), (5, 3), (7, 6), (0, 2), (8, 1), (12, 0)):
        stream.disk.flip_bit(f"{FOLDER}/{name}", last + offset, bit)
        damaged = stream.content(name)
        opened = stream.restart(snapshot)
        assert opened == (offset >= 8)  # where the frame ends is known then
        if opened:
            assert stream.store.read(5, stream.buffer, True)[0] == "damaged"
            assert stream.store.read(1, stream.buffer, True)[0] == "ok"
        else:
            assert "is damaged or missing" in stream.store.error
        assert stream.content(name) == damaged
        stream.disk.flip_bit(f"{FOLDER}/{name}", last + offset, bit)
    assert stream.restart(snapshot), stream.store.error


def test_readable_files_that_nothing_names_go_from_an_idle_stream() -> None:
    """A crash before the old files were unlinked; nobody may ever publish to the stream again."""
    stream = Stream(keys=ring(1))
    stream.fill(10)
    stream.checkpoint()
    stream.store.remove_below(11)
    snapshot = stream.checkpoint()
    handle = stream.disk.open(f"{FOLDER}/00000000000000ff.segment", OPEN_WRITE | OPEN_CREATE)
    stream.disk.pwrite(handle, b"readable", 0)
    stream.disk.close(handle)
    assert stream.restart(snapshot), stream.store.error
    assert stream.store.wants_rewrite
    stream.checkpoint()
    assert not stream.files()
    assert not stream.store.wants_rewrite


def test_a_damaged_body_does_not_keep_its_neighbours_readable() -> None:
    """It is encrypted as it is, and told as before when it is read."""
    stream = NoisyStream(segment_bytes_min=1 << 20, segment_bytes_max=1 << 20)
    stream.fill(100)
    snapshot = stream.checkpoint()
    [name] = stream.files()
    stream.disk.flip_bit(f"{FOLDER}/{name}", stream.content(name).index(noise(7)) + 30, 1)
    stream.options["keys"] = ring(1)
    assert stream.restart(snapshot), stream.store.error
    for _ in range(3):
        snapshot = stream.checkpoint()
    assert not stream.store.wants_rewrite
    assert not holds(stream, noise(50)[:60])
    assert stream.restart(snapshot), stream.store.error
    stream.store.check()
    assert stream.store.read(7, stream.buffer, True)[0] == "damaged"
    assert [stream.read(seq) for seq in (6, 8)] == [noise(6), noise(8)]


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("options", [{"compressed": True}, {"keys": ring(1)}])
def test_damage_in_what_is_read_ahead_does_not_concern_the_message(
    options: dict[str, Any], blocking: bool
) -> None:
    stream = NoisyStream(
        segment_bytes_min=1 << 20,
        segment_bytes_max=1 << 20,
        read_ahead_bytes=256 << 10,
        **options,
    )
    stream.fill(2000)
    snapshot = stream.checkpoint()
    [name] = stream.files()
    stream.disk.flip_bit(f"{FOLDER}/{name}", len(stream.content(name)) // 2, 1)
    assert stream.restart(snapshot), stream.store.error
    lost = []
    for seq in range(1, 2001):
        stream.disk.set_cold(not blocking)
        status, message = stream.store.read(seq, stream.buffer, blocking)
        if status == "pending":
            stream.pool.finish()
            status, message = stream.store.read(seq, stream.buffer, blocking)
        if status == "damaged":
            lost.append(seq)
        else:
            assert message is not None, (seq, status)
            assert message[4] == noise(seq)
    assert lost == list(range(lost[0], lost[-1] + 1))
    assert 0 < len(lost) < 1000  # one frame of several
