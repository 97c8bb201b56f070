"""/routez, /leafz and /gatewayz: a server that runs alone has no neighbours, and says so."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from slipstream.gotext.times import format_time

if TYPE_CHECKING:
    from slipstream.server.server import Server


def routez(server: Server) -> dict[str, Any]:
    """K-225."""
    return {
        "server_id": server.server_id,
        "server_name": server.name,
        "now": format_time(time.time_ns()),
        "num_routes": 0,
        "routes": [],
    }


def leafz(server: Server) -> dict[str, Any]:
    """K-250."""
    return {
        "server_id": server.server_id,
        "now": format_time(time.time_ns()),
        "leafnodes": 0,
        "leafs": [],
    }


def gatewayz(server: Server) -> dict[str, Any]:
    """K-247."""
    return {
        "server_id": server.server_id,
        "now": format_time(time.time_ns()),
        "outbound_gateways": {},
        "inbound_gateways": {},
    }
