"""What a client was promised, kept outside of the node so that it survives crashes, and the
judgement on what recovery found.

A promise is an answer: a publish acknowledgement, the commit of a proposal, the reply to AckSync.
`Ledger` notes each operation in the order of its stream's log, and how far that log is known to
be committed. `reconcile` demands that the recovered state is the state after some prefix of the
log that is at least that long, and goes on from there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from log_operations import (
    REFUSED,
    ConsumerCreate,
    ConsumerDelete,
    ConsumerUpdate,
    Delete,
    Nothing,
    Operation,
    Publish,
    Purge,
    Stored,
    Update,
    apply,
)
from slipstream.kernel.events import RequestEvent
from slipstream.kernel.specs import ConsumerSpec, StreamSpec
from slipstream.testing.model import Message, StreamModel
from slipstream.testing.simulated_node import TURN_NS, Delivery, SimulatedNode

ACK_ALL = 1
ACK_NONE = 0


# Of the store, or of one stream: the log may have the message.
FAILED = (b"store of this server has failed", b"stream is offline")
# No room, or no more open files.
# Or the newest message of a counter was removed before it was known here, and its total is
# still being read: such an increment is in the log, and changes nothing.
TURNED_AWAY = (
    b'"err_code":10172',
    b'"err_code":10047',
    b'"err_code":10023,"description":"insufficient resources: ',
)


class Batch(Protocol):
    """A batch of a client (batch_promises.py)."""

    def take(self, answers: Sequence[RequestEvent]) -> list[Callable[[], None]]:
        """Strikes out what was refused. What it returns holds the other answers against the log,
        once all refusals of the turn are struck out.
        """
        ...


@dataclass
class ConsumerPromises:
    """Of one life of a consumer. Sequences are the stream's."""

    name: str
    description: bytes
    spec: ConsumerSpec
    start_seq: int  # the first sequence that it may deliver
    descriptions: dict[bytes, ConsumerSpec]  # of its creation and all its updates
    delivered: dict[int, int] = field(default_factory=dict)  # sequence -> how often
    acked: set[int] = field(default_factory=set)  # an acknowledgement was sent
    confirmed: set[int] = field(default_factory=set)  # AckSync was answered
    open: dict[int, Delivery] = field(default_factory=dict)  # last delivery of what is not acked

    def wants(self, message: Message) -> bool:
        return not self.spec["filters"] or message.subject in self.spec["filters"]

    def covers(self, seq: int) -> list[int]:
        """What an acknowledgement of `seq` acknowledges."""
        return (
            [s for s in self.delivered if s <= seq] if self.spec["ack_policy"] == ACK_ALL else [seq]
        )


@dataclass
class StreamPromises:
    """Of one life of a stream: a name that was deleted and created again has two."""

    name: str
    description: bytes  # unique: says which life
    spec: StreamSpec
    stream: int = 0  # the kernel's id
    created: bool = False
    delete_proposed: bool = False
    deleted: bool = False
    operations: list[Operation] = field(default_factory=list)
    committed: int = 0  # so many operations were answered
    model: StreamModel = field(init=False)  # after all operations
    consumers: dict[str, ConsumerPromises] = field(default_factory=dict)
    lives: list[ConsumerPromises] = field(default_factory=list)  # of all consumers that ever were
    verdicts: list[object] = field(default_factory=list)  # of the model, on each operation

    def __post_init__(self) -> None:
        self.model = self.empty_model()

    def empty_model(self) -> StreamModel:
        return StreamModel(self.name, self.spec, self.description)

    def note(self, operation: Operation) -> int:
        """Its place in the log."""
        self.operations.append(operation)
        self.verdicts.append(apply(self.model, operation))
        return len(self.operations) - 1

    def strike_out(self, position: int) -> None:
        self.operations[position] = Nothing()
        self.model = self.empty_model()
        self.verdicts = [apply(self.model, operation) for operation in self.operations]

    def state_after(self, count: int) -> StreamModel:
        model = self.empty_model()
        for operation in self.operations[:count]:
            apply(model, operation)
        return model


