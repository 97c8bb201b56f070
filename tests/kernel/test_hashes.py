"""Goal: what clients name is hashed by SipHash, so that nobody can make names meet in one place;
ids in snapshots of earlier versions, hashed by another function, stay duplicates.

Method: the published vectors and a readable twin; the interpreter's own SipHash-1-3; names that
were crafted for the earlier function; and a window written as an earlier version did it.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.kernel._kernel import DedupeWindow, siphash_1_3, siphash_2_4, stored_hash

MASK = 2**64 - 1
KEY = struct.unpack("<QQ", bytes(range(16)))
DAY_NS = 86_400 * 10**9


def twin(text: bytes, key: tuple[int, int], compress: int, finish: int, wide: bool) -> list[int]:
    a, b = key
    v = [
        *(a ^ 0x736F6D6570736575, b ^ 0x646F72616E646F6D),
        *(a ^ 0x6C7967656E657261, b ^ 0x7465646279746573),
    ]

    def turned(value: int, bits: int) -> int:
        return (value << bits | value >> (64 - bits)) & MASK

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = turned(v[1], 13) ^ v[0]
            v[0] = turned(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = turned(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = turned(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = turned(v[1], 17) ^ v[2]
            v[2] = turned(v[2], 32)

    v[1] ^= 0xEE if wide else 0
    padded = text + bytes(7 - len(text) % 8) + bytes([len(text) & 255])
    for (word,) in struct.iter_unpack("<Q", padded):
        v[3] ^= word
        rounds(compress)
        v[0] ^= word
    v[2] ^= 0xEE if wide else 0xFF
    rounds(finish)
    out = [v[0] ^ v[1] ^ v[2] ^ v[3]]
    if wide:
        v[1] ^= 0xDD
        rounds(finish)
        out.append(v[0] ^ v[1] ^ v[2] ^ v[3])
    return out


def test_published_vectors() -> None:
    assert siphash_2_4(bytes(range(15)), *KEY) == 0xA129CA6149BE45E5
    assert siphash_2_4(b"", *KEY) == 0x726FDB47DD0E0E31
    wide = struct.pack("<QQ", *stored_hash(b"", *KEY))
    assert wide.hex() == "a3817f04ba25a8e66df67214c7550293"


@given(st.binary(max_size=70), st.integers(0, MASK), st.integers(0, MASK))
def test_against_the_twin(text: bytes, a: int, b: int) -> None:
    assert [siphash_1_3(text, a, b)] == twin(text, (a, b), 1, 3, False)
    assert [siphash_2_4(text, a, b)] == twin(text, (a, b), 2, 4, False)
    assert list(stored_hash(text, a, b)) == twin(text, (a, b), 2, 4, True)


@pytest.mark.skipif(sys.hash_info.algorithm != "siphash13", reason="another hash in this Python")
def test_against_the_interpreter() -> None:
    texts = [b"x" * length for length in range(1, 40)]
    program = f"print([hash(t) for t in {texts!r}])"
    answer = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        check=True,
    )
    signed = [int(word) for word in answer.stdout.decode().strip("[]\n").split(",")]
    assert [siphash_1_3(text, 0, 0) for text in texts] == [value & MASK for value in signed]


# ------------------------------------------------------------------ the earlier function

_BLOCK, _STATE = 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3


def fold(a: int, b: int) -> int:
    product = a * b
    return (product ^ product >> 64) & MASK


def quick_hash(text: bytes, seed: int) -> int:
    h = seed ^ (len(text) * 0xA0761D6478BD642F & MASK)
    whole = len(text) // 8 * 8
    for (word,) in struct.iter_unpack("<Q", text[:whole]):
        h = fold(word ^ _BLOCK, h ^ _STATE)
    tail = int.from_bytes(text[whole:], "little")
    return fold(tail ^ 0x589965CC75374CC3, h ^ 0x1D8E4E27C47D124F)


CRAFTED = [b"%08d" % i + struct.pack("<Q", _BLOCK) for i in range(20_000)]


def test_crafted_names_spread_like_others() -> None:
    assert len({quick_hash(name, 12345) for name in CRAFTED}) == 1  # what they were made for
    hashes = [siphash_1_3(name, 1, 2) for name in CRAFTED]
    assert len(set(hashes)) == len(CRAFTED)
    assert max(Counter(value % 16384 for value in hashes).values()) < 16
    assert max(Counter(value >> 50 for value in hashes).values()) < 16


def test_different_ids_are_no_duplicates() -> None:
    window = DedupeWindow(7, 8)
    window.insert(CRAFTED[0], 1, 0)
    assert window.find(CRAFTED[0]) == 1
    assert not any(window.find(name) for name in CRAFTED[1:])


def earlier_snapshot(ids: list[bytes], key: tuple[int, int]) -> bytes:
    out = struct.pack("<QQQ", *key, len(ids))
    for seq, name in enumerate(ids, 1):
        hashes = (quick_hash(name, key[0]), quick_hash(name, key[1]))
        out += struct.pack("<QQQq", *hashes, seq, seq * DAY_NS)
    return out


def test_ids_of_an_earlier_snapshot_stay_duplicates() -> None:
    ids = [b"id number %d" % i for i in range(300)]
    window = DedupeWindow.of_quick_hashes(earlier_snapshot(ids, (3, 4)))
    for seq in range(301, 401):
        window.insert(b"new %d" % seq, seq, seq * DAY_NS)
    for round_number in range(3):
        assert [window.find(name) for name in ids] == list(range(1, 301)), round_number
        assert window.find(b"new 301") == 301
        assert window.find(b"never") == 0
        window.begin_cut()  # it is written down and read, with both kinds in it
        assert window.write_cut(1000)
        window = window.written_window()
    window.expire(351 * DAY_NS, 100 * DAY_NS)
    assert [window.find(name) for name in ids[:251]] == [0] * 251
    assert [window.find(name) for name in ids[251:]] == list(range(252, 301))
    window.expire(500 * DAY_NS, 100 * DAY_NS)
    assert len(window) == 0
