"""A consumer: a cursor, the deliveries that wait for an acknowledgement, and who waits for
messages.

Methods that answer return what is sent, as `Sent`. Time enters as `now_ns`; `deadline_ns` says when
`timer` has something to do. What a crash takes with it (waiting pulls, the order of redelivery) is
dropped by `restart`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from slipstream.jetstream.subjects import is_subset
from slipstream.kernel.specs import AckPolicy, ConsumerSpec, DeliverPolicy
from slipstream.testing.model import pins, pulls
from slipstream.testing.model.go_text import duration_of
from slipstream.testing.model.inactivity import LATENESS_MAX_NS, unused_from_ns
from slipstream.testing.model.message import Message
from slipstream.testing.model.pins import Pin
from slipstream.testing.model.publishing import matching
from slipstream.testing.model.pulls import Pull, status, status_with_rest

Messages = Mapping[int, Message]


class Sent(NamedTuple):
    """`to` is the inbox; a delivery keeps the stream's subject and carries its ack subject."""

    to: bytes
    subject: bytes
    reply: bytes = b""
    header: bytes = b""
    body: bytes = b""


@dataclass
class Pending:
    """A delivery that waits for its acknowledgement."""

    consumer_seq: int  # of the first delivery
    deliveries: int
    deadline_ns: int
    sent_ns: int


class ConsumerState(NamedTuple):
    """As CONSUMER.INFO shows it (C-058..C-063); times 0 = never."""

    delivered: tuple[int, int, int]  # consumer sequence, stream sequence, time
    ack_floor: tuple[int, int, int]
    num_ack_pending: int
    num_redelivered: int
    num_waiting: int
    num_pending: int


