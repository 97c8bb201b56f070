"""Entries whose effect takes several turns: purges, lowered limits, consumers that go.

Goal: what such an entry does is the same as if it were done at once, other streams go on meanwhile,
and a checkpoint or a crash in the middle changes nothing. Method: a simulated node does a little in
each turn, its twin does each entry at once; random streams with consumers get such entries, with
checkpoints and messages for another stream in between, and the states must be the same. From
an image of the disk in the middle of an entry another node must come to the same state.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    consumer_spec,
    stream_spec,
)

MESSAGES, SUBJECTS = 400, 7
ACK_ALL = 1
LIMITS, INTEREST = 0, 1
FILTERS: list[list[bytes]] = [[], [b"s.1"], [b"s.1", b"s.2"], [b"s.*"]]
SIZES = StoreSizes(journal_file_bytes=64 << 10, journal_bytes_max=1 << 20)


class World:
    def __init__(self, seed: int, retention: int) -> None:
        self.draw = random.Random(seed)
        self.node = SimulatedNode(SimDisk(seed), SimulatedClock(), sizes=SIZES, has_twin=True)
        self.settings: dict[str, Any] = {
            "subjects": [b"s.>"],
            "retention": retention,
            "allow_rollup": True,
        }
        self.stream = self.create(b"S", **self.settings)
        self.other = self.create(b"O", subjects=[b"o.>"])
        self.consumers = [self.consume(number) for number in range(4)]
        for _ in range(MESSAGES):
            self.node.publish(b"s.%d" % self.draw.randrange(SUBJECTS), b"x" * 30)
        self.settle()
        for number in range(4):
            self.node.pull("S", f"c{number}", self.draw.randrange(150))
        self.settle()
        self.draw.shuffle(self.node.deliveries)
        for delivery in self.node.deliveries[: self.draw.randrange(100)]:
            if delivery.consumer != "c1":
                self.node.acknowledge(delivery.ack_subject, confirm=False)
        self.settle()

    def create(self, name: bytes, **settings: Any) -> int:
        kernel, account, spec = self.node.kernel, self.node.account, stream_spec(**settings)
        return self.node.commit(
            lambda t: kernel.propose_stream_create(t, account, name, name, spec)
        )

    def consume(self, number: int) -> int:
        kernel, name = self.node.kernel, b"c%d" % number
        spec = consumer_spec(
            filters=FILTERS[number],
            ack_policy=ACK_ALL if number == 1 else 2,
            max_ack_pending=-1,
        )
        consumer = self.node.commit(
            lambda t: kernel.propose_consumer_create(t, self.stream, name, name, spec)
        )
        kernel.start_consumer(self.stream, consumer)
        return consumer

    def settle(self) -> None:
        for _ in range(30):
            self.node.turn()

    # -- entries that remove much; each proposes one with this token

    def purge_everything(self, token: int) -> None:
        self.node.kernel.propose_purge(token, self.stream, b"", 0, self.draw.choice([0, 7, 200]))

    def purge_below(self, token: int) -> None:
        self.node.kernel.propose_purge(token, self.stream, b"", self.draw.randrange(2, 450), 0)

    def purge_subjects(self, token: int) -> None:
        seq, keep = self.draw.choice([(0, 0), (300, 0), (0, 1), (0, 50), (0, 390)])
        filter_ = self.draw.choice([b"s.*", b"s.1", b"s.>"])
        self.node.kernel.propose_purge(token, self.stream, filter_, seq, keep)

    def lower_limits(self, token: int) -> None:
        limit, value = self.draw.choice(
            [("max_msgs", 20), ("max_bytes", 900), ("max_msgs_per_subject", 2)]
        )
        self.update(token, **{limit: value})

    def go_by_interest(self, token: int) -> None:
        self.update(token, retention=INTEREST)

    def update(self, token: int, **changes: Any) -> None:
        self.settings.update(changes)
        spec = stream_spec(**self.settings)
        self.node.kernel.propose_stream_update(token, self.stream, b"S", spec)

    def delete_consumer(self, token: int) -> None:
        consumer = self.consumers.pop(self.draw.randrange(len(self.consumers)))
        self.node.kernel.propose_consumer_delete(token, self.stream, consumer)

    def narrow_consumer(self, token: int) -> None:
        spec = consumer_spec(filters=[b"s.3"], max_ack_pending=-1)
        name = b"c0"
        self.node.kernel.propose_consumer_update(token, self.stream, self.consumers[0], name, spec)

    def reset_consumer(self, token: int) -> None:
        consumer = self.draw.choice(self.consumers)
        self.node.kernel.propose_consumer_reset(token, self.stream, consumer, 350)

    ENTRIES: tuple[Callable[[World, int], None], ...] = (
        purge_everything,
        purge_below,
        purge_subjects,
        lower_limits,
        go_by_interest,
        delete_consumer,
        narrow_consumer,
        reset_consumer,
    )

    def apply(self, entry: Callable[[World, int], None]) -> int:
        """How many turns it took; messages of the other stream are answered meanwhile."""
        token, answered = self.node.next_number(), 0
        entry(self, token)
        asked = [self.node.publish(b"o.1", b"beside")]
        turns = 0
        while token not in self.node.committed:
            self.node.turn()
            turns += 1
            self.node.kernel.check()
            if asked[-1] in self.node.replies:
                answered += 1
                asked.append(self.node.publish(b"o.1", b"beside"))
            if self.draw.random() < 0.2:
                self.node.kernel.checkpoint()
            assert turns < 2000
        assert turns < 6 or answered > turns // 4, "another stream waited"
        return turns

    def compare(self) -> None:
        self.settle()
        self.node.kernel.check()
        assert self.node.twin is not None
        assert self.node.twin.compare() == 2


@pytest.mark.parametrize("retention", [LIMITS, INTEREST])
@pytest.mark.parametrize("seed", range(10))
def test_result_is_as_if_done_at_once(seed: int, retention: int) -> None:
    world = World(seed, retention)
    turns = []
    for _ in range(4):
        turns.append(world.apply(world.draw.choice(World.ENTRIES)))
        world.compare()
        for _ in range(100):
            world.node.publish(b"s.%d" % world.draw.randrange(SUBJECTS), b"y")
        world.settle()
    world.compare()


def test_purge_takes_several_turns() -> None:
    world = World(1, LIMITS)
    assert world.apply(lambda w, t: w.node.kernel.propose_purge(t, w.stream, b"s.*", 0, 5)) > 6
    world.compare()


@pytest.mark.parametrize("kind", [b"sub", b"all"])
def test_roll_up_of_many_is_answered_behind_it(kind: bytes) -> None:
    world = World(2, LIMITS)
    for _ in range(700):
        world.node.publish(b"s.1", b"z")
    world.settle()
    header = b"NATS/1.0\r\nNats-Rollup: %s\r\n\r\n" % kind
    asked = world.node.publish(b"s.1", b"only", header)
    behind = world.node.publish(b"s.1", b"behind")
    turns = 0
    while asked not in world.node.replies:
        assert behind not in world.node.replies
        world.node.turn()
        turns += 1
    assert turns > 4
    state = world.node.kernel.stream_state(world.stream)
    if kind == b"all":
        assert state.messages <= 2, "the answer says that it has happened"
    world.compare()
    assert behind in world.node.replies


def test_acknowledgement_of_many() -> None:
    world = World(3, INTEREST)
    world.node.pull("S", "c1", 400)
    world.settle()
    last = [d for d in world.node.deliveries if d.consumer == "c1"][-1]
    world.node.acknowledge(last.ack_subject, confirm=True)
    world.compare()


@pytest.mark.parametrize("seed", range(6))
def test_crash_in_the_middle(seed: int) -> None:
    world = World(seed, seed % 2)
    token = world.node.next_number()
    World.ENTRIES[seed % len(World.ENTRIES)](world, token)
    images = []
    while token not in world.node.committed:
        world.node.turn()
        if world.node.kernel.store_stats().syncs:
            images.append(world.node.disk.image(Loss.none, seed))
    world.settle()
    expected = world.node.kernel.canonical_states()
    for image in images[2 :: max(1, len(images) // 5)]:
        found = SimulatedNode(image, world.node.clock, sizes=SIZES)
        assert found.kernel.canonical_states() == expected
