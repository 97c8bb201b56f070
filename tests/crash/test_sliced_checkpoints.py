"""Goal: a checkpoint that is written over many turns is the stream as it was when that began.

Method: a simulated node with more consumers and message ids than a turn writes; in every turn of a
checkpoint, and after it, random things happen to both (deliveries, acknowledgements, messages
removed, consumers that come, change and go, ids that leave the window). Then the node loses power,
keeping all that was written: what recovery makes of the checkpoint and the entries behind it is
what there was before. A consumer or id written too late would have seen an entry twice, one written
not at all would be missing.
"""

from __future__ import annotations

import random

import pytest

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.kernel.values import ConsumerState, StreamState
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

CONSUMERS, IDS = 30, 60
MANY_MESSAGES = 3000
WINDOW_NS = 5_000_000_000
RETENTIONS = {"limits": 0, "interest": 1}


class World:
    """One stream; consumers are named by their number."""

    def __init__(self, seed: int, retention: int) -> None:
        self.random = random.Random(seed)
        self.disk, self.clock = SimDisk(seed), SimulatedClock()
        self.node = SimulatedNode(self.disk, self.clock, has_twin=True)
        self.ids = self.created = 0
        spec = stream_spec(
            subjects=[b"s.>"], duplicate_window_ns=WINDOW_NS, retention=retention, max_msgs=100
        )
        self.stream = self.node.commit(
            lambda token: self.node.kernel.propose_stream_create(
                token, self.node.account, b"S", b"S", spec
            )
        )
        self.consumers: dict[int, int] = {}
        for _ in range(CONSUMERS):
            self.create()
        for _ in range(IDS):
            self.publish()
        self.turn(4)

    def turn(self, count: int = 1) -> None:
        for _ in range(count):
            self.node.turn()

    def publish(self, number: int | None = None) -> int:
        if number is None:
            number, self.ids = self.ids, self.ids + 1
        header = b"NATS/1.0\r\nNats-Msg-Id: id-%d\r\n\r\n" % number
        return self.node.publish(b"s.%d" % (number % 5), b"x", header)

    def create(self) -> None:
        self.created += 1
        number = self.created
        spec = consumer_spec(filters=[b"s.%d" % (number % 5)] if number % 2 else [b"s.>"])
        consumer = self.node.commit(
            lambda token: self.node.kernel.propose_consumer_create(
                token, self.stream, b"c%d" % number, b"c%d" % number, spec
            )
        )
        self.node.kernel.start_consumer(self.stream, consumer)
        self.consumers[number] = consumer

    def update(self) -> None:
        number = self.random.choice(list(self.consumers))
        changed = consumer_spec(max_ack_pending=self.random.randrange(1, 99), filters=[b"s.>"])
        self.node.kernel.propose_consumer_update(
            0,
            self.stream,
            self.consumers[number],
            b"c%d" % number,
            changed,
        )

    def delete(self) -> None:
        number = self.random.choice(list(self.consumers))
        consumer = self.consumers.pop(number)
        self.node.kernel.propose_consumer_delete(self.node.next_number(), self.stream, consumer)

    def pull(self) -> None:
        number = self.random.choice(list(self.consumers))
        self.node.pull("S", f"c{number}", self.random.randrange(1, 6))

    def acknowledge(self) -> None:
        self.random.shuffle(self.node.deliveries)
        for delivery in self.node.deliveries[:4]:
            self.node.acknowledge(delivery.ack_subject, confirm=False)
        del self.node.deliveries[:4]

    def remove(self) -> None:
        state = self.node.kernel.stream_state(self.stream)
        if state.messages:
            seq = self.random.randrange(state.first_seq, state.last_seq + 1)
            token = self.node.next_number()
            self.node.kernel.propose_delete(token, self.stream, seq, False)

    def pass_time(self) -> None:
        self.clock.advance(WINDOW_NS // 4)

    def something(self) -> None:
        for act in self.random.choices(
            [
                self.publish,
                self.pull,
                self.acknowledge,
                self.remove,
                self.update,
                self.delete,
                self.create,
                self.pass_time,
            ],
            weights=[8, 8, 8, 2, 1, 1, 1, 1],
            k=3,
        ):
            act()
        self.turn()

    def stream_state(self) -> StreamState:
        return self.node.kernel.stream_state(self.stream)

    def state(self) -> dict[bytes, ConsumerState]:
        """What recovery must give back; who waits for messages is gone with the node."""
        kernel, stream = self.node.kernel, self.stream
        return {
            name: kernel.consumer_state(stream, consumer)._replace(num_waiting=0)
            for name, consumer in self.node.consumer_ids(stream).items()
        }

    def recovered(self) -> SimulatedNode:
        node = SimulatedNode(self.disk.image(Loss.none, 1), self.clock)
        assert [record.stream for record in node.recovered] == [self.stream]
        return node

    def duplicates(self) -> list[bool]:
        """Of each id, whether it is taken for one that is known."""
        numbers = [self.publish(number) for number in range(self.ids)]
        self.turn(4)
        return [b'"duplicate"' in self.node.replies[number][0].body for number in numbers]


@pytest.mark.parametrize("retention", RETENTIONS)
@pytest.mark.parametrize("seed", range(12))
def test_what_happens_beside_a_checkpoint_is_not_in_it_and_not_lost(
    seed: int, retention: str
) -> None:
    world = World(seed, RETENTIONS[retention])
    for _ in range(world.random.randrange(10)):
        world.something()
    done = world.node.kernel.store_stats().checkpoints
    world.node.kernel.checkpoint()
    turns = 0
    while world.node.kernel.store_stats().checkpoints == done:
        world.something()
        turns += 1
    assert turns > 5, "the checkpoint was written in one piece"
    for _ in range(world.random.randrange(10)):
        world.something()
    world.turn(6)
    live, stream_state, consumers = world.node, world.stream_state(), world.state()
    world.node = world.recovered()
    assert world.stream_state() == stream_state
    assert world.state() == consumers
    duplicates = world.duplicates()
    assert any(duplicates)
    world.node = live
    assert world.duplicates() == duplicates


MANY = 70  # more than are synced one by one


def test_many_streams_are_synced_at_once_and_whole() -> None:
    """Power is lost right behind the round, with all that was not synced by then."""
    disk, clock = SimDisk(1), SimulatedClock()
    node = SimulatedNode(disk, clock)
    tokens = []
    for number in range(MANY):
        token = node.next_number()
        spec = stream_spec(subjects=[b"s.%d" % number])
        name = b"S%d" % number
        node.kernel.propose_stream_create(token, node.account, name, name, spec)
        tokens.append(token)
    while not all(token in node.committed for token in tokens):
        node.turn()
    for number in range(MANY):
        node.publish(b"s.%d" % number, b"x%d" % number)
    for _ in range(4):
        node.turn()
    before = disk.operations
    node.kernel.checkpoint()
    while not node.kernel.store_stats().checkpoints:
        node.turn()
    assert disk.operations - before < 6 * MANY, "each file and folder was synced by itself"
    found = SimulatedNode(disk.image(Loss.all, 1), clock)
    states = [found.kernel.stream_state(record.stream) for record in found.recovered]
    assert [state.messages for state in states] == [1] * MANY


def test_a_checkpoint_does_not_wait_for_streams_in_memory() -> None:
    """They are in no checkpoint, and may be busy in every turn."""
    node = SimulatedNode(SimDisk(1), SimulatedClock())

    def create(name: bytes, memory: bool) -> int:
        spec = stream_spec(subjects=[name + b".>"], memory=memory)
        return node.commit(
            lambda token: node.kernel.propose_stream_create(token, node.account, name, name, spec)
        )

    streams = {b"F": create(b"F", False), b"M": create(b"M", True)}
    for number in range(MANY_MESSAGES):
        node.publish(b"M.%d" % (number % 3), b"x")
        node.publish(b"F.1", b"x")
        if number % 50 == 0:
            node.turn()
    for _ in range(4):
        node.turn()
    node.kernel.propose_purge(node.next_number(), streams[b"M"], b"M.1", 0, 0)
    done = node.kernel.store_stats().checkpoints
    node.kernel.checkpoint()
    while node.kernel.store_stats().checkpoints == done:
        node.turn()
    busy_with = node.kernel.stream_state(streams[b"M"])
    assert busy_with.messages > MANY_MESSAGES - MANY_MESSAGES // 3, "the purge was over before"
    found = SimulatedNode(node.disk.image(Loss.all), node.clock)
    assert found.kernel.stream_state(streams[b"F"]).messages == MANY_MESSAGES
