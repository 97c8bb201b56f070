"""Goal: num_pending and num_ack_pending are exact at all times, whatever is stored, evicted,
deleted, purged, delivered, acknowledged, filtered anew, reset or recovered (C-061, C-113,
C-136..C-138).

Method: hypothesis plays all of that against one stream with several consumers on a simulated disk;
a count over a dictionary of the live messages is the model. Deliveries tell the model where a
consumer stands, and must be the next that matches. A second machine lets all of that happen while
the counts are not at their end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from slipstream.jetstream.subjects import is_subset
from slipstream.kernel._kernel import SimDisk
from slipstream.testing.simulated_node import (
    Delivery,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

SUBJECTS = ("s.a", "s.b", "s.c.1", "s.c.2")
FILTERS: tuple[tuple[str, ...], ...] = ((), ("s.a",), ("s.c.*",), ("s.a", "s.c.>"), ("s.none",))
ALL, LAST_PER_SUBJECT = 0, 5
NAMES = ("C0", "C1", "C2", "C3")


@dataclass
class Standing:
    """What the model knows of a consumer."""

    id: int
    filters: tuple[str, ...]
    policy: int
    cursor: int = 0
    newest: list[int] = field(default_factory=list)  # of each subject, still to come
    resume: int = 0
    waiting: dict[int, Delivery] = field(default_factory=dict)  # by stream sequence

    def spec(self) -> dict:
        filters = [subject.encode() for subject in self.filters]
        return consumer_spec(filters=filters, deliver_policy=self.policy)

    def wants(self, subject: str) -> bool:
        return not self.filters or any(is_subset(subject, f) for f in self.filters)


class Counting(RuleBasedStateMachine):
    messages_max = 14
    of_a_subject_max = 5
    turns = 3

    def __init__(self) -> None:
        super().__init__()
        self.disk, self.clock = SimDisk(3), SimulatedClock()
        spec = stream_spec(
            subjects=[b"s.>"],
            max_msgs=self.messages_max,
            max_msgs_per_subject=self.of_a_subject_max,
        )
        self.node = SimulatedNode(self.disk, self.clock)
        kernel = self.node.kernel
        self.stream = self.node.commit(
            lambda token: kernel.propose_stream_create(token, self.node.account, b"S", b"S", spec)
        )
        self.live: dict[int, str] = {}
        self.last = 0
        self.consumers: dict[str, Standing] = {}

    # -- the stream

    @rule(subject=st.sampled_from(SUBJECTS))
    def publish(self, subject: str) -> None:
        self.node.publish(subject.encode(), b"x")
        self._turns()
        self._stored(subject)

    @rule(pick=st.integers(0, 20))
    def delete(self, pick: int) -> None:
        if not self.live:
            return
        seq = list(self.live)[pick % len(self.live)]
        kernel = self.node.kernel
        self.node.commit(lambda token: kernel.propose_delete(token, self.stream, seq, False))
        self._remove([seq])

    @rule(subject=st.sampled_from(("", "s.a", "s.c.>")), keep=st.integers(0, 3))
    def purge(self, subject: str, keep: int) -> None:
        found = [s for s, other in self.live.items() if not subject or is_subset(other, subject)]
        kernel = self.node.kernel
        self.node.commit(
            lambda token: kernel.propose_purge(token, self.stream, subject.encode(), 0, keep)
        )
        removed = found[: max(len(found) - keep, 0)] if keep else found
        self._remove(removed)
        left = min((seq for seq in found if seq not in removed), default=self.last + 1)
        for standing in self.consumers.values():
            # Who wants nothing but what was purged goes on behind it, as in nats-server.
            if (
                subject
                and standing.filters
                and all(is_subset(f, subject) for f in standing.filters)
            ):
                standing.cursor = max(standing.cursor, left - 1)

    # -- consumers

    @rule(
        name=st.sampled_from(NAMES),
        filters=st.sampled_from(FILTERS),
        policy=st.sampled_from((ALL, ALL, LAST_PER_SUBJECT)),
    )
    def create_or_filter_anew(self, name: str, filters: tuple[str, ...], policy: int) -> None:
        kernel, known = self.node.kernel, self.consumers.get(name)
        text = name.encode()
        if known is not None:
            known.filters = filters
            self.node.commit(
                lambda token: kernel.propose_consumer_update(
                    token, self.stream, known.id, text, known.spec()
                )
            )
            kernel.start_consumer(self.stream, known.id)
            return
        new = Standing(0, filters, policy)
        new.id = self.node.commit(
            lambda token: kernel.propose_consumer_create(token, self.stream, text, text, new.spec())
        )
        kernel.start_consumer(self.stream, new.id)
        self.consumers[name] = new
        if policy == LAST_PER_SUBJECT:
            newest = {subject: seq for seq, subject in self.live.items() if new.wants(subject)}
            new.newest, new.resume = sorted(newest.values()), self.last
            # With none of them it begins at the last message, as nats-server does.
            new.cursor = self.last if newest or not self.live else self.last - 1

    @precondition(lambda self: self.consumers)
    @rule(pick=st.integers(0, 3), batch=st.integers(1, 6))
    def pull(self, pick: int, batch: int) -> None:
        name, standing = self._one(pick)
        self.node.deliveries.clear()
        self.node.pull("S", name, batch)
        self._turns()
        for delivery in self.node.deliveries:
            self._take(standing, delivery)

    @precondition(lambda self: self.consumers)
    @rule(pick=st.integers(0, 3), position=st.integers(0, 9), nak=st.booleans())
    def acknowledge(self, pick: int, position: int, nak: bool) -> None:
        _, standing = self._one(pick)
        if not standing.waiting:
            return
        seq = list(standing.waiting)[position % len(standing.waiting)]
        delivery = standing.waiting[seq]
        self.node.acknowledge(delivery.ack_subject, b"-NAK" if nak else b"+ACK", confirm=False)
        self._turns()
        if not nak:
            del standing.waiting[seq]

    @precondition(lambda self: self.consumers)
    @rule(pick=st.integers(0, 3), seq=st.integers(1, 20))
    def reset(self, pick: int, seq: int) -> None:
        _, standing = self._one(pick)
        if standing.policy != ALL:
            return
        kernel = self.node.kernel
        seq = min(seq, self.last + 1)
        self.node.commit(
            lambda token: kernel.propose_consumer_reset(token, self.stream, standing.id, seq)
        )
        kernel.start_consumer(self.stream, standing.id)
        standing.cursor = seq - 1
        standing.waiting.clear()

    @rule(checkpoint=st.booleans())
    def restart(self, checkpoint: bool) -> None:
        if checkpoint:
            self.node.kernel.checkpoint()
            self._turns()
        self.node.stop()
        self.node = SimulatedNode(self.disk, self.clock)
        self._turns()

    # -- what must be

    @invariant()
    def counts(self) -> None:
        self.node.kernel.check()
        for name, standing in self.consumers.items():
            state = self.node.kernel.consumer_state(self.stream, standing.id)
            beyond = sum(
                seq > standing.cursor and standing.wants(subject)
                for seq, subject in self.live.items()
            )
            assert state.num_pending == len(standing.newest) + beyond, name
            assert state.num_ack_pending == len(standing.waiting), name

    # -- the model

    def _one(self, pick: int) -> tuple[str, Standing]:
        return list(self.consumers.items())[pick % len(self.consumers)]

    def _take(self, standing: Standing, delivery: Delivery) -> None:
        seq = delivery.stream_seq
        if delivery.deliveries == 1 and seq not in standing.waiting:
            assert seq == self._expected(standing)
            if standing.newest:
                standing.newest.pop(0)
            else:
                standing.cursor = seq
        standing.waiting[seq] = delivery

    def _expected(self, standing: Standing) -> int:
        if standing.newest:
            return standing.newest[0]
        above = (s for s, subject in self.live.items() if standing.wants(subject))
        return min(s for s in above if s > standing.cursor)

    def _stored(self, subject: str) -> None:
        self.last += 1
        self.live[self.last] = subject
        same = [seq for seq, other in self.live.items() if other == subject]
        self._remove(same[: -self.of_a_subject_max])
        self._remove(list(self.live)[: -self.messages_max])

    def _remove(self, seqs: list[int]) -> None:
        for seq in seqs:
            self.live.pop(seq, None)
            for standing in self.consumers.values():
                standing.waiting.pop(seq, None)
                if seq in standing.newest:
                    standing.newest.remove(seq)

    def _turns(self) -> None:
        for _ in range(self.turns):
            self.node.turn()


class Interrupted(Counting):
    """The counts take many turns, and all of that happens in between. Nothing asks for a number
    after every step, because that would end the count: `check` compares what is counted so far.
    """

    messages_max = 150
    of_a_subject_max = 100
    turns = 40  # of 16 operations each, and of two searches

    @rule(subjects=st.lists(st.sampled_from(SUBJECTS), min_size=20, max_size=60))
    def publish_many(self, subjects: list[str]) -> None:
        for subject in subjects:
            self.node.publish(subject.encode(), b"x")
        for _ in range(3):
            self.node.turn()
        for subject in subjects:
            self._stored(subject)

    @precondition(lambda self: self.consumers)
    @rule(pick=st.integers(0, 3), slices=st.integers(1, 6))
    def count_a_little(self, pick: int, slices: int) -> None:
        _, standing = self._one(pick)
        for _ in range(slices):
            self.node.kernel.count_pending(self.stream, standing.id)

    @precondition(lambda self: self.consumers)
    @rule()
    def ask(self) -> None:
        super().counts()

    @invariant()
    def counts(self) -> None:
        self.node.kernel.check()


TestCounting = Counting.TestCase
TestCounting.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)

TestInterrupted = Interrupted.TestCase
TestInterrupted.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
