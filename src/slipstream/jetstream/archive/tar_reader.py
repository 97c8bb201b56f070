"""Reads an archive of nats-server before 2.15: a tar of the files of its store.

    meta.inf, meta.sum          the stream's configuration, and its checksum
    msgs/<n>.blk                messages, as they stood in its files (message_block.hpp)
    msgs/index.db               is not needed
    obs/<consumer>/meta.inf, meta.sum, o.dat    configuration and state of a consumer

Nothing is unpacked: messages become records of an archive as they arrive. Which of them were
deleted is told by tombstones behind them; where the stream began and ended by the request's state,
because evicted messages may still stand in the first file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any, NamedTuple

import msgspec

from slipstream.gotext.decode import DecodeError, decode
from slipstream.gotext.durations import SECOND_NS
from slipstream.gotext.objects import GoStruct, Name
from slipstream.gotext.times import ZERO, Timestamp
from slipstream.jetstream.archive.consumer_records import ArchivedConsumer
from slipstream.jetstream.archive.reader import FILE_BYTES_MAX, ArchivedState
from slipstream.jetstream.archive.records import ArchiveError
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.kernel.archive import highwayhash, read_block
from slipstream.kernel.values import ConsumerProgress, PendingDelivery

_BLOCK = 512
_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_COMPLAINT_BYTES_MAX = 1 << 10
_RECORDS_BYTES_MAX = 1 << 20
_SEQ_MAX = 2**63 - 1
_MESSAGES = re.compile(r"msgs/([0-9]{1,18})\.blk")
_CONSUMER = re.compile(r"obs/([^/]+)/(meta\.inf|meta\.sum|o\.dat)")


class _StreamMeta(GoStruct):
    go_type = "FileStreamInfo"

    created: Annotated[Timestamp, Name("Created")] = ZERO
    name: str = ""


class _ConsumerMeta(ConsumerConfig):
    go_type = "FileConsumerInfo"

    created: Annotated[Timestamp, Name("Created")] = ZERO


class Removed(NamedTuple):
    """Messages that came before and were deleted."""

    seqs: list[int]


class _Entry(NamedTuple):
    name: str
    size: int
    kind: bytes


class TarArchiveReader:
    """Used like ArchiveReader; `ended` when the tar's end was seen."""

    def __init__(self, stream: str, first_seq: int, last_seq: int, last_time_ns: int) -> None:
        self.records = bytearray()
        self.state: ArchivedState | None = None
        self.ended = False
        self._stream = stream
        self._bounds = (min(first_seq, _SEQ_MAX), min(last_seq, _SEQ_MAX), last_time_ns)
        self._buffer = bytearray()
        self._entry: _Entry | None = None
        self._left = 0  # of the entry, with its padding
        self._pax: dict[str, str] = {}
        self._last_seq = 0
        self._removed: list[int] = []
        self._meta = b""
        self._consumer_meta: dict[str, bytes] = {}

    def feed(self, block: bytes) -> None:
        self._buffer += block

    @property
    def at_messages(self) -> bool:
        return bool(self.records)

    def next(self) -> ArchivedState | ArchivedConsumer | Removed | None:
        """None: more is needed, or there are messages to be taken. Raises ArchiveError."""
        while not (self.ended or self.records or self._removed):
            if self._entry is None:
                if not self._take_header():
                    return None
            elif self._entry.kind == b"0" and (index := _MESSAGES.fullmatch(self._entry.name)):
                if not self._take_messages(int(index[1])):
                    return None
            else:
                if len(self._buffer) < self._left:
                    return None
                item = self._take_file()
                if item is not None:
                    return item
        if self.records or not self._removed:
            return None
        removed, self._removed = self._removed, []
        return Removed(removed)

    # -- the tar

    def _take_header(self) -> bool:
        if len(self._buffer) < _BLOCK:
            return False
        header = bytes(self._buffer[:_BLOCK])
        del self._buffer[:_BLOCK]
        if header == bytes(_BLOCK):
            self.ended = True
            return True
        blank = header[:148] + b" " * 8 + header[156:]
        if not header[257:262] == b"ustar" or sum(blank) != _octal(header[148:156]):
            raise ArchiveError("archive/tar: invalid tar header")
        name = _text(header[:100])
        if prefix := _text(header[345:500]):
            name = f"{prefix}/{name}"
        size, kind = _octal(header[124:136]), header[156:157].replace(b"\0", b"0")
        if kind not in (b"x", b"g"):
            name, self._pax = self._pax.get("path", name), {}
        if kind not in (b"0", b"x", b"g") or name.startswith("/") or ".." in name.split("/"):
            raise ArchiveError("unexpected content")
        is_block = _MESSAGES.fullmatch(name) is not None
        if kind == b"0" and not is_block and name.startswith("msgs/") and name.endswith(".blk"):
            raise ArchiveError("unexpected content")
        if not is_block and size > FILE_BYTES_MAX:
            raise ArchiveError(f"the archive's file {name[:255]} is too large")
        self._entry = _Entry(name, size, kind)
        self._left = -(-size // _BLOCK) * _BLOCK
        return True

    def _take_file(self) -> ArchivedState | ArchivedConsumer | None:
        entry, self._entry = self._entry, None
        assert entry is not None
        content = bytes(self._buffer[: entry.size])
        del self._buffer[: self._left]
        if entry.kind == b"x":
            self._pax = _pax_records(content)
        elif entry.kind == b"0":
            if entry.name == "errors.txt":
                raise ArchiveError(content[:_COMPLAINT_BYTES_MAX].decode("utf-8", "replace"))
            if entry.name == "meta.inf":
                self._meta = content
            elif entry.name == "meta.sum":
                return self._stream_meta(content)
            elif found := _CONSUMER.fullmatch(entry.name):
                return self._consumer_file(found[1], found[2], content)
        return None

    # -- its files

    def _stream_meta(self, checksum: bytes) -> ArchivedState:
        _verify(self._stream, self._meta, checksum, "meta.inf")
        try:
            meta = decode(self._meta, _StreamMeta, strict=False)
        except DecodeError as error:
            raise ArchiveError(f"error in meta.inf: {error}") from None
        if meta.name != self._stream:
            raise ArchiveError("stream names do not match")
        first, last, last_ns = self._bounds
        created_ns = 0 if meta.created.is_zero else max(meta.created.unix_ns, 0)
        self._last_seq = max(first, 1) - 1
        self.state = ArchivedState(0, first, max(last, self._last_seq), last_ns, 0, created_ns)
        return self.state

    def _take_messages(self, index: int) -> bool:
        """False: it needs more of the file."""
        if self.state is None:
            raise ArchiveError("expected meta.inf first")
        assert self._entry is not None
        padding = -self._entry.size % _BLOCK
        size = min(self._left - padding, len(self._buffer))
        key = sha256(f"{self._stream}-{index}".encode()).digest()
        with memoryview(self._buffer)[:size] as there:
            piece = read_block(there, key, self.state.first_seq, self._last_seq, _RECORDS_BYTES_MAX)
        if piece.fault:
            raise ArchiveError(piece.fault)
        del self._buffer[: piece.consumed]
        self._left -= piece.consumed
        self.records += piece.records
        self._removed += piece.removed
        self._last_seq = piece.last_seq
        self.state = self.state._replace(last_seq=max(self.state.last_seq, self._last_seq))
        if self._left == padding:
            if len(self._buffer) < padding:
                return bool(piece.consumed)
            del self._buffer[:padding]
            self._entry = None
            return True
        if not piece.consumed and size == self._left - padding:
            raise ArchiveError("a message block is cut off")
        return bool(piece.consumed)

    def _consumer_file(self, name: str, file: str, content: bytes) -> ArchivedConsumer | None:
        if file == "meta.inf":
            self._consumer_meta[name] = content
            return None
        meta = self._consumer_meta.get(name)
        if meta is None:
            raise ArchiveError(f'error restoring consumer ["{name}"]: it has no meta.inf')
        if file == "meta.sum":
            _verify(f"{self._stream}/{name}", meta, content, f"obs/{name}/meta.inf")
            return None
        del self._consumer_meta[name]
        try:
            found = decode(meta, _ConsumerMeta, strict=False)
        except DecodeError as error:
            raise ArchiveError(f'error restoring consumer ["{name}"]: {error}') from None
        fields: dict[str, Any] = {
            field: getattr(found, field) for field in ConsumerConfig.__struct_fields__
        }
        config = msgspec.structs.replace(ConsumerConfig(**fields), name=name)
        return ArchivedConsumer(name, config, decode_consumer_state(content))


def decode_consumer_state(text: bytes) -> ConsumerProgress:
    """Of o.dat: varints, sequences as distances from the ack floor, times in seconds."""
    if len(text) < 2 or text[0] != 22 or text[1] not in (1, 2):
        raise ArchiveError("corrupt consumer state")
    version = text[1]
    take = _varints(text[2:])
    floor_consumer, floor_stream, consumer, stream = take(), take(), take(), take()
    if version == 1:
        consumer += max(floor_consumer - 1, 0)
        stream += max(floor_stream - 1, 0)
    pending: list[tuple[int, int, int]] = []
    if count := take():
        earliest = _signed(take())
        for _ in range(count):
            seq = take() + floor_stream
            consumer_seq = take() + floor_consumer if version == 2 else len(pending) + 1
            offset = _signed(take())
            seconds = earliest + offset if version == 1 else earliest - offset
            pending.append((seq, consumer_seq, seconds * SECOND_NS))
    again = {}
    for _ in range(take()):
        seq = take() + floor_stream
        again[seq] = take()
    if max(floor_consumer, floor_stream, consumer, stream, *again, 0) > _SEQ_MAX:
        raise ArchiveError("corrupt consumer state")
    if any(not 0 < seq <= _SEQ_MAX or abs(at) > _SEQ_MAX for seq, _, at in pending):
        raise ArchiveError("corrupt consumer state")
    out = {seq for seq, _, _ in pending}
    return ConsumerProgress(
        consumer,
        stream,
        floor_consumer,
        floor_stream,
        0,
        0,
        [
            PendingDelivery(seq, min(sent, _SEQ_MAX), at, min(again.get(seq, 0), 2**32 - 2) + 1)
            for seq, sent, at in sorted(pending, key=lambda delivery: delivery[1])
        ],
        sorted(again.keys() - out),
    )


def _varints(text: bytes) -> Callable[[], int]:
    position = 0

    def take() -> int:
        nonlocal position
        number = shift = 0
        while position < len(text) and shift < 70:
            byte = text[position]
            position += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number
        raise ArchiveError("corrupt consumer state")

    return take


def _signed(number: int) -> int:
    return (number >> 1) ^ -(number & 1)


def _verify(key: str, content: bytes, checksum: bytes, name: str) -> None:
    found = highwayhash(sha256(key.encode()).digest(), content).to_bytes(8, "little").hex()
    if checksum.decode("ascii", "replace") != found:
        raise ArchiveError(f"the checksum of {name} is wrong")


def _octal(field: bytes) -> int:
    """Large numbers are in binary, with the highest bit set."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    number = _OCTAL.fullmatch(field)
    if number is None:
        raise ArchiveError("archive/tar: invalid tar header")
    return int(number[1] or b"0", 8)


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _pax_records(content: bytes) -> dict[str, str]:
    """Lines of "length key=value"."""
    found: dict[str, str] = {}
    while content:
        digits, _, _ = content.partition(b" ")
        size = int(digits) if len(digits) < 9 and digits.isdigit() else 0
        line = content[len(digits) + 1 : size - 1]
        if not len(digits) + 2 < size <= len(content):
            raise ArchiveError("archive/tar: invalid tar header")
        key, _, value = line.decode("utf-8", "replace").partition("=")
        found[key] = value
        content = content[size:]
    if "size" in found:
        raise ArchiveError("archive/tar: invalid tar header")  # no file is that large
    return found
