"""Goal: what an origin delivers enters the log once, in order and without gaps; whatever is wrong
stops the feed with an event.

Method: the kernel on a simulated disk; the test plays the origin and its consumer by publishing to
the feed's deliver subject, with reply subjects of its own making.
"""

from __future__ import annotations

import pytest

from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.values import FeedStatus, StoredMessage
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    feed_spec,
    stream_spec,
)

TIME_NS = 1_800_000_000_000_000_000
SUBJECT = b"deliver.here"
CONSUMER = b"C"
FLOW_NUMBER = 5_000_000
FLOW = b"_SIM.%d" % FLOW_NUMBER
SOURCE = b"O > >"


class Origin:
    """One stream with one feed, and what feeds it."""

    def __init__(self, *, source: bytes = b"", **fields: object) -> None:
        self.node = SimulatedNode(SimDisk(1), SimulatedClock())
        self.source = source
        self.kernel = self.node.kernel
        kind = {"sourced": True} if source else {"mirror": True, "mirror_origin": b"O"}
        spec = stream_spec(**kind, **fields)
        self.stream = self.kernel.propose_stream_create(1, self.node.account, b"S", b"S", spec)
        self.turns(3)
        self.feed = 0

    def turns(self, count: int = 3) -> None:
        for _ in range(count):
            self.node.turn()

    def open(self, **fields: object) -> bool:
        self.feed += 1
        position = self.kernel.source_position(self.stream, self.source)
        known = {"after": position.seq} if position is not None else {}
        spec = feed_spec(
            **{"source": self.source, "deliver_subject": SUBJECT, "consumer": CONSUMER}
            | known
            | fields
        )
        return self.kernel.open_feed(self.stream, self.feed, spec)

    def close(self) -> None:
        self.kernel.close_feed(self.stream, self.feed)

    def deliver(
        self,
        origin_seq: int,
        consumer_seq: int,
        body: bytes = b"x",
        header: bytes = b"",
        *,
        deliveries: int = 1,
        pending: int = 0,
        prefix: bytes = b"O." + CONSUMER,
    ) -> None:
        numbers = (deliveries, origin_seq, consumer_seq, TIME_NS + origin_seq, pending)
        reply = b"$JS.ACK.%s.%d.%d.%d.%d.%d" % (prefix, *numbers)
        self.kernel.publish(self.node.account, SUBJECT, reply, header, body)

    def status(self, header: bytes, reply: bytes = b"") -> None:
        block = b"NATS/1.0 100 " + header + b"\r\n\r\n"
        self.kernel.publish(self.node.account, SUBJECT, reply, block, b"")

    def heartbeat(self, consumer_seq: int, stalled: bytes = b"") -> None:
        more = b"\r\nNats-Consumer-Stalled: " + stalled if stalled else b""
        self.status(
            b"Idle Heartbeat\r\nNats-Last-Consumer: %d\r\nNats-Last-Stream: 9%s"
            % (consumer_seq, more)
        )

    def content(self) -> list[StoredMessage]:
        found, seq = [], 1
        while (message := self.kernel.get_next(self.stream, b"", seq)) is not None:
            found.append(message)
            seq = message.seq + 1
        return found

    def seqs(self) -> list[int]:
        return [message.seq for message in self.content()]

    @property
    def known(self) -> FeedStatus:
        status = self.kernel.feed_status(self.stream, self.feed)
        assert status is not None
        return status

    @property
    def position(self) -> int | None:
        position = self.kernel.source_position(self.stream, self.source)
        return None if position is None else position.seq

    @property
    def stopped(self) -> bool:
        told = any(event.feed == self.feed for event in self.node.stopped_feeds)
        assert told != self.known.open
        return told

    @property
    def flow_replies(self) -> list[bytes]:
        return [event.header for event in self.node.replies.get(FLOW_NUMBER, [])]


@pytest.fixture
def mirror() -> Origin:
    origin = Origin()
    assert origin.open()
    return origin


@pytest.fixture
def source() -> Origin:
    origin = Origin(source=SOURCE)
    assert origin.open()
    return origin


def test_a_mirror_keeps_sequences_and_times(mirror: Origin) -> None:  # S-183
    mirror.deliver(3, 1, b"a", pending=7)
    mirror.deliver(4, 2, b"b", pending=6)
    mirror.deliver(9, 3, b"c", pending=5)  # what lies between was deleted
    mirror.turns()
    assert [(m.seq, m.time_ns - TIME_NS, m.body) for m in mirror.content()] == [
        (3, 3, b"a"),
        (4, 4, b"b"),
        (9, 9, b"c"),
    ]
    assert (mirror.known.origin_seq, mirror.known.lag, mirror.known.in_flight) == (9, 4, 0)
    assert not mirror.stopped


