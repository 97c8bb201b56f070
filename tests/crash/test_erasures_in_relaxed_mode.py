"""Goal: with a sync interval, an erasure never reaches the disk before the journal entry that says
so; else a power failure leaves a message that counts as there and has no body.

Method: a message is erased behind a checkpoint, and the power goes, with every way to lose what was
not synced. Each image is opened, and a consumer gets exactly the messages that the stream has.
"""

from __future__ import annotations

import os

import pytest

from slipstream.kernel._kernel import Loss, SimDisk, read_back
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

SEEDS = int(os.environ.get("SLIPSTREAM_ERASURE_SEEDS", "15"))
NEVER_NS = 10**15
MESSAGES, ERASED = 5, 3


def erased_just_now(seed: int) -> tuple[SimulatedNode, int]:
    node = SimulatedNode(SimDisk(seed), SimulatedClock(), sync_interval_ns=NEVER_NS)
    stream = node.commit(
        lambda token: node.kernel.propose_stream_create(
            token, node.account, b"S", b"S", stream_spec(subjects=[b"s.>"])
        )
    )
    node.commit(
        lambda token: node.kernel.propose_consumer_create(
            token, stream, b"C", b"C", consumer_spec()
        )
    )
    for number in range(MESSAGES):
        node.publish(b"s.1", b"secret %d" % number)
    for _ in range(5):
        node.turn()
    node.kernel.checkpoint()
    for _ in range(30):
        node.turn()
    node.commit(lambda token: node.kernel.propose_delete(token, stream, ERASED, True))
    for _ in range(3):
        node.turn()
    return node, stream


@pytest.mark.parametrize("loss", list(Loss))
def test_what_is_there_after_a_power_failure_can_be_read(loss: Loss) -> None:
    for seed in range(SEEDS):
        node, stream = erased_just_now(seed)
        clock = SimulatedClock()
        clock.advance(node.clock.now_ns - clock.now_ns)
        again = SimulatedNode(node.disk.image(loss, seed), clock, sync_interval_ns=NEVER_NS)
        messages = again.kernel.stream_state(stream).messages
        assert messages in (MESSAGES - 1, MESSAGES), seed
        assert read_back(again.kernel, stream, 99) == (messages, []), seed
        again.pull("S", "C", 10)
        for _ in range(8):
            again.turn()
        assert not again.failed
        assert len(again.deliveries) == messages, seed
        again.kernel.check()
