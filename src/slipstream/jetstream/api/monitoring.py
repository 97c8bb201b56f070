"""Numbers and details for the monitoring port: what /jsz shows of streams and consumers.

Monitoring asks for everything at once; the shell decides how often it may.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from slipstream.jetstream.api.account import Usage, info_fields, measure
from slipstream.jetstream.api.consumers import list_entry as consumer_entry
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.api.state import stream_state
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.jetstream.registry import Account, Stream
from slipstream.jetstream.sourcing.shown import shown_links
from slipstream.protocol.errors import ApiError


class ServerStatistics(NamedTuple):
    """Of all accounts together."""

    memory: int
    store: int
    reserved_memory: int
    reserved_store: int
    accounts: int
    api_level: int
    api_total: int
    api_errors: int
    streams: int
    consumers: int
    messages: int


class Detail(NamedTuple):
    """What /jsz?streams=&consumers=&config= asks for."""

    streams: bool
    consumers: bool
    config: bool


def server_statistics(api: ApiCore) -> ServerStatistics:
    accounts = list(api.registry.accounts.values())
    usages = [_usage(api, account) for account in accounts]
    reserved = api.registry.reserved()
    return ServerStatistics(
        memory=sum(usage.memory for usage in usages),
        store=sum(usage.store for usage in usages),
        reserved_memory=reserved.memory,
        reserved_store=reserved.store,
        accounts=len(accounts),
        api_level=API_LEVEL,
        api_total=sum(account.api_total for account in accounts),
        api_errors=sum(account.api_errors for account in accounts),
        streams=sum(usage.streams for usage in usages),
        consumers=sum(usage.consumers for usage in usages),
        messages=sum(usage.messages for usage in usages),
    )


def account_statistics(api: ApiCore, account: Account) -> dict[str, Any]:
    return info_fields(api, account, _usage(api, account))


def account_details(api: ApiCore, account: Account, detail: Detail, now_ns: int) -> dict[str, Any]:
    usage = _usage(api, account)
    shown: dict[str, Any] = {
        "name": account.name,
        "id": account.name,
        "memory": usage.memory,
        "storage": usage.store,
        "reserved_memory": account.reserved.memory,
        "reserved_storage": account.reserved.store,
        "accounts": 0,
        "ha_assets": 0,
        "api": {"level": 0, "total": account.api_total, "errors": account.api_errors},
    }
    if detail.streams:
        entries = []
        for name in account.stream_names():
            stream = account.find(name)
            assert stream is not None
            if stream.offline:
                entries.append(_offline_detail(stream, detail))
                continue
            try:
                entries.append(_stream_detail(api, stream, detail, now_ns))
            except ApiError:
                continue  # deleted in the kernel, its commit not seen yet
        if entries:
            shown["stream_detail"] = entries
    return shown


def _stream_detail(api: ApiCore, stream: Stream, detail: Detail, now_ns: int) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": stream.name, "created": stream.created}
    shown["cluster"] = {"leader": api.options.server_name}
    if detail.config:
        shown["config"] = stream.config_json
    shown["state"] = stream_state(api.stream_state(stream), stream.shown_consumer_count)
    if detail.consumers:
        entries = []
        for name in stream.consumer_names():
            entry = consumer_entry(api, stream.consumers[name], now_ns)
            if not detail.config:
                del entry["config"]
            entries.append(entry)
        if entries:
            shown["consumer_detail"] = entries
    return shown | shown_links(api.links.links(stream), now_ns)


def _offline_detail(stream: Stream, detail: Detail) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": stream.name, "created": stream.created}
    if detail.config:
        shown["config"] = stream.config_json
    return shown | {"offline_reason": stream.offline}


def _usage(api: ApiCore, account: Account) -> Usage:
    measuring = measure(api, account)
    while True:
        try:
            next(measuring)
        except StopIteration as measured:
            usage: Usage = measured.value
            return usage
