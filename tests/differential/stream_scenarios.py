"""Conversations about what streams keep and refuse: limits, discarding, roll-ups, the headers of
publishers, deletes and purges.

The same driving and noting as consumer_scenarios.py; a table of its own.
"""

from __future__ import annotations

import random

from consumer_scenarios import MS, Scenario, Session
from feature_scenarios import (
    SECOND,
    Attempts,
    block,
    configure,
    get,
    get_stream,
    publish,
    stored,
)

SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def state(s: Session, name: str = "S") -> None:
    request = {"subjects_filter": ">", "deleted_details": True}
    answer = s.api(f"STREAM.INFO.{name}", request, note=False)["state"]
    kept = {k: v for k, v in answer.items() if not k.endswith("_ts")}
    if answer["last_seq"] == 0:  # nats-server calls sequence 0 deleted: see docs/differences.md
        kept = {k: v for k, v in kept.items() if "deleted" not in k}
    s.notes.append(f"state: {sorted(kept.items())}")


def raw(s: Session, subject: str, header: bytes, body: bytes = b"") -> None:
    answer = s.connection.request(subject, body, header)
    s.notes.append(f"{subject} {header!r}: {answer.body if answer else None!r}")


# ---------------------------------------------------------------- limits


@scenario
def limits_become_smaller(s: Session) -> None:  # S-016, S-017, S-019, S-021, S-146
    attempts = Attempts(s)
    discards = ({}, {"discard": "new"})
    for storage in ("file", "memory"):
        for before in discards:
            for smaller in (
                {"max_msgs": 2},
                {"max_bytes": 60},
                {"max_msgs_per_subject": 1},
                {"max_msgs": 2, "max_msgs_per_subject": 1},
                {"max_msgs": 2, "discard": "new"},
                {"max_bytes": 60, "discard": "new"},
                {"max_msgs_per_subject": 1, "discard": "new"},
                {"max_msgs": 2, "sealed": True},
            ):
                name = attempts.attempt(storage=storage, **before)
                for subject in ("s.a", "s.b", "s.b", "s.b"):
                    publish(s, subject)
                config = {"name": name, "subjects": ["s.>"], "storage": storage}
                configure(s, config | before | smaller, "UPDATE")
                state(s, name)
                publish(s, "s.a", b"x")
                state(s, name)
                attempts.gone(name)


@scenario
def a_rollup_costs_others_their_place(s: Session) -> None:  # S-121, S-146
    attempts = Attempts(s)
    for limit in ({"max_msgs": 3}, {"max_bytes": 110}, {"max_msgs_per_subject": 2}):
        for rollup in ("sub", "all", "ALL"):
            name = attempts.attempt(allow_rollup_hdrs=True, **limit)
            for subject in ("s.b", "s.a", "s.a"):
                publish(s, subject)
            publish(s, "s.a", Nats_Rollup=rollup)
            state(s, name)
            attempts.gone(name)


@scenario
def limits_at_random(s: Session) -> None:  # S-104..S-106, S-138, S-146..S-149, S-176, S-178, S-179
    draw = random.Random(20261124)
    for number in range(25):
        name, storage = f"R{number}", draw.choice(["file", "memory"])
        base = {"name": name, "subjects": [f"r{number}.>"], "storage": storage}
        base["allow_rollup_hdrs"] = True
        configure(s, base | _random_limits(draw))
        for _ in range(draw.randint(5, 20)):
            _random_step(s, draw, base)
        state(s, name)


def _random_limits(draw: random.Random) -> dict[str, object]:
    limits: dict[str, object] = {}
    for limit, values in (
        ("max_msgs", (1, 2, 3, 5)),
        ("max_bytes", (40, 60, 100, 150, 250)),
        ("max_msgs_per_subject", (1, 2, 3)),
    ):
        if draw.random() < 0.5:
            limits[limit] = draw.choice(values)
    if draw.random() < 0.4:
        limits["discard"] = "new"
        if "max_msgs_per_subject" in limits and draw.random() < 0.5:
            limits["discard_new_per_subject"] = True
    if draw.random() < 0.15:
        limits["max_msg_size"] = draw.choice([0, 1, 5, 20])
    return limits