@dataclass
class ConsumerModel:
    name: str
    stream: str
    spec: ConsumerSpec
    description: Any = None
    cursor: int = 0  # the last stream sequence that was considered
    consumer_seq: int = 0
    delivered_ns: int = 0
    floor: tuple[int, int] = (0, 0)  # consumer sequence, stream sequence
    acked_ns: int = 0
    pending: dict[int, Pending] = field(default_factory=dict)  # by stream sequence
    exceeded: set[int] = field(default_factory=set)  # had all their deliveries (C-125)
    listed: list[int] = field(default_factory=list)  # last per subject: still to come
    resume_after: int = 0
    redelivery: list[int] = field(default_factory=list)
    waiting: list[Pull] = field(default_factory=list)
    next_heartbeat_ns: int = 0
    pin: Pin | None = None
    used_ns: int = 0
    unused_by_ns: int = 0  # the latest time at which it seemed unused since then
    done: list[int] = field(default_factory=list)  # settled; the stream looks whether they may go

    def copy(self) -> ConsumerModel:
        return replace(
            self,
            pending={seq: replace(p) for seq, p in self.pending.items()},
            exceeded=set(self.exceeded),
            listed=list(self.listed),
            redelivery=list(self.redelivery),
            waiting=[replace(pull) for pull in self.waiting],
            done=list(self.done),
        )

    def update(self, spec: ConsumerSpec, description: Any, now_ns: int) -> None:
        """A pause is not changed by it (C-049)."""
        self._use(now_ns)
        self.spec = {**spec, "pause_until_ns": self.spec["pause_until_ns"]}
        pause = {k: v for k, v in self.description.items() if k == "pause_until"}
        self.description = description | pause

    def pause(self, until_ns: int, shown: str, now_ns: int) -> None:
        """0: it goes on (C-141)."""
        self._use(now_ns)
        self.spec = {**self.spec, "pause_until_ns": until_ns}
        rest = {key: value for key, value in self.description.items() if key != "pause_until"}
        self.description = rest | ({"pause_until": shown} if until_ns else {})

    def reset_refused(self, seq: int, messages: Messages, last_seq: int) -> str:
        """Why it may not go on at `seq` (0: behind what was acknowledged); empty if it may."""
        policy = self.spec["deliver_policy"]
        if seq == 0 or policy == DeliverPolicy.ALL:
            return ""
        if policy == DeliverPolicy.BY_START_SEQUENCE:
            return "below start seq" if seq < self.spec["opt_start_seq"] else ""
        if policy == DeliverPolicy.BY_START_TIME:
            late = [s for s, m in messages.items() if m.time_ns >= self.spec["opt_start_time_ns"]]
            return "below start time" if seq < min(late, default=last_seq + 1) else ""
        return "not allowed"

    def reset(self, seq: int, now_ns: int) -> int:
        """Where it goes on (C-138)."""
        self._use(now_ns)
        seq = seq or self.floor[1] + 1
        if self.listed:
            self.listed = sorted(self.listed + list(self.pending))
        self.pending.clear()
        self.exceeded.clear()
        self.redelivery.clear()
        self.cursor, self.floor = seq - 1, (0, seq - 1)
        self.consumer_seq = self.delivered_ns = self.acked_ns = 0
        return seq

    def farewell(self) -> list[Sent]:
        """To those who wait, when it is deleted (C-083)."""
        return [self._status(pull.inbox, "409 Consumer Deleted") for pull in self.waiting]

    def restart(self, now_ns: int) -> None:
        self.redelivery.clear()
        self.waiting.clear()
        self.pin = None
        self._use(now_ns)
        self.next_heartbeat_ns = now_ns + self.spec["idle_heartbeat_ns"]

    def unpin(self) -> None:
        self.pin = None

    def _use(self, now_ns: int) -> None:
        self.used_ns, self.unused_by_ns = now_ns, 0

    # -- where it starts (C-132..C-134)

    def start(
        self, messages: Messages, first_seq: int, last_seq: int, *, one_per_subject: bool
    ) -> None:
        spec = self.spec
        wanted = [seq for seq, m in messages.items() if self.wants(m)]
        first = max(first_seq, 1)
        start = first
        match spec["deliver_policy"]:
            case DeliverPolicy.LAST:
                start = max(wanted, default=0) if spec["filters"] else last_seq
            case DeliverPolicy.NEW:
                start = last_seq + 1
            case DeliverPolicy.BY_START_SEQUENCE:
                start = spec["opt_start_seq"]
            case DeliverPolicy.BY_START_TIME:
                late = [s for s, m in messages.items() if m.time_ns >= spec["opt_start_time_ns"]]
                start = self._first_filtered(messages, min(late, default=last_seq + 1), last_seq)
            case DeliverPolicy.LAST_PER_SUBJECT if not one_per_subject:
                newest = {messages[seq].subject: seq for seq in wanted}
                self.listed = sorted(newest.values())
                self.resume_after = last_seq
                start = min(self.listed, default=last_seq)
        start = max(start, first)
        self.cursor = start - 1
        self.floor = (0, start - 1)

    def _first_filtered(self, messages: Messages, start: int, last_seq: int) -> int:
        """Where nats-server begins when it has found a time: it looks at the first message of each
        filter alone.
        """
        firsts = [
            min((s for s, m in messages.items() if matching(filter_, m.subject)), default=0)
            for filter_ in self.spec["filters"]
        ]
        return min((seq for seq in firsts if start <= seq < last_seq), default=start)

    # -- what it can see

    def wants(self, message: Message) -> bool:
        filters = self.spec["filters"]
        return not filters or any(matching(filter_, message.subject) for filter_ in filters)

    def next_new(self, messages: Messages) -> int:
        """0 when there is none."""
        if self.listed:
            return self.listed[0]
        return min((s for s, m in messages.items() if s > self.cursor and self.wants(m)), default=0)

    def num_pending(self, messages: Messages) -> int:
        above = self.resume_after if self.listed else self.cursor
        return len(self.listed) + sum(s > above and self.wants(m) for s, m in messages.items())

    def state(self, messages: Messages) -> ConsumerState:
        redelivered = sum(p.deliveries > 1 for p in self.pending.values()) + len(self.exceeded)
        return ConsumerState(
            delivered=(self.consumer_seq, self.cursor, self.delivered_ns),
            ack_floor=(*self.floor, self.acked_ns),
            num_ack_pending=len(self.pending),
            num_redelivered=0 if self.spec["max_deliver"] == 1 else redelivered,
            num_waiting=len(self.waiting),
            num_pending=self.num_pending(messages),
        )

    # -- pull requests

    def pull(self, inbox: bytes, body: bytes, messages: Messages, now_ns: int) -> list[Sent]:
        self._use(now_ns)
        if self.spec["deliver_subject"]:
            return [self._status(inbox, "409 Consumer is push based")]
        asked = pulls.parse(body)
        refused = pulls.complaint(asked, self.spec) or pins.complaint(self.pin, asked, self.spec)
        if refused:
            return [self._status(inbox, refused)]
        if self.pin and asked.get("id") == self.pin.name:
            self.pin = self.pin._replace(until_ns=now_ns + self.spec["priority_timeout_ns"])
        no_wait, expires = asked.get("no_wait", False), asked.get("expires", 0)
        if no_wait:
            there = self.num_pending(messages) + len(self.redelivery)
            claimed = sum(pull.batch for pull in self.waiting)
            if not there and not expires:
                return [self._status(inbox, pulls.NO_MESSAGES)]
            if there and there < claimed:
                return [self._status(inbox, "408 Requests Pending")]
        heartbeat = asked.get("idle_heartbeat", 0)
        if 0 < self.spec["max_waiting"] <= len(self.waiting):
            return [] if heartbeat else [self._status(inbox, "409 Exceeded MaxWaiting")]
        max_bytes = asked.get("max_bytes", 0)
        self._enqueue(
            Pull(
                inbox,
                batch=asked["batch"],
                max_bytes=max_bytes,
                expires_ns=now_ns + expires if expires > 0 else 0,
                heartbeat_ns=heartbeat,
                next_heartbeat_ns=now_ns + heartbeat if heartbeat else 0,
                no_wait=no_wait,
                limits_bytes=max_bytes > 0,
                rank=asked.get("priority", 0) if asked["json"] else pulls.LAST_RANK,
                min_pending=asked.get("min_pending", 0),
                min_ack_pending=asked.get("min_ack_pending", 0),
                group=asked.get("group", ""),
                pin=asked.get("id", ""),
            )
        )
        return []

    # -- delivery

    def run(self, messages: Messages, now_ns: int) -> list[Sent]:
        """Everything that can go out now."""
        sent: list[Sent] = []
        stalled = False
        while self.has_receiver() and not self.is_paused(now_ns):
            seq = self._next_redelivery()
            again = seq > 0
            if not again:
                if stalled := self.is_stalled():
                    break
                seq = self.next_new(messages)
            if not seq:
                break
            if not self._deliver(seq, again, messages, now_ns, sent):
                break
        self._end_requests(now_ns, stalled, sent)
        self.unused_by_ns = max(self.unused_by_ns, self._unused_from_ns() or 0)
        return sent

    def _unused_from_ns(self) -> int | None:
        """When it may be deleted for want of use; None: not as things are."""
        if self.has_receiver():
            return None
        acknowledged_by = [
            p.deadline_ns for s, p in self.pending.items() if s not in self.redelivery
        ]
        again = [self.pending[seq] for seq in self.redelivery]
        redelivered_by = [p.sent_ns + 2 * self.wait_ns(p.deliveries) for p in again]
        return unused_from_ns(
            self.spec["inactive_threshold_ns"], [self.used_ns, *acknowledged_by, *redelivered_by]
        )

    def has_receiver(self) -> bool:
        return bool(self.waiting) or bool(self.spec["deliver_subject"])

    def is_paused(self, now_ns: int) -> bool:
        return self.spec["pause_until_ns"] > now_ns

    def is_stalled(self) -> bool:  # C-127
        limit = self.spec["max_ack_pending"]
        return self.spec["ack_policy"] != AckPolicy.NONE and 0 < limit <= len(self.pending)

    def _next_redelivery(self) -> int:
        """0 when there is none."""
        while self.redelivery:
            seq = self.redelivery[0]
            if not self.had_all_deliveries(seq):
                return seq
            self._exceed(seq)
        return 0

    def had_all_deliveries(self, seq: int) -> bool:
        return 0 < self.spec["max_deliver"] <= self.pending[seq].deliveries

    def _is_timed(self, seq: int) -> bool:
        """Whether something happens to it when its ack wait is over (C-125): also to what came
        back from its last delivery and waits for somebody who would get it.
        """
        return seq not in self.redelivery or self.had_all_deliveries(seq)

    def _exceed(self, seq: int) -> None:  # C-125
        self._forget(seq)
        self.exceeded.add(seq)

    def _deliver(
        self, seq: int, again: bool, messages: Messages, now_ns: int, sent: list[Sent]
    ) -> bool:
        """Whether there was somebody to take it."""
        message = messages[seq]
        deliveries = self.pending[seq].deliveries + 1 if again else 1
        left = self.num_pending(messages) - (not again)
        numbers = (deliveries, seq, self.consumer_seq + 1, message.time_ns, left)
        ack = f"$JS.ACK.{self.stream}.{self.name}.{'.'.join(map(str, numbers))}".encode()
        header, body = message.header, message.body
        if self.spec["headers_only"]:  # C-106
            header = (header[:-2] or b"NATS/1.0\r\n") + b"Nats-Msg-Size: %d\r\n\r\n" % len(body)
            body = b""
        size = len(message.subject) + len(ack) + len(header) + len(body)
        if self.spec["deliver_subject"]:
            self._record(seq, again, deliveries, now_ns)
            sent.append(Sent(self.spec["deliver_subject"], message.subject, ack, header, body))
            if self.spec["idle_heartbeat_ns"]:
                self.next_heartbeat_ns = now_ns + self.spec["idle_heartbeat_ns"]
            return True
        pull = self._request_for(size, left + 1, now_ns, sent)
        if pull is None:
            return False
        if self.spec["priority_policy"] == pulls.PINNED:
            name = self._pinned(pull, now_ns)
            header = (header[:-2] or b"NATS/1.0\r\n") + b"Nats-Pin-Id: %b\r\n\r\n" % name
        self._record(seq, again, deliveries, now_ns)
        sent.append(Sent(pull.inbox, message.subject, ack, header, body))
        self._charge(pull, size, now_ns, sent)
        return True

    def _pinned(self, pull: Pull, now_ns: int) -> bytes:
        """Who is served. Nobody is pinned by a request without a group."""
        if self.pin is None and pull.group:
            pull.pin = f"pin-{self.stream}-{self.name}-{self.consumer_seq}-{now_ns}"
            self.pin = Pin(pull.pin, now_ns, now_ns + self.spec["priority_timeout_ns"])
        return self.pin.name.encode() if self.pin else b""

    def _enqueue(self, pull: Pull) -> None:
        """Behind the others, or (C-098) behind those that come before it."""
        at = len(self.waiting)
        if self.spec["priority_policy"] == pulls.PRIORITIZED:
            at = sum(other.rank <= pull.rank for other in self.waiting)
        self.waiting.insert(at, pull)

    def _request_for(self, size: int, pending: int, now_ns: int, sent: list[Sent]) -> Pull | None:
        passed = 0
        while len(self.waiting) > passed:
            pull = self.waiting[0]
            if pull.is_over(now_ns):
                refused = pulls.REQUEST_TIMEOUT
            elif pins.is_wrong(self.pin, pull):
                refused = pins.WRONG_PIN
            elif pins.passes_over(self.pin, pull) or not pull.is_enough(pending, len(self.pending)):
                self.waiting.append(self.waiting.pop(0))
                passed += 1
                continue
            elif pull.limits_bytes and size > pull.max_bytes:  # C-080
                refused = pulls.TOO_LARGE
            else:
                return pull
            sent.append(Sent(pull.inbox, pull.inbox, b"", status_with_rest(refused, pull)))
            self.waiting.pop(0)
            self._use(now_ns)
        return None

    def _charge(self, pull: Pull, size: int, now_ns: int, sent: list[Sent]) -> None:
        pull.delivered += 1
        pull.batch -= 1
        if pull.limits_bytes:
            pull.max_bytes -= size
        used_up = pull.limits_bytes and pull.max_bytes == 0
        self.waiting.pop(0)
        if pull.batch > 0 and not used_up:
            if pull.heartbeat_ns:
                pull.next_heartbeat_ns = now_ns + pull.heartbeat_ns
            self._enqueue(pull)  # the others' turn (C-086)
        elif pull.limits_bytes and not used_up:  # C-081
            pull.batch = 0
            completed = status_with_rest(pulls.BATCH_COMPLETED, pull)
            sent.append(Sent(pull.inbox, pull.inbox, b"", completed))

    def _record(self, seq: int, again: bool, deliveries: int, now_ns: int) -> None:
        self.consumer_seq += 1
        self.delivered_ns = now_ns
        self._use(now_ns)
        if again:
            self.redelivery.pop(0)
            pending = self.pending[seq]
            pending.deliveries = deliveries
            pending.deadline_ns = now_ns + self.wait_ns(deliveries)
            pending.sent_ns = now_ns
            return
        self.cursor = seq
        if self.listed:
            self.listed.pop(0)
            if not self.listed:
                self.cursor = max(seq, self.resume_after)
        if self.spec["ack_policy"] == AckPolicy.NONE:  # C-128
            self.floor = (self.consumer_seq, seq)
            self.done.append(seq)
        else:
            deadline_ns = now_ns + self.wait_ns(1)
            self.pending[seq] = Pending(self.consumer_seq, 1, deadline_ns, now_ns)

    def wait_ns(self, deliveries: int) -> int:  # C-124
        backoff = self.spec["backoff_ns"]
        return backoff[min(deliveries, len(backoff)) - 1] if backoff else self.spec["ack_wait_ns"]

    def _end_requests(self, now_ns: int, stalled: bool, sent: list[Sent]) -> None:
        """Time is up (C-079), or there is nothing more for those who do not wait (C-077, C-078)."""
        for pull in list(self.waiting):
            self._use(now_ns)
            if pull.is_over(now_ns):
                over = status_with_rest(pulls.REQUEST_TIMEOUT, pull)
                sent.append(Sent(pull.inbox, pull.inbox, b"", over))
                self.waiting.remove(pull)
            elif pull.no_wait and not stalled and (pull.delivered or not pull.expires_ns):
                sent.append(self._status(pull.inbox, pulls.NO_MESSAGES))
                self.waiting.remove(pull)
            elif pull.heartbeat_ns and pull.next_heartbeat_ns <= now_ns:
                sent.append(self._heartbeat(pull.inbox))
                pull.next_heartbeat_ns = now_ns + pull.heartbeat_ns

    # -- time

    def deadline_ns(self) -> int | None:
        ends = [p.deadline_ns for s, p in self.pending.items() if self._is_timed(s)]
        ends += [pull.expires_ns for pull in self.waiting if pull.expires_ns]
        ends += [pull.next_heartbeat_ns for pull in self.waiting if pull.heartbeat_ns]
        if self.spec["deliver_subject"] and self.spec["idle_heartbeat_ns"]:
            ends.append(self.next_heartbeat_ns)
        if self.spec["pause_until_ns"]:
            ends.append(self.spec["pause_until_ns"])
        if self.pin:
            ends.append(self.pin.until_ns)
        if unused_ns := self._unused_from_ns():
            ends += [unused_ns, self._unused_at_last_ns(unused_ns)]
        return min(ends, default=None)

    def _unused_at_last_ns(self, unused_ns: int) -> int:
        return max(self.unused_by_ns, unused_ns) + LATENESS_MAX_NS

    def may_be_deleted(self, now_ns: int) -> bool:
        unused_ns = self._unused_from_ns()
        return unused_ns is not None and unused_ns <= now_ns

    def must_be_deleted(self, now_ns: int) -> bool:
        unused_ns = self._unused_from_ns()
        return unused_ns is not None and self._unused_at_last_ns(unused_ns) <= now_ns

    def timer(self, now_ns: int) -> list[Sent]:
        """What is due: redeliveries in the order of the stream (C-123), requests, heartbeats."""
        over = sorted(s for s, p in self.pending.items() if p.deadline_ns <= now_ns)
        for seq in [seq for seq in over if self._is_timed(seq)]:
            if self.had_all_deliveries(seq):
                self._exceed(seq)
            else:
                self.redelivery.append(seq)
        sent: list[Sent] = []
        if any(pull.is_due(now_ns) for pull in self.waiting):  # then all are looked at, as ever
            self._end_requests(now_ns, False, sent)
        if self.pin and self.pin.until_ns <= now_ns:
            self.pin = None
        push, interval = self.spec["deliver_subject"], self.spec["idle_heartbeat_ns"]
        if push and interval and self.next_heartbeat_ns <= now_ns:  # C-102
            sent.append(self._heartbeat(push))
            self.next_heartbeat_ns = now_ns + interval
        return sent

    # -- acknowledgements (C-110..C-130)

    def acknowledge(
        self,
        numbers: tuple[int, int],  # stream sequence, consumer sequence
        inbox: bytes,
        body: bytes,
        messages: Messages,
        now_ns: int,
    ) -> list[Sent]:
        seq, consumer_seq = numbers
        if self.spec["ack_policy"] == AckPolicy.NONE or not seq:
            return []
        self._use(now_ns)
        answer = [Sent(inbox, inbox)] if inbox else []
        if body in (b"", b"+ACK", b"+OK") or body.startswith(b"+TERM"):
            if not self.was_delivered(seq, consumer_seq):  # (C-115)
                return []
            self._settle(seq, consumer_seq, now_ns)
        elif body.startswith(b"-NAK"):
            self._nak(seq, consumer_seq, body[4:].decode().strip(), now_ns)
        elif body == b"+WPI":
            if seq in self.pending:
                wait_ns = self.wait_ns(self.pending[seq].deliveries)
                self.pending[seq].deadline_ns = now_ns + wait_ns
                self.pending[seq].sent_ns = now_ns
        elif body.startswith(b"+NXT"):
            refused = self.pull(inbox, body[4:], messages, now_ns) if inbox else []
            if self.was_delivered(seq, consumer_seq):
                self._settle(seq, consumer_seq, now_ns)
            return refused
        return answer

    def was_delivered(self, seq: int, consumer_seq: int) -> bool:
        """With ack policy `all` the number of the delivery counts too."""
        numbered = self.spec["ack_policy"] != AckPolicy.ALL or 0 < consumer_seq <= self.consumer_seq
        return seq <= self.cursor and numbered

    def _settle(self, seq: int, consumer_seq: int, now_ns: int) -> None:
        self.acked_ns = now_ns
        if self.spec["ack_policy"] == AckPolicy.ALL:
            if seq > self.floor[1]:
                self.done += range(self.floor[1] + 1, seq + 1)
                for covered in [s for s in self.pending if s <= seq]:
                    self._forget(covered)
                self.exceeded = {s for s in self.exceeded if s > seq}
                left = min((p.consumer_seq for p in self.pending.values()), default=1 << 64)
                self.floor = (max(self.floor[0], min(consumer_seq, left - 1)), seq)
            return
        self.done.append(seq)
        self.exceeded.discard(seq)
        if seq in self.pending:
            first = self.pending[seq].consumer_seq
            self._forget(seq)
            self._move_floor(first)

    def needs(self, seq: int) -> bool:
        """Interest and work-queue retention: of a message that it wants."""
        if seq in self.exceeded:  # S-144
            return True
        if self.spec["ack_policy"] == AckPolicy.ALL:
            return seq > self.floor[1]
        return seq > self.cursor or seq in self.pending

    def _nak(self, seq: int, consumer_seq: int, how: str, now_ns: int) -> None:
        if seq not in self.pending or not self.floor[0] < consumer_seq <= self.consumer_seq:
            return
        delay_ns = _nak_delay_ns(how)
        if delay_ns is not None:
            self.redelivery = [s for s in self.redelivery if s != seq]
            self.pending[seq].deadline_ns = now_ns + delay_ns
        elif seq not in self.redelivery:
            self.redelivery.append(seq)

    def _forget(self, seq: int) -> None:
        del self.pending[seq]
        self.redelivery = [s for s in self.redelivery if s != seq]

    def _move_floor(self, acked_consumer_seq: int) -> None:  # C-126
        if not self.pending:
            self.floor = (self.consumer_seq, self.cursor)
        elif acked_consumer_seq == self.floor[0] + 1:
            seq, oldest = min(self.pending.items(), key=lambda item: item[1].consumer_seq)
            self.floor = (oldest.consumer_seq - 1, seq - 1)

    # -- what the stream does

    def message_removed(self, seq: int) -> None:
        """It counts as terminated (C-122)."""
        self.exceeded.discard(seq)
        if seq in self.pending:
            first = self.pending[seq].consumer_seq
            self._forget(seq)
            self._move_floor(first)
            self.acked_ns = max(self.acked_ns, self.delivered_ns)
        if seq in self.listed:
            self.drop_listed(seq)

    def drop_listed(self, seq: int) -> None:
        self.listed.remove(seq)
        if not self.listed:
            self.cursor = max(self.cursor, self.resume_after)

    def purged(
        self, filter_: bytes, floor: int, first_left: int, first_seq: int, last_seq: int
    ) -> None:
        """It moves on, if the purge concerned what it wants (S-107, C-137): to the first message
        that matches `filter_` and was left, or to the stream's first if it wants more than was
        purged. `floor` is where its stream's floor was before.
        """
        filters = self.spec["filters"]
        inside = [is_subset(mine.decode(), filter_.decode()) for mine in filters]
        within = bool(inside) and all(inside)
        around = not filters or any(is_subset(filter_.decode(), f.decode()) for f in filters)
        if filter_ and not any(inside) and not around:
            return
        start = max(first_seq, 1)
        if filter_ and within:
            start = first_left or last_seq + 1
        self.cursor = max(self.cursor, start - 1)
        if self.pending:
            before = self.floor[1] if filter_ else floor
            self.floor = (self.floor[0], max(before, start - 1))
        else:
            self.floor = (self.consumer_seq, self.cursor)

    # -- what it says

    def _status(self, inbox: bytes, line: str) -> Sent:
        return Sent(inbox, inbox, b"", status(line))

    def _heartbeat(self, to: bytes) -> Sent:
        numbers = ("Nats-Last-Consumer", self.consumer_seq), ("Nats-Last-Stream", self.cursor)
        return Sent(to, to, b"", status("100 Idle Heartbeat", *numbers))


def _nak_delay_ns(how: str) -> int | None:
    """None: at once (C-119)."""
    if how.startswith("{"):
        delay = json.loads(how).get("delay")
        return int(delay) if delay is not None else None
    return duration_of(how) if how else None
