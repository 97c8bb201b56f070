"""What the server asks of JetStream. The JetStream API is written against the kernel alone; this is
all that the rest of the server knows of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from slipstream.kernel._kernel import StreamRecord
from slipstream.kernel.events import Event


class AccountStatistics(NamedTuple):
    """Totals of an account (or of all), as /varz and /jsz show them."""

    memory_bytes: int
    storage_bytes: int
    reserved_memory_bytes: int
    reserved_storage_bytes: int
    streams: int
    consumers: int
    messages: int
    bytes: int
    api_total: int
    api_errors: int


class JetStreamLink(Protocol):
    def recover(self, streams: list[StreamRecord]) -> None:
        """Takes over what `open_store` found. Before the kernel's thread starts."""

    def handle(self, event: Event) -> bool:
        """False when the event is not JetStream's."""

    def account_statistics(self) -> AccountStatistics: ...
    def stream_details(self, *, config: bool, consumers: bool) -> list[dict[str, Any]]: ...
    def consumer_names(self, stream: str) -> list[str] | None:
        """None when there is no such stream."""

    def stop(self) -> None: ...
