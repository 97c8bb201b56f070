"""Goal: clients that do not read, each within max_pending, do not take all memory together.

Method: a kernel with a bound for all, driven by hand; subscribers that do not read get different
amounts, until the sum passes the bound.
"""

from __future__ import annotations

from driven_kernel import DrivenKernel
from slipstream.kernel.events import ClosedEvent

TOTAL_MAX = 16 << 20
BODY = b"x" * 500_000


def test_the_slowest_goes_when_all_together_hold_too_much() -> None:
    with DrivenKernel(max_pending=64 << 20, pending_total_max=TOTAL_MAX) as driven:
        kernel = driven.kernel
        slow = [driven.connect(receive_buffer_bytes=4096) for _ in range(4)]
        ports = [client.getsockname()[1] for client in slow]
        reader = driven.connect()
        for number, client in enumerate([*slow, reader]):
            client.send(b"SUB s.%d 1\r\nSUB all 2\r\n" % number)
        driven.turns_until(
            lambda: all(row.subscriptions == 2 for row in kernel.connections()), "the subscriptions"
        )

        def publish(subject: bytes) -> None:
            kernel.publish(driven.account, subject, b"", b"", BODY)
            driven.turn()
            driven.read(reader, 1 << 22)

        for _ in range(16):
            publish(b"s.2")  # this one is the slowest
        for _ in range(60):
            publish(b"all")
            assert (
                sum(row.pending_bytes for row in kernel.connections()) <= TOTAL_MAX + len(BODY) * 5
            )
        assert set(driven.closed.values()) == {"Slow Consumer (Pending Bytes)"}
        first = next(event for event in driven.events if isinstance(event, ClosedEvent))
        assert first.port == ports[2]
        assert len(driven.closed) < 5, "who reads stays"
        assert kernel.stats().slow_consumers == len(driven.closed)
