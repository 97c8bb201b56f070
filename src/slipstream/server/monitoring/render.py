"""Pages as JSON, piece by piece: encoding megabytes in one call would keep the interpreter from
everybody else for as long as that takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from slipstream.gotext.encode import Parts, encode

INDENT = b"  "


def render(body: Any, *, indented: bool) -> Iterator[bytes]:
    """JSON as Go's encoder writes it, in pieces; wherever `body` contains Parts, each is one."""
    yield from _pieces(body, b"\n" if indented else b"")


def _pieces(value: Any, line: bytes) -> Iterator[bytes]:
    """`line` begins a line at the value's depth; empty: everything stands on one line."""
    if isinstance(value, Parts):
        yield from _array(value, line)
    elif not _holds_parts(value):
        yield _formatted(encode(value), line)
    elif isinstance(value, dict):
        yield from _container(
            b"{", b"}", ((encode(key), item) for key, item in value.items()), line
        )
    else:
        yield from _container(b"[", b"]", ((b"", item) for item in value), line)


def _array(parts: Parts, line: bytes) -> Iterator[bytes]:
    if not parts:
        yield b"[]"
        return
    deeper = line + INDENT if line else b""
    before = b"["
    for part in parts:
        # Formatted as an array of its own, without its brackets.
        text = _formatted(b"[" + part + b"]", line)
        inner = text[1 : -1 - len(line)] if line else text[1:-1]
        yield before + inner
        before = b","
    yield line + b"]" if deeper else b"]"


def _container(
    opening: bytes, closing: bytes, items: Iterator[tuple[bytes, Any]], line: bytes
) -> Iterator[bytes]:
    deeper = line + INDENT if line else b""
    before = opening
    for key, item in items:
        colon = (b": " if line else b":") if key else b""
        yield before + deeper + key + colon
        yield from _pieces(item, deeper)
        before = b","
    yield line + closing


def _formatted(text: bytes, line: bytes) -> bytes:
    if not line:
        return text
    shown = msgspec.json.format(text, indent=len(INDENT))
    # JSON has line feeds between values only, never inside of strings.
    return shown if line == b"\n" else shown.replace(b"\n", line)


def _holds_parts(value: Any) -> bool:
    if isinstance(value, Parts):
        return True
    if isinstance(value, dict):
        return any(_holds_parts(item) for item in value.values())
    return isinstance(value, list) and any(_holds_parts(item) for item in value)
