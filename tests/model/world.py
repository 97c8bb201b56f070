"""A whole server over a simulated disk and clock, and beside it what it may be: the model's
streams.

One *step* is one moment: the clock stands, timers that are due fire, clients do something, and
turns run until nothing moves any more. After it, everything that arrived anywhere is compared with
what the model sent, message by message and byte by byte, and so is every state that the API shows.

Power may go at any disk operation. What is certain then is what was promised; how much more of a
stream's log survived is not. So a stream is a set of *possibilities*, one for each length that its
log may have; what the recovered server shows, then and later, rules out the wrong ones. None left:
the server is none of what it may be.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pin_names import PinNames
from slipstream.jetstream.api import JetStreamApi, Options
from slipstream.jetstream.ids import IdSource
from slipstream.jetstream.limits import AccountLimits, ServerLimits
from slipstream.kernel._kernel import SimDisk
from slipstream.kernel.events import Event, FailedEvent, RequestEvent
from slipstream.testing.model import Sent, StreamModel
from slipstream.testing.model.answers import consumer_info, known_part, stream_info
from slipstream.testing.simulated_node import PowerLoss, SimulatedClock, SimulatedNode

API = b"$JS.API."
INBOX = b"_BOX."
INBOXES = 256  # half of them for pulls, which may wait for long, and requests: each its own
PUSH_CONSUMERS = 8
FIRST_SERVICE = 100
QUIET_TURNS = 2
TURNS_MAX = 200
MOMENT_NS = 2_000_000  # between two steps: timers of the kernel are not finer than half of it

Answer = dict[str, Any]


def inbox_subjects() -> list[bytes]:
    """What is subscribed to. A push consumer is active for a literal subscription only (C-100)."""
    push = range(INBOXES // 2, INBOXES // 2 + PUSH_CONSUMERS)
    return [
        INBOX + (b"%d.%d" % (i, i - push[0]) if i in push else b"%d.>" % i) for i in range(INBOXES)
    ]


@dataclass
class Expected:
    """Something that is to arrive, and what its arrival promises: so many entries are durable."""

    sent: Sent
    answer: Answer | None  # of the API: compared as an object
    promises: int


@dataclass
class Possibility:
    """One of the histories that a stream may have had. `None` is a stream that is not there."""

    model: StreamModel | None
    history: list[StreamModel | None] = field(default_factory=list)  # after each entry
    certain: int = 0  # index into the history: this survives
    durable: int = 0  # index into the history: this survives once it was answered
    moments: list[int] = field(default_factory=list)  # when each entry was made
    now_ns: int = 0
    expected: list[Expected] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.history:
            self._remember(self.model)

    def _remember(self, state: StreamModel | None) -> None:
        self.history.append(state.copy() if state else None)
        self.moments.append(self.now_ns)

    def entry(self, *, durable: bool = False) -> None:
        """The log has one more entry; `durable`: somebody waits for it."""
        if self.model != self.history[-1]:
            self._remember(self.model)
        if durable:
            self.durable = len(self.history) - 1

    def send(self, sent: Iterable[Sent], *, durable: bool = False) -> None:
        promises = len(self.history) - 1 if durable else 0
        self.expected += [Expected(one, None, promises) for one in sent]

    def answer(self, inbox: bytes, fields: Answer, *, durable: bool = False) -> None:
        promises = len(self.history) - 1 if durable else 0
        self.expected.append(Expected(Sent(inbox, inbox), fields, promises))

    def tick(self, now_ns: int) -> None:
        """Timers, then deliveries; each consumer's are one entry."""
        self.now_ns = now_ns
        if self.model is None:
            return
        for consumer in self.model.consumers.values():
            self.send(consumer.timer(now_ns))
            self.entry()
        if self.model.expire(now_ns):
            self.entry()
        self.deliver(now_ns)

    def deliver(self, now_ns: int) -> None:
        if self.model is None:
            return
        for consumer in self.model.consumers.values():
            self.send(consumer.run(self.model.messages, now_ns))
        self.model.settle()
        self._deliveries_in_any_order()

    def _deliveries_in_any_order(self) -> None:
        """Which consumer's deliveries come first in the log is not a client's business."""
        before, after = self.history[-1], self.model
        if before is None or after is None:
            return
        changed = [n for n in after.consumers if after.consumers[n] != before.consumers.get(n)]
        for count in range(1, len(changed)):
            for some in itertools.combinations(changed, count):
                between = before.copy()
                for name in some:
                    between.consumers[name] = after.consumers[name].copy()
                self._remember(between)
        if changed:
            self.entry()

    def unused_gone(self, now_ns: int) -> list[Possibility]:
        """The server may take a while to notice that a consumer is unused (C-108)."""
        found = [self]
        for name, consumer in list(self.model.consumers.items()) if self.model else ():
            if consumer.may_be_deleted(now_ns):
                gone = [possibility._without(name, now_ns) for possibility in found]
                found = gone if consumer.must_be_deleted(now_ns) else found + gone
        return found

    def _without(self, consumer: str, now_ns: int) -> Possibility:
        assert self.model is not None
        after = replace(
            self,
            model=self.model.copy(),
            history=list(self.history),
            moments=list(self.moments),
            expected=list(self.expected),
        )
        assert after.model is not None
        after.model.delete_consumer(consumer)
        after.entry()
        after.deliver(now_ns)
        return after

    def arrived(self, sync_interval_ns: int) -> None:
        """Everything that was expected; what was promised is certain now. With an interval nothing
        is promised but that it is synced after so long.
        """
        self.expected.clear()
        if sync_interval_ns:
            synced = [m for m in self.moments if m + sync_interval_ns <= self.now_ns]
            self.durable = max(len(synced) - 1, 0)
        self.forget_before(self.durable)

    def forget_before(self, index: int) -> None:
        del self.history[:index], self.moments[:index]
        self.certain = self.durable = 0


