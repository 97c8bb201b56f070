"""Subject transforms: from the subject that a message came on to the one that it is stored on,
republished on or sourced to (ADR-30, S-031, S-032).

The readable twin of the kernel's subject_transform.hpp, and the judge of configurations: the same
tests run on both. Positions and lengths count bytes, so subjects are bytes.

A destination token is taken literally, or stands for something of the source: `$2` and
`{{wildcard(2)}}` for what its second `*` matched, the other functions for a part of that. What the
source's `>` matched is appended behind a destination that ends with `>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from slipstream.protocol.subjects import BLANKS, subject_matches

_INT32 = 1 << 31
_INT64 = 1 << 63
_ARGUMENT_GAP = re.compile(rb",[\t\n\f\r ]*")
_DIGITS_MAX = 1000
_NUMBER = re.compile(rb"[+-]?[0-9]+\Z")

# The capital letters of a function's name may be small.
_NAMES = (
    "Wildcard",
    "Partition",
    "SplitFromLeft",
    "SplitFromRight",
    "SliceFromLeft",
    "SliceFromRight",
    "Right",
    "Left",
    "Split",
    "Random",
)


class TransformError(ValueError):
    """Its text is nats-server's."""


def _pattern(name: str) -> re.Pattern[bytes]:
    letters = "".join(f"[{c.lower()}{c}]" if c.isupper() else c for c in name)
    return re.compile(rb"{{[\t\n\f\r ]*%b[\t\n\f\r ]*\((.*)\)[\t\n\f\r ]*}}" % letters.encode())


_PATTERNS = {name: _pattern(name) for name in _NAMES}


class _Place(NamedTuple):
    """What stands in a destination token's place. `function` "" is the text itself."""

    function: str
    text: bytes = b""  # literal, or the delimiter of a split
    wildcards: tuple[int, ...] = ()  # the source's `*`, counted from 1
    number: int = 0


def _invalid(why: str, token: bytes) -> TransformError:
    where = f" in {token.decode('utf-8', 'replace')}" if token else ""
    return TransformError(f"invalid mapping destination: {why}{where}")


class SubjectTransform:
    """Raises TransformError if there is no such transform."""

    def __init__(self, source: bytes, destination: bytes) -> None:
        self.source = source or b">"
        self.destination = destination
        self._source_tokens = self.source.split(b".")
        wildcards = [i for i, token in enumerate(self._source_tokens) if token == b"*"]
        self._rest = self._source_tokens[-1] == b">"
        tokens = destination.split(b".")
        for subject in (self._source_tokens, tokens):
            if not all(subject) or b">" in subject[:-1]:
                raise TransformError("invalid subject")
        if b"*" in tokens or (tokens[-1] == b">") != self._rest:
            raise TransformError("invalid subject")
        has_wildcard = bool(wildcards) or self._rest
        self._places = [_place(token, len(wildcards), has_wildcard) for token in tokens]
        if any(not place.function and not BLANKS.isdisjoint(place.text) for place in self._places):
            raise TransformError("invalid subject")  # it would end up in a line of the protocol
        # An index that names no wildcard counts as the first token, as nats-server has it.
        self._positions = {i + 1: position for i, position in enumerate(wildcards)}

    def transform(self, subject: bytes, draw: Callable[[], int]) -> bytes | None:
        """None if the source does not match. `draw` gives 31 random bits."""
        if self.source == self.destination == b">":
            return subject
        tokens = subject.split(b".")
        if b"*" in tokens or b">" in tokens or not subject_matches(self.source, subject):
            return None
        out = [self._written(place, tokens, draw) for place in self._places]
        if self._rest:
            out[-1:] = tokens[len(self._source_tokens) - 1 :]
        return b".".join(out)

    def _written(self, place: _Place, tokens: list[bytes], draw: Callable[[], int]) -> bytes:
        found = [tokens[self._positions.get(i, 0)] for i in place.wildcards]
        match place.function:
            case "":
                return place.text
            case "Wildcard":
                return found[0]
            case "Partition":
                return _partition(b"".join(found) if found else b".".join(tokens), place.number)
            case "Random":
                return b"%d" % (draw() % abs(place.number)) if place.number else b"0"
            case "Split":
                return _split(found[0], place.text)
        return _cut(place.function, found[0], place.number)


def check_stream_transform(source: bytes, destination: bytes) -> None:
    """What nats-server accepts as a stream's, mirror's or source's transform. Raises TransformError
    with its text.
    """
    if not destination:
        return
    seen_rest = False
    for token in destination.split(b"."):
        if not token or seen_rest:
            raise _invalid("invalid transform", token)
        if _is_function(token):
            if not any(pattern.search(token) for pattern in _PATTERNS.values()):
                raise _invalid("unknown function", token)
        elif token == b">":
            seen_rest = True
        elif not BLANKS.isdisjoint(token):
            raise _invalid("invalid transform", b"")
    SubjectTransform(source, destination)


