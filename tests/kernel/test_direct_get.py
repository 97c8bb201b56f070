"""Goal: direct gets answer what a model of a dozen lines answers, however many turns they take:
from memory, from a disk whose every read has to wait, with messages that go in the meantime.

Method: a simulated node with a stream of few subjects; random publishes, removals and restarts (a
restarted node has nothing in memory), and random requests; every reply is compared with the model.
Then what the model has no word for: slices, the receiver that left, the stream that is deleted.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.kernel._kernel import SimDisk
from slipstream.protocol.subjects import subject_matches
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode, stream_spec

GET = b"$JS.API.DIRECT.GET.S"
TURNS_MAX = 200
MULTI_MAX = 1024


class Stored(NamedTuple):
    seq: int
    subject: bytes
    body: bytes


class Desk:
    """A node with the stream S, and what it should hold."""

    def __init__(self, **spec: Any) -> None:
        self.disk, self.clock = SimDisk(1), SimulatedClock()
        self.node = SimulatedNode(self.disk, self.clock)
        settings = stream_spec(subjects=[b"s.>"], allow_direct=True, **spec)
        token = self.node.next_number()
        self.stream = self.node.kernel.propose_stream_create(
            token, self.node.account, b"S", b"{}", settings
        )
        self.messages: list[Stored] = []
        self.last = 0
        self.turns()

    def turns(self, count: int = 6) -> None:
        for _ in range(count):
            self.node.turn()

    def publish(self, subject: bytes, body: bytes) -> None:
        self.node.publish(subject, body)
        self.last += 1
        self.messages.append(Stored(self.last, subject, body))

    def remove(self, seq: int) -> None:
        self.node.kernel.propose_delete(self.node.next_number(), self.stream, seq, False)
        self.messages = [m for m in self.messages if m.seq != seq]

    def restart(self) -> None:
        self.turns()
        self.node.stop()
        self.node = SimulatedNode(self.disk, self.clock)

    def ask(self, request: dict[str, Any]) -> int:
        number = self.node.next_number()
        self.node._send(GET, self.node._inbox(number), b"", json.dumps(request).encode())
        return number

    def replies(self, number: int) -> list[tuple[bytes, ...]]:
        """(sequence, pending, previous, body) of each message; (status, pending, previous) last."""
        for _ in range(TURNS_MAX):
            events = self.node.replies.get(number, [])
            if events and events[-1].header.startswith(b"NATS/1.0 "):
                return [_reply(e.header, e.body) for e in events]
            self.node.turn()
        raise AssertionError("the batch has no end")


def _reply(header: bytes, body: bytes) -> tuple[bytes, ...]:
    status, *lines = header.split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines if line)
    numbers = tuple(fields.get(b"Nats-" + n, b"") for n in (b"Num-Pending", b"Last-Sequence"))
    if status != b"NATS/1.0":
        return (status, *numbers)
    return (fields[b"Nats-Sequence"], *numbers, body)


def expected(desk: Desk, request: dict[str, Any]) -> list[tuple[bytes, ...]]:
    def end(pending: int, last: int) -> tuple[bytes, ...]:
        return (b"NATS/1.0 204 EOB", b"%d" % pending, b"%d" % last)

    sent: list[tuple[bytes, ...]] = []
    previous = 0
    if filters := request.get("multi_last"):
        up_to = request.get("up_to_seq") or desk.last
        newest = {
            m.subject: m
            for m in desk.messages
            if m.seq <= up_to and any(subject_matches(f.encode(), m.subject) for f in filters)
        }
        found = sorted(newest.values())
        if not found:
            return [(b"NATS/1.0 404 No Results", b"", b"")]
        left = len(found)
        for m in found:
            left -= 1
            if m.seq < request.get("seq", 0):
                continue
            sent.append((b"%d" % m.seq, b"%d" % left, b"%d" % previous, m.body))
            previous = m.seq
            if len(sent) == request.get("batch"):
                break
        return [*sent, end(left, previous)]
    wanted = request.get("next_by_subj", ">").encode()
    found = [
        m
        for m in desk.messages
        if m.seq >= request.get("seq", 0) and subject_matches(wanted, m.subject)
    ]
    if not found:
        return [(b"NATS/1.0 404 Message Not Found", b"", b"")]
    left = len(found)
    for m in found[: request["batch"]]:
        left -= 1
        sent.append((b"%d" % m.seq, b"%d" % left, b"%d" % previous, m.body))
        previous = m.seq
    return [*sent, end(left, previous)]


SUBJECTS = [b"s.a", b"s.b", b"s.c.x", b"s.c.y"]
FILTERS = st.sampled_from(["s.a", "s.b", "s.*", "s.c.*", "s.>", "s.none", "t.>"])
SEQUENCES = st.integers(1, 60)
BATCHES = st.fixed_dictionaries(
    {"batch": st.integers(2, 80)}, optional={"next_by_subj": FILTERS, "seq": SEQUENCES}
).filter(lambda r: len(r) > 1)
MULTIS = st.fixed_dictionaries(
    {"multi_last": st.lists(FILTERS, min_size=1, max_size=3)},
    optional={"up_to_seq": SEQUENCES, "seq": SEQUENCES, "batch": st.integers(1, 3)},
)
STEPS = st.lists(
    st.tuples(st.just("publish"), st.sampled_from(SUBJECTS), st.sampled_from([1, 100, 3000]))
    | st.tuples(st.just("remove"), SEQUENCES)
    | st.tuples(st.just("restart"))
    | st.tuples(st.just("busy"), st.sampled_from(SUBJECTS))
    | st.tuples(st.just("get"), BATCHES | MULTIS),
    min_size=5,
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.booleans())
def test_replies_are_the_models(steps: list[tuple[Any, ...]], cold: bool) -> None:
    desk = Desk()
    desk.disk.set_cold(cold)
    for step in steps:
        match step:
            case ("publish", subject, size):
                desk.publish(subject, b"%d " % desk.last + b"x" * size)
            case ("busy", subject):
                for _ in range(70):  # more than a quiet subject has
                    desk.publish(subject, b"y")
            case ("remove", seq):
                desk.turns(3)
                desk.remove(seq)
            case ("restart",):
                desk.restart()
            case ("get", request):
                desk.turns(3)
                assert desk.replies(desk.ask(request)) == expected(desk, request), request
    desk.node.kernel.check()
    desk.node.stop()


def test_long_batches_go_out_in_slices() -> None:
    """Others are served in between."""
    desk = Desk(memory=True)
    for _ in range(40):
        desk.publish(b"s.a", b"x" * 100_000)
    desk.turns(20)
    number, other = desk.ask({"batch": 100, "seq": 1}), desk.ask({"seq": 40})
    desk.node.turn()
    assert 1 < len(desk.node.replies[number]) < 40
    assert len(desk.node.replies[other]) == 1
    assert len(desk.replies(number)) == 41


def test_a_search_goes_on_in_the_next_turn() -> None:
    desk = Desk(memory=True)
    for _ in range(40_000):
        desk.node.kernel.publish(desk.node.account, b"s.a", b"", b"", b"")
    desk.publish(b"s.z", b"found")
    desk.turns()
    number = desk.ask({"batch": 5, "next_by_subj": "s.*.*", "seq": 1})
    desk.node.turn()
    assert number not in desk.node.replies
    assert desk.replies(number)[-1][0] == b"NATS/1.0 404 Message Not Found"


def test_each_pattern_of_a_search_counts() -> None:
    """A request with very many of them does not hold up the turn."""
    desk = Desk(memory=True)
    for i in range(400):
        desk.node.kernel.publish(desk.node.account, b"s.%d" % i, b"", b"", b"")
    desk.turns()
    patterns = [f"t.{i}.*" for i in range(1000)]
    number = desk.ask({"multi_last": [*patterns, "s.399", "*.7"]})
    desk.node.turn()
    assert number not in desk.node.replies
    assert len(desk.replies(number)) == 3, "two messages and the end of the batch"


@pytest.mark.parametrize("cold", [False, True])
def test_single_messages_by_time(cold: bool) -> None:  # S-165
    desk = Desk()
    times = []
    for i in range(5):
        desk.publish(b"s.a", b"%d" % i * 3000)
        desk.turns(3)
        times.append(desk.node.kernel.get_message(desk.stream, i + 1).time_ns)
    desk.restart()
    desk.disk.set_cold(cold)
    for i, time_ns in enumerate(times):
        wanted = f"2030-03-17T17:46:40.{time_ns % 1_000_000_000:09d}Z"
        number = desk.ask({"start_time": wanted})
        desk.turns(4)
        [reply] = desk.node.replies[number]
        assert b"Nats-Sequence: %d\r\n" % (i + 1) in reply.header


def test_what_waits_for_a_deleted_stream_ends_with_it() -> None:
    desk = Desk(memory=True)
    for _ in range(40):
        desk.publish(b"s.a", b"x" * 100_000)
    desk.turns(20)
    number = desk.ask({"batch": 100, "seq": 1})
    desk.node.turn()
    before = len(desk.node.replies[number])
    desk.node.kernel.propose_stream_delete(desk.node.next_number(), desk.stream)
    desk.turns(3)
    after = len(desk.node.replies[number])
    assert before <= after < 41
    desk.turns(20)
    assert len(desk.node.replies[number]) == after


def test_only_so_many_wait() -> None:  # every queue has a maximum
    desk = Desk()
    desk.publish(b"s.a", b"x" * 3000)
    desk.restart()
    desk.disk.set_cold(True)
    numbers = [desk.ask({"seq": 1}) for _ in range(10_050)]
    desk.node.turn()
    desk.node.turn()
    assert len(desk.node.replies) < 500, "few read at the same time"
    desk.turns(400)
    statuses = [desk.node.replies[n][0].header.split(b"\r\n")[0] for n in numbers]
    assert statuses.count(b"NATS/1.0") == 10_000
    assert statuses.count(b"NATS/1.0 429 Too Many Requests") == 50


def test_only_so_many_bytes_wait() -> None:
    """A request may be as long as a message, and holds several times that."""
    desk = Desk()
    desk.publish(b"s.a", b"x" * 3000)
    desk.restart()
    desk.disk.set_cold(True)
    long = {"multi_last": ["s.a", *(f"t.{i}" for i in range(50_000))]}
    numbers = [desk.ask(long) for _ in range(60)]
    for number in numbers:
        desk.replies(number)
    statuses = [desk.node.replies[n][-1].header.split(b"\r\n")[0] for n in numbers]
    assert statuses.count(b"NATS/1.0 204 EOB") >= 10
    assert b"NATS/1.0 429 Too Many Requests" in statuses
