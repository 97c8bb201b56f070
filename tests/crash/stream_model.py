"""What a stream must be after a number of entries of its log: a specification of thirty lines per
rule, nothing remembered but the result.

The kernel promises that recovery finds a *prefix* of each stream's log, at least as long as
everything that was acknowledged. So the tests keep the operations in order, make the state after
each of them here, and look for the recovered state among these. Time enters through the
operations alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from slipstream.kernel.specs import ConsumerSpec, StreamSpec


class Message(NamedTuple):
    subject: bytes
    header: bytes
    body: bytes
    time_ns: int

    @property
    def content(self) -> tuple[bytes, bytes, bytes]:
        return self.subject, self.header, self.body

    @property
    def stored_bytes(self) -> int:  # S-150, of a file stream
        header = 4 + len(self.header) if self.header else 0
        return 22 + len(self.subject) + header + len(self.body) + 8


# -- operations, one class per kind of entry


class Publish(NamedTuple):
    message: Message
    message_id: str = ""
    expected_last_seq: int = -1


class Purge(NamedTuple):
    subject: bytes = b""  # a literal; empty: everything
    seq: int = 0
    keep: int = 0


class Delete(NamedTuple):
    seq: int
    erase: bool = False


class Update(NamedTuple):
    description: bytes
    spec: StreamSpec


class ConsumerCreate(NamedTuple):
    name: str
    description: bytes
    spec: ConsumerSpec


class ConsumerUpdate(NamedTuple):
    name: str
    description: bytes
    spec: ConsumerSpec


class ConsumerDelete(NamedTuple):
    name: str


class Nothing(NamedTuple):
    """In the place of what was refused before it reached the log."""


Operation = (
    Nothing | Publish | Purge | Delete | Update | ConsumerCreate | ConsumerUpdate | ConsumerDelete
)


class Stored(NamedTuple):
    """The verdict on a publish."""

    seq: int
    duplicate: bool


REFUSED = Stored(0, False)


@dataclass
class StreamModel:
    description: bytes
    spec: StreamSpec
    messages: dict[int, Message] = field(default_factory=dict)  # by sequence, ascending
    last_seq: int = 0
    ids: dict[str, tuple[int, int]] = field(default_factory=dict)  # id -> (sequence, time)
    consumers: dict[str, bytes] = field(default_factory=dict)  # name -> description

    def __post_init__(self) -> None:
        self.last_seq = max(self.last_seq, self.spec["first_seq"] - 1)

    def copy(self) -> StreamModel:
        return replace(
            self,
            messages=dict(self.messages),
            ids=dict(self.ids),
            consumers=dict(self.consumers),
        )

    def apply(self, operation: Operation) -> Any:
        """The verdict on a publish, the number of messages removed by a purge or delete."""
        match operation:
            case Publish():
                return self._publish(operation)
            case Purge():
                return self._purge(operation)
            case Delete():
                return int(self.messages.pop(operation.seq, None) is not None)
            case Update():
                self.description, self.spec = operation.description, operation.spec
                self._enforce_limits()
            case ConsumerCreate() | ConsumerUpdate():
                self.consumers[operation.name] = operation.description
            case ConsumerDelete():
                self.consumers.pop(operation.name, None)
        return 0

    def id_in_window(self, message_id: str, now_ns: int) -> int:
        """The sequence under which the id was stored, 0 if it is not remembered (S-137)."""
        seq, time_ns = self.ids.get(message_id, (0, 0))
        return seq if seq and now_ns - time_ns < self.spec["duplicate_window_ns"] else 0

    def _publish(self, p: Publish) -> Stored:
        if self.spec["sealed"]:
            return REFUSED
        if p.expected_last_seq not in (-1, self.last_seq):
            return REFUSED
        if p.message_id and (seq := self.id_in_window(p.message_id, p.message.time_ns)):
            return Stored(seq, True)
        if self.spec["discard_new"] and 0 < self.spec["max_msgs"] <= len(self.messages):
            return REFUSED
        self.last_seq += 1
        self.messages[self.last_seq] = p.message
        if p.message_id:
            self.ids[p.message_id] = (self.last_seq, p.message.time_ns)
        self._enforce_limits()
        return Stored(self.last_seq, False)

    def _enforce_limits(self) -> None:
        per_subject = self.spec["max_msgs_per_subject"]
        if per_subject > 0:
            by_subject: dict[bytes, list[int]] = {}
            for seq, message in self.messages.items():
                by_subject.setdefault(message.subject, []).append(seq)
            for seqs in by_subject.values():
                for seq in seqs[:-per_subject]:
                    del self.messages[seq]
        while 0 < self.spec["max_msgs"] < len(self.messages):
            del self.messages[next(iter(self.messages))]
        if self.spec["max_bytes"] > 0:
            total = sum(m.stored_bytes for m in self.messages.values())
            while total > self.spec["max_bytes"]:
                total -= self.messages.pop(next(iter(self.messages))).stored_bytes

    def _purge(self, p: Purge) -> int:
        matching = [s for s, m in self.messages.items() if p.subject in (b"", m.subject)]
        if p.keep:
            matching = matching[: max(len(matching) - p.keep, 0)]
        if p.seq:
            matching = [s for s in matching if s < p.seq]
        for seq in matching:
            del self.messages[seq]
        if not p.subject and p.seq > self.last_seq + 1:
            self.last_seq = p.seq - 1
        return len(matching)
