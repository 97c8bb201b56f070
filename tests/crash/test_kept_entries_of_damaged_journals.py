"""Goal: while a stream is offline the journal releases nothing of it that was not set aside, also
where the journal itself is damaged.

Method: a bit of one record in the midst of a journal file is flipped under a running node with an
offline stream, then checkpoints go on. Damage to another stream's entry costs nothing: that is
proved by the offline stream's entries being there without a gap. Where the damaged record may be
one of them, or where it ends cannot be said, no file is released and the node says why; with the
bit put back the next start has everything.
"""

from __future__ import annotations

import pytest

from slipstream.kernel._kernel import OPEN_READ, Loss, SimDisk
from slipstream.kernel.events import DamageEvent
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode, stream_spec

ROUNDS = 8
RECORD_HEAD = 41


def create(node: SimulatedNode, name: bytes) -> int:
    spec = stream_spec(subjects=[name + b".>"])
    return node.commit(
        lambda token: node.kernel.propose_stream_create(token, node.account, name, name, spec)
    )


class Node:
    """Stream A goes offline with entries in the journal between those of B."""

    def __init__(self, is_new: bool) -> None:
        self.disk, self.clock = SimDisk(1), SimulatedClock()
        self.node = SimulatedNode(self.disk, self.clock)
        self.told: list[str] = []
        self.a, self.b = create(self.node, b"A"), create(self.node, b"B")
        if not is_new:
            self.rounds(2)
            for _ in range(40):  # until the last of them is over
                self.node.turn()
        for number in range(6):
            for name in (b"A", b"B"):
                self.publish(name, number)
        self.states = self.node.kernel.canonical_states()
        self.node.kernel.take_offline(self.a, "as the test asks")

    def publish(self, name: bytes, number: int, more: bytes = b"") -> None:
        asked = self.node.publish(name + b".x", b"%s number %d" % (name, number) + more)
        while asked not in self.node.replies:
            self.node.turn()

    def pass_file(self) -> None:
        """So that the journal's file is not needed by what comes."""
        for number in range(100, 110):
            self.publish(b"B", number, bytes(2000))

    def kept_files(self) -> list[str]:
        return self.disk.list("offline") if "offline" in self.disk.list("") else []

    def rounds(self, count: int = ROUNDS) -> int:
        """How many were finished."""
        done = self.node.kernel.store_stats().checkpoints
        for _ in range(count * 4):
            self.node.kernel.checkpoint()
            for event in self.node.step(1_100_000_000):
                if isinstance(event, DamageEvent):
                    self.told.append(event.text)
        return self.node.kernel.store_stats().checkpoints - done

    def flip(self, text: bytes, offset: int) -> tuple[str, int]:
        """In the record with this body; `offset` counts from the body's beginning."""
        for name in self.disk.list("journal"):
            path = f"journal/{name}"
            handle = self.disk.open(path, OPEN_READ)
            content = self.disk.pread(handle, self.disk.size(handle), 0)
            self.disk.close(handle)
            at = content.find(text)
            if at >= 0:
                self.disk.flip_bit(path, at + offset, 2)
                return path, at + offset
        raise AssertionError("not in the journal")


def length_offset() -> int:
    """From a body back to its record's length: the entry's time and count, the message's sizes and
    its subject are between them.
    """
    return -(RECORD_HEAD + 8 + 4 + 10 + len(b"A.x"))


@pytest.mark.parametrize("is_new", [False, True])
def test_damage_to_another_streams_entry_costs_nothing(is_new: bool) -> None:
    node = Node(is_new)
    node.flip(b"B number 3", 4)
    node.pass_file()
    assert node.rounds() > 1
    assert any("was set aside" in text for text in node.told)
    found = SimulatedNode(node.disk.image(Loss.all), node.clock)
    assert [record.offline for record in found.recovered] == ["", ""]
    assert found.kernel.canonical_states()[node.a] == node.states[node.a]
    assert found.kernel.stream_state(node.b).messages == 16


@pytest.mark.parametrize("is_new", [False, True])
@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (b"A number 0", 4),
        (b"A number 3", 4),
        (b"A number 5", 4),
        (b"B number 3", length_offset()),
    ],
)
def test_nothing_is_released_that_was_not_kept(text: bytes, offset: int, is_new: bool) -> None:
    node = Node(is_new)
    path, at = node.flip(text, offset)
    assert node.rounds() == 0
    assert [told for told in node.told if "no file of the journal is released" in told]
    assert node.kept_files() == []
    node.pass_file()
    assert node.rounds() == 0
    kept = node.disk.image(Loss.none)
    kept.flip_bit(path, at, 2)
    found = SimulatedNode(kept, node.clock)
    assert [record.offline for record in found.recovered] == ["", ""]
    assert found.kernel.canonical_states()[node.a] == node.states[node.a]
    # Whoever does not need the stream any more deletes it, and the journal is released.
    node.node.commit(lambda token: node.node.kernel.propose_stream_delete(token, node.a))
    assert node.rounds() > 1
    again = SimulatedNode(node.disk.image(Loss.all), node.clock)
    assert [(record.stream, record.offline) for record in again.recovered] == [(node.b, "")]
    assert again.kernel.stream_state(node.b).messages == 16


def test_damage_behind_what_was_kept() -> None:
    """All that the journal had of the stream is kept already."""
    node = Node(is_new=False)
    assert node.rounds() > 1
    for number in range(6, 9):
        node.publish(b"B", number)
    node.flip(b"B number 7", 4)
    node.pass_file()
    assert node.rounds() > 1
    found = SimulatedNode(node.disk.image(Loss.all), node.clock)
    assert [record.offline for record in found.recovered] == ["", ""]
    assert found.kernel.canonical_states()[node.a] == node.states[node.a]
    assert found.kernel.stream_state(node.b).messages == 19
