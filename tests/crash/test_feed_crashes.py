"""Goal: a mirror is the origin, and a source brings each message once, whenever the power goes.

Method: an origin, its mirror, and a stream that has it and a second origin as sources, in one
kernel over a simulated disk. The workload publishes, deletes, purges and takes checkpoints while
the feeds run; it is crashed at disk operation n; what is found is judged, the feeds go on behind
the recorded positions, and in the end every copy must be whole. The run is deterministic: a failure
names its crash point.
"""

from __future__ import annotations

import random
import time
from typing import NamedTuple

import pytest

import feeding
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.kernel.values import StoredMessage
from slipstream.testing.simulated_node import PowerLoss, SimulatedClock, SimulatedNode

SECONDS = 3.0
SOURCES = {b"O > >": b"O", b"P > >": b"P"}
HEADER = b"NATS/1.0\r\nNats-Expected-Stream: O\r\nNats-Msg-Id: %d\r\n\r\n"
KEPT_HEADER = b"NATS/1.0\r\nNats-Msg-Id: %d\r\n\r\n"


class Streams(NamedTuple):
    origins: dict[bytes, int]
    mirror: int
    sourced: int


def found_streams(node: SimulatedNode) -> Streams | None:
    """After recovery; None when not all were made yet."""
    ids = {record.description: record.stream for record in node.recovered}
    if len(ids) < 4:
        return None
    return Streams({b"O": ids[b"O"], b"P": ids[b"P"]}, ids[b"M"], ids[b"S"])


def create(node: SimulatedNode) -> Streams:
    origins = {
        name: feeding.create_stream(node, name, subjects=[name + b".>"]) for name in (b"O", b"P")
    }
    mirror = feeding.create_stream(node, b"M", mirror=True, mirror_origin=b"O")
    sourced = feeding.create_stream(node, b"S", subjects=[b"own"], sourced=True)
    return Streams(origins, mirror, sourced)


def open_feeds(node: SimulatedNode, streams: Streams) -> dict[int, list[feeding.Feed]]:
    origins = streams.origins
    return {
        streams.mirror: [feeding.connect(node, origins[b"O"], streams.mirror)],
        streams.sourced: [
            feeding.connect(node, origins[name], streams.sourced, source=index)
            for index, name in SOURCES.items()
        ],
    }


def workload(node: SimulatedNode) -> None:
    streams = create(node)
    feeds = open_feeds(node, streams)
    for i in range(30):
        node.publish(b"O.%d" % (i % 3), b"o%d " % i + b"x" * (i * 20), HEADER % i)
        node.publish(b"P.%d" % (i % 2), b"p%d" % i)
        if i % 4 == 0:
            node.publish(b"own", b"own %d" % i)
        if i % 9 == 8:
            node.kernel.checkpoint()
        if i == 12:
            node.kernel.propose_delete(node.next_number(), streams.origins[b"O"], 11, False)
        if i == 17:  # a feed that ends in the midst goes on where it was
            feed = feeds[streams.mirror][0]
            node.kernel.close_feed(streams.mirror, feed.number)
            node.turn()
            node.kernel.propose_purge(node.next_number(), streams.origins[b"P"], b"", 10, 0)
            node.turn()
            feeding.connect(node, streams.origins[b"O"], streams.mirror)
        node.turn()
    for _ in range(4):
        node.turn()


def judge(node: SimulatedNode, streams: Streams, *, whole: bool) -> None:
    origin = {m.seq: m for m in feeding.content(node, streams.origins[b"O"])}
    mirrored = feeding.content(node, streams.mirror)
    assert [m.seq for m in mirrored] == sorted({m.seq for m in mirrored})
    for message in mirrored:
        if message.seq in origin:  # it may be deleted there
            original = origin[message.seq]
            assert message == original._replace(header=_stripped(original.header))
    last = mirrored[-1].seq if mirrored else 0
    missing = {seq for seq in origin if seq <= last} - {m.seq for m in mirrored}
    assert not missing, "a gap that the origin does not have"
    judge_sources(node, streams)
    if not whole:
        return
    assert origin.keys() <= {m.seq for m in mirrored}
    for index, name in SOURCES.items():
        brought = {seq for seq, _ in sourced_from(node, streams, index)}
        assert {m.seq for m in feeding.content(node, streams.origins[name])} <= brought


