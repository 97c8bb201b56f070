"""A server stops leading a stream, and leads it again.

Goal: what only the leader knew ends with its reign: the stream is then what a start would find, who
waited is told or gets no answer, nothing is sent or proposed, and the next reign serves from that
state, so that what was not acknowledged comes again. Method: a node on the simulated disk; its
states are compared with those of a node that opens a copy of its disk. Random orders of all this
are in test_log_prefixes.py.
"""

from __future__ import annotations

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    Delivery,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

SECOND_NS = 1_000_000_000
ACK_WAIT_NS = 5 * SECOND_NS


class World:
    """One stream with one pull consumer and so many messages."""

    def __init__(self, messages: int, **consumer: object) -> None:
        self.node = SimulatedNode(SimDisk(1), SimulatedClock(), has_twin=True)
        kernel, account, spec = self.node.kernel, self.node.account, stream_spec(subjects=[b"A.>"])
        self.stream = self.node.commit(
            lambda t: kernel.propose_stream_create(t, account, b"A", b"A", spec)
        )
        fields = consumer_spec(ack_wait_ns=ACK_WAIT_NS, **consumer)
        self.consumer = self.node.commit(
            lambda t: kernel.propose_consumer_create(t, self.stream, b"C", b"C", fields)
        )
        kernel.start_consumer(self.stream, self.consumer)
        for i in range(messages):
            self.node.publish(b"A.%d" % i, b"x")
        self.turns()

    def turns(self, count: int = 4) -> None:
        for _ in range(count):
            self.node.turn()

    def resign(self) -> None:
        assert self.node.kernel.set_leader(self.stream, False)
        self.turns()

    def lead(self) -> None:
        assert self.node.kernel.set_leader(self.stream, True)
        self.turns()

    def pulled(self, batch: int) -> list[Delivery]:
        self.node.deliveries.clear()
        self.node.pull("A", "C", batch)
        self.turns()
        return list(self.node.deliveries)

    def found_by_a_start(self) -> dict[int, str]:
        image = self.node.disk.image(Loss.none)
        return SimulatedNode(image, self.node.clock).kernel.canonical_states()


def statuses(node: SimulatedNode, number: int) -> list[bytes]:
    return [event.header.split(b"\r\n")[0] for event in node.replies.get(number, [])]


def test_it_is_what_a_start_finds_and_serves_from_there() -> None:
    world = World(6)
    first = world.pulled(4)
    assert [d.stream_seq for d in first] == [1, 2, 3, 4]
    world.node.acknowledge(first[1].ack_subject, confirm=True)
    world.node.acknowledge(first[2].ack_subject, b"-NAK", confirm=False)
    world.turns()
    world.resign()
    assert world.node.kernel.canonical_states() == world.found_by_a_start()
    world.lead()
    world.node.kernel.check()
    assert [d.stream_seq for d in world.pulled(9)] == [5, 6]  # the NAK was the leader's alone
    world.node.clock.advance(ACK_WAIT_NS)
    world.turns()
    again = world.pulled(9)
    assert [(d.stream_seq, d.deliveries) for d in again] == [(1, 2), (3, 2), (4, 2), (5, 2), (6, 2)]


def test_waiting_pulls_are_told_and_nothing_is_taken_in() -> None:
    world = World(0)
    waiting = world.node.pull_waiting("A", "C", 1, 60 * SECOND_NS)
    world.turns()
    world.resign()
    assert statuses(world.node, waiting) == [b"NATS/1.0 409 Leadership Change"]
    number = world.node.publish(b"A.1", b"while nobody leads")
    pull = world.node.pull("A", "C", 1)
    world.turns()
    assert number not in world.node.replies
    assert pull not in world.node.replies
    assert world.node.kernel.stream_state(world.stream).last_seq == 0
    world.lead()
    number = world.node.publish(b"A.1", b"again")
    world.turns()
    assert b'"seq":1' in world.node.replies[number][0].body
    assert [d.stream_seq for d in world.pulled(1)] == [1]


def test_what_was_proposed_is_applied_without_an_answer() -> None:
    world = World(0)
    world.node.publish(b"A.1", b"x")
    world.node.kernel.turn(world.node.clock.now_ns, world.node.clock.monotonic_ns)
    token = world.node.next_number()
    world.node.kernel.propose_purge(token, world.stream, b"", 0, 0)
    world.resign()
    assert token not in world.node.committed
    assert world.node.kernel.canonical_states() == world.found_by_a_start()
    state = world.node.kernel.stream_state(world.stream)
    assert (state.messages, state.last_seq) == (0, 1)
    world.lead()
    assert world.pulled(1) == []


def test_a_consumer_in_memory_ends_with_the_reign() -> None:
    world = World(3, memory=True)
    assert len(world.pulled(2)) == 2
    world.resign()
    assert world.node.kernel.consumers(world.stream) == []
    assert world.node.kernel.canonical_states() == world.found_by_a_start()
    world.lead()
    world.node.kernel.check()
    number = world.node.publish(b"A.1", b"x")
    world.turns()
    assert b'"seq":4' in world.node.replies[number][0].body


def test_timers_and_acknowledgements_wait_for_the_next_reign() -> None:
    world = World(2)
    delivery = world.pulled(2)[0]
    world.resign()
    before = world.node.kernel.canonical_states()
    world.node.acknowledge(delivery.ack_subject, confirm=False)
    world.node.clock.advance(2 * ACK_WAIT_NS)
    world.turns()
    assert world.node.kernel.canonical_states() == before
    world.lead()
    world.node.acknowledge(delivery.ack_subject, confirm=False)
    world.turns()
    assert [(d.stream_seq, d.deliveries) for d in world.pulled(9)] == [(2, 2)]
