"""A small kernel for tests of the API: streams and consumers in dictionaries.

Honest where the API looks: state, sequences, purges, subjects, positions of new consumers. It
delivers nothing, enforces no limits and keeps no log; `records` is what recovery of a real store
would find. Commits are reported by `take_events`, so a test decides what happens between proposal
and commit.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from slipstream.jetstream.subjects import is_subset
from slipstream.kernel.events import CommittedEvent
from slipstream.kernel.specs import ConsumerSpec, FeedSpec, StreamSpec
from slipstream.kernel.values import (
    ConsumerRecord,
    ConsumerState,
    FeedStatus,
    SourcePosition,
    StoredMessage,
    StreamRecord,
    StreamState,
)

_FILE_OVERHEAD, _FILE_HEADER_OVERHEAD, _MEMORY_OVERHEAD = 30, 4, 16  # S-150


class Published(NamedTuple):
    account: int
    subject: bytes
    header: bytes
    body: bytes
    reply: bytes = b""


class FakeConsumer:
    def __init__(self, description: bytes, spec: ConsumerSpec, start: int) -> None:
        self.description = description
        self.spec = spec
        self.start = start
        self.started = False  # delivers nothing before; the API says when
        self.pin_id = ""


class FakeStream:
    def __init__(self, account: int, description: bytes, spec: StreamSpec) -> None:
        self.account = account
        self.description = description
        self.spec = spec
        self.messages: list[StoredMessage] = []
        self.first_seq = spec["first_seq"]
        self.last_seq = max(spec["first_seq"] - 1, 0)
        self.last_time_ns = 0
        self.consumers: dict[int, FakeConsumer] = {}

    def size(self, message: StoredMessage) -> int:
        plain = len(message.subject) + len(message.header) + len(message.body)
        if self.spec["memory"]:
            return plain + _MEMORY_OVERHEAD
        return plain + _FILE_OVERHEAD + (_FILE_HEADER_OVERHEAD if message.header else 0)

    def remove(self, seqs: set[int]) -> int:
        kept = [m for m in self.messages if m.seq not in seqs]
        removed, self.messages = len(self.messages) - len(kept), kept
        if removed:
            self.first_seq = kept[0].seq if kept else self.last_seq + 1
        return removed

    def next(self, subject: bytes, seq: int) -> StoredMessage | None:
        return next((m for m in self.messages if m.seq >= seq and _matches(m, subject)), None)


class FakeFeed:
    def __init__(self, source: bytes, spec: FeedSpec, now_ns: int) -> None:
        self.source = source
        self.spec = spec
        self.open = True
        self.origin_seq = max(spec["after"], spec["delivered"])
        self.lag = 0
        self.consumer_seq = 0
        self.seen_ns = now_ns


class FakeListing:
    """Of subjects: the first step finds nothing, each of the others one."""

    def __init__(self, total: int, rows: list[tuple[bytes, int]]) -> None:
        self.total = total
        self._rows = rows
        self._began = False
        self._ended = False

    @property
    def is_under_way(self) -> bool:
        return self._began and not self._ended

    def step(self) -> tuple[bool, list[tuple[bytes, int]]]:
        found = [self._rows.pop(0)] if self._began and self._rows else []
        self._began = True
        self._ended = not self._rows
        return bool(self._rows), found


class FakeKernel:
    """Time stands still unless the test moves `now_ns`."""

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns
        self.accounts: dict[bytes, int] = {}
        self.served: list[tuple[int, bytes, int]] = []
        self.streams: dict[int, FakeStream] = {}
        self.published: list[Published] = []
        self.subscriptions: set[bytes] = set()
        self.positions: dict[tuple[int, bytes], SourcePosition] = {}
        self.unfinished = False  # entries of a closed feed are still in flight
        self._feeds: dict[tuple[int, int], FakeFeed] = {}
        self.listings: list[FakeListing] = []
        self._events: list[CommittedEvent] = []
        self._next_id = 1

    # -- what a test does

    def take_events(self) -> list[CommittedEvent]:
        events, self._events = self._events, []
        return events

    def take_published(self) -> list[Published]:
        published, self.published = self.published, []
        return published

    def store(self, subject: bytes, header: bytes, body: bytes) -> tuple[str, int] | None:
        """A client's publish: the name of the description's stream is not known here, the id is."""
        for id_, stream in self.streams.items():
            if any(is_subset(subject.decode(), s.decode()) for s in stream.spec["subjects"]):
                stream.last_seq += 1
                stream.last_time_ns = self.now_ns
                message = StoredMessage(subject, stream.last_seq, header, body, self.now_ns)
                stream.messages.append(message)
                stream.first_seq = stream.messages[0].seq
                return str(id_), message.seq
        return None

    def records(self) -> list[StreamRecord]:
        names = {id_: name for name, id_ in self.accounts.items()}
        return [
            StreamRecord(id_, names[stream.account], stream.description)
            for id_, stream in self.streams.items()
            if not stream.spec["memory"]
        ]

    # -- the kernel's interface

    def account(self, name: bytes) -> int:
        return self.accounts.setdefault(name, len(self.accounts) + 1)

    def serve(self, account: int, subject: bytes, service: int) -> None:
        self.served.append((account, subject, service))

    def publish(
        self, account: int, subject: bytes, reply: bytes, header: bytes, body: bytes
    ) -> int:
        if not subject or any(blank in subject + reply for blank in b" \t\r\n"):
            raise ValueError("no text for a line of the protocol")
        self.published.append(Published(account, subject, header, body, reply))
        return 1

    def set_account_storage_limits(self, account: int, memory: int, file: int) -> None:
        """This kernel stores what it is given."""

    def interest(self, account: int, subject: bytes) -> int:
        return sum(is_subset(subject.decode(), s.decode()) for s in self.subscriptions)

    def consumers(self, stream: int) -> list[ConsumerRecord]:
        present = self.streams[stream].consumers
        return [ConsumerRecord(id_, consumer.description) for id_, consumer in present.items()]

    def propose_stream_create(
        self, token: int, account: int, name: bytes, description: bytes, spec: StreamSpec
    ) -> int:
        id_ = self._committed(token)
        self.streams[id_] = FakeStream(account, description, spec)
        return id_

    def propose_stream_update(
        self, token: int, stream: int, description: bytes, spec: StreamSpec
    ) -> None:
        self.streams[stream].description = description
        self.streams[stream].spec = spec
        self._committed(token)

    def propose_stream_delete(self, token: int, stream: int) -> None:
        del self.streams[stream]
        self._committed(token)

    def propose_purge(
        self, token: int, stream: int, subject_filter: bytes, seq: int, keep: int
    ) -> None:
        target = self.streams[stream]
        matching = [m.seq for m in target.messages if _matches(m, subject_filter)]
        if seq:
            matching = [s for s in matching if s < seq]
        elif keep:
            matching = matching[: max(len(matching) - keep, 0)]
        removed = target.remove(set(matching))
        if not subject_filter and seq > target.first_seq and not target.messages:
            target.first_seq, target.last_seq = seq, max(target.last_seq, seq - 1)
        if not subject_filter and not seq and not keep:
            target.first_seq = target.last_seq + 1
        self._committed(token, removed)

    def propose_delete(self, token: int, stream: int, seq: int, erase: bool) -> None:
        self._committed(token, self.streams[stream].remove({seq}))

    def propose_consumer_create(
        self, token: int, stream: int, name: bytes, description: bytes, spec: ConsumerSpec
    ) -> int:
        target = self.streams[stream]
        start = _start(target, spec)
        id_ = self._committed(token)
        target.consumers[id_] = FakeConsumer(description, spec, start)
        return id_

    def start_consumer(self, stream: int, consumer: int) -> None:
        self.streams[stream].consumers[consumer].started = True

    def unpin_consumer(self, stream: int, consumer: int) -> None:
        self.streams[stream].consumers[consumer].pin_id = ""

    def propose_consumer_update(
        self, token: int, stream: int, consumer: int, description: bytes, spec: ConsumerSpec
    ) -> None:
        target = self.streams[stream].consumers[consumer]
        target.description, target.spec = description, spec
        self._committed(token)

    def propose_consumer_delete(self, token: int, stream: int, consumer: int) -> None:
        del self.streams[stream].consumers[consumer]
        self._committed(token)

    def propose_consumer_reset(self, token: int, stream: int, consumer: int, seq: int) -> None:
        target = self.streams[stream].consumers[consumer]
        target.start = seq or target.start
        self._committed(token, target.start)

    def stream_state(self, stream: int) -> StreamState:
        target = self.streams[stream]
        messages = target.messages
        span = target.last_seq - target.first_seq + 1 if messages else 0
        return StreamState(
            messages=len(messages),
            bytes=sum(map(target.size, messages)),
            first_seq=target.first_seq,
            first_time_ns=messages[0].time_ns if messages else 0,
            last_seq=target.last_seq,
            last_time_ns=target.last_time_ns,
            num_subjects=len({m.subject for m in messages}),
            num_deleted=span - len(messages),
            consumers=len(target.consumers),
        )

    def open_feed(self, stream: int, feed: int, spec: FeedSpec) -> bool:
        if any(open_.source == spec["source"] for open_ in self.feeds(stream).values()):
            return False
        self._feeds[stream, feed] = FakeFeed(spec["source"], spec, self.now_ns)
        return True

    def close_feed(self, stream: int, feed: int) -> None:
        self._feeds.pop((stream, feed), None)

    def feed_status(self, stream: int, feed: int) -> FeedStatus | None:
        found = self._feeds.get((stream, feed))
        if found is None:
            return None
        return FeedStatus(
            found.open, found.origin_seq, found.consumer_seq, found.lag, 0, found.seen_ns
        )

    def source_position(self, stream: int, source: bytes) -> SourcePosition | None:
        if self.unfinished or any(f.source == source for f in self.feeds(stream).values()):
            return None
        if not source:
            return SourcePosition(self.streams[stream].last_seq, b"")
        return self.positions.get((stream, source), SourcePosition(0, b""))

    def all_feeds(self) -> dict[tuple[int, int], FakeFeed]:
        """By stream and number, in the order in which they were opened."""
        return dict(self._feeds)

    def forget_feeds(self) -> None:
        """As a restart does."""
        self._feeds.clear()

    def feeds(self, stream: int) -> dict[int, FakeFeed]:
        return {feed: found for (of, feed), found in self._feeds.items() if of == stream}

    def stream_deleted(self, stream: int, limit: int) -> list[int]:
        present = {m.seq for m in self.streams[stream].messages}
        if not present:
            return []
        span = range(min(present), self.streams[stream].last_seq + 1)
        return [seq for seq in span if seq not in present][:limit]

    def list_subjects(
        self, stream: int, subject_filter: bytes, offset: int, limit: int
    ) -> FakeListing:
        counts: dict[bytes, int] = {}
        for message in self.streams[stream].messages:
            if _matches(message, subject_filter):
                counts[message.subject] = counts.get(message.subject, 0) + 1
        listing = FakeListing(len(counts), sorted(counts.items())[offset : offset + limit])
        self.listings.append(listing)
        return listing

    def count_pending(self, stream: int, consumer: int) -> bool:
        return True

    def consumer_state(self, stream: int, consumer: int) -> ConsumerState:
        target = self.streams[stream]
        found = target.consumers[consumer]
        filters = found.spec["filters"] or [b""]
        pending = sum(
            m.seq >= found.start and any(_matches(m, f) for f in filters) for m in target.messages
        )
        before = found.start - 1
        paused = found.spec["pause_until_ns"]
        pin = (found.pin_id, self.now_ns if found.pin_id else 0)
        return ConsumerState(0, before, 0, 0, before, 0, 0, 0, 0, pending, False, paused, *pin)

    def get_message(self, stream: int, seq: int) -> StoredMessage | None:
        messages = self.streams[stream].messages
        index = bisect_left(messages, seq, key=lambda m: m.seq)
        found = index < len(messages) and messages[index].seq == seq
        return messages[index] if found else None

    def get_last(self, stream: int, subject: bytes) -> StoredMessage | None:
        newest = reversed(self.streams[stream].messages)
        return next((m for m in newest if _matches(m, subject)), None)

    def get_next(self, stream: int, subject: bytes, seq: int) -> StoredMessage | None:
        return self.streams[stream].next(subject, seq)

    def first_at_or_after(self, stream: int, time_ns: int) -> int:
        target = self.streams[stream]
        later = (m.seq for m in target.messages if m.time_ns >= time_ns)
        return next(later, target.last_seq + 1)

    def _committed(self, token: int, result: int = 0) -> int:
        self._events.append(CommittedEvent(token, result))
        self._next_id += 1
        return self._next_id


def _matches(message: StoredMessage, subject_filter: bytes) -> bool:
    return not subject_filter or is_subset(message.subject.decode(), subject_filter.decode())


def _start(stream: FakeStream, spec: ConsumerSpec) -> int:
    """C-132..C-134, for the policies that the tests use."""
    first, last = max(stream.first_seq, 1), stream.last_seq
    filters = spec["filters"] or [b""]
    matching = [m.seq for m in stream.messages if any(_matches(m, f) for f in filters)]
    by_time = (m.seq for m in stream.messages if m.time_ns >= spec["opt_start_time_ns"])
    starts = {
        0: first,
        1: matching[-1] if matching else max(last, 1),
        2: last + 1,
        3: max(spec["opt_start_seq"], first),
        4: next(by_time, last + 1),
        5: matching[0] if matching else max(last, 1),
    }
    return starts[spec["deliver_policy"]]
