"""Power losses while streams count, put markers in the place of what has ended, and store messages
on other subjects than they came on.

Goal: what applying an entry makes beside the message itself (totals, markers, raised times to live)
follows from the log alone. Method: a seeded workload runs over the simulated disk and loses its
power at a random operation, several times; whatever the loss left is recovered. What was
acknowledged is there with what was acknowledged of it, each counter's message has the total of the
one before and its increment, each subject has at most one marker and nothing that should have
ended. A node that lost nothing recovers to the same bytes.
"""

from __future__ import annotations

import json
import random

import pytest

from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    PowerLoss,
    SimulatedClock,
    SimulatedNode,
    stream_spec,
)

SECOND_NS = 1_000_000_000
MARKER_NS = 5 * SECOND_NS
SPECS = {
    b"COUNT": stream_spec(
        subjects=[b"c.>"],
        counter=True,
        max_msgs_per_subject=3,
        transform_source=b"c.*.*",
        transform_destination=b"c.$1.{{partition(2,2)}}",
    ),
    b"MARK": stream_spec(
        subjects=[b"m.>"],
        allow_msg_ttl=True,
        allow_rollup=True,
        delete_marker_ttl_ns=MARKER_NS,
        max_age_ns=20 * SECOND_NS,
    ),
}


class Life:
    """One node after the other on one disk, and what it has acknowledged."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.disk, self.clock = SimDisk(seed), SimulatedClock()
        self.streams: dict[bytes, int] = {}
        self.acknowledged: dict[bytes, dict[int, dict[str, object]]] = {name: {} for name in SPECS}
        self.asked: dict[int, bytes] = {}
        self.boot()
        for name, spec in SPECS.items():
            token = self.node.next_number()
            self.streams[name] = self.node.kernel.propose_stream_create(
                token, self.node.account, name, b"{}", spec
            )
        self.settle()

    def boot(self) -> None:
        self.node = SimulatedNode(self.disk, self.clock, has_twin=True)

    def settle(self, turns: int = 8) -> None:
        for _ in range(turns):
            self.node.turn()
        self.note()

    def note(self) -> None:
        for number in [n for n in self.asked if n in self.node.replies]:
            answer = json.loads(self.node.replies.pop(number)[0].body)
            name = self.asked.pop(number)
            if "error" not in answer:
                self.acknowledged[name][answer["seq"]] = answer

    def step(self) -> None:
        kind = self.draw.randrange(6)
        if kind < 3:
            increment = self.draw.choice(["1", "-7", "9" * 30, "-" + "9" * 25])
            subject = b"c.%d.%d" % (self.draw.randrange(3), self.draw.randrange(9))
            self.publish(b"COUNT", subject, b"Nats-Incr: " + increment.encode())
        elif kind < 5:
            ttl = self.draw.choice([b"Nats-TTL: 1", b"Nats-TTL: 9", b"Nats-TTL: never", b"X: y"])
            self.publish(b"MARK", b"m.%d" % self.draw.randrange(12), ttl)
        else:
            self.clock.advance(self.draw.randrange(4 * SECOND_NS))
        self.node.turn()
        self.note()

    def publish(self, name: bytes, subject: bytes, header: bytes) -> None:
        number = self.node.publish(subject, b"", b"NATS/1.0\r\n" + header + b"\r\n\r\n")
        self.asked[number] = name

    def lose_power(self) -> None:
        self.disk.crash_at(self.disk.operations + self.draw.randrange(1, 60))
        try:
            for _ in range(80):
                self.step()
        except PowerLoss:
            self.note()
        self.disk = self.disk.image(self.draw.choice(list(Loss)), self.draw.randrange(1 << 30))
        self.asked.clear()
        self.boot()

    def messages(self, name: bytes) -> dict[int, tuple[bytes, bytes, bytes, int]]:
        stream = self.streams[name]
        state = self.node.kernel.stream_state(stream)
        found = {}
        for seq in range(state.first_seq, state.last_seq + 1):
            m = self.node.kernel.get_message(stream, seq)
            if m is not None:
                found[seq] = (m.subject, m.header, m.body, m.time_ns)
        assert len(found) == state.messages
        return found


def header(block: bytes, name: bytes) -> bytes:
    for line in block.split(b"\r\n"):
        if line.startswith(name + b": "):
            return line[len(name) + 2 :]
    return b""


def judge(life: Life) -> None:
    totals: dict[bytes, int] = {}
    for subject, block, body, _ in life.messages(b"COUNT").values():
        total = int(json.loads(body)["val"])
        if subject in totals:
            assert total == totals[subject] + int(header(block, b"Nats-Incr"))
        totals[subject] = total
        assert subject.split(b".")[2] in (b"0", b"1"), "stored where the transform says"
    for seq, (_, _, body, _) in life.messages(b"COUNT").items():
        answer = life.acknowledged[b"COUNT"].get(seq)
        assert answer is None or json.loads(body)["val"] == answer["val"]
    if life.acknowledged[b"COUNT"]:
        last = life.node.kernel.stream_state(life.streams[b"COUNT"]).last_seq
        assert last >= max(life.acknowledged[b"COUNT"])
    markers = [m for m in life.messages(b"MARK").values() if header(m[1], b"Nats-Marker-Reason")]
    assert len(markers) == len({m[0] for m in markers})
    for _, block, body, _ in markers:
        assert (header(block, b"Nats-TTL"), header(block, b"Nats-Rollup"), body) == (
            b"5s",
            b"sub",
            b"",
        )
    for _, block, _, _ in life.messages(b"MARK").values():
        assert header(block, b"Nats-TTL") in (b"", b"9", b"never", b"5s", b"5"), "raised"
    life.node.kernel.check()


@pytest.mark.parametrize("seed", range(12))
def test_power_losses(seed: int) -> None:
    life = Life(seed)
    for _ in range(4):
        for _ in range(life.draw.randrange(30)):
            life.step()
        life.lose_power()
        judge(life)
    life.settle()
    judge(life)
    life.node.stop()


@pytest.mark.parametrize("seed", range(4))
def test_recovery_makes_the_same_bytes(seed: int) -> None:
    """Also of what is only in the journal."""
    life = Life(seed)
    for _ in range(150):
        life.step()
    life.settle()
    before = {name: life.messages(name) for name in SPECS}
    life.disk = life.disk.image(Loss.none, 1) if seed % 2 else life.disk
    if seed % 2 == 0:
        life.node.stop()
    life.boot()
    assert {name: life.messages(name) for name in SPECS} == before
    life.node.stop()


def test_everything_ends_and_leaves_one_marker_for_a_while() -> None:  # S-156, S-158
    life = Life(99)
    for i in range(30):
        life.publish(b"MARK", b"m.%d" % (i % 10), b"Nats-TTL: 7")
    life.settle()
    life.clock.advance(8 * SECOND_NS)
    life.settle()
    left = life.messages(b"MARK")
    assert sorted(left) == list(range(31, 41))
    assert {m[0] for m in left.values()} == {b"m.%d" % i for i in range(10)}
    life.clock.advance(6 * SECOND_NS)
    life.settle()
    assert life.messages(b"MARK") == {}
    life.node.stop()
