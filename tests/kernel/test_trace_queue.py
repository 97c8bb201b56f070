"""Goal: a trace that nobody takes costs bounded memory, and says what it left out.

Method: a kernel with the trace on whose events nobody takes, while a client publishes more than
may wait; then somebody takes them.
"""

from __future__ import annotations

import socket

from driven_kernel import DrivenKernel
from raw_client import RawClient
from slipstream.kernel import Kernel
from slipstream.kernel.events import ClosedEvent, ConnectEvent, Event, TraceEvent

QUEUED_BYTES_MAX = 16 << 20
BODY = b"x" * (1 << 20)
MESSAGES = 20
ACCEPTED = {
    "verbose": False,
    "pedantic": False,
    "echo": True,
    "headers": True,
    "no_responders": True,
    "protocol": 0,
}


def traced(kernel: Kernel) -> list[TraceEvent]:
    """Everything up to the answer to a PING."""
    taken: list[TraceEvent] = []
    while not taken or taken[-1].line != b"->> [PONG]":
        taken += [event for event in kernel.wait_events(1.0) if isinstance(event, TraceEvent)]
    return taken


def test_lines_beyond_the_queue_are_dropped_and_counted() -> None:
    kernel = Kernel(trace=True)
    kernel.set_info(b"{}")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.setblocking(False)
    kernel.listen(listener.detach())
    kernel.start()
    try:
        with RawClient(port) as client:
            while not any(isinstance(event, ConnectEvent) for event in kernel.wait_events(1.0)):
                pass
            kernel.accept(1, kernel.account(b"$G"), **ACCEPTED)
            for _ in range(MESSAGES):
                client.send(b"PUB a %d\r\n" % len(BODY) + BODY + b"\r\n")
            client.flush()
            kept = traced(kernel)
            messages = [event for event in kept if event.payload]
            assert sum(len(event.payload) for event in messages) <= QUEUED_BYTES_MAX
            assert len(messages) < MESSAGES
            assert sum(event.dropped for event in kept) == MESSAGES - len(messages)
            client.flush()  # there is room again
            assert [(event.line, event.dropped) for event in traced(kernel)] == [
                (b"<<- [PING]", 0),
                (b"->> [PONG]", 0),
            ]
    finally:
        kernel.stop()


def test_a_client_is_gone_behind_its_last_line() -> None:
    """Its name is in the log as long as it is there."""
    with DrivenKernel(trace=True) as driven:
        driven.kernel.serve(driven.account, b"ask", 1)
        client = driven.connect()
        client.send(b"PUB ask 0\r\n\r\n" + b"PING\r\n" * 50)
        client.close()
        taken: list[Event] = []
        while not any(isinstance(event, ClosedEvent) for event in taken):
            driven.now_ns += 1
            driven.kernel.turn(driven.now_ns, driven.now_ns, 1)
            taken += driven.kernel.wait_events(0, 1)
        assert isinstance(taken[-1], ClosedEvent)
        assert sum(isinstance(event, TraceEvent) for event in taken) >= 50
        assert not driven.kernel.wait_events(0)
