"""Records of an archive: head of five numbers, name, header, payload.

Twin of archive_record.cpp. A message's name is its subject; what has no sequence is a file; a
record of zeros ends the archive.
"""

from __future__ import annotations

from typing import NamedTuple

MAGIC = b"NATSARC1"
_UINT64_MAX = 2**64 - 1


class Record(NamedTuple):
    """`seq` 0: a file."""

    name: bytes = b""
    time_ns: int = 0
    seq: int = 0
    header: bytes = b""
    payload: bytes = b""


END = Record()


class ArchiveError(ValueError):
    """What arrived is no archive, or a damaged one; the text says why."""


def encode_record(record: Record) -> bytes:
    return b"".join(
        (
            _varint(len(record.name)),
            _varint((record.time_ns << 1) ^ (record.time_ns >> 63)),
            _varint(record.seq),
            _varint(len(record.header)),
            _varint(len(record.payload)),
            record.name,
            record.header,
            record.payload,
        )
    )


def take_record(buffer: bytearray, bytes_max: int) -> Record | None:
    """Removes a record from the front; None: more bytes are needed.

    Raises ArchiveError for one that says that it is longer than `bytes_max`, before it is there.
    """
    numbers, position = [], 0
    for _ in range(5):
        found = _take_varint(buffer, position)
        if found is None:
            return None
        number, position = found
        numbers.append(number)
    name_size, time, seq, header_size, payload_size = numbers
    size = name_size + header_size + payload_size
    if size > bytes_max:
        raise ArchiveError("archive: invalid archive stream")
    if len(buffer) < position + size:
        return None
    body = bytes(buffer[position : position + size])
    del buffer[: position + size]
    return Record(
        body[:name_size],
        (time >> 1) ^ -(time & 1),
        seq,
        body[name_size : name_size + header_size],
        body[name_size + header_size :],
    )


def _varint(number: int) -> bytes:
    number &= _UINT64_MAX
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _take_varint(buffer: bytearray, position: int) -> tuple[int, int] | None:
    number = shift = 0
    while position < len(buffer):
        byte = buffer[position]
        position += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if number > _UINT64_MAX or (byte >= 0x80 and shift > 63):
            raise ArchiveError("archive: invalid archive stream")
        if byte < 0x80:
            return number, position
    return None
