"""Servers for tests: in this process (`server`, and the pytest fixture `slipstream_server`), or as
a process of its own that can be killed (`ServerProcess`).

in_process.py, process.py   these two; fixture.py: the fixture
simulated_node.py   one node without sockets, threads or a clock of its own, over a simulated disk
twin.py             a second replica of what such a node keeps
model/              what a stream and its consumers have to do, in the plainest Python
"""

from slipstream.testing.in_process import EmbeddedServer, server
from slipstream.testing.process import ServerProcess

__all__ = ["EmbeddedServer", "ServerProcess", "server"]