def _random_step(s: Session, draw: random.Random, base: dict) -> None:
    name = base["name"]
    subject = f"{name.lower()}.{draw.choice('abc')}"
    chance = draw.random()
    if chance < 0.75:
        headers = {}
        if draw.random() < 0.2:
            headers["Nats_Rollup"] = draw.choice(["sub", "sub", "all"])
        if draw.random() < 0.2:
            headers["Nats_Msg_Id"] = str(draw.randint(0, 3))
        publish(s, subject, b"x" * draw.choice([0, 1, 2, 10, 40]), **headers)
    elif chance < 0.83:
        configure(s, base | _random_limits(draw), "UPDATE")
    elif chance < 0.9:
        s.api(f"STREAM.MSG.DELETE.{name}", {"seq": draw.randint(0, 8)})
    else:
        purge = draw.choice(
            [
                {"filter": subject},
                {"keep": draw.randint(0, 3)},
                {"seq": draw.randint(0, 9)},
                {"filter": f"{name.lower()}.*", "keep": 1},
                {"filter": subject, "seq": draw.randint(0, 6)},
            ]
        )
        s.api(f"STREAM.PURGE.{name}", purge)


# ---------------------------------------------------------------- headers of publishers


@scenario
def what_publishers_may_not_say(s: Session) -> None:  # S-114, S-128
    configure(s, {"name": "S", "subjects": ["s.>"]})
    headers = (
        b"NATS/1.0\r\nNats-Request-Info: x\r\n\r\n",
        b"NATS/1.0\r\nA: b\r\nNats-Request-Info: x\r\nC: d\r\nNats-Request-Info: y\r\n\r\n",
        b"NATS/1.0\r\nnats-request-info: x\r\n\r\n",
        b"NATS/1.0\r\nNats-Request-Infos: x\r\n\r\n",
        b"NATS/1.0 404 Not Found\r\n\r\n",
        b"NATS/1.0 404\r\nA: b\r\n\r\n",
        b"NATS/1.0\r\n\r\n",
    )
    for seq, header in enumerate(headers, 1):
        raw(s, "s.a", header)
        stored(s, seq)


