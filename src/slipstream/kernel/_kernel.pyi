"""The compiled kernel as Python sees it.

Units: nanoseconds, bytes; times are unix nanoseconds. Subjects and names are bytes.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, Unpack

from slipstream.kernel.events import Event
from slipstream.kernel.specs import ConsumerSpec, FeedSpec, KernelLimits, StreamSpec
from slipstream.kernel.values import (
    BackupPiece,
    BlockPiece,
    ConnectionStats,
    ConsumerProgress,
    ConsumerRecord,
    ConsumerState,
    FeedStatus,
    JournalDamage,
    KernelStats,
    LogEntry,
    RestoredBatch,
    SourcePosition,
    StoredMessage,
    StoreKeys,
    StoreStats,
    StreamRecord,
    StreamState,
    Subscription,
)

# ---------------------------------------------------------------- storage: for tests and tools

OPEN_READ: int
SHORT_READ: int  # for SimDisk.inject: a read gives half of what is there
OPEN_WRITE: int
OPEN_CREATE: int
OPEN_EXCLUSIVE: int
OPEN_TRUNCATE: int

class StorageError(Exception): ...

class Loss(IntEnum):
    none = 0
    all = 1
    random_subset = 2
    torn_last = 3

class SyncMode(IntEnum):
    durable = 0
    relaxed = 1

class EntryKind(IntEnum):
    """Of the entries of a log."""

    stream_create = 1
    stream_delete = 2
    messages = 16
    purge = 17
    remove = 18
    remove_below = 19
    config = 20
    consumer_create = 21
    consumer_update = 22
    consumer_delete = 23
    delivered = 24
    acks = 25
    ack_all = 26
    deadline = 27
    exceeded = 28
    expire = 29
    mirrored = 30
    sourced = 31
    restored_messages = 32
    restored_consumer = 33
    batch_part = 34
    batch_commit = 35
    consumer_reset = 36
    ack_flow = 37
    schedule_forgotten = 38
    counter_total = 39
    subjects_lost = 40

# The file that makes a folder a store, and the one that a server locks.
STORE_MARKER: str
STORE_MARKER_TEXT: bytes
STORE_LOCK: str

def crc32c(data: bytes | bytearray | memoryview, crc: int = 0) -> int: ...
def siphash_1_3(text: bytes, a: int, b: int) -> int:
    """SipHash-1-3 under the key `a`, `b`: of tables."""

def siphash_2_4(text: bytes, a: int, b: int) -> int:
    """SipHash-2-4, 64 bits."""

def stored_hash(text: bytes, a: int, b: int) -> tuple[int, int]:
    """SipHash-2-4, 128 bits: of message ids."""

class Disk:
    def open(self, path: str, mode: int) -> int: ...
    def close(self, handle: int) -> None: ...
    def pread(self, handle: int, n: int, offset: int) -> bytes: ...
    def pread_nowait(self, handle: int, n: int, offset: int) -> bytes: ...
    def pwrite(self, handle: int, content: bytes, offset: int) -> int: ...
    def sync(self, handle: int) -> None: ...
    def truncate(self, handle: int, size: int) -> None: ...
    def size(self, handle: int) -> int: ...
    def rename(self, source: str, target: str) -> None: ...
    def unlink(self, path: str) -> None: ...
    def make_folder(self, path: str) -> None: ...
    def remove_folder(self, path: str) -> None: ...
    def sync_folder(self, path: str) -> None: ...
    def sync_everything(self) -> None: ...
    def list(self, path: str) -> list[str]: ...
    def lock(self, path: str) -> int: ...

class KeyRing:
    """The keys of an encrypted store, for tests and tools; `seed` repeats what is random.

    Raises ValueError for a malformed key, and for a cipher that this machine does not have.
    """

    def __init__(self, keys: StoreKeys, seed: int = 1) -> None: ...

class RealDisk(Disk):
    def __init__(self, root: str) -> None: ...

class SimDisk(Disk):
    def __init__(self, seed: int = 0) -> None: ...
    @property
    def operations(self) -> int: ...
    @property
    def crashed(self) -> bool: ...
    def crash_at(self, operation: int) -> None: ...
    def image(self, loss: Loss, seed: int = 0) -> SimDisk: ...
    def fail_sync_at(self, nth_sync: int) -> None: ...
    def set_capacity(self, size: int) -> None: ...
    def flip_bit(self, path: str, offset: int, bit: int) -> None: ...
    def set_cold(self, cold: bool) -> None: ...
    def inject(self, error: int, after: int = 0, count: int = 0, path_part: str = "") -> None:
        """`error` is an errno or SHORT_READ; 0: nothing fails any more."""

    @property
    def eligible(self) -> int: ...
    @property
    def injected(self) -> int: ...

class OverlayDisk(Disk):
    """Reads through to `base` and keeps every change in memory."""

    def __init__(self, base: Disk) -> None: ...
    def changed(self) -> list[str]:
        """Files of `base` that would have been written to."""

def salvage_journal(
    disk: Disk, keys: KeyRing | None = None
) -> tuple[list[tuple[int, int, int, int, bytes]], list[JournalDamage]]:
    """All records that are whole, as (group, term, index, kind, payload), and what is damaged."""

def read_back(kernel: Kernel, stream: int, limit: int) -> tuple[int, list[int]]:
    """Reads every message of a stream: how many are whole, and which are not (at most `limit`)."""

def highwayhash(key: bytes, data: bytes) -> int: ...
def read_block(
    data: bytes | bytearray | memoryview, key: bytes, first_seq: int, last_seq: int, bytes_max: int
) -> BlockPiece:
    """Whole records off the front of a message block of nats-server. `key` has 32 bytes."""

class S2Decoder:
    """Decodes an S2 (or framed Snappy) stream: feed it, take blocks until there is none, feed it
    again. Holds at most what was fed and one block. `next` raises S2Error.
    """

    def feed(self, data: bytes) -> None: ...
    def next(self) -> bytes:
        """At most 4 MiB; empty: more input is needed."""
    @property
    def complete(self) -> bool:
        """It began, and no chunk is cut off."""

class Journal:
    def __init__(
        self,
        disk: Disk,
        *,
        folder: str = "journal",
        file_bytes: int = ...,
        bytes_max: int = ...,
        mode: SyncMode = ...,
        threaded: bool = True,
        salt: int = 0,
        wake_fd: int = -1,
        keys: KeyRing | None = None,
    ) -> None: ...
    def close(self) -> None: ...
    def recover(self) -> list[tuple[int, int, int, int, bytes, int]]: ...
    def append(
        self,
        group: int,
        term: int,
        index: int,
        kind: int,
        payload: bytes,
        *,
        durable: bool = True,
        reserve: bool = False,
    ) -> int: ...
    def append_many(
        self,
        count: int,
        per_flush: int,
        payload: bytes,
        *,
        in_flight_bytes_max: int = ...,
        durable: bool = True,
    ) -> int: ...
    def flush(self) -> None: ...
    def sync_now(self) -> None: ...
    def retry(self) -> None: ...
    @property
    def trouble(self) -> int: ...
    def wait_synced(self) -> bool: ...
    def release(self, position: int) -> None: ...
    @property
    def position(self) -> int: ...
    @property
    def written(self) -> int: ...
    @property
    def synced(self) -> int: ...
    @property
    def failed(self) -> bool: ...
    @property
    def full(self) -> bool: ...
    @property
    def error(self) -> str: ...
    @property
    def in_use(self) -> int: ...
    @property
    def stats(self) -> dict[str, int]: ...

class Checkpoints:
    def __init__(
        self, disk: Disk, folder: str = "checkpoints", keys: KeyRing | None = None
    ) -> None: ...
    def load(self) -> dict[int, tuple[int, bytes]]: ...
    def begin(self) -> None: ...
    def add(self, group: int, applied: int, payload: bytes) -> None: ...
    def drop(self, group: int) -> None: ...
    def write(self) -> bool: ...
    @property
    def error(self) -> str: ...
    @property
    def bytes_written(self) -> int: ...

class IoPool:
    def __init__(self, disk: Disk, threaded: bool = False) -> None: ...
    @property
    def disk(self) -> Disk: ...
    def drain(self) -> None: ...
    def finish(self) -> None: ...

class ReadBuffer:
    def __init__(self) -> None: ...
    @property
    def ready(self) -> int: ...
    @property
    def waiting(self) -> bool: ...
    def reset(self) -> None: ...

class MessageStore:
    def __init__(
        self,
        pool: IoPool,
        folder: str = "streams/1",
        memory: bool = False,
        segment_bytes_min: int = ...,
        segment_bytes_max: int = ...,
        tail_bytes: int = ...,
        read_ahead_bytes: int = ...,
        compressed: bool = False,
        keys: KeyRing | None = None,
    ) -> None: ...
    @staticmethod
    def message_bytes(memory: bool, subject: int, header: int, body: int) -> int: ...
    @property
    def pool(self) -> IoPool: ...
    @property
    def first_seq(self) -> int: ...
    @property
    def last_seq(self) -> int: ...
    @property
    def first_time_ns(self) -> int: ...
    @property
    def last_time_ns(self) -> int: ...
    @property
    def messages(self) -> int: ...
    @property
    def subjects(self) -> int: ...
    @property
    def subject_ids(self) -> int: ...
    @property
    def error(self) -> str: ...
    def append(
        self, seq: int, time_ns: int, subject: bytes, header: bytes, body: bytes
    ) -> bool: ...
    def remove(self, seq: int) -> bool: ...
    def erase(self, seq: int) -> bool: ...
    def remove_below(self, seq: int) -> int: ...
    def set_sequences(self, first_seq: int, last_seq: int, last_time_ns: int) -> None: ...
    def live(self, seq: int) -> bool: ...
    def next_live(self, seq: int) -> int: ...
    def previous_live(self, seq: int) -> int: ...
    def live_above(self, seq: int) -> int: ...
    def subject_of(self, seq: int) -> int | None: ...
    def size_of(self, seq: int) -> int: ...
    def find_subject(self, subject: bytes) -> int | None: ...
    def subject_name(self, id: int) -> bytes: ...
    def subject_state(self, id: int) -> tuple[int, int, int]: ...
    def next_on_subject(self, id: int, seq: int) -> int: ...
    def match_subjects(self, filter: bytes) -> list[int]: ...
    def read(
        self, seq: int, buffer: ReadBuffer, blocking: bool = False
    ) -> tuple[str, tuple[int, int, bytes, bytes, bytes] | None]: ...
    def first_at_or_after(self, time_ns: int, buffer: ReadBuffer) -> int: ...
    @property
    def wants_rewrite(self) -> bool: ...
    def write_tail(self) -> bool: ...
    def snapshot(self, before_sync: Callable[[], object] | None = None) -> bytes | None: ...
    def checkpoint_durable(self) -> None: ...
    def load(self, snapshot: bytes) -> bool: ...
    def drop(self) -> None: ...
    def check(self) -> None: ...
    def memory(self) -> dict[str, int]: ...
    def bench_append(
        self, messages: int, prefix: str, unique: bool, body: int, ahead: int = 0
    ) -> int: ...
    def bench_read(self) -> int: ...
    def bench_remove(self, first: int, last: int, stride: int) -> int: ...
    # Last: the name hides the type in what follows it.
    @property
    def bytes(self) -> int: ...

# ---------------------------------------------------------------- protocol and subjects: for tests

class ProtocolParser:
    """The kernel's parser; its twin and the meaning of its answers: slipstream.protocol.parser."""

    def __init__(
        self, *, max_control_line: int = 4096, max_payload: int = 1048576, headers: bool = True
    ) -> None: ...
    def next(
        self, received: bytes
    ) -> tuple[
        str, int, int, tuple[str, bytes, bytes, bytes, bytes, bytes, int, bytes, bytes] | None
    ]:
        """(status, consumed, wanted, the fields of Command)."""

