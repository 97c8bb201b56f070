"""Batches as a ledger notes them: what their publisher was promised, message by message.

An atomic batch is one operation of its stream's log, which its commit makes; a fast batch is as
many as it has messages. What the store turned away of a batch is struck out of the log that the
ledger keeps, from its first refused message on: recovery must not find it, and the sequences behind
it must fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ledger import FAILED, TURNED_AWAY, Ledger
from log_operations import Nothing, Publish, PublishBatch, Stored
from slipstream.kernel.events import RequestEvent
from slipstream.testing.model import Message
from slipstream.testing.simulated_node import INBOX, TURN_NS

START, APPEND, COMMIT, COMMIT_END = range(4)
FLOW = 2  # messages between two acknowledgements
NOT_FOUND = 10208  # of a fast batch that has ended


def says(answer: RequestEvent, texts: Sequence[bytes]) -> bool:
    return any(text in answer.body for text in texts)


class AtomicBatch:
    """All messages are sent at once; every one has an answer, the last one that of the commit."""

    def __init__(self, ledger: Ledger, name: str, contents: Sequence[tuple[bytes, bytes]]) -> None:
        """`contents`: subject and body of each message."""
        self.stream = ledger.stream(name)
        self.number, node = ledger.node.next_number(), ledger.node
        self.refused = self.done = False
        ledger.batches[self.number] = self
        messages = []
        for i, (subject, body) in enumerate(contents, 1):
            commit = "Nats-Batch-Commit: 1\r\n" if i == len(contents) else ""
            lines = f"Nats-Batch-Id: {self.number}\r\nNats-Batch-Sequence: {i}\r\n{commit}"
            header = f"NATS/1.0\r\n{lines}\r\n".encode()
            messages.append(Message(subject, header, body, node.clock.now_ns))
            reply = INBOX + b"%d.%d" % (self.number, i)
            node.kernel.publish(node.account, subject, reply, header, body)
        self.last_reply = reply
        # The commit is proposed before the turn, behind what was published before.
        operation = PublishBatch(tuple(messages))

        def enter() -> None:
            self.position = self.stream.note(operation)

        ledger.queued.append(enter)

    def take(self, answers: Sequence[RequestEvent]) -> list[Callable[[], None]]:
        confirm: list[Callable[[], None]] = []
        for answer in answers:
            if answer.header.startswith(b"NATS/1.0 503") or self.done:
                continue
            if answer.subject == self.last_reply:
                confirm += self.end(answer)
            elif answer.body:
                assert says(answer, TURNED_AWAY + FAILED), answer.body
                self.refused = True
        return confirm

    def end(self, answer: RequestEvent) -> list[Callable[[], None]]:
        self.done = True
        if says(answer, FAILED):
            return []
        decoded = json.loads(answer.body)
        if "error" in decoded:
            assert self.refused or says(answer, TURNED_AWAY), decoded
            self.stream.strike_out(self.position)
            return []
        assert not self.refused
        return [lambda: self.stored(decoded)]

    def stored(self, decoded: dict[str, Any]) -> None:
        self.stream.committed = max(self.stream.committed, self.position + 1)
        expected = self.stream.verdicts[self.position]
        assert Stored(decoded["seq"], duplicate=False) == expected, (decoded, expected)
        operation = self.stream.operations[self.position]
        assert isinstance(operation, PublishBatch)
        assert decoded["count"] == len(operation.messages)


class FastBatch:
    """Without gaps; an acknowledgement every `FLOW` messages and one at the end."""

    def __init__(self, ledger: Ledger, name: str) -> None:
        self.ledger, self.stream = ledger, ledger.stream(name)
        self.number = ledger.node.next_number()
        self.positions: list[int] = []  # in the log, by sequence in the batch
        self.ended = False
        self.sent = 0
        ledger.batches[self.number] = self

    def send(self, subject: bytes, body: bytes, *, last: bool = False) -> None:
        if not self.stream.created:
            return
        self.sent += 1
        node = self.ledger.node
        step = COMMIT if last else START if self.sent == 1 else APPEND
        reply = INBOX + b"%d.%d.fail.%d.%d.$FI" % (self.number, FLOW, self.sent, step)
        node.kernel.publish(node.account, subject, reply, b"", body)

        def enter() -> None:
            if self.ended:
                self.positions.append(self.stream.note(Nothing()))
                return
            # The turn stamps its messages with its own time.
            message = Message(subject, b"", body, node.clock.now_ns + TURN_NS)
            self.positions.append(self.stream.note(Publish(message)))

        self.ledger.queued.append(enter)

    def take(self, answers: Sequence[RequestEvent]) -> list[Callable[[], None]]:
        confirm: list[Callable[[], None]] = []
        for answer in answers:
            seq = int(answer.subject.split(b".")[4])
            if answer.header.startswith(b"NATS/1.0 503"):  # nobody took it
                self.over_behind(seq - 1)
                continue
            if says(answer, FAILED):
                self.ended = True  # what became of the rest of it is not known
                continue
            decoded = json.loads(answer.body)
            if decoded.get("type") == "ack":
                self.stored(decoded["seq"])
            elif decoded.get("type") == "err":
                assert says(answer, TURNED_AWAY), decoded
                self.over_behind(decoded["seq"] - 1)
            elif "error" in decoded:  # not taken in, or the batch was over
                assert says(answer, TURNED_AWAY) or decoded["error"]["err_code"] == NOT_FOUND
                self.over_behind(seq - 1)
            elif decoded.get("type") != "gap":
                confirm.append(self.end(decoded["seq"], decoded["count"]))
        return confirm

    def stored(self, count: int) -> None:
        if count:
            self.stream.committed = max(self.stream.committed, self.positions[count - 1] + 1)

    def over_behind(self, count: int) -> None:
        self.ended = True
        for position in self.positions[count:]:
            if not isinstance(self.stream.operations[position], Nothing):
                self.stream.strike_out(position)
        self.ledger.turned_away += 1

    def end(self, seq: int, count: int) -> Callable[[], None]:
        if count < self.sent:
            self.over_behind(count)
        self.ended = True
        self.stored(count)

        def confirm() -> None:
            expected = self.stream.verdicts[self.positions[count - 1]]
            assert Stored(seq, duplicate=False) == expected, (seq, count, expected)

        return confirm
