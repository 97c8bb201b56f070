"""Reads an archive that arrives in blocks: state, consumers, then the messages, which the kernel
takes in bulk.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

from slipstream.gotext.decode import DecodeError, decode
from slipstream.gotext.objects import INT, UINT64, GoStruct
from slipstream.gotext.times import ZERO, Timestamp
from slipstream.jetstream.archive.consumer_records import ArchivedConsumer, decode_consumer
from slipstream.jetstream.archive.records import MAGIC, ArchiveError, Record, take_record

# Of state.json, or of one consumer: a hundred thousand pending deliveries.
FILE_BYTES_MAX = 16 << 20
CONSUMERS_PREFIX = b"consumers/"
_SEQ_MAX = 2**63 - 1


class _State(GoStruct):
    go_type = "StreamState"

    messages: Annotated[int, UINT64] = 0
    bytes: Annotated[int, UINT64] = 0
    first_seq: Annotated[int, UINT64] = 0
    last_seq: Annotated[int, UINT64] = 0
    last_ts: Timestamp = ZERO
    consumer_count: Annotated[int, INT] = 0


class ArchivedState(NamedTuple):
    """Of the stream when the backup began."""

    bytes: int
    first_seq: int
    last_seq: int
    last_time_ns: int
    consumers: int
    created_ns: int = 0  # 0: not known


class ArchiveReader:
    """After each `feed`: `next()` until it gives None.

    When `consumers_left` is 0 what follows are the records of messages: the caller takes them from
    the front of `records` itself.
    """

    def __init__(self) -> None:
        self.records = bytearray()
        self.state: ArchivedState | None = None
        self.ended = False  # set by who takes the messages: their last record says so
        self.consumers_left = -1
        self._magic_seen = False

    def feed(self, block: bytes) -> None:
        self.records += block

    @property
    def at_messages(self) -> bool:
        return self.consumers_left == 0

    def next(self) -> ArchivedState | ArchivedConsumer | None:
        """None: more is needed, or the messages begin. Raises ArchiveError."""
        if not self._magic_seen:
            if len(self.records) < len(MAGIC):
                return None
            if not self.records.startswith(MAGIC):
                raise ArchiveError("archive: invalid archive stream")
            del self.records[: len(MAGIC)]
            self._magic_seen = True
        if self.at_messages:
            return None
        record = take_record(self.records, FILE_BYTES_MAX)
        if record is None:
            return None
        if self.state is None:
            self.state = _decode_state(record)
            self.consumers_left = self.state.consumers
            return self.state
        self.consumers_left -= 1
        return _decode_consumer(record)


def _decode_state(record: Record) -> ArchivedState:
    if record.name != b"state.json" or record.seq:
        raise ArchiveError("expected state.json first")
    try:
        state = decode(record.header + record.payload, _State, strict=False)
    except DecodeError as error:
        raise ArchiveError(f"error in state.json: {error}") from None
    if state.consumer_count < 0:
        raise ArchiveError("invalid stream state: negative consumer count")
    if max(state.first_seq, state.last_seq) > _SEQ_MAX or state.first_seq > state.last_seq + 1:
        raise ArchiveError("invalid stream state: inconsistent message count or sequence range")
    if state.messages and state.messages > state.last_seq - state.first_seq + 1:
        raise ArchiveError("invalid stream state: message count exceeds sequence range")
    last_ns = 0 if state.last_ts.is_zero else state.last_ts.unix_ns
    return ArchivedState(
        bytes=state.bytes,
        first_seq=state.first_seq,
        last_seq=state.last_seq,
        last_time_ns=max(last_ns, 0),
        consumers=state.consumer_count,
    )


def _decode_consumer(record: Record) -> ArchivedConsumer:
    if not record.name.startswith(CONSUMERS_PREFIX) or record.seq:
        shown = record.name.decode("utf-8", "replace")
        raise ArchiveError(f'expected consumer, found "{shown}"')
    name = record.name.removeprefix(CONSUMERS_PREFIX).decode("utf-8", "replace")
    return decode_consumer(name, record.header + record.payload)
