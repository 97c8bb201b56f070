"""Conversations about what streams do with messages beside storing them: subject transforms,
republishing, counters, delete markers, direct get.

The same driving and noting as consumer_scenarios.py; a table of its own.
"""

from __future__ import annotations

from consumer_scenarios import MS, Scenario, Session

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
    if "error" not in answer:
        answer["config"].pop("metadata")
        answer = answer["config"]
    s.notes.append(f"{verb}: {sorted(answer.items())}")


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
        config = {"name": "S", "subjects": ["s.>"]}
        transform = {"src": source, "dest": destination}
        configure(s, config | {"subject_transform": transform})
        s.api("STREAM.DELETE.S", note=False)


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
    while s.api("STREAM.INFO.T", note=False)["state"]["messages"] < 3:
        pass
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
        configure(s, {"name": "S", "subjects": ["s.>"], "republish": republish})
        s.api("STREAM.DELETE.S", note=False)
    pedantic = {"republish": {"dest": "r.>"}, "pedantic": True}
    configure(s, {"name": "S", "subjects": ["s.>"]} | pedantic)
