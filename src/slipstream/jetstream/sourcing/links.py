"""All mirrors and sources of a server: which there are, when each has to do something, and the way
to the kernel, which moves the messages.

Requests to origins are ordinary API requests whose answers come back to an inbox; so an origin on
this server, in another domain and behind another account's import are all the same.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from typing import Any, Protocol

from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.registry import Account, Stream
from slipstream.jetstream.sourcing import origin
from slipstream.jetstream.sourcing.link import JITTER_NS, Inquiry, Known, Link, Phase, read_identity
from slipstream.jetstream.sourcing.origin import Side
from slipstream.jetstream.stream_config import StreamSource
from slipstream.jetstream.unexpected import Report, raise_again
from slipstream.kernel.events import FeedEvent, RequestEvent
from slipstream.kernel.specs import FeedSpec

# The number under which the kernel reports answers of origins.
SOURCING_SERVICE = 10
INBOX_PREFIX = "$JSC.R."
LINKS_PER_STEP = 32


class FeedKernel(Protocol):
    """What links use of the kernel; see _kernel.pyi."""

    def serve(self, account: int, subject: bytes, service: int) -> None: ...
    def publish(
        self, account: int, subject: bytes, reply: bytes, header: bytes, body: bytes
    ) -> int: ...
    def stream_state(self, stream: int) -> Any: ...
    def open_feed(self, stream: int, feed: int, spec: FeedSpec) -> bool: ...
    def close_feed(self, stream: int, feed: int) -> None: ...
    def feed_status(self, stream: int, feed: int) -> Any: ...
    def source_position(self, stream: int, source: bytes) -> Any: ...


class _Place:
    """A link in its stream, with what is open for it."""

    def __init__(self, stream: Stream, link: Link) -> None:
        self.stream = stream
        self.link = link
        self.inbox = b""
        self.feed = 0
        self.gone = False


class Links:
    """`domain` is the server's own, "" if it has none. What a step for one link raises ends that
    attempt of this link, which tries again later; the others do not notice.
    """

    def __init__(
        self, kernel: FeedKernel, ids: IdSource, domain: str, report: Report = raise_again
    ) -> None:
        self._report = report
        self._kernel = kernel
        self._ids = ids
        self._domain = domain
        self._places: dict[int, dict[str, _Place]] = {}  # by stream id, by index name
        self._by_inbox: dict[bytes, _Place] = {}
        self._by_feed: dict[tuple[int, int], _Place] = {}
        self._due: list[tuple[int, int, _Place]] = []
        self._to_forget: deque[_Place] = deque()  # whose origins are still to be asked for that
        self._pushed = 0
        self._last_feed = 0

    def add_account(self, account: Account) -> None:
        self._kernel.serve(account.id, f"{INBOX_PREFIX}>".encode(), SOURCING_SERVICE)

    # -- which there are

    def configure(self, stream: Stream, now_ns: int) -> None:
        """The stream was created, recovered or updated: its links become what it says."""
        wanted = self._wanted(stream)
        present = self._places.setdefault(stream.id, {})
        for index in [index for index in present if index not in wanted]:
            self._remove(present.pop(index))
        side = Side(stream.name, stream.account.name, self._domain)
        of_origin = Counter(source.name for source in wanted.values())
        for index, source in wanted.items():
            if index not in present:
                link = Link(side, source, index)
                present[index] = place = _Place(stream, link)
                self._wait(place, now_ns)
            present[index].link.one_of_several = of_origin[source.name] > 1
        if not present:
            del self._places[stream.id]

    @staticmethod
    def _wanted(stream: Stream) -> dict[str, StreamSource]:
        if stream.config.mirror is not None:
            return {"": stream.config.mirror}
        return {origin.index_name(s): s for s in origin.sources_of(stream.config)}

    def remove(self, stream: Stream) -> None:
        """The stream is being deleted."""
        for place in self._places.pop(stream.id, {}).values():
            self._remove(place)

    def _remove(self, place: _Place) -> None:
        """An origin that keeps the consumer of this link is asked to forget it, soon: a stream may
        have had tens of thousands of sources. Nobody waits.
        """
        self._close(place)
        place.gone = True
        if place.link.source.consumer is None:
            self._to_forget.append(place)

    def _forget_consumer(self, place: _Place) -> None:
        subject = origin.delete_subject(place.link.source, place.link.consumer_name)
        reply = f"{INBOX_PREFIX}{self._ids.consumer_name()}"
        self._kernel.publish(place.stream.account.id, subject.encode(), reply.encode(), b"", b"")

    def links(self, stream: Stream) -> list[Link]:
        """With the status of each feed as it is now."""
        places = self._places.get(stream.id, {}).values()
        for place in places:
            self._look(place)
        return [place.link for place in places]

    # -- events and time

    def answered(self, event: RequestEvent, now_ns: int) -> None:
        place = self._by_inbox.pop(event.subject, None)
        if place is None:
            return  # too late, or nobody asked
        place.inbox = b""
        try:
            self._take_answer(place, event, now_ns)
        except Exception as error:
            self._try_later(place, error, now_ns)

    def _take_answer(self, place: _Place, event: RequestEvent, now_ns: int) -> None:
        outcome = place.link.answer(event.header, event.body)
        if isinstance(outcome, Inquiry):
            self._send(place, outcome)
        elif outcome is None:
            self._wait(place, now_ns)
        elif self._open(place, outcome):
            place.link.flow(now_ns)
            self._push(place)
        else:
            self._wait(place, now_ns)

    def feed_stopped(self, event: FeedEvent, now_ns: int) -> None:
        place = self._by_feed.get((event.stream, event.feed))
        if place is None:
            return
        self._close(place)
        if place.link.phase is Phase.WAITING:
            place.link.heard_of()
        self._wait(place, now_ns)

    def next_due_ns(self) -> int | None:
        return self._due[0][0] if self._due else None

    def step(self, now_ns: int) -> bool:
        """True while there is more to do at once."""
        self._forget_some()
        if self._to_forget:
            return True  # first: a link that is there again goes by the same name
        for _ in range(LINKS_PER_STEP):
            if not self._due or self._due[0][0] > now_ns:
                return False
            due_ns, _, place = heapq.heappop(self._due)
            if not place.gone and place.link.due_ns == due_ns:
                try:
                    self._serve(place, now_ns)
                except Exception as error:
                    self._try_later(place, error, now_ns)
        return True

    def _forget_some(self) -> None:
        for _ in range(min(LINKS_PER_STEP, len(self._to_forget))):
            place = self._to_forget.popleft()
            try:
                self._forget_consumer(place)
            except Exception as error:
                self._report(_shown(place), error)

    def _try_later(self, place: _Place, error: Exception, now_ns: int) -> None:
        self._report(_shown(place), error)
        place.link.no_answer()
        self._close(place)
        self._wait(place, now_ns)

    def _serve(self, place: _Place, now_ns: int) -> None:
        link = place.link
        if link.phase is Phase.WAITING:
            self._ask(place, now_ns)
            return
        if link.phase is Phase.FLOWING:
            self._look(place)
            if link.look(link.status, now_ns):
                self._push(place)
                return
            self._close(place)
            self._wait(place, now_ns)
            return
        link.no_answer()
        self._close(place)
        self._wait(place, now_ns)
        if link.source.consumer is not None:
            self._open(place, link.probe())

    # -- what is done

    def _wait(self, place: _Place, now_ns: int) -> None:
        place.link.wait(now_ns, self._ids.below(JITTER_NS))
        self._push(place)

    def _push(self, place: _Place) -> None:
        self._pushed += 1
        heapq.heappush(self._due, (place.link.due_ns, self._pushed, place))

    def _ask(self, place: _Place, now_ns: int) -> None:
        stream, link = place.stream, place.link
        self._close(place)
        try:
            state = self._kernel.stream_state(stream.id)
        except KeyError:
            return  # its deletion is applied before we heard of it
        position = self._kernel.source_position(stream.id, link.index.encode())
        if position is None:
            link.wait_for_log(now_ns)
            self._push(place)
            return
        known = Known(
            position=position.seq,
            identity=read_identity(position.identity),
            used=state.messages > 0 or state.first_seq > 0,
        )
        self._send(place, link.ask(known, self._ids.consumer_name(), now_ns))
        self._push(place)

    def _send(self, place: _Place, inquiry: Inquiry) -> None:
        place.inbox = f"{INBOX_PREFIX}{self._ids.consumer_name()}".encode()
        self._by_inbox[place.inbox] = place
        account = place.stream.account.id
        subject = inquiry.subject.encode()
        self._kernel.publish(account, subject, place.inbox, inquiry.header, inquiry.body)

    def _open(self, place: _Place, spec: FeedSpec) -> bool:
        self._last_feed += 1
        if not self._kernel.open_feed(place.stream.id, self._last_feed, spec):
            return False
        place.feed = self._last_feed
        self._by_feed[place.stream.id, place.feed] = place
        return True

    def _look(self, place: _Place) -> None:
        if place.feed and place.link.phase is Phase.FLOWING:
            status = self._kernel.feed_status(place.stream.id, place.feed)
            place.link.status = status or place.link.status

    def _close(self, place: _Place) -> None:
        if place.inbox:
            del self._by_inbox[place.inbox]
            place.inbox = b""
        if place.feed:
            self._look(place)
            self._kernel.close_feed(place.stream.id, place.feed)
            del self._by_feed[place.stream.id, place.feed]
            place.feed = 0

    def check(self) -> None:
        """Invariants, for tests to call after every step."""
        places = {id(p): p for places in self._places.values() for p in places.values()}
        for inbox, place in self._by_inbox.items():
            assert place.inbox == inbox
            assert place.link.phase is Phase.ASKING
        for (stream, feed), place in self._by_feed.items():
            assert (place.stream.id, place.feed) == (stream, feed)
            assert place.link.phase is not Phase.ASKING
        for place in places.values():
            assert not place.gone
            assert any(p is place and d == place.link.due_ns for d, _, p in self._due)
            assert place.feed or place.link.phase is not Phase.FLOWING
            assert (place.link.phase is Phase.ASKING) == bool(place.inbox)


def _shown(place: _Place) -> str:
    return f"the mirror or source {place.link.source.name} of stream {place.stream.name}"