def _is_function(token: bytes) -> bool:
    return len(token) > 4 and token.startswith(b"{{") and token.endswith(b"}}")


def _place(token: bytes, wildcards: int, has_wildcard: bool) -> _Place:
    place = _read(token)
    if has_wildcard:
        for index in place.wildcards:
            if index > wildcards:
                raise _invalid("wildcard index out of range", b"%b: [%d]" % (token, index))
        return place
    if place.function in ("Wildcard", "Split") or place.function in _CUTS:
        raise _invalid("wildcard index out of range", token)
    return place._replace(wildcards=())


def _read(token: bytes) -> _Place:
    if len(token) > 1 and token[:1] == b"$":
        index = _number(token[1:], _INT64)
        return _Place("", token) if index is None else _Place("Wildcard", wildcards=(index,))
    if not _is_function(token):
        return _Place("", token)
    for name in _NAMES:
        found = _PATTERNS[name].search(token)
        if found is not None:
            return _read_arguments(token, name, _ARGUMENT_GAP.split(found[1]))
    raise _invalid("unknown function", token)


def _read_arguments(token: bytes, name: str, arguments: list[bytes]) -> _Place:
    def number(text: bytes, limit: int) -> int:
        value = _number(text.strip(b" "), limit)
        if value is None:
            raise _invalid("function argument is invalid or in the wrong format", token)
        return value

    def require(fewest: int, most: int) -> None:
        if len(arguments) < fewest:
            raise _invalid("not enough arguments passed to the function", token)
        if len(arguments) > most:
            raise _invalid("too many arguments passed to the function", token)

    if name == "Wildcard":
        if arguments == [b""]:
            require(2, 2)
        require(1, 1)
        return _Place(name, wildcards=(number(arguments[0], _INT64),))
    if name in ("Partition", "Random"):
        if name == "Random" and len(arguments) > 1:
            raise _invalid("not enough arguments passed to the function", token)
        count = number(arguments[0], _INT64)
        if count >= _INT32:
            raise _invalid("function argument is invalid or in the wrong format", token)
        wildcards = tuple(number(a, _INT64) for a in arguments[1:])
        return _Place(name, wildcards=wildcards, number=(count + _INT32) % (2 * _INT32) - _INT32)
    require(2, 2)
    index = number(arguments[0], _INT64)
    if name != "Split":
        return _Place(name, wildcards=(index,), number=number(arguments[1], _INT32))
    if b" " in arguments[1]:
        raise _invalid("function argument is invalid or in the wrong format", token)
    return _Place(name, arguments[1], wildcards=(index,))


def _number(text: bytes, limit: int) -> int | None:
    if not _NUMBER.match(text) or len(text) > _DIGITS_MAX:
        return None
    value = int(text)
    return value if -limit <= value < limit else None


# ------------------------------------------------------------------ what functions write


def _partition(key: bytes, count: int) -> bytes:
    """FNV-1a, 32 bits."""
    if count == 0:
        return b"0"
    hashed = 2166136261
    for byte in key:
        hashed = (hashed ^ byte) * 16777619 & 0xFFFFFFFF
    return b"%d" % (hashed % (count & 0xFFFFFFFF))


def _split(token: bytes, delimiter: bytes) -> bytes:
    parts = token.split(delimiter) if delimiter else _characters(token)
    out = b""
    for i, part in enumerate(parts):
        out += part
        # Two delimiters in front leave an empty token, as in nats-server.
        if i + 1 < len(parts) and parts[i + 1] and (i or part):
            out += b"."
    return out


def _characters(token: bytes) -> list[bytes]:
    """A byte that is not part of valid UTF-8 stands for itself."""
    text = token.decode("utf-8", "surrogateescape")
    return [character.encode("utf-8", "surrogateescape") for character in text]


def _slices(token: bytes, size: int, first: int) -> list[bytes]:
    head = [token[:first]] if first else []
    return head + [token[at : at + size] for at in range(first, len(token), size)]


_CUTS: dict[str, Callable[[bytes, int], list[bytes]]] = {
    "SplitFromLeft": lambda token, n: [token[:n], token[n:]],
    "SplitFromRight": lambda token, n: [token[:-n], token[-n:]],
    "SliceFromLeft": lambda token, n: _slices(token, n, 0),
    "SliceFromRight": lambda token, n: _slices(token, n, len(token) % n),
    "Left": lambda token, n: [token[:n]],
    "Right": lambda token, n: [token[-n:]],
}


def _cut(function: str, token: bytes, number: int) -> bytes:
    """A token that is too short stays whole."""
    if not 0 < number < len(token):
        return token
    return b".".join(_CUTS[function](token, number))