def test_a_source_numbers_anew(source: Origin) -> None:  # S-184
    source.deliver(3, 1, b"a")
    source.deliver(9, 2, b"b", b"NATS/1.0\r\nA: b\r\n\r\n")
    source.turns()
    first, second = source.content()
    assert (first.seq, second.seq) == (1, 2)
    assert first.header == b"NATS/1.0\r\nNats-Stream-Source: O 3 > > deliver.here\r\n\r\n"
    kept = b"NATS/1.0\r\nA: b\r\nNats-Stream-Source: O 9 > > deliver.here\r\n\r\n"
    assert second.header == kept
    assert second.time_ns > first.time_ns - 1 > TIME_NS


def test_ack_subjects_of_the_second_version(mirror: Origin) -> None:  # C-111
    mirror.deliver(1, 1, prefix=b"hub.HASH.O." + CONSUMER)
    mirror.turns()
    assert mirror.seqs() == [1]


@pytest.mark.parametrize(
    ("delivery", "stops"),
    [
        ({"origin_seq": 5, "consumer_seq": 4}, True),  # two were lost
        ({"origin_seq": 5, "consumer_seq": 1}, True),
        ({"origin_seq": 3, "consumer_seq": 9}, False),  # it is the next all the same
        ({"origin_seq": 2, "consumer_seq": 3}, False),  # old
        ({"origin_seq": 3, "consumer_seq": 3, "deliveries": 2}, False),
        ({"origin_seq": 3, "consumer_seq": 3, "prefix": b"O.other"}, False),
        ({"origin_seq": 3, "consumer_seq": 3, "prefix": b"O"}, False),
    ],
)
def test_gaps(mirror: Origin, delivery: dict[str, int], stops: bool) -> None:
    mirror.deliver(1, 1)
    mirror.deliver(2, 2)
    mirror.deliver(**delivery)  # type: ignore[arg-type]
    mirror.turns()
    assert mirror.stopped == stops
    accepted = delivery == {"origin_seq": 3, "consumer_seq": 9}
    assert mirror.seqs() == [1, 2, 3][: 3 if accepted else 2]
    if stops:
        mirror.deliver(3, 3)  # nothing more is taken
        mirror.turns()
        assert mirror.seqs() == [1, 2]


def test_a_source_stops_at_a_gap(source: Origin) -> None:
    source.deliver(1, 1)
    source.deliver(2, 3)
    source.turns()
    assert source.stopped
    assert source.position is None  # as long as it is open
    source.close()
    assert source.position == 1
    assert source.open()
    source.deliver(2, 1)
    source.turns()
    assert len(source.content()) == 2


def test_heartbeats(mirror: Origin) -> None:
    mirror.deliver(1, 1)
    before = mirror.known.seen_ns
    mirror.turns()
    mirror.heartbeat(1)
    assert mirror.known.seen_ns > before
    mirror.heartbeat(0)
    mirror.turns()
    assert not mirror.stopped
    mirror.heartbeat(2)  # one was lost
    mirror.turns()
    assert mirror.stopped


def test_flow_control_is_answered_when_it_is_applied(mirror: Origin) -> None:  # C-117
    mirror.deliver(1, 1)
    mirror.deliver(4, 2)
    mirror.status(b"FlowControl Request", FLOW)
    assert mirror.known.in_flight == 2
    assert mirror.flow_replies == []
    while mirror.known.in_flight:
        assert mirror.flow_replies == []
        mirror.turns(1)
    mirror.turns(1)
    assert mirror.flow_replies == [
        b"NATS/1.0\r\nNats-Last-Consumer: 2\r\nNats-Last-Stream: 4\r\n\r\n"
    ]
    mirror.status(b"FlowControl Request", FLOW)  # nothing is under way
    mirror.turns(1)
    assert len(mirror.flow_replies) == 2


def test_an_origin_that_waits_is_told_to_go_on(mirror: Origin) -> None:
    mirror.deliver(1, 1)
    mirror.heartbeat(1, FLOW)
    mirror.heartbeat(1, FLOW)
    mirror.turns()
    assert mirror.flow_replies == [b""]


@pytest.mark.parametrize(
    ("header", "stored"),
    [
        (b"A: b\r\n", b"A: b\r\n"),
        (b"Nats-Expected-Stream: O\r\n", b""),
        (b"Nats-Expected-Last-Sequence: 1\r\nA: b\r\nNats-Batch-Id: x\r\n", b"A: b\r\n"),
        (b"nats-expected-stream: O\r\n", b"nats-expected-stream: O\r\n"),
        (b"A: Nats-Expected-Stream: O\r\n", b"A: Nats-Expected-Stream: O\r\n"),
        (b"Nats-Stream-Source: P 1 > > p\r\n", b"Nats-Stream-Source: P 1 > > p\r\n"),
        (b"", b""),
    ],
)
def test_headers_of_a_mirror(mirror: Origin, header: bytes, stored: bytes) -> None:  # S-197
    mirror.deliver(1, 1, b"", b"NATS/1.0\r\n" + header + b"\r\n")
    mirror.turns()
    (message,) = mirror.content()
    assert message.header == (b"NATS/1.0\r\n" + stored + b"\r\n" if stored else b"")


