"""What a server and an account allow: values that the configuration gives and that the API checks
against.
"""

from __future__ import annotations

from typing import NamedTuple


class ServerLimits(NamedTuple):
    """The server's own; 0 means no limit. Sizes in bytes, durations in ns."""

    max_memory: int
    max_store: int
    max_ack_pending: int = 0
    max_request_batch: int = 0
    duplicate_window_ns: int = 0


class AccountLimits(NamedTuple):
    """An account's (S-240); -1 means unlimited."""

    max_memory: int = -1
    max_store: int = -1
    max_streams: int = -1
    max_consumers: int = -1
    max_ack_pending: int = -1
    memory_max_stream_bytes: int = -1
    store_max_stream_bytes: int = -1
    max_bytes_required: bool = False

    def to_json_object(self) -> dict[str, int | bool]:
        return {
            "max_memory": self.max_memory,
            "max_storage": self.max_store,
            "max_streams": self.max_streams,
            "max_consumers": self.max_consumers,
            "max_ack_pending": self.max_ack_pending,
            "memory_max_stream_bytes": self.memory_max_stream_bytes,
            "storage_max_stream_bytes": self.store_max_stream_bytes,
            "max_bytes_required": self.max_bytes_required,
        }


class Reservations(NamedTuple):
    """Bytes promised to streams by their max_bytes, per storage."""

    memory: int = 0
    store: int = 0
