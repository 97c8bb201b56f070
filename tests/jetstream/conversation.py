"""One client's conversation with the API over the fake kernel."""

from __future__ import annotations

import json
import random
from typing import Any

from answer_schemas import check_answer
from fake_kernel import FakeKernel
from slipstream.jetstream.api import JETSTREAM_SERVICE, ClientDescription, JetStreamApi, Options
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.limits import AccountLimits, ServerLimits
from slipstream.jetstream.unexpected import Report, raise_again
from slipstream.kernel.events import RequestEvent

NOW_NS = 1_790_000_000_123_456_789
CLIENT = ClientDescription(
    start_ns=NOW_NS, host="127.0.0.1", name="differential", lang="python", version="0", rtt_ns=1
)
LIMITS = ServerLimits(max_memory=2**40, max_store=2**40)


class Conversation:
    """Requests are answered at once: commits are fed back and long answers driven to their end."""

    def __init__(
        self,
        kernel: FakeKernel | None = None,
        account_limits: AccountLimits | None = None,
        server_limits: ServerLimits = LIMITS,
        server_version: str = "2.15.1",
        report: Report = raise_again,
    ) -> None:
        self.kernel = kernel or FakeKernel(NOW_NS)
        options = Options("ORACLE", server_version, server_limits)
        ids = IdSource(random.Random(7).getrandbits)
        self.api = JetStreamApi(self.kernel, options, ids, lambda cid: CLIENT, report)
        self.api.add_account("$G", account_limits or AccountLimits())
        self.api.recover(self.kernel.records())

    def send(self, verb: str, body: bytes = b"", header: bytes = b"", *, cid: int = 3) -> None:
        """A request whose commit, if it needs one, waits for `settle`."""
        account = self.kernel.account(b"$G")
        subject = f"$JS.API.{verb}".encode()
        event = RequestEvent(JETSTREAM_SERVICE, account, cid, subject, b"_INBOX.1", header, body)
        self.kernel.now_ns += 1_001
        self.api.handle(event, self.kernel.now_ns)

    def settle(self) -> None:
        for event in self.kernel.take_events():
            self.api.handle(event, self.kernel.now_ns)
        while self.api.step(self.kernel.now_ns):
            self.api.check()
        self.api.check()

    def request_raw(self, verb: str, body: bytes = b"", header: bytes = b"") -> bytes | None:
        """The answer's header and body, or None for silence."""
        self.send(verb, body, header)
        self.settle()
        answers = [p for p in self.kernel.take_published() if p.subject == b"_INBOX.1"]
        assert len(answers) <= 1, answers
        return answers[0].header + answers[0].body if answers else None

    def request(self, verb: str, body: object = None, header: bytes = b"") -> Any:
        text = b"" if body is None else json.dumps(body).encode()
        answer = self.request_raw(verb, text, header)
        assert answer is not None, f"{verb} was not answered"
        check_answer(answer)
        return json.loads(answer)

    def ok(self, verb: str, body: object = None) -> Any:
        answer = self.request(verb, body)
        assert "error" not in answer, answer
        return answer

    def error(self, verb: str, body: object = None, header: bytes = b"") -> tuple[int, str]:
        answer = self.request(verb, body, header)
        return answer["error"]["err_code"], answer["error"]["description"]

    def publish(self, subject: str, body: bytes = b"", header: bytes = b"") -> None:
        self.kernel.now_ns += 1_001
        assert self.kernel.store(subject.encode(), header, body) is not None