def valid_subject(subject: bytes) -> bool: ...
def valid_literal(subject: bytes) -> bool: ...
def has_wildcard(subject: bytes) -> bool: ...
def subject_matches(filter: bytes, literal: bytes) -> bool: ...
def schedule_next_run(
    pattern: bytes, zone: bytes | None, after_ns: int, now_ns: int
) -> tuple[int, int, bool] | str | None:
    """(unix ns, offset of the zone in s, repeats), or what is wrong, or None for no run."""

def zone_offset_s(zone: bytes, unix_s: int) -> int | None:
    """None: there is no such zone."""

class SubjectTrie:
    """The kernel's trie with numbered subscriptions; its model: slipstream.protocol.subjects."""

    def insert(self, key: int, subject: bytes, queue: bytes = b"") -> None: ...
    def remove(self, key: int) -> None: ...
    def match(
        self, literal: bytes, *, cached: bool = True
    ) -> tuple[list[int], dict[bytes, list[int]]]:
        """(plain subscriptions, members by queue group)."""
    def __len__(self) -> int: ...
    @property
    def hits(self) -> int:
        """Matches that the cache answered."""

class SubjectTransform:
    """Its twin: slipstream.protocol.subject_transform. Raises ValueError if there is none."""

    def __init__(self, source: bytes, destination: bytes) -> None: ...
    def transform(self, subject: bytes, drawn: int) -> bytes | None:
        """None if the source does not match; `drawn` are 31 random bits."""

