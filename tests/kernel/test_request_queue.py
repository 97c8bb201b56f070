"""Goal: a flood of requests or advisories to Python costs bounded memory, and what was dropped is
counted.

Method: a kernel whose events nobody takes, driven by hand; then somebody takes them.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from driven_kernel import SECOND_NS, START_NS, DrivenKernel
from slipstream.kernel import Kernel
from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import (
    AdvisoryEvent,
    ClosedEvent,
    ConnectEvent,
    InactiveEvent,
    RequestEvent,
    RequestQueue,
    RequestsDroppedEvent,
)
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

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
    dropped, again = kernel.wait_events(0)
    assert isinstance(again, RequestEvent)
    assert dropped == RequestsDroppedEvent(EXTRA, RequestQueue.API_INFO)
    kernel.stop()


def test_a_flood_neither_delays_nor_displaces_the_requests_of_others() -> None:
    with DrivenKernel() as driven:
        kernel = driven.kernel
        kernel.serve(driven.account, b"$JS.API.>", 1)
        flooder, other = driven.connect(), driven.connect()
        flood = b"".join(
            b"PUB $JS.API.INFO 5\r\n%05d\r\n" % number for number in range(QUEUED_MAX + EXTRA)
        )
        _send(kernel, flooder, flood, QUEUED_MAX + EXTRA)
        both = b"PUB $JS.API.INFO 5\r\nfirst\r\nPUB $JS.API.INFO 6\r\nsecond\r\n"
        _send(kernel, other, both, QUEUED_MAX + EXTRA + 2)
        other.close()
        while kernel.turn(driven.now_ns, driven.now_ns, 10) == 0:
            pass
        assert kernel.stats().requests_dropped == EXTRA + 2  # the newest of the flood

        taken = [
            event.body for event in kernel.wait_events(0, 3) if isinstance(event, RequestEvent)
        ]
        assert taken == [b"00000", b"first", b"00001"]
        second, closed, *rest = kernel.wait_events(0)
        assert isinstance(second, RequestEvent)
        assert second.body == b"second"
        assert isinstance(closed, ClosedEvent)  # behind what it had asked for
        assert [event.body for event in rest] == [b"%05d" % n for n in range(2, QUEUED_MAX - 2)]


LARGE_BYTES = 100_000


def test_what_costs_little_passes_what_costs_much() -> None:
    """However many clients send large requests: a small one waits for those alone that were taken
    before it came.
    """
    with DrivenKernel() as driven:
        kernel = driven.kernel
        kernel.serve(driven.account, b"ask", 1)
        large = b"PUB ask %d\r\n%b\r\n" % (LARGE_BYTES, b"x" * LARGE_BYTES)
        senders = [driven.connect() for _ in range(5)]
        other = driven.connect()
        for number, client in enumerate(senders, 1):
            _send(kernel, client, 2 * large, 2 * number)
        assert _taken_bytes(kernel, 1) == [LARGE_BYTES]
        _send(kernel, other, 3 * b"PUB ask 1\r\ny\r\n", 13)
        assert _taken_bytes(kernel, 4) == [1, 1, 1, LARGE_BYTES]
        assert _taken_bytes(kernel, 100) == [LARGE_BYTES] * 8  # they get their turn, all of them


def _taken_bytes(kernel: Kernel, requests: int) -> list[int]:
    taken = kernel.wait_events(0, requests)
    return [len(event.body) for event in taken if isinstance(event, RequestEvent)]


EVENTS_PER_REQUEST = 4


def test_a_round_has_few_events_and_keeps_their_order() -> None:
    """Connects, commits and the like, of which a slow disk or a storm brings thousands at once."""
    with DrivenKernel() as driven:
        kernel = driven.kernel
        clients = [driven.connect() for _ in range(10)]
        for client in clients:
            client.close()
        closed: list[int] = []
        while len(closed) < len(clients):
            kernel.turn(driven.now_ns, driven.now_ns, 10)
            taken = kernel.wait_events(0, 1)
            assert len(taken) <= EVENTS_PER_REQUEST
            closed += [event.cid for event in taken if isinstance(event, ClosedEvent)]
        assert sorted(closed) == list(range(1, 11))
        assert kernel.wait_events(0, 1) == []


def _send(kernel: Kernel, client: socket.socket, sent: bytes, messages: int) -> None:
    """Turns until the server has had `messages` of all clients."""
    client.setblocking(False)
    while kernel.stats().in_msgs < messages:
        with suppress(BlockingIOError):
            sent = sent[client.send(sent) :] if sent else sent
        kernel.turn(START_NS, START_NS, 10)


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


BYTES_QUEUED_MAX = 64 << 20


def test_large_requests_are_bounded_by_their_bytes() -> None:
    kernel = Kernel()
    account = kernel.account(b"$G")
    kernel.serve(account, b"big", 1)
    body = b"x" * (1 << 20)
    for _ in range(100):
        kernel.publish(account, b"big", b"", b"", body)
    kernel.turn(1, 1)
    taken = kernel.wait_events(0)
    assert sum(len(event.body) for event in taken) <= BYTES_QUEUED_MAX
    assert len(taken) + kernel.stats().requests_dropped == 100

    for _ in range(20):  # what was taken has made room
        kernel.publish(account, b"big", b"", b"", body)
    kernel.turn(2, 2)
    again = kernel.wait_events(0)
    assert again.pop(0) == RequestsDroppedEvent(100 - len(taken), RequestQueue.OTHER)
    assert len(again) == 20
    kernel.stop()


def test_advisories_beyond_the_queue_are_dropped_and_counted() -> None:
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    kernel = node.kernel
    kernel.serve(node.account, b"$JS.EVENT.ADVISORY.>", 7)  # somebody listens
    spec = stream_spec(subjects=[b"s"])
    stream = node.commit(
        lambda token: kernel.propose_stream_create(token, node.account, b"S", b"S", spec)
    )
    node.commit(
        lambda token: kernel.propose_consumer_create(token, stream, b"C", b"C", consumer_spec())
    )
    kernel.start_consumer(stream, node.consumer_ids(stream)[b"C"])
    node.publish(b"s", b"x")
    for _ in range(10):
        node.turn()
    node.pull("S", "C", 1)
    for _ in range(10):
        node.turn()
    (delivery,) = node.deliveries
    for _ in range(QUEUED_MAX + EXTRA):
        node.acknowledge(delivery.ack_subject, b"-NAK", confirm=False)
    advisories = [e for e in node.step(1) if isinstance(e, AdvisoryEvent)]
    assert len(advisories) == QUEUED_MAX
    assert kernel.stats().advisories_dropped == EXTRA
    node.acknowledge(delivery.ack_subject, b"-NAK", confirm=False)
    events = node.step(1) + node.step(1)
    assert RequestsDroppedEvent(EXTRA, RequestQueue.ADVISORIES) in events
    assert [e.kind for e in events if isinstance(e, AdvisoryEvent)] == ["nak"]
    node.stop()


def test_advisories_are_bounded_by_their_bytes() -> None:
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    kernel = node.kernel
    kernel.serve(node.account, b"$JS.EVENT.ADVISORY.>", 7)
    spec = stream_spec(subjects=[b"s"])
    stream = node.commit(
        lambda token: kernel.propose_stream_create(token, node.account, b"S", b"S", spec)
    )
    node.commit(
        lambda token: kernel.propose_consumer_create(token, stream, b"C", b"C", consumer_spec())
    )
    reason = b"+TERM " + b"y" * 1_000_000
    for _ in range(100):
        node.acknowledge(b"$JS.ACK.S.C.1.1.1.1.0", reason, confirm=False)
    advisories = [e for e in node.step(1) if isinstance(e, AdvisoryEvent)]
    assert 0 < sum(len(e.reason) for e in advisories) <= BYTES_QUEUED_MAX
    assert len(advisories) + kernel.stats().advisories_dropped == 100
    node.stop()


def test_a_connect_does_not_wait_for_inactive_consumers() -> None:
    count = 50
    with DrivenKernel() as driven:
        kernel = driven.kernel
        kernel.open_store(disk=SimDisk(1), threads=False)
        stream = kernel.propose_stream_create(1, driven.account, b"S", b"{}", stream_spec())
        driven.turn()
        spec = consumer_spec(inactive_threshold_ns=SECOND_NS)
        for number in range(count):
            name = b"C%d" % number
            consumer = kernel.propose_consumer_create(2, stream, name, b"{}", spec)
            driven.turn()
            kernel.start_consumer(stream, consumer)
        driven.turn()
        client = socket.create_connection(("127.0.0.1", driven.port))
        client.send(b"CONNECT {}\r\n")
        driven.now_ns += 2 * SECOND_NS
        inactive = connects = 0
        while not connects:
            kernel.turn(driven.now_ns, driven.now_ns, 1)
            events = kernel.wait_events(0, 1)
            inactive += sum(isinstance(event, InactiveEvent) for event in events)
            connects += sum(isinstance(event, ConnectEvent) for event in events)
        client.close()
        assert inactive < count // 2
        while inactive < count:
            events = kernel.wait_events(0, 1)
            found = sum(isinstance(event, InactiveEvent) for event in events)
            assert found == 1
            inactive += found
