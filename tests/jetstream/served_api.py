"""The API over a real kernel and a simulated disk, in one process without threads: what a client
sends goes in as the kernel's own messages, what it would get is kept per subject, deliveries of
consumers under "".
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from typing import Any, NamedTuple

from answer_schemas import check_answer
from slipstream.jetstream.api import ClientDescription, JetStreamApi, Options
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.limits import AccountLimits, ServerLimits
from slipstream.jetstream.unexpected import Report, raise_again
from slipstream.kernel import Kernel
from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import RequestEvent
from slipstream.testing.simulated_node import PowerLoss, SimulatedClock

CLIENT_SERVICE = 1000
TURN_NS = 1_000
SETTLE_STEPS_MAX = 20_000
CLIENT = ClientDescription(start_ns=1, host="127.0.0.1", name="test")


class Backup(NamedTuple):
    answer: dict[str, Any]
    archive: bytes
    status: bytes  # the header of the last message


class ServedApi:
    def __init__(
        self,
        disk: SimDisk | None = None,
        clock: SimulatedClock | None = None,
        limits: ServerLimits | None = None,
        account_limits: AccountLimits | None = None,
        max_payload: int = 1 << 20,
        report: Report = raise_again,
        **store: int,
    ) -> None:
        self.disk = disk or SimDisk(1)
        self.clock = clock or SimulatedClock()
        self.kernel = Kernel(seed=7)
        self.kernel.turn(self.clock.now_ns, self.clock.monotonic_ns)
        limits = limits or ServerLimits(max_memory=1 << 40, max_store=1 << 40)
        options = Options("NODE", "2.15.1", limits, max_payload=max_payload)
        ids = IdSource(random.Random(7).getrandbits)
        self.api = JetStreamApi(self.kernel, options, ids, lambda cid: CLIENT, report)
        self.api.add_account("$G", account_limits or AccountLimits())
        self.account = self.kernel.account(b"$G")
        sizes = {"journal_file_bytes": 1 << 20, "journal_bytes_max": 16 << 20} | store
        self.api.recover(self.kernel.open_store(disk=self.disk, threads=False, **sizes))
        self.received: dict[str, list[RequestEvent]] = defaultdict(list)
        self._inboxes = 0

    # -- time

    def turn(self) -> bool:
        """One turn and what follows from it. False: nothing did."""
        self.clock.advance(TURN_NS)
        self.kernel.turn(self.clock.now_ns, self.clock.monotonic_ns)
        events = self.kernel.wait_events(0)
        for event in events:
            if isinstance(event, RequestEvent) and event.service == CLIENT_SERVICE:
                delivery = event.reply.startswith(b"$JS.ACK.")
                self.received["" if delivery else event.subject.decode()].append(event)
            else:
                self.api.handle(event, self.clock.now_ns)
        more = self.api.step(self.clock.now_ns)
        if self.disk.crashed:
            raise PowerLoss
        return bool(events) or more

    def settle(self) -> None:
        idle = 0
        for _ in range(SETTLE_STEPS_MAX):
            idle = 0 if self.turn() else idle + 1
            if idle >= 3:
                self.api.check()
                return
        raise AssertionError("it does not come to rest")

    def pass_time(self, duration_ns: int) -> None:
        self.clock.advance(duration_ns)
        self.settle()

    # -- a client

    def subscribe(self, subject: str) -> None:
        self.kernel.serve(self.account, subject.encode(), CLIENT_SERVICE)

    def unsubscribe(self, subject: str) -> None:
        self.kernel.unserve(self.account, subject.encode())

    def inbox(self) -> str:
        self._inboxes += 1
        subject = f"in.{self._inboxes}"
        self.subscribe(subject)
        return subject

    def send(self, subject: str, body: bytes = b"", reply: str = "", header: bytes = b"") -> None:
        self.kernel.publish(self.account, subject.encode(), reply.encode(), header, body)

    def ask(self, subject: str, body: bytes = b"", header: bytes = b"") -> bytes:
        reply = self.inbox()
        self.send(subject, body, reply, header)
        self.settle()
        answers = self.received.pop(reply, [])
        self.unsubscribe(reply)
        assert len(answers) == 1, (subject, answers)
        check_answer(answers[0].body)
        return answers[0].body

    def request(self, verb: str, body: object = None) -> dict[str, Any]:
        text = b"" if body is None else json.dumps(body).encode()
        answer: dict[str, Any] = json.loads(self.ask(f"$JS.API.{verb}", text))
        return answer

    def ok(self, verb: str, body: object = None) -> dict[str, Any]:
        answer = self.request(verb, body)
        assert "error" not in answer, answer
        return answer

    def error(self, verb: str, body: object = None) -> tuple[int, str]:
        error = self.request(verb, body)["error"]
        return error["err_code"], error["description"]

    def publish(self, subject: str, body: bytes = b"", header: bytes = b"") -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.ask(subject, body, header))
        return answer

    # -- backups

    def backup(self, stream: str, **options: object) -> Backup:
        deliver = self.inbox()
        answer = self.request(f"STREAM.SNAPSHOT.{stream}", {"deliver_subject": deliver} | options)
        archive, status = self.collect(deliver)
        return Backup(answer, archive, status)

    def collect(self, deliver: str) -> tuple[bytes, bytes]:
        """The rest of a backup, every chunk confirmed; then the last message's header."""
        archive = b""
        while True:
            chunks = self.received.pop(deliver, [])
            for chunk in chunks:
                if not chunk.body:
                    self.unsubscribe(deliver)
                    return archive, chunk.header
                archive += chunk.body
                if chunk.reply:
                    self.send(chunk.reply.decode())
            assert chunks, "no chunk came, and no end"
            self.settle()

    def begin_restore(self, config: dict[str, Any], state: dict[str, Any] | None = None) -> str:
        wanted = {"config": config, "state": state or {}}
        subject: str = self.ok(f"STREAM.RESTORE.{config['name']}", wanted)["deliver_subject"]
        return subject

    def restore(
        self,
        config: dict[str, Any],
        archive: bytes,
        chunk_bytes: int = 64 << 10,
        state: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The answer that ends it: to the empty chunk, or an error to one before."""
        subject = self.begin_restore(config, state)
        for start in range(0, len(archive), chunk_bytes):
            answer = self.ask(subject, archive[start : start + chunk_bytes])
            if answer:
                failed: dict[str, Any] = json.loads(answer)
                return failed
        last: dict[str, Any] = json.loads(self.ask(subject))
        return last

    def messages(self, stream: str) -> list[tuple[int, int, bytes, bytes, bytes]]:
        record = next(s for s in self._streams() if s.name == stream)
        found, seq = [], 0
        while (m := self.kernel.get_next(record.id, b">", seq + 1)) is not None:
            found.append((m.seq, m.time_ns, m.subject, m.header, m.body))
            seq = m.seq
        return found

    def stream_names(self) -> list[str]:
        return list(self.ok("STREAM.NAMES")["streams"] or [])

    def _streams(self) -> list[Any]:
        return list(self.api._core.registry.streams.values())