def add_decimals(a: bytes, b: bytes, *, subtract: bool = False) -> bytes | None:
    """Whole numbers of any size as text; None if one is no number."""

def next_counter_message(
    last: tuple[bytes, bytes] | None, subject: bytes, header: bytes, body: bytes
) -> tuple[bytes, bytes] | None:
    """What a counter stream stores, as (header, body); `last` is what it stored before on the
    subject. None if one of them is no counter's message.
    """

# ---------------------------------------------------------------- small tables: for tests

class PendingTable:
    """Deliveries that wait for an acknowledgement, by stream sequence."""

    def insert(
        self, stream_seq: int, consumer_seq: int, deadline_ns: int, deliveries: int
    ) -> None: ...
    def set_deadline(self, stream_seq: int, deadline_ns: int) -> None: ...
    def stop_timing(self, stream_seq: int) -> None:
        """It keeps its deadline, and leaves the order of deadlines until it has another one."""
    def set_deliveries(self, stream_seq: int, deliveries: int) -> None: ...
    def erase(self, stream_seq: int) -> None: ...
    def clear(self) -> None: ...
    def find(self, stream_seq: int) -> tuple[int, int, int] | None:
        """(consumer sequence, deadline, deliveries)."""
    def in_order(self) -> list[int]:
        """Stream sequences, by consumer sequence."""
    def by_deadline(self) -> list[int]: ...
    @property
    def redelivered(self) -> int:
        """How many were delivered more than once."""
    def __len__(self) -> int: ...

