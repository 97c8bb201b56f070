"""A stream: its messages in a dictionary, and one method for each kind of entry of its log.

Nothing is remembered that can be counted: first sequence, bytes and subjects are derived whenever
somebody asks. `entries` counts what was applied, so that a crash can be told as a number of
entries that survived.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from slipstream.kernel.specs import ConsumerSpec, Retention, StreamSpec
from slipstream.protocol.subjects import subject_matches
from slipstream.testing.model.batches import BatchMessage, accepted_in_batch, judge_batch
from slipstream.testing.model.consumer import ConsumerModel, Sent
from slipstream.testing.model.go_text import SECOND_NS, duration_text, time_text
from slipstream.testing.model.message import Message
from slipstream.testing.model.publishing import (
    NEVER,
    SEALED,
    Accepted,
    Duplicate,
    Verdict,
    counter_body,
    headers_of,
    judge,
    matching,
    without_status,
)


class StreamState(NamedTuple):
    """As STREAM.INFO shows it (S-056); times 0 = never."""

    messages: int
    stored_bytes: int
    first_seq: int
    first_time_ns: int
    last_seq: int
    last_time_ns: int
    subjects: dict[bytes, int]
    deleted: list[int]


@dataclass
class StreamModel:
    name: str
    spec: StreamSpec
    description: Any = None  # of the caller: what it was told to remember with the configuration
    messages: dict[int, Message] = field(default_factory=dict)  # by sequence, ascending
    last_seq: int = 0
    used: bool = False  # its first sequence is said even if it is empty (S-058, S-059)
    last_time_ns: int = 0
    last_message_id: str = ""
    ids: dict[str, tuple[int, int]] = field(default_factory=dict)  # id -> (sequence, time)
    consumers: dict[str, ConsumerModel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.spec["first_seq"] > 0 and not self.used:
            self.last_seq, self.used = self.spec["first_seq"] - 1, True

    def copy(self) -> StreamModel:
        return replace(
            self,
            messages=dict(self.messages),
            ids=dict(self.ids),
            consumers={name: c.copy() for name, c in self.consumers.items()},
        )

    # -- what is there

    def size(self, subject: bytes, header: bytes, body: bytes) -> int:  # S-150
        if self.spec["memory"]:
            return len(subject) + len(header) + len(body) + 16
        return 22 + len(subject) + (4 + len(header) if header else 0) + len(body) + 8

    @property
    def stored_bytes(self) -> int:
        return sum(self.size(*m.content) for m in self.messages.values())

    @property
    def first_seq(self) -> int:
        if self.messages:
            return min(self.messages)
        return self.last_seq + 1 if self.used else 0

    def counted(self, subject: bytes) -> int:
        """A counter's total (S-200)."""
        last = self.last_on(subject)
        return int(json.loads(self.messages[last].body)["val"]) if last else 0

    def last_on(self, filter_: bytes) -> int:
        return max((s for s, m in self.messages.items() if matching(filter_, m.subject)), default=0)

    def sequence_of_id(self, message_id: str, now_ns: int) -> int:
        """0 when it is not remembered (S-152)."""
        seq, time_ns = self.ids.get(message_id, (0, 0))
        return seq if message_id and now_ns - time_ns < self.spec["duplicate_window_ns"] else 0

    def state(self) -> StreamState:
        subjects: dict[bytes, int] = {}
        for m in self.messages.values():
            subjects[m.subject] = subjects.get(m.subject, 0) + 1
        first, last = self.first_seq, self.last_seq
        return StreamState(
            messages=len(self.messages),
            stored_bytes=self.stored_bytes,
            first_seq=first,
            first_time_ns=self.messages[first].time_ns if self.messages else 0,
            last_seq=last,
            last_time_ns=self.last_time_ns,
            subjects=dict(sorted(subjects.items())),
            deleted=[seq for seq in range(first, last + 1) if seq and seq not in self.messages],
        )

    # -- entries of the log

    def publish(
        self, subject: bytes, header: bytes, body: bytes, now_ns: int
    ) -> tuple[Verdict, int]:
        """The verdict, and the sequence that the acknowledgement names."""
        return self._publish(self.stored_on(subject), header, body, now_ns)

    def publish_batch(self, messages: Sequence[BatchMessage], now_ns: int) -> tuple[Verdict, int]:
        """All of them, or none; the sequence of the last one."""
        now_ns = max(now_ns, self.last_time_ns)
        stored = [(self.stored_on(subject), header, body) for subject, header, body in messages]
        verdict: Verdict | None = SEALED if self.spec["sealed"] else None
        if refused := verdict or judge_batch(self, stored, now_ns):
            return refused, 0
        for subject, header, body in stored:
            verdict = accepted_in_batch(header)
            self._store(verdict, subject, header, body, now_ns)
        assert verdict is not None, "no message"
        return verdict, self.last_seq

    def _publish(
        self, subject: bytes, header: bytes, body: bytes, now_ns: int
    ) -> tuple[Verdict, int]:
        now_ns = max(now_ns, self.last_time_ns)
        header = without_status(header)
        verdict = judge(self, subject, header, body, now_ns)
        if isinstance(verdict, Duplicate):
            return verdict, verdict.seq
        if not isinstance(verdict, Accepted):
            return verdict, 0
        self._store(verdict, subject, header, body, now_ns)
        return verdict, self.last_seq

    def _store(
        self, verdict: Accepted, subject: bytes, header: bytes, body: bytes, now_ns: int
    ) -> None:
        self.last_seq += 1
        self.used = True
        self.last_time_ns = now_ns
        if verdict.total is not None:
            body = counter_body(verdict.total)
        if kept := self.keeps(subject):
            ttl_s = self.raised(verdict.ttl_s)
            if ttl_s != verdict.ttl_s:
                header = with_time_to_live(header, ttl_s)
            self.messages[self.last_seq] = Message(subject, header, body, now_ns, ttl_s)
        self.last_message_id = verdict.message_id
        if verdict.message_id and self.spec["duplicate_window_ns"] > 0:
            self.ids[verdict.message_id] = (self.last_seq, now_ns)
        self.enforce_subject_limits()
        self.enforce_limits()
        if verdict.rollup:
            self._purge(subject if verdict.rollup == "sub" else b"", keep=int(kept))

    def stored_on(self, subject: bytes) -> bytes:
        """S-031."""
        source, destination = self.spec["transform_source"], self.spec["transform_destination"]
        if not destination or not subject_matches(source, subject):
            return subject
        return transformed(subject, source, destination)

    def republished(self, seq: int, last_seq: int) -> list[Sent]:
        """What those hear who listen to what is stored (S-159); everything, to a `...>`."""
        m = self.messages[seq]
        target = self.spec["republish_destination"].replace(b">", m.subject)
        added = {
            "Nats-Stream": self.name,
            "Nats-Subject": m.subject.decode(),
            "Nats-Sequence": seq,
            "Nats-Time-Stamp": time_text(m.time_ns),
            "Nats-Last-Sequence": last_seq,
        }
        body = m.body
        if self.spec["republish_headers_only"]:
            added["Nats-Msg-Size"], body = len(m.body), b""
        lines = "".join(f"{key}: {value}\r\n" for key, value in added.items())
        header = (m.header[:-2] or b"NATS/1.0\r\n") + lines.encode() + b"\r\n"
        return [Sent(target, target, b"", header, body)]

    def purge(self, filter_: bytes, seq: int, keep: int) -> int:
        """How many messages it removed (S-105, S-106, S-174..S-176)."""
        before = len(self.messages)
        self._purge(filter_, seq=seq, keep=keep)
        return before - len(self.messages)

    def _purge(self, filter_: bytes, *, seq: int = 0, keep: int = 0) -> None:
        found = [s for s, m in self.messages.items() if matching(filter_, m.subject)]
        if keep:
            found = found[: max(len(found) - keep, 0)]
        elif seq:
            found = [s for s in found if s < seq]
        everything = filter_ in (b"", b">")
        if everything and not keep and seq > self.last_seq + 1:
            self.last_seq = seq - 1
        if everything and not keep:
            self.used = True
        floors = {name: consumer.floor[1] for name, consumer in self.consumers.items()}
        self.remove(found)
        if len(found) == 1 and not everything:  # counts as deleted, not as purged
            floors = {name: consumer.floor[1] for name, consumer in self.consumers.items()}
        left = [s for s, m in self.messages.items() if matching(filter_, m.subject)]
        bounds = (min(left, default=0), self.first_seq, self.last_seq)
        for name, consumer in self.consumers.items():
            consumer.purged(filter_, floors[name], *bounds)

    def delete(self, seq: int) -> int:
        if seq not in self.messages:
            return 0
        self.remove([seq])
        return 1

    def update(self, spec: StreamSpec, description: Any) -> None:
        begins_interest = (
            self.spec["retention"] == Retention.LIMITS and spec["retention"] == Retention.INTEREST
        )
        self.spec, self.description = spec, description
        if begins_interest and self.consumers:  # what none of them wants stays
            self._settle([seq for seq, m in self.messages.items() if self.keeps(m.subject)])
        elif begins_interest and self.messages:
            self._purge(b"")
        self.enforce_limits()
        self.enforce_subject_limits()

    def create_consumer(
        self, name: str, spec: ConsumerSpec, description: Any, now_ns: int
    ) -> ConsumerModel:
        if self.spec["memory"]:
            spec = {**spec, "memory": True}
        consumer = ConsumerModel(name, self.name, spec, description, used_ns=now_ns)
        one_per_subject = self.spec["max_msgs_per_subject"] == 1
        consumer.start(
            self.messages, self.first_seq, self.last_seq, one_per_subject=one_per_subject
        )
        consumer.next_heartbeat_ns = now_ns + spec["idle_heartbeat_ns"]
        self.consumers[name] = consumer
        return consumer

    def delete_consumer(self, name: str) -> None:
        """What it alone was needed for goes (C-140)."""
        consumer = self.consumers.pop(name)
        if self.spec["retention"] != Retention.INTEREST:
            return
        if self.consumers:
            self._settle(self._from_floor_of(consumer))
        else:
            self._purge(b"")

    def update_consumer(self, name: str, spec: ConsumerSpec, description: Any, now_ns: int) -> None:
        consumer = self.consumers[name]
        same_filters = consumer.spec["filters"] == spec["filters"]
        consumer.update(spec, description, now_ns)
        for seq in [s for s in consumer.listed if not consumer.wants(self.messages[s])]:
            consumer.drop_listed(seq)
        if self.spec["retention"] == Retention.INTEREST and not same_filters:  # C-136
            self._settle(self._from_floor_of(consumer))

    def reset_consumer(self, name: str, seq: int, now_ns: int) -> int:
        """Where it goes on; what it passes it needs no more (C-138)."""
        consumer = self.consumers[name]
        goes_on = consumer.reset(seq, now_ns)
        if self.spec["retention"] == Retention.INTEREST:
            passed = [s for s, m in self.messages.items() if s < goes_on and consumer.wants(m)]
            self._settle(passed)
        return goes_on

    def _from_floor_of(self, consumer: ConsumerModel) -> list[int]:
        """What lies before it stays, even if only this consumer's filters wanted it."""
        return [seq for seq in self.messages if seq >= consumer.floor[1]]

    # -- interest and work queues (S-142..S-144)

    def keeps(self, subject: bytes) -> bool:
        """Without interest a message has a sequence and nothing else (S-133)."""
        message = Message(subject, b"", b"", 0)
        wanted = any(consumer.wants(message) for consumer in self.consumers.values())
        return self.spec["retention"] != Retention.INTEREST or wanted

    def settle(self) -> None:
        """What consumers are done with goes, if nobody else needs it."""
        for consumer in self.consumers.values():
            done, consumer.done = consumer.done, []
            there = (seq for seq in done if seq in self.messages)
            self._settle([seq for seq in there if consumer.wants(self.messages[seq])])

    def _settle(self, seqs: Iterable[int]) -> None:
        if self.spec["retention"] == Retention.LIMITS:
            return
        for seq in list(seqs):
            message = self.messages.get(seq)
            if message is None:
                continue
            wanting = [c for c in self.consumers.values() if c.wants(message)]
            if not any(consumer.needs(seq) for consumer in wanting):
                self.remove([seq])

    # -- limits

    def enforce_limits(self) -> None:
        """By count, then by size (S-146), unless new messages are what is discarded."""
        if self.spec["discard_new"]:
            return
        while 0 < self.spec["max_msgs"] < len(self.messages):
            self.remove([self.first_seq])
        while self.messages and 0 < self.spec["max_bytes"] < self.stored_bytes:
            self.remove([self.first_seq])

    def enforce_subject_limits(self) -> None:
        per_subject = self.spec["max_msgs_per_subject"]
        if per_subject > 0:
            by_subject: dict[bytes, list[int]] = {}
            for seq, m in self.messages.items():
                by_subject.setdefault(m.subject, []).append(seq)
            for seqs in by_subject.values():
                self.remove(seqs[:-per_subject])

    def end_ns(self, message: Message) -> int | None:
        """When its age or its time to live ends (S-122, S-155); None: never."""
        if message.ttl_s == NEVER:
            return None
        ends = []
        if self.spec["max_age_ns"] > 0:
            ends.append(message.time_ns + self.spec["max_age_ns"])
        if message.ttl_s > 0:
            ends.append(message.time_ns + message.ttl_s * SECOND_NS)
        return min(ends, default=None)

    def raised(self, ttl_s: int) -> int:
        """A marker must outlive what it could hide, unless there is only one message (S-155)."""
        least_s = self.spec["delete_marker_ttl_ns"] // SECOND_NS
        raises = 0 < ttl_s < least_s and self.spec["max_msgs_per_subject"] != 1
        return least_s if raises else ttl_s

    def deadline_ns(self) -> int | None:
        """When the next message ends."""
        ends = (self.end_ns(m) for m in self.messages.values())
        return min((end for end in ends if end is not None), default=None)

    def expire(self, now_ns: int) -> bool:
        """True if there was something to remove."""
        ends = ((seq, self.end_ns(m)) for seq, m in self.messages.items())
        over = [seq for seq, end in ends if end is not None and end <= now_ns]
        for seq in over:
            if seq in self.messages:
                self._leave_marker(seq, now_ns)
            if seq in self.messages:
                self.remove([seq])
        return bool(over)

    def _leave_marker(self, seq: int, now_ns: int) -> None:
        """In the place of the last message of a subject; it rolls that up (S-156..S-158)."""
        m, lifetime_ns = self.messages[seq], self.spec["delete_marker_ttl_ns"]
        alone = sum(m.subject == other.subject for other in self.messages.values()) == 1
        if not lifetime_ns or not alone or "Nats-Marker-Reason" in headers_of(m.header):
            return
        lines = ("MaxAge", duration_text(lifetime_ns), "sub")
        names = ("Nats-Marker-Reason", "Nats-TTL", "Nats-Rollup")
        text = "".join(f"{name}: {line}\r\n" for name, line in zip(names, lines, strict=True))
        self._publish(m.subject, f"NATS/1.0\r\n{text}\r\n".encode(), b"", now_ns)

    def remove(self, seqs: Iterable[int]) -> None:
        for seq in seqs:
            del self.messages[seq]
            for consumer in self.consumers.values():
                consumer.message_removed(seq)


def with_time_to_live(header: bytes, ttl_s: int) -> bytes:
    """In the place of the one it had, at the end."""
    lines = [line for line in header.split(b"\r\n") if line and not line.startswith(b"Nats-TTL:")]
    return b"\r\n".join([*lines, b"Nats-TTL: %d" % ttl_s, b"", b""])


def transformed(subject: bytes, source: bytes, destination: bytes) -> bytes:
    """Destinations with `{{wildcard(n)}}` alone."""
    caught = [
        token
        for token, pattern in zip(subject.split(b"."), source.split(b"."), strict=False)
        if pattern == b"*"
    ]
    for number, token in enumerate(caught, 1):
        destination = destination.replace(b"{{wildcard(%d)}}" % number, token)
    return destination
