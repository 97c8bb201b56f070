"""Goal: foreign bytes that reach Python end in an error that their callers expect, and soon.

Method: each entry of python_entries.py for a moment from a fixed seed, and what longer runs found.

SLIPSTREAM_FUZZ_SECONDS (default 2) is a multiple of the time for each entry, SLIPSTREAM_FUZZ_SEED
(default 1) the seed.
"""

from __future__ import annotations

import os
import random

import pytest

from python_entries import ENTRIES, Finding, fuzz, verify

SECONDS = float(os.environ.get("SLIPSTREAM_FUZZ_SECONDS", "2")) / 8
SEED = int(os.environ.get("SLIPSTREAM_FUZZ_SEED", "1"))

FOUND: list[tuple[str, bytes]] = [
    ("connect", b'{"auth_token":' + b'[{"config":' * 1000 + b"null" + b"}]" * 1000 + b"}"),
    ("consumer state", b"\x16\x02\x00\x00\x00\x00" + b"\xff" * 400_000),
    ("consumer state", b"\x16\x01" + b"\x01" * 400_000),
    ("configuration", b"a" + b"{" * 2000),
    ("configuration", b"a: " + b"[" * 20_000),
]


@pytest.mark.parametrize("name", ENTRIES)
def test_entry(name: str) -> None:
    tried, lines = fuzz(name, SECONDS, random.Random(SEED))
    assert tried >= 20
    assert lines > 0


@pytest.mark.parametrize(("name", "text"), FOUND)
def test_what_was_found(name: str, text: bytes) -> None:
    verify(ENTRIES[name], text)


def test_an_unexpected_exception_and_a_slow_answer_are_findings() -> None:
    def fails(_: bytes) -> None:
        raise KeyError("nobody expects it")

    def spins(_: bytes) -> None:
        sum(range(80_000_000))

    for call in (fails, spins):
        with pytest.raises(Finding):
            verify(ENTRIES["time"]._replace(call=call), b"")
