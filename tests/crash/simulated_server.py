"""The JetStream API over the kernel, on a simulated disk and clock: a server without sockets whose
hours pass in milliseconds.
"""

from __future__ import annotations

import json
import random
from typing import Any

from slipstream.jetstream.api import ClientDescription, JetStreamApi, Options
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.limits import AccountLimits, ServerLimits
from slipstream.kernel import Kernel
from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import RequestEvent
from slipstream.kernel.values import StoredMessage
from slipstream.testing.simulated_node import SimulatedClock

MS, SECOND = 1_000_000, 1_000_000_000
INBOX = b"_SIM."
_REPLIES = 99
_QUIET_TURNS = 3
_TURNS_MAX = 10_000
_STEP_NS = 50 * MS  # of passing time
_CLIENT = ClientDescription(start_ns=0, host="127.0.0.1")


class SimulatedServer:
    """Opening recovers what is on the disk."""

    def __init__(self, disk: SimDisk, clock: SimulatedClock, domain: str = "") -> None:
        self.disk = disk
        self.clock = clock
        self.kernel = Kernel(seed=1)
        self.kernel.set_domain(domain.encode())
        self.kernel.turn(clock.now_ns, clock.monotonic_ns)
        records = self.kernel.open_store(disk=disk, threads=False)
        ids = IdSource(random.Random(1).getrandbits)
        options = Options("SIM", "2.15.1", ServerLimits(2**40, 2**40), domain=domain)
        self.api = JetStreamApi(self.kernel, options, ids, lambda cid: _CLIENT)
        self.account = self.kernel.account(b"$G")
        self.api.add_account("$G", AccountLimits())
        self.kernel.serve(self.account, INBOX + b">", _REPLIES)
        self.api.recover(records)
        self.received: list[RequestEvent] = []
        self._requests = 0

    def stop(self) -> None:
        self.kernel.stop()

    # -- time

    def settle(self) -> None:
        """Turns until nothing moves; time stands nearly still."""
        quiet = 0
        for _ in range(_TURNS_MAX):
            quiet = 0 if self._turn(1_000) else quiet + 1
            if quiet == _QUIET_TURNS:
                self.api.check()
                return
        raise AssertionError("it never comes to rest")

    def after(self, duration_ns: int) -> None:
        """Lets time pass."""
        end_ns = self.clock.now_ns + duration_ns
        while self.clock.now_ns < end_ns:
            self._turn(_STEP_NS)
            self.settle()

    def _turn(self, duration_ns: int) -> bool:
        self.clock.advance(duration_ns)
        before = self.kernel.store_stats().syncs
        self.kernel.turn(self.clock.now_ns, self.clock.monotonic_ns)
        events = self.kernel.wait_events(0)
        for event in events:
            if isinstance(event, RequestEvent) and event.service == _REPLIES:
                self.received.append(event)
            else:
                self.api.handle(event, self.clock.now_ns)
        while self.api.step(self.clock.now_ns):
            pass
        return bool(events) or self.kernel.store_stats().syncs != before

    def kernel_turns(self, count: int = 3) -> None:
        """The API sleeps meanwhile."""
        for _ in range(count):
            self.clock.advance(1_000)
            self.kernel.turn(self.clock.now_ns, self.clock.monotonic_ns)

    # -- clients

    def send(self, subject: str, body: bytes = b"", header: bytes = b"") -> bytes:
        """Returns the reply subject."""
        self._requests += 1
        reply = INBOX + str(self._requests).encode()
        self.kernel.publish(self.account, subject.encode(), reply, header, body)
        return reply

    def request(self, verb: str, body: object = None) -> Any:
        reply = self.send(f"$JS.API.{verb}", b"" if body is None else json.dumps(body).encode())
        self.settle()
        (answer,) = [event.body for event in self.received if event.subject == reply]
        return json.loads(answer)

    def ok(self, verb: str, body: object = None) -> Any:
        answer = self.request(verb, body)
        assert "error" not in answer, (verb, answer)
        return answer

    def stream(self, name: str, **fields: object) -> None:
        self.ok(f"STREAM.CREATE.{name}", {"name": name} | fields)

    def update(self, name: str, **fields: object) -> None:
        self.ok(f"STREAM.UPDATE.{name}", {"name": name} | fields)

    def store(self, subject: str, *bodies: bytes, header: bytes = b"") -> None:
        for body in bodies:
            self.send(subject, body, header)
        self.settle()

    def info(self, name: str) -> Any:
        return self.ok(f"STREAM.INFO.{name}")

    def state(self, name: str) -> Any:
        return self.info(name)["state"]

    # -- what is there

    def stream_id(self, name: str) -> int:
        return self.api._core.registry.accounts[self.account].streams[name].id

    def content(self, name: str) -> list[StoredMessage]:
        stream = self.stream_id(name)
        found, seq = [], 1
        while (message := self.kernel.get_next(stream, b"", seq)) is not None:
            found.append(message)
            seq = message.seq + 1
        return found

    def bodies(self, name: str) -> list[bytes]:
        return [message.body for message in self.content(name)]
