"""Messages whose heads cannot be read, and what rests on the last message of a subject.

Goal: what a device has lost never decides about an entry. An entry that was applied before the
damage, and that cannot be decided without the lost messages, stops its stream: nothing acknowledged
is refused, counted again or renumbered by a replay. Behind the damage the running stream decides by
what its log says is lost, and each replay decides the same. Method: subjects in the heads of stored
records get a flipped bit; then counters, expected sequences, schedules and batches go on, and the
state is compared with that of a start from the same disk.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from feeding import connect, create_stream
from slipstream.kernel._kernel import OPEN_READ, Loss, SimDisk
from slipstream.kernel.events import RequestEvent
from slipstream.testing.simulated_node import (
    INBOX,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

COUNTER_BROKEN, WRONG_SEQUENCE = 10172, 10071


def create(node: SimulatedNode, **spec: Any) -> int:
    return node.commit(
        lambda token: node.kernel.propose_stream_create(
            token, node.account, b"S", b"{}", stream_spec(subjects=[b"c.>"], **spec)
        )
    )


def headers(*lines: bytes) -> bytes:
    return b"NATS/1.0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def ask(node: SimulatedNode, subject: bytes, *lines: bytes, body: bytes = b"") -> Any:
    asked = node.publish(subject, body, headers(*lines))
    for _ in range(8):
        node.turn()
    return json.loads(node.replies.pop(asked)[0].body)


def increment(node: SimulatedNode, subject: bytes, number: int) -> Any:
    return ask(node, subject, b"Nats-Incr: %d" % number)


def checkpoint(node: SimulatedNode) -> None:
    done = node.kernel.store_stats().checkpoints
    node.kernel.checkpoint()
    while node.kernel.store_stats().checkpoints == done:
        node.turn()


def lose_heads(disk: SimDisk, stream: int, subject: bytes) -> SimDisk:
    """An image in which no head of a stored message of this subject can be read."""
    image = disk.image(Loss.none)
    flipped, folder = 0, f"streams/{stream:016x}"
    for name in image.list(folder):
        path = f"{folder}/{name}"
        handle = image.open(path, OPEN_READ)
        content = image.pread(handle, image.size(handle), 0)
        image.close(handle)
        at = content.find(subject)
        while at >= 0:
            image.flip_bit(path, at, 3)
            flipped += 1
            at = content.find(subject, at + 1)
    assert flipped, "nothing was written to the segments"
    return image


class Damaged:
    """A counter stream that has lost the subject of its messages on c.a, and goes on."""

    def __init__(self, **spec: Any) -> None:
        self.clock = SimulatedClock()
        node = SimulatedNode(SimDisk(1), self.clock)
        self.stream = create(node, counter=True, **spec)
        for _ in range(3):
            increment(node, b"c.a", 1)
            increment(node, b"c.b", 10)
        assert increment(node, b"c.a", 1)["val"] == "4"
        checkpoint(node)
        self.node = SimulatedNode(
            lose_heads(node.disk, self.stream, b"c.a"), self.clock, has_twin=True
        )
        assert [record.offline for record in self.node.recovered] == [""]

    def check_replays(self) -> None:
        """Each start decides as the running stream has."""
        assert self.node.offline == {}
        state = self.node.kernel.canonical_states()
        assert state
        for _ in range(2):
            found = SimulatedNode(self.node.disk.image(Loss.none), self.clock)
            assert [record.offline for record in found.recovered] == [""]
            assert found.kernel.canonical_states() == state
        self.node.kernel.check()


def test_unknown_counter_is_refused_and_known_ones_go_on() -> None:
    damaged = Damaged()
    for _ in range(2):
        for subject in (b"c.a", b"c.new"):
            assert increment(damaged.node, subject, 1)["error"]["err_code"] == COUNTER_BROKEN
        assert "val" in increment(damaged.node, b"c.b", 10)
        damaged.check_replays()
        checkpoint(damaged.node)
        damaged.check_replays()
    assert increment(damaged.node, b"c.b", 10)["val"] == "60"


def test_total_that_is_removed_in_flight() -> None:
    """The increments were proposed while the total was known."""
    damaged = Damaged()
    node = damaged.node
    node.kernel.propose_purge(node.next_number(), damaged.stream, b"c.b", 0, 0)
    assert increment(node, b"c.b", 1)["error"]["err_code"] == COUNTER_BROKEN
    damaged.check_replays()


def test_batches_with_unknown_counters() -> None:
    damaged = Damaged(allow_atomic=True, allow_batched=True)
    node = damaged.node
    last = node.kernel.stream_state(damaged.stream).last_seq
    batch = [b"Nats-Incr: 1", b"Nats-Batch-Id: one"]
    node.publish(b"c.b", b"", headers(*batch, b"Nats-Batch-Sequence: 1"))
    node.turn()
    answer = ask(node, b"c.a", *batch, b"Nats-Batch-Sequence: 2", b"Nats-Batch-Commit: 1")
    assert answer["error"]["err_code"] == COUNTER_BROKEN
    fast = INBOX + b"1.two.10.fail.1.2.$FI"
    node.kernel.publish(node.account, b"c.a", fast, headers(b"Nats-Incr: 1"), b"")
    events = [event for _ in range(6) for event in node.step(1_000_000)]
    answers = [json.loads(e.body) for e in events if isinstance(e, RequestEvent)]
    assert [answer["error"]["err_code"] for answer in answers] == [COUNTER_BROKEN]
    assert node.kernel.stream_state(damaged.stream).last_seq == last
    damaged.check_replays()


def test_copies_with_unknown_counters() -> None:
    """What is refused is asked for again, and nothing else is lost."""
    clock = SimulatedClock()
    node = SimulatedNode(SimDisk(1), clock)
    origin = create_stream(node, b"O", subjects=[b"c.>"], counter=True)
    copy = create_stream(node, b"S", counter=True, sourced=True)
    connect(node, origin, copy, source=b"O > >")
    for subject in (b"c.a", b"c.a", b"c.b"):
        increment(node, subject, 1)
    while node.kernel.stream_state(copy).last_seq < 3:
        node.turn()
    checkpoint(node)
    node = SimulatedNode(lose_heads(node.disk, copy, b"c.a"), clock, has_twin=True)
    connect(node, origin, copy, source=b"O > >")
    for subject in (b"c.b", b"c.a"):
        increment(node, subject, 1)
    for _ in range(20):
        node.turn()
    assert [feed.stream for feed in node.stopped_feeds] == [copy]
    assert node.offline == {}
    assert node.kernel.stream_state(copy).last_seq == 4
    state = node.kernel.canonical_states()[copy]
    found = SimulatedNode(node.disk.image(Loss.none), clock)
    assert [record.offline for record in found.recovered] == ["", ""]
    assert found.kernel.canonical_states()[copy] == state


def test_removed_messages_are_waited_for_no_more() -> None:
    damaged = Damaged()
    node = damaged.node
    assert increment(node, b"c.new", 1)["error"]["err_code"] == COUNTER_BROKEN
    for seq in (1, 3, 5, 7):
        node.commit(
            lambda token, seq=seq: node.kernel.propose_delete(token, damaged.stream, seq, False)
        )
    assert increment(node, b"c.new", 1)["val"] == "1"
    damaged.check_replays()


def test_readable_again() -> None:
    """Whoever puts the bytes back has the totals back, where the snapshot has them."""
    damaged = Damaged()
    assert increment(damaged.node, b"c.new", 1)["error"]["err_code"] == COUNTER_BROKEN
    mended = lose_heads(damaged.node.disk, damaged.stream, b"k.a")  # the same bits
    damaged.node = SimulatedNode(mended, damaged.clock)
    assert increment(damaged.node, b"c.new", 1)["val"] == "1"
    assert increment(damaged.node, b"c.a", 1)["val"] == "5"
    damaged.check_replays()


@pytest.mark.parametrize(
    ("spec", "before", "after"),
    [
        ({"counter": True}, (b"Nats-Incr: 1",), (b"Nats-Incr: 5",)),
        ({}, (), (b"Nats-Expected-Last-Subject-Sequence: 1",)),
        (
            {"allow_atomic": True},
            (),
            (
                b"Nats-Expected-Last-Subject-Sequence: 1",
                b"Nats-Batch-Id: one",
                b"Nats-Batch-Sequence: 1",
                b"Nats-Batch-Commit: 1",
            ),
        ),
    ],
)
def test_acknowledged_before_the_damage(
    spec: dict[str, Any], before: tuple[bytes, ...], after: tuple[bytes, ...]
) -> None:
    """What is in the journal alone was decided by messages that are lost now."""
    clock = SimulatedClock()
    node = SimulatedNode(SimDisk(1), clock)
    stream = create(node, **spec)
    assert ask(node, b"c.a", *before)["seq"] == 1
    checkpoint(node)
    assert ask(node, b"c.a", *after)["seq"] == 2
    assert ask(node, b"c.b", *before)["seq"] == 3
    disk = lose_heads(node.disk, stream, b"c.a")
    for _ in range(2):
        found = SimulatedNode(disk, clock)
        assert "a message that cannot be read" in found.recovered[0].offline
        assert "error" in ask(found, b"c.b", *before)
        disk = disk.image(Loss.none)


def test_expectation_that_damage_leaves_decided() -> None:
    clock = SimulatedClock()
    node = SimulatedNode(SimDisk(1), clock)
    stream = create(node)
    assert ask(node, b"c.a")["seq"] == 1
    assert ask(node, b"c.b")["seq"] == 2
    checkpoint(node)
    expects = b"Nats-Expected-Last-Subject-Sequence: "
    assert ask(node, b"c.b", expects + b"2")["seq"] == 3
    assert ask(node, b"c.b", expects + b"2")["error"]["err_code"] == WRONG_SEQUENCE
    state = node.kernel.stream_state(stream).messages
    found = SimulatedNode(lose_heads(node.disk, stream, b"c.a"), clock)
    assert [record.offline for record in found.recovered] == [""]
    assert found.kernel.stream_state(stream).messages == state
    assert ask(found, b"c.b", expects + b"3")["seq"] == 4


def check_stopped(node: SimulatedNode, stream: int, reason: str) -> None:
    """A start over lost heads of c.a stops for this reason, and one with the bytes goes on."""
    found = SimulatedNode(lose_heads(node.disk, stream, b"c.a"), node.clock)
    [record] = found.recovered
    assert reason in record.offline
    assert "a message that cannot be read" in record.offline
    state = node.kernel.stream_state(stream)
    again = lose_heads(found.disk, stream, b"k.a")  # the same bits
    mended = SimulatedNode(again, node.clock)
    assert [record.offline for record in mended.recovered] == [""]
    assert mended.kernel.stream_state(stream) == state


def started(**spec: Any) -> tuple[SimulatedNode, int]:
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    return node, create(node, **spec)


@pytest.mark.parametrize(
    ("spec", "refuses"),
    [
        ({"discard_new": True, "discard_new_per_subject": True}, True),
        ({"discard_new": True, "max_msgs": 2}, False),
        ({"max_msgs": 3}, False),
    ],
)
def test_limits_of_a_subject(spec: dict[str, Any], refuses: bool) -> None:
    """Whether a message is refused or replaces another rests on which ones its subject has."""
    node, stream = started(max_msgs_per_subject=1, **spec)
    for subject in (b"c.a", b"c.b"):
        assert "seq" in ask(node, subject, b"X: 1", body=b"first")
    checkpoint(node)
    assert ("error" in ask(node, b"c.a", b"X: 1", body=b"second")) == refuses
    ask(node, b"c.d", b"X: 1")
    check_stopped(node, stream, "the number of messages on subject c.a")


def test_limits_of_a_batch() -> None:
    node, stream = started(
        discard_new=True, discard_new_per_subject=True, max_msgs_per_subject=1, allow_atomic=True
    )
    assert ask(node, b"c.a", b"X: 1")["seq"] == 1
    checkpoint(node)
    batch = (b"Nats-Batch-Id: one", b"Nats-Batch-Sequence: 1", b"Nats-Batch-Commit: 1")
    assert "error" in ask(node, b"c.a", *batch)
    check_stopped(node, stream, "the number of messages on subject c.a")


def test_subject_that_has_all_its_messages_goes_on() -> None:
    """No lost message can be on a subject that has as many as its limit allows."""
    node, stream = started(max_msgs_per_subject=1)
    for subject in (b"c.a", b"c.b"):
        assert "seq" in ask(node, subject, b"X: 1")
    checkpoint(node)
    assert ask(node, b"c.b", b"X: 1")["seq"] == 3
    found = SimulatedNode(lose_heads(node.disk, stream, b"c.a"), node.clock)
    assert [record.offline for record in found.recovered] == [""]
    found_state, state = (n.kernel.stream_state(stream) for n in (found, node))
    assert (found_state.messages, found_state.last_seq) == (state.messages, state.last_seq)


def test_limit_of_the_size() -> None:
    """How long a lost message's header was is not known."""
    node, stream = started(discard_new=True, max_bytes=200)
    for subject in (b"c.a", b"c.b"):
        assert "seq" in ask(node, subject, b"X: 1", body=b"-" * 30)
    checkpoint(node)
    assert "error" in ask(node, b"c.b", b"X: 1", body=b"-" * 60)
    check_stopped(node, stream, "the size of the stream")


