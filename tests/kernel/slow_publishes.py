"""A kernel with its own thread, and a client whose publishes take long: it subscribes with every
mixture of a literal and `*` over some tokens, and each publish walks all of them.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from driven_kernel import ACCEPTED
from raw_client import RawClient
from slipstream.kernel import Kernel
from slipstream.kernel.events import ConnectEvent

TOKENS = 13


@contextmanager
def running_kernel() -> Iterator[tuple[Kernel, int]]:
    """And its port."""
    kernel = Kernel(ping_interval_ns=1 << 62)
    kernel.set_info(b"{}")
    account = kernel.account(b"$G")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.setblocking(False)
    kernel.listen(listener.detach())
    stopping = threading.Event()

    def accept() -> None:
        while not stopping.is_set():
            for event in kernel.wait_events(1.0):
                if isinstance(event, ConnectEvent):
                    kernel.accept(event.cid, account, **ACCEPTED)

    accepting = threading.Thread(target=accept)
    accepting.start()
    kernel.start()
    try:
        yield kernel, port
    finally:
        stopping.set()
        kernel.wake()
        accepting.join()
        kernel.stop()


class SlowPublishes:
    def __init__(self, client: RawClient) -> None:
        """Subscribes."""
        self._client = client
        self._next = 0
        for kind in range(1 << TOKENS):
            tokens = [b"*" if kind >> place & 1 else b"a" for place in range(TOKENS)]
            client.send(b"SUB %b.never %d\r\n" % (b".".join(tokens), kind))
        client.flush()

    def text(self, count: int) -> bytes:
        """Publishes, each on a subject of its own: no result of a match is there from before."""
        subject = b".".join([b"a"] * TOKENS)
        first, self._next = self._next, self._next + count
        return b"".join(b"PUB %b.%d 0\r\n\r\n" % (subject, n) for n in range(first, self._next))
