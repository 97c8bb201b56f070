"""Goal: the decoder of S2 gives back what was compressed, whoever compressed it and in whatever
pieces it arrives; of anything else it says so and neither reads nor writes outside of its buffers.

Method: blocks by hand for every kind of element, S2's own ones with the texts of their meaning;
what cramjam compressed; a backup that nats-server compressed; archives with flipped and cut bytes.
"""

from __future__ import annotations

from pathlib import Path

import cramjam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.kernel._kernel import crc32c
from slipstream.kernel.archive import S2Decoder
from slipstream.kernel.values import S2Error

BACKUP = Path(__file__).parents[1] / "jetstream" / "archives" / "nats-server-2.15.1.s2"
S2_MAGIC = b"\xff\x06\x00\x00S2sTwO"
SNAPPY_MAGIC = b"\xff\x06\x00\x00sNaPpY"


def chunk(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "little") + body


def checksum(plain: bytes) -> bytes:
    crc = crc32c(plain)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def varint(number: int) -> bytes:
    encoded = b""
    while number >= 0x80:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


def block(elements: bytes, plain: bytes) -> bytes:
    return chunk(0, checksum(plain) + varint(len(plain)) + elements)


def decode(*pieces: bytes) -> bytes:
    decoder = S2Decoder()
    plain = b""
    for piece in pieces:
        decoder.feed(piece)
        while found := decoder.next():
            plain += found
    assert decoder.complete
    return plain


def literal(text: bytes) -> bytes:
    assert 0 < len(text) <= 60
    return bytes([(len(text) - 1) << 2]) + text


# Four mebibytes of zeros in eleven bytes: one, one more, and a repeat of the rest.
LARGE = b"\x00\x00\x02\x01\x00\x1d\x00" + ((1 << 22) - 2 - 65540).to_bytes(3, "little")


@pytest.mark.parametrize(
    ("elements", "plain"),
    [
        (literal(b"abc"), b"abc"),
        (b"\xf0\x3f" + b"x" * 64, b"x" * 64),  # length in one byte
        (b"\xf4\xff\x00" + b"x" * 256, b"x" * 256),  # in two
        (b"\xf8\x02\x00\x00abc", b"abc"),  # in three
        (b"\xfc\x02\x00\x00\x00abc", b"abc"),  # in four
        (literal(b"abcd") + b"\x01\x04", b"abcdabcd"),  # copy: 4 from 4 back
        (literal(b"ab") + b"\x1d\x01", b"ab" + b"b" * 11),  # of itself
        (literal(b"abc") + b"\x0a\x03\x00", b"abcabc"),  # offset in two bytes
        (literal(b"abc") + b"\x0b\x03\x00\x00\x00", b"abcabc"),  # in four
        # Repeats: the offset of the copy before; lengths 4..8, then in one, two and three bytes.
        (literal(b"abc") + b"\x02\x03\x00" + literal(b"x") + b"\x01\x00", b"abcaxcax" + b"c"),
        (literal(b"a") + b"\x02\x01\x00" + b"\x15\x00\x02", b"aa" + b"a" * 10),
        (literal(b"a") + b"\x02\x01\x00" + b"\x19\x00\x01\x00", b"aa" + b"a" * 261),
        (literal(b"a") + b"\x02\x01\x00" + b"\x1d\x00\x05\x00\x01", b"aa" + b"a" * 131081),
        (b"", b""),
    ],
)
def test_elements(elements: bytes, plain: bytes) -> None:
    assert decode(S2_MAGIC + block(elements, plain)) == plain


def test_chunks() -> None:
    stored = chunk(1, checksum(b"as it is") + b"as it is")
    skipped = chunk(0x80, b"whatever") + chunk(0xFE, b"\0" * 100) + chunk(0x99, b"index")
    whole = S2_MAGIC + skipped + stored + SNAPPY_MAGIC + stored + skipped
    assert decode(whole) == b"as it is" * 2
    assert decode(*(whole[i : i + 1] for i in range(len(whole)))) == b"as it is" * 2


