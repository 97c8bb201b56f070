"""Archives for restores, in both formats, with hostile names, numbers, texts and lengths."""

from __future__ import annotations

import io
import random
import struct
import tarfile
from hashlib import sha256

import hostile_values as values
from hostile_values import Raw, encoded
from slipstream.jetstream.archive.records import END, MAGIC, Record, encode_record
from slipstream.kernel._kernel import crc32c
from slipstream.kernel.archive import highwayhash

_S2_MAGIC = b"\xff\x06\x00\x00S2sTwO"
_CHUNK_BYTES = 60_000
_TIMES_NS = [1_760_000_000 * 10**9, 0, 1, -1, 2**63 - 1, -(2**63)]


def hostile_archive(rng: random.Random, stream: str) -> list[bytes]:
    """What is sent, message by message; the empty one at the end says that this was all."""
    plain = records(rng, stream) if rng.random() < 0.5 else tar(rng, stream)
    if rng.random() < 0.15:
        plain = values.damaged(plain, rng)
    sent = framed(plain, rng)
    if rng.random() < 0.15:
        sent = values.damaged(sent, rng)
    if rng.random() < 0.05:
        sent = plain
    size = rng.choice([100, 1000, 50_000, 500_000])
    chunks = [sent[at : at + size] for at in range(0, len(sent), size)][:300]
    if rng.random() < 0.9:
        chunks.append(b"")
    return chunks


def framed(plain: bytes, rng: random.Random) -> bytes:
    """An S2 stream of chunks that are not compressed, or say that they are."""
    out = [_S2_MAGIC]
    for at in range(0, len(plain), _CHUNK_BYTES):
        piece = plain[at : at + _CHUNK_BYTES]
        checksum = crc32c(piece)
        masked = ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF
        kind = 1
        if rng.random() < 0.03:
            kind = rng.choice([0, 2, 0x80, 0xFE, 0xFF, 0x99])
        size = len(piece) + 4
        if rng.random() < 0.02:
            size = rng.choice([0, 3, 4, 2**24 - 1])
        out.append(struct.pack("<I", kind | size << 8) + struct.pack("<I", masked) + piece)
    return b"".join(out)


def _number(rng: random.Random, right: int, hostility: float = 0.06) -> object:
    return rng.choice(values.INTEGERS) if rng.random() < hostility else right


def _time(rng: random.Random) -> object:
    return rng.choice(values.TIMES) if rng.random() < 0.15 else "2026-01-01T00:00:00Z"


def _subject(rng: random.Random, stream: str) -> bytes:
    if rng.random() < 0.05:
        value = rng.choice(values.STRINGS)
        raw = value.text if isinstance(value, Raw) else str(value).encode("utf-8", "surrogatepass")
        return raw[:60_000]
    return f"{stream.lower()}.a".encode()


def _header(rng: random.Random) -> bytes:
    names = [b"Nats-Msg-Id", b"Nats-TTL", b"Nats-Stream-Source", b"Nats-Schedule", b"Nats-Incr"]
    kinds = [b"1", b"1s", b"F0 5 > > a", b"@every 1s", b"+5", b"\xff\xfe", b"9" * 400, b"a\x00b"]
    if rng.random() < 0.5:
        return b""
    block = b"NATS/1.0\r\n"
    for _ in range(rng.randrange(1, 4)):
        block += rng.choice(names) + b": " + rng.choice(kinds) + b"\r\n"
    return values.damaged(block, rng) if rng.random() < 0.1 else block + b"\r\n"


def consumer(rng: random.Random, last: int) -> bytes:
    pending = {str(n): {"Sequence": _number(rng, n), "Timestamp": _number(rng, 1)} for n in (1, 2)}
    config = {"durable_name": "r", "ack_policy": "explicit", "ack_wait": _number(rng, 10**9)}
    state = {
        "delivered": {"consumer_seq": _number(rng, 2), "stream_seq": _number(rng, last)},
        "ack_floor": {"consumer_seq": _number(rng, 0), "stream_seq": _number(rng, 0)},
        "pending": pending,
        "redelivered": {rng.choice(["1", "0", "x", "9" * 50]): _number(rng, 1)},
    }
    return encoded({"config": config, "state": state, "created": _time(rng)})


