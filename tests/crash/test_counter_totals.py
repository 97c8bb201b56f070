"""What a counter counts on is part of its stream's state.

Goal: no acknowledged increment is lost and no message renumbered, whatever becomes of the stored
messages: erased, deleted, damaged on the disk. Method: increments, removals and checkpoints in
random order against a model of a few lines; then the node is started from an image of its disk in
which every body has a flipped bit, and must go on counting where it was. A twin applies the same
entries from the log alone.
"""

from __future__ import annotations

import json
import random

import pytest

from slipstream.kernel._kernel import OPEN_READ, Loss, SimDisk
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode, stream_spec

SUBJECTS = [b"c.a", b"c.b", b"c.c"]


class Counters:
    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.clock = SimulatedClock()
        self.node = SimulatedNode(SimDisk(seed), self.clock, has_twin=True)
        spec = stream_spec(subjects=[b"c.>"], counter=True)
        self.stream = self.node.commit(
            lambda token: self.node.kernel.propose_stream_create(
                token, self.node.account, b"C", b"{}", spec
            )
        )
        self.totals: dict[bytes, list[tuple[int, int]]] = {s: [] for s in SUBJECTS}
        self.last = 0

    def increment(self, subject: bytes, number: int) -> int:
        header = b"NATS/1.0\r\nNats-Incr: %+d\r\n\r\n" % number
        asked = self.node.publish(subject, b"", header)
        while asked not in self.node.replies:
            self.node.turn()
        answer = json.loads(self.node.replies.pop(asked)[0].body)
        stored = self.totals[subject]
        total = (stored[-1][1] if stored else 0) + number
        self.last += 1
        assert (answer["seq"], answer["val"]) == (self.last, str(total))
        stored.append((self.last, total))
        return total

    def remove(self) -> None:
        seqs = [(seq, s) for s, stored in self.totals.items() for seq, _ in stored]
        if not seqs:
            return
        # Often the newest of a subject, whose total then is that of the one before.
        seq, subject = self.draw.choice(seqs)
        if self.draw.random() < 0.5:
            seq = self.totals[subject][-1][0]
        erase = self.draw.random() < 0.7
        self.node.commit(lambda t: self.node.kernel.propose_delete(t, self.stream, seq, erase))
        self.totals[subject] = [entry for entry in self.totals[subject] if entry[0] != seq]

    def checkpoint(self) -> None:
        done = self.node.kernel.store_stats().checkpoints
        self.node.kernel.checkpoint()
        while self.node.kernel.store_stats().checkpoints == done:
            self.node.turn()

    def step(self) -> None:
        kind = self.draw.random()
        if kind < 0.6:
            number = self.draw.choice([1, -7, 10**30, 3])
            self.increment(self.draw.choice(SUBJECTS), number)
        elif kind < 0.9:
            self.remove()
        else:
            self.checkpoint()

    def restart(self, disk: SimDisk) -> None:
        self.node = SimulatedNode(disk, self.clock)
        assert [record.stream for record in self.node.recovered] == [self.stream]
        state = self.node.kernel.stream_state(self.stream)
        assert state.last_seq == self.last
        assert state.messages == sum(len(stored) for stored in self.totals.values())


def flip_bodies(disk: SimDisk, folder: str) -> int:
    flipped = 0
    for name in disk.list(folder):
        path = f"{folder}/{name}"
        handle = disk.open(path, OPEN_READ)
        content = disk.pread(handle, disk.size(handle), 0)
        disk.close(handle)
        at = content.find(b'{"val"')
        while at >= 0:
            disk.flip_bit(path, at, 3)
            flipped += 1
            at = content.find(b'{"val"', at + 1)
    return flipped


@pytest.mark.parametrize("seed", range(12))
def test_totals_outlive_their_messages(seed: int) -> None:
    counters = Counters(seed)
    for _ in range(60):
        counters.step()
    assert counters.node.twin is not None
    assert counters.node.twin.compare() == 1
    counters.checkpoint()
    for _ in range(10):
        counters.step()
    image = counters.node.disk.image(Loss.none, 1)
    flipped = flip_bodies(image, f"streams/{counters.stream:016x}")
    assert flipped, "nothing was written to the segments"
    counters.restart(image)
    for subject in SUBJECTS:
        counters.increment(subject, 5)


def test_acknowledged_increment_behind_an_erased_one() -> None:
    """The one before it is erased in its segment when the log is applied again."""
    counters = Counters(1)
    counters.increment(b"c.a", 1)
    counters.checkpoint()
    counters.increment(b"c.a", 2)
    counters.increment(b"c.b", 3)
    counters.node.commit(lambda t: counters.node.kernel.propose_delete(t, counters.stream, 1, True))
    counters.totals[b"c.a"].pop(0)
    counters.restart(counters.node.disk.image(Loss.none, 1))
    assert counters.increment(b"c.a", 4) == 7


def test_two_newest_removed_at_once() -> None:
    """Their removals are proposed before either is applied: no entry says what is left then."""
    counters = Counters(1)
    for _ in range(3):
        counters.increment(b"c.a", 10)
    tokens = [counters.node.next_number() for _ in range(2)]
    for token, seq in zip(tokens, (2, 3), strict=True):
        counters.node.kernel.propose_delete(token, counters.stream, seq, True)
    while not all(token in counters.node.committed for token in tokens):
        counters.node.turn()
    del counters.totals[b"c.a"][1:]
    header = b"NATS/1.0\r\nNats-Incr: 1\r\n\r\n"
    asked = counters.node.publish(b"c.a", b"", header)
    for _ in range(6):
        counters.node.turn()
    answer = json.loads(counters.node.replies.pop(asked)[0].body)
    assert "error" in answer, "it is refused, not counted on a total that is not known"
    assert counters.increment(b"c.a", 1) == 11, "the leader has read it meanwhile"
    assert counters.node.twin is not None
    assert counters.node.twin.compare() == 1