def test_blocks_of_s2_are_larger_than_snappys() -> None:
    assert decode(S2_MAGIC + block(LARGE, bytes(1 << 22))) == bytes(1 << 22)
    for magic, size in ((SNAPPY_MAGIC, (1 << 16) + 1), (S2_MAGIC, (1 << 22) + 1)):
        with pytest.raises(S2Error, match="too long"):
            decode(magic + chunk(0, bytes(4) + varint(size)))
        with pytest.raises(S2Error, match="too long"):
            decode(magic + chunk(1, bytes(4 + size)))


@pytest.mark.parametrize(
    ("stream", "complaint"),
    [
        (b"PK\x03\x04", "not an S2 or Snappy stream"),
        (chunk(0xFF, b"sNaPpX"), "not an S2 or Snappy stream"),
        (chunk(0xFF, b"S2sTwO2"), "not an S2 or Snappy stream"),
        (S2_MAGIC + chunk(2, b"x" * 10), "unknown type"),
        (S2_MAGIC + chunk(0x7F, b"x" * 10), "unknown type"),
        (S2_MAGIC + chunk(1, b"xxx"), "too short"),
        (S2_MAGIC + b"\x00\xff\xff\xff", "too long"),
        (S2_MAGIC + chunk(1, bytes(4) + b"x"), "checksum"),
        (S2_MAGIC + chunk(0, bytes(4)), "damaged"),
        (S2_MAGIC + chunk(0, bytes(4) + b"\xff" * 10), "damaged"),
        (S2_MAGIC + block(b"", b"x"), "damaged"),  # less than it says
        (S2_MAGIC + block(literal(b"xy"), b"x"), "damaged"),  # more
        (S2_MAGIC + block(b"\x08x", b"xyz"), "damaged"),  # a literal that is cut off
        (S2_MAGIC + block(b"\xfc\xff\xff\xff\xff", b"xyz"), "damaged"),  # 4 GiB of it
        (S2_MAGIC + block(b"\xf8\xff", b"xyz"), "damaged"),
        (S2_MAGIC + block(b"\x01\x01", b"xxxx"), "damaged"),  # a copy of nothing
        (S2_MAGIC + block(b"\x01\x00", b"xxxx"), "damaged"),  # a repeat of nothing
        (S2_MAGIC + block(literal(b"x") + b"\x01\x02", b"xxxxx"), "damaged"),  # before the start
        (S2_MAGIC + block(literal(b"x") + b"\x02\x00\x00", b"xx"), "damaged"),
        (S2_MAGIC + block(literal(b"x") + b"\x03\xff\xff\xff\xff", b"xx"), "damaged"),
        (S2_MAGIC + block(literal(b"x") + b"\xff\x01\x00", b"x" * 65), "damaged"),
    ],
)
def test_what_is_no_stream(stream: bytes, complaint: str) -> None:
    decoder = S2Decoder()
    decoder.feed(stream)
    with pytest.raises(S2Error, match=complaint):
        decoder.next()
    decoder.feed(S2_MAGIC)
    with pytest.raises(S2Error, match=complaint):
        decoder.next()


def test_a_bomb_is_given_in_blocks() -> None:
    decoder = S2Decoder()
    decoder.feed(S2_MAGIC + block(LARGE, bytes(1 << 22)) * 20)
    for _ in range(20):
        assert len(decoder.next()) == 1 << 22
    assert decoder.next() == b""
    assert decoder.complete


@given(
    st.lists(st.binary(max_size=300) | st.sampled_from([b"ab" * 500, bytes(70_000)]), max_size=8),
    st.integers(1, 5000),
)
def test_what_snappy_compressed(parts: list[bytes], step: int) -> None:
    plain = b"".join(parts) + b"."
    framed = bytes(cramjam.snappy.compress(plain))
    assert decode(*(framed[i : i + step] for i in range(0, len(framed), step))) == plain


def test_what_nats_server_compressed() -> None:
    archive = BACKUP.read_bytes()
    assert archive.startswith(S2_MAGIC)
    assert decode(archive).startswith(b"NATSARC1\n")


@given(st.integers(0, 2**31), st.integers(0, 255), st.integers(0, 2**31))
def test_damage_is_noticed_or_harmless(place: int, value: int, end: int) -> None:
    archive = bytearray(BACKUP.read_bytes())
    archive[place % len(archive)] ^= value
    decoder = S2Decoder()
    decoder.feed(bytes(archive[: end % len(archive) + 1]))
    try:
        while found := decoder.next():
            assert len(found) <= 1 << 22
    except S2Error:
        pass
