"""Goal: a consumer that is acknowledged by flow control, or reset, loses nothing when the power
goes: what lies above its ack floor is pending or still to come, and what was promised to be reset
is reset.

Method: a workload on one node over the simulated disk is cut at each of its disk operations, with
each way of losing what was not synced; the recovered consumer is compared with what was promised,
and then drained after a last reset.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.kernel.values import ConsumerState
from slipstream.testing.simulated_node import (
    PUSH_INBOX,
    PowerLoss,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

SECOND_NS = 1_000_000_000
FLOW_CONTROL = consumer_spec(
    ack_policy=3,
    ack_wait_ns=0,
    deliver_subject=PUSH_INBOX,
    flow_control=True,
    idle_heartbeat_ns=SECOND_NS,
    max_ack_pending=4,
)


class Promises(NamedTuple):
    messages: int = 0
    consumer: bool = False
    flow_acked: int = 0  # told to the server; may be lost with the power
    resets: int = 0  # confirmed
    reset_to: int = 0  # by the last one, confirmed or not


class Run:
    """The workload up to the crash; `promises` is what it knows then."""

    def __init__(self, node: SimulatedNode) -> None:
        self.node = node
        self.promises = Promises()

    def drive(self) -> None:
        node = self.node
        stream = self.node.commit(
            lambda token: node.kernel.propose_stream_create(
                token, node.account, b"S", b"S", stream_spec(subjects=[b"s"])
            )
        )
        for _ in range(10):
            self._publish()
        consumer = self.node.commit(
            lambda token: node.kernel.propose_consumer_create(
                token, stream, b"C", b"C", FLOW_CONTROL
            )
        )
        self._promise(consumer=True)
        node.kernel.start_consumer(stream, consumer)
        node.turn()
        self._acknowledge(consumer_seq=3, stream_seq=3)
        node.turn()
        node.kernel.checkpoint()
        for _ in range(4):
            node.turn()
        self._reset(stream, consumer, 0)
        node.turn()
        self._acknowledge(consumer_seq=2, stream_seq=5)
        node.turn()
        self._reset(stream, consumer, 3)
        node.turn()

    def _promise(self, **changes: object) -> None:
        self.promises = self.promises._replace(**changes)

    def _publish(self) -> None:
        number = self.node.publish(b"s", b"x")
        while number not in self.node.replies:
            self.node.turn()
        self._promise(messages=self.promises.messages + 1)

    def _acknowledge(self, consumer_seq: int, stream_seq: int) -> None:
        asked = [event for event in self.node.push_statuses if event.reply]
        header = f"NATS/1.0\r\nNats-Last-Consumer: {consumer_seq}\r\nNats-Last-Stream: {stream_seq}"
        subject = asked[-1].reply
        self.node.kernel.publish(
            self.node.account, subject, b"", header.encode() + b"\r\n\r\n", b""
        )
        self._promise(flow_acked=stream_seq)

    def _reset(self, stream: int, consumer: int, seq: int) -> None:
        self._promise(reset_to=seq or self.promises.flow_acked + 1)
        kernel = self.node.kernel
        self.node.commit(lambda token: kernel.propose_consumer_reset(token, stream, consumer, seq))
        self._promise(resets=self.promises.resets + 1)
        state = kernel.consumer_state(stream, consumer)
        assert state.delivered_stream_seq == self.promises.reset_to - 1
        assert (state.delivered_consumer_seq, state.num_ack_pending) == (0, 0)
        kernel.start_consumer(stream, consumer)


def run(disk: SimDisk, clock: SimulatedClock) -> Promises:
    promises = Promises()
    try:
        life = Run(SimulatedNode(disk, clock, has_twin=True))
        try:
            life.drive()
        finally:
            promises = life.promises
    except PowerLoss:
        pass
    except StoreError:
        assert disk.crashed
    return promises


def judge(disk: SimDisk, clock: SimulatedClock, promises: Promises) -> None:
    node = SimulatedNode(disk, clock, has_twin=True)
    node.kernel.check()
    if not promises.consumer:
        return
    (stream,) = [record.stream for record in node.recovered]
    (consumer,) = [record.consumer for record in node.kernel.consumers(stream)]
    state = node.kernel.consumer_state(stream, consumer)
    judge_state(state, promises)
    drain(node, stream, consumer, first=state.ack_floor_stream_seq + 1, last=promises.messages)


def judge_state(state: ConsumerState, promises: Promises) -> None:
    above = promises.messages - state.ack_floor_stream_seq
    assert state.num_ack_pending + state.num_pending == above, state
    assert state.ack_floor_stream_seq <= max(promises.flow_acked, promises.reset_to - 1)
    if promises.resets == 2:
        assert state.ack_floor_stream_seq == 2


def drain(node: SimulatedNode, stream: int, consumer: int, first: int, last: int) -> None:
    """After a reset everything above the floor comes, in order."""
    token = node.next_number()
    node.kernel.propose_consumer_reset(token, stream, consumer, 0)
    while token not in node.committed:
        node.turn()
    node.deliveries.clear()
    node.kernel.start_consumer(stream, consumer)
    node.turn()
    expected = list(range(first, min(first + 4, last + 1)))  # max_ack_pending
    assert [d.stream_seq for d in node.deliveries] == expected
    assert [d.consumer_seq for d in node.deliveries] == list(range(1, len(expected) + 1))
    assert {d.deliveries for d in node.deliveries} <= {1}
    node.kernel.check()


@pytest.mark.parametrize("loss", Loss)
def test_every_crash_point(loss: Loss) -> None:  # C-117, C-138
    whole = SimDisk(0)
    assert run(whole, SimulatedClock()).resets == 2
    for operation in range(1, whole.operations + 1):
        disk, clock = SimDisk(operation), SimulatedClock()
        disk.crash_at(operation)
        promises = run(disk, clock)
        try:
            judge(disk.image(loss, operation), clock, promises)
        except Exception as error:
            error.add_note(f"operation {operation} of {whole.operations}, {loss!r}")
            raise


def test_a_consumer_of_a_source_goes_back_to_its_floor_at_a_restart() -> None:  # C-047, C-138
    disk, clock = SimDisk(0), SimulatedClock()
    node = SimulatedNode(disk, clock, has_twin=True)
    life = Run(node)
    stream = life.node.commit(
        lambda token: node.kernel.propose_stream_create(
            token, node.account, b"S", b"S", stream_spec(subjects=[b"s"])
        )
    )
    for _ in range(5):
        life._publish()
    spec = FLOW_CONTROL | {"sourcing": True}
    consumer = life.node.commit(
        lambda token: node.kernel.propose_consumer_create(token, stream, b"C", b"C", spec)
    )
    node.kernel.start_consumer(stream, consumer)
    node.turn()
    life._acknowledge(2, 2)
    node.turn()
    assert node.kernel.consumer_state(stream, consumer).num_ack_pending == 3
    node.stop()
    node = SimulatedNode(disk, clock, has_twin=True)
    node.turn()
    state = node.kernel.consumer_state(stream, consumer)
    assert state.ack_floor_stream_seq == 2
    assert (state.num_ack_pending, state.num_pending) == (3, 0)
    assert [d.stream_seq for d in node.deliveries] == [3, 4, 5]
    assert [d.consumer_seq for d in node.deliveries] == [1, 2, 3]


def test_memory_consumers_end_with_the_process() -> None:  # C-046, C-047
    disk, clock = SimDisk(0), SimulatedClock()
    node = SimulatedNode(disk, clock, has_twin=True)
    life = Run(node)
    stream = life.node.commit(
        lambda token: node.kernel.propose_stream_create(
            token, node.account, b"S", b"S", stream_spec(subjects=[b"s"])
        )
    )
    for name, memory in ((b"gone", True), (b"stays", False)):
        spec = consumer_spec(memory=memory)
        life.node.commit(
            lambda token, name=name, spec=spec: node.kernel.propose_consumer_create(
                token, stream, name, name, spec
            )
        )
    node.stop()
    node = SimulatedNode(disk, clock, has_twin=True)
    assert [record.description for record in node.kernel.consumers(stream)] == [b"stays"]