class Ledger:
    """Sends through a node and remembers; `attach` it to the next life of the node."""

    def __init__(self) -> None:
        self.streams: list[StreamPromises] = []
        self._lives = 0
        self.forget_node()

    def __deepcopy__(self, memo: dict[int, object]) -> Ledger:
        twin = Ledger()
        twin.streams = copy.deepcopy(self.streams, memo)
        twin._lives = self._lives
        return twin

    def forget_node(self) -> None:
        self._waiting: dict[int, Callable[[object], None]] = {}
        self.queued: list[Callable[[], None]] = []  # what enters the log with the next turn
        self.batches: dict[int, Batch] = {}  # by the number of their inbox
        self._publishes: dict[int, tuple[StreamPromises, int]] = {}  # where it is in which log
        self.turned_away = 0  # publishes that found no room in the journal
        self._seen_deliveries = 0

    def attach(self, node: SimulatedNode) -> None:
        self.node = node
        self.forget_node()

    def stream(self, name: str) -> StreamPromises:
        return next(s for s in reversed(self.streams) if s.name == name and not s.delete_proposed)

    def names(self) -> list[str]:
        return [s.name for s in self.streams if not s.delete_proposed]

    # -- streams

    def create_stream(self, name: str, spec: StreamSpec) -> StreamPromises:
        self._lives += 1
        promises = StreamPromises(name, f"{name}#{self._lives}".encode(), spec)
        token = self.node.next_number()
        promises.stream = self.node.kernel.propose_stream_create(
            token, self.node.account, name.encode(), promises.description, spec
        )
        self.streams.append(promises)
        self._waiting[token] = lambda _: setattr(promises, "created", True)
        return promises

    def delete_stream(self, name: str) -> None:
        promises = self.stream(name)
        token = self.node.next_number()
        self.node.kernel.propose_stream_delete(token, promises.stream)
        promises.delete_proposed = True
        self._waiting[token] = lambda _: setattr(promises, "deleted", True)

    def update_stream(self, name: str, spec: StreamSpec) -> None:
        s = self.stream(name)
        self._lives += 1
        description = f"{name}#{self._lives}".encode()
        token = self.node.next_number()
        self.node.kernel.propose_stream_update(token, s.stream, description, spec)
        self._note(s, Update(description, spec), token)

    def purge(self, name: str, subject: bytes = b"", seq: int = 0, keep: int = 0) -> None:
        s = self.stream(name)
        token = self.node.next_number()
        self.node.kernel.propose_purge(token, s.stream, subject, seq, keep)
        self._note(s, Purge(subject, seq, keep), token)

    def delete_message(self, name: str, seq: int, erase: bool = False) -> None:
        s = self.stream(name)
        token = self.node.next_number()
        self.node.kernel.propose_delete(token, s.stream, seq, erase)
        self._note(s, Delete(seq, erase), token)

    def publish(
        self,
        name: str,
        subject: bytes,
        body: bytes,
        message_id: str = "",
        expected_last_seq: int = -1,
        headers: tuple[str, ...] = (),
    ) -> None:
        """Enters the log at the end of the turn, behind what was proposed in it."""
        lines = [f"Nats-Msg-Id: {message_id}"] if message_id else []
        lines += headers
        if expected_last_seq != -1:
            lines.append(f"Nats-Expected-Last-Sequence: {expected_last_seq}")
        header = "".join(f"{line}\r\n" for line in lines)
        block = f"NATS/1.0\r\n{header}\r\n".encode() if lines else b""
        number = self.node.publish(subject, body, block)
        message = Message(subject, block, body, 0)
        s, publish = self.stream(name), Publish(message, message_id)
        self.queued.append(lambda: self._enter(s, publish, number))

    # -- consumers

    def create_consumer(self, stream: str, name: str, spec: ConsumerSpec) -> None:
        s = self.stream(stream)
        self._lives += 1
        description = f"{name}#{self._lives}".encode()
        start = s.model.last_seq + 1 if spec["deliver_policy"] == 2 else 1
        token = self.node.next_number()
        kernel = self.node.kernel
        id_ = kernel.propose_consumer_create(token, s.stream, name.encode(), description, spec)
        self._note(s, ConsumerCreate(name, description, spec), token)
        self._start_when_committed(token, s.stream, id_)
        consumer = ConsumerPromises(name, description, spec, start, {description: spec})
        s.consumers[name] = consumer
        s.lives.append(consumer)

    def update_consumer(self, stream: str, name: str, spec: ConsumerSpec) -> None:
        s, consumer = self.stream(stream), self.stream(stream).consumers[name]
        self._lives += 1
        description = f"{name}#{self._lives}".encode()
        id_ = self.node.consumer_ids(s.stream)[s.model.consumers[name].description]
        token = self.node.next_number()
        self.node.kernel.propose_consumer_update(token, s.stream, id_, description, spec)
        self._note(s, ConsumerUpdate(name, description, spec), token)
        self._start_when_committed(token, s.stream, id_)
        consumer.description, consumer.spec = description, spec
        consumer.descriptions[description] = spec

    def delete_consumer(self, stream: str, name: str) -> None:
        s = self.stream(stream)
        id_ = self.node.consumer_ids(s.stream)[s.model.consumers[name].description]
        token = self.node.next_number()
        self.node.kernel.propose_consumer_delete(token, s.stream, id_)
        self._note(s, ConsumerDelete(name), token)
        s.consumers.pop(name)

    def pull(self, stream: str, consumer: str, batch: int) -> list[Delivery]:
        """What arrived in the turn of the request."""
        seen = len(self.node.deliveries)
        self.node.pull(stream, consumer, batch)
        self.turn()
        mine = (stream, consumer)
        return [d for d in self.node.deliveries[seen:] if (d.stream, d.consumer) == mine]

    def acknowledge(self, d: Delivery, kind: bytes = b"+ACK", *, confirm: bool = False) -> None:
        consumer = self.stream(d.stream).consumers[d.consumer]
        number = self.node.acknowledge(d.ack_subject, kind, confirm=confirm)
        if kind not in (b"+ACK", b"+TERM"):
            return
        covered = consumer.covers(d.stream_seq)
        consumer.acked.update(covered)
        for seq in covered:
            consumer.open.pop(seq, None)
        if confirm:
            self._waiting[number] = lambda _: consumer.confirmed.update(covered)

    # -- turns

    def turn(self, count: int = 1) -> None:
        """Raises PowerLoss, after the promises of the turn have been noted."""
        for _ in range(count):
            for enter in self.queued:
                enter()
            self.queued.clear()
            try:
                self.node.turn()
            finally:
                self._take_answers()

    def _enter(self, s: StreamPromises, publish: Publish, number: int) -> None:
        # The turn stamps its messages with its own time.
        time_ns = self.node.clock.now_ns + TURN_NS
        publish = publish._replace(message=publish.message._replace(time_ns=time_ns))
        position = s.note(publish)

        def answered(reply: object) -> None:
            assert isinstance(reply, bytes)
            answer = json.loads(reply)
            s.committed = max(s.committed, position + 1)
            refused = "error" in answer
            got = REFUSED if refused else Stored(answer["seq"], answer.get("duplicate", False))
            expected = s.verdicts[position]
            assert got == expected, f"{s.name}: {publish} was answered {answer}, not {expected}"

        self._waiting[number] = answered
        self._publishes[number] = (s, position)

    def _note(self, s: StreamPromises, operation: Operation, token: int) -> None:
        position = s.note(operation)

        def answered(_: object) -> None:
            s.committed = max(s.committed, position + 1)

        self._waiting[token] = answered

    def _start_when_committed(self, token: int, stream: int, consumer: int) -> None:
        """Else it would deliver after a restart only."""
        kernel, committed = self.node.kernel, self._waiting[token]

        def started(result: object) -> None:
            committed(result)
            kernel.start_consumer(stream, consumer)

        self._waiting[token] = started

    def _take_answers(self) -> None:
        node = self.node
        for token, result in node.committed.items():
            if answered := self._waiting.pop(token, None):
                answered(result)
        node.committed.clear()
        confirm = [
            check
            for number, batch in self.batches.items()
            for check in batch.take(node.replies.pop(number, []))
        ]
        self._strike_out_refused()
        for check in confirm:
            check()
        for number, replies in node.replies.items():
            answered = self._waiting.pop(number, None)
            if answered and not replies[0].header.startswith(b"NATS/1.0 503"):  # nobody took it
                answered(replies[0].body)
        node.replies.clear()
        for delivery in node.deliveries[self._seen_deliveries :]:
            self._take_delivery(delivery)
        self._seen_deliveries = len(node.deliveries)

    def _strike_out_refused(self) -> None:
        """No room in the journal: it never got into the log. Of what a failed store refuses that
        is not known.
        """
        node = self.node
        for number, (s, position) in self._publishes.items():
            replies = node.replies.get(number)
            if replies is None:
                continue
            failed = any(failure in replies[0].body for failure in FAILED)
            turned_away = any(refusal in replies[0].body for refusal in TURNED_AWAY)
            if failed or turned_away:
                del node.replies[number], self._waiting[number]
            if turned_away:
                s.strike_out(position)
                self.turned_away += 1

    def _take_delivery(self, d: Delivery) -> None:
        if d.stream not in self.names() or d.consumer not in self.stream(d.stream).consumers:
            return  # its deletion is on the way
        s = self.stream(d.stream)
        consumer = s.consumers[d.consumer]
        seq = d.stream_seq
        assert seq not in consumer.confirmed, (
            f"{d.consumer} got {seq} again, whose AckSync was answered"
        )
        consumer.delivered[seq] = consumer.delivered.get(seq, 0) + 1
        message = s.model.messages.get(seq)
        if message is not None:  # None: what removes it is on its way
            assert (d.subject, d.header, d.body) == message.content, (
                f"{s.name} {seq} has other content"
            )
            assert consumer.wants(message), (
                f"{d.consumer} got {seq} of {d.subject!r} against its filter"
            )
        consumer.open[seq] = d

    # -- after a crash

    def reconcile(self, node: SimulatedNode) -> None:
        """Judges what `node` recovered, and goes on from there."""
        self.attach(node)
        node.kernel.check()
        found = {record.description: record.stream for record in node.recovered}
        kept = []
        for s in self.streams:
            possible = {s.description} | {
                o.description for o in s.operations if isinstance(o, Update)
            }
            names = possible & found.keys()
            if s.deleted or s.spec["memory"]:
                assert not names, f"stream {s.name} was deleted, and is there again"
                continue
            if not names:
                assert s.delete_proposed or not s.created, (
                    f"stream {s.name} was created, and is gone"
                )
                continue
            assert len(names) == 1, f"stream {s.name} is there twice: {names}"
            description = names.pop()
            s.stream = found.pop(description)
            s.created, s.delete_proposed = True, False
            self._settle(s, description)
            kept.append(s)
        assert not found, f"nobody asked for {found}"
        self.streams = kept

    def _settle(self, s: StreamPromises, description: bytes) -> None:
        observed = observe(self.node, s.stream)
        model = s.state_after(s.committed)
        best, explanation = None, difference(observed, description, model, self.node.clock.now_ns)
        if not explanation:
            best = (s.committed, model.copy())
        for count in range(s.committed, len(s.operations)):
            apply(model, s.operations[count])
            if not difference(observed, description, model, self.node.clock.now_ns):
                best = (count + 1, model.copy())
        assert best, (
            f"stream {s.name}: found no prefix of the log from entry {s.committed} of "
            f"{len(s.operations)} on; against what was acknowledged: {explanation}"
        )
        count, s.model = best
        del s.operations[count:], s.verdicts[count:]
        s.committed = count
        self.drop_expired(s)
        s.consumers = surviving_consumers(s)
        for consumer in s.consumers.values():
            self._check_consumer(s, consumer)

    def drop_expired(self, s: StreamPromises) -> None:
        """Time removes by the clock, not by an operation: what is old enough may be gone."""
        if not s.model.spec["max_age_ns"] and not s.model.spec["allow_msg_ttl"]:
            return
        present = observe(self.node, s.stream).messages
        for seq in [q for q in s.model.messages if q not in present]:
            over = is_over(s.model, s.model.messages.pop(seq), self.node.clock.now_ns)
            assert over, f"{s.name} {seq} went too early"

    def _check_consumer(self, s: StreamPromises, consumer: ConsumerPromises) -> None:
        id_ = self.node.consumer_ids(s.stream)[consumer.description]
        state = self.node.kernel.consumer_state(s.stream, id_)
        consumer.open.clear()
        floor = state.ack_floor_stream_seq
        settled = consumer.delivered if consumer.spec["ack_policy"] == ACK_NONE else consumer.acked
        passed = [
            seq
            for seq, message in s.model.messages.items()
            if consumer.start_seq <= seq <= floor and consumer.wants(message) and seq not in settled
        ]
        assert not passed, (
            f"consumer {consumer.name} resumes at {floor}, beyond {passed}, never acknowledged"
        )
        assert state.delivered_stream_seq <= max(s.model.last_seq, consumer.start_seq - 1), (
            f"consumer {consumer.name} is beyond its stream: {state}"
        )


