"""/varz: the server as a whole (K-231, K-232), with a `slipstream` object of our own at the end."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

from slipstream.config.options import ACCOUNT_SYSTEM
from slipstream.gotext.times import format_time
from slipstream.kernel import Kernel
from slipstream.server import banner, process_usage
from slipstream.server.info import IMPLEMENTATION, PROTOCOL
from slipstream.server.monitoring.jsz import jetstream_config, jetstream_limits, jetstream_stats
from slipstream.server.monitoring.monitored import Monitored
from slipstream.server.monitoring.uptime import format_uptime
from slipstream.version import NATS_VERSION, VERSION


def varz(monitored: Monitored) -> Generator[None, None, dict[str, Any]]:
    now_ns = time.time_ns()
    page = _configuration(monitored)
    page["jetstream"] = yield from _jetstream(monitored)
    page |= _process(monitored, now_ns)
    page |= _traffic(monitored.kernel)
    page |= _origin(monitored)
    page["slipstream"] = _own(monitored)
    return page


def _configuration(monitored: Monitored) -> dict[str, Any]:
    options = monitored.options.current
    page: dict[str, Any] = {
        "server_id": monitored.identity.server_id,
        "server_name": monitored.identity.name,
        "version": NATS_VERSION,
        "proto": PROTOCOL,
        "go": IMPLEMENTATION,
        "host": options.host,
        "port": monitored.port.port,
    }
    if options.authorization.required and not options.no_auth_user:
        page["auth_required"] = True
    page["max_connections"] = options.max_connections
    if options.max_subscriptions:
        page["max_subscriptions"] = options.max_subscriptions
    page |= {
        "ping_interval": options.ping_interval_ns,
        "ping_max": options.ping_max,
        "http_host": options.http_host or options.host,
        "http_port": options.http_port,
        "http_base_path": options.http_base_path,
        "https_port": 0,
        "auth_timeout": number(options.authorization.timeout_s),
        "max_control_line": options.max_control_line,
        "max_payload": options.max_payload,
        "max_pending": options.max_pending,
        "cluster": {},
        "gateway": {},
        "leaf": {},
        "mqtt": {},
        "websocket": {},
        "jetstream": {},
        "tls_timeout": 2,
        "write_deadline": options.write_deadline_ns,
    }
    return page


def _jetstream(monitored: Monitored) -> Generator[None, None, dict[str, Any]]:
    jetstream, options = monitored.jetstream(), monitored.options.current
    if jetstream is None:
        return {}
    stats = yield from monitored.loop.ask_in_slices(jetstream.statistics())
    return {
        "config": jetstream_config(options),
        "stats": jetstream_stats(stats),
        "limits": jetstream_limits(options),
    }


def _process(monitored: Monitored, now_ns: int) -> dict[str, Any]:
    return {
        "start": format_time(monitored.identity.start_ns),
        "now": format_time(now_ns),
        "uptime": format_uptime(now_ns - monitored.identity.start_ns),
        "mem": process_usage.memory_bytes(),
        "cores": process_usage.cores(),
        "gomaxprocs": process_usage.usable_cores(),
        "cpu": number(monitored.processor_time.percent()),
    }


def _traffic(kernel: Kernel) -> dict[str, Any]:
    stats = kernel.stats()
    return {
        "connections": stats.connections,
        "total_connections": stats.total_connections,
        "routes": 0,
        "remotes": 0,
        "leafnodes": 0,
        "in_msgs": stats.in_msgs,
        "in_bytes": stats.in_bytes,
        "in_client_msgs": stats.in_msgs,
        "in_client_bytes": stats.in_bytes,
        "out_msgs": stats.out_msgs,
        "out_bytes": stats.out_bytes,
        "out_client_msgs": stats.out_msgs,
        "out_client_bytes": stats.out_bytes,
        "slow_consumers": stats.slow_consumers,
        "stale_connections": stats.stale_connections,
        "stalled_clients": stats.stalls,
        "subscriptions": stats.subscriptions,
    }


def _origin(monitored: Monitored) -> dict[str, Any]:
    stats, options = monitored.kernel.stats(), monitored.options.current
    page: dict[str, Any] = {
        "http_req_stats": dict(sorted(monitored.requests.items())),
        "config_load_time": format_time(monitored.options.loaded_ns),
        "config_digest": options.config_digest,
    }
    if options.server_tags:
        page["tags"] = list(options.server_tags)
    if options.server_metadata:
        page["metadata"] = dict(options.server_metadata)
    return page | {
        "system_account": ACCOUNT_SYSTEM,
        "slow_consumer_stats": _by_kind(stats.slow_consumers),
        "stale_connection_stats": _by_kind(stats.stale_connections),
        "disk_io_wait_stats": {"waiters": 0, "waits": 0, "wait_time": 0, "max_wait_time": 0},
    }


def _by_kind(clients: int) -> dict[str, int]:
    return {"clients": clients, "routes": 0, "gateways": 0, "leafs": 0}


def _own(monitored: Monitored) -> dict[str, Any]:
    """What only this server has: how its loop and its disk are doing."""
    stats, loop = monitored.kernel.stats(), monitored.loop
    page: dict[str, Any] = {
        "version": VERSION,
        "lame_duck": monitored.lame_duck.is_active,
        "turns": stats.turns,
        "turn_ns_total": stats.turn_ns_total,
        "turn_ns_max": stats.turn_ns_max,
        "python_steps": loop.steps,
        "python_step_ns_total": loop.step_ns_total,
        "python_step_ns_max": loop.step_ns_max,
        "unexpected_errors": monitored.guard.errors,
        "log_lines_dropped": monitored.log.lines_dropped,
        "requests_dropped": stats.requests_dropped,
        "advisories_dropped": stats.advisories_dropped,
        "match_cache_hits": stats.cache_hits,
        "match_cache_misses": stats.cache_misses,
    }
    if monitored.jetstream() is not None:
        store = monitored.kernel.store_stats()
        page["store"] = {
            "durability": banner.durability(monitored.options.current),
            "failed": store.failed,
            "no_room": store.no_room,
            "bytes_in_flight": store.bytes_in_flight,
            "journal_bytes": store.journal_bytes,
            "syncs": store.syncs,
            "sync_ns_total": store.sync_ns_total,
            "sync_ns_max": store.sync_ns_max,
            "checkpoints": store.checkpoints,
        }
    return page


def number(amount: float) -> float | int:
    """Go writes a whole float without a decimal point."""
    return int(amount) if amount == int(amount) else amount