class World:
    def __init__(self, seed: int, *, sync_interval_ns: int = 0) -> None:
        self.disk = SimDisk(seed)
        self.clock = SimulatedClock()
        self.seed = seed
        self.sync_interval_ns = sync_interval_ns
        self.streams: dict[str, list[Possibility]] = {}
        self.numbers = 0
        self._start()

    # -- life

    def _start(self) -> None:
        self.node = SimulatedNode(
            self.disk,
            self.clock,
            seed=self.seed,
            sync_interval_ns=self.sync_interval_ns,
            services={s: FIRST_SERVICE + i for i, s in enumerate(inbox_subjects())},
            has_twin=True,
        )
        options = Options("model", "2.15.1", ServerLimits(1 << 40, 1 << 40))
        ids = IdSource(random.Random(self.seed).getrandbits)
        self.api = JetStreamApi(self.node.kernel, options, ids, lambda _: None)
        self.api.add_account("$G", AccountLimits())
        self.api.recover(self.node.recovered)
        self.pins = PinNames()
        self.arrived: dict[int, list[RequestEvent]] = {}
        self.deliveries: dict[str, list[RequestEvent]] = {}
        self.failed = ""

    def possibilities(self, stream: str) -> list[Possibility]:
        return self.streams.setdefault(stream, [Possibility(None)])

    def model(self, stream: str) -> StreamModel | None:
        """One of what it may be, to choose from."""
        return self.possibilities(stream)[0].model

    def inbox(self, fixed: int | None = None) -> bytes:
        self.numbers += 1
        space = self.numbers % (INBOXES // 2) if fixed is None else INBOXES // 2 + fixed
        return INBOX + b"%d.%d" % (space, self.numbers if fixed is None else fixed)

    # -- one step

    def step(self, stream: str, operation: Callable[[Possibility], None]) -> None:
        """`operation` says what each possibility makes of what was sent before. Raises PowerLoss
        when the power went.
        """
        now_ns = self.clock.now_ns
        for possibility in self.possibilities(stream):
            possibility.now_ns = now_ns
            operation(possibility)
            possibility.deliver(now_ns)
        self.settle()

    def send(self, subject: bytes, reply: bytes, header: bytes, body: bytes) -> None:
        self.node.kernel.publish(self.node.account, subject, reply, header, body)

    def settle(self) -> None:
        quiet = turns = 0
        while quiet < QUIET_TURNS:
            operations = self.disk.operations
            events = self.node.step(0)
            for event in events:
                self._take(event)
            if self.disk.crashed:
                self._keep_promises()
                raise PowerLoss
            self.api.step(self.clock.now_ns)
            quiet = 0 if events or self.disk.operations != operations else quiet + 1
            turns += 1
            assert turns < TURNS_MAX, "the server does not come to rest"
        assert not self.failed, self.failed
        self.node.kernel.check()
        self._compare_arrived()
        for stream in list(self.streams):
            self._compare_state(stream)

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestEvent) and event.service >= FIRST_SERVICE:
            self.arrived.setdefault(event.service - FIRST_SERVICE, []).append(event)
            if event.reply.startswith(b"$JS.ACK."):
                self.deliveries.setdefault(event.reply.split(b".")[2].decode(), []).append(event)
        elif isinstance(event, FailedEvent):
            self.failed = event.text
        elif not self.disk.crashed:
            self.api.handle(event, self.clock.now_ns)

    def advance(self, duration_ns: int) -> None:
        """Stops wherever something happens by itself."""
        end_ns = self.clock.now_ns + max(duration_ns, MOMENT_NS)
        while self.clock.now_ns < end_ns:
            next_ns = max(self.deadline_ns(), self.clock.now_ns + MOMENT_NS)
            self._pass(min(next_ns, end_ns) - self.clock.now_ns)

    def _pass(self, duration_ns: int) -> None:
        self.clock.advance(duration_ns)
        for possibilities in self.streams.values():
            for possibility in possibilities:
                possibility.tick(self.clock.now_ns)
            possibilities[:] = [q for p in possibilities for q in p.unused_gone(self.clock.now_ns)]
        self.settle()

    def deadline_ns(self) -> int:
        ends: list[int | None] = []
        for possibilities in self.streams.values():
            for model in (p.model for p in possibilities if p.model):
                ends.append(model.deadline_ns())
                ends += [c.deadline_ns() for c in model.consumers.values()]
        now_ns = self.clock.now_ns
        return min((e for e in ends if e is not None and e > now_ns), default=1 << 62)

    # -- comparing

    def _expected(self, possibility: Possibility) -> dict[int, list[Expected]]:
        by_space: dict[int, list[Expected]] = {}
        for expected in possibility.expected:
            by_space.setdefault(int(expected.sent.to.split(b".")[1]), []).append(expected)
        return by_space

    def _compare_arrived(self) -> None:
        arrived, self.arrived = self.arrived, {}
        for stream, possibilities in self.streams.items():
            mine = self._arrived_for(possibilities, arrived)
            for space in mine:
                del arrived[space]
            self.rule_out(stream, lambda p, mine=mine: self._wrong_arrivals(p, mine))  # type: ignore[misc]
            for possibility in self.streams[stream]:
                possibility.arrived(self.sync_interval_ns)
        assert not arrived, f"nobody expected {arrived}"

    def _arrived_for(
        self, possibilities: list[Possibility], arrived: dict[int, list[RequestEvent]]
    ) -> dict[int, list[RequestEvent]]:
        spaces = {space for p in possibilities for space in self._expected(p)}
        return {space: events for space, events in arrived.items() if space in spaces}

    def everything_arrived(self) -> bool:
        return all(
            not all(self._wrong_arrivals(p, self._arrived_for(ps, self.arrived)) for p in ps)
            for ps in self.streams.values()
        )

    def _wrong_arrivals(self, p: Possibility, arrived: dict[int, list[RequestEvent]]) -> str:
        expected = self._expected(p)
        for space in sorted(expected.keys() | arrived.keys()):
            wanted, got = expected.get(space, []), arrived.get(space, [])
            for one, other in itertools.zip_longest(wanted, got):
                if one is None or other is None or (wrong := self.differs(one, other)):
                    text = wrong if one and other else ""
                    return f"inbox {space}: {other}\n  is not {one}\n  {text}"
        return ""

    def differs(self, expected: Expected, event: RequestEvent) -> str:
        sent = expected.sent
        if expected.answer is not None:
            found = known_part(json.loads(event.body))
            answer = self.pins.named(expected.answer)
            return "" if found == answer else difference(found, answer)
        header = self.pins.learn(sent.header, event.header)
        wanted = (sent.subject, sent.reply, header, sent.body)
        got = (event.subject, event.reply, event.header, event.body)
        return "" if got == wanted else f"{got}\n  is not {wanted}"

    def ask(self, verb: str, body: Answer | None = None) -> Answer:
        """A question whose answer changes nothing."""
        inbox = self.inbox()
        space = int(inbox.split(b".")[1])
        payload = b"" if body is None else json.dumps(body).encode()
        self.send(API + verb.encode(), inbox, b"", payload)
        for _ in range(TURNS_MAX):
            for event in self.node.step(0):
                self._take(event)
            if self.disk.crashed:
                raise PowerLoss
            self.api.step(self.clock.now_ns)
            if found := self.arrived.pop(space, None):
                answer = json.loads(found[0].body)
                assert isinstance(answer, dict)
                return answer
        raise AssertionError(f"{verb} is not answered")

    def _compare_state(self, stream: str) -> None:
        info = self.ask(f"STREAM.INFO.{stream}", {"deleted_details": True, "subjects_filter": ">"})
        missing = "error" in info
        consumers = [] if missing else self.ask(f"CONSUMER.LIST.{stream}")["consumers"]
        info = {key: info[key] for key in ("config", "state")} if not missing else {}
        known = self.known(info)
        self.rule_out(stream, lambda p: self._wrong_state(p, known, self.known(consumers)))

    def known(self, shown: Any) -> Any:
        """What of an answer, or of what the model says, is compared."""
        return known_part(shown)

    def _wrong_state(self, p: Possibility, info: Answer, consumers: list[Answer]) -> str:
        if p.model is None:
            return f"the stream is there: {info}" if info else ""
        if not info:
            return "the stream is not there"
        if wrong := difference(info, self.known(stream_info(p.model, details=True))):
            return wrong
        names = sorted(p.model.consumers)
        now_ns = self.clock.now_ns
        said = [consumer_info(p.model, p.model.consumers[n], now_ns) for n in names]
        wanted = [self.known(self.pins.named(one)) for one in said]
        if [c["name"] for c in consumers] != names:
            return f"consumers {[c['name'] for c in consumers]}, not {names}"
        return "\n".join(
            f"consumer {one['name']}: {difference(one, other)}"
            for one, other in zip(consumers, wanted, strict=True)
            if one != other
        )

    def rule_out(self, stream: str, wrong: Callable[[Possibility], str]) -> None:
        complaints = [(p, wrong(p)) for p in self.streams[stream]]
        left = [p for p, complaint in complaints if not complaint]
        if not left:
            texts = "\n".join(f"- {complaint}" for _, complaint in complaints)
            raise AssertionError(f"stream {stream} is none of what it may be:\n{texts}")
        self.streams[stream] = left

    # -- power

    def _keep_promises(self) -> None:
        """What arrived before the power went is certain."""
        arrived, self.arrived = self.arrived, {}
        for possibilities in self.streams.values():
            for possibility in possibilities:
                for space, expected in self._expected(possibility).items():
                    for one, event in zip(expected, arrived.get(space, []), strict=False):
                        wrong = self.differs(one, event)
                        assert not wrong, wrong
                        if not self.sync_interval_ns:
                            possibility.certain = max(possibility.certain, one.promises)
                possibility.expected.clear()

    def recover(self, disk: SimDisk) -> None:
        """Starts on what is left. Raises PowerLoss if that fails for want of power."""
        self.disk = disk
        for possibilities in self.streams.values():
            possibilities[:] = after_crash(possibilities, self.clock.now_ns)
        self._start()
        self._pass(MOMENT_NS)  # what is overdue happens now

    def try_start(self, disk: SimDisk) -> None:
        """Raises StoreError as the kernel does."""
        SimulatedNode(disk, self.clock, seed=self.seed, sync_interval_ns=self.sync_interval_ns)

    def all_is_written(self) -> None:
        """A process that stops or is killed loses nothing that its turns have done."""
        for possibilities in self.streams.values():
            for possibility in possibilities:
                possibility.forget_before(len(possibility.history) - 1)


def after_crash(possibilities: list[Possibility], now_ns: int) -> list[Possibility]:
    left: list[Possibility] = []
    for possibility in possibilities:
        for state in possibility.history[possibility.certain :]:
            survivor = None if state is None or state.spec["memory"] else state.copy()
            if survivor is not None:
                for consumer in survivor.consumers.values():
                    consumer.restart(now_ns)
            if all(survivor != other.model for other in left):
                left.append(Possibility(survivor, now_ns=now_ns))
    return left


def difference(found: Any, wanted: Any, path: str = "") -> str:
    """In words; empty if there is none."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        parts = [
            difference(found.get(key), wanted.get(key), f"{path}.{key}")
            for key in sorted(found.keys() | wanted.keys())
        ]
        return "; ".join(part for part in parts if part)
    return "" if found == wanted else f"{path[1:]} is {found!r}, not {wanted!r}"
