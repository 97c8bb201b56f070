"""Goal: crc32c is CRC-32C, whichever of its ways (bytes, words, three lanes) an input takes.

Method: against a twin that works bit by bit, over the lengths at which the way changes, and by
continuing from a part.
"""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.kernel._kernel import crc32c

TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def twin(text: bytes, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for byte in text:
        crc = TABLE[(crc ^ byte) & 255] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def test_the_check_value() -> None:
    assert crc32c(b"123456789") == twin(b"123456789") == 0xE3069283
    assert crc32c(b"") == 0


def test_lengths_around_the_lanes() -> None:
    text = random.Random(1).randbytes(20_000)
    for length in [*range(20), 383, 384, 385, 775, 1024, 6143, 6144, 6145, 12_288, 19_999]:
        assert crc32c(text[:length]) == twin(text[:length]), length


@settings(max_examples=50)
@given(st.binary(max_size=900), st.binary(max_size=900))
def test_continuing(first: bytes, second: bytes) -> None:
    assert crc32c(second, crc32c(first)) == twin(first + second)
