"""/subsz: the subscriptions of all clients (K-208, K-227, K-277)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipstream.config.options import ACCOUNT_GLOBAL, ACCOUNT_SYSTEM
from slipstream.jetstream.json.times import format_time
from slipstream.kernel.values import Subscription
from slipstream.server.monitoring.connz import LIMIT_DEFAULT, subscription_detail
from slipstream.server.monitoring.parameters import BadParameter, Parameters
from slipstream.server.monitoring.varz import number

if TYPE_CHECKING:
    from slipstream.server.server import Server


@dataclass(frozen=True, slots=True)
class SubszOptions:
    """K-228."""

    subscriptions: bool = False
    offset: int = 0
    limit: int = 0
    account: str = ""
    test: str = ""

    @classmethod
    def from_query(cls, query: Parameters) -> SubszOptions:
        """Raises BadParameter."""
        test = query.text("test")
        if test and not _is_literal(test):
            raise BadParameter(f"invalid test subject, must be valid publish subject: {test}")
        return cls(
            subscriptions=query.flag("subs"),
            offset=query.integer("offset"),
            limit=query.integer("limit"),
            account=query.text("acc"),
            test=test,
        )


def subsz(server: Server, options: SubszOptions) -> dict[str, Any]:
    stats = server.kernel.stats()
    matches = stats.cache_hits + stats.cache_misses
    known = options.account in ("", ACCOUNT_GLOBAL, ACCOUNT_SYSTEM)
    page: dict[str, Any] = {
        "server_id": server.server_id,
        "now": format_time(time.time_ns()),
        "num_subscriptions": stats.subscriptions if known else 0,
        "num_matches": matches if known else 0,
        "cache_hit_rate": number(stats.cache_hits / matches) if known and matches else 0,
        "total": 0,
        "offset": max(0, options.offset),
        "limit": options.limit if options.limit > 0 else LIMIT_DEFAULT,
    }
    if options.subscriptions and known:
        chosen = [one for one in server.kernel.subscriptions() if _wanted(server, one, options)]
        page["total"] = len(chosen)
        part = chosen[page["offset"] : page["offset"] + page["limit"]]
        names = _account_names(server)
        if part:
            page["subscriptions_list"] = [
                subscription_detail(one, names[one.account]) for one in part
            ]
    return page


def _account_names(server: Server) -> dict[int, str]:
    return {server.account: ACCOUNT_GLOBAL, server.system_account: ACCOUNT_SYSTEM}


def _wanted(server: Server, subscription: Subscription, options: SubszOptions) -> bool:
    if options.account and _account_names(server)[subscription.account] != options.account:
        return False
    return not options.test or _matches(subscription.subject, options.test.encode())


def _is_literal(subject: str) -> bool:
    tokens = subject.split(".")
    return all(tokens) and not {"*", ">"} & set(tokens) and not set(" \t\r\n\f") & set(subject)


def _matches(pattern: bytes, subject: bytes) -> bool:
    """Whether a subscription's subject matches a literal one (K-096)."""
    pattern_tokens, tokens = pattern.split(b"."), subject.split(b".")
    for position, wanted in enumerate(pattern_tokens):
        if wanted == b">" and position == len(pattern_tokens) - 1:
            return len(tokens) > position
        if position >= len(tokens) or wanted not in (b"*", tokens[position]):
            return False
    return len(tokens) == len(pattern_tokens)
