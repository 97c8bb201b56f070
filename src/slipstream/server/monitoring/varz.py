"""/varz: the server as a whole (K-231, K-232), with a `slipstream` object of our own at the end."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from slipstream.config.options import ACCOUNT_SYSTEM
from slipstream.gotext.times import format_time
from slipstream.server import banner, process_usage
from slipstream.server.info import IMPLEMENTATION, PROTOCOL
from slipstream.server.monitoring.jsz import jetstream_config, jetstream_limits, jetstream_stats
from slipstream.server.monitoring.uptime import format_uptime
from slipstream.version import NATS_VERSION, VERSION

if TYPE_CHECKING:
    from slipstream.server.server import Server


def varz(server: Server) -> Generator[None, None, dict[str, Any]]:
    now_ns = time.time_ns()
    page = _configuration(server)
    page["jetstream"] = yield from _jetstream(server)
    page |= _process(server, now_ns)
    page |= _traffic(server)
    page |= _origin(server)
    page["slipstream"] = _own(server)
    return page


def _configuration(server: Server) -> dict[str, Any]:
    options = server.options
    page: dict[str, Any] = {
        "server_id": server.server_id,
        "server_name": server.name,
        "version": NATS_VERSION,
        "proto": PROTOCOL,
        "go": IMPLEMENTATION,
        "host": options.host,
        "port": server.port,
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


def _jetstream(server: Server) -> Generator[None, None, dict[str, Any]]:
    if server.jetstream is None:
        return {}
    stats = yield from server.loop.ask_in_slices(server.jetstream.statistics())
    return {
        "config": jetstream_config(server),
        "stats": jetstream_stats(stats),
        "limits": jetstream_limits(server),
    }


def _process(server: Server, now_ns: int) -> dict[str, Any]:
    return {
        "start": format_time(server.start_ns),
        "now": format_time(now_ns),
        "uptime": format_uptime(now_ns - server.start_ns),
        "mem": process_usage.memory_bytes(),
        "cores": process_usage.cores(),
        "gomaxprocs": process_usage.usable_cores(),
        "cpu": number(server.processor_time.percent()),
    }


def _traffic(server: Server) -> dict[str, Any]:
    stats = server.kernel.stats()
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


def _origin(server: Server) -> dict[str, Any]:
    stats = server.kernel.stats()
    monitoring = server.monitoring
    page: dict[str, Any] = {
        "http_req_stats": dict(sorted(monitoring.requests.items())) if monitoring else {},
        "config_load_time": format_time(server.config_loaded_ns),
        "config_digest": server.options.config_digest,
    }
    if server.options.server_tags:
        page["tags"] = list(server.options.server_tags)
    if server.options.server_metadata:
        page["metadata"] = dict(server.options.server_metadata)
    return page | {
        "system_account": ACCOUNT_SYSTEM,
        "slow_consumer_stats": _by_kind(stats.slow_consumers),
        "stale_connection_stats": _by_kind(stats.stale_connections),
        "disk_io_wait_stats": {"waiters": 0, "waits": 0, "wait_time": 0, "max_wait_time": 0},
    }


def _by_kind(clients: int) -> dict[str, int]:
    return {"clients": clients, "routes": 0, "gateways": 0, "leafs": 0}


def _own(server: Server) -> dict[str, Any]:
    """What only this server has: how its loop and its disk are doing."""
    stats, loop = server.kernel.stats(), server.loop
    page: dict[str, Any] = {
        "version": VERSION,
        "lame_duck": server.lame_duck.is_active,
        "turns": stats.turns,
        "turn_ns_total": stats.turn_ns_total,
        "turn_ns_max": stats.turn_ns_max,
        "python_steps": loop.steps,
        "python_step_ns_total": loop.step_ns_total,
        "python_step_ns_max": loop.step_ns_max,
        "unexpected_errors": server.guard.errors,
        "log_lines_dropped": server.log.lines_dropped,
        "requests_dropped": stats.requests_dropped,
        "advisories_dropped": stats.advisories_dropped,
        "match_cache_hits": stats.cache_hits,
        "match_cache_misses": stats.cache_misses,
    }
    if server.jetstream is not None:
        store = server.kernel.store_stats()
        page["store"] = {
            "durability": banner.durability(server.options),
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
