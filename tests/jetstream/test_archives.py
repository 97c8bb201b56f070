"""Goal: the kernel and its readable twin write and read the same records; what other servers wrote
is restored with every message and consumer.

Method: hypothesis makes streams, which travel from the kernel's encoder through the twin and back
into the kernel; archives that nats-server made, with what it had told about the stream, are files
beside this one.
"""

from __future__ import annotations

import base64
import io
import json
import struct
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from served_api import ServedApi
from slipstream.gotext.times import parse_time
from slipstream.jetstream.archive.compression import Compressor, Decompressor
from slipstream.jetstream.archive.consumer_records import decode_consumer, encode_consumer
from slipstream.jetstream.archive.records import (
    END,
    MAGIC,
    ArchiveError,
    Record,
    encode_record,
    take_record,
)
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.kernel._kernel import Loss
from slipstream.kernel.archive import highwayhash
from slipstream.kernel.values import ConsumerProgress, PendingDelivery

ARCHIVES = Path(__file__).parent / "archives"

numbers = st.integers(0, 2**63 - 1)
records = st.builds(
    Record,
    st.binary(max_size=40),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=200),
    st.binary(max_size=200),
)


@given(st.lists(records, max_size=20))
def test_records_come_back(written: list[Record]) -> None:
    buffer = bytearray(b"".join(encode_record(record) for record in written))
    found = []
    while record := take_record(buffer, 1 << 20):
        found.append(record)
    assert (found, buffer) == (written, b"")


@given(records, st.integers(0, 500))
def test_a_part_of_a_record_waits_for_the_rest(record: Record, missing: int) -> None:
    whole = encode_record(record)
    part = bytearray(whole[: max(len(whole) - 1 - missing, 0)])
    before = bytes(part)
    assert take_record(part, 1 << 20) is None
    assert part == before


def test_a_record_that_is_too_long_is_refused_by_its_head() -> None:
    with pytest.raises(ArchiveError):
        take_record(bytearray(b"\x01\x00\x01\x00\xff\xff\x7f"), 1 << 20)
    with pytest.raises(ArchiveError):
        take_record(bytearray(b"\xff" * 10), 1 << 20)


messages = st.lists(
    st.tuples(
        st.integers(1, 200),  # distance to the message before
        st.sampled_from([b"s.a", b"s.b", b"s.c.d", "s.\u00e9".encode()]),
        st.sampled_from([b"", b"NATS/1.0\r\nA: b\r\n\r\n", b"NATS/1.0\r\nNats-Msg-Id: 7\r\n\r\n"]),
        st.binary(max_size=300),
        st.integers(0, 10**9),  # nanoseconds since the message before
    ),
    max_size=40,
)


@settings(deadline=None, max_examples=60)
@given(messages, st.integers(1, 3), st.integers(1, 2000), st.sampled_from(["file", "memory"]))
def test_kernel_and_twin_agree(
    drawn: list[Any], first_seq: int, chunk_bytes: int, storage: str
) -> None:
    """Records of the twin into the kernel; out of the kernel into the twin."""
    written, seq, time_ns = [], first_seq - 1, 1_900_000_000_000_000_000
    for distance, subject, header, body, later_ns in drawn:
        seq, time_ns = seq + distance, time_ns + later_ns
        written.append(Record(subject, time_ns, seq, header, body))
    state = {"messages": len(written), "first_seq": first_seq, "last_seq": seq + 2}
    file = Record(b"state.json", 1, payload=json.dumps(state).encode())
    plain = MAGIC + b"".join(encode_record(record) for record in [file, *written, END])
    node = ServedApi()
    config = {"name": "S", "subjects": ["s.>"], "storage": storage}
    answer = node.restore(config, Compressor().compress(plain), chunk_bytes)
    assert answer["state"]["messages"] == len(written)
    assert answer["state"]["last_seq"] == seq + 2
    assert node.messages("S") == [(r.seq, r.time_ns, r.name, r.header, r.payload) for r in written]
    node.kernel.check()
    decompressor = Decompressor()
    decompressor.feed(node.backup("S").archive)
    read = bytearray()
    while block := decompressor.next():
        read += block
    assert read.startswith(MAGIC)
    del read[: len(MAGIC)]
    found = []
    while record := take_record(read, 1 << 20):
        found.append(record)
    assert found[1:] == [*written, END]


