"""Conversations about what streams do with messages beside storing them: subject transforms,
republishing, counters, delete markers, direct get.

The same driving and noting as consumer_scenarios.py; a table of its own.
"""

from __future__ import annotations

import base64
import json
import re

from api_connection import ANSWER_S_MAX
from consumer_scenarios import MS, Scenario, Session, normal_message

SCENARIOS: dict[str, Scenario] = {}
SECOND = 1000 * MS


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def publish(s: Session, subject: str, body: bytes = b"", **headers: str) -> None:
    """With its acknowledgement noted; `Nats_Msg_Id` is the header Nats-Msg-Id."""
    answer = s.connection.request(subject, body, block(headers))
    s.notes.append(f"{subject}: {answer.body!r}" if answer else f"{subject}: no answer")


def block(headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode() if lines else b""


def configure(s: Session, config: dict, verb: str = "CREATE") -> None:
    """Notes the error, or the configuration that holds."""
    answer = s.api(f"STREAM.{verb}.{config['name']}", config, note=False)
    while answer.get("error", {}).get("err_code") == 10049:  # nats-server still removes another one
        answer = s.api(f"STREAM.{verb}.{config['name']}", config, note=False)
    if "error" not in answer:
        answer["config"].pop("metadata")
        answer = answer["config"]
    s.notes.append(f"{verb}: {sorted(answer.items())}")


class Attempts:
    """Streams of which each is gone before the next comes. Each has a name of its own: nats-server
    2.15.1 may find old files when a name is used again.
    """

    def __init__(self, s: Session) -> None:
        self.session, self.count = s, 0

    def attempt(self, **config: object) -> str:
        self.count += 1
        name = f"S{self.count}"
        configure(self.session, {"name": name, "subjects": ["s.>"]} | config)
        return name

    def gone(self, name: str) -> None:
        self.session.api(f"STREAM.DELETE.{name}", note=False)


def stored(s: Session, seq: int) -> None:
    s.api("STREAM.MSG.GET.S", {"seq": seq})


def state(s: Session, **request: object) -> None:
    answer = s.api("STREAM.INFO.S", request or {"subjects_filter": ">"}, note=False)["state"]
    kept = {k: v for k, v in answer.items() if not k.endswith("_ts")}
    s.notes.append(f"state: {sorted(kept.items())}")


# ---------------------------------------------------------------- subject transforms, republish


@scenario
def transformed_on_the_way_in(s: Session) -> None:  # S-031, S-130
    transform = {"src": "s.*.*", "dest": "t.{{wildcard(2)}}.{{partition(5,1)}}"}
    configure(s, {"name": "S", "subjects": ["s.>"], "subject_transform": transform})
    publish(s, "s.a.b", b"1")
    publish(s, "s.a", b"2")
    publish(s, "s.c.b", b"3", Nats_Expected_Last_Subject_Sequence="0")
    publish(s, "s.a.b", b"4", Nats_Expected_Last_Subject_Sequence="1")
    publish(s, "s.a.b", b"5", Nats_Rollup="sub")
    for seq in range(1, 5):
        stored(s, seq)
    state(s)


@scenario
def transform_is_changed_and_removed(s: Session) -> None:  # S-031
    config = {"name": "S", "subjects": ["s.>"]}
    configure(s, config)
    publish(s, "s.a", b"1")
    configure(s, config | {"subject_transform": {"src": "s.>", "dest": "t.>"}}, "UPDATE")
    publish(s, "s.a", b"2")
    configure(s, config | {"subject_transform": {"src": "", "dest": "u.>"}}, "UPDATE")
    publish(s, "s.a", b"3")
    configure(s, config, "UPDATE")
    publish(s, "s.a", b"4")
    state(s)


@scenario
def transform_faults(s: Session) -> None:  # S-031: 10155, 10156
    attempts = Attempts(s)
    for source, destination in (
        ("s..a", "b"),
        ("s.*", "b.*"),
        ("s.*", "b.$2"),
        ("s.*", "b..c"),
        ("s.*", "b.>.c"),
        ("s.*", "b c.d"),
        ("s.*", "b.{{wildcard(2)}}"),
        ("s.*", "b.{{wildcard()}}"),
        ("s.*", "b.{{wildcard(x)}}"),
        ("s.*", "b.{{wildcard(1,2)}}"),
        ("s.*", "b.{{partition()}}"),
        ("s.*", "b.{{partition(a,1)}}"),
        ("s.*", "b.{{partition(4,2)}}"),
        ("s.*", "b.{{split(1)}}"),
        ("s.*", "b.{{split(1,2,3)}}"),
        ("s.*", "b.{{splitfromleft(1)}}"),
        ("s.*", "b.{{slicefromright(1,x)}}"),
        ("s.*", "b.{{left(1,2)}}"),
        ("s.*", "b.{{right(1,2)}}"),
        ("s.*", "b.{{random(x)}}"),
        ("s.*", "b.{{nothing(1)}}"),
        ("s.*", "b.{{wildcard(1}}"),
        ("s.a", "b.{{wildcard(1)}}"),
        ("s.a", "b.$1"),
        ("s.>", "b"),
        ("s", "b.>"),
    ):
        transform = {"src": source, "dest": destination}
        attempts.gone(attempts.attempt(subject_transform=transform))


@scenario
def republished(s: Session) -> None:  # S-032, S-159
    config = {"name": "S", "subjects": ["s.>"], "republish": {"src": "s.*", "dest": "r.$1"}}
    configure(s, config)
    s.connection.subscribe("r.>")
    reply = s.inbox()
    for body, header in ((b"1", b""), (b"22", block({"A": "b", "Nats-Msg-Id": "x"}))):
        s.connection.publish("s.a", body, header, reply)
        s.take(2)  # the message before its acknowledgement
    s.connection.publish("s.a", b"again", block({"Nats-Msg-Id": "x"}), reply)
    s.connection.publish("s.b.c", b"not matched", b"", reply)
    s.connection.publish("s.b", b"3", b"", reply)
    s.take(4)
    headers_only = {"src": "", "dest": "r.>", "headers_only": True}
    configure(s, config | {"republish": headers_only}, "UPDATE")
    s.connection.publish("s.a", b"4444", b"", reply)
    s.connection.publish("s.a", b"55555", block({"A": "b"}), reply)
    s.connection.publish("s.a", b"", block({"Nats-Rollup": "sub"}), reply)
    s.take(5)
    configure(s, config | {"republish": None}, "UPDATE")
    s.connection.publish("s.a", b"6", b"", reply)
    s.take(1)
    s.silence()


@scenario
def republished_into_another_stream(s: Session) -> None:  # S-159
    configure(s, {"name": "T", "subjects": ["t.>"], "storage": "memory"})
    configure(
        s,
        {"name": "S", "subjects": ["s.>"], "republish": {"src": "s.>", "dest": "t.>"}},
    )
    for body in (b"1", b"2", b"3"):
        publish(s, "s.a", body)
    s.until_state("T", messages=3)
    for seq in (1, 2, 3):
        answer = s.api("STREAM.MSG.GET.T", {"seq": seq}, note=False)["message"]
        s.notes.append(f"{answer['subject']} {answer['data']}")


@scenario
def republished_with_the_transformed_subject(s: Session) -> None:  # S-032
    config = {
        "name": "S",
        "subjects": ["s.>"],
        "subject_transform": {"src": "s.>", "dest": "t.>"},
        "republish": {"src": ">", "dest": ">"},
    }
    configure(s, config)
    s.connection.subscribe("t.>")
    s.connection.publish("s.a", b"1")
    s.take(1)
    configure(s, config | {"name": "P", "subjects": ["p.>"], "pedantic": True})
    configure(s, config | {"name": "P", "subjects": ["s.>"], "pedantic": True})


@scenario
def republish_faults(s: Session) -> None:  # S-032
    attempts = Attempts(s)
    for source, destination in (
        (">", ">"),
        ("", "s.x"),
        ("s.*", "s.$1"),
        ("s.*", "r.*"),
        ("s.*", "r.$2"),
        ("s.*", "r.{{left(1,x)}}"),
        ("s.>", "r"),
        ("s..", "r"),
        ("", ""),
        ("s.*", "r.{{left(1,2)}}"),
    ):
        republish = {"src": source, "dest": destination}
        attempts.gone(attempts.attempt(republish=republish))
    pedantic = {"republish": {"dest": "r.>"}, "pedantic": True}
    configure(s, {"name": "S", "subjects": ["s.>"]} | pedantic)


@scenario
def size_is_judged_before_anything_else(s: Session) -> None:  # S-130
    configure(s, {"name": "S", "subjects": ["s.>"], "max_msg_size": 60})
    publish(s, "s.a", Nats_Msg_Id="1")
    publish(s, "s.a", b"x" * 60, Nats_Msg_Id="1")
    publish(s, "s.a", b"x" * 60, Nats_Expected_Stream="Q")
    configure(s, {"name": "S", "subjects": ["s.>"]}, "UPDATE")
    publish(s, "s.a", Nats_Expected_Stream="Q", X="x" * 65536)
    configure(s, {"name": "S", "subjects": ["s.>"], "max_msg_size": 60, "sealed": True}, "UPDATE")
    publish(s, "s.a", b"x" * 60)


# ---------------------------------------------------------------- counters


@scenario
def counted(s: Session) -> None:  # S-123, S-200, S-201, S-204
    configure(
        s,
        {"name": "S", "subjects": ["s.>"], "allow_msg_counter": True, "allow_direct": True},
    )
    for increment in ("1", "+2", "-10", "0", "-0", "007", "9" * 60, "-" + "9" * 61):
        publish(s, "s.a", Nats_Incr=increment)
    publish(s, "s.b", A="b", Nats_Incr="5", Nats_Msg_Id="once")
    publish(s, "s.b", A="b", Nats_Incr="5", Nats_Msg_Id="once")
    for seq in (1, 2, 3, 4, 5, 6, 9):
        stored(s, seq)
    s.connection.publish("$JS.API.DIRECT.GET.S.s.a", b"", reply=s.inbox())
    s.take(1)
    state(s)


@scenario
def counter_faults(s: Session) -> None:  # S-043, S-123, S-203: 10168..10173
    config = {"name": "S", "subjects": ["s.>"]}
    attempts = Attempts(s)
    name = attempts.attempt()
    publish(s, "s.a", Nats_Incr="1")
    publish(s, "s.a", Nats_Incr="x")
    configure(s, {"name": name, "subjects": ["s.>"], "allow_msg_counter": True}, "UPDATE")
    attempts.gone(name)
    configure(s, config | {"allow_msg_counter": True, "max_msg_size": 60})
    publish(s, "s.a")
    publish(s, "s.a", b"1")
    publish(s, "s.a", b"1", Nats_Incr="1")
    for increment in ("", "x", "1.5", "1e3", "0x10", "1 ", "--1", "1_0"):
        publish(s, "s.a", Nats_Incr=increment)
    for name, value in (
        ("Nats_Rollup", "sub"),
        ("Nats_Expected_Stream", "S"),
        ("Nats_Expected_Last_Sequence", "0"),
        ("Nats_Expected_Last_Subject_Sequence", "0"),
        ("Nats_Expected_Last_Subject_Sequence_Subject", "s.a"),
        ("Nats_Expected_Last_Msg_Id", "x"),
        ("Nats_TTL", "5"),
    ):
        publish(s, "s.a", Nats_Incr="1", **{name: value})
    publish(s, "s.a", Nats_Incr="1" * 40)
    publish(s, "s.a", Nats_Incr="2")
    for refused in (
        {"discard": "new"},
        {"allow_msg_ttl": True},
        {"allow_msg_schedules": True},
        {"retention": "interest"},
    ):
        configure(s, config | {"name": "T", "subjects": ["t"], "allow_msg_counter": True} | refused)
    configure(s, {"name": "T", "allow_msg_counter": True, "mirror": {"name": "S"}})


@scenario
def counters_with_other_features(s: Session) -> None:  # S-200
    configure(
        s,
        {
            "name": "S",
            "subjects": ["s.>"],
            "allow_msg_counter": True,
            "max_msgs_per_subject": 1,
            "subject_transform": {"src": "s.*.*", "dest": "s.$2"},
            "republish": {"src": "s.>", "dest": "r.>"},
        },
    )
    s.connection.subscribe("r.>")
    reply = s.inbox()
    for subject in ("s.a", "s.x.a", "s.y.a"):
        s.connection.publish(subject, b"", block({"Nats-Incr": "3"}), reply)
        s.take(2)
    s.api("STREAM.PURGE.S")
    publish(s, "s.a", Nats_Incr="1")
    state(s)


# ---------------------------------------------------------------- delete markers


@scenario
def markers_configured(s: Session) -> None:  # S-042
    config = {"name": "S", "subjects": ["s.>"]}
    attempts = Attempts(s)
    for ttl in (SECOND - 1, -1, SECOND, 1500 * MS, 2 * SECOND):
        name = attempts.attempt(subject_delete_marker_ttl=ttl)
        pedantic = {"name": name, "subject_delete_marker_ttl": ttl, "pedantic": True}
        configure(s, {"subjects": ["s.>"]} | pedantic, "UPDATE")
        attempts.gone(name)
    configure(s, config | {"subject_delete_marker_ttl": SECOND, "deny_purge": True})
    configure(s, config | {"subject_delete_marker_ttl": 0, "allow_msg_ttl": False}, "UPDATE")


@scenario
def markers_of_the_last_messages(s: Session) -> None:  # S-156, S-158
    configure(
        s,
        {
            "name": "S",
            "subjects": ["s.>"],
            "subject_delete_marker_ttl": 3600 * SECOND,
            "republish": {"src": "s.>", "dest": "r.>"},
            "max_age": 1000 * MS,
        },
    )
    s.consumer(ack_policy="none", filter_subject="s.b")
    publish(s, "s.a", b"1")
    publish(s, "s.b", b"2")
    publish(s, "s.a", b"3")
    publish(s, "s.c", KV_Operation="PURGE")
    publish(s, "s.d", KV_Operation="DEL")
    publish(s, "s.e", Nats_Marker_Reason="Remove")
    s.connection.subscribe("r.>")
    s.take(3)
    s.until_state(messages=3)
    state(s)
    s.pull({"batch": 2, "no_wait": True})
    s.take(2)
    for seq in (7, 8, 9):
        stored(s, seq)
    s.until_state(messages=0)
    state(s)


@scenario
def markers_raise_times_to_live(s: Session) -> None:  # S-155
    config = {"name": "S", "subjects": ["s.>"], "subject_delete_marker_ttl": 2500 * MS}
    configure(s, config)
    for ttl in ("1", "2", "3", "1s", "1.9s", "never"):
        publish(s, "s.a", A="b", Nats_TTL=ttl, C="d")
    for seq in range(1, 7):
        stored(s, seq)
    configure(s, config | {"max_msgs_per_subject": 1}, "UPDATE")
    publish(s, "s.a", Nats_TTL="1")
    stored(s, 7)


@scenario
def markers_after_a_time_to_live(s: Session) -> None:  # S-156
    config = {"name": "S", "subjects": ["s.>"], "subject_delete_marker_ttl": SECOND}
    configure(s, config)
    publish(s, "s.a", b"1", Nats_TTL="1")
    publish(s, "s.b", b"2", Nats_TTL="1")
    publish(s, "s.b", b"3")
    s.until_state(messages=2)
    s.until_gone(2)
    stored(s, 4)
    s.until_state(messages=1)
    state(s)


# ---------------------------------------------------------------- direct get

GET = "$JS.API.DIRECT.GET.S"


def get(s: Session, body: object = None, by: str = "", header: bytes = b"") -> None:
    """Everything that comes, up to the end of a batch or a status."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
    s.notes.append(f"get {by} {raw!r}")
    s.connection.publish(GET + by, raw, header, s.inbox())
    batch = isinstance(body, dict) and ("batch" in body or "multi_last" in body)
    while True:
        message = s.connection.next_of_any(ANSWER_S_MAX)
        s.notes.append(normal_message(message) if message else "nothing")
        if not batch or message is None or message.header.startswith(b"NATS/1.0 "):
            return


def get_stream(s: Session, **fields: object) -> None:
    """1 a, 2 b, (3 a deleted), 4 c, 5 a, 6 b.x, 7 a, (8 c deleted)"""
    configure(s, {"name": "S", "subjects": ["s.>"], "allow_direct": True} | fields)
    for number, subject in enumerate(["a", "b", "a", "c", "a", "b.x", "a", "c"], 1):
        headers = {"N": str(number)} if number % 2 else {}
        publish(s, f"s.{subject}", str(number).encode() * number, **headers)
    s.api("STREAM.MSG.DELETE.S", {"seq": 3})
    s.api("STREAM.MSG.DELETE.S", {"seq": 8})


@scenario
def get_single_messages(s: Session) -> None:  # S-088, S-161..S-164, S-166, S-171, S-172
    get_stream(s)
    for seq in (1, 2, 3, 7, 8, 9, 2**40):
        get(s, {"seq": seq})
    get(s, {"seq": 1, "no_hdr": True})
    get(s, {"last_by_subj": "s.a"})
    get(s, b'{"last_by_subj":"s.\\u003e"}')
    get(s, {"last_by_subj": "s.*"})
    get(s, {"last_by_subj": "t"})
    get(s, {"next_by_subj": "s.a"})
    get(s, {"next_by_subj": "s.a", "seq": 2})
    get(s, {"next_by_subj": "s.*", "seq": 5})
    get(s, {"next_by_subj": "s.>", "seq": 8})
    get(s, {"next_by_subj": "t.>"})
    get(s, by=".s.a")
    get(s, {"no_hdr": True}, by=".s.b.x")
    get(s, by=".t")
    get(s, by=".s.*")
    s.connection.publish(GET, b'{"seq":1}')
    s.silence()


@scenario
def get_faults(s: Session) -> None:  # S-164, S-170, S-171
    get_stream(s)
    for body in (
        b"",
        b"{}",
        b"{",
        b"x",
        b"[]",
        b'{"seq":"1"}',
        b'{"seq":-1}',
        b'{"start_time":"x"}',
    ):
        get(s, body)
    for body in (
        {"batch": 3},
        {"up_to_seq": 3},
        {"no_hdr": True},
        {"seq": 1, "last_by_subj": "s.a"},
        {"seq": 1, "start_time": "2020-01-01T00:00:00Z"},
        {"start_time": "2020-01-01T00:00:00Z", "last_by_subj": "s.a"},
        {"last_by_subj": "s.a", "next_by_subj": "s.a"},
        {"last_by_subj": "s.a", "batch": 1},
        {"last_by_subj": "s.a", "multi_last": ["s.a"]},
        {"next_by_subj": "s.a", "multi_last": ["s.a"]},
        {"multi_last": ["s.a"], "up_to_seq": 1, "up_to_time": "2020-01-01T00:00:00Z"},
    ):
        get(s, body)
    for body in (
        {"seq": 1},
        {"batch": 1},
        {"max_bytes": 5},
        {"last_by_subj": "x"},
        {"up_to_seq": 1},
    ):
        get(s, body, by=".s.a")
    get(s, b"x", by=".s.a")
    for level in ("0", "999", "x"):
        get(s, {"seq": 1}, header=block({"Nats-Required-Api-Level": level}))
        get(s, by=".s.a", header=block({"Nats-Required-Api-Level": level}))


@scenario
def get_batches(s: Session) -> None:  # S-165..S-167
    get_stream(s)
    for body in (
        {"batch": 3, "seq": 1},
        {"batch": 100, "seq": 1},
        {"batch": 1, "seq": 3},
        {"batch": 2, "seq": 3, "no_hdr": True},
        {"batch": 3, "next_by_subj": "s.a"},
        {"batch": 3, "next_by_subj": "s.a", "seq": 2},
        {"batch": 3, "next_by_subj": "s.b.*", "seq": 2},
        {"batch": 30, "next_by_subj": "s.>", "seq": 4},
        {"batch": 10, "seq": 1, "max_bytes": 1},
        {"batch": 10, "seq": 1, "max_bytes": 25},
        {"batch": 10, "seq": 1, "max_bytes": -1},
        {"batch": -1, "seq": 1},
        {"batch": 5, "start_time": "2020-01-01T00:00:00Z"},
        {"batch": 5, "start_time": "2020-01-01T00:00:00Z", "next_by_subj": "s.a"},
    ):
        get(s, body)
    for body in (
        {"batch": 3, "seq": 8},
        {"batch": 1, "seq": 8},
        {"batch": 2, "next_by_subj": "t"},
        {"batch": 2, "start_time": "2090-01-01T00:00:00Z"},
    ):
        get(s, body)
    s.api("STREAM.PURGE.S", note=False)
    for body in ({"batch": 3, "seq": 1}, {"seq": 1}, {"start_time": "2020-01-01T00:00:00Z"}):
        get(s, body)


@scenario
def get_last_of_many(s: Session) -> None:  # S-168, S-169
    get_stream(s)
    for body in (
        {"multi_last": ["s.a"]},
        {"multi_last": ["s.>"]},
        {"multi_last": ["s.a", "s.*", "s.b"]},
        {"multi_last": ["s.>"], "batch": 2},
        {"multi_last": ["s.>"], "max_bytes": 1},
        {"multi_last": ["s.>"], "seq": 5},
        {"multi_last": ["s.>"], "seq": 50},
        {"multi_last": ["s.>"], "no_hdr": True},
        {"multi_last": ["s.>"], "up_to_seq": 6},
        {"multi_last": ["s.>"], "up_to_seq": 5},
        {"multi_last": ["s.>"], "up_to_seq": 4, "seq": 2},
        {"multi_last": ["s.a", "s.b"], "up_to_seq": 1},
        {"multi_last": ["s.b"], "up_to_seq": 1},
        {"multi_last": ["t"]},
        {"multi_last": ["t.>"], "batch": 5},
        {"multi_last": ["s.>"], "up_to_time": "2020-01-01T00:00:00Z"},
        {"multi_last": ["s.>"], "up_to_time": "2090-01-01T00:00:00Z"},
    ):
        get(s, body)
    s.api("STREAM.PURGE.S", note=False)
    get(s, {"multi_last": ["s.>"]})


@scenario
def get_last_of_busy_subjects(s: Session) -> None:  # S-168
    configure(s, {"name": "S", "subjects": ["s.>"], "allow_direct": True, "storage": "memory"})
    for number in range(300):
        s.connection.publish(f"s.{'ab'[number % 2]}.{number % 3}", str(number).encode())
    s.until_state(messages=300)
    for up_to in (400, 300, 299, 150, 75, 7, 3, 1):
        get(s, {"multi_last": ["s.>"], "up_to_seq": up_to})
        get(s, {"multi_last": ["s.a.*", "s.b.1"], "up_to_seq": up_to})


@scenario
def get_too_many(s: Session) -> None:  # S-169
    configure(s, {"name": "S", "subjects": ["s.>"], "allow_direct": True, "storage": "memory"})
    for number in range(1024):
        s.connection.publish(f"s.{number}")
    s.until_state(messages=1024)
    s.connection.publish(GET, b'{"multi_last":["s.>","s.*"],"batch":1}', reply=s.inbox())
    s.take(2)
    s.connection.publish("s.more")
    s.until_state(messages=1025)
    get(s, {"multi_last": ["s.>"], "batch": 1})
    get(s, {"multi_last": ["s.>"], "batch": 1, "up_to_seq": 1024, "max_bytes": 1})


@scenario
def get_by_time(s: Session) -> None:  # S-079, S-103, S-165, S-168
    configure(s, {"name": "S", "subjects": ["s.>"], "allow_direct": True})
    times = []
    for number in range(1, 5):
        publish(s, f"s.{number % 2}", str(number).encode())
        answer = s.api("STREAM.MSG.GET.S", {"seq": number}, note=False)
        times.append(answer["message"]["time"])
    for time in times:
        for wanted in (
            {},
            {"batch": 2},
            {"next_by_subj": "s.0"},
            {"next_by_subj": "s.*", "batch": 3},
        ):
            s.notes.append("time")
            s.connection.publish(
                GET, json.dumps({"start_time": time} | wanted).encode(), reply=s.inbox()
            )
            s.take(1 + (min(len(times) - times.index(time), 2) if "batch" in wanted else 0))
            s.connection.drain_queued()
        s.connection.publish(
            GET, json.dumps({"multi_last": ["s.>"], "up_to_time": time}).encode(), reply=s.inbox()
        )
        s.take(1 if time == times[0] else min(times.index(time), 2) + 1)
        for wanted in ({}, {"next_by_subj": "s.0"}, {"next_by_subj": "s.1"}):
            s.api("STREAM.MSG.GET.S", {"start_time": time} | wanted)
    s.api("STREAM.MSG.GET.S", {"start_time": "2090-01-01T00:00:00Z"})


# ---------------------------------------------------------------- over streams that copy


@scenario
def counters_of_sources(s: Session) -> None:  # S-202
    for name in "AB":
        subject = f"{name.lower()}.>"
        configure(s, {"name": name, "subjects": [subject], "allow_msg_counter": True})
    transform = {"src": "a.*", "dest": "s.$1"}
    sources = [{"name": "A", "subject_transforms": [transform]}, {"name": "B"}]
    configure(s, {"name": "S", "subjects": ["s.>"], "allow_msg_counter": True, "sources": sources})
    steps = (
        ("a.x", "5"),
        ("s.x", "10"),
        ("a.x", "-7"),
        ("a.y", "1"),
        ("b.x", "100"),
        ("s.y", "2"),
        ("b.x", "1"),
    )
    for last, (subject, increment) in enumerate(steps, 1):
        publish(s, subject, Nats_Incr=increment)
        s.until_state(last_seq=last)
        message = s.api("STREAM.MSG.GET.S", {"seq": last}, note=False)["message"]
        header = base64.b64decode(message["hdrs"])
        source = re.sub(rb"(Nats-Stream-Source: \S+ \S+ \S+ \S+ \S+)[^\r]*", rb"\1", header)
        s.notes.append(f"{message['subject']} {source!r} {base64.b64decode(message['data'])!r}")


@scenario
def mirror_answers_for_its_origin(s: Session) -> None:  # S-161
    origin = {"name": "O", "subjects": ["o.>"], "allow_direct": True}
    configure(s, origin)
    for body in (b"1", b"2"):
        publish(s, "o.a", body)
    configure(s, {"name": "S", "mirror": {"name": "O"}, "mirror_direct": True})
    s.until_state(last_seq=2)
    configure(s, origin | {"allow_direct": False}, "UPDATE")
    for request in (b'{"seq":1}', b'{"seq":1,"batch":5}'):
        inbox = s.inbox()
        while True:  # until the mirror has taken it up
            s.connection.publish("$JS.API.DIRECT.GET.O", request, reply=inbox)
            message = s.connection.next_of_any(ANSWER_S_MAX)
            if message is None or b" 503" not in message.header:
                break
        s.notes.append(normal_message(message) if message else "nothing")
        s.take(2 if b"batch" in request else 0)
    s.connection.publish("$JS.API.DIRECT.GET.O.o.a", b"", reply=s.inbox())
    s.take(1)
