"""Goal: a read that fails costs no more than it has to. What will pass (too many open files) is no
damage: the message is delivered when it can be read. A message whose head is damaged does not keep
the age limit from the others.

Method: nodes on the simulated disk, opened again so that messages lie in files alone, with errors
injected into the opening of segments, or with a flipped bit in the first record.
"""

from __future__ import annotations

import errno

from slipstream.kernel._kernel import OPEN_READ, Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

SECOND = 1_000_000_000
MESSAGES = 20


def stored(clock: SimulatedClock, **fields: object) -> tuple[SimDisk, int]:
    """A stopped node's disk with a stream and its consumer, and the stream's id."""
    node = SimulatedNode(SimDisk(1), clock)
    spec = stream_spec(subjects=[b"s"], **fields)
    stream = node.commit(
        lambda t: node.kernel.propose_stream_create(t, node.account, b"S", b"S", spec)
    )
    node.commit(
        lambda t: node.kernel.propose_consumer_create(t, stream, b"C", b"C", consumer_spec())
    )
    for number in range(MESSAGES):
        node.publish(b"s", b"message %d " % number + b"x" * 500)
        node.turn()
    for _ in range(6):
        node.turn()
    node.stop()
    return node.disk.image(Loss.none), stream


def turns(node: SimulatedNode, count: int = 10) -> None:
    for _ in range(count):
        node.turn()


def test_too_many_open_files_are_no_damage() -> None:
    clock = SimulatedClock()
    disk, _ = stored(clock)
    node = SimulatedNode(disk, clock)
    disk.set_cold(True)
    disk.inject(errno.EMFILE, 0, 1_000_000, "segment")
    node.pull_waiting("S", "C", MESSAGES, 60 * SECOND)
    turns(node, 20)
    assert disk.injected > 0
    assert not node.damaged
    assert not node.deliveries
    disk.inject(0, 0, 0, "")
    turns(node, 60)
    assert [delivery.stream_seq for delivery in node.deliveries] == list(range(1, MESSAGES + 1))
    assert not node.damaged


def test_the_age_limit_passes_a_damaged_message() -> None:
    clock = SimulatedClock()
    disk, stream = stored(clock, max_age_ns=3600 * SECOND)
    (folder,) = disk.list("streams")
    path = f"streams/{folder}/{disk.list(f'streams/{folder}')[0]}"
    handle = disk.open(path, OPEN_READ)
    content = disk.pread(handle, disk.size(handle), 0)
    disk.close(handle)
    disk.flip_bit(path, content.index(b"message 0 ") - 20, 1)  # in the head, where the time is
    node = SimulatedNode(disk, clock)
    assert node.kernel.stream_state(stream).messages == MESSAGES
    clock.advance(1800 * SECOND)
    node.publish(b"s", b"young")
    turns(node)
    assert node.kernel.stream_state(stream).messages == MESSAGES + 1
    clock.advance(1801 * SECOND)
    turns(node, 300)
    state = node.kernel.stream_state(stream)
    assert (state.messages, state.first_seq) == (1, MESSAGES + 1)
