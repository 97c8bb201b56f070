"""/jsz: JetStream's accounts, streams and consumers (K-211, K-260, K-265..K-270, K-296..K-299)."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipstream.config.options import ACCOUNT_GLOBAL, Options
from slipstream.gotext.encode import Parts
from slipstream.gotext.times import format_time
from slipstream.jetstream.api.monitoring import ServerStatistics
from slipstream.server.jetstream import JetStreamService
from slipstream.server.loop import Loop
from slipstream.server.monitoring.monitored import Monitored
from slipstream.server.monitoring.parameters import Parameters

ACCOUNTS_LIMIT_DEFAULT = 1024
NO_RESERVATION = 2**64 - 1  # what nats-server shows for an account without limits


@dataclass(frozen=True, slots=True)
class JszOptions:
    account: str = ""
    accounts: bool = False
    streams: bool = False
    consumers: bool = False
    config: bool = False
    offset: int = 0
    limit: int = ACCOUNTS_LIMIT_DEFAULT

    @classmethod
    def from_query(cls, query: Parameters) -> JszOptions:
        """Raises BadParameter."""
        for ignored in ("leader-only", "stream-leader-only", "raft", "direct-consumers"):
            query.flag(ignored)  # a server alone leads everything; a wrong value is still an error
        account = query.text("acc")
        consumers = query.flag("consumers")
        streams = query.flag("streams") or consumers
        return cls(
            account=account,
            accounts=query.flag("accounts") or (streams and not account),
            streams=streams,
            consumers=consumers,
            config=query.flag("config"),
            offset=max(0, query.integer("offset")),
            limit=query.integer("limit") or ACCOUNTS_LIMIT_DEFAULT,
        )


NOTHING = ServerStatistics(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def jsz(monitored: Monitored, options: JszOptions) -> Generator[None, None, dict[str, Any]]:
    """K-270."""
    jetstream = monitored.jetstream()
    stats = NOTHING
    if jetstream is not None:
        stats = yield from monitored.loop.ask_in_slices(jetstream.statistics())
    page = jetstream_stats(stats)
    page |= {"server_id": monitored.identity.server_id, "now": format_time(time.time_ns())}
    if jetstream is None:
        page["disabled"] = True
    else:
        running = monitored.options.current
        page |= {"config": jetstream_config(running), "limits": jetstream_limits(running)}
        if monitored.health.no_room:
            page["out_of_storage"] = monitored.health.no_room
    page |= {
        "streams": stats.streams,
        "consumers": stats.consumers,
        "messages": stats.messages,
        "bytes": stats.memory + stats.store,
    }
    wanted = options.account == ACCOUNT_GLOBAL or (options.accounts and not options.account)
    if jetstream is not None and wanted and options.offset == 0:
        page["account_details"] = [(yield from _account(monitored.loop, jetstream, options))]
    return page | {"total": stats.accounts}


def _account(
    loop: Loop, jetstream: JetStreamService, options: JszOptions
) -> Generator[None, None, dict[str, Any]]:
    shown = yield from loop.ask_in_slices(jetstream.account_overview())
    shown |= {"reserved_memory": NO_RESERVATION, "reserved_storage": NO_RESERVATION}
    if not options.streams:
        return shown
    streams = Parts()
    details = jetstream.stream_details(consumers=options.consumers, config=options.config)
    for entries in loop.slices(details):
        streams.add(entries)
        yield
    return shown | ({"stream_detail": streams} if streams else {})


def jetstream_stats(stats: ServerStatistics) -> dict[str, Any]:
    """K-297, K-298."""
    return {
        "memory": stats.memory,
        "storage": stats.store,
        "reserved_memory": stats.reserved_memory,
        "reserved_storage": stats.reserved_store,
        "accounts": stats.accounts,
        "ha_assets": 0,
        "api": {
            "level": stats.api_level,
            "total": stats.api_total,
            "errors": stats.api_errors,
        },
    }


def jetstream_config(options: Options) -> dict[str, Any]:
    """K-296. A durable server is one that syncs always."""
    jetstream = options.jetstream
    found: dict[str, Any] = {
        "max_memory": jetstream.max_memory,
        "max_storage": jetstream.max_file,
        "store_dir": str(Path(options.store_dir)),
    }
    if jetstream.durable:
        found["sync_always"] = True
    else:
        found["sync_interval"] = jetstream.sync_interval_ns
    if jetstream.strict:
        found["strict"] = True
    return found


def jetstream_limits(options: Options) -> dict[str, Any]:
    """K-299: what is set."""
    limits = options.jetstream.limits
    found = {
        "max_request_batch": limits.max_request_batch,
        "max_ack_pending": limits.max_ack_pending,
        "max_duplicate_window": limits.duplicate_window_ns,
        "max_batch_inflight_per_stream": limits.batch.max_inflight_per_stream,
        "max_batch_inflight_total": limits.batch.max_inflight_total,
        "max_batch_size": limits.batch.max_msgs,
        "max_batch_timeout": limits.batch.timeout_ns,
        "default_max_consumers": limits.default_max_consumers,
    }
    return {key: value for key, value in found.items() if value}