def records(rng: random.Random, stream: str) -> bytes:
    count = rng.choice([0, 1, 3, 200])
    state = {
        "messages": _number(rng, count),
        "bytes": _number(rng, 100),
        "first_seq": _number(rng, 1),
        "last_seq": _number(rng, count),
        "first_ts": _time(rng),
        "last_ts": _time(rng),
        "created": _time(rng),
        "deleted": [_number(rng, 2)],
    }
    out = [MAGIC, encode_record(Record(b"state.json", 1, 0, b"", encoded(state)))]
    if rng.random() < 0.5:
        name = rng.choice([b"r", b"r", b"a b", b"\xff", b"../x", b"a" * 300, b""])
        record = Record(b"consumers/" + name, 1, 0, b"", consumer(rng, count))
        out.append(encode_record(record))
    for seq in range(1, count + 1):
        if rng.random() < 0.02:
            seq = rng.choice([2**64 - 1, 2**63, 1, 0])
        when = rng.choice(_TIMES_NS) if rng.random() < 0.02 else 1_760_000_000 * 10**9 + seq
        body = rng.choice([b"", b"body", b"x" * 3000])
        out.append(encode_record(Record(_subject(rng, stream), when, seq, _header(rng), body)))
    if rng.random() < 0.9:
        out.append(encode_record(END))
    return b"".join(out)


def _checked(key: str, content: bytes) -> bytes:
    value = highwayhash(sha256(key.encode()).digest(), content)
    return value.to_bytes(8, "little").hex().encode()


def _block(rng: random.Random, stream: str) -> bytes:
    key = sha256(f"{stream}-1".encode()).digest()
    out = b""
    for seq in range(1, rng.choice([1, 4, 50])):
        marked = seq | rng.choice([1 << 63, 1 << 62]) if rng.random() < 0.05 else seq
        if rng.random() < 0.02:
            marked = rng.choice([0, 2**64 - 1, 2**61])
        subject, header, body = _subject(rng, stream)[:1000], _header(rng), b"body"
        when = rng.choice(_TIMES_NS) if rng.random() < 0.02 else 1_760_000_000 * 10**9 + seq
        length = 22 + len(subject) + (4 + len(header) if header else 0) + len(body) + 8
        numbers = struct.pack("<QQ", marked, when % 2**64)
        extent = struct.pack("<I", len(header)) if header else b""
        checksum = highwayhash(key, numbers + subject + header + body)
        if header:
            length |= 1 << 31
        if rng.random() < 0.02:
            length = rng.choice([0, 21, 2**31 - 1, 2**32 - 1])
        out += struct.pack("<I", length) + numbers + struct.pack("<H", len(subject))
        out += subject + extent + header + body + struct.pack("<Q", checksum)
    return out


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def consumer_state(rng: random.Random) -> bytes:
    numbers = [0, 0, 2, 2, 2, 1_760_000_000 * 2, 1, 1, 0, 2, 2, 0, 0]
    if rng.random() < 0.4:
        numbers[rng.randrange(len(numbers))] = rng.choice([2**63, 2**64 - 1, 10**6, 2**32])
    return bytes([22, rng.choice([1, 2, 2, 2, 3])]) + b"".join(map(_varint, numbers))


def tar(rng: random.Random, stream: str) -> bytes:
    meta = {"name": stream, "created": _time(rng), "subjects": [f"{stream.lower()}.>"]}
    if rng.random() < 0.1:
        meta["extra"] = values.anything(rng)  # type: ignore[assignment]
    text = encoded(meta)
    meta_of_o = encoded({"durable_name": "o", "ack_policy": "explicit", "Created": _time(rng)})
    files = [
        ("meta.inf", text),
        ("meta.sum", _checked(stream, text)),
        ("msgs/1.blk", _block(rng, stream)),
        ("obs/o/meta.inf", meta_of_o),
        ("obs/o/meta.sum", _checked(f"{stream}/o", meta_of_o)),
        ("obs/o/o.dat", consumer_state(rng)),
    ]
    if rng.random() < 0.2:
        rng.shuffle(files)
    out = io.BytesIO()
    forms = [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]
    with tarfile.open(fileobj=out, mode="w", format=rng.choice(forms)) as packed:
        for name, content in files:
            if rng.random() < 0.05:
                name = rng.choice(["../" + name, "a" * 300, "msgs/" + "9" * 200 + ".blk", "\u20ac"])
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if rng.random() < 0.05:
                entry.pax_headers = {"path": "9" * 5000, "size": "9" * 50}
            packed.addfile(entry, io.BytesIO(content))
    whole = out.getvalue()
    if rng.random() < 0.1:  # the size of a header, in digits that are none
        whole = (
            whole[:124]
            + rng.choice([b"\xff" * 12, b"99999999999\x00", b"-1\x00" * 4])
            + whole[136:]
        )
    return whole
