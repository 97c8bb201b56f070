"""Goal: a consumer whose filters let through few of very many messages holds up nobody: what it
counts and looks for in one turn is bounded, and what others want is done in between.

Method: a simulated node, whose kernel counts operations where a threaded one goes by the clock. One
consumer has wildcards and hundreds of messages before it; the number of turns that it takes is the
measure, and a second consumer must be served in the first of them.
"""

from __future__ import annotations

import pytest

from slipstream.kernel._kernel import SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

MESSAGES = 6000
PER_TURN_MAX = 17  # kOperationsUnthreaded and the one that finds it spent
PATTERNS = [b"s.*.wanted", b"s.*.too", b"s.never.*", b"s.*.nobody", b"s.no.*"]  # > kPatternsMax
WANTED_EVERY = 1000
HOUR_NS = 3600 * 10**9


class Stage:
    """A stream with `MESSAGES` messages, each on a subject of its own."""

    def __init__(self) -> None:
        self.node = SimulatedNode(SimDisk(1), SimulatedClock())
        kernel = self.node.kernel
        spec = stream_spec(subjects=[b"s.>"], memory=True)
        self.stream = self.node.commit(
            lambda token: kernel.propose_stream_create(token, self.node.account, b"S", b"S", spec)
        )
        for number in range(1, MESSAGES + 1):
            kind = b"wanted" if number % WANTED_EVERY == 0 else b"other"
            self.node.publish(b"s.%d.%s" % (number, kind), b"x")
            if number % 500 == 0:
                self.node.turn()
        self.node.turn()
        assert kernel.stream_state(self.stream).messages == MESSAGES

    def consumer(self, name: bytes, filters: list[bytes]) -> int:
        kernel = self.node.kernel
        spec = consumer_spec(filters=filters)
        id_ = self.node.commit(
            lambda token: kernel.propose_consumer_create(token, self.stream, name, name, spec)
        )
        kernel.start_consumer(self.stream, id_)
        return id_

    def slices_of_count(self, consumer: int) -> int:
        for slices in range(1, MESSAGES + 2):
            if self.node.kernel.count_pending(self.stream, consumer):
                return slices
            self.node.kernel.check()  # compares what is counted so far with a direct count
        raise AssertionError("the count does not end")

    def pending(self, consumer: int) -> int:
        return self.node.kernel.consumer_state(self.stream, consumer).num_pending


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.mark.parametrize("filters", [PATTERNS[:1], PATTERNS])
def test_the_count_for_an_answer_is_made_in_slices(stage: Stage, filters: list[bytes]) -> None:
    consumer = stage.consumer(b"C", filters)
    assert stage.slices_of_count(consumer) >= MESSAGES // PER_TURN_MAX
    assert stage.pending(consumer) == MESSAGES // WANTED_EVERY


def test_others_are_served_while_a_consumer_looks_for_its_next_message(stage: Stage) -> None:
    stage.consumer(b"RARE", PATTERNS)
    stage.consumer(b"ALL", [])
    stage.node.pull_waiting("S", "RARE", 1, HOUR_NS)
    turns = 0
    while not any(d.consumer == "RARE" for d in stage.node.deliveries):
        before = len(stage.node.deliveries)
        stage.node.pull("S", "ALL", 1)
        stage.node.turn()
        turns += 1
        if turns < 50:
            assert len(stage.node.deliveries) == before + 1, f"turn {turns}"
        assert turns <= 3 * MESSAGES
    # It went past everything in front of it, and counted everything behind it.
    assert turns >= (WANTED_EVERY + MESSAGES) // PER_TURN_MAX
    rare = next(d for d in stage.node.deliveries if d.consumer == "RARE")
    assert rare.stream_seq == WANTED_EVERY
    assert int(rare.ack_subject.split(b".")[-1]) == MESSAGES // WANTED_EVERY - 1


@pytest.mark.parametrize("seq", [0, 2500])
@pytest.mark.parametrize("subject", [b"s.*.wanted", b"s.1000.*", b"s.*.other"])
def test_a_purge_does_not_begin_a_count_anew(stage: Stage, subject: bytes, seq: int) -> None:
    counted, half = stage.consumer(b"C", PATTERNS), stage.consumer(b"H", PATTERNS)
    stage.slices_of_count(counted)
    for _ in range(MESSAGES // PER_TURN_MAX // 2):
        assert not stage.node.kernel.count_pending(stage.stream, half)
    kernel = stage.node.kernel
    stage.node.commit(lambda token: kernel.propose_purge(token, stage.stream, subject, seq, 0))
    kernel.check()
    assert stage.slices_of_count(counted) == 1
    assert stage.slices_of_count(half) <= MESSAGES // PER_TURN_MAX
    assert stage.pending(counted) == stage.pending(half)


def test_a_purge_from_the_front_does_not_begin_a_count_anew(stage: Stage) -> None:
    consumer = stage.consumer(b"C", PATTERNS)
    stage.slices_of_count(consumer)
    kernel = stage.node.kernel
    stage.node.commit(lambda token: kernel.propose_purge(token, stage.stream, b"", 3000, 0))
    kernel.check()
    assert stage.slices_of_count(consumer) == 1
    assert stage.pending(consumer) == 4  # 3000, 4000, 5000, 6000


def test_a_request_that_does_not_wait_is_answered_when_it_is_known(stage: Stage) -> None:
    stage.consumer(b"NONE", [b"s.never.*", *PATTERNS[2:]])
    number = stage.node.pull("S", "NONE", 1)
    turns = 0
    while number not in stage.node.replies:
        stage.node.turn()
        turns += 1
        assert turns <= MESSAGES
    assert b"404" in stage.node.replies[number][0].header
    assert turns >= MESSAGES // PER_TURN_MAX
