"""Goal: a duration near the end of int64 means a very long time, never a moment in the past.

Method: consumers, pull requests, streams and acknowledgements with the longest durations that there
are, on a simulated disk and clock. For simulated months nothing may be redelivered, expire, be sent
as a heartbeat or be reported as unused. Then shorter ones, which must still work.
"""

from __future__ import annotations

import pytest

from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import InactiveEvent, RequestEvent
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

LONGEST = 2**63 - 1
SECOND_NS = 10**9
DAY_NS = 86_400 * SECOND_NS
DURATIONS = (LONGEST, LONGEST - 1, 2**62, LONGEST - 1_900_000_000 * SECOND_NS)


def node_with_stream(**changes: object) -> tuple[SimulatedNode, int]:
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    kernel, spec = node.kernel, stream_spec(subjects=[b"s.>"], **changes)
    stream = node.commit(
        lambda token: kernel.propose_stream_create(token, node.account, b"S", b"S", spec)
    )
    return node, stream


def add_consumer(node: SimulatedNode, stream: int, **changes: object) -> int:
    kernel, spec = node.kernel, consumer_spec(**changes)
    node.commit(lambda token: kernel.propose_consumer_create(token, stream, b"C", b"C", spec))
    consumer = node.consumer_ids(stream)[b"C"]
    kernel.start_consumer(stream, consumer)
    return consumer


def turns(node: SimulatedNode, count: int = 10) -> None:
    for _ in range(count):
        node.turn()


def months(node: SimulatedNode) -> list[object]:
    """Ninety days in steps; what the kernel told in them."""
    return [event for _ in range(90) for event in node.step(DAY_NS)]


@pytest.mark.parametrize("duration", DURATIONS)
@pytest.mark.parametrize("by_backoff", [False, True])
def test_nothing_is_redelivered_or_unused(duration: int, by_backoff: bool) -> None:
    node, stream = node_with_stream()
    waits: dict[str, object] = {"ack_wait_ns": duration}
    if by_backoff:
        waits |= {"backoff_ns": [duration, duration], "max_deliver": 5}
    add_consumer(node, stream, inactive_threshold_ns=duration, **waits)
    for _ in range(3):
        node.publish(b"s.a", b"x")
    turns(node)
    node.pull("S", "C", 3)
    turns(node)
    assert len(node.deliveries) == 3
    node.acknowledge(node.deliveries[0].ack_subject, b"+WPI", confirm=False)
    node.acknowledge(
        node.deliveries[1].ack_subject, b'-NAK {"delay": %d}' % duration, confirm=False
    )
    turns(node)
    node.pull_waiting("S", "C", 3, duration)
    events = months(node)
    assert not [e for e in events if isinstance(e, (InactiveEvent, RequestEvent))]
    node.stop()


@pytest.mark.parametrize("old", DURATIONS)
def test_a_shorter_ack_wait_holds_from_its_update_on(old: int) -> None:
    node, stream = node_with_stream()
    consumer = add_consumer(node, stream, ack_wait_ns=old)
    node.publish(b"s.a", b"x")
    turns(node)
    node.pull("S", "C", 1)
    turns(node)
    assert len(node.deliveries) == 1
    kernel, spec = node.kernel, consumer_spec(ack_wait_ns=5 * SECOND_NS)
    node.commit(lambda t: kernel.propose_consumer_update(t, stream, consumer, b"C", spec))
    kernel.start_consumer(stream, consumer)
    node.pull_waiting("S", "C", 1, 100 * SECOND_NS)
    turns(node)
    for _ in range(10):
        node.clock.advance(SECOND_NS)
        node.turn()
    assert [d.deliveries for d in node.deliveries] == [1, 2]
    node.stop()


@pytest.mark.parametrize("duration", DURATIONS)
def test_heartbeats_of_pushes_and_pulls(duration: int) -> None:
    node, stream = node_with_stream()
    add_consumer(node, stream, deliver_subject=b"_PUSH", idle_heartbeat_ns=duration)
    turns(node)
    assert not [e for e in months(node) if isinstance(e, RequestEvent)]
    assert node.push_statuses == []
    node.stop()

    node, stream = node_with_stream()
    add_consumer(node, stream)
    body = b'{"batch":1,"expires":%d,"idle_heartbeat":%d}' % (LONGEST - 1, duration)
    subject = b"$JS.API.CONSUMER.MSG.NEXT.S.C"
    node.kernel.publish(node.account, subject, b"_SIM.9", b"", body)
    heartbeats = [e for e in months(node) if isinstance(e, RequestEvent)]
    assert [e.header.split(b"\r\n")[0] for e in heartbeats] == [
        b"NATS/1.0 400 Bad Request - heartbeat value too large"
    ]
    node.stop()


@pytest.mark.parametrize("duration", DURATIONS)
def test_messages_stay_and_ids_are_remembered(duration: int) -> None:
    node, stream = node_with_stream(
        max_age_ns=duration, duplicate_window_ns=duration, allow_msg_ttl=True
    )
    header = b"NATS/1.0\r\nNats-Msg-Id: one\r\nNats-TTL: %d\r\n\r\n" % (duration // SECOND_NS)
    node.publish(b"s.a", b"x", header)
    turns(node)
    months(node)
    again = node.publish(b"s.a", b"x", header)
    turns(node)
    assert b'"duplicate": true' in node.replies[again][0].body
    assert node.kernel.stream_state(stream).messages == 1
    node.stop()


@pytest.mark.parametrize("duration", DURATIONS)
def test_a_pause_without_an_end(duration: int) -> None:
    node, stream = node_with_stream()
    add_consumer(node, stream, pause_until_ns=duration)
    node.publish(b"s.a", b"x")
    node.pull_waiting("S", "C", 1, LONGEST)
    turns(node)
    assert not [e for e in months(node) if isinstance(e, RequestEvent)]
    node.stop()


@pytest.mark.parametrize("rate", [1, LONGEST])
def test_the_ends_of_a_rate_limit(rate: int) -> None:
    node, stream = node_with_stream(max_msg_size=200)  # what may go at once
    add_consumer(node, stream, deliver_subject=b"_PUSH", rate_limit_bps=rate)
    for _ in range(3):
        node.publish(b"s.a", b"x" * 200)
    turns(node, 20)
    assert len(node.deliveries) == (1 if rate == 1 else 3)
    node.stop()
