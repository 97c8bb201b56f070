"""What a configuration file turns into before anybody knows what its keys mean: values that
remember where they stood.

Errors of every stage point to a file, a line and a column (both from 1), so that an editor can jump
there. nats-server counts columns from 0 on a file's first line and gives none for syntax errors; we
do not copy that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; both numbers count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class ConfigError(Exception):
    """One thing that is wrong with a configuration, and where."""

    def __init__(self, position: Position | None, reason: str) -> None:
        super().__init__(f"{position}: {reason}" if position else reason)
        self.position = position
        self.reason = reason


class ConfigErrors(ConfigError):
    """Everything that is wrong with a configuration: reported at once, one line each."""

    def __init__(self, errors: list[ConfigError]) -> None:
        assert errors
        super().__init__(None, "\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


Scalar: TypeAlias = str | bool | int | float | datetime
Plain: TypeAlias = "Scalar | list[Plain] | dict[str, Plain]"
Map: TypeAlias = "dict[str, Value]"


@dataclass(slots=True)
class Value:
    """A value with its place: for a map's entry that of the key, else that of the value itself.

    `text` is how a number was written, for messages about units. `referenced` says that the entry
    was used as a variable; such an entry may have a name that means nothing to the server.
    """

    value: Scalar | list[Value] | Map
    position: Position
    text: str = ""
    referenced: bool = False

    def plain(self) -> Plain:
        """The value without places, for comparing and for the digest."""
        if isinstance(self.value, dict):
            return {key: entry.plain() for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain() for entry in self.value]
        return self.value


@dataclass(frozen=True, slots=True)
class Document(Mapping[str, Value]):
    """A whole configuration: its top-level entries, includes already in place."""

    name: str
    entries: Map

    def __getitem__(self, key: str) -> Value:
        return self.entries[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def plain(self) -> dict[str, Plain]:
        return {key: entry.plain() for key, entry in self.entries.items()}