@pytest.mark.parametrize("by", ["purge", "roll-up"])
def test_purge_of_a_subject(by: str) -> None:
    node, stream = started(discard_new=True, max_msgs=2, allow_rollup=True)
    ask(node, b"c.a", b"X: 1")
    checkpoint(node)
    if by == "purge":
        node.commit(lambda token: node.kernel.propose_purge(token, stream, b"c.a", 0, 0))
    else:
        assert ask(node, b"c.a", b"Nats-Rollup: sub")["seq"] == 2
    assert "seq" in ask(node, b"c.b", b"X: 1")
    check_stopped(node, stream, "removes")


def test_purge_of_everything_is_decided() -> None:
    node, stream = started()
    ask(node, b"c.a", b"X: 1")
    checkpoint(node)
    node.commit(lambda token: node.kernel.propose_purge(token, stream, b"", 0, 0))
    assert ask(node, b"c.a", b"Nats-Expected-Last-Subject-Sequence: 0")["seq"] == 2
    found = SimulatedNode(lose_heads(node.disk, stream, b"c.a"), node.clock)
    assert [record.offline for record in found.recovered] == [""]
    assert found.kernel.stream_state(stream) == node.kernel.stream_state(stream)


def test_new_limits() -> None:
    node, stream = started()
    for _ in range(2):
        ask(node, b"c.a", b"X: 1")
    checkpoint(node)
    narrower = stream_spec(subjects=[b"c.>"], max_msgs_per_subject=1)
    node.commit(lambda token: node.kernel.propose_stream_update(token, stream, b"{}", narrower))
    assert node.kernel.stream_state(stream).messages == 1
    check_stopped(node, stream, "what new limits remove")