class DedupeWindow:
    """Message ids and the sequences under which they were stored."""

    def __init__(self, a: int = 1, b: int = 2) -> None:
        """`a` and `b` are the key of the hash."""
    def find(self, id: bytes) -> int:
        """0: it is not in the window."""
    def insert(self, id: bytes, seq: int, time_ns: int) -> None: ...
    def expire(self, now_ns: int, window_ns: int) -> None: ...
    def begin_cut(self) -> None:
        """Begins to write down the window as it is now, for a checkpoint."""
    def write_cut(self, ids: int) -> bool:
        """Writes at most so many more, whatever has come and gone since; True: nothing is left."""
    @staticmethod
    def of_quick_hashes(snapshot: bytes) -> DedupeWindow:
        """A window made of what versions before snapshots of format 5 wrote."""

    def written_window(self) -> DedupeWindow:
        """A window made of what was written; only when nothing is left."""
    def __len__(self) -> int: ...

# ---------------------------------------------------------------- kernel

class SubjectListing:
    """Made by `Kernel.list_subjects`. Keeps the names of all that match until it is done."""

    def __init__(
        self, kernel: Kernel, stream: int, filter: bytes, offset: int, limit: int
    ) -> None: ...
    @property
    def total(self) -> int:
        """How many match; final after the last step."""
    def step(self) -> tuple[bool, list[tuple[bytes, int]]]:
        """(whether there are more steps, what this one found: rows of (subject, count))."""

