"""Goal: a stream with interest or work-queue retention holds exactly what somebody still needs,
whatever happens to its consumers, also after the power went.

Method: a hypothesis state machine drives one simulated node with one stream and up to four
consumers; `Oracle` beside it is the rule written down. After every step both must hold the same
messages, and the kernel's own invariants must hold. Here the power goes between steps. A script
beside it is cut off at every disk operation: what was confirmed as acknowledged is gone for ever,
what nobody acknowledged is there.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    Delivery,
    PowerLoss,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

NONE, ALL, EXPLICIT = 0, 1, 2
INTEREST, WORK_QUEUE = 1, 2
SUBJECTS = ("s.a", "s.b", "s.c", "s.d.e")
FILTERS = ((), ("s.a",), ("s.b", "s.c"), ("s.*",), ("s.d.>", "s.a"))
DISJOINT = {"w": ("s.a",), "x": ("s.b", "s.c"), "y": ("s.d.>",)}
STREAM = "S"
WAIT_NS = 3_600_000_000_000
TURNS = 3  # appended, synced, applied, delivered


@dataclass
class Wants:
    """A consumer; `seen` is the last sequence that was delivered, or lies before its start."""

    filters: tuple[str, ...]
    ack_policy: int
    seen: int
    floor: int  # all up to here were acknowledged at once
    floor_consumer_seq: int = 0
    pending: dict[int, Delivery] = field(default_factory=dict)

    def needs(self, seq: int) -> bool:
        if self.ack_policy == ALL:
            return seq > self.floor
        return seq > self.seen or seq in self.pending

    def lets_through(self, subject: str) -> bool:
        return not self.filters or any(_matches(f, subject) for f in self.filters)


def _matches(pattern: str, subject: str) -> bool:
    if pattern.endswith(">"):
        return subject.startswith(pattern[:-1])
    mine, other = pattern.split("."), subject.split(".")
    return len(mine) == len(other) and all(p in ("*", o) for p, o in zip(mine, other, strict=True))


@dataclass
class Oracle:
    """The rule. Messages go when somebody who wanted them is done and nobody else needs them."""

    interest: bool
    messages: dict[int, str] = field(default_factory=dict)
    last_seq: int = 0
    consumers: dict[str, Wants] = field(default_factory=dict)

    def needed(self, seq: int) -> bool:
        subject = self.messages[seq]
        return any(c.lets_through(subject) and c.needs(seq) for c in self.consumers.values())

    def undelivered(self, consumer: Wants) -> list[int]:
        return [
            seq
            for seq, subject in self.messages.items()
            if seq > consumer.seen and consumer.lets_through(subject)
        ]

    def publish(self, subject: str) -> None:
        self.last_seq += 1
        wanted = any(c.lets_through(subject) for c in self.consumers.values())
        if wanted or not self.interest:
            self.messages[self.last_seq] = subject

    def settle(self, seqs: list[int]) -> None:
        for seq in seqs:
            if seq in self.messages and not self.needed(seq):
                self.remove(seq)

    def remove(self, seq: int) -> None:
        del self.messages[seq]
        for consumer in self.consumers.values():
            consumer.pending.pop(seq, None)

    def settle_all(self) -> None:
        if self.interest:
            self.settle(list(self.messages))


class Retention(RuleBasedStateMachine):
    retention = INTEREST

    @initialize(seed=st.integers(0, 2**32), memory=st.booleans())
    def start(self, seed: int, memory: bool) -> None:
        self.disk, self.clock = SimDisk(seed), SimulatedClock()
        self.node = SimulatedNode(self.disk, self.clock)
        self.oracle = Oracle(self.retention == INTEREST)
        self.memory = memory
        self.ids: dict[str, int] = {}
        spec = stream_spec(subjects=[b"s.>"], retention=self.retention)
        self.stream = self.node.kernel.propose_stream_create(
            1, self.node.account, STREAM.encode(), b"stream", spec
        )
        self.turns()

    def turns(self) -> None:
        for _ in range(TURNS):
            self.node.turn()

    def token(self) -> int:
        return self.node.next_number()

    # -- what clients do

    @rule(subjects=st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=6))
    def publish(self, subjects: list[str]) -> None:
        self.store(subjects)

    def store(self, subjects: list[str]) -> None:
        numbers = [self.node.publish(s.encode(), b"x") for s in subjects]
        self.turns()
        for number, subject in zip(numbers, subjects, strict=True):
            self.oracle.publish(subject)
            assert b'"seq":%d' % self.oracle.last_seq in self.node.replies[number][0].body
        self.take()

    def create(self, name: str, filters: tuple[str, ...], policy: int, *, new: bool) -> None:
        if name in self.oracle.consumers:
            return
        spec = consumer_spec(
            filters=[f.encode() for f in filters],
            ack_policy=policy,
            deliver_policy=2 if new else 0,
            memory=self.memory,
        )
        self.ids[name] = self.node.kernel.propose_consumer_create(
            self.token(), self.stream, name.encode(), name.encode(), spec
        )
        self.turns()
        self.node.kernel.start_consumer(self.stream, self.ids[name])
        before = self.oracle.last_seq if new else 0
        self.oracle.consumers[name] = Wants(filters, policy, seen=before, floor=before)

    @rule(name=st.sampled_from("wxyz"), count=st.integers(1, 4), waits=st.booleans())
    def pull(self, name: str, count: int, waits: bool) -> None:
        if name not in self.oracle.consumers:
            return
        if waits:
            self.node.pull_waiting(STREAM, name, count, WAIT_NS)
        else:
            self.node.pull(STREAM, name, count)
        self.turns()
        self.take()

    def take(self) -> None:
        """What was delivered, now or before: to each consumer in order, and nothing left out."""
        for delivery in self.node.deliveries:
            consumer, seq = self.oracle.consumers[delivery.consumer], delivery.stream_seq
            assert self.oracle.messages[seq] == delivery.subject.decode()
            assert consumer.needs(seq), "it was acknowledged for good"
            if seq > consumer.seen:
                assert seq == self.oracle.undelivered(consumer)[0]
                consumer.seen = seq
            if consumer.ack_policy == NONE:
                self.oracle.settle([seq])
            else:
                consumer.pending[seq] = delivery
        self.node.deliveries.clear()

    @rule(
        name=st.sampled_from("wxyz"),
        which=st.integers(0, 5),
        kind=st.sampled_from((b"+ACK", b"", b"+TERM no")),
    )
    def acknowledge(self, name: str, which: int, kind: bytes) -> None:
        consumer = self.oracle.consumers.get(name)
        if consumer is None or not consumer.pending:
            return
        seqs = sorted(consumer.pending)
        seq = seqs[which % len(seqs)]
        delivery = consumer.pending[seq]
        number = self.node.acknowledge(delivery.ack_subject, kind, confirm=True)
        self.turns()
        assert self.node.replies[number], "an AckSync was not answered"
        covered = [seq]
        if consumer.ack_policy == ALL:
            if delivery.consumer_seq <= consumer.floor_consumer_seq:
                return  # from before a later delivery that was acknowledged
            consumer.floor, consumer.floor_consumer_seq = seq, delivery.consumer_seq
            covered = [s for s in seqs if s <= seq]
        for s in covered:
            del consumer.pending[s]
        self.oracle.settle(covered)

    @rule(name=st.sampled_from("wxyz"))
    def delete(self, name: str) -> None:
        if name not in self.oracle.consumers:
            return
        self.node.kernel.propose_consumer_delete(self.token(), self.stream, self.ids[name])
        self.turns()
        del self.oracle.consumers[name], self.ids[name]
        self.oracle.settle_all()

    @rule(which=st.integers(0, 20))
    def remove_message(self, which: int) -> None:
        if not self.oracle.messages:
            return
        seq = sorted(self.oracle.messages)[which % len(self.oracle.messages)]
        self.node.kernel.propose_delete(self.token(), self.stream, seq, False)
        self.turns()
        self.oracle.remove(seq)

    # -- what happens to the node

    @rule()
    def checkpoint(self) -> None:
        self.node.kernel.checkpoint()
        self.turns()

    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        self.turns()
        if clean:
            self.node.stop()
            self.disk = self.disk.image(Loss.none)
        else:
            # A confirmed entry makes all before it durable; this one removes nothing.
            self.node.kernel.propose_delete(self.token(), self.stream, 1 << 40, False)
            self.turns()
            self.disk = self.disk.image(Loss.all)
        self.node = SimulatedNode(self.disk, self.clock)
        self.clock.advance(40_000_000_000)  # what is pending comes again
        for name, id_ in self.node.consumer_ids(self.stream).items():
            assert self.ids[name.decode()] == id_
        self.turns()

    # -- what must hold

    @invariant()
    def holds_what_is_needed(self) -> None:
        if not hasattr(self, "node"):
            return
        kernel = self.node.kernel
        state = kernel.stream_state(self.stream)
        gaps = set(kernel.stream_deleted(self.stream, 1 << 20))
        held = (
            [s for s in range(state.first_seq, state.last_seq + 1) if s not in gaps]
            if state.messages
            else []
        )
        assert held == list(self.oracle.messages)
        assert state.last_seq == self.oracle.last_seq
        kernel.check()
        for name, consumer in self.oracle.consumers.items():
            shown = kernel.consumer_state(self.stream, self.ids[name])
            assert shown.num_ack_pending == len(consumer.pending)
            assert shown.num_pending == len(self.oracle.undelivered(consumer))


class Interest(Retention):
    @rule(
        name=st.sampled_from("wxyz"),
        filters=st.sampled_from(FILTERS),
        policy=st.sampled_from((NONE, ALL, EXPLICIT)),
        new=st.booleans(),
    )
    def create_consumer(self, name: str, filters: tuple[str, ...], policy: int, new: bool) -> None:
        self.create(name, filters, policy, new=new)

    @rule(name=st.sampled_from("wxyz"), filters=st.sampled_from(FILTERS))
    def change_filters(self, name: str, filters: tuple[str, ...]) -> None:
        consumer = self.oracle.consumers.get(name)
        if consumer is None or consumer.ack_policy == ALL:
            return
        spec = consumer_spec(
            filters=[f.encode() for f in filters],
            ack_policy=consumer.ack_policy,
            memory=self.memory,
        )
        self.node.kernel.propose_consumer_update(
            0, self.stream, self.ids[name], name.encode(), spec
        )
        self.turns()
        consumer.filters = filters
        self.oracle.settle_all()
        self.take()


class WorkQueue(Retention):
    retention = WORK_QUEUE

    @rule(name=st.sampled_from(sorted(DISJOINT)))
    def create_consumer(self, name: str) -> None:
        self.create(name, DISJOINT[name], EXPLICIT, new=False)


SETTINGS = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestInterest = Interest.TestCase
TestInterest.settings = SETTINGS
TestWorkQueue = WorkQueue.TestCase
TestWorkQueue.settings = SETTINGS


# -- cut off at every disk operation


@dataclass
class Promised:
    """What clients were told, and what they asked for."""

    stored: set[int] = field(default_factory=set)
    acknowledged: set[int] = field(default_factory=set)  # an acknowledgement was sent
    confirmed: set[int] = field(default_factory=set)  # and answered


def play(node: SimulatedNode, promised: Promised) -> None:
    """Two consumers that share a work queue, one of them confirming; until the power goes."""
    kernel = node.kernel
    spec = stream_spec(subjects=[b"s.>"], retention=WORK_QUEUE)
    stream = kernel.propose_stream_create(1, node.account, b"S", b"stream", spec)
    node.turn()
    node.turn()
    for token, name in ((2, "w"), (3, "x")):
        filters = [f.encode() for f in DISJOINT[name]]
        id_ = kernel.propose_consumer_create(
            token, stream, name.encode(), name.encode(), consumer_spec(filters=filters)
        )
        node.turn()
        node.turn()
        kernel.start_consumer(stream, id_)
    for round_ in range(6):
        numbers = [node.publish(s.encode(), b"x" * 500) for s in SUBJECTS]
        node.turn()
        node.turn()
        promised.stored |= {round_ * 4 + i for i, n in enumerate(numbers, 1) if n in node.replies}
        for name in "wx":
            node.pull(STREAM, name, 1)
        node.turn()
        asked: dict[int, int] = {}
        for delivery in node.deliveries:
            number = node.acknowledge(delivery.ack_subject, confirm=delivery.consumer == "w")
            promised.acknowledged.add(delivery.stream_seq)
            asked[number] = delivery.stream_seq
        node.deliveries.clear()
        if round_ == 3:
            kernel.checkpoint()
        node.turn()
        node.turn()
        promised.confirmed |= {seq for number, seq in asked.items() if number in node.replies}


@pytest.mark.parametrize("loss", [Loss.all, Loss.random_subset, Loss.none])
def test_an_acknowledgement_is_for_ever_when_it_is_confirmed(loss: Loss) -> None:
    whole = SimDisk(7)
    play(SimulatedNode(whole, SimulatedClock()), Promised())
    operations = whole.operations
    assert operations > 40
    confirmed = 0
    for operation in range(1, operations + 1, 2):
        disk, clock, promised = SimDisk(7), SimulatedClock(), Promised()
        disk.crash_at(operation)
        with contextlib.suppress(PowerLoss, StoreError):
            play(SimulatedNode(disk, clock), promised)
        if not promised.stored:
            continue
        node = SimulatedNode(disk.image(loss), clock)
        gone = set(node.kernel.stream_deleted(1, 1 << 20))
        state = node.kernel.stream_state(1)
        held = set(range(state.first_seq, state.last_seq + 1)) - gone if state.messages else set()
        assert promised.stored - promised.acknowledged <= held
        assert not promised.confirmed & held
        confirmed += len(promised.confirmed)
        node.kernel.check()
        node.stop()
    assert confirmed > 0