def surviving_consumers(s: StreamPromises) -> dict[str, ConsumerPromises]:
    """The consumers that the prefix of the log leaves, each with the promises of its life."""
    kept = {}
    for name, model in s.model.consumers.items():
        description = model.description
        life = next(c for c in s.lives if description in c.descriptions)
        life.description, life.spec = description, life.descriptions[description]
        kept[name] = life
    return kept


@dataclass
class Observed:
    messages: dict[int, tuple[bytes, bytes, bytes]]
    last_seq: int
    count: int
    consumers: set[bytes]


def observe(node: SimulatedNode, stream: int) -> Observed:
    state = node.kernel.stream_state(stream)
    messages = {}
    seq = 1
    while (m := node.kernel.get_next(stream, b"", seq)) is not None:
        messages[m.seq] = (m.subject, m.header, m.body)
        seq = m.seq + 1
    return Observed(messages, state.last_seq, state.messages, set(node.consumer_ids(stream)))


def is_over(model: StreamModel, message: Message, now_ns: int) -> bool:
    """By the stream's age limit, or by a time to live of its own."""
    age_ns, limits_ns = now_ns - message.time_ns, []
    if message.ttl_s >= 0 and model.spec["max_age_ns"]:
        limits_ns.append(model.spec["max_age_ns"])
    if message.ttl_s > 0:
        limits_ns.append(message.ttl_s * 1_000_000_000)
    return any(age_ns >= limit_ns for limit_ns in limits_ns)


def difference(o: Observed, description: bytes, model: StreamModel, now_ns: int) -> str:
    """Empty if they are the same; messages whose age is over may be gone or not."""
    if description != model.description:
        return f"configuration {description!r}, not {model.description!r}"
    if o.count != len(o.messages):
        return f"{len(o.messages)} messages can be read, the state counts {o.count}"
    wanted = {
        seq: m.content
        for seq, m in model.messages.items()
        if seq in o.messages or not is_over(model, m, now_ns)
    }
    if missing := wanted.keys() - o.messages.keys():
        return f"messages {sorted(missing)} are missing"
    if surplus := o.messages.keys() - wanted.keys():
        return f"messages {sorted(surplus)} should not be there"
    if changed := [seq for seq, content in wanted.items() if o.messages[seq] != content]:
        return f"messages {changed} have other content"
    if o.last_seq != model.last_seq:
        return f"last sequence {o.last_seq}, not {model.last_seq}"
    consumers = {consumer.description for consumer in model.consumers.values()}
    if o.consumers != consumers:
        return f"consumers {o.consumers}, not {consumers}"
    return ""
