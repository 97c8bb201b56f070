"""Goal: commands that take long, because a client has prepared subscriptions that make them so, do
not keep others from their turn.

Method: a kernel with its own thread. A client subscribes with every mixture of a literal and `*`
over some tokens, so that each of its publishes walks all of them, and sends many at once with a
PING behind them. Another client's PING is answered before that one.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator

import pytest

from driven_kernel import ACCEPTED
from raw_client import RawClient
from slipstream.kernel import Kernel
from slipstream.kernel.events import ConnectEvent

TOKENS = 13
PUBLISHES = 1500  # all in one read


@pytest.fixture
def port() -> Iterator[int]:
    kernel = Kernel(ping_interval_ns=1 << 62)
    kernel.set_info(b"{}")
    account = kernel.account(b"$G")
    listener = socket.create_server(("127.0.0.1", 0))
    number = listener.getsockname()[1]
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
    yield number
    stopping.set()
    kernel.wake()
    accepting.join()
    kernel.stop()


def test_slow_publishes_leave_others_their_turn(port: int) -> None:
    with RawClient(port) as hostile, RawClient(port) as other:
        for kind in range(1 << TOKENS):
            tokens = [b"*" if kind >> place & 1 else b"a" for place in range(TOKENS)]
            hostile.send(b"SUB %b.never %d\r\n" % (b".".join(tokens), kind))
        hostile.flush()
        other.flush()
        subject = b".".join([b"a"] * TOKENS)
        slow = b"".join(b"PUB %b.%d 0\r\n\r\n" % (subject, number) for number in range(PUBLISHES))
        hostile.send(slow + b"PING\r\n")
        other.flush()
        assert not select.select([hostile.socket], [], [], 0)[0], "the other one was served last"
        hostile.until(b"PONG\r\n")
