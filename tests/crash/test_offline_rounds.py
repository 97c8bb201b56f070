"""Streams that go offline while a round of checkpoints is under way, and what is kept of them.

Goal: whenever a stream goes offline, and whenever the power goes after that, the next start has the
stream with all that was acknowledged, and a deleted stream does not come back. Method: streams go
offline at each turn of a round, which may release the journal; then images of the disk are
recovered. Several files of kept entries are applied in the order of the log on a real file system,
too, where folders have no order.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from slipstream.kernel import Kernel
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    START_NS,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

STREAMS, MESSAGES, TURNS_OF_A_ROUND = 12, 5, 14
ROUNDS_MAX = 40


def create(node: SimulatedNode, name: bytes) -> int:
    spec = stream_spec(subjects=[name + b".>"])
    return node.commit(
        lambda token: node.kernel.propose_stream_create(token, node.account, name, name, spec)
    )


def publish(node: SimulatedNode, name: bytes) -> None:
    asked = {node.publish(name + b".1", b"%d" % i) for i in range(MESSAGES)}
    while not asked <= node.replies.keys():
        node.turn()


def finish_round(node: SimulatedNode) -> None:
    done = node.kernel.store_stats().checkpoints
    for _ in range(ROUNDS_MAX):
        node.kernel.checkpoint()
        node.clock.advance(1_100_000_000)
        node.turn()
        if node.kernel.store_stats().checkpoints > done + 1:
            return
    raise AssertionError("no round was finished")


@pytest.mark.parametrize("turn", range(TURNS_OF_A_ROUND))
@pytest.mark.parametrize("is_new", [False, True])
def test_stream_goes_offline_in_a_round(turn: int, is_new: bool) -> None:
    disk, clock = SimDisk(turn), SimulatedClock()
    node = SimulatedNode(disk, clock)
    names = [b"S%02d" % i for i in range(STREAMS)]
    streams = {name: create(node, name) for name in names}
    for name in names:
        publish(node, name)
    finish_round(node)
    for name in names:
        publish(node, name)
    node.kernel.checkpoint()
    if is_new:  # its creation lies behind the position that the round noted
        names.append(b"NEW")
        streams[b"NEW"] = create(node, b"NEW")
        publish(node, b"NEW")
    for _ in range(turn):
        node.turn()
    expected = node.kernel.canonical_states()
    assert len(expected) == len(names)
    node.kernel.take_offline(streams[names[0]], "as the test asks")
    node.kernel.take_offline(streams[names[-1]], "as the test asks")
    images = [disk.image(Loss.all)]
    for _ in range(2):
        finish_round(node)
        images.append(disk.image(Loss.all))
    for image in images:
        found = SimulatedNode(image, clock)
        assert [record.offline for record in found.recovered] == [""] * len(names)
        assert found.kernel.canonical_states() == expected


def test_deleted_stream_stays_deleted_though_its_kept_entries_cannot_be_removed() -> None:
    disk, clock = SimDisk(1), SimulatedClock()
    node = SimulatedNode(disk, clock)
    stream = create(node, b"S")
    publish(node, b"S")
    node.kernel.take_offline(stream, "as the test asks")
    finish_round(node)
    assert disk.list("offline")
    disk.inject(5, 0, 3, "offline")
    node.commit(lambda token: node.kernel.propose_stream_delete(token, stream))
    assert disk.injected > 0
    disk.inject(0)
    finish_round(node)
    assert disk.list("offline") == []
    found = SimulatedNode(disk.image(Loss.all), clock)
    assert found.recovered == []


def test_kept_entries_are_applied_in_their_order(tmp_path: Path) -> None:
    lives, now_ns, stream = 9, START_NS, 0
    for life in range(lives + 1):
        kernel = Kernel(seed=1)
        account = kernel.account(b"$G")
        kernel.turn(now_ns, 1)
        found = kernel.open_store(path=str(tmp_path), threads=False)
        if not found:
            stream = kernel.propose_stream_create(
                1, account, b"S", b"S", stream_spec(subjects=[b"s"])
            )
        assert all(not record.offline for record in found)
        for turn in range(4):
            if turn:
                kernel.publish(account, b"s", b"", b"", b"%d" % life)
            now_ns += 1_000_000
            kernel.turn(now_ns, now_ns - START_NS + 1)
        assert kernel.stream_state(stream).messages == 3 * (life + 1)
        kernel.take_offline(stream, "as the test asks")
        kernel.stop()
    assert len(list((tmp_path / "offline").iterdir())) > lives // 2


def test_forgotten_memory_consumer_stays_forgotten() -> None:
    """Where the stream goes by interest later on, what it wanted would be kept."""
    disk, clock = SimDisk(1), SimulatedClock()
    node = SimulatedNode(disk, clock)
    stream = create(node, b"S")
    spec = consumer_spec(memory=True)
    node.commit(lambda token: node.kernel.propose_consumer_create(token, stream, b"C", b"C", spec))
    finish_round(node)
    disk = disk.image(Loss.none)
    node = SimulatedNode(disk, clock, has_twin=True)
    publish(node, b"S")
    by_interest = stream_spec(subjects=[b"S.>"], retention=1)
    node.commit(lambda token: node.kernel.propose_stream_update(token, stream, b"S", by_interest))
    expected = node.kernel.canonical_states()
    assert node.kernel.stream_state(stream).messages == 0
    found = SimulatedNode(disk.image(Loss.all), clock)
    assert found.kernel.canonical_states() == expected
    assert found.kernel.consumers(stream) == []
