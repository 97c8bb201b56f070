"""Random operations and random power losses, against the model of the log.

Goal: what the scripts of test_crash_points.py did not think of. Method: a hypothesis state
machine drives a ledger over the simulated disk; power goes at a number of disk operations from
now, in whatever the node does then, several times in one run; after each loss the store is
recovered and judged, and the machine goes on with it. In the end everything must still drain.
Hypothesis shrinks a failure and prints its steps, and the blob that repeats it
(@reproduce_failure).

More by hand: SLIPSTREAM_RANDOM_CRASHES=2000 pytest tests/crash/test_random_crashes.py --timeout 0
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from aftermath import drain, goes_on, judge
from ledger import ACK_NONE, Ledger
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    PowerLoss,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

EXAMPLES = int(os.environ.get("SLIPSTREAM_RANDOM_CRASHES", "60"))
NAMES = ("A", "B", "C")
CONSUMERS = ("x", "y", "z")
STREAM_KINDS = (
    {},
    {"max_msgs": 7},
    {"max_bytes": 3000},
    {"max_msgs_per_subject": 2},
    {"max_msgs": 5, "discard_new": True},
    {"first_seq": 30, "duplicate_window_ns": 40_000_000},
    {"max_age_ns": 60_000_000},
)
CONSUMER_KINDS = (
    {},
    {"ack_policy": 1},
    {"ack_policy": 0},
    {"filters": [b"A.0", b"B.0", b"C.0"]},
    {"deliver_policy": 2},
    {"max_deliver": 2, "ack_wait_ns": 10_000_000},
    {"max_ack_pending": 3},
)
sizes = st.sampled_from((0, 10, 200, 900, 3000, 6000))


class RandomCrashes(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed: int) -> None:
        self.disk = SimDisk(seed)
        self.clock = SimulatedClock()
        self.ledger = Ledger()
        self.ledger.attach(SimulatedNode(self.disk, self.clock, has_twin=True))
        self.crashes = 0
        self.published = 0

    # -- what clients do; every rule may be the one in which the power goes

    def stream_or_none(self, name: str) -> bool:
        return name in self.ledger.names()

    def has(self, name: str, consumer: str) -> bool:
        return self.stream_or_none(name) and consumer in self.ledger.stream(name).consumers

    @rule(name=st.sampled_from(NAMES), kind=st.sampled_from(STREAM_KINDS))
    def create_stream(self, name: str, kind: dict[str, object]) -> None:
        if not self.stream_or_none(name):
            self.ledger.create_stream(name, stream_spec(subjects=[f"{name}.>".encode()], **kind))
            self.turn()

    @rule(name=st.sampled_from(NAMES))
    def delete_stream(self, name: str) -> None:
        if self.stream_or_none(name):
            self.ledger.delete_stream(name)
            self.turn()

    @rule(name=st.sampled_from(NAMES), max_msgs=st.integers(2, 9))
    def update_stream(self, name: str, max_msgs: int) -> None:
        if self.stream_or_none(name):
            spec = {**self.ledger.stream(name).model.spec, "max_msgs": max_msgs}
            self.ledger.update_stream(name, stream_spec(**spec))
            self.turn()

    @rule(
        name=st.sampled_from(NAMES),
        subject=st.integers(0, 2),
        size=sizes,
        message_id=st.integers(0, 12),
        count=st.integers(1, 4),
    )
    def publish(self, name: str, subject: int, size: int, message_id: int, count: int) -> None:
        if not self.stream_or_none(name):
            return
        for i in range(count):
            self.published += 1
            body = b"%d " % self.published + b"b" * size
            id_ = f"id-{message_id + i}" if message_id else ""
            self.ledger.publish(name, f"{name}.{subject}".encode(), body, id_)
        self.turn()

    @rule(name=st.sampled_from(NAMES), back=st.integers(0, 5), erase=st.booleans())
    def delete_message(self, name: str, back: int, erase: bool) -> None:
        if self.stream_or_none(name):
            seq = max(self.ledger.stream(name).model.last_seq - back, 1)
            self.ledger.delete_message(name, seq, erase)
            self.turn()

    @rule(
        name=st.sampled_from(NAMES),
        subject=st.sampled_from((b"", b"0", b"1")),
        back=st.integers(-3, 4),
        keep=st.integers(0, 2),
    )
    def purge(self, name: str, subject: bytes, back: int, keep: int) -> None:
        if not self.stream_or_none(name):
            return
        seq = 0 if keep else max(self.ledger.stream(name).model.last_seq - back, 2)
        self.ledger.purge(name, name.encode() + b"." + subject if subject else b"", seq, keep)
        self.turn()

    @rule(
        name=st.sampled_from(NAMES),
        consumer=st.sampled_from(CONSUMERS),
        kind=st.sampled_from(CONSUMER_KINDS),
    )
    def create_consumer(self, name: str, consumer: str, kind: dict[str, object]) -> None:
        if self.stream_or_none(name) and not self.has(name, consumer):
            self.turn()
            self.ledger.create_consumer(name, consumer, consumer_spec(**kind))
            self.turn()

    @rule(name=st.sampled_from(NAMES), consumer=st.sampled_from(CONSUMERS))
    def delete_consumer(self, name: str, consumer: str) -> None:
        if self.has(name, consumer):
            self.ledger.delete_consumer(name, consumer)
            self.turn()

    @rule(
        name=st.sampled_from(NAMES),
        consumer=st.sampled_from(CONSUMERS),
        batch=st.integers(1, 8),
        kinds=st.lists(
            st.sampled_from(
                (b"+ACK", b"+ACK", b"-NAK", b'-NAK {"delay": 3000000}', b"+TERM", b"+WPI")
            ),
            max_size=4,
        ),
        confirm=st.booleans(),
    )
    def consume(
        self, name: str, consumer: str, batch: int, kinds: list[bytes], confirm: bool
    ) -> None:
        if not self.has(name, consumer):
            return
        try:
            deliveries = self.ledger.pull(name, consumer, batch)
            if self.ledger.stream(name).consumers[consumer].spec["ack_policy"] != ACK_NONE:
                for delivery, kind in zip(deliveries, kinds, strict=False):
                    self.ledger.acknowledge(delivery, kind, confirm=confirm)
        except PowerLoss:
            self.recover(Loss.random_subset)
            return
        self.turn()

    @rule(milliseconds=st.integers(1, 40))
    def time_goes_on(self, milliseconds: int) -> None:
        self.clock.advance(milliseconds * 1_000_000)
        self.turn()

    @rule(turns=st.integers(0, 4))
    def checkpoint(self, turns: int) -> None:
        self.ledger.node.kernel.checkpoint()
        for _ in range(turns):
            self.turn()

    @rule()
    def check(self) -> None:
        self.ledger.node.kernel.check()

    # -- power

    @precondition(lambda self: self.crashes < 6)
    @rule(operations=st.integers(1, 60))
    def power_goes_soon(self, operations: int) -> None:
        self.disk.crash_at(self.disk.operations + operations)

    @precondition(lambda self: self.crashes < 6)
    @rule(loss=st.sampled_from(list(Loss)))
    def power_goes_now(self, loss: Loss) -> None:
        self.recover(loss)

    @rule()
    def clean_restart(self) -> None:
        for _ in range(3):
            self.turn()
        self.ledger.node.stop()
        if self.disk.crashed:
            self.recover(Loss.torn_last)
            return
        self.disk = self.disk.image(Loss.none)
        self.ledger.reconcile(SimulatedNode(self.disk, self.clock, has_twin=True))

    def turn(self) -> None:
        try:
            self.ledger.turn()
        except PowerLoss:
            self.recover(list(Loss)[self.disk.operations % len(Loss)])

    def recover(self, loss: Loss) -> None:
        """The recovery itself may lose its power as well, by the same number of operations."""
        self.crashes += 1
        interrupted = self.disk.image(loss, self.crashes)
        interrupted.crash_at(1 + self.crashes * 7)
        try:
            SimulatedNode(interrupted, self.clock)
        except StoreError:
            assert interrupted.crashed
            self.disk = interrupted.image(loss, self.crashes)
        else:
            self.disk = self.disk.image(loss, self.crashes)
        judge(self.disk, self.ledger, self.clock, thorough=False)

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        self.disk.crash_at(0)
        goes_on(self.ledger)
        drain(self.ledger)


RandomCrashes.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize="SLIPSTREAM_RANDOM_CRASHES" not in os.environ,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
TestRandomCrashes = RandomCrashes.TestCase