def judge_sources(node: SimulatedNode, streams: Streams) -> None:
    for index, name in SOURCES.items():
        brought = sourced_from(node, streams, index)
        seqs = [seq for seq, _ in brought]
        assert seqs == sorted(set(seqs)), "twice, or out of order"
        position = node.kernel.source_position(streams.sourced, index)
        if position is not None:
            assert position.seq == (seqs[-1] if seqs else 0)
        originals = {m.seq: m for m in feeding.content(node, streams.origins[name])}
        assert not {s for s in originals if seqs and s <= seqs[-1]} - set(seqs)
        for seq, message in brought:
            if seq in originals:
                assert (message.subject, message.body) == originals[seq][0::3][:2]


def sourced_from(
    node: SimulatedNode, streams: Streams, index: bytes
) -> list[tuple[int, StoredMessage]]:
    """(origin sequence, message), from the header that says where each came from (S-184)."""
    found = []
    for message in feeding.content(node, streams.sourced):
        if message.subject == b"own":
            continue
        line = next(x for x in message.header.split(b"\r\n") if x.startswith(b"Nats-Stream-Source"))
        name, seq, filters, destinations, subject = line.partition(b": ")[2].split(b" ")
        assert subject == message.subject
        if b" ".join((name, filters, destinations)) == index:
            found.append((int(seq), message))
    return found


def _stripped(header: bytes) -> bytes:
    return header.replace(b"Nats-Expected-Stream: O\r\n", b"")  # S-197


def run_until(disk: SimDisk, clock: SimulatedClock) -> None:
    try:
        workload(SimulatedNode(disk, clock, has_twin=True))
    except PowerLoss:
        pass
    except StoreError:
        assert disk.crashed, "the store was refused although the power was there"


def crash(operation: int, loss: Loss) -> None:
    """One crash point, as a failure names it."""
    disk, clock = SimDisk(operation), SimulatedClock()
    disk.crash_at(operation)
    run_until(disk, clock)
    node = SimulatedNode(disk.image(loss, operation), clock)
    streams = found_streams(node)
    if streams is None:
        return
    judge(node, streams, whole=False)
    feeds = open_feeds(node, streams)
    for name, stream in streams.origins.items():
        node.publish(name + b".last", b"the last of " + name)
        last = node.kernel.stream_state(stream).last_seq + 1
        if name == b"O":
            feeding.drain(node, streams.mirror, feeds[streams.mirror][0], last)
        number = list(SOURCES.values()).index(name)
        feeding.drain(node, streams.sourced, feeds[streams.sourced][number], last)
    node.kernel.check()
    judge(node, streams, whole=True)
    assert not node.stopped_feeds
    node.stop()


def test_without_a_crash() -> None:
    clock = SimulatedClock()
    node = SimulatedNode(SimDisk(1), clock)
    workload(node)
    ids = {b"O": 1, b"P": 2}
    judge(node, Streams(ids, 3, 4), whole=False)
    assert [m.seq for m in feeding.content(node, 3)] == [*range(1, 31)]
    headers = {m.header for m in feeding.content(node, 3)}
    assert headers == {KEPT_HEADER % i for i in range(30)}
    assert not node.stopped_feeds


def test_every_crash_point() -> None:
    disk = SimDisk(1)
    run_until(disk, SimulatedClock())
    order = list(range(1, disk.operations + 1))
    random.Random("feeds").shuffle(order)
    end, done = time.monotonic() + SECONDS, 0
    for operation in order:
        if time.monotonic() > end:
            break
        for loss in Loss:
            try:
                crash(operation, loss)
            except Exception as error:
                error.add_note(f"crash({operation}, {loss!r})")
                raise
        done += 1
    print(f"{done} of {disk.operations} crash points")
    assert done > 0


@pytest.mark.parametrize("format_", ["mirror", "source"])
def test_what_a_copy_has_survives_a_clean_stop(format_: str) -> None:
    """Positions are in the checkpoint, not only in the journal."""
    disk, clock = SimDisk(3), SimulatedClock()
    node = SimulatedNode(disk, clock, has_twin=True)
    workload(node)
    node.stop()
    node = SimulatedNode(disk.image(Loss.all, 1), clock)
    streams = found_streams(node)
    assert streams is not None
    if format_ == "mirror":
        position = node.kernel.source_position(streams.mirror, b"")
    else:
        position = node.kernel.source_position(streams.sourced, b"O > >")
    assert position is not None
    assert position.seq == 30
    judge(node, streams, whole=False)
