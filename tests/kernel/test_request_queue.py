"""Goal: a flood of requests to Python costs bounded memory, and what was dropped is counted.

Method: a kernel whose events nobody takes, driven by hand; then somebody takes them.
"""

from __future__ import annotations

from slipstream.kernel import Kernel
from slipstream.kernel.events import RequestEvent, RequestQueue, RequestsDroppedEvent

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
    assert dropped == RequestsDroppedEvent(EXTRA, RequestQueue.API_INFO)
    kernel.stop()


API_VERBS = (
    *("STREAM.CREATE.S", "CONSUMER.CREATE.S", "STREAM.MSG.GET.S", "INFO.S", "CONSUMER.DELETE.S.C"),
)
INFO_VERBS = (
    *("INFO", "STREAM.NAMES", "STREAM.LIST", "STREAM.INFO.S"),
    *("CONSUMER.NAMES.S", "CONSUMER.LIST.S", "CONSUMER.INFO.S.C"),
)


def test_each_kind_of_request_has_its_own_queue() -> None:  # S-109
    kernel = Kernel(api_requests_queued=2, api_info_requests_queued=3)
    account = kernel.account(b"$G")
    kernel.serve(account, b"$JS.API.>", 1)
    kernel.serve(account, b"other", 2)
    for number in range(10):
        for verbs in (API_VERBS, INFO_VERBS):
            verb = verbs[number % len(verbs)]
            kernel.publish(account, f"$JS.API.{verb}".encode(), b"", b"", b"%d" % number)
        kernel.publish(account, b"other", b"", b"", b"%d" % number)
    kernel.turn(1, 1)
    taken = [(event.subject, event.body) for event in kernel.wait_events(0)]
    assert sum(subject == b"other" for subject, _ in taken) == 10
    asked = [(subject[8:].decode(), int(body)) for subject, body in taken if subject != b"other"]
    assert sorted(asked) == sorted(
        [(API_VERBS[n], n) for n in range(2)] + [(INFO_VERBS[n], n) for n in range(3)]
    )

    kernel.set_limits(api_requests_queued=1)
    for verb in ("STREAM.CREATE.S", "STREAM.DELETE.S"):
        kernel.publish(account, f"$JS.API.{verb}".encode(), b"", b"", b"")
    kernel.turn(2, 2)
    kernel.wait_events(0)
    kernel.turn(3, 3)
    assert kernel.wait_events(0) == [RequestsDroppedEvent(9, RequestQueue.API)]
    kernel.stop()
