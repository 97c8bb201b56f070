"""Which server this is. Clients and tools switch features on by the *protocol's* version, so that
is what INFO, /varz and `-v` report; our own stands beside it.
"""

from __future__ import annotations

NATS_VERSION = "2.15.1"
"""The release of nats-server whose behaviour towards clients we have."""

VERSION = "0.1.0"  # pyproject.toml says the same
