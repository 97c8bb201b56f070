"""The log of a stream is in the journal in the order of its entries, whatever had to wait for room.

Goal: entries that may use the journal's reserve (removals) pass those of other streams, never
earlier ones of their own stream; else the next start finds a gap in the log, and the stream is
offline. Method: streams are published to, and messages removed from them, faster than a small
journal gets room; then a copy of the disk is recovered, and has what was acknowledged.
"""

from __future__ import annotations

import json
import random

import pytest

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    stream_spec,
)

SIZES = StoreSizes(
    journal_file_bytes=8 << 10, journal_bytes_max=32 << 10, segment_bytes_max=4 << 10
)
NAMES = (b"A", b"B", b"C")
TURNS_MAX = 300
RETRY_NS = 100_000_000


def create(node: SimulatedNode, name: bytes) -> int:
    spec = stream_spec(subjects=[name + b".>"])
    return node.commit(
        lambda token: node.kernel.propose_stream_create(token, node.account, name, name, spec)
    )


@pytest.mark.parametrize("seed", range(8))
def test_removals_do_not_pass_messages_of_their_stream(seed: int) -> None:
    draw = random.Random(seed)
    disk, clock = SimDisk(seed), SimulatedClock()
    node = SimulatedNode(disk, clock, sizes=SIZES)
    streams = {name: create(node, name) for name in NAMES}
    asked: dict[int, bytes] = {}
    for _ in range(60):
        for name in NAMES:
            for _ in range(draw.randrange(3)):
                body = b"x" * draw.choice((10, 900, 3000))
                asked[node.publish(name + b".1", body)] = name
            if draw.random() < 0.7:
                last = node.kernel.stream_state(streams[name]).last_seq
                node.kernel.propose_delete(node.next_number(), streams[name], max(1, last), False)
        for _ in range(draw.randrange(3)):
            node.turn()
    for _ in range(TURNS_MAX):
        clock.advance(RETRY_NS)
        node.turn()
        if asked.keys() <= node.replies.keys():
            break
    stored = dict.fromkeys(NAMES, 0)
    for number, name in asked.items():
        answer = json.loads(node.replies[number][0].body)
        stored[name] = max(stored[name], answer.get("seq", 0))
    states = node.kernel.canonical_states()
    assert len(states) == len(NAMES)

    found = SimulatedNode(disk.image(Loss.all), clock, sizes=SIZES)
    assert [record.offline for record in found.recovered] == [""] * len(NAMES)
    assert found.kernel.canonical_states() == states
    for name in NAMES:
        assert found.kernel.stream_state(streams[name]).last_seq == stored[name] > 0
