"""What Python remembers of clients beside the kernel's counters: who they are, and the last ones
that left (for /connz).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from slipstream.gotext.quoting import quote
from slipstream.kernel.events import ClosedEvent
from slipstream.server.authentication import Connect, Identity


@dataclass(frozen=True, slots=True)
class Client:
    """A client whose CONNECT was accepted."""

    cid: int
    ip: str
    port: int
    connect: Connect
    identity: Identity
    connected_ns: int

    def label(self) -> str:
        return label(self.cid, self.ip, self.port, self)


@dataclass(frozen=True, slots=True)
class ClosedClient:
    event: ClosedEvent
    client: Client | None  # None: it never got through CONNECT


class Clients:
    """Written by the server's loop; monitoring reads it from other threads, each time through one
    atomic call.
    """

    def __init__(self, closed_max: int) -> None:
        self._open: dict[int, Client] = {}
        self._closed: deque[ClosedClient] = deque(maxlen=closed_max)

    def add(self, client: Client) -> None:
        self._open[client.cid] = client

    def get(self, cid: int) -> Client | None:
        return self._open.get(cid)

    def close(self, event: ClosedEvent) -> Client | None:
        """Moves a client to those that left; None when it never got through CONNECT."""
        client = self._open.pop(event.cid, None)
        self._closed.append(ClosedClient(event, client))
        return client

    def all(self) -> list[Client]:
        return list(self._open.values())

    def closed(self) -> list[ClosedClient]:
        """Oldest first."""
        return list(self._closed)

    def __len__(self) -> int:
        return len(self._open)


def label(cid: int, ip: str, port: int, client: Client | None = None) -> str:
    """How log lines begin that are about a client: `127.0.0.1:5000 - cid:7 - "v1:go:app" -
    "$G/user:a"`.
    """
    host = f"[{ip}]" if ":" in ip else ip
    parts = [f"{host}:{port}", f"cid:{cid}"]
    if client is not None:
        connect, identity = client.connect, client.identity
        version = f"v{connect.version}" if connect.version else ""
        program = ":".join(filter(None, (version, connect.lang, connect.name)))
        if program:
            parts.append(quote(program))
        if identity.kind == "token":
            parts.append('"$G/token"')
        elif identity.user:
            parts.append(quote(f"$G/user:{identity.user}"))
    return " - ".join(parts)
