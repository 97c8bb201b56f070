"""Which server this is. Clients and tools switch features on by the *protocol's* version, so that
is what INFO, /varz and `-v` report; our own stands beside it.
"""

from __future__ import annotations

from importlib import metadata

NATS_VERSION = "2.15.1"
"""The release of nats-server whose behaviour towards clients we have."""

try:
    VERSION = metadata.version("slipstream-server")
except metadata.PackageNotFoundError:  # run from a source tree
    VERSION = "0.1.0+source"
