"""Numbers and details for the monitoring port: what /jsz shows of streams and consumers.

Everything comes in slices near a millisecond, with which the shell steps in between of its other
work.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple, TypeVar

from slipstream.gotext.encode import Parts
from slipstream.jetstream.api.account import info_fields, measure
from slipstream.jetstream.api.consumers import list_entry as consumer_entry
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.api.state import stream_state
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.jetstream.registry import Account, Stream
from slipstream.jetstream.sourcing.shown import shown_links
from slipstream.protocol.errors import ApiError

T = TypeVar("T")

ENTRIES_PER_SLICE = 24  # streams and consumers that are described in one slice


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
    """What /jsz?consumers=&config= asks for."""

    consumers: bool
    config: bool


def server_statistics(api: ApiCore) -> Generator[None, None, ServerStatistics]:
    accounts = list(api.registry.accounts.values())
    usages = []
    for account in accounts:
        usages.append((yield from measure(api, account)))
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
    return info_fields(api, account, finished(measure(api, account)))


def account_overview(api: ApiCore, account: Account) -> Generator[None, None, dict[str, Any]]:
    """What /jsz shows of an account besides its streams."""
    usage = yield from measure(api, account)
    return {
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


def stream_details(
    api: ApiCore, account: Account, detail: Detail, now_ns: int
) -> Iterator[list[dict[str, Any]]]:
    """The account's streams in slices; some are empty, while a stream with many consumers is read.

    A stream or consumer that is deleted meanwhile is left out.
    """
    entries: list[dict[str, Any]] = []
    weight = 0
    for name in account.stream_names():
        stream = account.find(name)
        if stream is None:
            continue
        if stream.offline:
            entries.append(_offline_detail(stream, detail))
            continue
        try:
            entries.append((yield from _stream_detail(api, stream, detail, now_ns)))
        except ApiError:
            continue  # deleted in the kernel, its commit not seen yet
        weight += 1 + (len(stream.consumers) % ENTRIES_PER_SLICE if detail.consumers else 0)
        if weight >= ENTRIES_PER_SLICE:
            yield entries
            entries, weight = [], 0
    yield entries


def _stream_detail(
    api: ApiCore, stream: Stream, detail: Detail, now_ns: int
) -> Generator[list[dict[str, Any]], None, dict[str, Any]]:
    shown: dict[str, Any] = {"name": stream.name, "created": stream.created}
    shown["cluster"] = {"leader": api.options.server_name}
    if detail.config:
        shown["config"] = stream.config_json
    shown["state"] = stream_state(api.stream_state(stream), stream.shown_consumer_count)
    if stream.damaged:
        shown["damaged"] = sorted(stream.damaged)
    if detail.consumers:
        names = stream.consumer_names()
        entries = Parts()
        for start in range(0, len(names), ENTRIES_PER_SLICE):
            if start:
                yield []
            chosen = names[start : start + ENTRIES_PER_SLICE]
            for consumer in filter(None, map(stream.find_consumer, chosen)):
                for _ in api.counted(consumer):
                    yield []
            entries.add(_consumer_entries(api, stream, chosen, detail, now_ns))
        if entries:
            shown["consumer_detail"] = entries.raw()
    return shown | shown_links(api.links.links(stream), now_ns)


def _offline_detail(stream: Stream, detail: Detail) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": stream.name, "created": stream.created}
    if detail.config:
        shown["config"] = stream.config_json
    return shown | {"offline_reason": stream.offline}


def _consumer_entries(
    api: ApiCore, stream: Stream, names: list[str], detail: Detail, now_ns: int
) -> list[dict[str, Any]]:
    entries = []
    for name in names:
        consumer = stream.find_consumer(name)
        if consumer is None:
            continue
        try:
            entry = consumer_entry(api, consumer, now_ns)
        except ApiError:
            continue
        if not detail.config:
            del entry["config"]
        entries.append(entry)
    return entries


def finished(slices: Generator[object, None, T]) -> T:
    """What it returns in the end, at once."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            result: T = end.value
            return result
