"""How an option declares itself: its keys in a configuration file, its flags, how it is read,
whether a running server can take a new value, and its help. The declarations stand in options.py;
files, flags, reload and the printed reference all come from them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from slipstream.config.readers import Reader

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """One row of the table. Without keys the option cannot be set in a file, without flags not on
    the command line.
    """

    help: str
    keys: tuple[str, ...] = ()
    read: Reader | None = None
    flags: tuple[str, ...] = ()
    metavar: str = ""
    reloadable: bool = False
    zero_is_default: bool = False  # as nats-server treats most numbers
    secret: bool = False  # its value is not shown in logs


@dataclass(frozen=True, slots=True)
class CompoundKey:
    """A key that sets several options at once; `read` returns their values by field name."""

    keys: tuple[str, ...]
    read: Reader
    help: str


@dataclass(frozen=True, slots=True)
class Row:
    """An option in its place: `path` leads to it from the top (`authorization.user`)."""

    path: str
    spec: OptionSpec
    default: Any
    type_name: str


def option(default: T, **spec: Any) -> T:
    """A field of an options dataclass, with its row of the table."""
    shown = not spec.get("secret", False)
    return dataclasses.field(default=default, repr=shown, metadata={"spec": OptionSpec(**spec)})


def dashed(flag: str) -> str:
    """A flag as it is usually written; one dash or two mean the same."""
    return f"-{flag}" if len(flag) <= 2 or flag.isupper() else f"--{flag}"


@cache
def specs(block: type) -> Mapping[str, OptionSpec]:
    """The rows of one block, by field name."""
    return {
        field.name: field.metadata["spec"]
        for field in dataclasses.fields(block)
        if "spec" in field.metadata
    }


@cache
def fields_by_key(block: type) -> Mapping[str, str]:
    """Every key and alias of a block, and the field that it sets."""
    found: dict[str, str] = {}
    for name, spec in specs(block).items():
        for key in spec.keys:
            assert key not in found, f"key {key!r} is declared twice"
            found[key] = name
    return found


def rows(block: type, prefix: str = "") -> Iterator[Row]:
    """Every option below a block, nested ones behind their parent."""
    for field in dataclasses.fields(block):
        spec = field.metadata.get("spec")
        if spec is None:
            continue
        path = prefix + field.name
        yield Row(path, spec, field.default, str(field.type))
        if dataclasses.is_dataclass(field.default):
            yield from rows(type(field.default), path + ".")
