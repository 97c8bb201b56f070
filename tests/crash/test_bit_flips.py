"""Goal: damage has the size of what is damaged. One flipped bit anywhere in a store stops no start
but where nothing can be trusted (the marker; the journal before what was synced); it costs no
stream but the one in whose files it lies, and there every message that is lost is named; `repair`
saves what verifies where a start is refused.

Method: stores of 20 streams, plain, compressed and encrypted, on the simulated disk; a bit is
flipped at a random place of a random file, and the copy is opened, read back and compared with what
was published. SLIPSTREAM_FLIPS says how many flips of each store are tried.
"""

from __future__ import annotations

import os
import random
from functools import cache

import pytest

from disk_files import files, flip_in_only_segment
from slipstream.cli.repair import repair
from slipstream.cli.store_folder import Outcome
from slipstream.cli.verify import verify
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import OPEN_READ, Loss, SimDisk, read_back
from slipstream.kernel.values import StoreCipher, StoreKey, StoreKeys
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

STREAMS = 20
MESSAGES = 25
FLIPS = int(os.environ.get("SLIPSTREAM_FLIPS", "40"))
KEYS = StoreKeys((StoreKey(1, StoreCipher.CHACHA20_POLY1305, b"c" * 32),), 1)
KINDS = ("plain", "compressed", "encrypted")


def body(stream: int, number: int) -> bytes:
    return b"stream %d message %d " % (stream, number) + b"content " * 20


def keys_of(kind: str) -> StoreKeys | None:
    return KEYS if kind == "encrypted" else None


@cache
def store(kind: str) -> SimDisk:
    """Most messages in segments under a checkpoint, the newest of each stream in the journal."""
    disk = SimDisk(3)
    node = SimulatedNode(disk, SimulatedClock(), keys=keys_of(kind))
    for stream in range(STREAMS):
        spec = stream_spec(subjects=[b"s%d.>" % stream], compress=kind == "compressed")
        node.commit(
            lambda token, s=stream, spec=spec: node.kernel.propose_stream_create(
                token, node.account, b"S%d" % s, b"S%d" % s, spec
            )
        )
    for number in range(MESSAGES):
        if number == MESSAGES - 3:
            node.kernel.checkpoint()
            for _ in range(60):
                node.turn()
        for stream in range(STREAMS):
            node.publish(b"s%d.x" % stream, body(stream, number))
        node.turn()
        node.turn()
    return disk.image(Loss.none)


