"""/connz: the clients, open and closed (K-204, K-220..K-229). Also the answer of a system service,
with its options as JSON.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from slipstream.config.options import ACCOUNT_GLOBAL
from slipstream.gotext.durations import format_duration
from slipstream.gotext.encode import Parts
from slipstream.gotext.times import format_time
from slipstream.jetstream.subjects import collide
from slipstream.kernel import Kernel
from slipstream.kernel.events import ClosedEvent
from slipstream.kernel.values import ConnectionStats, Subscription
from slipstream.server.clients import Client, Clients
from slipstream.server.identity import Identity
from slipstream.server.monitoring.parameters import BadParameter, Parameters
from slipstream.server.monitoring.uptime import format_uptime

LIMIT_DEFAULT = 1024
ROWS_PER_SLICE = 64
OPEN, CLOSED, ALL = 0, 1, 2
_STATES = {"": OPEN, "open": OPEN, "closed": CLOSED, "any": ALL, "all": ALL}


Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Uint64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # as far as the library counts


class ConnzOptions(msgspec.Struct, frozen=True):
    """K-221."""

    sort: str = ""
    auth: bool = False
    subscriptions: bool = False
    subscriptions_detail: bool = False
    offset: Int64 = 0
    limit: Int64 = 0
    cid: Uint64 = 0
    mqtt_client: str = ""
    state: Int64 = OPEN
    user: str = ""
    acc: str = ""
    filter_subject: str = ""

    @classmethod
    def from_query(cls, query: Parameters) -> ConnzOptions:
        """Raises BadParameter."""
        detail = query.text("subs").lower() == "detail"
        state = query.text("state").lower()
        if state not in _STATES:
            raise BadParameter(f"Error decoding state for {query.text('state')}")
        return cls(
            sort=query.text("sort"),
            auth=query.flag("auth"),
            subscriptions=False if detail else query.flag("subs"),
            subscriptions_detail=detail,
            offset=query.integer("offset"),
            limit=query.integer("limit"),
            cid=query.unsigned("cid"),
            state=_STATES[state],
            user=query.text("user"),
            acc=query.text("acc"),
            mqtt_client=query.text("mqtt_client"),
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """A connection, open or closed."""

    stats: ConnectionStats | ClosedEvent
    client: Client | None

    @property
    def end_ns(self) -> int:
        return self.stats.stop_ns if isinstance(self.stats, ClosedEvent) else 0

    @property
    def pending_bytes(self) -> int:
        return 0 if isinstance(self.stats, ClosedEvent) else self.stats.pending_bytes

    @property
    def reason(self) -> str:
        return self.stats.reason if isinstance(self.stats, ClosedEvent) else ""


_SORTS: dict[str, tuple[Callable[[_Row, int], Any], bool]] = {
    # name: (key of a row and now, descending)
    "": (lambda row, _: row.stats.cid, False),
    "cid": (lambda row, _: row.stats.cid, False),
    "start": (lambda row, _: row.stats.cid, False),
    "subs": (lambda row, _: row.stats.subscriptions, True),
    "pending": (lambda row, _: row.pending_bytes, True),
    "msgs_to": (lambda row, _: row.stats.out_msgs, True),
    "msgs_from": (lambda row, _: row.stats.in_msgs, True),
    "bytes_to": (lambda row, _: row.stats.out_bytes, True),
    "bytes_from": (lambda row, _: row.stats.in_bytes, True),
    "last": (lambda row, _: row.stats.last_activity_ns, True),
    "idle": (lambda row, now_ns: now_ns - row.stats.last_activity_ns, True),
    "uptime": (lambda row, now_ns: (row.end_ns or now_ns) - row.stats.start_ns, False),
    "stop": (lambda row, _: row.end_ns, True),
    "reason": (lambda row, _: row.reason, False),
    "rtt": (lambda row, _: row.stats.rtt_ns, True),
}


def connz(
    identity: Identity, kernel: Kernel, clients: Clients, options: ConnzOptions
) -> Generator[None, None, dict[str, Any]]:
    """In slices. Raises BadParameter for options that do not go together."""
    now_ns = time.time_ns()
    if options.sort not in _SORTS:
        raise BadParameter(f"invalid sorting option: {options.sort}")
    if options.sort in ("stop", "reason") and options.state != CLOSED:
        raise BadParameter(f"sort by {options.sort} only valid on closed connections")
    if options.filter_subject and not options.acc:
        raise BadParameter("filter by subject only valid with account filtering")
    limit = 1 if options.cid else (options.limit if options.limit > 0 else LIMIT_DEFAULT)
    offset = max(0, options.offset)
    page: dict[str, Any] = {
        "server_id": identity.server_id,
        "now": format_time(now_ns),
        "num_connections": 0,
        "total": 0,
        "offset": offset,
        "limit": limit,
        "connections": [],
    }
    if options.acc and options.acc != ACCOUNT_GLOBAL:  # as nats-server answers for no account
        return page | {"server_id": "", "connections": None}
    rows = _rows(kernel, clients, options.state)
    page["total"] = len(rows)
    chosen = [row for row in rows if _wanted(row, options)]
    if options.filter_subject:
        interested = _interested(kernel, options.filter_subject)
        chosen = [row for row in chosen if row.stats.cid in interested]
    key, descending = _SORTS[options.sort]
    chosen.sort(key=lambda row: key(row, now_ns), reverse=descending)
    chosen = chosen[offset : offset + limit]
    page["connections"] = connections = Parts()
    yield
    for start in range(0, len(chosen), ROWS_PER_SLICE):
        part = chosen[start : start + ROWS_PER_SLICE]
        by_cid = _subscriptions(kernel, part, options)
        connections.add(
            [_connection(row, options, by_cid.get(row.stats.cid, []), now_ns) for row in part]
        )
        yield
    page["num_connections"] = len(chosen)
    return page


def _rows(kernel: Kernel, clients: Clients, state: int) -> list[_Row]:
    rows: list[_Row] = []
    if state in (OPEN, ALL):
        rows += [_Row(one, clients.get(one.cid)) for one in kernel.connections()]
    if state in (CLOSED, ALL):
        rows += [_Row(closed.event, closed.client) for closed in clients.closed()]
    return rows


def _wanted(row: _Row, options: ConnzOptions) -> bool:
    if options.mqtt_client:  # nobody speaks MQTT here
        return False
    if options.cid and row.stats.cid != options.cid:
        return False
    if options.user:
        return row.client is not None and row.client.identity.shown == options.user
    return True


def _interested(kernel: Kernel, subject: str) -> set[int]:
    """The clients with a subscription that a message on `subject` could reach."""
    return {one.cid for one in kernel.subscriptions() if collide(text(one.subject), subject)}


def _subscriptions(
    kernel: Kernel, rows: Iterable[_Row], options: ConnzOptions
) -> dict[int, list[Subscription]]:
    found: dict[int, list[Subscription]] = defaultdict(list)
    if options.subscriptions or options.subscriptions_detail:
        for row in rows:
            if not isinstance(row.stats, ClosedEvent):
                found[row.stats.cid] = kernel.subscriptions(row.stats.cid)
    return found


def _connection(
    row: _Row, options: ConnzOptions, subscriptions: list[Subscription], now_ns: int
) -> dict[str, Any]:
    """K-222."""
    stats = row.stats
    end_ns = row.end_ns or now_ns
    found: dict[str, Any] = {
        "cid": stats.cid,
        "kind": "Client",
        "type": "nats",
        "ip": stats.ip,
        "port": stats.port,
        "start": format_time(stats.start_ns),
        "last_activity": format_time(stats.last_activity_ns),
    }
    if isinstance(stats, ClosedEvent):
        found |= {"stop": format_time(stats.stop_ns), "reason": stats.reason}
    if stats.rtt_ns:
        found["rtt"] = format_duration(stats.rtt_ns)
    found |= {
        "uptime": format_uptime(end_ns - stats.start_ns),
        "idle": format_uptime(end_ns - stats.last_activity_ns),
        "pending_bytes": row.pending_bytes,
        "in_msgs": stats.in_msgs,
        "out_msgs": stats.out_msgs,
        "in_bytes": stats.in_bytes,
        "out_bytes": stats.out_bytes,
        "subscriptions": stats.subscriptions,
    }
    if row.client is not None:
        connect = row.client.connect
        described = {"name": connect.name, "lang": connect.lang, "version": connect.version}
        found |= {key: value for key, value in described.items() if value}
    if options.auth:
        if row.client is not None and row.client.identity.shown:
            found["authorized_user"] = row.client.identity.shown
        found["name_tag"] = ACCOUNT_GLOBAL
    if options.subscriptions and subscriptions:
        found["subscriptions_list"] = [text(one.subject) for one in subscriptions]
    if options.subscriptions_detail and subscriptions:
        found["subscriptions_list_detail"] = [subscription_detail(one) for one in subscriptions]
    return found


def subscription_detail(subscription: Subscription, account: str = "") -> dict[str, Any]:
    """K-229."""
    detail: dict[str, Any] = {}
    if account:
        detail |= {"account": account, "account_tag": account}
    detail["subject"] = text(subscription.subject)
    if subscription.queue:
        detail["qgroup"] = text(subscription.queue)
    detail |= {"sid": text(subscription.sid), "msgs": subscription.delivered}
    if subscription.max_delivered:
        detail["max"] = subscription.max_delivered
    detail["cid"] = subscription.cid
    return detail


def text(name: bytes) -> str:
    """Subjects may hold any bytes; JSON may not."""
    return name.decode("utf-8", "replace")
