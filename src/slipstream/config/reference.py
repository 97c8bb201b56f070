"""The reference of all options as Markdown, made from their table.

`python -m slipstream.config.reference > docs/configuration.md`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from slipstream.config.load import COMPOUND_KEYS
from slipstream.config.options import (
    Authorization,
    BatchLimits,
    FeatureFlags,
    JetStream,
    JetStreamLimits,
    Options,
    User,
)
from slipstream.config.table import OptionSpec, dashed, specs
from slipstream.config.unbuilt import UNBUILT
from slipstream.gotext.durations import format_duration

INTRODUCTION = """\
# Configuration

`slipstream-server -c FILE` reads nats-server's configuration format: `key: value`, `key = value` or
`key value`, maps in braces, lists in brackets, comments behind `#` or `//`, `include "file"`,
variables as `$name`, sizes like `1MB` and durations like `"30s"`; JSON is valid too. `-t -c FILE`
checks a file and points to what is wrong in it by line and column. Flags override the file.

*Reload* says whether a running server takes a new value on SIGHUP; if one of the others differs,
the whole reload is refused and nothing changes.
"""
BLOCKS: Mapping[str, type] = {
    "Top level": Options,
    "authorization { ... }": Authorization,
    "authorization { users: [ { ... } ] }": User,
    "jetstream { ... }": JetStream,
    "jetstream { limits { ... } }": JetStreamLimits,
    "feature_flags { ... }": FeatureFlags,
    "jetstream { limits { batch { ... } } }": BatchLimits,
}


def markdown() -> str:
    parts = [INTRODUCTION]
    for title, block in BLOCKS.items():
        parts += [f"## {title}\n", _table(_rows(block))]
    parts += [
        "## Not supported yet\n",
        "These keys of nats-server are refused by name, so that nobody believes in a setting that "
        "does nothing.\n",
        _unbuilt(),
    ]
    return "\n".join(parts)


def _rows(block: type) -> Iterator[tuple[str, ...]]:
    yield ("Key", "Flag", "Default", "Reload", "Meaning")
    defaults = block()
    for name, spec in specs(block).items():
        if spec.keys:
            default = getattr(defaults, name)
            flags = ", ".join(f"`{dashed(flag)}`" for flag in spec.flags)
            reload = "yes" if spec.reloadable else ""
            yield (_keys(spec.keys), flags, _shown(name, default, spec), reload, spec.help)
    if block is Options:
        for compound in COMPOUND_KEYS:
            yield (_keys(compound.keys), "", "", "", compound.help)


def _keys(keys: Iterable[str]) -> str:
    return ", ".join(f"`{key}`" for key in keys)


def _shown(name: str, default: Any, spec: OptionSpec) -> str:
    if dataclasses.is_dataclass(default) or default in ("", None, ()) or default == -1:
        return ""
    if name == "sync_interval_ns":
        return "always"
    if name.endswith("_ns"):
        return format_duration(default) if default else ""
    return str(default).lower() if isinstance(default, bool) else f"{default}"


def _unbuilt() -> str:
    by_reason: dict[str, list[str]] = {}
    for block, keys in UNBUILT.items():
        prefix = {Options: "", User: "users."}.get(block, block.__name__.lower() + ".")
        for key, reason in keys.items():
            by_reason.setdefault(reason, []).append(prefix + key)
    rows = [("Keys", "Because")]
    rows += [(_keys(keys), reason) for reason, keys in by_reason.items()]
    return _table(rows)


def _table(rows: Iterable[tuple[str, ...]]) -> str:
    header, *rest = rows
    lines = [header, tuple("---" for _ in header), *rest]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    print(markdown(), end="")
