"""What the kernel tells Python: plain values, one class per kind of event.

`Kernel.wait_events` returns them in the order in which they arose, but advisories behind the
others, and requests last: those of one client in their order, and the clients take turns. Nothing
here is sent per message: only connects, service requests, commits that Python waits for, advisories
and timers.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class ConnectEvent(NamedTuple):
    """A client sent CONNECT; the kernel reads no more of it until `accept` or `refuse`."""

    cid: int
    payload: bytes  # the JSON behind CONNECT
    ip: str
    port: int
    again: bool  # this connection was accepted before


class ClosedEvent(NamedTuple):
    """A connection is gone. `reason` is one of nats-server's disconnect reasons (K-085)."""

    cid: int
    reason: str
    start_ns: int
    stop_ns: int
    last_activity_ns: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    subscriptions: int
    ip: str
    port: int
    rtt_ns: int


class RequestEvent(NamedTuple):
    """A message on a subject that Python serves (see `Kernel.serve`)."""

    service: int
    account: int
    cid: int
    subject: bytes
    reply: bytes
    header: bytes  # whole header block, or empty
    body: bytes


class CommittedEvent(NamedTuple):
    """A proposal with this token was committed and applied. `result` depends on its kind."""

    token: int
    result: int


class AdvisoryEvent(NamedTuple):
    """Something about a consumer that clients may want to hear of; only sent while somebody
    subscribes to its subject.
    """

    kind: str  # "max_deliver", "terminated", "nak", "ack_sample", "pinned", "unpinned"
    stream: int
    consumer: int
    stream_seq: int
    consumer_seq: int
    deliveries: int
    delay_ns: int  # ack_sample: time between delivery and ack
    reason: bytes  # terminated, unpinned; pinned: the id of the pin
    group: bytes = b""  # pinned, unpinned


class InactiveEvent(NamedTuple):
    """A consumer passed its inactive_threshold; Python proposes its deletion."""

    stream: int
    consumer: int


class BatchAbandonedEvent(NamedTuple):
    """An atomic batch ended without its commit; only sent while somebody subscribes."""

    stream: int
    batch: bytes
    reason: str  # "timeout", "large", "incomplete", "unsupported"


class StreamOfflineEvent(NamedTuple):
    """A stream cannot go on, for this reason; the others do. Nothing of it can be asked or changed
    any more, but it can be deleted.
    """

    stream: int
    reason: str


class DamageEvent(NamedTuple):
    """A message that a read found damaged: once for each, and no more than 1,000 of a stream. Or,
    with a text, damage that did no harm, found at the start, or that keeps the journal from being
    released.
    """

    stream: int  # 0: of the store
    seq: int
    text: str


class AbandonedEvent(NamedTuple):
    """The proposal with this token will not be applied: its stream went offline."""

    token: int
    reason: str


class FeedEvent(NamedTuple):
    """The feed of a mirror or a source stopped: it missed something, or its stream refused what
    came.
    """

    stream: int
    feed: int


class BackupReadableEvent(NamedTuple):
    """What a `read_backup` waited for is in memory, or cannot be read: read again."""

    backup: int


class FailedEvent(NamedTuple):
    """The store failed; JetStream accepts nothing more on this node. Text says what and where."""

    text: str


class StorageEvent(NamedTuple):
    """The disk of the store has no room (or the process may open no more files): publishes to files
    are refused until it has. Then a second event comes. The text says it with numbers.
    """

    is_full: bool
    text: str


class TurnedAwayEvent(NamedTuple):
    """Clients that found no free file descriptor since the last such event."""

    clients: int


class RequestQueue(IntEnum):
    """Where something waits for Python."""

    API = 0  # of the JetStream API, to change something or to get a message
    API_INFO = 1  # of the JetStream API, a question
    OTHER = 2
    ADVISORIES = 3  # not requests: what listeners are told about consumers and batches


class RequestsDroppedEvent(NamedTuple):
    """More waited for Python than the kernel keeps, in number or bytes; what came behind was
    dropped (S-109). Once per jam, when there is room again.
    """

    dropped: int
    queue: RequestQueue


class TraceEvent(NamedTuple):
    """A line of the protocol, as --trace shows it: its direction, and the line in brackets. The
    payload of a message comes with it, cut when it is longer than what is shown. Before it,
    `dropped` lines were not kept.
    """

    cid: int
    ip: str
    port: int
    line: bytes
    payload: bytes
    is_cut: bool
    dropped: int


Event = (
    ConnectEvent
    | ClosedEvent
    | RequestEvent
    | CommittedEvent
    | AdvisoryEvent
    | InactiveEvent
    | BatchAbandonedEvent
    | StreamOfflineEvent
    | AbandonedEvent
    | DamageEvent
    | FeedEvent
    | BackupReadableEvent
    | FailedEvent
    | StorageEvent
    | TurnedAwayEvent
    | RequestsDroppedEvent
    | TraceEvent
)
