"""Publishing batches into a simulated node: headers, reply subjects and what is answered."""

from __future__ import annotations

import json
from typing import Any

from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import BatchAbandonedEvent, RequestEvent
from slipstream.kernel.specs import StreamSpec
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    stream_spec,
)

ADVISORY = b"$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED.S"
SETTLE_TURNS = 4  # propose, sync, apply, answer


def header_block(**headers: object) -> bytes:
    """`Nats_Batch_Id="b"` is the header Nats-Batch-Id; those with None are left out."""
    lines = [f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items() if v is not None]
    return b"NATS/1.0\r\n" + "".join(lines).encode() + b"\r\n" if lines else b""


class Publisher:
    """One stream `S` on subjects `s.>` of a node of its own."""

    def __init__(
        self,
        disk: SimDisk | None = None,
        clock: SimulatedClock | None = None,
        sizes: StoreSizes | None = None,
        **spec: Any,
    ) -> None:
        self.sizes = sizes
        self.disk = disk or SimDisk(1)
        self.clock = clock or SimulatedClock()
        self.node = SimulatedNode(self.disk, self.clock, sizes=sizes)
        self.abandoned: list[tuple[bytes, str]] = []
        self.node.kernel.serve(self.node.account, ADVISORY, 2)
        if self.node.recovered:
            self.stream = self.node.recovered[0].stream
        else:
            chosen: StreamSpec = stream_spec(subjects=[b"s.>"], **spec)
            self.stream = self.node.kernel.propose_stream_create(
                self.node.next_number(), self.node.account, b"S", b"{}", chosen
            )
            self.turn()

    def update(self, **spec: Any) -> None:
        changed = stream_spec(subjects=[b"s.>"], **spec)
        number = self.node.next_number()
        self.node.kernel.propose_stream_update(number, self.stream, b"{}", changed)
        self.turn()

    def turn(self, count: int = SETTLE_TURNS) -> None:
        for _ in range(count):
            self.clock.advance(1_000_000)
            self.node.kernel.turn(self.clock.now_ns, self.clock.monotonic_ns)
            for event in self.node.kernel.wait_events(0):
                if isinstance(event, BatchAbandonedEvent):
                    self.abandoned.append((event.batch, event.reason))
                elif isinstance(event, RequestEvent):
                    self.node._take(event)

    def wait(self, seconds: float) -> None:
        self.clock.advance(round(seconds * 1_000_000_000))
        self.turn()

    def ask(self, subject: str, body: bytes = b"", **headers: object) -> Any:
        """The answer: an object, "" for an empty one, None for silence."""
        number = self.node.publish(subject.encode(), body, header_block(**headers))
        self.turn()
        return self.answer(number)

    def answer(self, number: int) -> Any:
        replies = self.node.replies.pop(number, [])
        assert len(replies) <= 1, replies
        if not replies:
            return None
        return json.loads(replies[0].body) if replies[0].body else ""

    def staged(
        self, batch: str, seq: int, subject: str = "s.a", commit: object = None, **headers: object
    ) -> Any:
        return self.ask(
            subject,
            f"{batch} {seq}".encode(),
            Nats_Batch_Id=batch,
            Nats_Batch_Sequence=seq,
            Nats_Batch_Commit=commit,
            **headers,
        )

    def bodies(self) -> list[bytes]:
        return [body for _, _, body in self.messages()]

    def messages(self) -> list[tuple[bytes, bytes, bytes]]:
        """Subject, header, body of all that are there."""
        state = self.node.kernel.stream_state(self.stream)
        found = []
        for seq in range(state.first_seq, state.last_seq + 1):
            if (m := self.node.kernel.get_message(self.stream, seq)) is not None:
                found.append((m.subject, m.header, m.body))
        return found

    def restarted(self) -> Publisher:
        """After a clean stop."""
        self.node.stop()
        return Publisher(self.disk, self.clock, self.sizes)


def error(answer: Any) -> int:
    assert "error" in answer, answer
    code: int = answer["error"]["err_code"]
    return code
