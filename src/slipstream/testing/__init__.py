"""Servers for tests: in this process (`server`, and the pytest fixture `slipstream_server`), or as
a process of its own that can be killed (`ServerProcess`).
"""

from slipstream.testing.in_process import EmbeddedServer, server
from slipstream.testing.process import ServerProcess

__all__ = ["EmbeddedServer", "ServerProcess", "server"]
