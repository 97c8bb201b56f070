"""What clients do, drawn at random: the rules that a state machine has in common, whatever server
it drives.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

import operations as op
from slipstream.kernel.specs import AckPolicy
from world import INBOXES, World

SECOND_NS = 1_000_000_000
MS = 1_000_000
HOUR_NS = 3600 * SECOND_NS
NAMES = ("A", "B")
CONSUMERS = ("x", "y", "z")
REPUBLISHED = f"_BOX.{INBOXES - 2}.>"  # an inbox of its own

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
    {"max_age": 3 * SECOND_NS + 7 * MS, "subject_delete_marker_ttl": 2 * SECOND_NS},
    {"subject_delete_marker_ttl": SECOND_NS, "max_msgs_per_subject": 1, "storage": "memory"},
    {"allow_atomic": True, "allow_rollup_hdrs": True, "duplicate_window": 700 * MS},
    {"allow_atomic": True, "max_msgs": 5, "discard": "new", "storage": "memory"},
    {"allow_atomic": True, "max_msgs_per_subject": 2, "allow_msg_ttl": True},
    {"retention": "interest"},
    {"retention": "interest", "max_msgs_per_subject": 2, "allow_rollup_hdrs": True},
    {"retention": "interest", "storage": "memory", "max_age": 3 * SECOND_NS + 7 * MS},
    {"subject_transform": {"src": "{}.x.*", "dest": "{}.{{wildcard(1)}}.to"}},
    {"republish": {"src": ">", "dest": REPUBLISHED}},
    {"republish": {"src": ">", "dest": REPUBLISHED, "headers_only": True}, "max_msgs": 3},
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
    {"priority_policy": "overflow", "priority_groups": ["g"]},
    {"priority_policy": "prioritized", "priority_groups": ["g"], "ack_wait": 333 * MS},
    {"priority_policy": "pinned_client", "priority_groups": ["g"]},
    {
        "priority_policy": "pinned_client",
        "priority_groups": ["g"],
        "priority_timeout": 620 * MS,
        "ack_wait": 333 * MS,
    },
    {"inactive_threshold": 940 * MS, "ack_wait": 333 * MS},
    {"inactive_threshold": 700 * MS, "max_deliver": 2, "backoff": [211 * MS, 423 * MS]},
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
PULL_FIELDS = (
    *("max_waiting", "max_batch", "max_expires", "max_bytes"),
    *("priority_policy", "priority_groups", "priority_timeout"),
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
first_consumers = st.lists(
    st.fixed_dictionaries(
        {
            "acks": st.sampled_from(ACKS),
            "kind": st.sampled_from(KINDS),
            "policy": st.sampled_from(POLICIES),
            "filters": st.sampled_from(FILTERS),
            "push": st.integers(0, 3),
        }
    ),
    max_size=len(CONSUMERS),
)
batch_headers = st.fixed_dictionaries(
    {},
    optional={
        "Nats-Msg-Id": st.sampled_from(("a", "b", "c", "d")),
        "Nats-Expected-Last-Sequence": st.sampled_from(("last", "0", "x")),
        "Nats-Expected-Last-Subject-Sequence": st.sampled_from(("last", "0")),
        "Nats-Rollup": st.sampled_from(("sub", "all")),
        "Nats-TTL": st.sampled_from(("1", "2s", "never", "x")),
    },
)
increments = st.fixed_dictionaries(
    {"Nats-Incr": st.sampled_from(("1", "-20", "+3"))},
    optional={"Nats-Msg-Id": st.sampled_from(("a", "b"))},
)
ttls = st.fixed_dictionaries({"Nats-TTL": st.sampled_from(("1", "2s", "never"))})


def depends_on_time(drawn: Any) -> bool:
    """Whether something happens by itself a while after it was sent."""
    if isinstance(drawn, dict):
        timed = {
            "max_age",
            "subject_delete_marker_ttl",
            "duplicate_window",
            "ack_wait",
            "backoff",
            "expires",
            "inactive_threshold",
            "priority_timeout",
        } & drawn.keys()
        by_time = drawn.get("deliver_policy") == "by_start_time"
        return bool(timed) or by_time or drawn.get("Nats-TTL") in ("1", "2s")
    return isinstance(drawn, bytes) and drawn.startswith(b"-NAK ")


def has_streams(machine: ClientOperations) -> bool:
    return not machine.timed or any(machine.world.model(name) is not None for name in NAMES)


def has_consumers(machine: ClientOperations) -> bool:
    models = (machine.world.model(name) for name in NAMES)
    return not machine.timed or any(model.consumers for model in models if model is not None)


class ClientOperations(RuleBasedStateMachine):
    """`world` is made by the subclass. Where time is real (`timed` is False), what depends on it is
    not done; and what is drawn is taken as it is, even if it then does nothing: nats-server is not
    asked for more than what was found to be alike (docs/differences.md).
    """

    timed = True
    world: World

    def begin(
        self, world: World, drawn: list[dict[str, Any]], wanted: list[dict[str, Any]]
    ) -> None:
        """With streams, and mostly with consumers: without any, most operations do nothing."""
        self.world = world
        for name, kind in zip(NAMES, drawn, strict=False):
            self.create_stream(name, kind)
        for consumer, fields in zip(CONSUMERS, wanted, strict=False):
            self.create_consumer(name=NAMES[0], consumer=consumer, **fields)

    def do(self, operation: Any, *arguments: Any, **named: Any) -> None:
        operation(self.world, *arguments, **named)

    def omits(self, drawn: Any) -> bool:
        return not self.timed and depends_on_time(drawn)

    def consumer(self, name: str, consumer: str) -> Any:
        model = self.world.model(name)
        return model and model.consumers.get(consumer)

    def there(self, name: str, consumer: str) -> tuple[str, str]:
        """A consumer that is there, if any is: most of what is drawn should do something."""
        if not self.timed:
            return name, consumer
        known = [
            (stream, found)
            for stream in (name, *(other for other in NAMES if other != name))
            if (model := self.world.model(stream)) is not None
            for found in model.consumers
        ]
        return (name, consumer) if not known or (name, consumer) in known else known[0]

    def stream_there(self, name: str) -> str:
        known = [other for other in NAMES if self.world.model(other) is not None]
        return name if not known or name in known or not self.timed else known[0]

    @rule(name=names, kind=kinds)
    def create_stream(self, name: str, kind: dict[str, Any]) -> None:
        if self.world.model(name) is None and not self.omits(kind):
            self.do(op.create_stream, op.with_name({"subjects": ["{}.>"], **kind}, name))

    @rule(name=names, really=st.integers(0, 4))
    def delete_stream(self, name: str, really: int) -> None:
        if really == 4:  # not one of the values that are drawn more often than others
            self.do(op.delete_stream, name)

    @precondition(has_streams)
    @rule(name=names, change=st.sampled_from(UPDATES))
    def update_stream(self, name: str, change: dict[str, Any]) -> None:
        name = self.stream_there(name)
        model = self.world.model(name)
        if model is None or self.omits(change):
            return
        asked = {**model.description, **change}
        if not asked.get("discard_new_per_subject"):
            asked.pop("discard_new_per_subject", None)
        if op.is_valid_update(model.description, asked):
            self.do(op.update_stream, asked)

    @precondition(has_streams)
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
        name = self.stream_there(name)
        model = self.world.model(name)
        if model is None or any(self.omits(drawn) for _, drawn, _ in messages):
            return
        if not self.timed:  # nats-server delivers the first while others arrive
            messages = messages[:1]
        filled = [
            (f"{name}.{s}", op.filled_headers(model, f"{name}.{s}", h), b) for s, h, b in messages
        ]
        self.do(op.publish, name, filled)

    @precondition(has_streams)
    @rule(
        name=names,
        messages=st.lists(
            st.tuples(
                st.sampled_from(SUBJECTS), st.one_of(plain, batch_headers), st.sampled_from(BODIES)
            ),
            min_size=1,
            max_size=5,
        ),
    )
    def publish_batch(self, name: str, messages: list[tuple[str, dict[str, str], bytes]]) -> None:
        name = self.stream_there(name)
        model = self.world.model(name)
        if model is None or not model.spec["allow_atomic"] or model.spec["max_msg_size"] >= 0:
            return
        if any(self.omits(drawn) for _, drawn, _ in messages):
            return
        filled = [
            (f"{name}.{s}", op.filled_headers(model, f"{name}.{s}", h), b) for s, h, b in messages
        ]
        self.do(op.publish_batch, name, filled)

    @rule(name=names, back=st.integers(-1, 6), erase=st.booleans())
    def delete_message(self, name: str, back: int, erase: bool) -> None:
        name = self.stream_there(name)
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
        name = self.stream_there(name)
        model = self.world.model(name)
        if model is None:
            return
        seq = max(model.last_seq - back, 1) if by_seq else 0
        filter_ = f"{name}.{filter_}" if filter_ else ""
        self.do(op.purge, name, filter_=filter_, seq=seq, keep=0 if by_seq else keep)

    @rule(name=names, back=st.integers(0, 8))
    def get_message(self, name: str, back: int) -> None:
        name = self.stream_there(name)
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
        name = self.stream_there(name)
        model = self.world.model(name)
        if model is None or self.consumer(name, consumer) is not None:
            return
        if self.omits(kind) or self.omits(policy):
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
        if push == 2:
            for key in PULL_FIELDS:
                asked.pop(key, None)
            number = NAMES.index(name) * len(CONSUMERS) + CONSUMERS.index(consumer)
            asked["deliver_subject"] = self.world.inbox(number).decode()
            asked["idle_heartbeat"] = 900 * MS if self.timed else HOUR_NS
        if push == 3 and self.timed:
            asked["name"] = asked.pop("durable_name")
        self.do(op.create_consumer, name, asked, times)

    @precondition(has_consumers)
    @rule(name=names, consumer=consumers, filters=st.sampled_from(FILTERS), acks=st.integers(0, 3))
    def update_consumer(
        self, name: str, consumer: str, filters: tuple[str, ...], acks: int
    ) -> None:
        name, consumer = self.there(name, consumer)
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

    @precondition(has_consumers)
    @rule(name=names, consumer=consumers, really=st.integers(0, 3))
    def delete_consumer(self, name: str, consumer: str, really: int) -> None:
        name, consumer = self.there(name, consumer)
        if really == 2:
            self.do(op.delete_consumer, name, consumer)

    @precondition(has_consumers)
    @rule(name=names, consumer=consumers, seq=st.sampled_from((0, 0, 1, 3, 4, 6)))
    def reset(self, name: str, consumer: str, seq: int) -> None:
        name, consumer = self.there(name, consumer)
        self.do(op.reset, name, consumer, seq)

    @precondition(has_consumers)
    @rule(name=names, consumer=consumers, ms=st.sampled_from((0, 150, 1500)))
    def pause(self, name: str, consumer: str, ms: int) -> None:
        name, consumer = self.there(name, consumer)
        until_ns = self.world.clock.now_ns + ms * MS if ms else 0
        if self.timed:
            self.do(op.pause, name, consumer, until_ns)

    @precondition(has_consumers)
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
                    "group": st.just("g"),
                },
            ),
            st.fixed_dictionaries(
                {"batch": st.integers(1, 4), "group": st.just("g")},
                optional={
                    "priority": st.integers(0, 10),
                    "min_pending": st.integers(1, 4),
                    "min_ack_pending": st.integers(1, 3),
                    "expires": st.sampled_from((400 * MS, 5 * SECOND_NS)),
                },
            ),
            st.fixed_dictionaries(
                {"batch": st.integers(1, 3), "group": st.just("g")},
                optional={
                    "id": st.sampled_from(("pinned", "pinned", "wrong")),
                    "expires": st.sampled_from((400 * MS, 5 * SECOND_NS)),
                    "no_wait": st.booleans(),
                },
            ),
            st.fixed_dictionaries({"batch": st.integers(1, 6), "no_wait": st.just(True)}),
        ),
    )
    def pull(self, name: str, consumer: str, body: Any) -> None:
        name, consumer = self.there(name, consumer)
        if isinstance(body, dict) and body.get("id") == "pinned":
            known = self.consumer(name, consumer)
            body = {**body, "id": known.pin.name if known and known.pin else ""}
        if not self.omits(body):
            self.do(op.pull, name, consumer, body)

    @precondition(has_consumers)
    @rule(name=names, consumer=consumers, group=st.sampled_from(("g", "g", "h")))
    def unpin(self, name: str, consumer: str, group: str) -> None:
        name, consumer = self.there(name, consumer)
        self.do(op.unpin, name, consumer, group)

    @precondition(has_consumers)
    @rule(
        name=names,
        back=st.integers(0, 7),
        kind=st.sampled_from(ACK_KINDS),
        confirm=st.booleans(),
    )
    def acknowledge(self, name: str, back: int, kind: bytes, confirm: bool) -> None:
        got = self.world.deliveries.get(name, [])
        if not got and self.timed:
            got = next((some for some in self.world.deliveries.values() if some), [])
        if len(got) > back and not self.omits(kind):
            reply = got[-1 - back].reply
            name = reply.split(b".")[2].decode()
            if self.timed or not self._counts_otherwise(reply):
                self.do(op.acknowledge, name, reply, kind, confirm=confirm)

    def _counts_otherwise(self, reply: bytes) -> bool:
        """Ack policy `all`: nats-server raises the floor above deliveries that nobody acknowledged
        when a redelivery is, and takes numbers of before a reset (docs/differences.md).
        """
        tokens = reply.decode().split(".")
        consumer = self.consumer(tokens[2], tokens[3])
        if consumer is None or consumer.spec["ack_policy"] != AckPolicy.ALL:
            return False
        return int(tokens[4]) > 1 or int(tokens[6]) > consumer.consumer_seq

    @precondition(has_consumers)
    @rule(
        name=names,
        order=st.lists(st.integers(0, 7), min_size=2, max_size=4, unique=True),
        made_up=st.sampled_from((None, None, 0, 99)),
        confirm=st.booleans(),
    )
    def acknowledge_together(
        self, name: str, order: list[int], made_up: int | None, confirm: bool
    ) -> None:
        """The last one with a made-up number of a delivery."""
        got = self.world.deliveries.get(name, [])
        if not got and self.timed:
            got = next((some for some in self.world.deliveries.values() if some), [])
        if not got or not self.timed:  # nats-server takes one after the other
            return
        of = got[-1].reply.split(b".")[:4]
        replies = [event.reply for event in got if event.reply.split(b".")[:4] == of]
        chosen = [replies[-1 - back] for back in order if back < len(replies)]
        if chosen and made_up is not None:
            tokens = chosen[-1].split(b".")
            tokens[6] = b"%d" % made_up
            chosen[-1] = b".".join(tokens)
        self.do(op.acknowledge_together, of[2].decode(), chosen, confirm=confirm)
