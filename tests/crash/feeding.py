"""Streams that copy others on a simulated node: what the API does to set up a mirror or a source,
without the API.
"""

from __future__ import annotations

from typing import NamedTuple

from slipstream.kernel.values import StoredMessage
from slipstream.testing.simulated_node import (
    SimulatedNode,
    consumer_spec,
    feed_spec,
    stream_spec,
)

TURNS_MAX = 200


def settle(node: SimulatedNode, token: int) -> None:
    """Until the proposal is committed."""
    for _ in range(TURNS_MAX):
        if token in node.committed:
            return
        node.turn()
    raise AssertionError("never committed")


def create_stream(node: SimulatedNode, name: bytes, **spec: object) -> int:
    token = node.next_number()
    stream = node.kernel.propose_stream_create(token, node.account, name, name, stream_spec(**spec))
    settle(node, token)
    return stream


class Feed(NamedTuple):
    number: int
    position: int  # behind which it goes on


def connect(
    node: SimulatedNode,
    origin: int,
    copy: int,
    *,
    source: bytes = b"",
    identity: bytes = b"",
    restart: bool = False,
    filters: list[bytes] | None = None,
) -> Feed:
    """Asks the origin for a consumer behind what the copy has, and opens a feed."""
    kernel = node.kernel
    number = node.next_number()
    position = kernel.source_position(copy, source)
    assert position is not None, "an earlier feed is not finished"
    after = 0 if restart else position.seq
    name, subject = b"feed%d" % number, b"$JS.M.%d" % number
    consumer = kernel.propose_consumer_create(
        number,
        origin,
        name,
        name,
        consumer_spec(
            durable=False,
            deliver_policy=3 if after else 0,
            opt_start_seq=after + 1 if after else 0,
            ack_policy=0,
            ack_wait_ns=0,
            max_deliver=1,
            max_ack_pending=-1,
            deliver_subject=subject,
            flow_control=True,
            idle_heartbeat_ns=1_000_000_000,
            inactive_threshold_ns=10_000_000_000,
            filters=filters or [],
        ),
    )
    settle(node, number)
    spec = feed_spec(
        source=source,
        identity=identity,
        deliver_subject=subject,
        consumer=name,
        after=after,
        delivered=kernel.consumer_state(origin, consumer).delivered_stream_seq,
        restart=restart,
    )
    assert kernel.open_feed(copy, number, spec)
    kernel.start_consumer(origin, consumer)
    return Feed(number, after)


def drain(node: SimulatedNode, copy: int, feed: Feed, origin_seq: int) -> None:
    """Until the feed has taken in everything up to a sequence, and all of it is applied."""
    for _ in range(TURNS_MAX):
        status = node.kernel.feed_status(copy, feed.number)
        assert status is not None
        assert status.open, (status, node.failed)
        if status.origin_seq >= origin_seq and status.in_flight == 0:
            return
        node.turn()
    raise AssertionError(f"the feed does not get there: {status}")


def content(node: SimulatedNode, stream: int) -> list[StoredMessage]:
    found, seq = [], 1
    while (message := node.kernel.get_next(stream, b"", seq)) is not None:
        found.append(message)
        seq = message.seq + 1
    return found
