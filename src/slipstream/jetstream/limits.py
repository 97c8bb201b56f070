"""What a server and an account allow: values that the configuration gives and that the API checks
against.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

# No stream has a sequence beyond: a number in every client's language, on which no arithmetic
# wraps (kSequenceMax in the kernel). A consumer may wait for more; it will wait for ever.
SEQUENCE_MAX = 2**63 - 1


class ServerLimits(NamedTuple):
    """The server's own; 0 means no limit. Sizes in bytes, durations in ns. `default_max_consumers`
    is of a stream when neither it nor its account has a limit; there -1 means none too.
    """

    max_memory: int
    max_store: int
    max_ack_pending: int = 0
    max_request_batch: int = 0
    duplicate_window_ns: int = 0
    default_max_consumers: int = 0


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


# What the place of an account's own limits shows when each of its tiers has limits instead.
TIERED_LIMITS = AccountLimits(0, 0, 0, 0, 0, 0, 0)


class TieredLimits(NamedTuple):
    """Limits by tier, that is by number of replicas: "R1", "R3" (S-240). A stream whose tier is not
    there cannot be.
    """

    tiers: Mapping[str, AccountLimits]


def tier_name(replicas: int) -> str:
    return f"R{max(replicas, 1)}"


class Reservations(NamedTuple):
    """Bytes promised to streams by their max_bytes, per storage."""

    memory: int = 0
    store: int = 0
