"""A start on a full disk keeps what is reserved for checkpoints, and uses it.

Goal: where a start finds no room to make a reserved file larger, or to make the one that an earlier
version did not have, the files that are there stay, and a later round that finds no room gets the
room of the large one: a purge then frees room as it does on a store that was not started again.
Method: the disk of a store with many groups is cut to what is used, a node starts from it, the
large stream is purged, and rounds are counted.
"""

from __future__ import annotations

import pytest

from slipstream.kernel._kernel import OPEN_READ, Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    stream_spec,
)
from test_failing_disk import disk_bytes

SIZES = StoreSizes(1 << 20, 8 << 20, 64 << 10)
ROUND_NS = 1_100_000_000
GROUPS = 100
RESERVE_BYTES = SIZES.journal_bytes_max // 8


def create(node: SimulatedNode, name: bytes) -> int:
    spec = stream_spec(subjects=[name + b".>"])
    return node.commit(
        lambda token: node.kernel.propose_stream_create(token, node.account, name, name, spec)
    )


def rounds(node: SimulatedNode, count: int) -> None:
    for _ in range(count):
        node.clock.advance(ROUND_NS)
        for _ in range(60):
            node.turn()


def publish_to_all(node: SimulatedNode) -> None:
    for number in range(GROUPS):
        node.publish(b"S%d.a" % number, b"y" * 4000)
        node.turn()


def used_store() -> tuple[SimulatedNode, int]:
    """Its directory of checkpoints has grown since it reserved room."""
    node = SimulatedNode(SimDisk(1), SimulatedClock(), sizes=SIZES)
    large = create(node, b"LARGE")
    for _ in range(60):
        node.publish(b"LARGE.a", b"x" * 16000)
        node.turn()
    for number in range(GROUPS):
        create(node, b"S%d" % number)
    publish_to_all(node)
    node.kernel.checkpoint()
    rounds(node, 3)
    publish_to_all(node)
    return node, large


def reserved(disk: SimDisk) -> dict[str, int]:
    sizes = {}
    for name in disk.list("checkpoints"):
        if name.startswith("reserve"):
            handle = disk.open("checkpoints/" + name, OPEN_READ)
            sizes[name] = disk.size(handle)
            disk.close(handle)
    return sizes


@pytest.mark.parametrize("of_an_earlier_version", [False, True])
def test_a_purge_after_a_start_on_a_full_disk_makes_room(of_an_earlier_version: bool) -> None:
    node, large = used_store()
    image = node.disk.image(Loss.none)
    if of_an_earlier_version:
        image.unlink("checkpoints/reserve.last")
    before = reserved(image)
    assert before["reserve"] == RESERVE_BYTES
    image.set_capacity(sum(disk_bytes(image)))
    found = SimulatedNode(image, node.clock, sizes=SIZES)
    assert reserved(image) == before
    publish_to_all(found)
    done = found.kernel.store_stats().checkpoints
    found.commit(lambda token: found.kernel.propose_purge(token, large, b"", 0, 0))
    rounds(found, 15)
    stats = found.kernel.store_stats()
    assert stats.checkpoints > done
    assert not stats.no_room
    assert not found.failed
    assert reserved(image)["reserve"] == RESERVE_BYTES
    assert reserved(image)["reserve.last"] >= RESERVE_BYTES // 8
    found.kernel.check()
