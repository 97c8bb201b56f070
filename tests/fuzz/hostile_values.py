"""Values that break parsers, arithmetic and output, and JSON text that no encoder writes.

A value is what `json` knows, or `Raw`: bytes that go into the text as they are. Everything is drawn
from the given generator, so that a seed repeats it.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Raw:
    """JSON text, valid or not."""

    text: bytes


INTEGERS: list[object] = [
    0,
    -1,
    1,
    2,
    255,
    65_535,
    65_536,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    2**32,
    2**53 + 1,
    2**62,
    2**63 - 1,
    2**63,
    -(2**63),
    -(2**63) - 1,
    2**64 - 2,
    2**64 - 1,
    2**64,
    10**30,
    1.5,
    Raw(b"1e3"),
    Raw(b"1e400"),
    Raw(b"-0"),
    Raw(b"1e-400"),
    Raw(b"01"),
    Raw(b"+1"),
    Raw(b"NaN"),
    Raw(b"Infinity"),
    Raw(b"0x10"),
    Raw(b"9" * 400),
    Raw(b"9" * 5000),
    Raw(b"1" + b"0" * 70_000),
    Raw(b"0." + b"3" * 5000),
    Raw(b"-" + b"1" * 5000),
]
DURATIONS: list[object] = [
    1,
    999,
    10**6,
    10**9,
    2**63 - 1,
    2**63 - 2,
    2**63 - 10**18,
    -(2**63),
    -1,
    9_223_372_036 * 10**9,
    "1s",
    "-1h",
    "106751d",
    "1e9h",
]
TIMES: list[object] = [
    "0001-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "1677-09-21T00:12:43.145224192Z",
    "1969-12-31T23:59:59.999999999Z",
    "1970-01-01T00:00:00Z",
    "2262-04-11T23:47:16.854775807Z",
    "2262-04-11T23:47:16.854775808Z",
    "9999-12-31T23:59:59.999999999Z",
    "9999-12-31T23:59:59-23:59",
    "10000-01-01T00:00:00Z",
    "2026-02-30T00:00:00Z",
    "2026-06-30T23:59:60Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01t00:00:00z",
    "2026-01-01T00:00:00." + "1" * 4000 + "Z",
    "2026-01-01T00:00:00+99:99",
    "2026-01-01 00:00:00",
    "-2026-01-01T00:00:00Z",
    "\u0662\u0660\u0662\u0666-01-01T00:00:00Z",
    "",
]
STRINGS: list[object] = [
    "",
    " ",
    ".",
    "..",
    "*",
    ">",
    "a.>",
    "a..b",
    ".a",
    "a.",
    "*.*.>",
    "a b",
    "a\tb",
    "a\x00b",
    "a\r\nPUB forged 0\r\n\r\n",
    "a\nMSG forged 1 0\n",
    "x\r\n+OK\r\n",
    "/etc/passwd",
    "../../../../tmp/x",
    "a\\b",
    "$JS.API.>",
    "$JS.ACK.F0.c.1.1.1.1.1",
    "$SYS.>",
    "_INBOX.>",
    "%s%n%p",
    "{{1}}",
    "{{partition(4294967296,1)}}",
    "{{partition(0,1)}}",
    "{{wildcard(99)}}",
    "{{split(1,.)}}",
    "{{slicefromleft(1,0)}}",
    "\u202ereversed",
    "\U0001f600" * 40,
    "\x7f\x80\u2028",
    Raw(b'"\\ud800"'),
    Raw(b'"\\udc00\\ud800x"'),
    Raw(b'"\xff\xfe\xc0\x80"'),
    Raw(b'"\xed\xa0\x80"'),
    Raw(b'"\\u0000"'),
    Raw(b'"\\u00"'),
    Raw(b'"\\x41"'),
    Raw(b'"unterminated'),
    Raw(b'"line\nfeed"'),
    "a" * 255,
    "a" * 256,
    "a" * 5000,
    "a." * 2000 + "a",
    "a." * 200_000 + "a",
    "a" * 70_000,
    "*." * 500 + ">",
]
DEPTHS = (10, 64, 100, 500, 990, 1000, 10_000, 100_000)


def nested(rng: random.Random) -> Raw:
    """Arrays or objects in each other, perhaps never closed."""
    depth = rng.choice(DEPTHS)
    opening, closing, inner = rng.choice(
        [(b"[", b"]", b""), (b'{"a":', b"}", b"1"), (b'[{"config":', b"}]", b"null")]
    )
    return Raw(opening * depth + inner + (closing * depth if rng.random() < 0.7 else b""))


def wide(rng: random.Random) -> Raw:
    count = rng.choice([100, 1000, 20_000])
    item = rng.choice([b"0", b'""', b"null", b'"a.b"', b"{}", b'"F0"', b"18446744073709551615"])
    if rng.random() < 0.5:
        return Raw(b"[" + b",".join([item] * count) + b"]")
    members = (b'"k%d":%b' % (number % 9973, item) for number in range(count))
    return Raw(b"{" + b",".join(members) + b"}")


def anything(rng: random.Random) -> object:
    """Of any type."""
    kind = rng.randrange(10)
    if kind < 3:
        return rng.choice(INTEGERS)
    if kind < 6:
        return rng.choice(STRINGS)
    if kind < 7:
        return rng.choice(TIMES)
    if kind < 8:
        return nested(rng)
    if kind < 9:
        return wide(rng)
    return rng.choice([None, True, False, {}, [], [None], [[]], {"": {}}, ["a", 1, None]])


def encoded(value: object) -> bytes:
    """JSON; what is Raw goes in as it is."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        members = (encoded(str(key)) + b":" + encoded(item) for key, item in value.items())
        return b"{" + b",".join(members) + b"}"
    if isinstance(value, list):
        return b"[" + b",".join(encoded(item) for item in value) + b"]"
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def damaged(text: bytes, rng: random.Random) -> bytes:
    """A few bytes are changed, lost, repeated or cut off."""
    changed = bytearray(text)
    for _ in range(rng.randrange(1, 4)):
        if not changed:
            break
        at = rng.randrange(len(changed))
        action = rng.randrange(5)
        if action == 0:
            changed[at] = rng.choice(b'\x00\r\n"{}[]:,\\\xff\x80 9-.*>')
        elif action == 1:
            del changed[at : at + rng.randrange(1, 12)]
        elif action == 2:
            changed[at:at] = bytes(changed[at : at + rng.randrange(1, 40)])
        elif action == 3:
            changed[at:at] = rng.choice([b"\r\n", b"\x00", b"\\", b"\xed\xa0\x80", b"9" * 30])
        else:
            del changed[at:]
    return bytes(changed)
