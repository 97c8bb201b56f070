"""Goal: a burst of one client does not make the others wait, and loses nothing for being cut up.

Method: a burst that means hundreds of thousands of deliveries arrives in few reads; the kernel must
spread it over several turns (counted, not timed) and still deliver everything in order.
"""

from __future__ import annotations

from raw_client import RawClient, bodies
from slipstream.testing import server

SUBSCRIBERS = 40
MESSAGES = 4000
DELIVERIES_PER_TURN = 32768  # kDeliveriesPerTurn


def test_a_burst_is_spread_over_turns():
    with server() as running:
        kernel = running.server.kernel
        clients = [RawClient(running.port) for _ in range(SUBSCRIBERS)]
        for client in clients:
            client.send(b"SUB burst 1\r\n")
            client.flush()
        with RawClient(running.port) as publisher:
            publisher.flush()
            turns = kernel.stats().turns
            burst = b"".join(b"PUB burst 4\r\n%04d\r\n" % i for i in range(MESSAGES))
            publisher.send(burst + b"SUB end 9\r\nPUB end 1\r\nx\r\n")
            assert bodies(publisher.flush()) == [(b"9", b"x")]
            spread = kernel.stats().turns - turns
        assert spread >= SUBSCRIBERS * MESSAGES // DELIVERIES_PER_TURN
        expected = [(b"1", b"%04d" % i) for i in range(MESSAGES)]
        for client in clients:
            assert bodies(client.flush()) == expected
            client.socket.close()
