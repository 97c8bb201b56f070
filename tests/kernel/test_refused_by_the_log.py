"""Goal: what the log refuses, or a device cannot take, is neither claimed to be done nor forgotten.

Method: a consumer that nobody uses and whose deletion is not proposed; a message that is to be
erased from a store whose device has failed. The simulated node has both without a client.
"""

from __future__ import annotations

import errno

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.kernel.events import InactiveEvent
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

SECOND_NS = 1_000_000_000


def create(node: SimulatedNode) -> int:
    return node.commit(
        lambda token: node.kernel.propose_stream_create(
            token, node.account, b"S", b"{}", stream_spec(subjects=[b"s.>"])
        )
    )


def test_unused_consumer_is_reported_again() -> None:
    """Its deletion may have been refused: the disk was full, for example."""
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    stream = create(node)
    spec = consumer_spec(durable=False, inactive_threshold_ns=2 * SECOND_NS)
    consumer = node.commit(
        lambda token: node.kernel.propose_consumer_create(token, stream, b"C", b"C", spec)
    )
    node.kernel.start_consumer(stream, consumer)
    reported = []
    for second in range(60):
        events = node.step(SECOND_NS)
        reported += [second for event in events if event == InactiveEvent(stream, consumer)]
    assert reported[0] <= 3
    assert 4 <= len(reported) <= 7
    node.pull("S", "C", 1)
    node.turn()
    assert not any(isinstance(event, InactiveEvent) for event in node.step(SECOND_NS))


def test_erasure_from_a_failed_store_is_not_confirmed() -> None:
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    stream = create(node)
    for number in range(3):
        node.publish(b"s.a", b"number %d" % number)
        node.turn()
    done = node.kernel.store_stats().checkpoints
    node.kernel.checkpoint()
    while node.kernel.store_stats().checkpoints == done:
        node.turn()
    node.disk.inject(errno.EIO, 0, 1, f"streams/{stream:016x}")
    node.commit(lambda token: node.kernel.propose_delete(token, stream, 1, True))
    assert node.disk.injected == 1
    token = node.next_number()
    node.kernel.propose_delete(token, stream, 2, True)
    for _ in range(8):
        node.turn()
    assert token not in node.committed
    assert stream in node.offline
    found = SimulatedNode(node.disk.image(Loss.none), SimulatedClock())
    assert [record.offline for record in found.recovered] == [""]
    assert found.kernel.get_message(stream, 2) is None
    assert found.kernel.get_message(stream, 3) is not None
