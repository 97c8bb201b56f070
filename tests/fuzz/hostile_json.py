"""Values that a client may write where a plain one is expected, and JSON that holds them."""

from __future__ import annotations

import json
import random
from typing import Any

FORGED = "x\r\nMSG forged 1 2\r\nhi"


class Raw(str):
    """JSON as it is to be written."""


TEXTS: list[Any] = [
    "", " ", ".", "a..b", ">", "*", "a.>", "a.*.b", "a\x00b", "a\tb", FORGED, f"a.{FORGED}",
    "\ufffd",
    "x" * 300, "x." * 200 + "x", "$JS.API.>", "$SYS.>", "_INBOX.>", "\u0661\u0662", "\u00b2", "5%",
    "9" * 40, "9" * 5_000, "-1", "1h", "9999-12-31T23:59:59.999999999Z", "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59-24:00", "0000-00-00T00:00:00Z", "{{wildcard(1)}}",
    "{{partition(9999999999,1)}}",
    "{{split(1,-)}}", "limits", "explicit", "a/../../b", "\u2028",
    Raw(r'"\ud800"'), Raw(r'"a\udc00b"'),
]  # fmt: skip
NUMBERS: list[Any] = [
    0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**62, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1,
    2**64 - 1, 2**64, Raw("9" * 400), Raw("9" * 5_000), Raw("-" + "9" * 5_000), Raw("1e308"),
    Raw("1e999"), Raw("-0"), Raw("1.5"), Raw("0." + "1" * 5_000), Raw("1e-5000"), 100_000_000,
]  # fmt: skip
OTHERS: list[Any] = [
    None,
    True,
    False,
    [],
    {},
    [None],
    [[]],
    [{}],
    {"a": {}},
    Raw("[" * 60 + "]" * 60),
]
DEEP: list[Any] = [
    Raw(opened * depth + inmost + closed * depth)
    for opened, inmost, closed in (("[", "", "]"), ('{"a":', "1", "}"))
    for depth in (65, 990, 2_000, 10_001)
]
BODIES: list[bytes] = [
    b"", b"{", b"[", b"null", b"{}", b"[]", b"{}{}", b'{"a":', b"\xff\xfe", b"\x00", b'{"\xff":1}',
    b"0",
    b"[" * 2_000, b'{"a":' * 2_000, b"[" * 100_000, b'"' + b"x" * 100_000, b"9" * 5_000, b"-",
    b"1e",
    b'{"seq":1}' * 500, b"NaN", b"[[],[]," * 5_000, b"{}" * 5_000, b'{"' + b"k" * 70_000 + b'":1}',
]  # fmt: skip


def value(random_: random.Random) -> Any:
    kinds = (TEXTS, NUMBERS, OTHERS, DEEP)
    return random_.choice(random_.choices(kinds, (6, 6, 2, 1))[0])


def render(body: Any) -> str:
    if isinstance(body, Raw):
        return str(body)
    if isinstance(body, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{render(v)}" for k, v in body.items()) + "}"
    if isinstance(body, list):
        return "[" + ",".join(map(render, body)) + "]"
    return json.dumps(body)


def spoiled(body: Any, random_: random.Random) -> Any:
    """A copy with some of its values, wherever they stand, exchanged for hostile ones."""
    if isinstance(body, dict) and body and random_.random() < 0.9:
        chosen = random_.sample(sorted(body), random_.randint(1, min(2, len(body))))
        return {k: spoiled(v, random_) if k in chosen else v for k, v in body.items()}
    if isinstance(body, list) and body and random_.random() < 0.7:
        place = random_.randrange(len(body))
        return [spoiled(v, random_) if n == place else v for n, v in enumerate(body)]
    return value(random_)


def damaged(text: bytes, random_: random.Random) -> bytes:
    """With bytes exchanged, cut, doubled or put in."""
    for _ in range(random_.randint(1, 4)):
        place = random_.randint(0, len(text))
        match random_.randrange(4):
            case 0:
                text = text[:place] + bytes([random_.randrange(256)]) + text[place + 1 :]
            case 1:
                text = text[:place]
            case 2:
                text = text[:place] + random_.randbytes(random_.randint(1, 8)) + text[place:]
            case _:
                text = text + text[place:]
    return text