class Kernel:
    """One server's data plane: connections, subjects, streams, consumers, the journal.

    Order of use: create; `account`, `set_info`, `serve`; `open_store` (JetStream); `listen`;
    `start` or `turn`. Every method may be called from any thread and is short; only `wait_events`,
    `open_store` and `stop` block.
    """

    def __init__(self, *, seed: int = 1, **limits: Unpack[KernelLimits]) -> None: ...
    def set_limits(self, **limits: Unpack[KernelLimits]) -> None:
        """Changes these, on a running kernel too (reload)."""
    def set_info(self, info_json: bytes, connected_json: bytes = b"") -> None:
        """The INFO that new connections get, and the one that clients of protocol 1 get with the
        answer to their first PING (none when it is empty): JSON objects; the kernel adds client_id
        and client_ip to each.
        """
    def broadcast_info(self, info_json: bytes) -> None:
        """Sends INFO to every client of protocol 1 that has sent a PING (lame duck, cluster
        changes).
        """
    # -- life
    def listen(self, fd: int) -> None:
        """Takes over a listening, non-blocking socket."""
    def stop_listening(self) -> None: ...
    def start(self) -> None:
        """Runs turns on a native thread until `stop`."""
    def stop(self) -> None:
        """Ends the thread; flushes what is in output buffers once, closes every connection
        (Server Shutdown), syncs and closes the store.
        """
    def turn(self, now_ns: int, monotonic_ns: int, timeout_ms: int = 0) -> int:
        """One turn on the caller's thread (simulation, embedding without a thread).

        Returns the number of ready sockets.
        """
    def wait_events(self, timeout_s: float, requests_max: int = 0) -> list[Event]:
        """Blocks (without the GIL) until there are events or the time is up. At most `requests_max`
        of them are requests, as many are advisories, as many are about inactive consumers, and four
        times as many are others (0: no limit). Clients take turns; a request comes the later the
        more it costs. Until the next call the kernel's turns are short, and leave time for calls
        between them.
        """
    def wake(self) -> None:
        """Makes a blocked `wait_events` return early."""
    # -- connections
    def accept(
        self,
        cid: int,
        account: int,
        *,
        verbose: bool,
        pedantic: bool,
        echo: bool,
        headers: bool,
        no_responders: bool,
        protocol: int,
    ) -> bool:
        """The verdict on a ConnectEvent: goes on reading.

        False when the connection is gone meanwhile.
        """
    def refuse(self, cid: int, error: bytes, reason: str) -> None:
        """Sends -ERR 'error' (without quotes here; empty sends nothing) and closes with a
        disconnect reason (K-085).
        """
    def disconnect(self, cid: int, reason: str) -> None: ...
    def send_error(self, cid: int, error: bytes) -> None:
        """-ERR without closing."""
    def connections(self) -> list[ConnectionStats]: ...
    def rtt_ns(self, cid: int) -> int:
        """The round trip of a connection; 0 when it is gone."""
    def subscriptions(self, cid: int = 0) -> list[Subscription]: ...
    def stats(self) -> KernelStats: ...
    # -- subjects
    def account(self, name: bytes) -> int:
        """The id of an account, made on first use. Accounts do not see each other's subjects."""
    def set_long_ack_subjects(self, wanted: bool) -> None:
        """Before the store is opened. Acknowledgements with domain and account in their subjects
        are always understood; if `wanted`, deliveries ask for them (C-111).
        """
    def serve(self, account: int, subject: bytes, service: int) -> None:
        """Messages on `subject` (wildcards allowed) in `account` become RequestEvents with this
        service number.
        """
    def unserve(self, account: int, subject: bytes) -> None:
        """Ends it; a message that was taken up before may still come as an event."""
    def publish(
        self, account: int, subject: bytes, reply: bytes, header: bytes, body: bytes
    ) -> int:
        """Publishes as the server itself; returns how many subscriptions it reached.

        Streams capture it too. Raises ValueError for a subject or a reply that would break the line
        of the protocol in which it stands.
        """
    def interest(self, account: int, subject: bytes) -> int:
        """How many subscriptions match a literal subject."""
    def literal_interest(self, account: int, subject: bytes) -> int:
        """How many are on this very subject: not wildcards, not queues."""
    # -- JetStream
    def set_domain(self, name: bytes) -> None:
        """`$JS.<name>.API.` becomes another name of `$JS.API.`. Before `open_store`."""
    def set_storage_limits(self, memory: int, file: int) -> None:
        """Bytes that all streams together may hold, by storage; beyond, publishes are answered with
        10023. -1: unlimited. After `open_store`.
        """
    def set_account_storage_limits(self, account: int, memory: int, file: int) -> None:
        """The same of one account (10002)."""
    def open_store(
        self,
        *,
        path: str = "",
        disk: Any = None,
        sync_interval_ns: int = 0,
        threads: bool = True,
        journal_file_bytes: int = 16777216,
        journal_bytes_max: int = 268435456,
        segment_bytes_max: int = 16777216,
        unlock: Callable[[Disk], StoreKeys | None] | None = None,
        follows: bool = False,
        sync_lag: int = 0,
    ) -> list[StreamRecord]:
        """Locks and recovers the store at `path` (or on a SimDisk). sync_interval_ns 0: durable.

        Raises StoreError with the cause: locked by another server, a nats-server folder, damaged,
        newer format.

        `unlock` is asked for the keys of an encrypted store once its folder is locked (None: it is
        not encrypted); what it raises becomes the text of the StoreError.

        A store that `follows` answers and sends nothing: it applies what `follow` gives it.
        `sync_lag`: without threads the journal is synced by so many flushes late (two a turn).
        """
    def consumers(self, stream: int) -> list[ConsumerRecord]: ...
    def take_offline(self, stream: int, reason: str) -> None:
        """As if something of this stream had failed; for tests."""
    def set_leader(self, stream: int, leads: bool) -> bool:
        """Begins or ends this server's reign over a stream; for tests. False: an entry is being
        applied, or, to begin, entries of an earlier reign wait for it.
        """
    def store_stats(self) -> StoreStats: ...
    def index_sizes(self, stream: int) -> tuple[int, int]:
        """Messages that a stream's indexes of times to live and of schedules name; for tests."""
    def checkpoint(self) -> None:
        """Asks for a checkpoint round; it runs beside the traffic."""
    # Proposals: each returns at once; CommittedEvent(token, result) follows when it is on stable
    # storage and applied.
    def propose_stream_create(
        self, token: int, account: int, name: bytes, description: bytes, spec: StreamSpec
    ) -> int:
        """Returns the new stream's id."""
    def propose_stream_update(
        self, token: int, stream: int, description: bytes, spec: StreamSpec
    ) -> None: ...
    def propose_stream_delete(self, token: int, stream: int) -> None: ...
    def propose_purge(self, token: int, stream: int, filter: bytes, seq: int, keep: int) -> None:
        """result: how many messages were removed."""
    def propose_delete(self, token: int, stream: int, seq: int, erase: bool) -> None:
        """result: 1 removed, 0 no such message."""
    def propose_consumer_create(
        self, token: int, stream: int, name: bytes, description: bytes, spec: ConsumerSpec
    ) -> int:
        """Returns the new consumer's id.

        With a token other than 0 it delivers nothing before `start_consumer`, so that the creation
        is answered first.
        """
    def start_consumer(self, stream: int, consumer: int) -> None: ...
    def propose_consumer_update(
        self, token: int, stream: int, consumer: int, description: bytes, spec: ConsumerSpec
    ) -> None:
        """With a token other than 0 it delivers nothing more before `start_consumer`."""
    def propose_consumer_delete(self, token: int, stream: int, consumer: int) -> None:
        """Waiting pulls get `409 Consumer Deleted` when it is applied."""
    def propose_consumer_reset(self, token: int, stream: int, consumer: int, seq: int) -> None:
        """It goes on at `seq`, or behind its ack floor if that is 0, after `start_consumer`. The
        result is that sequence.
        """
    # What comes from origins; messages do not pass through Python.
    def open_feed(self, stream: int, feed: int, spec: FeedSpec) -> bool:
        """A FeedEvent follows when it stops.

        False when an earlier feed of the same source is not finished, or the stream is gone.
        """
    def close_feed(self, stream: int, feed: int) -> None: ...
    def feed_status(self, stream: int, feed: int) -> FeedStatus | None: ...
    def source_position(self, stream: int, source: bytes) -> SourcePosition | None:
        """Where to go on; None while a feed of this source is open or has messages in flight."""
    # Backup: the messages of a stream, as the records of an archive.
    def open_backup(self, stream: int, last_seq: int) -> int:
        """Of the messages up to `last_seq`. Close it. Raises KeyError without the stream."""
    def read_backup(self, backup: int, bytes_max: int) -> BackupPiece:
        """The next whole records: a little more than `bytes_max` at most. Never blocks."""
    def close_backup(self, backup: int) -> None: ...
    def consumer_progress(self, stream: int, consumer: int) -> ConsumerProgress: ...
    # Restore: a hidden stream is filled in order and shown by propose_stream_update. What is
    # hidden when the store is opened is deleted. Its other proposals may follow only when the
    # first one was committed.
    def propose_restore_begin(
        self, token: int, account: int, name: bytes, description: bytes, spec: StreamSpec
    ) -> int: ...
    def propose_restored_messages(
        self,
        token: int,
        stream: int,
        records: bytes | bytearray,
        last_seq: int,
        payload_bytes_max: int,
        message_bytes_max: int,
    ) -> RestoredBatch:
        """Messages off the front of `records`, one entry of them at most; `last_seq` is the
        sequence of the message before. Nothing is proposed when there is no whole message.
        """
    def propose_restored_consumer(
        self,
        token: int,
        stream: int,
        name: bytes,
        description: bytes,
        spec: ConsumerSpec,
        state: ConsumerProgress,
    ) -> int: ...
    def propose_restored_end(
        self, token: int, stream: int, last_seq: int, last_time_ns: int
    ) -> None:
        """The stream's last sequence, if its last messages are gone."""
    def unpin_consumer(self, stream: int, consumer: int) -> None:
        """The next client that asks is pinned. Not logged; raises KeyError."""
    # Reading.
    def stream_state(self, stream: int) -> StreamState: ...
    def stream_deleted(self, stream: int, limit: int) -> list[int]:
        """Sequences between first and last that are gone."""
    def list_subjects(self, stream: int, filter: bytes, offset: int, limit: int) -> SubjectListing:
        """A page of the matching subjects, sorted; found in steps."""
    def count_pending(self, stream: int, consumer: int) -> bool:
        """Counts a part of what is pending; False: call it again before `consumer_state`, which
        counts all that is left.
        """
    def consumer_state(self, stream: int, consumer: int) -> ConsumerState: ...
    def get_message(self, stream: int, seq: int) -> StoredMessage | None: ...
    def get_last(self, stream: int, subject: bytes) -> StoredMessage | None:
        """The newest message whose subject matches (wildcards allowed)."""
    def get_next(self, stream: int, subject: bytes, seq: int) -> StoredMessage | None:
        """The first message at or behind seq whose subject matches (empty: any)."""
    def first_at_or_after(self, stream: int, time_ns: int) -> int:
        """Smallest sequence with a time at or behind; last + 1 if there is none."""
    # Replicas in tests: what one kernel applied, another one applies as a follower does.
    def take_applied(self) -> list[LogEntry]:
        """Entries of all logged groups since the last call; the first call begins to keep them."""
    def follow(self, entry: LogEntry) -> None:
        """Applies the next entry of a group. Raises StoreError when that cannot be done."""
    def canonical_states(self) -> dict[int, str]:
        """The replicated state of each stream in files for which nothing is under way, by its id:
        equal on all replicas that have applied the same entries. Reads every message.
        """
    def check(self) -> None:
        """Asserts the invariants of every stream and consumer; slow, for tests."""
