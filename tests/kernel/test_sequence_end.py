"""Goal: no sequence is given beyond 2^63 - 1, and the last ones are as good as others.

Method: streams that begin just below the end, on a simulated disk: publishes, deliveries, purges
and a restart. Acknowledgements with numbers beyond all ranges change nothing.
"""

from __future__ import annotations

import json

import pytest

from slipstream.kernel._kernel import SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

END = 2**63 - 1


def answer(node: SimulatedNode, number: int) -> dict:
    for _ in range(50):
        if number in node.replies:
            return json.loads(node.replies[number][0].body)
        node.turn()
    raise AssertionError("no answer")


def create(node: SimulatedNode, **changes: object) -> int:
    spec = stream_spec(subjects=[b"s.>"], **changes)
    kernel = node.kernel
    return node.commit(
        lambda token: kernel.propose_stream_create(token, node.account, b"S", b"S", spec)
    )


@pytest.mark.parametrize("memory", [False, True])
def test_the_last_sequence_is_given_and_none_behind_it(memory: bool) -> None:
    disk, clock = SimDisk(1), SimulatedClock()
    node = SimulatedNode(disk, clock)
    stream = create(node, first_seq=END - 1, memory=memory)
    assert answer(node, node.publish(b"s.a", b"1"))["seq"] == END - 1
    numbers = [node.publish(b"s.a", b"2") for _ in range(3)]  # in one entry
    answers = [answer(node, number) for number in numbers]
    assert answers[0]["seq"] == END
    for refused in answers[1:]:
        assert refused["error"]["description"] == "maximum sequence reached"
    node.kernel.check()
    state = node.kernel.stream_state(stream)
    assert (state.messages, state.first_seq, state.last_seq) == (2, END - 1, END)
    node.stop()
    if memory:
        return
    node = SimulatedNode(disk, clock)
    assert "error" in answer(node, node.publish(b"s.a", b"3"))
    kernel = node.kernel
    node.commit(lambda token: kernel.propose_purge(token, stream, b"", 0, 0))
    assert "error" in answer(node, node.publish(b"s.a", b"3"))
    assert kernel.stream_state(stream).last_seq == END
    kernel.check()
    node.stop()


def test_consumers_at_the_end() -> None:
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    stream = create(node, first_seq=END - 1)
    kernel = node.kernel
    for text in (b"1", b"2"):
        node.publish(b"s.a", text)
    for name, spec in (
        ("ALL", consumer_spec()),
        ("FILTERED", consumer_spec(filters=[b"s.a", b"s.b"])),
        ("BEYOND", consumer_spec(deliver_policy=3, opt_start_seq=2**64 - 1)),
    ):
        text = name.encode()
        node.commit(lambda t, n=text, s=spec: kernel.propose_consumer_create(t, stream, n, n, s))
        kernel.start_consumer(stream, node.consumer_ids(stream)[text])
        node.pull("S", name, 10)
    for _ in range(20):
        node.turn()
    assert [(d.consumer, d.stream_seq) for d in node.deliveries] == [
        ("ALL", END - 1),
        ("ALL", END),
        ("FILTERED", END - 1),
        ("FILTERED", END),
    ]
    for delivery in node.deliveries:
        node.acknowledge(delivery.ack_subject, confirm=False)
    for _ in range(20):
        node.turn()
    for name in ("ALL", "FILTERED"):
        state = kernel.consumer_state(stream, node.consumer_ids(stream)[name.encode()])
        assert (state.ack_floor_stream_seq, state.num_ack_pending) == (END, 0)
    kernel.check()
    node.stop()


def test_acknowledgements_with_numbers_beyond_their_range() -> None:
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    kernel = node.kernel
    stream = create(node)
    for _ in range(3):
        node.publish(b"s.a", b"x")
    node.commit(
        lambda token: kernel.propose_consumer_create(token, stream, b"C", b"C", consumer_spec())
    )
    consumer = node.consumer_ids(stream)[b"C"]
    kernel.start_consumer(stream, consumer)
    node.pull("S", "C", 3)
    for _ in range(20):
        node.turn()
    assert len(node.deliveries) == 3
    wraps = str(2**64 + 1)  # one, if only its lower 64 bits counted
    for sequence in (wraps, "9" * 400, str(2**64 - 1), "-1", "", "0"):
        for kind in (b"+ACK", b"-NAK", b"+WPI", b"+TERM"):
            subject = f"$JS.ACK.S.C.1.{sequence}.{sequence}.1.1".encode()
            node.acknowledge(subject, kind, confirm=True)
        node.turn()
    for _ in range(20):
        node.turn()
    state = kernel.consumer_state(stream, consumer)
    assert (state.ack_floor_stream_seq, state.num_ack_pending) == (0, 3)
    node.stop()
