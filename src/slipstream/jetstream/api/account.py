"""INFO: what an account uses and may use (S-071)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, NamedTuple

from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.jetstream.limits import TIERED_LIMITS, AccountLimits, Reservations, tier_name
from slipstream.jetstream.registry import Account

# Streams whose state is asked for in one slice.
STREAMS_PER_SLICE = 400


class Usage(NamedTuple):
    """Bytes and messages that are there, and how many streams and consumers hold them."""

    memory: int = 0
    store: int = 0
    streams: int = 0
    consumers: int = 0
    messages: int = 0


def account_info(api: ApiCore, request: Request, now_ns: int) -> Generator[None]:
    usage = yield from measure(api, request.account)
    api.answer(request, info_fields(api, request.account, usage), now_ns)


def measure(api: ApiCore, account: Account) -> Generator[None, None, Usage]:
    memory = store = streams = consumers = messages = 0
    for position, name in enumerate(account.stream_names()):
        if position % STREAMS_PER_SLICE == STREAMS_PER_SLICE - 1:
            yield
        stream = account.find(name)
        if stream is None:
            continue
        streams += 1
        if stream.offline:
            continue
        state = api.stream_state(stream)
        consumers += len(stream.consumers)
        messages += state.messages
        memory += state.bytes if stream.config.is_memory else 0
        store += 0 if stream.config.is_memory else state.bytes
    return Usage(memory, store, streams, consumers, messages)


def info_fields(api: ApiCore, account: Account, usage: Usage) -> dict[str, Any]:
    tiers = {}
    limits = account.limits
    if not isinstance(limits, AccountLimits):
        # All that one server holds has one replica.
        used = {tier_name(1): (account.reserved, usage)}
        nothing = (Reservations(), Usage())
        tiers = {
            "tiers": {
                name: _tier_fields(*used.get(name, nothing), of_tier)
                for name, of_tier in sorted(limits.tiers.items())
            }
        }
        limits = TIERED_LIMITS
    return {
        "memory": usage.memory,
        "storage": usage.store,
        "reserved_memory": account.reserved.memory,
        "reserved_storage": account.reserved.store,
        "streams": usage.streams,
        "consumers": usage.consumers,
        "limits": limits.to_json_object(),
        **api.domain_field(),
        "api": {"level": API_LEVEL, "total": account.api_total, "errors": account.api_errors},
        **tiers,
    }


def _tier_fields(reserved: Reservations, usage: Usage, limits: AccountLimits) -> dict[str, Any]:
    return {
        "memory": usage.memory,
        "storage": usage.store,
        "reserved_memory": reserved.memory,
        "reserved_storage": reserved.store,
        "streams": usage.streams,
        "consumers": usage.consumers,
        "limits": limits.to_json_object(),
    }