def check_opened(node: SimulatedNode, path: str) -> None:
    """Every stream but that of the damaged file is whole, and there what is lost is named."""
    by_name = {record.description: record for record in node.recovered}
    own = int(path.split("/")[1], 16) if path.startswith("streams/") else 0
    offline = [record for record in node.recovered if record.offline]
    assert len(node.recovered) == STREAMS
    assert len(offline) <= 1
    for stream in range(STREAMS):
        record = by_name.get(b"S%d" % stream)
        if record is None or record.offline:
            continue
        read, damaged = read_back(node.kernel, record.stream, MESSAGES)
        if path.startswith("journal/"):  # its last record: nothing proves that it was synced
            assert MESSAGES - 1 <= read <= MESSAGES
            continue
        assert read + len(damaged) == MESSAGES, f"S{stream} lost messages silently"
        assert not damaged or record.stream == own, f"S{stream} is damaged by {path}"
        for seq in range(1, MESSAGES + 1):
            if seq in damaged:
                continue
            message = node.kernel.get_message(record.stream, seq)
            assert message.body == body(stream, seq - 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_costs_what_it_hits(kind: str) -> None:
    whole = store(kind)
    sizes = files(whole)
    rng = random.Random(f"{kind} 1")
    keys = keys_of(kind)
    refused = 0
    for _ in range(FLIPS):
        path = rng.choice(sorted(sizes))
        offset, bit = rng.randrange(min(sizes[path], 20_000)), rng.randrange(8)
        disk = whole.image(Loss.none)
        disk.flip_bit(path, offset, bit)
        where = f"bit {bit} of byte {offset} of {path}"
        try:
            node = SimulatedNode(disk.image(Loss.none), SimulatedClock(), keys=keys)
        except StoreError as error:
            if path != "slipstream.store" and not path.startswith("journal/"):
                pytest.fail(f"{where}: {error}")
            refused += 1
            if keys is None:
                check_repaired(disk, where)
            continue
        check_opened(node, path)
        node.kernel.stop()
    assert refused < FLIPS


def check_repaired(disk: SimDisk, where: str) -> None:
    """What lies before the damage is there, and streams end early at most."""
    before = files(disk)
    assert repair(disk).outcome == Outcome.DAMAGED, where
    assert files(disk) == before, "a dry run changed something"
    report = repair(disk, apply=True)
    assert report.outcome == Outcome.DAMAGED, where
    node = SimulatedNode(disk.image(Loss.none), SimulatedClock())
    assert len(node.recovered) == STREAMS, where
    for record in node.recovered:
        assert not record.offline, f"{where}: {record.offline}"
        read, damaged = read_back(node.kernel, record.stream, MESSAGES)
        assert not damaged, where
        assert read >= MESSAGES - 3, where
        if read < MESSAGES:
            assert report.lost, where
    assert verify(disk.image(Loss.none)).outcome == Outcome.SOUND, where


def content_of(disk: SimDisk, path: str) -> bytes:
    handle = disk.open(path, OPEN_READ)
    try:
        return disk.pread(handle, disk.size(handle), 0)
    finally:
        disk.close(handle)


def test_a_snapshot_that_is_damaged_twice_takes_its_stream_offline() -> None:
    """There it stands twice; damage in one place costs nothing."""
    whole = store("plain")
    path = next(p for p in sorted(files(whole)) if p.endswith(".checkpoint"))
    content = content_of(whole, path)
    seen = 0
    for stream in range(STREAMS):
        first = content.index(b"s%d.>" % stream)
        disk = whole.image(Loss.none)
        disk.flip_bit(path, first, 1)
        node = SimulatedNode(disk.image(Loss.none), SimulatedClock())
        assert not any(record.offline for record in node.recovered)
        check_opened(node, path)
        disk.flip_bit(path, content.index(b"s%d.>" % stream, first + 1), 1)
        node = SimulatedNode(disk, SimulatedClock())
        check_opened(node, path)
        for record in node.recovered:
            if record.offline:
                seen += 1
                assert path in record.offline
    assert seen > 3  # those whose newest snapshot is in this file


def test_a_missing_journal_is_refused() -> None:
    disk = store("plain").image(Loss.none)
    for name in disk.list("journal"):
        disk.unlink(f"journal/{name}")
    for _ in range(2):
        with pytest.raises(StoreError, match="journal is missing"):
            SimulatedNode(disk, SimulatedClock())
    assert repair(disk, apply=True).outcome == Outcome.DAMAGED
    node = SimulatedNode(disk, SimulatedClock())
    assert {read_back(node.kernel, r.stream, 99)[0] for r in node.recovered} == {MESSAGES - 3}


def test_what_the_journal_has_of_an_offline_stream_outlives_its_release() -> None:
    """Rounds of checkpoints go on while a stream is offline; its entries come back."""
    disk = store("plain").image(Loss.none)
    node = SimulatedNode(disk, SimulatedClock())
    first = next(r.stream for r in node.recovered if r.description == b"S0")
    node.kernel.take_offline(first, "for a test")
    node.turn()
    for round_ in range(4):
        for number in range(30):
            node.publish(b"s1.x", b"%d %d " % (round_, number) + b"y" * 2000)
            node.turn()
        node.kernel.checkpoint()
        for _ in range(60):
            node.turn()
    assert any(name.endswith(".entries") for name in disk.list("offline"))
    node = SimulatedNode(disk.image(Loss.none), SimulatedClock())
    assert not any(record.offline for record in node.recovered)
    assert read_back(node.kernel, first, 99) == (MESSAGES, [])
    node.kernel.check()


def test_a_consumer_passes_a_damaged_message_and_it_stays() -> None:
    disk = SimDisk(5)
    node = SimulatedNode(disk, SimulatedClock())
    stream = node.commit(lambda token: _create(node, token))
    for number in range(10):
        node.publish(b"w.x", body(0, number))
        node.turn()
    node.commit(
        lambda token: node.kernel.propose_consumer_create(
            token, stream, b"c", b"c", consumer_spec()
        )
    )
    node.kernel.checkpoint()
    for _ in range(20):
        node.turn()
    node.kernel.stop()
    flip_in_only_segment(disk, b"message 4 ", 30, 2)
    for _ in range(2):
        node = SimulatedNode(disk.image(Loss.none), SimulatedClock())
        node.pull("W", "c", 20)
        for _ in range(6):
            node.turn()
        assert [d.stream_seq for d in node.deliveries] == [1, 2, 3, 4, 6, 7, 8, 9, 10]
        for delivery in node.deliveries:
            node.acknowledge(delivery.ack_subject, confirm=True)
        for _ in range(6):
            node.turn()
        assert not node.failed
        assert node.kernel.stream_state(stream).messages == 1  # the work queue keeps it
        assert node.kernel.stream_state(stream).first_seq == 5
        node.kernel.check()


def _create(node: SimulatedNode, token: int) -> int:
    spec = stream_spec(subjects=[b"w.>"], retention=2)
    return node.kernel.propose_stream_create(token, node.account, b"W", b"W", spec)
