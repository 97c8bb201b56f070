"""The JetStream API level and the metadata that carries it (S-243, S-244).

A level says which features a server has: 1 message TTLs, delete markers, pause and priority groups;
2 counters, atomic batches, schedules; 4 fast batches and flow control acks; 5 stream identity. We
announce the highest level of which everything is there. Clients use it to refuse a feature before
they ask for it, so a lower number costs them nothing they could have had.
"""

from __future__ import annotations

API_LEVEL = 5

REQUIRED_LEVEL_KEY = "_nats.req.level"
SERVER_LEVEL_KEY = "_nats.level"
SERVER_VERSION_KEY = "_nats.ver"


class LevelError(Exception):
    """What a later version stored needs more than this one has; str() names it."""


def require_known_level(what: str, metadata: dict[str, str]) -> None:
    """To serve it as if its features were not there could lose messages (S-245)."""
    level = metadata.get(REQUIRED_LEVEL_KEY, "0")
    if not level.isdecimal() or int(level) > API_LEVEL:
        raise LevelError(f"{what} needs JetStream API level {level}, this server has {API_LEVEL}")


def stored_metadata(metadata: dict[str, str], required_level: int) -> dict[str, str]:
    """What is kept: the sender's own keys and the level that the configuration needs."""
    kept = without_server_keys(metadata)
    kept[REQUIRED_LEVEL_KEY] = str(required_level)
    return kept


def shown_metadata(metadata: dict[str, str], server_version: str) -> dict[str, str]:
    """What answers show (lists show the kept metadata instead, S-102)."""
    return metadata | {SERVER_VERSION_KEY: server_version, SERVER_LEVEL_KEY: str(API_LEVEL)}


def comparable_metadata(metadata: dict[str, str], previous: dict[str, str]) -> dict[str, str]:
    """The sender's metadata with the previous level, so that only the sender's part is compared."""
    kept = without_server_keys(metadata)
    kept.pop(REQUIRED_LEVEL_KEY, None)
    if (level := previous.get(REQUIRED_LEVEL_KEY)) is not None:
        kept[REQUIRED_LEVEL_KEY] = level
    return kept


def without_server_keys(metadata: dict[str, str]) -> dict[str, str]:
    server_keys = (SERVER_VERSION_KEY, SERVER_LEVEL_KEY)
    return {key: value for key, value in metadata.items() if key not in server_keys}