@given(
    st.lists(st.tuples(numbers, numbers, numbers, st.integers(1, 9)), max_size=9),
    st.lists(numbers, max_size=3, unique=True),
    *[numbers] * 4,
)
def test_consumers_come_back(
    drawn: list[Any], exceeded: list[int], a: int, b: int, c: int, d: int
) -> None:
    pending = {seq: PendingDelivery(seq, *rest) for seq, *rest in drawn}
    progress = ConsumerProgress(
        a,
        b,
        c,
        d,
        0,
        0,
        sorted(pending.values(), key=lambda delivery: delivery.consumer_seq),
        sorted(set(exceeded) - pending.keys()),
    )
    config = ConsumerConfig(durable_name="C", max_deliver=5)
    text = encode_consumer("C", config, progress, 2**63 - 1)
    assert decode_consumer("C", text)[1:] == (
        ConsumerConfig(durable_name="C", name="C", max_deliver=5),
        progress,
    )


def test_an_archived_consumer_is_not_beyond_its_stream() -> None:
    pending = [PendingDelivery(5, 1, 7, 1), PendingDelivery(9, 2, 8, 3)]
    progress = ConsumerProgress(2, 9, 1, 8, 0, 0, pending, [3, 10])
    text = encode_consumer("C", ConsumerConfig(durable_name="C", max_deliver=3), progress, 6)
    state = json.loads(text)["state"]
    assert state == {
        "delivered": {"consumer_seq": 2, "stream_seq": 6},
        "ack_floor": {"consumer_seq": 1, "stream_seq": 6},
        "pending": {"5": {"Sequence": 1, "Timestamp": 7}},
        "redelivered": {"3": 3},
    }


@pytest.mark.parametrize("version", ["2.14.6", "2.15.1"])
def test_backup_of_nats_server(version: str) -> None:
    told = json.loads((ARCHIVES / f"nats-server-{version}.json").read_text())
    archive = (ARCHIVES / f"nats-server-{version}.s2").read_bytes()
    node = ServedApi()
    request = told["request"]
    answer = node.restore(request["config"], archive, 1000, request["state"])
    assert "error" not in answer, answer
    expected = [
        (
            seq,
            parse_time(time).unix_ns,
            subject.encode(),
            base64.b64decode(header),
            base64.b64decode(body),
        )
        for seq, subject, header, body, time in told["messages"]
    ]
    assert node.messages("S") == expected
    shown = node.ok("STREAM.INFO.S", {"deleted_details": True})["state"]
    known = told["info"]["state"]
    for field in ("messages", "bytes", "first_seq", "last_seq", "deleted", "consumer_count"):
        assert shown.get(field) == known.get(field), field
    for name, consumer in told["consumers"].items():
        info = node.ok(f"CONSUMER.INFO.S.{name}")
        for field in ("num_ack_pending", "num_redelivered", "num_pending"):
            assert info[field] == consumer[field], (name, field)
        for field in ("delivered", "ack_floor"):
            for number in ("consumer_seq", "stream_seq"):
                assert info[field][number] == consumer[field][number], (name, field)
    node.kernel.check()


# -- the older format


def tar_of(*files: tuple[str, bytes], kind: bytes = tarfile.REGTYPE) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type, entry.mtime = len(content), kind, 1.5
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def header_of(file: tuple[str, bytes], size: bytes) -> bytes:
    """A tar of one file whose header says another size."""
    plain = tar_of(file)
    start = plain.index(file[0].encode().ljust(100, b"\0"))
    header = plain[start : start + 124] + size + plain[start + 136 : start + 512]
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:] + plain[start + 512 :]


def hashed(key: str, content: bytes) -> int:
    return highwayhash(sha256(key.encode()).digest(), content)


