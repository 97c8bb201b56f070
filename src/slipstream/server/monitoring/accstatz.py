"""/accstatz and the service of the same content: traffic by account (K-253, K-188)."""

from __future__ import annotations

import time
from typing import Any

from slipstream.config.options import ACCOUNT_GLOBAL
from slipstream.gotext.times import format_time
from slipstream.kernel import Kernel
from slipstream.server.identity import Identity


def accstatz(identity: Identity, kernel: Kernel) -> dict[str, Any]:
    """All clients are in one account, so its traffic is the server's."""
    stats = kernel.stats()
    account = {
        "acc": ACCOUNT_GLOBAL,
        "name": ACCOUNT_GLOBAL,
        "conns": stats.connections,
        "leafnodes": 0,
        "total_conns": stats.connections,
        "num_subscriptions": stats.subscriptions,
        "sent": _traffic(stats.out_msgs, stats.out_bytes),
        "received": _traffic(stats.in_msgs, stats.in_bytes),
        "slow_consumers": stats.slow_consumers,
    }
    return {
        "server_id": identity.server_id,
        "now": format_time(time.time_ns()),
        "account_statz": [account],
    }


def _traffic(messages: int, size: int) -> dict[str, Any]:
    none = {"msgs": 0, "bytes": 0}
    return {"msgs": messages, "bytes": size, "gateways": none, "routes": none, "leafs": none}
