"""What the kernel answers: plain values.

Units: nanoseconds, bytes; times are unix nanoseconds, 0 = never.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class StoreCipher(IntEnum):
    """How a store is encrypted. RFC 8439; NIST SP 800-38D, only with the processor's own AES."""

    CHACHA20_POLY1305 = 1
    AES256_GCM = 2


class StoreKey(NamedTuple):
    number: int
    """From 1; files name it."""
    cipher: StoreCipher
    secret: bytes
    """32 bytes."""


class StoreKeys(NamedTuple):
    keys: tuple[StoreKey, ...]
    """All that the store's files may need."""
    current: int
    """The number of the one for new files; 0: they are not encrypted."""


class StoreError(Exception):
    """The store cannot be opened, or has failed; the text names the cause and the next step."""


class DamagedMessage(Exception):
    """The message with this sequence is there and cannot be read whole."""

    def __init__(self, seq: int) -> None:
        super().__init__(f"message {seq} is damaged")
        self.seq = seq


class JournalDamage(NamedTuple):
    """A place of the journal that cannot be read."""

    text: str
    loses: bool  # records
    # Of the one record that was there, if its head can be right; kind 0: if not. Not verified.
    group: int
    entry: int
    kind: int


class S2Error(ValueError):
    """What was fed is no S2 stream, or a damaged one."""


class ConnectionStats(NamedTuple):
    cid: int
    account: int
    ip: str
    port: int
    start_ns: int
    last_activity_ns: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    pending_bytes: int
    subscriptions: int
    rtt_ns: int


class Subscription(NamedTuple):
    cid: int
    account: int
    subject: bytes
    queue: bytes
    sid: bytes
    delivered: int
    max_delivered: int


class KernelStats(NamedTuple):
    connections: int
    total_connections: int
    subscriptions: int
    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int
    slow_consumers: int
    stale_connections: int
    stalls: int
    turns: int
    turn_ns_max: int
    turn_ns_total: int
    cache_hits: int
    cache_misses: int
    requests_dropped: int  # because too many waited for Python
    advisories_dropped: int  # likewise


class LogEntry(NamedTuple):
    """An entry of a group's log, as it was applied. `group` 0 is the server's own."""

    group: int
    term: int
    log_index: int  # the first entry of a log is 1
    kind: int
    payload: bytes


class StoreStats(NamedTuple):
    """Of the whole store. `failed` is empty while it is healthy; so is `no_room`, which says why
    publishes to files are refused at present.
    """

    memory_bytes: int
    file_bytes: int
    journal_bytes: int
    syncs: int
    sync_ns_total: int
    sync_ns_max: int
    checkpoints: int
    failed: str
    no_room: str
    bytes_in_flight: int  # of all streams: published, and not applied yet


class StreamState(NamedTuple):
    messages: int
    bytes: int
    first_seq: int
    first_time_ns: int  # 0: never (an empty stream)
    last_seq: int
    last_time_ns: int  # 0: never
    num_subjects: int
    num_deleted: int
    consumers: int


class ConsumerState(NamedTuple):
    """Of a consumer; times 0 = never."""

    delivered_consumer_seq: int
    delivered_stream_seq: int
    delivered_last_ns: int
    ack_floor_consumer_seq: int
    ack_floor_stream_seq: int
    ack_floor_last_ns: int
    num_ack_pending: int
    num_redelivered: int
    num_waiting: int
    num_pending: int
    push_bound: bool
    paused_until_ns: int
    pin_id: str = ""  # of the pinned client
    pinned_ns: int = 0


class FeedStatus(NamedTuple):
    """Of a mirror's or source's feed from its origin."""

    open: bool  # False: it missed something, or the stream refused what came; a new one is needed
    origin_seq: int  # last sequence of the origin that was taken in or is known to be empty
    consumer_seq: int
    lag: int
    in_flight: int  # messages that are not applied yet
    seen_ns: int  # when the origin was last heard of


class SourcePosition(NamedTuple):
    """How far the log has what a source delivers; for a mirror the stream's last sequence."""

    seq: int
    identity: bytes  # which life of the origin; empty: it did not say


class StoredMessage(NamedTuple):
    subject: bytes
    seq: int
    header: bytes
    body: bytes
    time_ns: int


class PendingDelivery(NamedTuple):
    stream_seq: int
    consumer_seq: int  # of its first delivery
    sent_ns: int
    deliveries: int


class ConsumerProgress(NamedTuple):
    """All that a consumer did, for backup and restore; times 0 = never."""

    delivered_consumer_seq: int
    delivered_stream_seq: int
    ack_floor_consumer_seq: int
    ack_floor_stream_seq: int
    delivered_last_ns: int
    ack_floor_last_ns: int
    pending: list[PendingDelivery]
    exceeded: list[int]  # stream sequences that reached max_deliver


class BackupPiece(NamedTuple):
    """`outcome`: "more", "pending" (a BackupReadableEvent follows), "end", "damaged" (message
    `seq` cannot be read), "gone" (the stream was deleted).
    """

    records: bytes
    outcome: str
    seq: int


class BlockPiece(NamedTuple):
    """Of a message block of nats-server: its messages as records of an archive."""

    records: bytes
    consumed: int
    last_seq: int
    removed: list[int]
    fault: str


class RestoredBatch(NamedTuple):
    """What was taken off the front of the given records. A fault is that of the record behind."""

    consumed: int
    messages: int  # 0: nothing was proposed
    last_seq: int
    ended: bool
    fault: str


class StreamRecord(NamedTuple):
    """What recovery found.

    `description` is the opaque text that was given with the proposal (JSON of config, created,
    ...).
    """

    stream: int
    account: bytes
    description: bytes
    offline: str = ""
    """Why it is; empty: it is not."""


class ConsumerRecord(NamedTuple):
    consumer: int
    description: bytes
