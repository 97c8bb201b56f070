"""Goal: what is to be delivered again comes in the order in which it became due, once, whatever is
acknowledged, put off or purged while it waits; and an update of ack_wait or of the deliver subject
reaches every delivery that waits.

Method: random naks (with and without delay), acknowledgements and purges against a consumer that
nobody pulls from; a list is the model of its queue. Enough deliveries that the work of an update
takes many turns of the simulated kernel.
"""

from __future__ import annotations

import random

import pytest

from slipstream.kernel._kernel import SimDisk
from slipstream.testing.simulated_node import (
    Delivery,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

MESSAGES = 400
SECOND_NS = 10**9
HOUR_NS = 3600 * SECOND_NS


class Stage:
    def __init__(self, **spec: object) -> None:
        self.node = SimulatedNode(SimDisk(1), SimulatedClock())
        kernel = self.node.kernel
        settings = stream_spec(subjects=[b"s.>"], memory=True)
        self.stream = self.node.commit(
            lambda token: kernel.propose_stream_create(
                token, self.node.account, b"S", b"S", settings
            )
        )
        for number in range(1, MESSAGES + 1):
            self.node.publish(b"s.%d" % number, b"x")
        self.node.turn()
        self.spec = {"max_ack_pending": -1, "ack_wait_ns": HOUR_NS} | spec
        self.consumer = self.node.commit(
            lambda token: kernel.propose_consumer_create(
                token, self.stream, b"C", b"C", consumer_spec(**self.spec)
            )
        )
        kernel.start_consumer(self.stream, self.consumer)

    def update(self, **changes: object) -> None:
        kernel = self.node.kernel
        self.spec |= changes
        self.node.commit(
            lambda token: kernel.propose_consumer_update(
                token, self.stream, self.consumer, b"C", consumer_spec(**self.spec)
            )
        )
        kernel.start_consumer(self.stream, self.consumer)

    def purge(self, subject: bytes) -> None:
        kernel = self.node.kernel
        self.node.commit(lambda token: kernel.propose_purge(token, self.stream, subject, 0, 0))

    def pull(self) -> list[Delivery]:
        """All that is there now."""
        number = self.node.pull("S", "C", MESSAGES)
        for _ in range(MESSAGES):
            if number in self.node.replies:  # 404, or a status at the end
                break
            self.node.turn()
            if len(self.node.deliveries) >= MESSAGES:
                break
        taken = self.node.deliveries
        self.node.deliveries = []
        return taken


@pytest.mark.parametrize("seed", range(12))
def test_the_queue_keeps_its_order_when_parts_of_it_go(seed: int) -> None:
    rng = random.Random(seed)
    stage = Stage()
    waiting = {d.stream_seq: d for d in stage.pull()}
    assert len(waiting) == MESSAGES
    queue: list[int] = []
    delayed: set[int] = set()

    def forget(seq: int) -> None:
        del waiting[seq]
        delayed.discard(seq)
        if seq in queue:
            queue.remove(seq)

    for _ in range(1200):
        if not waiting:
            break
        seq = rng.choice(sorted(waiting))
        operation = rng.choices(["nak", "delay", "ack", "purge"], [60, 25, 14, 1])[0]
        if operation == "purge":
            stage.purge(b"s.%d" % seq)
            forget(seq)
            continue
        kind = {"nak": b"-NAK", "delay": b'-NAK {"delay": 7200000000000}', "ack": b"+ACK"}
        stage.node.acknowledge(waiting[seq].ack_subject, kind[operation], confirm=False)
        stage.node.turn()
        if operation == "ack":
            forget(seq)
        elif operation == "delay":
            delayed.add(seq)
            if seq in queue:
                queue.remove(seq)
        elif seq not in queue:
            queue.append(seq)
            delayed.discard(seq)
        if rng.random() < 0.05:
            stage.node.kernel.check()
    stage.node.kernel.check()
    assert [d.stream_seq for d in stage.pull()] == queue
    # The others come when their time is over: those that were put off last.
    rest = sorted(set(waiting) - set(queue) - delayed)
    stage.node.step(HOUR_NS + SECOND_NS)
    for _ in range(5):
        stage.node.turn()
    later = [d.stream_seq for d in stage.pull()]
    assert set(later) >= set(rest)
    assert delayed.isdisjoint(later)


@pytest.mark.parametrize("delayed_first", [False, True])
def test_a_shorter_wait_reaches_all_that_wait(delayed_first: bool) -> None:
    stage = Stage()
    deliveries = stage.pull()
    put_off = deliveries[::7] if delayed_first else []
    for delivery in put_off:
        kind = b'-NAK {"delay": 36000000000000}'
        stage.node.acknowledge(delivery.ack_subject, kind, confirm=False)
        stage.node.turn()
    stage.update(ack_wait_ns=10 * SECOND_NS)
    stage.node.kernel.check()
    stage.node.step(11 * SECOND_NS)
    for _ in range(5):
        stage.node.turn()
    again = [d.stream_seq for d in stage.pull()]
    expected = sorted({d.stream_seq for d in deliveries} - {d.stream_seq for d in put_off})
    assert again == expected


def test_creation_with_the_last_message_of_each_subject_takes_turns_and_is_exact() -> None:
    stage = Stage()
    for number in range(1, MESSAGES + 1, 2):  # these subjects have a newer message
        stage.node.publish(b"s.%d" % number, b"y")
    stage.node.turn()
    kernel = stage.node.kernel
    token = stage.node.next_number()
    last_per_subject = 5
    spec = consumer_spec(filters=[b"s.*", b"s.1"], deliver_policy=last_per_subject)
    id_ = kernel.propose_consumer_create(token, stage.stream, b"L", b"L", spec)
    turns = 0
    while token not in stage.node.committed:
        stage.node.turn()
        turns += 1
        assert turns <= 10 * MESSAGES
    assert turns > MESSAGES // 16
    kernel.start_consumer(stage.stream, id_)
    assert kernel.consumer_state(stage.stream, id_).num_pending == MESSAGES
    number = stage.node.pull("S", "L", MESSAGES)
    for _ in range(50):
        stage.node.turn()
    assert number not in stage.node.replies
    expected = sorted([*range(2, MESSAGES + 1, 2), *range(MESSAGES + 1, MESSAGES * 3 // 2 + 1)])
    assert [d.stream_seq for d in stage.node.deliveries if d.consumer == "L"] == expected
