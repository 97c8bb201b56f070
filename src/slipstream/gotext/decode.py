"""Requests into structs, with Go's tolerance and Go's complaints (S-050, C-016).

nats-server reads a request as a stream of JSON values, each over the one before; an empty request
is an empty struct. The first field that does not fit is reported, in the order of the text, unless
the text is not JSON at all.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Never, TypeVar

from slipstream.gotext.nesting import DEEP_BYTES_MAX, flattened, is_deep
from slipstream.gotext.objects import (
    BindFault,
    GoStruct,
    JsonObject,
    Number,
    Place,
    bind_struct,
)
from slipstream.gotext.syntax import fault_of_sequence, fault_of_single

# What explains a fault in Go's words is Python; of longer texts the place must do.
EXPLAINED_BYTES_MAX = 64 << 10
_SPACE = " \t\r\n"
T = TypeVar("T", bound=GoStruct)


class DecodeError(Exception):
    """str() is what stands behind "invalid JSON: "."""


def decode(text: bytes, struct: type[T], *, strict: bool = True) -> T:
    """Raises DecodeError. With strict off, unknown fields are ignored."""
    result: T = struct()
    for value in _values(text):
        try:
            result = bind_struct(struct, value, Place(struct.go_type), result, strict)
        except BindFault as fault:
            raise DecodeError(str(fault)) from None
    return result


def decode_single(text: bytes, struct: type[T]) -> T:
    """As some of nats-server's handlers read: one value and nothing else, unknown fields are
    ignored. Raises DecodeError.
    """
    fault = None if len(text) > EXPLAINED_BYTES_MAX else fault_of_single(text)
    if fault is not None:
        raise DecodeError(fault)
    return decode(text, struct, strict=False)


def is_empty_request(text: bytes) -> bool:
    """Nothing, or one JSON object without members (C-007, S-077)."""
    if not text or text == b"{}":
        return True
    try:
        values = list(_values(text))
    except DecodeError:
        return False
    return len(values) == 1 and type(values[0]) is JsonObject and not values[0]


def looks_like_json(text: bytes) -> bool:
    """Where the request is optional, only what starts like an object or array is read (S-099)."""
    return text.lstrip(b" \t\r\n")[:1] in (b"{", b"[")


def _refuse_constant(_: str) -> Never:
    raise ValueError("NaN and Infinity are no JSON")


_decoder = json.JSONDecoder(
    object_pairs_hook=JsonObject,
    parse_int=Number,
    parse_float=Number,
    parse_constant=_refuse_constant,
)


# A pair of surrogates, one that is alone, or another escape.
_ESCAPE = re.compile(
    r"\\(?:ud[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2}|(ud[89a-f][0-9a-f]{2})|.)", re.IGNORECASE
)


def _without_lone_surrogate(escape: re.Match[str]) -> str:
    return "\\ufffd" if escape[1] else escape[0]


def readable(text: bytes) -> str:
    """The text for a decoder that recurses and refuses what Go replaces: bytes that are not UTF-8
    (elsewhere than in strings they are no JSON either way) and halves of surrogate pairs. Raises
    DecodeError for what is nested deep and no JSON.
    """
    characters = text.decode("utf-8", "replace")
    if "\\u" in characters:
        characters = _ESCAPE.sub(_without_lone_surrogate, characters)
    if not is_deep(text):
        return characters
    if len(text) > DEEP_BYTES_MAX:
        raise DecodeError("exceeded max depth")
    if (fault := fault_of_sequence(text)) is not None:
        raise DecodeError(fault)
    return flattened(characters)


def _values(text: bytes) -> Iterator[Any]:
    """One value after the other; a fault in a later one counts only after the earlier were read."""
    characters = readable(text)
    position, end = 0, len(characters)
    while position < end:
        if characters[position] in _SPACE:
            position += 1
            continue
        try:
            value, position = _decoder.raw_decode(characters, position)
        except ValueError as error:
            raise DecodeError(_explanation(text, error)) from None
        yield value


def _explanation(text: bytes, error: ValueError) -> str:
    if len(text) > EXPLAINED_BYTES_MAX:
        return str(error)
    return fault_of_sequence(text) or str(error)
