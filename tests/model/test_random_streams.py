"""Random operations, restarts and power losses: the whole server against the model.

Goal: what a stream and its consumers are after any sequence of operations is what the reference
says. Method: a hypothesis state machine drives a World (world.py): JetStream's API over the kernel
over a simulated disk and clock, with the model beside it. After each step every reply is compared
(acknowledgements and deliveries byte for byte), every field of the INFOs, and the kernel checks
itself. Hypothesis shrinks a failure and prints its steps, and the blob that repeats it
(@reproduce_failure).

More by hand: SLIPSTREAM_MODEL_RUNS=5000 pytest tests/model --timeout 0
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

import operations as op
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss
from slipstream.testing.simulated_node import PowerLoss
from world import World

RUNS = int(os.environ.get("SLIPSTREAM_MODEL_RUNS", "60"))
STEPS = 40
SECOND_NS = 1_000_000_000
MS = 1_000_000
NAMES = ("A", "B")
CONSUMERS = ("x", "y", "z")
CRASHES_MAX = 5

STREAMS: tuple[dict[str, Any], ...] = (
    {},
    {"storage": "memory"},
    {"max_msgs": 6},
    {"max_msgs": 5, "discard": "new"},
    {"max_bytes": 900},
    {"max_bytes": 900, "discard": "new", "storage": "memory"},
    {"max_msgs_per_subject": 2},
    {"max_msgs_per_subject": 1, "allow_rollup_hdrs": True},
    {"max_msgs_per_subject": 2, "discard": "new", "max_msgs": 5},
    {"max_msgs_per_subject": 2, "discard": "new", "discard_new_per_subject": True},
    {"max_age": 3 * SECOND_NS + 7 * MS},
    {"max_age": 3 * SECOND_NS + 7 * MS, "allow_msg_ttl": True, "allow_rollup_hdrs": True},
    {"allow_msg_ttl": True},
    {"allow_msg_ttl": True, "storage": "memory", "max_msgs_per_subject": 3},
    {"first_seq": 20, "duplicate_window": 700 * MS},
    {"allow_rollup_hdrs": True, "max_msg_size": 120},
    {"deny_delete": True, "deny_purge": True},
    {"no_ack": True},
    {"allow_msg_counter": True},
    {"allow_msg_counter": True, "max_msgs_per_subject": 1, "storage": "memory"},
    {"retention": "interest"},
    {"retention": "interest", "max_msgs_per_subject": 2, "allow_rollup_hdrs": True},
    {"retention": "interest", "storage": "memory", "max_age": 3 * SECOND_NS + 7 * MS},
    {"retention": "workqueue"},
    {"retention": "workqueue", "max_msgs": 5, "discard": "new"},
)
UPDATES: tuple[dict[str, Any], ...] = (
    {"max_msgs": 3},
    {"max_msgs": -1},
    {"max_msgs_per_subject": 1},
    {"max_bytes": 400},
    {"max_age": 2 * SECOND_NS + 3 * MS, "duplicate_window": SECOND_NS},
    {"max_age": 0},
    {"max_msg_size": 80},
    {"discard": "new"},
    {"discard": "old", "discard_new_per_subject": False},
    {"duplicate_window": 300 * MS},
    {"sealed": True},
    {"retention": "interest"},
    {"retention": "limits"},
)
ACKS = ("explicit", "explicit", "all", "none")
KINDS: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"max_deliver": 2, "ack_wait": 510 * MS},
    {"backoff": [211 * MS, 423 * MS], "max_deliver": 3},
    {"ack_wait": 333 * MS},
    {"max_ack_pending": 2},
    {"headers_only": True},
    {"max_waiting": 2, "max_batch": 4, "max_expires": 2 * SECOND_NS, "max_bytes": 300},
    {"max_deliver": 1, "ack_wait": 777 * MS},
)
POLICIES: tuple[dict[str, Any], ...] = (
    {},
    {},
    {"deliver_policy": "last"},
    {"deliver_policy": "new"},
    {"deliver_policy": "by_start_sequence", "opt_start_seq": 4},
    {"deliver_policy": "by_start_time"},
    {"deliver_policy": "last_per_subject"},
)
FILTERS: tuple[tuple[str, ...], ...] = (
    (),
    (),
    ("0",),
    ("*",),
    (">",),
    ("0", "2"),
    ("x.*", "1"),
    ("nothing",),
)
OWN_FILTERS = {"x": ("0",), "y": ("1", "2"), "z": ("x.*",)}  # nobody else's
SUBJECTS = ("0", "1", "2", "x.0", "x.1")
BODIES = (b"", b"1", b"b" * 40, b"B" * 200)
ACK_KINDS = (
    b"+ACK",
    b"",
    b"+ACK",
    b"-NAK",
    b'-NAK {"delay": 350000000}',
    b"-NAK 1.2s",
    b"+WPI",
    b"+TERM",
    b"+TERM no",
    b"+NXT",
    b'+NXT {"batch":2,"no_wait":true}',
    b"nonsense",
)
names = st.sampled_from(NAMES)
kinds = st.sampled_from(STREAMS)
consumers = st.sampled_from(CONSUMERS)
headers = st.fixed_dictionaries(
    {},
    optional={
        "Nats-Msg-Id": st.sampled_from(("a", "b", "c", "d")),
        "Nats-Expected-Last-Sequence": st.sampled_from(("last", "last", "0", "3", "x")),
        "Nats-Expected-Last-Subject-Sequence": st.sampled_from(("last", "last", "0", "7")),
        "Nats-Expected-Last-Subject-Sequence-Subject": st.sampled_from(("{}.0", "{}.x.*")),
        "Nats-Expected-Last-Msg-Id": st.sampled_from(("a", "b", "last")),
        "Nats-Expected-Stream": st.sampled_from(("A", "B")),
        "Nats-Rollup": st.sampled_from(("sub", "ALL", "nobody")),
        "Nats-TTL": st.sampled_from(("1", "2s", "never", "0", "500ms", "x", "1m")),
        "Nats-Incr": st.sampled_from(("1", "-20", "+3", "x")),
        "X-Other": st.sampled_from(("<&>", "Nats-Msg-Id: a")),
    },
)
plain = st.just({})
mostly_ids = st.fixed_dictionaries({}, optional={"Nats-Msg-Id": st.sampled_from(("a", "b", "c"))})
increments = st.fixed_dictionaries(
    {"Nats-Incr": st.sampled_from(("1", "-20", "+3"))},
    optional={"Nats-Msg-Id": st.sampled_from(("a", "b"))},
)
ttls = st.fixed_dictionaries({"Nats-TTL": st.sampled_from(("1", "2s", "never"))})


class RandomStreams(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32), kinds_=st.lists(kinds, min_size=1, max_size=2))
    def start(self, seed: int, kinds_: list[dict[str, Any]]) -> None:
        self.world = World(seed)
        self.crashes = 0
        for name, kind in zip(NAMES, kinds_, strict=False):
            self.create_stream(name, kind)

    # -- what clients do; each may be the one in which the power goes

    def do(self, operation: Any, *arguments: Any, **named: Any) -> None:
        try:
            operation(self.world, *arguments, **named)
        except PowerLoss:
            self.recover(list(Loss)[self.world.disk.operations % len(Loss)])

    def consumer(self, name: str, consumer: str) -> Any:
        model = self.world.model(name)
        return model and model.consumers.get(consumer)

    @rule(name=names, kind=kinds)
    def create_stream(self, name: str, kind: dict[str, Any]) -> None:
        if self.world.model(name) is None:
            self.do(op.create_stream, {"name": name, "subjects": [f"{name}.>"], **kind})

    @rule(name=names, really=st.integers(0, 4))
    def delete_stream(self, name: str, really: int) -> None:
        if really == 0:
            self.do(op.delete_stream, name)

    @rule(name=names, change=st.sampled_from(UPDATES))
    def update_stream(self, name: str, change: dict[str, Any]) -> None:
        model = self.world.model(name)
        if model is None:
            return
        asked = {**model.description, **change}
        if not asked.get("discard_new_per_subject"):
            asked.pop("discard_new_per_subject", None)
        if op.is_valid_update(model.description, asked):
            self.do(op.update_stream, asked)

    @rule(
        name=names,
        messages=st.lists(
            st.tuples(
                st.sampled_from(SUBJECTS),
                st.one_of(plain, mostly_ids, ttls, headers, increments),
                st.sampled_from(BODIES),
            ),
            min_size=1,
            max_size=4,
        ),
    )
    def publish(self, name: str, messages: list[tuple[str, dict[str, str], bytes]]) -> None:
        model = self.world.model(name)
        if model is None:
            return
        filled = [
            (f"{name}.{s}", op.filled_headers(model, f"{name}.{s}", h), b) for s, h, b in messages
        ]
        self.do(op.publish, name, filled)

    @rule(name=names, back=st.integers(-1, 6), erase=st.booleans())
    def delete_message(self, name: str, back: int, erase: bool) -> None:
        if (model := self.world.model(name)) is not None:
            self.do(op.delete_message, name, max(model.last_seq - back, 1), erase=erase)

    @rule(
        name=names,
        filter_=st.sampled_from(("", "", "0", "x.*", ">")),
        back=st.integers(-3, 5),
        keep=st.integers(0, 3),
        by_seq=st.booleans(),
    )
    def purge(self, name: str, filter_: str, back: int, keep: int, by_seq: bool) -> None:
        model = self.world.model(name)
        if model is None:
            return
        seq = max(model.last_seq - back, 1) if by_seq else 0
        filter_ = f"{name}.{filter_}" if filter_ else ""
        self.do(op.purge, name, filter_=filter_, seq=seq, keep=0 if by_seq else keep)

    @rule(name=names, back=st.integers(0, 8))
    def get_message(self, name: str, back: int) -> None:
        if (model := self.world.model(name)) is not None and model.last_seq > back:
            self.do(op.get_message, name, model.last_seq - back)

    @rule(
        name=names,
        consumer=consumers,
        acks=st.sampled_from(ACKS),
        kind=st.sampled_from(KINDS),
        policy=st.sampled_from(POLICIES),
        filters=st.sampled_from(FILTERS),
        push=st.integers(0, 3),
    )
    def create_consumer(
        self,
        name: str,
        consumer: str,
        acks: str,
        kind: dict[str, Any],
        policy: dict[str, Any],
        filters: tuple[str, ...],
        push: int,
    ) -> None:
        model = self.world.model(name)
        if model is None or self.consumer(name, consumer) is not None:
            return
        if model.description["retention"] == "workqueue":  # C-055
            acks, policy, filters = "explicit", {}, OWN_FILTERS[consumer]
        asked = {"durable_name": consumer, "ack_policy": acks, **kind, **policy}
        if acks == "none":
            for key in ("ack_wait", "backoff", "max_deliver", "max_ack_pending"):
                asked.pop(key, None)
        asked |= op.filter_fields(name, filters, policy)
        times = {}
        if policy.get("deliver_policy") == "by_start_time":
            times["opt_start_time"] = self.world.clock.now_ns - 1500 * MS
        if push == 0:
            for key in ("max_waiting", "max_batch", "max_expires", "max_bytes"):
                asked.pop(key, None)
            number = NAMES.index(name) * len(CONSUMERS) + CONSUMERS.index(consumer)
            asked["deliver_subject"] = self.world.inbox(number).decode()
            asked["idle_heartbeat"] = 900 * MS
        self.do(op.create_consumer, name, asked, times)

    @rule(name=names, consumer=consumers, filters=st.sampled_from(FILTERS), acks=st.integers(0, 3))
    def update_consumer(
        self, name: str, consumer: str, filters: tuple[str, ...], acks: int
    ) -> None:
        known, model = self.consumer(name, consumer), self.world.model(name)
        if known is None or model is None:
            return
        if model.description["retention"] == "workqueue":
            filters = OWN_FILTERS[consumer]
        asked = {k: v for k, v in known.description.items() if not k.startswith("filter_subject")}
        asked.pop("pause_until", None)
        times = {}
        if asked.pop("opt_start_time", None):
            times["opt_start_time"] = known.spec["opt_start_time_ns"]
        asked |= op.filter_fields(name, filters, asked)
        if acks and asked["ack_policy"] != "none":
            asked["max_ack_pending"] = acks
        self.do(op.create_consumer, name, asked, times, update=True)

    @rule(name=names, consumer=consumers)
    def delete_consumer(self, name: str, consumer: str) -> None:
        self.do(op.delete_consumer, name, consumer)

    @rule(name=names, consumer=consumers, ms=st.sampled_from((0, 150, 1500)))
    def pause(self, name: str, consumer: str, ms: int) -> None:
        until_ns = self.world.clock.now_ns + ms * MS if ms else 0
        self.do(op.pause, name, consumer, until_ns)

    @rule(
        name=names,
        consumer=consumers,
        body=st.one_of(
            st.none(),
            st.integers(1, 6),
            st.fixed_dictionaries(
                {"batch": st.integers(1, 6)},
                optional={
                    "expires": st.sampled_from((400 * MS, 1100 * MS, 5 * SECOND_NS)),
                    "no_wait": st.booleans(),
                    "max_bytes": st.sampled_from((120, 260, 1000)),
                    "idle_heartbeat": st.sampled_from((190 * MS, 450 * MS)),
                },
            ),
            st.fixed_dictionaries({"batch": st.integers(1, 6), "no_wait": st.just(True)}),
        ),
    )
    def pull(self, name: str, consumer: str, body: Any) -> None:
        self.do(op.pull, name, consumer, body)

    @rule(
        name=names,
        back=st.integers(0, 7),
        kind=st.sampled_from(ACK_KINDS),
        confirm=st.booleans(),
    )
    def acknowledge(self, name: str, back: int, kind: bytes, confirm: bool) -> None:
        got = self.world.deliveries.get(name, [])
        if len(got) > back:
            reply = got[-1 - back].reply
            self.do(op.acknowledge, name, reply, kind, confirm=confirm)

    @rule(ms=st.integers(1, 1300))
    def time_goes_on(self, ms: int) -> None:
        self.do(World.advance, ms * MS)

    @rule()
    def checkpoint(self) -> None:
        self.world.node.kernel.checkpoint()
        self.do(World.settle)

    # -- power

    @precondition(lambda self: self.crashes < CRASHES_MAX)
    @rule(operations=st.integers(1, 40))
    def power_goes_soon(self, operations: int) -> None:
        self.world.disk.crash_at(self.world.disk.operations + operations)

    @precondition(lambda self: self.crashes < CRASHES_MAX)
    @rule(loss=st.sampled_from(list(Loss)))
    def power_goes_now(self, loss: Loss) -> None:
        if loss is Loss.none:
            self.world.all_is_written()
        self.recover(loss)

    @rule()
    def clean_restart(self) -> None:
        self.world.node.stop()
        if self.world.disk.crashed:
            self.recover(Loss.torn_last)
            return
        self.world.all_is_written()
        self.world.recover(self.world.disk.image(Loss.none))

    def recover(self, loss: Loss) -> None:
        """The recovery itself may lose its power as well."""
        self.crashes += 1
        interrupted = self.world.disk.image(loss, self.crashes)
        interrupted.crash_at(1 + self.crashes * 7)
        try:
            self.world.try_start(interrupted)
        except StoreError:
            assert interrupted.crashed
            disk = interrupted.image(loss, self.crashes)
        else:
            disk = self.world.disk.image(loss, self.crashes)
        self.world.recover(disk)


RandomStreams.TestCase.settings = settings(
    max_examples=RUNS,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize="SLIPSTREAM_MODEL_RUNS" not in os.environ,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
TestRandomStreams = RandomStreams.TestCase
