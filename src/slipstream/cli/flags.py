"""Flags in the notation of Go's `flag` package, which nats-server's users and harnesses write
(K-300..K-304):

one or two dashes alike; `-p 4222` or `-p=4222`; a boolean takes a value only behind `=`; the first
word without a dash, or `--`, ends the flags. argparse cannot be taught this (to it `-DV` is `-D
-V`, and `-js` is `-j s`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class FlagKind(Enum):
    BOOLEAN = "boolean"
    INTEGER = "integer"
    STRING = "string"


class FlagError(Exception):
    """The command line cannot be understood."""


@dataclass(frozen=True, slots=True)
class ParsedFlags:
    """The last value of each flag that was given, by the name it was given with, and what followed
    the flags.
    """

    values: Mapping[str, Any]
    rest: tuple[str, ...]


def parse_flags(kinds: Mapping[str, FlagKind], arguments: Sequence[str]) -> ParsedFlags:
    """Raises FlagError in Go's words."""
    values: dict[str, Any] = {}
    position = 0
    while position < len(arguments):
        argument = arguments[position]
        if len(argument) < 2 or argument[0] != "-":
            break
        position += 1
        if argument == "--":
            break
        name, separator, text = argument.removeprefix("-").removeprefix("-").partition("=")
        if not name or name[0] == "-":
            raise FlagError(f"bad flag syntax: {argument}")
        if name not in kinds:
            raise FlagError(f"flag provided but not defined: -{name}")
        kind = kinds[name]
        if kind is FlagKind.BOOLEAN:
            values[name] = _boolean(name, text) if separator else True
            continue
        if not separator:
            if position == len(arguments):
                raise FlagError(f"flag needs an argument: -{name}")
            text = arguments[position]
            position += 1
        values[name] = _integer(name, text) if kind is FlagKind.INTEGER else text
    return ParsedFlags(values, tuple(arguments[position:]))


def _boolean(name: str, text: str) -> bool:
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise FlagError(f'invalid boolean value "{text}" for -{name}: parse error')


def _integer(name: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise FlagError(f'invalid value "{text}" for flag -{name}: parse error') from None
