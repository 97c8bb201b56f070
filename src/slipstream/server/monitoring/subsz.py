"""/subsz: the subscriptions of all clients (K-208, K-227, K-277)."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from slipstream.config.options import ACCOUNT_GLOBAL, ACCOUNT_SYSTEM
from slipstream.gotext.encode import Parts
from slipstream.gotext.times import format_time
from slipstream.jetstream.subjects import collide, is_valid_publish
from slipstream.kernel import Kernel
from slipstream.kernel.values import Subscription
from slipstream.server.identity import Identity
from slipstream.server.monitoring.connz import LIMIT_DEFAULT, subscription_detail, text
from slipstream.server.monitoring.parameters import BadParameter, Parameters
from slipstream.server.monitoring.varz import number

ROWS_PER_SLICE = 500


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
        if test and not is_valid_publish(test):
            raise BadParameter(f"invalid test subject, must be valid publish subject: {test}")
        return cls(
            subscriptions=query.flag("subs"),
            offset=query.integer("offset"),
            limit=query.integer("limit"),
            account=query.text("acc"),
            test=test,
        )


def subsz(
    identity: Identity, kernel: Kernel, accounts: dict[int, str], options: SubszOptions
) -> Generator[None, None, dict[str, Any]]:
    """`accounts`: names by the kernel's numbers."""
    stats = kernel.stats()
    matches = stats.cache_hits + stats.cache_misses
    known = options.account in ("", ACCOUNT_GLOBAL, ACCOUNT_SYSTEM)
    page: dict[str, Any] = {
        "server_id": identity.server_id,
        "now": format_time(time.time_ns()),
        "num_subscriptions": stats.subscriptions if known else 0,
        "num_matches": matches if known else 0,
        "cache_hit_rate": number(stats.cache_hits / matches) if known and matches else 0,
        "total": 0,
        "offset": max(0, options.offset),
        "limit": options.limit if options.limit > 0 else LIMIT_DEFAULT,
    }
    if options.subscriptions and known:
        present = kernel.subscriptions()
        chosen = []
        for start in range(0, len(present), ROWS_PER_SLICE):
            part = present[start : start + ROWS_PER_SLICE]
            chosen += [one for one in part if _wanted(accounts, one, options)]
            yield
        page["total"] = len(chosen)
        shown = chosen[page["offset"] : page["offset"] + page["limit"]]
        rows = Parts()
        for start in range(0, len(shown), ROWS_PER_SLICE):
            part = shown[start : start + ROWS_PER_SLICE]
            rows.add([subscription_detail(one, accounts[one.account]) for one in part])
            yield
        if rows:
            page["subscriptions_list"] = rows
    return page


def _wanted(accounts: dict[int, str], subscription: Subscription, options: SubszOptions) -> bool:
    if options.account and accounts[subscription.account] != options.account:
        return False
    return not options.test or collide(text(subscription.subject), options.test)
