"""One node without sockets, threads or a clock of its own: the kernel over a simulated disk,
driven turn by turn.

Everything that happens follows from the seed of the disk and from what the test does, so that a
crash point is a number: the same workload, run again with `disk.crash_at(n)`, does the same n - 1
disk operations and then loses its power.

Publishes, pulls and acknowledgements are messages with a reply subject that this driver serves;
what the server answers arrives as RequestEvents of the turn in which it was decided, and is kept
in `replies`, `deliveries` and `committed` until the test takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from slipstream.kernel import Kernel
from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import (
    CommittedEvent,
    DamageEvent,
    Event,
    FailedEvent,
    FeedEvent,
    RequestEvent,
    StreamOfflineEvent,
)
from slipstream.kernel.specs import (
    AckPolicy,
    ConsumerSpec,
    DeliverPolicy,
    FeedSpec,
    PriorityPolicy,
    Retention,
    StreamSpec,
)
from slipstream.kernel.values import StoreKeys
from slipstream.testing.twin import Twin

T = TypeVar("T")

ACCOUNT = b"$G"
INBOX = b"_SIM."
PUSH_INBOX = b"_PUSH"  # where push consumers find somebody
ACK_PREFIX = b"$JS.ACK."
START_NS = 1_900_000_000_000_000_000  # the simulated clock's beginning
TURN_NS = 1_000_000

STREAM_DEFAULTS = StreamSpec(
    subjects=[],
    memory=False,
    no_ack=False,
    allow_direct=False,
    discard_new=False,
    discard_new_per_subject=False,
    sealed=False,
    deny_delete=False,
    deny_purge=False,
    allow_rollup=False,
    allow_msg_ttl=False,
    mirror=False,
    mirror_direct=False,
    sourced=False,
    counter=False,
    allow_atomic=False,
    allow_batched=False,
    allow_schedules=False,
    persist_async=False,
    compress=False,
    republish_headers_only=False,
    retention=Retention.LIMITS,
    max_msgs=-1,
    max_bytes=-1,
    max_age_ns=0,
    max_msgs_per_subject=-1,
    max_msg_size=-1,
    duplicate_window_ns=120_000_000_000,
    delete_marker_ttl_ns=0,
    first_seq=0,
    transform_source=b"",
    transform_destination=b"",
    republish_source=b"",
    republish_destination=b"",
    mirror_origin=b"",
)

CONSUMER_DEFAULTS = ConsumerSpec(
    durable=True,
    memory=False,
    deliver_policy=DeliverPolicy.ALL,
    opt_start_seq=0,
    opt_start_time_ns=0,
    ack_policy=AckPolicy.EXPLICIT,
    ack_wait_ns=30_000_000_000,
    backoff_ns=[],
    max_deliver=-1,
    max_ack_pending=1000,
    max_waiting=512,
    max_batch=0,
    max_expires_ns=0,
    max_bytes=0,
    filters=[],
    deliver_subject=b"",
    deliver_group=b"",
    flow_control=False,
    idle_heartbeat_ns=0,
    headers_only=False,
    rate_limit_bps=0,
    replay_original=False,
    inactive_threshold_ns=0,
    pause_until_ns=0,
    sample_percent=0,
    direct=False,
    sourcing=False,
    priority_policy=PriorityPolicy.NONE,
    priority_timeout_ns=0,
    priority_groups=[],
)


FEED_DEFAULTS = FeedSpec(
    source=b"",
    identity=b"",
    deliver_subject=b"",
    consumer=b"",
    after=0,
    delivered=0,
    restart=False,
    transforms=[],
)


def feed_spec(**changes: Any) -> FeedSpec:
    assert changes.keys() <= FEED_DEFAULTS.keys(), changes
    return cast(FeedSpec, {**FEED_DEFAULTS, **changes})


def stream_spec(**changes: Any) -> StreamSpec:
    assert changes.keys() <= STREAM_DEFAULTS.keys(), changes
    return cast(StreamSpec, {**STREAM_DEFAULTS, **changes})


def consumer_spec(**changes: Any) -> ConsumerSpec:
    assert changes.keys() <= CONSUMER_DEFAULTS.keys(), changes
    return cast(ConsumerSpec, {**CONSUMER_DEFAULTS, **changes})


class PowerLoss(Exception):
    """The disk has crashed: what the node knew is gone, its promises are not."""


class SimulatedClock:
    """Shared by all lives of a node: time goes on while it is down."""

    def __init__(self) -> None:
        self.now_ns = START_NS

    @property
    def monotonic_ns(self) -> int:
        return self.now_ns - START_NS + 1

    def advance(self, duration_ns: int) -> None:
        assert duration_ns >= 0
        self.now_ns += duration_ns


class StoreSizes(NamedTuple):
    """Small, so that files roll, are recycled and compacted within a hundred messages."""

    journal_file_bytes: int = 16 << 10
    journal_bytes_max: int = 128 << 10
    segment_bytes_max: int = 8 << 10


class Delivery(NamedTuple):
    """A message as a consumer got it; the numbers come from its ack subject (C-110)."""

    stream: str
    consumer: str
    deliveries: int
    stream_seq: int
    consumer_seq: int
    ack_subject: bytes
    subject: bytes
    header: bytes
    body: bytes


class SimulatedNode:
    """Opening recovers what is on the disk. Raises StoreError as the kernel does."""

    def __init__(
        self,
        disk: SimDisk,
        clock: SimulatedClock,
        *,
        seed: int = 1,
        sizes: StoreSizes | None = None,
        sync_interval_ns: int = 0,
        services: Mapping[bytes, int] | None = None,
        keys: StoreKeys | None = None,
        has_twin: bool = False,
        sync_lag: int = 0,
    ) -> None:
        """`services`: subjects whose messages `step` returns, each with its number. They listen
        before the store is open, so that push consumers find them. `keys`: of an encrypted store.
        `has_twin`: a second replica follows, and its state is compared after every turn.
        `sync_lag`: a sync is over so many half turns late, so that entries are under way meanwhile.
        """
        self.disk = disk
        self.clock = clock
        self.failed = ""
        self.damaged: set[tuple[int, int]] = set()  # stream and sequence, as reads found them
        self.offline: dict[int, str] = {}  # streams, with the reason
        self._numbers = 0
        self.replies: dict[int, list[RequestEvent]] = {}
        self.committed: dict[int, int] = {}
        self.deliveries: list[Delivery] = []
        self.push_statuses: list[RequestEvent] = []
        self.stopped_feeds: list[FeedEvent] = []
        sizes = sizes or StoreSizes()
        self.twin = Twin(disk, clock.now_ns, keys) if has_twin else None
        self.kernel = Kernel(seed=seed)
        self.account = self.kernel.account(ACCOUNT)
        for subject, service in (services or {INBOX + b">": 1, PUSH_INBOX: 1}).items():
            self.kernel.serve(self.account, subject, service)
        self.kernel.turn(
            clock.now_ns, clock.monotonic_ns
        )  # the kernel goes by this time from now on
        self.recovered = self.kernel.open_store(
            disk=disk,
            threads=False,
            sync_interval_ns=sync_interval_ns,
            journal_file_bytes=sizes.journal_file_bytes,
            journal_bytes_max=sizes.journal_bytes_max,
            segment_bytes_max=sizes.segment_bytes_max,
            unlock=lambda _: keys,
            sync_lag=sync_lag,
        )
        if self.twin is not None:
            self.twin.begin(self.kernel)

    # -- what is sent

    def next_number(self) -> int:
        """Names a request (its reply subject) or a proposal (its token)."""
        self._numbers += 1
        return self._numbers

    def commit(self, propose: Callable[[int], T]) -> T:
        """Proposes with a token; returns what that returned when the entry is applied."""
        token = self.next_number()
        result = propose(token)
        while token not in self.committed:
            self.turn()
        return result

    def publish(self, subject: bytes, body: bytes, header: bytes = b"") -> int:
        number = self.next_number()
        self._send(subject, self._inbox(number), header, body)
        return number

    def pull(self, stream: str, consumer: str, batch: int) -> int:
        """Asks for what is there now; statuses end the request (C-083)."""
        number = self.next_number()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode()
        body = b'{"batch":%d,"no_wait":true}' % batch
        self._send(subject, self._inbox(number), b"", body)
        return number

    def pull_waiting(self, stream: str, consumer: str, batch: int, expires_ns: int) -> int:
        """Asks for what is there and what comes."""
        number = self.next_number()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}".encode()
        body = b'{"batch":%d,"expires":%d}' % (batch, expires_ns)
        self._send(subject, self._inbox(number), b"", body)
        return number

    def acknowledge(self, ack_subject: bytes, kind: bytes = b"+ACK", *, confirm: bool) -> int:
        """`confirm` is AckSync: the acknowledgement has a reply subject of its own."""
        number = self.next_number()
        self._send(ack_subject, self._inbox(number) if confirm else b"", b"", kind)
        return number

    def _send(self, subject: bytes, reply: bytes, header: bytes, body: bytes) -> None:
        self.kernel.publish(self.account, subject, reply, header, body)

    @staticmethod
    def _inbox(number: int) -> bytes:
        return INBOX + str(number).encode()

    # -- time

    def step(self, duration_ns: int) -> list[Event]:
        """One turn, so much later than the one before; what it told Python, also if the power went
        in the midst of it.
        """
        self.clock.advance(duration_ns)
        self.kernel.turn(self.clock.now_ns, self.clock.monotonic_ns)
        if self.twin is not None and not self.disk.crashed:
            self.twin.follow()
            self.twin.compare()
        return self.kernel.wait_events(0)

    def turn(self) -> None:
        """One turn; what it promised is noted even if the power went in the midst of it. Raises
        PowerLoss then.
        """
        for event in self.step(TURN_NS):
            if isinstance(event, RequestEvent):
                self._take(event)
            elif isinstance(event, CommittedEvent):
                self.committed[event.token] = event.result
            elif isinstance(event, FeedEvent):
                self.stopped_feeds.append(event)
            elif isinstance(event, FailedEvent):
                self.failed = event.text
            elif isinstance(event, StreamOfflineEvent):
                self.offline[event.stream] = event.reason
            elif isinstance(event, DamageEvent):
                self.damaged.add((event.stream, event.seq))
        if self.disk.crashed:
            raise PowerLoss

    def _take(self, event: RequestEvent) -> None:
        if event.subject.startswith(INBOX):
            number = int(event.subject[len(INBOX) :].split(b".")[0])  # of fast batches more follows
            self.replies.setdefault(number, []).append(event)
            return
        if event.subject == PUSH_INBOX:
            self.push_statuses.append(event)
            return
        assert event.reply.startswith(ACK_PREFIX), event
        token = event.reply.decode().split(".")
        self.deliveries.append(
            Delivery(
                stream=token[2],
                consumer=token[3],
                deliveries=int(token[4]),
                stream_seq=int(token[5]),
                consumer_seq=int(token[6]),
                ack_subject=event.reply,
                subject=event.subject,
                header=event.header,
                body=event.body,
            )
        )

    # -- what is there

    def consumer_ids(self, stream: int) -> dict[bytes, int]:
        """By description."""
        return {record.description: record.consumer for record in self.kernel.consumers(stream)}

    def stop(self) -> None:
        """A clean stop; the disk may be opened again."""
        self.kernel.stop()
