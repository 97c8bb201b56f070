"""Goal: a flood of requests to Python costs bounded memory, and what was dropped is counted.

Method: a kernel whose events nobody takes, driven by hand; then somebody takes them.
"""

from __future__ import annotations

from slipstream.kernel import Kernel
from slipstream.kernel.events import RequestEvent, RequestsDroppedEvent

QUEUED_MAX = 10_000
EXTRA = 7


def test_requests_beyond_the_queue_are_dropped_and_counted() -> None:  # S-109
    kernel = Kernel()
    account = kernel.account(b"$G")
    kernel.serve(account, b"$JS.API.>", 1)
    for _ in range(QUEUED_MAX + EXTRA):
        kernel.publish(account, b"$JS.API.INFO", b"", b"", b"")
    kernel.turn(1, 1)
    taken = kernel.wait_events(0)
    assert len(taken) == QUEUED_MAX
    assert all(isinstance(event, RequestEvent) for event in taken)
    assert kernel.stats().requests_dropped == EXTRA

    kernel.publish(account, b"$JS.API.INFO", b"", b"", b"")  # there is room again
    kernel.turn(2, 2)
    again, dropped = kernel.wait_events(0)
    assert isinstance(again, RequestEvent)
    assert dropped == RequestsDroppedEvent(EXTRA)
    kernel.stop()