def checked(key: str, content: bytes) -> bytes:
    return hashed(key, content).to_bytes(8, "little").hex().encode()


META = b'{"Created":"2026-01-02T03:04:05.6Z","name":"S","subjects":["s.>"]}'
HEAD = (("meta.inf", META), ("meta.sum", checked("S", META)))
ERASED, TOMBSTONE = 1 << 63, 1 << 62


def block_record(
    seq: int, subject: bytes = b"s.a", body: bytes = b"x", header: bytes = b""
) -> bytes:
    size = 22 + len(subject) + len(body) + 8 + (4 + len(header) if header else 0)
    numbers = struct.pack("<QQ", seq, 1_800_000_000_000_000_000 + (seq & 0xFFFF))
    extent = struct.pack("<I", len(header)) if header else b""
    return (
        struct.pack("<I", size | (1 << 31 if header else 0))
        + numbers
        + struct.pack("<H", len(subject))
        + subject
        + extent
        + header
        + body
        + struct.pack("<Q", hashed("S-1", numbers + subject + header + body))
    )


def restore_tar(plain: bytes, **state: int) -> tuple[ServedApi, dict[str, Any]]:
    node = ServedApi()
    config = {"name": "S", "subjects": ["s.>"]}
    return node, node.restore(config, Compressor().compress(plain), 700, state)


def test_highwayhash() -> None:
    """The first vectors that its authors published: 0, 1, ... under the key 0, 1, ... 31."""
    vectors = (0x907A56DE22C26E53, 0x7EAB43AAC7CDDD78, 0xB8D0569AB0B53D62, 0x5C6BEFAB8A463D80)
    for size, expected in enumerate(vectors):
        assert highwayhash(bytes(range(32)), bytes(range(size))) == expected


