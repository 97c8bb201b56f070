"""What the monitoring pages show, part by part."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from slipstream.kernel import Kernel
from slipstream.server.client_port import ClientPort
from slipstream.server.clients import Clients
from slipstream.server.error_guard import ErrorGuard
from slipstream.server.health import Health
from slipstream.server.identity import Identity
from slipstream.server.jetstream import JetStreamService
from slipstream.server.lame_duck import LameDuck
from slipstream.server.log import Log
from slipstream.server.loop import Loop
from slipstream.server.process_usage import ProcessorTime
from slipstream.server.running_options import RunningOptions


@dataclass(frozen=True, slots=True)
class Monitored:
    identity: Identity
    options: RunningOptions
    health: Health
    kernel: Kernel
    accounts: dict[int, str]
    """Names by the kernel's numbers."""
    clients: Clients
    port: ClientPort
    loop: Loop
    lame_duck: LameDuck
    guard: ErrorGuard
    log: Log
    processor_time: ProcessorTime
    jetstream: Callable[[], JetStreamService | None]
    """None before it is opened, and where it is not enabled."""
    requests: Counter[str] = field(default_factory=Counter)
    """Of this port, by page."""
