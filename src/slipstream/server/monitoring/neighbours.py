"""/routez, /leafz and /gatewayz: a server that runs alone has no neighbours, and says so."""

from __future__ import annotations

import time
from typing import Any

from slipstream.gotext.times import format_time
from slipstream.server.identity import Identity


def routez(identity: Identity) -> dict[str, Any]:
    """K-225."""
    return {
        "server_id": identity.server_id,
        "server_name": identity.name,
        "now": format_time(time.time_ns()),
        "num_routes": 0,
        "routes": [],
    }


def leafz(identity: Identity) -> dict[str, Any]:
    """K-250."""
    return {
        "server_id": identity.server_id,
        "now": format_time(time.time_ns()),
        "leafnodes": 0,
        "leafs": [],
    }


def gatewayz(identity: Identity) -> dict[str, Any]:
    """K-247."""
    return {
        "server_id": identity.server_id,
        "now": format_time(time.time_ns()),
        "outbound_gateways": {},
        "inbound_gateways": {},
    }