def test_a_source_replaces_where_it_came_from(source: Origin) -> None:
    source.deliver(1, 1, b"", b"NATS/1.0\r\nNats-Stream-Source: P 1 > > p\r\n\r\n")
    source.turns()
    (message,) = source.content()
    assert message.header == b"NATS/1.0\r\nNats-Stream-Source: O 1 > > deliver.here\r\n\r\n"


def test_identities(source: Origin) -> None:  # S-196
    source.close()
    assert source.open(identity=b"first")
    source.deliver(7, 1)
    source.turns()
    assert source.content()[0].header.endswith(b" deliver.here first\r\n\r\n")
    source.close()
    position = source.kernel.source_position(source.stream, SOURCE)
    assert position == (7, b"first")
    assert source.open(identity=b"second", restart=True, after=0)
    assert source.kernel.source_position(source.stream, SOURCE) is None
    source.deliver(1, 1)
    source.turns()
    source.close()
    assert source.kernel.source_position(source.stream, SOURCE) == (1, b"second")
    assert len(source.content()) == 2


def test_an_entry_counts_only_behind_its_position(source: Origin) -> None:
    source.close()
    assert source.open(after=5)  # the log has nothing
    source.deliver(6, 1)
    source.turns()
    assert source.stopped
    assert source.content() == []


def test_refused_messages_leave_no_trace(source: Origin) -> None:  # S-199
    full = Origin(source=SOURCE, discard_new=True, max_msgs=2)
    assert full.open()
    for i in range(1, 6):
        full.deliver(i, i)
    full.turns()
    assert full.stopped
    assert len(full.content()) == 2
    full.close()
    assert full.position == 2


def test_duplicates_are_passed_over(source: Origin) -> None:
    header = b"NATS/1.0\r\nNats-Msg-Id: one\r\n\r\n"
    source.deliver(1, 1, b"a", header)
    source.deliver(2, 2, b"b", header)
    source.deliver(3, 3, b"c")
    source.turns()
    assert [m.body for m in source.content()] == [b"a", b"c"]
    source.close()
    assert source.position == 3


def test_a_mirror_does_not_look_for_duplicates(mirror: Origin) -> None:
    header = b"NATS/1.0\r\nNats-Msg-Id: one\r\n\r\n"
    mirror.deliver(1, 1, b"a", header)
    mirror.deliver(2, 2, b"b", header)
    mirror.turns()
    assert mirror.seqs() == [1, 2]


def test_what_the_origin_has_no_more_is_skipped(mirror: Origin) -> None:
    mirror.close()
    assert mirror.open(delivered=41)
    mirror.turns()
    state = mirror.kernel.stream_state(mirror.stream)
    assert (state.first_seq, state.last_seq) == (42, 41)
    mirror.deliver(42, 1)
    mirror.turns()
    mirror.close()
    assert mirror.open(delivered=50)
    mirror.turns()
    state = mirror.kernel.stream_state(mirror.stream)
    assert (state.first_seq, state.last_seq, state.messages) == (42, 50, 1)
    mirror.kernel.check()


def test_one_feed_at_a_time(source: Origin) -> None:
    assert not source.open()
    source.feed -= 1
    source.deliver(1, 1)
    source.node.turn()  # proposed, not synced
    in_flight = source.known.in_flight
    source.close()
    if in_flight:
        assert source.position is None
        assert not source.open()
    source.turns()
    assert source.position in (0, 1)
    assert source.open()


def test_transforms(source: Origin) -> None:  # S-185
    source.close()
    assert source.open(transforms=[(b"none", b"x"), (b"deliver.*", b"to.$1"), (b">", b"never")])
    source.deliver(1, 1)
    source.turns()
    (message,) = source.content()
    assert message.subject == b"to.here"
    assert b" deliver.here\r\n" in message.header


def test_a_deleted_stream_takes_its_feed_along(source: Origin) -> None:
    source.kernel.propose_stream_delete(99, source.stream)
    source.deliver(1, 1)
    source.turns()
    assert source.kernel.feed_status(source.stream, source.feed) is None
    source.deliver(2, 2)  # nobody listens
    source.turns()
    assert source.node.failed == ""


# -- a full disk


@pytest.mark.parametrize("source", [b"", SOURCE])
def test_a_full_disk_leaves_a_feed_that_can_be_replaced(source: bytes) -> None:
    """Some entries of the feed are taken, some wait for room and are withdrawn, one is refused as
    it is sealed: none of them is counted as under way for ever.
    """
    origin = Origin(source=source)
    assert origin.open()
    origin.deliver(1, 1)
    origin.turns()
    origin.node.disk.set_capacity(150_000)
    for number in range(2, 400):
        origin.deliver(number, number, b"f" * 2000)
        origin.turns(1)
        if origin.stopped:
            break
    assert origin.stopped, "the disk was full"
    origin.close()
    origin.node.disk.set_capacity(0)
    for _ in range(20):
        origin.node.clock.advance(1_000_000_000)
        origin.turns(1)
    assert origin.position is not None, "its entries are applied or withdrawn"
    first = origin.position + 1
    assert origin.open()
    origin.deliver(first, 1)
    origin.turns()
    assert len(origin.seqs()) == first
    assert origin.known.open
