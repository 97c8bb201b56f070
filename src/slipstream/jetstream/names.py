"""Names of streams and consumers, and the sizes of what describes them (S-001, S-002)."""

from __future__ import annotations

from collections.abc import Mapping

NAME_BYTES_MAX = 255
DESCRIPTION_BYTES_MAX = 4096
METADATA_BYTES_MAX = 131_072

_FORBIDDEN = frozenset(" \t\r\n\f.*>\\/")


def is_valid_name(name: str) -> bool:
    return bool(name) and _FORBIDDEN.isdisjoint(name)


def has_path_separator(name: str) -> bool:
    return "/" in name or "\\" in name


def metadata_bytes(metadata: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