@scenario
def how_headers_are_read(s: Session) -> None:  # S-129
    configure(s, {"name": "S", "subjects": ["s.>"]})
    raw(s, "s.a", b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n")
    for header in (
        b"NATS/1.0\r\nNats-Msg-Id:1\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id:   1\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id:\t1\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id: 1 \r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id : 1\r\n\r\n",
        b"NATS/1.0\r\nnats-msg-id: 1\r\n\r\n",
        b"NATS/1.0\r\n Nats-Msg-Id: 1\r\n\r\n",
        b"NATS/1.0\r\nA: b\nNats-Msg-Id: 1\r\n\r\n",
        b"NATS/1.0\r\nA: b\rNats-Msg-Id: 1\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id: 1\n\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id: 1",
        b"NATS/1.0\r\nNats-Msg-Id: \r\nNats-Msg-Id: 1\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id: 2\r\nNats-Msg-Id: 1\r\n\r\n",
        b"NATS/1.0\r\nNats-Msg-Id: 1\r\nNats-Msg-Id: 3\r\n\r\n",
    ):
        raw(s, "s.a", header)


_HEADERS: dict[str, list[str]] = {
    "Nats-Msg-Id": ["1", "2", "", " x ", " "],
    "Nats-Expected-Stream": ["@", "X", ""],
    "Nats-Expected-Last-Sequence": ["0", "1", "2", "3", "x", "-1", "", "007", "+1", "1 "],
    "Nats-Expected-Last-Subject-Sequence": ["0", "1", "2", "3", "x", "-1", "", "1 "],
    "Nats-Expected-Last-Subject-Sequence-Subject": ["#.a", "#.b", "#.*", "#.>", "nope", "", ">"],
    "Nats-Expected-Last-Msg-Id": ["1", "2", "", "zz"],
    "Nats-Rollup": ["sub", "all", "SUB", "All", "x", "", "sub ", " Sub"],
    "Nats-TTL": [
        *["1h", "3600", "never", "NEVER", "0", "00", "-1", "-1h", "1ms", "x", "", "1.5h", "2h30m"],
        *["999ms", "0s", "9999999999999999", "1e3", "+60", "+60s", "3000000h", " 60", "60 "],
    ],
    "Nats-Incr": ["1", "+1", "-1", "x", "", "0", "--1", "9" * 40, "1.0"],
    "Nats-Schedule": ["@at 2099-01-01T00:00:00Z", "@every 1h", "x", ""],
    "Nats-Schedule-Target": ["#.t", "other", "", "#.*", "#.a"],
    "Nats-Schedule-TTL": ["1h", "x", ""],
    "Nats-Schedule-Source": ["#.b", "#.*", ""],
    "Nats-Schedule-Rollup": ["sub", "all", ""],
    "Nats-Schedule-Time-Zone": ["Europe/Berlin", "x", ""],
    "Nats-Schedule-Next": ["purge", "2099-01-01T00:00:00Z", ""],
    "Nats-Scheduler": ["#.a", "#.b", ""],
    "Nats-Stream-Source": ["x", ""],
    "Nats-Required-Api-Level": ["1", "99", "x"],
    "Nats-Marker-Reason": ["MaxAge", "x"],
    "Nats-Counter-Sources": ["{}", "x"],
    "Nats-Batch-Sequence": ["1", "x"],
    "Other": ["1"],
}
_USUAL = ["Nats-Msg-Id", "Nats-Rollup", "Nats-TTL", "Nats-Schedule", "Nats-Schedule-Target"]
_FLAGS = ["allow_msg_ttl", "allow_rollup_hdrs", "allow_atomic", "allow_msg_schedules", "deny_purge"]


@scenario
def headers_at_random(s: Session) -> None:  # S-115..S-130, S-135, S-137, S-205, S-212
    draw = random.Random(20261125)
    for number in range(35):
        name = f"H{number}"
        subject = name.lower()
        config: dict[str, object] = {"name": name, "subjects": [f"{subject}.>"]}
        config |= {flag: True for flag in _FLAGS if draw.random() < 0.35}
        if draw.random() < 0.15:
            config = {"name": name, "subjects": [f"{subject}.>"], "allow_msg_counter": True}
        if draw.random() < 0.2:
            config["max_msg_size"] = draw.choice([20, 60, 100])
        if draw.random() < 0.15:
            config["retention"] = "interest"
        if draw.random() < 0.15:
            config["subject_transform"] = {"src": f"{subject}.>", "dest": f"{subject}x.>"}
        answer = s.api(f"STREAM.CREATE.{name}", config, note=False)
        s.notes.append(str(answer.get("error", "created")))
        if "error" in answer:
            continue
        for _ in range(14):
            header = _random_header(draw, name)
            raw(s, f"{subject}.{draw.choice('ab')}", header, b"x" * draw.choice([0, 0, 1, 30]))
        state(s, name)


def _random_header(draw: random.Random, name: str) -> bytes:
    names = draw.sample(list(_HEADERS), draw.choice([0, 1, 1, 2])) + draw.sample(
        _USUAL, draw.choice([0, 1, 1, 2])
    )
    lines = ""
    for key in names:
        value = draw.choice(_HEADERS[key]).replace("#", name.lower())
        lines += f"{key}: {name if value == '@' else value}\r\n"
    return f"NATS/1.0\r\n{lines}\r\n".encode() if lines else b""


# ---------------------------------------------------------------- purges and consumers

_FILTERS: dict[str, dict[str, object]] = {
    "all": {},
    "own": {"filter_subject": "s.a"},
    "other": {"filter_subject": "s.c"},
    "star": {"filter_subject": "s.*"},
    "two": {"filter_subjects": ["s.a", "s.c"]},
    "deep": {"filter_subject": "s.a.>"},
}


@scenario
def purges_move_who_is_concerned(s: Session) -> None:  # S-107
    purges: tuple[dict[str, object], ...] = (
        {"filter": "s.a"},
        {"filter": "s.a", "keep": 1},
        {"filter": "s.a", "seq": 3},
        {"filter": "s.none"},
        {"filter": "s.*"},
        {"filter": "s.>", "keep": 2},
        {"seq": 3},
        {"keep": 1},
        {},
    )
    for number, purge in enumerate(purges):
        name = f"P{number}"
        base = {"name": name, "subjects": [f"p{number}.>"]}
        transform = {"src": f"p{number}.>", "dest": "s.>"}
        s.api(f"STREAM.CREATE.{name}", base | {"subject_transform": transform}, note=False)
        for consumer, filters in _FILTERS.items():
            config = {"durable_name": consumer, "ack_policy": "explicit"} | filters
            verb = f"CONSUMER.CREATE.{name}.{consumer}"
            s.api(verb, {"stream_name": name, "config": config}, note=False)
        for subject in ("a", "b", "a", "c", "a", "a.x"):
            publish(s, f"p{number}.{subject}")
        s.api(f"STREAM.PURGE.{name}", purge)
        _positions(s, name)
        publish(s, f"p{number}.a")
        s.api(f"STREAM.MSG.DELETE.{name}", {"seq": 7})
        s.api(f"STREAM.PURGE.{name}", {"filter": "s.a"})
        _positions(s, name)


@scenario
def rollups_move_who_is_concerned(s: Session) -> None:  # S-107, S-121
    configure(s, {"name": "S", "subjects": ["s.>"], "allow_rollup_hdrs": True})
    for consumer, filters in _FILTERS.items():
        s.consumer(consumer, **filters)
    for rollup in ("sub", "all"):
        for subject in ("s.a", "s.b", "s.a", "s.c"):
            publish(s, subject)
        publish(s, "s.a", Nats_Rollup=rollup)
        _positions(s, "S")
        publish(s, "s.a", Nats_Rollup=rollup)
        _positions(s, "S")


def _positions(s: Session, name: str) -> None:
    for consumer in _FILTERS:
        answer = s.api(f"CONSUMER.INFO.{name}.{consumer}", note=False)
        moved = [(answer[key]["consumer_seq"], answer[key]["stream_seq"]) for key in _MOVED]
        s.notes.append(f"{consumer}: {moved}")


_MOVED = ("delivered", "ack_floor")


# ---------------------------------------------------------------- configuration


@scenario
def counters_and_times_to_live(s: Session) -> None:  # S-041..S-043
    attempts = Attempts(s)
    counter = {"allow_msg_counter": True}
    markers = counter | {"subject_delete_marker_ttl": SECOND}
    for before, after in ((counter, markers), (markers, markers), (markers, counter)):
        name = attempts.attempt(**before)
        configure(s, {"name": name, "subjects": ["s.>"]} | after, "UPDATE")
        attempts.gone(name)


# ---------------------------------------------------------------- publishing and its answers


@scenario
def who_is_answered(s: Session) -> None:  # S-132, S-135, S-137, S-139, S-140
    configure(s, {"name": "S", "subjects": ["s.>", "<&>.a"]})
    publish(s, "s.a")
    publish(s, "<&>.a", Nats_Expected_Stream="<&>")
    publish(s, "t.a")
    s.connection.publish("s.a", b"nobody waits")
    publish(s, "s.a", Nats_Msg_Id="x")
    publish(s, "s.a", Nats_Msg_Id="x")
    configure(s, {"name": "S", "subjects": ["s.>"], "no_ack": True}, "UPDATE")
    reply = s.inbox()
    s.connection.publish("s.a", b"", b"", reply)
    s.connection.publish("s.a", b"", block({"Nats-Expected-Stream": "T"}), reply)
    s.connection.publish("s.a", b"", block({"Nats-Msg-Id": "x"}), reply)
    while s.api("STREAM.INFO.S", note=False)["state"]["messages"] < 4:
        pass
    state(s)
    s.silence()


@scenario
def stored_sizes(s: Session) -> None:  # S-017, S-020, S-147, S-150
    attempts = Attempts(s)
    for storage in ("file", "memory"):
        for header, body in ((b"", b""), (b"", b"12345"), (_ONE_HEADER, b""), (_ONE_HEADER, b"1")):
            name = attempts.attempt(storage=storage)
            raw(s, "s.a", header, body)
            size = s.api(f"STREAM.INFO.{name}", note=False)["state"]["bytes"]
            s.notes.append(f"{storage} {header!r} {body!r}: {size}")
            attempts.gone(name)
            for limits in (
                {"max_bytes": size - 1},
                {"max_bytes": size},
                {"max_bytes": size - 1, "discard": "new"},
                {"max_bytes": size, "discard": "new"},
                {"max_msg_size": len(header + body) or 1},
                {"max_msg_size": len(header + body) - 1 if header else 4},
            ):
                name = attempts.attempt(storage=storage, **limits)
                raw(s, "s.a", header, body)
                raw(s, "s.a", header, body)
                state(s, name)
                attempts.gone(name)


_ONE_HEADER = b"NATS/1.0\r\nA: b\r\n\r\n"


@scenario
def replaced_where_full(s: Session) -> None:  # S-021, S-035, S-138, S-147..S-149
    attempts = Attempts(s)
    full = {"discard": "new", "max_msgs_per_subject": 1, "allow_rollup_hdrs": True}
    for storage in ("file", "memory"):
        for limits in (
            {"max_msgs": 2},
            {"max_bytes": 90},
            {"max_msgs": 2, "discard_new_per_subject": True},
            {"discard_new_per_subject": True},
        ):
            name = attempts.attempt(storage=storage, **full, **limits)
            for subject, body in (
                *(("s.a", b"1234"), ("s.b", b"1234"), ("s.c", b"1"), ("s.a", b"12")),
                *(("s.a", b"123"), ("s.b", b"12345678"), ("s.b", b"")),
            ):
                publish(s, subject, body)
            publish(s, "s.a", b"1", Nats_Rollup="sub")
            publish(s, "s.d", b"1", Nats_Rollup="all")
            state(s, name)
            attempts.gone(name)


# ---------------------------------------------------------------- duplicates, ages


@scenario
def ids_outlive_their_messages(s: Session) -> None:  # S-115, S-152, S-154
    configure(s, {"name": "S", "subjects": ["s.>"], "max_msgs": 1})
    for number in "123":
        publish(s, "s.a", Nats_Msg_Id=number)
    publish(s, "s.b", Nats_Msg_Id="1")
    s.api("STREAM.MSG.DELETE.S", {"seq": 3})
    publish(s, "s.b", Nats_Msg_Id="3")
    s.api("STREAM.PURGE.S")
    publish(s, "s.b", Nats_Msg_Id="2")
    publish(s, "s.b", Nats_Expected_Last_Msg_Id="3")
    publish(s, "s.b", Nats_Expected_Last_Msg_Id="3")
    # Without a window there are no duplicates, but the newest id is known.
    configure(s, {"name": "T", "subjects": ["t.>"], "sources": [{"name": "S"}]})
    publish(s, "t.a", Nats_Msg_Id="1")
    publish(s, "t.a", Nats_Msg_Id="1")
    publish(s, "t.a", Nats_Expected_Last_Msg_Id="1")


@scenario
def ids_end_with_the_window(s: Session) -> None:  # S-025, S-152
    configure(s, {"name": "S", "subjects": ["s.>"], "duplicate_window": 100 * MS})
    publish(s, "s.a", Nats_Msg_Id="1")
    while b"duplicate" in s.connection.request("s.a", b"", block({"Nats-Msg-Id": "1"})).body:
        pass
    s.notes.append("stored again")


@scenario
def messages_end_by_age(s: Session) -> None:  # S-018, S-141, S-145, S-151
    for retention in ("limits", "workqueue", "interest"):
        name = retention.upper()
        config = {"name": name, "subjects": [f"{name}.>"], "storage": "memory"}
        configure(s, config | {"max_age": 100 * MS, "retention": retention})
        consumer = {"durable_name": "C", "ack_policy": "explicit"}
        s.api(f"CONSUMER.CREATE.{name}.C", {"stream_name": name, "config": consumer}, note=False)
        publish(s, f"{name}.a")
        while s.api(f"STREAM.INFO.{name}", note=False)["state"]["messages"]:
            pass
        state(s, name)
        shown = s.api(f"STREAM.INFO.{name}", note=False)["state"]
        s.notes.append(f"{shown['first_ts']} {shown['last_ts'][:2]}")


# ---------------------------------------------------------------- deletes, purges, the end


@scenario
def a_sealed_stream(s: Session) -> None:  # S-036, S-180
    configure(s, {"name": "S", "subjects": ["s.>"], "allow_direct": True, "max_age": 3600 * SECOND})
    publish(s, "s.a", b"1")
    sealed = {"name": "S", "subjects": ["s.>"], "sealed": True, "allow_direct": True}
    configure(s, sealed, "UPDATE")
    publish(s, "s.a", b"2")
    publish(s, "s.a", b"2", Nats_Rollup="sub")
    s.connection.publish("s.a", b"3")
    s.api("STREAM.PURGE.S")
    s.api("STREAM.MSG.DELETE.S", {"seq": 1})
    s.consumer()
    s.pull({"batch": 1, "expires": 200 * MS})
    s.ack(s.take(1)[0])
    configure(s, sealed | {"sealed": False}, "UPDATE")
    configure(s, sealed | {"description": "d"}, "UPDATE")
    state(s)
    s.api("STREAM.DELETE.S")


@scenario
def a_stream_ends_with_its_consumers(s: Session) -> None:  # S-077, S-181
    s.stream()
    s.consumer()
    inbox = s.pull({"batch": 1, "expires": 5 * SECOND})
    s.waits()
    s.connection.subscribe("$JS.EVENT.ADVISORY.STREAM.DELETED.>")
    s.connection.publish("$JS.API.STREAM.DELETE.S", b"", reply=s.inbox())
    heard = [s.connection.next_of_any(2.0) for _ in range(3)]
    s.notes += sorted(
        f"{m.subject} {m.header!r}" if m.subject == inbox else m.subject for m in heard if m
    )
    publish(s, "s.a")
    s.api("CONSUMER.INFO.S.C")


@scenario
def sequences_by_configuration_and_purge(s: Session) -> None:  # S-030, S-058, S-059, S-174, S-175
    attempts = Attempts(s)
    for config in ({}, {"first_seq": 1}, {"first_seq": 100}, {"first_seq": 1, "storage": "memory"}):
        for purge in ({"seq": 50}, {"seq": 200}, {"keep": 1}, {"keep": 5}, {}, {"seq": 1}):
            name = attempts.attempt(**config)
            state(s, name)
            s.api(f"STREAM.PURGE.{name}", purge)
            state(s, name)
            publish(s, "s.a")
            publish(s, "s.a")
            s.api(f"STREAM.PURGE.{name}", purge)
            publish(s, "s.b")
            state(s, name)
            attempts.gone(name)


# ---------------------------------------------------------------- lists and pages


@scenario
def pages(s: Session) -> None:  # S-061, S-075, S-076, S-099..S-102
    for number in range(300):
        config = {"name": f"L{number:03}", "subjects": [f"l.{number}"], "storage": "memory"}
        s.api(f"STREAM.CREATE.L{number:03}", config, note=False)
    for offset in (0, 250, 256, 299, 300, 301, -1, 2**40):
        for verb in ("NAMES", "LIST"):
            answer = s.api(f"STREAM.{verb}", {"offset": offset}, note=False)
            streams = answer.pop("streams") or []
            ends = [_name(found) for found in (streams[:1] + streams[-1:])]
            s.notes.append(f"{verb} {offset}: {sorted(answer.items())} {len(streams)} {ends}")
    for subject in ("l.7", "*.7", "l.*", ">", "l.7.x", "l", "x", "l..7", " ", ""):
        for verb in ("NAMES", "LIST"):
            answer = s.api(f"STREAM.{verb}", {"subject": subject}, note=False)
            names = [_name(found) for found in answer.pop("streams") or []]
            s.notes.append(f"{verb} {subject!r}: {sorted(answer.items())} {names[:3]} {len(names)}")


def _name(found: object) -> str:
    return found if isinstance(found, str) else found["config"]["name"]  # type: ignore[index]


@scenario
def odd_direct_gets(s: Session) -> None:  # S-087, S-111, S-164, S-170
    get_stream(s)
    for body in (
        b'{"SEQ":1}',
        b'{"Last_By_Subj":"s.a","NO_HDR":true}',
        b'{"seq":1,"bogus":18446744073709551616}',
        b'{"seq":1,"bogus":1.5e-3}',
        b'{"seq":1,"bogus":[-0.1,{"a":null}]}',
        b'{"seq":1,"bogus":01}',
        b'{"seq":1,"bogus":1.}',
        b'{"seq":1,"bogus":-}',
        b'{"seq":18446744073709551615}',
        b'{"seq":18446744073709551616}',
        b'{"seq":1.0}',
        b'{"up_to_seq":18446744073709551615}',
        b'{"last_by_subj":"s.a","seq":18446744073709551615}',
        b'{"seq":7,"multi_last":[]}',
        b'{"batch":9223372036854775808}',
    ):
        get(s, body)
    for level in ("+3", "-1", "+", "1 ", "9999999999999999999"):
        get(s, {"seq": 1}, header=block({"Nats-Required-Api-Level": level}))