def test_markers() -> None:
    node, stream = started(
        allow_msg_ttl=True,
        allow_rollup=True,
        delete_marker_ttl_ns=60_000_000_000,
        max_age_ns=5_000_000_000,
    )
    for subject in (b"c.a1", b"c.a2"):
        ask(node, subject, b"X: 1")
    checkpoint(node)
    node.clock.advance(6_000_000_000)
    while node.kernel.stream_state(stream).last_seq < 4:
        node.turn()
    assert ask(node, b"c.b", b"X: 1")["seq"] == 5
    check_stopped(node, stream, "leaves a marker")


def interested(filters: list[bytes]) -> tuple[SimulatedNode, int, list[int]]:
    """Two consumers want a message, and one of them has acknowledged it behind a checkpoint."""
    node, stream = started(retention=1)
    ids = [
        node.commit(
            lambda token, name=name: node.kernel.propose_consumer_create(
                token, stream, name, name, consumer_spec(filters=filters)
            )
        )
        for name in (b"C1", b"C2")
    ]
    for consumer in ids:
        node.kernel.start_consumer(stream, consumer)
    assert ask(node, b"c.a", b"X: 1")["seq"] == 1
    checkpoint(node)
    node.pull("S", "C1", 1)
    while not node.deliveries:
        node.turn()
    node.acknowledge(node.deliveries[0].ack_subject, confirm=True)
    while node.kernel.consumer_state(stream, ids[0]).num_ack_pending:
        node.turn()
    return node, stream, ids


def test_interest() -> None:
    node, stream, ids = interested([b"c.a"])
    check_stopped(node, stream, "who needs message 1")
    assert node.kernel.consumer_state(stream, ids[1]).num_pending == 1


def test_interest_without_filters_is_decided() -> None:
    node, stream, _ = interested([])
    found = SimulatedNode(lose_heads(node.disk, stream, b"c.a"), node.clock)
    assert [record.offline for record in found.recovered] == [""]
    assert found.kernel.stream_state(stream).messages == 1


def test_start_of_a_consumer() -> None:
    node, stream = started()
    for subject in (b"c.b", b"c.a"):
        ask(node, subject, b"X: 1")
    checkpoint(node)
    last = consumer_spec(filters=[b"c.*"], deliver_policy=1)
    node.commit(lambda token: node.kernel.propose_consumer_create(token, stream, b"C", b"C", last))
    check_stopped(node, stream, "where consumer C begins")
