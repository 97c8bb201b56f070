"""Goal: a checkpoint has the tables of a stream (times to live, schedules, totals of counters,
removed messages) as they were when it began, though they are written over many turns.

Method: streams with more of each than a turn writes; beside the checkpoint messages come, are
removed and expire, schedules are replaced and run, counters count. Then another
node starts from an image of the disk: from the checkpoint and the entries behind it. Its state must
be the one that the first node has.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    stream_spec,
)

SECOND = 1_000_000_000
SIZES = StoreSizes(journal_file_bytes=64 << 10, journal_bytes_max=1 << 20)
SETTINGS: dict[bytes, dict[str, Any]] = {
    b"T": {"allow_msg_ttl": True, "allow_rollup": True},
    b"P": {"allow_schedules": True, "allow_rollup": True, "allow_msg_ttl": True},
    b"C": {"counter": True},
    b"D": {"max_msgs_per_subject": 1},
}
PLANS, COUNTERS = 40, 40


class World:
    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.clock = SimulatedClock()
        self.node = SimulatedNode(SimDisk(seed), self.clock, sizes=SIZES)
        self.streams = {
            name: self.create(name, **{"subjects": [name + b".>"], **settings})
            for name, settings in SETTINGS.items()
        }
        for number in range(60):
            self.expiring(), self.mortal(number)
        for number in range(PLANS):
            self.plan(number)
        for number in range(COUNTERS):
            self.count(number)
        self.turn(8)

    def create(self, name: bytes, **settings: Any) -> int:
        kernel, account, spec = self.node.kernel, self.node.account, stream_spec(**settings)
        return self.node.commit(
            lambda t: kernel.propose_stream_create(t, account, name, name, spec)
        )

    def turn(self, count: int = 1) -> None:
        for _ in range(count):
            self.node.turn()

    def publish(self, subject: bytes, **fields: object) -> None:
        lines = b"".join(f"{k.replace('_', '-')}: {v}\r\n".encode() for k, v in fields.items())
        self.node.publish(subject, b"x", b"NATS/1.0\r\n" + lines + b"\r\n" if lines else b"")

    def expiring(self) -> None:
        ttl = self.draw.choice(["never", 5, 50, 500, 5000])
        self.publish(b"T.%d" % self.draw.randrange(30), Nats_TTL=ttl)

    def mortal(self, number: int) -> None:
        self.publish(b"D.%d" % number)
        self.publish(b"D.%d" % self.draw.randrange(60))

    def plan(self, number: int) -> None:
        pattern = self.draw.choice(["@every 20s", "@every 1h", "@every 300s"])
        self.publish(b"P.plan.%d" % number, Nats_Schedule=pattern, Nats_Schedule_Target="P.target")

    def count(self, number: int) -> None:
        increment = self.draw.choice([1, -3, 10**25])
        header = b"NATS/1.0\r\nNats-Incr: %+d\r\n\r\n" % increment
        self.node.publish(b"C.%d" % number, b"", header)

    def remove(self) -> None:
        stream = self.streams[self.draw.choice([b"T", b"P", b"D", b"C"])]
        state = self.node.kernel.stream_state(stream)
        if state.messages:
            seq = self.draw.randrange(state.first_seq, state.last_seq + 1)
            self.node.kernel.propose_delete(self.node.next_number(), stream, seq, False)

    def something(self) -> None:
        acts = [
            self.expiring,
            lambda: self.mortal(self.draw.randrange(60)),
            lambda: self.plan(self.draw.randrange(PLANS + 5)),
            lambda: self.count(self.draw.randrange(COUNTERS + 5)),
            self.remove,
            lambda: self.clock.advance(SECOND * self.draw.randrange(8)),
        ]
        for act in self.draw.choices(acts, weights=[4, 4, 3, 4, 4, 1], k=3):
            act()
        self.turn()

    def checkpoint(self) -> int:
        done = self.node.kernel.store_stats().checkpoints
        self.node.kernel.checkpoint()
        turns = 0
        while self.node.kernel.store_stats().checkpoints == done:
            self.something()
            turns += 1
            assert turns < 2000
        return turns


@pytest.mark.parametrize("seed", range(12))
def test_what_changes_beside_a_checkpoint(seed: int) -> None:
    world = World(seed)
    for _ in range(3):
        assert world.checkpoint() > 8, "the tables were written in one piece"
        for _ in range(world.draw.randrange(6)):
            world.something()
    world.turn(10)
    live = world.node.kernel.canonical_states()
    assert len(live) == len(SETTINGS)
    found = SimulatedNode(world.node.disk.image(Loss.none, 1), world.clock, sizes=SIZES)
    assert found.kernel.canonical_states() == live
    found.kernel.check()
