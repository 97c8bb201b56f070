"""The lines that --trace writes for what clients send and get (K-301), in nats-server's form."""

from __future__ import annotations

from collections.abc import Iterator

from slipstream.gotext.quoting import escaped, one_line
from slipstream.kernel.events import TraceEvent
from slipstream.server.clients import Client, label
from slipstream.server.log import Log


def log_trace(event: TraceEvent, client: Client | None, log: Log) -> None:
    if event.dropped:
        log.warn(f"{event.dropped} lines of the trace were dropped: they come too fast for the log")
    name = label(event.cid, event.ip, event.port, client)
    for line in _lines(event):
        log.trace(f"{name} - {line}")


def _lines(event: TraceEvent) -> Iterator[str]:
    line = one_line(event.line.decode("utf-8", "backslashreplace"))
    yield line
    if event.payload:
        direction, _, _ = line.partition(" ")
        rest = "..." if event.is_cut else ""
        yield f'{direction} MSG_PAYLOAD: ["{escaped(event.payload)}{rest}"]'