def test_blocks() -> None:
    """Evicted messages before the first, tombstones, erased ones, a block that ends in a gap."""
    header = b"NATS/1.0\r\nA: b\r\n\r\n"
    first = b"".join(map(block_record, (1, 2, 3, 4))) + block_record(5, header=header)
    second = (
        block_record(4 | TOMBSTONE, b"", b"")
        + block_record(6 | ERASED, b"", b"")
        + block_record(7, body=b"y" * 2000)
        + block_record(9)
        + block_record(9 | TOMBSTONE, b"", b"")
    )
    plain = tar_of(
        *HEAD, ("msgs/1.blk", first), ("msgs/index.db", b"anything"), ("msgs/2.blk", b"")
    )
    node, answer = restore_tar(plain, first_seq=3, last_seq=5)
    assert "error" not in answer, answer
    assert [(seq, head) for seq, _, _, head, _ in node.messages("S")] == [
        (3, b""),
        (4, b""),
        (5, header),
    ]
    assert node.ok("STREAM.INFO.S")["created"] == "2026-01-02T03:04:05.6Z"
    plain = tar_of(*HEAD, ("msgs/1.blk", first + second))
    node, answer = restore_tar(plain, first_seq=3, last_seq=12)
    assert [(seq, len(body)) for seq, *_, body in node.messages("S")] == [(3, 1), (5, 1), (7, 2000)]
    assert node.ok("STREAM.INFO.S")["state"]["last_seq"] == 12
    node.kernel.check()


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        (b"\x01" * 512, "invalid tar header"),
        (tar_of(*HEAD)[:1536], "truncated"),
        (tar_of(("msgs/1.blk", block_record(1))), "expected meta.inf first"),
        (tar_of(HEAD[0], ("meta.sum", b"0" * 16)), "the checksum of meta.inf is wrong"),
        (tar_of(("meta.inf", b"{"), ("meta.sum", checked("S", b"{"))), "error in meta.inf"),
        (
            tar_of(("meta.inf", b'{"name":"T"}'), ("meta.sum", checked("S", b'{"name":"T"}'))),
            "stream names do not match",
        ),
        (tar_of(*HEAD, ("../x", b"")), "unexpected content"),
        (tar_of(*HEAD, ("/etc/passwd", b"")), "unexpected content"),
        (tar_of(*HEAD, ("msgs/../../x", b"")), "unexpected content"),
        (tar_of(*HEAD, ("a" * 150 + "/../b", b"")), "unexpected content"),
        (tar_of(("meta.inf", b""), kind=tarfile.SYMTYPE), "unexpected content"),
        (tar_of(("meta.inf", b""), kind=tarfile.DIRTYPE), "unexpected content"),
        (tar_of(("errors.txt", b"it broke")), "it broke"),
        (tar_of(*HEAD, ("msgs/1.blk", block_record(1)[:-1] + b"!")), "checksum"),
        (tar_of(*HEAD, ("msgs/1.blk", block_record(1)[:-1])), "cut off"),
        (tar_of(*HEAD, ("msgs/1.blk", b"\xff\xff\xff\x7f" + bytes(40))), "damaged"),
        (
            tar_of(*HEAD, ("msgs/1.blk", b"\x1e\0\0\0" + bytes(16) + b"\xff\xff" + bytes(8))),
            "damaged",
        ),
        (tar_of(*HEAD, ("msgs/1.blk", block_record(1, b"s.*"))), "invalid subject"),
        (tar_of(*HEAD, ("obs/C/o.dat", b"\x16\x02" + bytes(6))), "it has no meta.inf"),
        (tar_of(*HEAD, ("obs/C/meta.inf", b"{}"), ("obs/C/o.dat", b"")), "corrupt consumer state"),
        (
            tar_of(*HEAD, ("obs/C/meta.inf", b"{}"), ("obs/C/o.dat", b"\x16\x02" + b"\xff" * 20)),
            "corrupt",
        ),
        (tar_of(*HEAD, ("obs/C/meta.inf", b"["), ("obs/C/o.dat", b"")), "error restoring consumer"),
        (tar_of(("errors.txt", b"no " * 100_000)), "no no no"),
        (tar_of(*HEAD, (f"msgs/{'1' * 5_000}.blk", block_record(1))), "unexpected content"),
        (header_of(HEAD[0], size=b"-0000000005\0"), "invalid tar header"),
        (header_of(HEAD[0], size=b"0o000000005\0"), "invalid tar header"),
        (header_of(HEAD[0], size=b"\x80" + b"\xff" * 11), "is too large"),
        (header_of(HEAD[0], size=b"\xff" * 12), "is too large"),
    ],
)
def test_damaged_and_hostile_tars(plain: bytes, complaint: str) -> None:
    node, answer = restore_tar(plain)
    assert complaint in answer["error"]["description"]
    assert len(answer["error"]["description"]) < 2_000
    assert node.stream_names() == []


@pytest.mark.parametrize("year", ["0001", "1600", "2263", "9999"])
def test_streams_and_consumers_of_any_age_are_there_after_a_restart(year: str) -> None:
    created = f'"Created":"{year}-12-31T23:59:59.999999999Z"'.encode()
    meta = b"{" + created + b',"name":"S","subjects":["s.>"]}'
    consumer = b"{" + created + b',"name":"C","durable_name":"C","deliver_policy":"by_start_time",'
    consumer += b'"opt_start_time":"9999-12-31T23:59:59Z","pause_until":"9999-12-31T23:59:59Z"}'
    plain = tar_of(
        ("meta.inf", meta),
        ("meta.sum", checked("S", meta)),
        ("msgs/1.blk", block_record(1)),
        ("obs/C/meta.inf", consumer),
        ("obs/C/meta.sum", checked("S/C", consumer)),
        ("obs/C/o.dat", b"\x16\x02" + bytes(6)),
    )
    node, answer = restore_tar(plain)
    assert "error" not in answer, answer
    node.kernel.stop()
    again = ServedApi(node.disk.image(Loss.all), node.clock)
    assert again.ok("STREAM.INFO.S")["created"] == answer["created"]
    assert again.ok("CONSUMER.INFO.S.C")["config"]["opt_start_time"] == "9999-12-31T23:59:59Z"
