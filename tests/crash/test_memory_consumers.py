"""Goal: nobody waits for a sync of a consumer that does not outlive the server; where its progress
decides what a stream keeps, it does outlive it.

Method: syncs are counted while consumers are created, changed and deleted on a simulated node,
which then loses power.
"""

from __future__ import annotations

from typing import Any, TypeVar

import pytest

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

LIMITS, INTEREST = 0, 1
NONE, ALL, EXPLICIT = 0, 1, 2
POLICIES: dict[str, dict[str, Any]] = {
    "all": {"deliver_policy": 0},
    "from 2": {"deliver_policy": 3, "opt_start_seq": 2},
    "next": {"deliver_policy": 2},
    "last per subject": {"deliver_policy": 5},
}
T = TypeVar("T")


class World:
    def __init__(self, retention: int, **settings: Any) -> None:
        self.disk, self.clock = SimDisk(1), SimulatedClock()
        self.node = SimulatedNode(self.disk, self.clock, has_twin=True)
        spec = stream_spec(subjects=[b"s.>"], retention=retention, **settings)
        self.stream = self.node.commit(
            lambda token: self.node.kernel.propose_stream_create(
                token, self.node.account, b"S", b"S", spec
            )
        )

    def syncs(self) -> int:
        return self.node.kernel.store_stats().syncs

    def create(self, name: bytes, memory: bool) -> int:
        spec = consumer_spec(memory=memory, filters=[b"s.>"])
        return self.node.commit(
            lambda token: self.node.kernel.propose_consumer_create(
                token, self.stream, name, name, spec
            )
        )

    def update(self, consumer: int, memory: bool) -> None:
        spec = consumer_spec(memory=memory, filters=[b"s.1"])
        self.node.commit(
            lambda token: self.node.kernel.propose_consumer_update(
                token, self.stream, consumer, b"changed", spec
            )
        )

    def delete(self, consumer: int) -> None:
        self.node.commit(
            lambda token: self.node.kernel.propose_consumer_delete(token, self.stream, consumer)
        )

    def recovered(self) -> set[bytes]:
        node = SimulatedNode(self.disk.image(Loss.all, 1), self.clock)
        return set(node.consumer_ids(self.stream))


@pytest.mark.parametrize(
    ("retention", "memory", "waits"),
    [(LIMITS, True, False), (LIMITS, False, True), (INTEREST, True, True)],
)
def test_who_waits_for_a_sync(retention: int, memory: bool, waits: bool) -> None:
    world = World(retention)
    before = world.syncs()
    consumer = world.create(b"one", memory)
    assert (world.syncs() > before) == waits
    before = world.syncs()
    world.update(consumer, memory)
    assert (world.syncs() > before) == waits
    before = world.syncs()
    world.delete(consumer)
    assert (world.syncs() > before) == waits


@pytest.mark.parametrize("synced", [False, True])
def test_a_consumer_in_memory_is_gone_after_a_crash_and_its_neighbours_are_not(
    synced: bool,
) -> None:
    world = World(LIMITS)
    world.create(b"kept", False)
    world.create(b"lost", True)
    if synced:
        world.create(b"also kept", False)  # behind it in the same journal
    assert world.recovered() == {b"kept"} | ({b"also kept"} if synced else set())


def test_a_consumer_in_memory_stays_where_its_progress_decides_what_is_kept() -> None:
    world = World(INTEREST)
    world.create(b"memory", True)
    assert world.recovered() == {b"memory"}


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_stream_that_begins_to_go_by_interest_keeps_what_such_a_consumer_wants(
    checkpoint: bool,
) -> None:
    world = World(LIMITS)
    world.create(b"one", memory=True)
    for turns in (3, 5):
        world.node.publish(b"s.1", b"text")
        for _ in range(turns):
            world.node.turn()
    if checkpoint:
        world.node.kernel.checkpoint()
        while not world.node.kernel.store_stats().checkpoints:
            world.node.turn()
    spec = stream_spec(subjects=[b"s.>"], retention=INTEREST)
    world.node.commit(
        lambda token: world.node.kernel.propose_stream_update(token, world.stream, b"S", spec)
    )
    world.node.publish(b"s.1", b"text")
    for _ in range(5):
        world.node.turn()
    found = SimulatedNode(world.disk.image(Loss.all, 1), world.clock)
    assert found.kernel.stream_state(world.stream).messages == 3
    assert set(found.consumer_ids(world.stream)) == {b"one"}
    found.kernel.check()


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("ack_policy", [NONE, ALL, EXPLICIT])
@pytest.mark.parametrize("policy", list(POLICIES))
def test_its_progress_counts_from_the_entry_on_that_makes_it_count(
    policy: str, ack_policy: int, checkpoint: bool
) -> None:
    """No log has what such a consumer did before: the leader, its twin and a replay go on from the
    same state, and what they keep is the same, so that a replay refuses nothing acknowledged.
    """
    world = World(LIMITS, max_msgs=4, discard_new=True)
    node, kernel = world.node, world.node.kernel

    def turn(count: int) -> None:
        for _ in range(count):
            node.turn()

    def fetch() -> list[int]:
        node.deliveries.clear()
        node.pull("S", "one", 9)
        turn(4)
        return [delivery.stream_seq for delivery in node.deliveries]

    def acknowledge(count: int) -> None:
        if ack_policy != NONE:
            for delivery in node.deliveries[:count]:
                node.acknowledge(delivery.ack_subject, confirm=True)
        turn(4)

    def publish(number: int) -> bool:
        asked = node.publish(b"s.%d" % (number % 2), b"text")
        turn(4)
        return b"error" not in node.replies.pop(asked)[0].body

    assert publish(1)
    spec = consumer_spec(memory=True, durable=False, ack_policy=ack_policy, **POLICIES[policy])
    consumer = node.commit(
        lambda token: kernel.propose_consumer_create(token, world.stream, b"one", b"one", spec)
    )
    kernel.start_consumer(world.stream, consumer)
    assert [publish(number) for number in (2, 3, 4)] == [True] * 3
    assert fetch()
    acknowledge(2)
    if checkpoint:
        kernel.checkpoint()
        while not kernel.store_stats().checkpoints:
            node.turn()
    node.acknowledge(node.deliveries[-1].ack_subject, confirm=False)  # in the log before the update
    update = stream_spec(subjects=[b"s.>"], retention=INTEREST, max_msgs=4, discard_new=True)
    node.commit(lambda token: kernel.propose_stream_update(token, world.stream, b"S", update))
    turn(4)
    kept = fetch()
    assert kept == [2, 3, 4] if policy == "from 2" else kept == [1, 2, 3, 4][-len(kept) :]
    assert len(kept) == kernel.stream_state(world.stream).messages or ack_policy == NONE
    acknowledge(2)
    assert publish(1)
    turn(4)
    found = SimulatedNode(world.disk.image(Loss.none), world.clock)
    assert found.kernel.stream_state(world.stream) == kernel.stream_state(world.stream)
    assert not found.offline
    found.kernel.check()
    kernel.check()
