"""Where and why a text is not JSON, in the words of the Go release that nats-server 2.15.1 was
built with.

Runs only when the fast parser has already refused the text, so clarity wins over speed. nats-server
reads a request as a stream of values, therefore what follows a complete value is read as the next
one.
"""

from __future__ import annotations

import re
from typing import Never

from slipstream.gotext.quoting import quote_character

_SPACE = re.compile(rb"[ \t\r\n]*")
_INTEGER = re.compile(rb"-?(0|[1-9]\d*)")
_DIGITS = re.compile(rb"[0-9]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')  # of a string
_HEX4 = re.compile(rb"[0-9a-fA-F]{4}")
_ESCAPED = b'"\\/bfnrt'
_DEPTH_MAX = 10_000


class SyntaxFault(Exception):
    """str() is the text behind "invalid JSON: "."""


def fault_of_sequence(text: bytes) -> str | None:
    """What Go says of a text that must be a sequence of JSON values. None if it is one."""
    try:
        position = _skip_space(text, 0)
        while position < len(text):
            position = _skip_space(text, _value(text, position))
    except SyntaxFault as fault:
        return str(fault)
    return None


def fault_of_single(text: bytes) -> str | None:
    """What Go says of a text that must be one JSON value, which it reads in another way: without
    offsets. None if it is one.
    """
    try:
        behind = _skip_space(text, _value(text, _skip_space(text, 0)))
    except SyntaxFault as fault:
        complaint, _, _ = str(fault).partition(" at offset ")
        return "unexpected end of JSON input" if complaint == "unexpected EOF" else complaint
    if behind == len(text):
        return None
    character, _ = _character(text, behind)
    return f"invalid character {character} after top-level value"


def _skip_space(text: bytes, position: int) -> int:
    found = _SPACE.match(text, position)
    assert found is not None
    return found.end()


def _value(text: bytes, position: int) -> int:
    """The position behind the value that starts here. A loop, because the sender chooses how deep
    it is nested.
    """
    ends: list[bytes] = []  # the brackets that close what is open
    while True:
        first = _byte(text, position)
        if first in (b"{", b"["):
            if len(ends) == _DEPTH_MAX:
                raise SyntaxFault(f"exceeded max depth at offset {position + 1}")
            ends.append(b"}" if first == b"{" else b"]")
            position = _skip_space(text, position + 1)
            if _byte(text, position) != ends[-1]:
                position = _member(text, position, ends[-1])
                continue
        else:
            position = _scalar(text, position, first)
        while ends:
            position = _skip_space(text, position)
            separator = _byte(text, position)
            if separator == b",":
                position = _member(text, _skip_space(text, position + 1), ends[-1])
                break
            if separator != ends[-1]:
                kind = "array element" if ends[-1] == b"]" else "object key:value pair"
                _unexpected(text, position, f"after {kind}")
            position += 1
            ends.pop()
        else:
            return position


def _member(text: bytes, position: int, end: bytes) -> int:
    """Where the value of the member that starts here starts; `end` is the bracket that closes."""
    if end == b"]":
        return position
    if _byte(text, position) != b'"':
        _unexpected(text, position, "looking for beginning of object key string")
    position = _skip_space(text, _string(text, position))
    if _byte(text, position) != b":":
        _unexpected(text, position, "after object key")
    return _skip_space(text, position + 1)


def _scalar(text: bytes, position: int, first: bytes) -> int:
    if first == b'"':
        return _string(text, position)
    if first == b"-" or first.isdigit():
        return _number(text, position)
    for literal in (b"true", b"false", b"null"):
        if first == literal[:1]:
            return _literal(text, position, literal)
    _unexpected(text, position, "looking for beginning of value")


def _string(text: bytes, position: int) -> int:
    position += 1
    while True:
        position = _PLAIN.match(text, position).end()  # type: ignore[union-attr]
        byte = _byte(text, position)
        if byte == b'"':
            return position + 1
        if byte < b" ":
            _unexpected(text, position, "in string")
        position = _escape(text, position)


def _escape(text: bytes, position: int) -> int:
    kind = _byte(text, position + 1)
    if kind in _ESCAPED:
        return position + 2
    end = position + 2
    if kind == b"u":
        if _HEX4.match(text, position + 2):
            return position + 6
        end = position + 6
        _byte(text, end - 1)
    escape = text[position:end].decode("utf-8", "replace")
    raise SyntaxFault(f"invalid escape sequence `{escape}` in string at offset {end}")


def _number(text: bytes, position: int) -> int:
    found = _INTEGER.match(text, position)
    if found is None:
        _byte(text, position + 1)
        _unexpected(text, position + 1, "in numeric literal")
    position = found.end()
    if text[position : position + 1] == b".":
        position = _digits(text, position + 1)
    if text[position : position + 1] in (b"e", b"E"):
        position += 1
        if _byte(text, position) in b"+-":
            position += 1
        position = _digits(text, position)
    return position


def _digits(text: bytes, position: int) -> int:
    if not _byte(text, position).isdigit():
        _unexpected(text, position, "in numeric literal")
    found = _DIGITS.match(text, position)
    assert found is not None
    return found.end()


def _literal(text: bytes, position: int, literal: bytes) -> int:
    for index in range(1, len(literal)):
        if _byte(text, position + index) != literal[index : index + 1]:
            expecting = literal[index : index + 1].decode()
            reason = f"in literal {literal.decode()} (expecting '{expecting}')"
            _unexpected(text, position + index, reason)
    return position + len(literal)


def _byte(text: bytes, position: int) -> bytes:
    byte = text[position : position + 1]
    if not byte:
        raise SyntaxFault("unexpected EOF")
    return byte


def _unexpected(text: bytes, position: int, where: str) -> Never:
    character, size = _character(text, position)
    raise SyntaxFault(f"invalid character {character} {where} at offset {position + size}")


def _character(text: bytes, position: int) -> tuple[str, int]:
    """The character as Go's strconv.QuoteRune prints it, and its length in bytes."""
    for size in range(1, 5):
        try:
            character = text[position : position + size].decode("utf-8")
        except UnicodeDecodeError:
            continue
        break
    else:
        return f"'\\x{text[position]:02x}'", 1
    return quote_character(character), size
