"""JetStream inside the server: opens the store, builds the API over it, and drives it from the
server's loop.

The API itself (slipstream.jetstream.api) knows neither clock nor sockets; this is where it gets
both.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from typing import Any

from slipstream.config.options import ACCOUNT_GLOBAL, Options
from slipstream.config.options import JetStream as JetStreamOptions
from slipstream.jetstream.api import ClientDescription, JetStreamApi
from slipstream.jetstream.api import Options as ApiOptions
from slipstream.jetstream.api.monitoring import ServerStatistics, finished
from slipstream.jetstream.api_level import LevelError
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.limits import AccountLimits, ServerLimits
from slipstream.jetstream.unexpected import Report
from slipstream.kernel import Kernel, StoreError
from slipstream.kernel.events import (
    DamageEvent,
    Event,
    RequestQueue,
    RequestsDroppedEvent,
    StreamOfflineEvent,
)
from slipstream.kernel.values import StreamRecord
from slipstream.server import banner
from slipstream.server.clients import Clients
from slipstream.server.errors import StartError
from slipstream.server.identity import Identity, random_bits
from slipstream.server.line_limit import LineLimit
from slipstream.server.log import Log
from slipstream.server.running_options import RunningOptions
from slipstream.server.store_keys import CIPHERS, Passphrases, unlock
from slipstream.version import NATS_VERSION

_QUEUE_NAMES = {
    RequestQueue.API: "JetStream API queue",
    RequestQueue.API_INFO: "JetStream API info queue",
    RequestQueue.OTHER: "Service queue",
    RequestQueue.ADVISORIES: "Advisory queue",
}


class JetStreamService:
    """On the server's loop, except for its creation."""

    def __init__(
        self,
        kernel: Kernel,
        identity: Identity,
        options: RunningOptions,
        clients: Clients,
        report: Report,
        log: Log,
    ) -> None:
        """Opens and recovers the store. Before the kernel's thread starts. Raises StartError."""
        self._kernel = kernel
        self._options = options
        self._clients = clients
        self._log = log
        self._damaged_lines = LineLimit()
        records = _open_store(kernel, options)
        self._api = JetStreamApi(
            kernel,
            _api_options(identity, options.current),
            IdSource(random_bits),
            self._describe,
            report,
        )
        limits = options.current.jetstream
        kernel.set_storage_limits(limits.max_memory, limits.max_file)
        self._api.add_account(ACCOUNT_GLOBAL, AccountLimits())
        try:
            self._api.recover(records)
        except LevelError as error:
            raise StartError(str(error)) from None
        if options.finds_max_file:
            self._raise_found_limit()

    def _raise_found_limit(self) -> None:
        """A disk that others have filled since leaves less room than streams have reserved: a limit
        that nobody configured does not make them invalid.
        """
        jetstream = self._options.current.jetstream
        reserved = finished(self._api.statistics()).reserved_store
        if reserved <= jetstream.max_file:
            return
        shown = banner.format_size(reserved)
        self._log.warn(f"Max Storage is {shown}, as streams reserve: the disk has less room")
        self._options.set_storage_limits(jetstream.max_memory, reserved)
        self._kernel.set_storage_limits(jetstream.max_memory, reserved)
        self._api.set_limits(_server_limits(self._options.current))

    def reload(self, options: Options) -> None:
        """Limits hold for what is created or updated from now on."""
        self._api.set_limits(_server_limits(options))

    def handle(self, event: Event) -> None:
        if isinstance(event, RequestsDroppedEvent):
            queue, count = _QUEUE_NAMES[event.queue], event.dropped
            what = "advisories" if event.queue is RequestQueue.ADVISORIES else "requests"
            self._log.warn(f"{queue} limit reached, dropping {count} {what}")
        self._api.handle(event, time.time_ns())
        if isinstance(event, DamageEvent):
            if event.text:
                self._log.error(f"Damage: {event.text}")
            else:
                self._damaged(event)
        if isinstance(event, StreamOfflineEvent):
            name = self._api.stream_name(event.stream)
            self._log.error(f"Stream {name} is offline: {event.reason}")

    def work(self) -> float | None:
        """Timers and a slice of long answers. Seconds until there is more; None: not by itself."""
        now_ns = time.time_ns()
        if self._api.step(now_ns):
            return 0.0
        deadline_ns = self._api.deadline_ns()
        return None if deadline_ns is None else max(0, deadline_ns - now_ns) / 1e9

    @property
    def offline(self) -> dict[str, str]:
        """Streams that are, and why. Any thread may read it."""
        return self._api.offline_streams

    def _damaged(self, event: DamageEvent) -> None:
        more = self._damaged_lines.suffix()
        if more is None:
            return
        name = self._api.stream_name(event.stream)
        self._log.error(
            f"Message {event.seq} of stream {name} is damaged; it stays, consumers pass it{more}"
        )

    def statistics(self) -> Generator[None, None, ServerStatistics]:
        return self._api.statistics()

    def account_overview(self) -> Generator[None, None, dict[str, Any]]:
        """As /jsz shows an account, without its streams."""
        return self._api.account_overview(ACCOUNT_GLOBAL)

    def stream_details(self, *, consumers: bool, config: bool) -> Iterator[list[dict[str, Any]]]:
        now_ns = time.time_ns()
        return self._api.stream_details(ACCOUNT_GLOBAL, now_ns, consumers=consumers, config=config)

    def consumer_names(self, stream: str) -> list[str] | None:
        """None when there is no such stream."""
        return self._api.consumer_names(ACCOUNT_GLOBAL, stream)

    def _describe(self, cid: int) -> ClientDescription | None:
        client = self._clients.get(cid)
        if client is None:
            return None
        return ClientDescription(
            start_ns=client.connected_ns,
            host=client.ip,
            user=client.identity.shown,
            name=client.connect.name,
            lang=client.connect.lang,
            version=client.connect.version,
            rtt_ns=self._kernel.rtt_ns(cid),
        )


def _open_store(kernel: Kernel, running: RunningOptions) -> list[StreamRecord]:
    path = running.store_path
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StartError(
            f"Can't start JetStream: could not create storage directory - {error}"
        ) from None
    options = running.current.jetstream
    kernel.set_domain(options.domain.encode())
    passphrases = passphrases_of(options)
    try:
        return kernel.open_store(
            path=str(path),
            sync_interval_ns=options.sync_interval_ns,
            journal_file_bytes=running.sizes.journal_file_bytes,
            journal_bytes_max=running.sizes.journal_bytes_max,
            unlock=lambda disk: unlock(disk, passphrases, os.urandom),
        )
    except StoreError as error:
        raise StartError(f"Can't start JetStream: {error}") from None


def passphrases_of(options: JetStreamOptions) -> Passphrases:
    return Passphrases(
        options.encryption_key, options.previous_encryption_key, CIPHERS[options.cipher]
    )


def _server_limits(options: Options) -> ServerLimits:
    jetstream, limits = options.jetstream, options.jetstream.limits
    return ServerLimits(
        max_memory=jetstream.max_memory,
        max_store=jetstream.max_file,
        max_ack_pending=limits.max_ack_pending,
        max_request_batch=limits.max_request_batch,
        duplicate_window_ns=limits.duplicate_window_ns,
        default_max_consumers=limits.default_max_consumers,
    )


def _api_options(identity: Identity, options: Options) -> ApiOptions:
    jetstream = options.jetstream
    return ApiOptions(
        server_name=identity.name,
        server_version=NATS_VERSION,
        limits=_server_limits(options),
        strict=jetstream.strict,
        domain=jetstream.domain,
        max_payload=options.max_payload,
        server_id=identity.server_id,
    )
