"""Goal: a trace that nobody takes costs bounded memory, and says what it left out.

Method: a kernel with the trace on whose events nobody takes, while a client publishes more than
may wait; then somebody takes them.
"""

from __future__ import annotations

import socket

from raw_client import RawClient
from slipstream.kernel import Kernel
from slipstream.kernel.events import ConnectEvent, TraceEvent

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
