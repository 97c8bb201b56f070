"""Requests whose answers nats-server and Slipstream must give alike, in conversations.

A conversation is a list of steps on a server without streams; it leaves none behind, because the
runner deletes what it created. `Call` is a request on $JS.API.; `Store` publishes a message that a
stream captures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple


class Call(NamedTuple):
    verb: str
    body: bytes = b""
    header: bytes = b""


class Store(NamedTuple):
    subject: str
    body: bytes = b""
    header: bytes = b""


Step = Call | Store


class Conversation(NamedTuple):
    name: str
    steps: list[Step]


def call(verb: str, **fields: Any) -> Call:
    return Call(verb, json.dumps(fields).encode())


def stream(name: str = "S", **fields: Any) -> Call:
    return call(f"STREAM.CREATE.{name}", name=name, **fields)


def update(name: str = "S", **fields: Any) -> Call:
    return call(f"STREAM.UPDATE.{name}", name=name, **fields)


def consumer(
    name: str = "C", stream_name: str = "S", action: str = "", pedantic: bool = False, **config: Any
) -> Call:
    """`name` "" is the legacy ephemeral form."""
    verb = f"CONSUMER.CREATE.{stream_name}" + (f".{name}" if name else "")
    fields: dict[str, Any] = {"stream_name": stream_name, "config": config}
    if action:
        fields["action"] = action
    if pedantic:
        fields["pedantic"] = True
    return call(verb, **fields)


def level(number: str) -> bytes:
    return f"NATS/1.0\r\nNats-Required-Api-Level: {number}\r\n\r\n".encode()


HEADER = b"NATS/1.0\r\nA: b\r\n\r\n"
MS, SECOND = 1_000_000, 1_000_000_000

# Every step is one attempt to create a stream, deleted again before the next. What leaves traces
# has a name of its own: nats-server 2.15.1 may find old files when a name is used again.
# S-001..S-009, S-011, S-026, S-049, S-052..S-054, S-072
STREAM_ATTEMPTS: list[Call] = [
    stream(),
    stream(subjects=["a", "b.*", "c.>"]),
    stream(subjects=[]),
    stream(subjects=["a", "a"]),
    stream(subjects=["a.*", "a.b"]),
    stream(subjects=["x", "a.>", "a.b", "a.c"]),
    stream(subjects=["a..b"]),
    stream(subjects=[""]),
    stream(subjects=["a b"]),
    stream(subjects=[">"]),
    # Nothing fits in, lest it captures the advisory of its own creation before it is shown.
    stream(name="J1", subjects=[">"], no_ack=True, max_msg_size=1),
    stream(subjects=["$JS.>"]),
    stream(subjects=["$JS.API.>"]),
    stream(name="J2", subjects=["$JS.EVENT.METRIC.>"]),
    stream(subjects=["$JSC.x"]),
    stream(subjects=["$NRG.x"]),
    stream(subjects=["$SYS.x"]),
    stream(name="J3", subjects=["$SYS.ACCOUNT.x"]),
    stream(name="J4", subjects=["*.x"]),
    stream(name="J5", subjects=["$JS.x"], no_ack=True),
    call("STREAM.CREATE.S", name="T"),
    call("STREAM.CREATE.S"),
    call("STREAM.CREATE.S", name=""),
    call("STREAM.CREATE.S", name="a b"),
    stream(name="a*b"),
    stream(name="a/b"),
    stream(name="a\\b"),
    stream(name="x" * 255),
    stream(name="x" * 256),
    stream(description="d" * 4096),
    stream(description="d" * 4097),
    stream(description="é" * 2049),
    stream(metadata={"k": "v", "a": "<&>"}),
    stream(metadata={"_nats.ver": "1", "_nats.level": "9", "_nats.req.level": "7", "x": ""}),
    stream(metadata={"k": "v" * 131_071}),
    stream(metadata={"k": "v" * 131_072}),
    stream(num_replicas=0),
    stream(num_replicas=1),
    stream(num_replicas=2),
    stream(num_replicas=5),
    stream(num_replicas=6),
    stream(num_replicas=-1),
    stream(max_consumers=0),
    stream(max_consumers=-5),
    stream(max_consumers=7),
    stream(max_consumers=-5, pedantic=True),
    stream(max_msgs=-2),
    stream(max_msgs=-2, pedantic=True),
    stream(max_msgs=9, max_bytes=99, max_msgs_per_subject=3, max_msg_size=7),
    stream(max_bytes=-7, pedantic=True),
    stream(max_msgs_per_subject=-7, pedantic=True),
    stream(max_msg_size=-7, pedantic=True),
    stream(max_age=1),
    stream(max_age=-1),
    stream(max_age=100 * MS),
    stream(max_age=SECOND),
    stream(max_age=SECOND, pedantic=True),
    stream(max_age=SECOND, duplicate_window=2 * SECOND),
    stream(max_age=300 * SECOND),
    stream(duplicate_window=1),
    stream(duplicate_window=-1),
    stream(duplicate_window=100 * MS),
    stream(duplicate_window=SECOND * 3600),
    stream(discard="new"),
    stream(discard="NEW"),
    stream(discard="new", discard_new_per_subject=True),
    stream(discard="new", discard_new_per_subject=True, max_msgs_per_subject=1),
    stream(discard_new_per_subject=True, max_msgs_per_subject=1),
    stream(storage="memory"),
    stream(no_ack=True),
    stream(name="F", first_seq=100),
    stream(allow_direct=True),
    stream(mirror_direct=True),
    stream(sealed=True),
    stream(deny_delete=True, deny_purge=True),
    stream(allow_rollup_hdrs=True),
    stream(allow_rollup_hdrs=True, deny_purge=True),
    stream(allow_msg_ttl=True),
    stream(placement={}),
    stream(placement={"cluster": "C", "tags": ["a"]}),
    stream(placement={"preferred": "x"}),
    stream(consumer_limits={"inactive_threshold": SECOND, "max_ack_pending": 5}),
    stream(compression="none", persist_mode="default"),
    stream(compression="zip"),
    stream(compression="s2"),
    stream(compression="s2", storage="memory"),
    stream(retention="bogus"),
    stream(unknown=1),
    # refused for reasons that come before the feature itself
    stream(allow_msg_counter=True, discard="new"),
    stream(allow_msg_counter=True, allow_msg_ttl=True),
    stream(allow_msg_counter=True, allow_msg_schedules=True),
    stream(allow_msg_counter=True, retention="interest"),
    stream(subject_delete_marker_ttl=1),
    stream(subject_delete_marker_ttl=-1),
    stream(subject_delete_marker_ttl=SECOND, pedantic=True),
    stream(subject_delete_marker_ttl=SECOND, allow_msg_ttl=True, pedantic=True),
    stream(allow_msg_schedules=True, discard="new"),
    stream(allow_msg_schedules=True, pedantic=True),
    stream(persist_mode="async", storage="memory"),
    stream(persist_mode="async", allow_atomic=True),
    stream(persist_mode="async", num_replicas=3),
    stream(mirror={"name": "O"}, subjects=["a"]),
    stream(mirror={"name": "O"}, first_seq=5),
    stream(mirror={"name": "O"}, sources=[{"name": "P"}]),
    stream(mirror={"name": "O"}, allow_msg_counter=True),
    stream(mirror={"name": "O"}, allow_atomic=True),
    stream(mirror={"name": "O"}, allow_batched=True),
    stream(mirror={"name": "O"}, allow_msg_schedules=True),
    stream(mirror={"name": "a.b"}),
    stream(mirror={"name": ""}),
    stream(sources=[{"name": "a.b"}]),
    stream(sources=[None]),
    stream(sources=[{"name": "P"}], allow_msg_schedules=True),
    Call("STREAM.CREATE.S", b'{"name":"S"}', level("0")),
    Call("STREAM.CREATE.S", b'{"name":"S"}', level("77")),
    Call("STREAM.CREATE.S", b"{", level("77")),
    Call("STREAM.CREATE.S", b'{"name":"S"}', level("x")),
    Call("STREAM.CREATE.S", b'{"name":"S","subjects":["a"]}{"subjects":["b"]}'),
    Call("STREAM.CREATE.S", b'{"NAME":"S","Max_Msgs":5}'),
]

# Each after S was created with subject s.> and with the fields of the first element. S-073
STREAM_UPDATES: list[tuple[dict[str, Any], Call]] = [
    ({}, update(subjects=["s.>", "t"])),
    ({}, update()),
    ({}, update(subjects=["s.>"], max_msgs=5, description="d", metadata={"a": "b"})),
    ({"metadata": {"a": "b"}}, update(subjects=["s.>"])),
    ({}, update(subjects=["s.>"], storage="memory")),
    ({}, update(subjects=["s.>"], retention="workqueue")),
    ({"deny_delete": True}, update(subjects=["s.>"])),
    ({"deny_purge": True}, update(subjects=["s.>"])),
    ({}, update(subjects=["s.>"], deny_purge=True, deny_delete=True)),
    ({}, update(subjects=["s.>"], sealed=True)),
    ({"max_age": SECOND * 300}, update(subjects=["s.>"], sealed=True, max_age=SECOND * 300)),
    ({"allow_rollup_hdrs": True}, update(subjects=["s.>"], sealed=True)),
    ({}, update(subjects=["s.>"], num_replicas=3)),
    ({}, update(subjects=["s.>"], num_replicas=9)),
    ({}, update(subjects=["s.>"], max_age=1)),
    ({}, update(subjects=["s.>"], max_msgs=-7, pedantic=True)),
    ({}, update(subjects=["s.>"], mirror_direct=True)),
    ({}, update(subjects=["s.>"], allow_direct=True)),
    ({}, update(subjects=["s.>"], first_seq=9)),
    ({}, update(subjects=["s.>"], bogus=1)),
    ({}, call("STREAM.UPDATE.S", name="T")),
    ({}, call("STREAM.UPDATE.X", name="X")),
    ({}, Call("STREAM.UPDATE.S")),
    ({"discard": "new", "max_msgs": 3}, update(subjects=["s.>"], discard="old")),
    ({}, update(subjects=["s.>"], discard_new_per_subject=True)),
    ({"duplicate_window": SECOND}, update(subjects=["s.>"])),
    ({"placement": {"cluster": "C"}}, update(subjects=["s.>"])),
    ({}, update(subjects=["s.>"], allow_msg_ttl=True)),
    ({"allow_msg_ttl": True}, update(subjects=["s.>"])),
]

# Every step is one attempt to create a consumer on S (subjects s.>), deleted again before the next.
CONSUMER_ATTEMPTS: list[Call] = [
    consumer(),
    consumer(durable_name="C"),
    consumer(durable_name="D"),
    consumer(name="C", durable_name="C", ack_policy="explicit"),
    call("CONSUMER.CREATE.S.C", stream_name="S", config={"name": "other"}),
    call("CONSUMER.CREATE.S.C", stream_name="T", config={}),
    call("CONSUMER.CREATE.T.C", stream_name="T", config={}),
    call("CONSUMER.CREATE.S.C"),
    Call("CONSUMER.CREATE.S.C"),
    Call("CONSUMER.CREATE.S.C", b'{"stream_name":"S","config":null}'),
    Call("CONSUMER.CREATE.S.C", b'{"stream_name":"S"}', level("77")),
    Call("CONSUMER.CREATE.S.C", b"{", level("77")),
    call("CONSUMER.CREATE.S", stream_name="S", config={"durable_name": "C"}),
    call("CONSUMER.CREATE.S", stream_name="S", config={"name": "C"}),
    call("CONSUMER.CREATE.S", stream_name="S", config={"name": "a.b"}),
    call("CONSUMER.CREATE.S", stream_name="S", config={"name": "a/b"}),
    call("CONSUMER.CREATE.S.C.s.a", stream_name="S", config={"filter_subject": "s.a"}),
    call("CONSUMER.CREATE.S.C.s.a", stream_name="S", config={"filter_subject": "s.b"}),
    call("CONSUMER.CREATE.S.C.s.a", stream_name="S", config={}),
    call("CONSUMER.CREATE.S.C.s.a", stream_name="S", config={"filter_subjects": ["s.a"]}),
    call("CONSUMER.CREATE.S.C.s.>", stream_name="S", config={"filter_subject": "s.>"}),
    call("CONSUMER.DURABLE.CREATE.S.C", stream_name="S", config={"durable_name": "C"}),
    call("CONSUMER.DURABLE.CREATE.S.C", stream_name="S", config={"durable_name": "D"}),
    call("CONSUMER.DURABLE.CREATE.S.C", stream_name="S", config={}),
    call("CONSUMER.DURABLE.CREATE.S.C", stream_name="S", config={"name": "C"}),
    call("CONSUMER.DURABLE.CREATE.S.C", stream_name="X", config={"durable_name": "C"}),
    call(
        "CONSUMER.DURABLE.CREATE.S.C", stream_name="S", config={"durable_name": "C", "name": "D"}
    ),
    consumer(name="a/b"),
    consumer(name="a\\b"),
    consumer(name="x" * 256),
    consumer(name="x" * 256, durable_name="x" * 256),
    consumer(action="create"),
    consumer(action="update"),
    consumer(action="bogus"),
    consumer(bogus=1),
    consumer(description="d" * 4096),
    consumer(description="d" * 4097),
    consumer(metadata={"k": "v", "_nats.ver": "x"}),
    consumer(metadata={"k": "v" * 131_072}),
    consumer(num_replicas=1),
    consumer(num_replicas=2),
    consumer(num_replicas=-1),
    *(
        consumer(deliver_policy=policy, **start)
        for policy in (
            "all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject",
            "undefined", "bogus",
        )
        for start in (
            {},
            {"opt_start_seq": 2},
            {"opt_start_time": "2024-01-01T00:00:00.5+02:00"},
            {"opt_start_seq": 2, "opt_start_time": "2024-01-01T00:00:00Z"},
            {"filter_subject": "s.a"},
        )
    ),
    consumer(opt_start_time="bogus"),
    *(consumer(ack_policy=policy) for policy in ("none", "all", "explicit", "bogus", "")),
    consumer(replay_policy="original"),
    consumer(replay_policy="bogus"),
    consumer(ack_policy="explicit", ack_wait=SECOND),
    consumer(ack_policy="explicit", ack_wait=-1),
    consumer(ack_policy="explicit", backoff=[SECOND, 2 * SECOND], max_deliver=3),
    consumer(ack_policy="explicit", backoff=[SECOND, 2 * SECOND], max_deliver=1),
    consumer(ack_policy="explicit", backoff=[SECOND, 2 * SECOND]),
    consumer(ack_policy="explicit", backoff=[-1]),
    consumer(ack_policy="explicit", backoff=[SECOND], pedantic=True),
    consumer(ack_policy="explicit", backoff=[SECOND], ack_wait=SECOND, pedantic=True),
    consumer(max_deliver=-5),
    consumer(max_deliver=-5, pedantic=True),
    consumer(max_deliver=4),
    consumer(filter_subject="s.a"),
    consumer(filter_subject="zzz"),
    consumer(filter_subject="a..b"),
    consumer(filter_subjects=["s.a", "s.b"]),
    consumer(filter_subjects=["s.a", "s.*"]),
    consumer(filter_subjects=["s.*", "s.a"]),
    consumer(filter_subjects=["s.a", "s.a"]),
    consumer(filter_subjects=["s.*.a", "s.a.*"]),
    consumer(filter_subjects=["s.a", ""]),
    consumer(filter_subjects=["s.a", "a..b"]),
    consumer(filter_subject="s.a", filter_subjects=["s.b"]),
    consumer(rate_limit_bps=100),
    consumer(sample_freq="50"),
    consumer(sample_freq="50%"),
    consumer(sample_freq="x"),
    consumer(sample_freq="-1"),
    consumer(sample_freq="%"),
    consumer(max_waiting=5),
    consumer(max_waiting=-5),
    consumer(max_waiting=-5, pedantic=True),
    consumer(max_ack_pending=5),
    consumer(max_ack_pending=-5, ack_policy="explicit"),
    consumer(max_ack_pending=-5, pedantic=True),
    consumer(flow_control=True),
    consumer(idle_heartbeat=SECOND),
    consumer(idle_heartbeat=-1, pedantic=True),
    consumer(headers_only=True),
    consumer(max_batch=5, max_expires=SECOND, max_bytes=100),
    consumer(max_batch=-5),
    consumer(max_batch=-5, pedantic=True),
    consumer(max_expires=1),
    consumer(max_expires=-1),
    consumer(max_expires=-1, pedantic=True),
    consumer(max_bytes=-1, pedantic=True),
    consumer(inactive_threshold=SECOND * 60),
    consumer(inactive_threshold=-1),
    consumer(inactive_threshold=-1, pedantic=True),
    consumer(durable_name="C", inactive_threshold=SECOND * 60),
    consumer(mem_storage=True),
    consumer(deliver_subject="d"),
    consumer(deliver_subject="d.*"),
    consumer(deliver_subject="d..x"),
    consumer(deliver_subject="s.x"),
    consumer(deliver_subject="d", max_waiting=5),
    consumer(deliver_subject="d", max_ack_pending=5),
    consumer(deliver_subject="d", max_ack_pending=5, ack_policy="all"),
    consumer(deliver_subject="d", idle_heartbeat=1),
    consumer(deliver_subject="d", idle_heartbeat=SECOND),
    consumer(deliver_subject="d", flow_control=True),
    consumer(deliver_subject="d", flow_control=True, idle_heartbeat=SECOND, durable_name="C"),
    consumer(deliver_subject="d", deliver_group="g", rate_limit_bps=1000, ack_policy="explicit"),
    consumer(pause_until="2099-01-01T00:00:00Z"),
    consumer(pause_until="2001-01-01T02:00:00+02:00"),
    consumer(direct=True),
    consumer(direct=True, durable_name="C", deliver_subject="d"),
    consumer(priority_policy="overflow"),
    consumer(priority_policy="bogus"),
    consumer(priority_groups=["a"]),
    consumer(priority_policy="overflow", priority_groups=[""]),
    consumer(priority_policy="overflow", priority_groups=["a b"]),
    consumer(priority_policy="overflow", priority_groups=["a"], deliver_subject="d"),
    consumer(priority_timeout=SECOND),
    consumer(priority_timeout=-1, pedantic=True),
    consumer(ack_policy="flow_control"),
    consumer(ack_policy="flow_control", deliver_subject="d", pedantic=True),
    consumer(ack_policy="flow_control", deliver_subject="d", max_deliver=5),
    consumer(ack_policy="flow_control", deliver_subject="d", ack_wait=SECOND),
]  # fmt: skip

# Each after consumer C was created with the fields of the first element.
CONSUMER_UPDATES: list[tuple[dict[str, Any], Call]] = [
    ({}, consumer()),
    ({}, consumer(action="create")),
    ({"durable_name": "C"}, consumer(durable_name="C", action="create")),
    ({"durable_name": "C"}, consumer(durable_name="C", action="create", description="x")),
    ({"durable_name": "C"}, consumer(durable_name="C", action="update", description="x")),
    ({"durable_name": "C"}, consumer(durable_name="C", metadata={"a": "b"}, max_deliver=5)),
    ({"durable_name": "C"}, consumer(inactive_threshold=SECOND)),
    ({}, consumer(deliver_policy="new")),
    ({}, consumer(ack_policy="explicit")),
    ({}, consumer(replay_policy="original")),
    ({}, consumer(mem_storage=True)),
    ({}, consumer(max_waiting=7)),
    ({}, consumer(deliver_subject="d")),
    ({"deliver_subject": "d"}, consumer()),
    ({"deliver_subject": "d"}, consumer(deliver_subject="e")),
    ({"deliver_subject": "d", "idle_heartbeat": SECOND}, consumer(deliver_subject="d")),
    (
        {"deliver_subject": "d", "idle_heartbeat": SECOND},
        consumer(deliver_subject="d", idle_heartbeat=SECOND, flow_control=True),
    ),
    (
        {"deliver_policy": "by_start_sequence", "opt_start_seq": 1},
        consumer(deliver_policy="by_start_sequence", opt_start_seq=2),
    ),
    (
        {"deliver_policy": "by_start_time", "opt_start_time": "2024-01-01T00:00:00Z"},
        consumer(deliver_policy="by_start_time", opt_start_time="2024-01-02T00:00:00Z"),
    ),
    (
        {"deliver_policy": "by_start_time", "opt_start_time": "2024-01-01T00:00:00Z"},
        consumer(deliver_policy="by_start_time", opt_start_time="2024-01-01T01:00:00+01:00"),
    ),
    ({"filter_subject": "s.a"}, consumer(filter_subject="s.b")),
    ({"ack_policy": "explicit"}, consumer(ack_policy="explicit", ack_wait=SECOND)),
    ({"pause_until": "2099-01-01T00:00:00Z"}, consumer(pause_until="2098-01-01T00:00:00Z")),
    ({"pause_until": "2099-01-01T00:00:00Z"}, consumer(description="x")),
]


def attempts(name: str, before: list[Step], tries: list[Call]) -> list[Conversation]:
    steps: list[Step] = list(before)
    for attempt in tries:
        steps.append(attempt)
        if attempt.verb.startswith("STREAM."):
            steps.append(Call("STREAM.DELETE." + attempt.verb.split(".")[2]))
        else:
            steps += [Call("CONSUMER.INFO.S.C"), Call("CONSUMER.DELETE.S.C")]
    return [Conversation(name, steps)]


def stream_updates() -> list[Conversation]:
    steps: list[Step] = []
    for before, change in STREAM_UPDATES:
        steps += [stream(subjects=["s.>"], **before), change]
        steps += [Call("STREAM.INFO.S"), Call("STREAM.DELETE.S")]
    return [Conversation("stream update", steps)]


def consumer_updates() -> list[Conversation]:
    steps: list[Step] = [stream(subjects=["s.>"])]
    for before, change in CONSUMER_UPDATES:
        steps += [consumer(**before), change]
        steps += [Call("CONSUMER.INFO.S.C"), Call("CONSUMER.DELETE.S.C")]
    return [Conversation("consumer update", steps)]


_MESSAGES: list[Step] = [
    stream(subjects=["s.>"]),
    Store("s.a", b"hello"),
    Store("s.b", b"", HEADER),
    Store("s.a", b"\x00\xff", HEADER),
    Store("s.c", b"x" * 300),
]

# S-055, S-056, S-061, S-065, S-074, S-079, S-103
MESSAGE_READS: list[Step] = [
    call("STREAM.MSG.GET.S", seq=1),
    call("STREAM.MSG.GET.S", seq=2),
    call("STREAM.MSG.GET.S", seq=3),
    call("STREAM.MSG.GET.S", seq=3, no_hdr=True),
    call("STREAM.MSG.GET.S", seq=9),
    call("STREAM.MSG.GET.S", seq=0),
    call("STREAM.MSG.GET.S", last_by_subj="s.a"),
    call("STREAM.MSG.GET.S", last_by_subj="s.*"),
    call("STREAM.MSG.GET.S", last_by_subj="zzz"),
    call("STREAM.MSG.GET.S", next_by_subj="s.a"),
    call("STREAM.MSG.GET.S", next_by_subj="s.a", seq=2),
    call("STREAM.MSG.GET.S", next_by_subj="s.a", seq=4),
    call("STREAM.MSG.GET.S", start_time="2001-01-01T00:00:00Z"),
    call("STREAM.MSG.GET.S", start_time="2001-01-01T00:00:00Z", next_by_subj="s.c"),
    call("STREAM.MSG.GET.S", start_time="2099-01-01T00:00:00Z"),
    call("STREAM.MSG.GET.S", seq=1, last_by_subj="s.a"),
    call("STREAM.MSG.GET.S", next_by_subj="s.a", last_by_subj="s.a"),
    call("STREAM.MSG.GET.S", seq=1, start_time="2001-01-01T00:00:00Z"),
    call("STREAM.MSG.GET.S", seq=1, batch=1),
    call("STREAM.MSG.GET.S", seq=1, max_bytes=1),
    call("STREAM.MSG.GET.S", multi_last=["s.a"]),
    call("STREAM.MSG.GET.S"),
    call("STREAM.MSG.GET.S", bogus=1),
    call("STREAM.MSG.GET.X", seq=1),
    call("STREAM.INFO.S", subjects_filter=">"),
    call("STREAM.INFO.S", subjects_filter="s.a"),
    call("STREAM.INFO.S", subjects_filter="zzz"),
    call("STREAM.INFO.S", subjects_filter=">", offset=1),
    call("STREAM.INFO.S", subjects_filter=">", offset=9),
    call("STREAM.INFO.S", subjects_filter=">", offset=-9),
    call("STREAM.INFO.S", bogus=1),
    Call("STREAM.INFO.S", b"nonsense"),
    Call("STREAM.INFO.S", b"", level("77")),
    Call("STREAM.INFO.S", b"", b"NATS/1.0\r\nNats-Response-Type: create\r\n\r\n"),
    Call("STREAM.INFO.X"),
]

# S-060, S-080, S-104
_DELETES: list[Step] = [
    call("STREAM.MSG.DELETE.S", seq=2),
    call("STREAM.MSG.DELETE.S", seq=2),
    call("STREAM.MSG.DELETE.S", seq=3, no_erase=True),
    call("STREAM.INFO.S", deleted_details=True),
    Call("STREAM.INFO.S"),
    call("STREAM.MSG.DELETE.S", seq=1),
    call("STREAM.MSG.DELETE.S", seq=1),
    call("STREAM.MSG.DELETE.S", seq=99),
    call("STREAM.MSG.DELETE.S", seq=0),
    Call("STREAM.MSG.DELETE.S"),
    Call("STREAM.MSG.DELETE.S", b"{}"),
    call("STREAM.MSG.DELETE.S", bogus=1),
    call("STREAM.MSG.DELETE.X", seq=1),
    Call("STREAM.INFO.S"),
]

# S-078, S-105, S-106
_PURGES: list[Step] = [
    call("STREAM.PURGE.S", filter="s.b"),
    call("STREAM.PURGE.S", filter="zzz"),
    call("STREAM.PURGE.S", filter="a..b"),
    call("STREAM.PURGE.S", filter="s.a", keep=1),
    Call("STREAM.INFO.S"),
    call("STREAM.PURGE.S", seq=1),
    call("STREAM.PURGE.S", seq=4),
    call("STREAM.PURGE.S", keep=9),
    call("STREAM.PURGE.S", seq=4, keep=1),
    call("STREAM.PURGE.S", bogus=1),
    Call("STREAM.INFO.S"),
    Call("STREAM.PURGE.S", b"nonsense"),
    Call("STREAM.INFO.S"),
    Call("STREAM.PURGE.S"),
    call("STREAM.PURGE.S", seq=20),
    Call("STREAM.INFO.S"),
    Store("s.a"),
    Call("STREAM.INFO.S"),
    Call("STREAM.PURGE.X"),
]

_PROTECTED: list[Step] = [
    stream(subjects=["s.>"], deny_delete=True, deny_purge=True),
    Store("s.a"),
    call("STREAM.MSG.DELETE.S", seq=1),
    Call("STREAM.PURGE.S"),
    update(subjects=["s.>"], deny_delete=True, deny_purge=True, sealed=True),
    call("STREAM.MSG.DELETE.S", seq=1),
    Call("STREAM.PURGE.S"),
    Call("STREAM.INFO.S"),
    Call("STREAM.DELETE.S"),
]

# S-071, S-075..S-077, S-099..S-102
_LISTS: list[Step] = [
    Call("STREAM.NAMES"),
    Call("STREAM.LIST"),
    *(stream(name=f"L{n}", subjects=[f"l.{n}.>", f"k.{n}"]) for n in range(4)),
    Call("STREAM.NAMES"),
    Call("STREAM.LIST"),
    *(
        call(f"STREAM.{verb}", **fields)
        for verb in ("NAMES", "LIST")
        for fields in (
            {"offset": 2},
            {"offset": 99},
            {"offset": -2},
            {"subject": "l.1.x"},
            {"subject": "*.2"},
            {"subject": "l.>"},
            {"subject": "zzz"},
            {"subject": ">", "offset": 3},
            {"bogus": 1},
        )
    ),
    Call("STREAM.NAMES", b"nonsense"),
    Call("STREAM.LIST", b"5"),
    Call("STREAM.NAMES", b"", level("77")),
    Call("STREAM.LIST", b"{x"),
    Call("CONSUMER.NAMES.L1"),
    Call("CONSUMER.LIST.L1"),
    *(consumer(name=name, stream_name="L1", durable_name=name) for name in ("b", "c", "a")),
    Call("CONSUMER.NAMES.L1"),
    Call("CONSUMER.LIST.L1"),
    *(
        call(f"CONSUMER.{verb}.L1", **fields)
        for verb in ("NAMES", "LIST")
        for fields in ({"offset": 1}, {"offset": 99}, {"offset": -1}, {"bogus": 1})
    ),
    Call("CONSUMER.NAMES.X"),
    Call("CONSUMER.LIST.X"),
    Call("STREAM.INFO.L1"),
    Call("INFO"),
    Call("INFO", b"ignored"),
    Call("INFO", b"", level("77")),
    stream(name="L0", subjects=["l.0.>", "k.0"]),
    stream(name="L0", subjects=["l.0.>"]),
    stream(name="L9", subjects=["l.>"]),
    stream(name="L9", subjects=["k.1"]),
    update(name="L0", subjects=["k.1"]),
    *(Call(f"STREAM.DELETE.L{n}") for n in range(4)),
    Call("STREAM.DELETE.L1"),
    Call("STREAM.DELETE.L1", b"{}"),
    Call("STREAM.DELETE.L1", b"x"),
    Call("STREAM.DELETE.L1", b"", level("77")),
]

_CONSUMER_LIFE: list[Step] = [
    *_MESSAGES,
    consumer(name="a", durable_name="a", ack_policy="explicit"),
    consumer(name="b", durable_name="b", filter_subject="s.a"),
    consumer(name="c", durable_name="c", deliver_policy="last"),
    consumer(name="d", durable_name="d", deliver_policy="new"),
    consumer(name="e", durable_name="e", deliver_policy="by_start_sequence", opt_start_seq=3),
    consumer(name="f", durable_name="f", deliver_policy="by_start_sequence", opt_start_seq=33),
    consumer(name="g", durable_name="g", deliver_policy="last", filter_subject="s.a"),
    consumer(name="h", durable_name="h", filter_subjects=["s.a", "s.c"]),
    Call("CONSUMER.INFO.S.a"),
    Call("CONSUMER.INFO.S.a", b"{}"),
    Call("CONSUMER.INFO.S.a", b"x"),
    Call("CONSUMER.INFO.S.a", b"", level("77")),
    Call("CONSUMER.INFO.S.zzz"),
    Call("CONSUMER.INFO.X.a"),
    call("CONSUMER.PAUSE.S.a", pause_until="2099-01-01T02:00:00+02:00"),
    Call("CONSUMER.INFO.S.a"),
    Call("CONSUMER.LIST.S"),
    Call("CONSUMER.PAUSE.S.a"),
    Call("CONSUMER.INFO.S.a"),
    call("CONSUMER.PAUSE.S.a", pause_until="2001-01-01T00:00:00Z"),
    Call("CONSUMER.INFO.S.a"),
    call("CONSUMER.PAUSE.S.a", pause_until="bogus"),
    Call("CONSUMER.PAUSE.S.a", b"", level("77")),
    Call("CONSUMER.PAUSE.S.zzz"),
    Call("CONSUMER.PAUSE.X.a"),
    Call("STREAM.INFO.S"),
    Call("CONSUMER.DELETE.S.a", b"x"),
    Call("CONSUMER.DELETE.S.a"),
    Call("CONSUMER.DELETE.S.a"),
    Call("CONSUMER.DELETE.X.a"),
    Call("CONSUMER.INFO.S.a"),
    Call("CONSUMER.UNPIN.S.b"),
    call("CONSUMER.UNPIN.S.b", group=""),
    call("CONSUMER.UNPIN.S.b", group="a b"),
    call("CONSUMER.UNPIN.S.b", group="a"),
    call("CONSUMER.UNPIN.S.zzz", group="a"),
    call("CONSUMER.UNPIN.X.b", group="a"),
]

_LIMITED: list[Step] = [
    stream(
        subjects=["s.>"],
        max_consumers=2,
        consumer_limits={"inactive_threshold": 60 * SECOND, "max_ack_pending": 50},
    ),
    consumer(name="a", durable_name="a", ack_policy="explicit"),
    consumer(name="b", ack_policy="explicit", max_ack_pending=51),
    consumer(name="b", inactive_threshold=61 * SECOND),
    consumer(name="b", ack_policy="explicit", pedantic=True),
    consumer(name="b", ack_policy="explicit", max_ack_pending=5, pedantic=True),
    consumer(name="b", ack_policy="explicit", max_ack_pending=5, inactive_threshold=SECOND // 2),
    consumer(name="c"),
    consumer(name="b", ack_policy="explicit", max_ack_pending=6, inactive_threshold=SECOND // 2),
    update(subjects=["s.>"], max_consumers=2, consumer_limits={"max_ack_pending": 7}),
    update(subjects=["s.>"], max_consumers=2, consumer_limits={"inactive_threshold": SECOND}),
    update(subjects=["s.>"], max_consumers=1),
]

# S-083..S-086, S-089..S-096: what a single server says of clusters, if anything
_ODD: list[Step] = [
    stream(subjects=["s.>"]),
    *(
        Call(verb)
        for verb in (
            "STREAM.BOGUS.S",
            "STREAM.CREATE",
            "STREAM.CREATE.S.T",
            "STREAM.NAMES.S",
            "STREAM.TEMPLATE.NAMES",
            "CONSUMER.INFO.S",
            "CONSUMER.DURABLE.CREATE.S",
            "CONSUMER.DURABLE.CREATE.S.C.D",
            "META.LEADER.STEPDOWN",
            "SERVER.REMOVE",
            "SERVER.EVACUATE",
            "META.RESCUE",
            "ACCOUNT.PURGE.X",
            "ACCOUNT.STREAM.MOVE.X.S",
            "ACCOUNT.STREAM.CANCEL_MOVE.X.S",
            "CONSUMER.RESET.S.zzz",
            "STREAM.LEADER.STEPDOWN.S",
            "STREAM.LEADER.STEPDOWN.X",
            "STREAM.PEER.REMOVE.S",
            "STREAM.PEER.EVACUATE.S",
            "STREAM.CANCEL_MOVE.S",
            "CONSUMER.LEADER.STEPDOWN.S.C",
            "STREAM.SNAPSHOT.S",
            "STREAM.SNAPSHOT.X",
            "STREAM.RESTORE.S",
        )
    ),
]

# Bodies that are JSON but do not fit, for the request of each verb.
_MISFITS: list[Step] = [
    stream(subjects=["s.>"]),
    *(
        Call(verb, body.encode())
        for verb in (
            "STREAM.CREATE.S",
            "STREAM.UPDATE.S",
            "STREAM.PURGE.S",
            "STREAM.INFO.S",
            "STREAM.NAMES",
            "STREAM.LIST",
            "STREAM.MSG.GET.S",
            "STREAM.MSG.DELETE.S",
            "CONSUMER.CREATE.S.C",
            "CONSUMER.DURABLE.CREATE.S.C",
            "CONSUMER.NAMES.S",
            "CONSUMER.LIST.S",
            "CONSUMER.PAUSE.S.C",
        )
        for body in (
            "[]",
            "{",
            '{"seq":"x"}',
            '{"offset":"x"}',
            '{"offset":1.5}',
            '{"filter":5}',
            '{"subject":5}',
            '{"keep":-1}',
            '{"subjects_filter":5}',
            '{"deleted_details":5}',
            '{"no_erase":5}',
            '{"start_time":5}',
            '{"start_time":"x"}',
            '{"multi_last":[5]}',
            '{"pause_until":5}',
            '{"config":5}',
            '{"config":{"backoff":["x"]}}',
            '{"config":{"filter_subjects":[5]}}',
            '{"config":{"pause_until":5}}',
            '{"config":{"bogus":5}}',
            '{"action":5}',
            '{"pedantic":5}',
        )
    ),
]

_MALFORMED: list[Step] = [
    Call("STREAM.CREATE.Zq", text.encode("latin-1"))
    for text, _ in json.loads(
        Path(__file__).parents[1].joinpath("gotext/json_complaints.json").read_text()
    )
]

CONVERSATIONS: list[Conversation] = [
    Conversation("malformed JSON", _MALFORMED),
    Conversation("misfits", _MISFITS),
    *attempts("stream create", [], STREAM_ATTEMPTS),
    *stream_updates(),
    *attempts(
        "consumer create", [stream(subjects=["s.>"]), Store("s.a"), Store("s.b")], CONSUMER_ATTEMPTS
    ),
    *consumer_updates(),
    Conversation("message reads", [*_MESSAGES, *MESSAGE_READS]),
    Conversation("message deletes", [*_MESSAGES, *_DELETES]),
    Conversation(
        "message deletes, memory",
        [stream(subjects=["s.>"], storage="memory"), *_MESSAGES[1:], *_DELETES],
    ),
    Conversation("purges", [*_MESSAGES, *_PURGES]),
    Conversation("protected", _PROTECTED),
    Conversation("lists", _LISTS),
    Conversation("consumer life", _CONSUMER_LIFE),
    Conversation("limited", _LIMITED),
    Conversation("odd", _ODD),
]

# What the connection answers, not the API: only over sockets.
CONVERSATIONS_OVER_SOCKETS: list[Conversation] = [
    Conversation(
        "no responders",
        [
            stream(subjects=["s.>"]),
            Call("CONSUMER.MSG.NEXT.S.zzz"),
            Call("CONSUMER.MSG.NEXT.X.zzz"),
            Call("DIRECT.GET.S"),
            Call("DIRECT.GET.X"),
            Call("DIRECT.GET.S.s.a"),
        ],
    ),
]
