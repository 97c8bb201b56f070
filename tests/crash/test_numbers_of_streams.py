"""A stream's number is never given to another one while it is there.

Goal: with a sync interval, a power failure may take the creation of a stream from the journal
though a checkpoint round that only freed room on a full disk has named the stream. The stream is
found as that round has it, the next one gets a number of its own, and both are there after one more
start. Method: a stream is created and purged between two rounds on a full simulated disk, and the
power goes behind the second one.
"""

from __future__ import annotations

import errno

import pytest

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    stream_spec,
)
from test_failing_disk import disk_bytes

SIZES = StoreSizes(1 << 20, 8 << 20, 64 << 10)
NEVER_NS = 3_600_000_000_000
TURNS_MAX = 400


def opened(disk: SimDisk, clock: SimulatedClock) -> SimulatedNode:
    return SimulatedNode(disk, clock, sync_interval_ns=NEVER_NS, sizes=SIZES)


def create(node: SimulatedNode, name: bytes) -> int:
    spec = stream_spec(subjects=[name + b".>"])
    return node.commit(
        lambda token: node.kernel.propose_stream_create(token, node.account, name, name, spec)
    )


def publish(node: SimulatedNode, subject: bytes, count: int, size: int) -> None:
    for _ in range(count):
        node.publish(subject, b"x" * size)
        node.turn()


def checkpoint(node: SimulatedNode) -> None:
    done = node.kernel.store_stats().checkpoints
    node.kernel.checkpoint()
    for _ in range(TURNS_MAX):
        node.turn()
        if node.kernel.store_stats().checkpoints > done:
            return
    pytest.fail("no checkpoint")


def named_by_a_freeing_round() -> tuple[SimulatedNode, int, int]:
    disk = SimDisk(1)
    node = opened(disk, SimulatedClock())
    old = create(node, b"OLD")
    publish(node, b"OLD.a", 6, 2000)
    checkpoint(node)
    new = create(node, b"NEW")
    publish(node, b"NEW.a", 45, 16000)
    publish(node, b"OLD.a", 4, 8000)
    disk.set_capacity(sum(disk_bytes(disk)))
    disk.inject(errno.ENOSPC, 0, 1, "checkpoints/")  # the next round finds no room
    node.kernel.checkpoint()
    for _ in range(TURNS_MAX):
        node.turn()
        if "reserve" not in disk.list("checkpoints"):
            break
    node.commit(lambda token: node.kernel.propose_purge(token, new, b"", 0, 0))
    checkpoint(node)
    return node, old, new


@pytest.mark.parametrize("loss", list(Loss))
def test_the_next_stream_gets_a_number_of_its_own(loss: Loss) -> None:
    node, old, new = named_by_a_freeing_round()
    image = node.disk.image(loss, 3)
    image.set_capacity(1 << 40)
    found = opened(image, node.clock)
    assert {r.stream for r in found.recovered} == {old, new}
    later = create(found, b"LATER")
    assert later not in (old, new)
    publish(found, b"LATER.a", 3, 100)
    checkpoint(found)
    assert found.kernel.stream_state(later).messages == 3
    again = opened(found.disk.image(Loss.all, 3), node.clock)
    assert {r.stream for r in again.recovered} == {old, new, later}
    assert not again.offline
    assert again.kernel.stream_state(later).messages == 3
    again.kernel.check()
