"""Conversations for what the other scenarios leave out: the forms of requests, pages, starts in
streams with gaps, requests that nobody hears the answer of, consumers as clients build them.

Whole answers are noted as they came, so that the order of fields counts.
"""

from __future__ import annotations

import json
import re

from consumer_feature_scenarios import scenario
from consumer_scenarios import MS, Session, normal_message

SILENCE_S = 0.7
CREATE = "CONSUMER.CREATE.S"
DURABLE = "CONSUMER.DURABLE.CREATE.S"


def raw(s: Session, verb: str, body: bytes = b"", header: bytes = b"") -> bytes:
    """A request to the API; the answer is noted byte for byte but for times and random names."""
    answer = s.connection.request(f"$JS.API.{verb}", body, header, SILENCE_S)
    if answer is None:
        s.notes.append(f"{verb} {body!r}: silence")
        return b""
    text = re.sub(rb'"\d{4}-\d\d-\d\dT[^"]*"', b'"TIME"', answer.header + answer.body)
    text = re.sub(rb'"_nats\.(level|ver)":"[^"]*"', rb'"\1":""', text)
    text = re.sub(rb'"pause_remaining":\d+', b'"pause_remaining":0', text)
    text = re.sub(rb'"name":"[0-9A-Za-z]{8}"', b'"name":"RANDOM"', text)
    s.notes.append(f"{verb} {body!r}: {text!r}")
    return answer.body


def ask(s: Session, verb: str, **fields: object) -> bytes:
    return raw(s, verb, json.dumps(fields).encode())


def attempt(s: Session, verb: str, stream: str = "S", **config: object) -> None:
    """Creates, and deletes what was created."""
    body = ask(s, verb, stream_name=stream, config=config)
    if body and b'"error"' not in body:
        created = json.loads(body)["name"]
        s.api(f"CONSUMER.DELETE.S.{created}", note=False)


# ---------------------------------------------------------------- requests


@scenario
def forms_of_creation(s: Session) -> None:  # C-001..C-004, C-014
    s.stream()
    attempt(s, CREATE)
    attempt(s, CREATE, name="N")
    attempt(s, CREATE, durable_name="D")
    attempt(s, CREATE, name="N", durable_name="D")
    attempt(s, CREATE, stream="T", name="N")
    attempt(s, f"{CREATE}.N")
    attempt(s, f"{CREATE}.N", name="other")
    attempt(s, f"{CREATE}.N", durable_name="N")
    attempt(s, f"{CREATE}.N", durable_name="other")
    attempt(s, f"{CREATE}.N.s.a", filter_subject="s.a")
    attempt(s, f"{CREATE}.N.s.a", filter_subject="s.b")
    attempt(s, f"{CREATE}.N.s.a")
    attempt(s, f"{CREATE}.N.s.a", filter_subjects=["s.a"])
    attempt(s, f"{CREATE}.N.s.>", filter_subject="s.>")
    attempt(s, f"{CREATE}.N.*", filter_subject="*")
    for config in ({"durable_name": "N"}, {"durable_name": "M"}, {"name": "N"}, {}):
        attempt(s, f"{DURABLE}.N", **config)
    attempt(s, f"{DURABLE}.N", durable_name="N", name="M")
    attempt(s, DURABLE, durable_name="N")
    attempt(s, f"{DURABLE}.N.more", durable_name="N")
    attempt(s, "CONSUMER.CREATE.missing.N", stream="missing")
    attempt(s, f"{CREATE}.a/b", name="a/b")
    attempt(s, f"{CREATE}.a\\b", name="a\\b")


@scenario
def actions_and_strictness(s: Session) -> None:  # C-015, C-016, C-017
    s.stream()
    config = {"durable_name": "C", "ack_policy": "explicit"}
    for action, changes in (
        *(("update", {}), ("create", {}), ("create", {}), ("", {}), ("bogus", {})),
        *(("create", {"description": "x"}), ("update", {"description": "x"}), ("update", {})),
        *(("create", {"metadata": {"a": "b"}}), ("", {"metadata": {"a": "b"}})),
    ):
        ask(s, f"{CREATE}.C", stream_name="S", config=config | changes, action=action)
    for field in ("ack_policy", "deliver_policy", "replay_policy", "priority_policy"):
        ask(s, f"{CREATE}.C", stream_name="S", config=config | {field: "bogus"})
    ask(s, f"{CREATE}.C", stream_name="S", config=config | {"unknown": 1})
    ask(s, f"{CREATE}.C", stream_name="S", config=config, unknown=1)
    ask(s, f"{CREATE}.C", stream_name="S", config=config, pedantic=True)
    for body in (b"", b"{", b"[]", b"null", b'"x"', b'{"config":3}'):
        raw(s, f"{CREATE}.C", body)
    for level in ("0", "1", "99", "x", "-1", ""):
        header = f"NATS/1.0\r\nNats-Required-Api-Level: {level}\r\n\r\n".encode()
        raw(s, f"{CREATE}.C", b"{}", header)
        raw(s, "CONSUMER.INFO.S.C", b"", header)


@scenario
def pages(s: Session) -> None:  # C-005, C-006, C-066
    s.stream()
    for verb in ("NAMES", "LIST"):
        raw(s, f"CONSUMER.{verb}.S")
        raw(s, f"CONSUMER.{verb}.missing")
    for name in ("b", "C", "a", "B10", "B9"):
        s.consumer(name)
    for verb in ("NAMES", "LIST"):
        for offset in (0, 2, 5, 6, -1):
            ask(s, f"CONSUMER.{verb}.S", offset=offset)
        for body in (b"{}", b"{", b'{"offset":"x"}', b'{"subject":"s"}', b"null"):
            raw(s, f"CONSUMER.{verb}.S", body)
    raw(s, "CONSUMER.NAMES")
    raw(s, "CONSUMER.LIST.S.x")


@scenario
def bodies_where_none_is_wanted(s: Session) -> None:  # C-007, C-008
    s.stream()
    for body in (b"{}", b" ", b" {} ", b"{ }", b"null", b"[]", b'""', b"0", b'{"a":1}', b"x"):
        s.consumer()
        raw(s, "CONSUMER.INFO.S.C", body)
        raw(s, "CONSUMER.DELETE.S.C", body)
    for verb in ("INFO", "DELETE"):
        for place in ("S.missing", "missing.C"):
            raw(s, f"CONSUMER.{verb}.{place}")
    raw(s, "CONSUMER.INFO.S.C.D")


@scenario
def pause_requests(s: Session) -> None:  # C-009, C-049, C-144
    s.stream()
    s.consumer()
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.PAUSE.>")
    later, past = "2120-01-01T00:00:00Z", "2020-01-01T00:00:00Z"
    for body in (
        *({"pause_until": later}, {"pause_until": later}, {}, {"pause_until": past}, {}),
        *({"pause_until": "2120-01-01T02:00:00.5+02:00"}, {"pause_until": "bogus"}),
        *({"unknown": 1}, {"pause_until": 3}),
    ):
        ask(s, "CONSUMER.PAUSE.S.C", **body)
    for body in (b"", b"{", b"null"):
        raw(s, "CONSUMER.PAUSE.S.C", body)
    for place in ("S.missing", "missing.C", "S"):
        raw(s, f"CONSUMER.PAUSE.{place}")
    heard = []
    while (message := s.connection.next_of_any(0.2)) is not None:
        event = json.loads(message.body)
        heard.append(f"{message.subject} {event['paused']} {event.get('pause_until')}")
    s.notes += heard


@scenario
def step_downs(s: Session) -> None:  # C-012
    s.stream()
    s.consumer()
    for place in ("S.C", "S.missing", "missing.C"):
        for body in (b"", b"{}", b"{", b'{"placement":{"cluster":"x"}}'):
            raw(s, f"CONSUMER.LEADER.STEPDOWN.{place}", body)
    raw(s, "CONSUMER.LEADER.STEPDOWN.S")


@scenario
def what_is_shown(s: Session) -> None:  # C-020, C-048, C-053, C-054, C-058, C-059, C-065
    s.stream()
    s.store("1", "2", "3")
    for config in (
        *({}, {"durable_name": "C"}, {"mem_storage": True}, {"num_replicas": 1}),
        *({"metadata": {"b": "1", "a": "2"}}, {"metadata": {"_nats.level": "9", "_nats.x": "y"}}),
        *({"inactive_threshold": 3_600_000 * MS}, {"max_batch": 3, "max_expires": 5000 * MS}),
        *({"priority_groups": ["g"], "priority_policy": "pinned_client"}, {"sample_freq": "5%"}),
    ):
        ask(s, f"{CREATE}.C", stream_name="S", config=config)
        raw(s, "CONSUMER.INFO.S.C")
        raw(s, "CONSUMER.LIST.S")
        s.pull(b"2")
        s.take(2)
        s.info()
        s.api("CONSUMER.DELETE.S.C", note=False)
    for config in ({"max_deliver": -2}, {"backoff": [MS], "ack_wait": 2 * MS}, {"max_waiting": -1}):
        ask(s, f"{CREATE}.C", stream_name="S", config=config, pedantic=True)


# ---------------------------------------------------------------- starts


@scenario
def starts_in_streams_with_gaps(s: Session) -> None:  # C-023, C-024, C-132..C-135
    starts: list[dict[str, object]] = [
        *({"deliver_policy": policy} for policy in ("all", "last", "new")),
        *({"deliver_policy": "by_start_sequence", "opt_start_seq": seq} for seq in (1, 3, 9)),
        {"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"},
        {"deliver_policy": "by_start_time", "opt_start_time": "2120-01-01T00:00:00Z"},
    ]
    filters: list[dict[str, object]] = [
        *({}, {"filter_subject": "s.b"}, {"filter_subject": "s.none"}),
        {"filter_subjects": ["s.c", "s.b"]},
    ]
    s.stream()
    for subject in ("s.a", "s.a", "s.b", "s.c", "s.b", "s.a"):
        s.store("x", subject=subject)
    for gone in (1, 4, 6, 0):
        for start in starts:
            for filtered in filters:
                s.consumer(**start, **filtered)
                s.info()
                s.api("CONSUMER.DELETE.S.C", note=False)
        if gone:
            s.api("STREAM.MSG.DELETE.S", {"seq": gone}, note=False)
            if gone == 6:
                s.api("STREAM.PURGE.S", note=False)


@scenario
def last_of_each_subject_where_there_is_one(s: Session) -> None:  # C-133
    s.stream(max_msgs_per_subject=1)
    for subject in ("s.a", "s.b", "s.a", "s.c", "s.b"):
        s.store("x", subject=subject)
    s.consumer(deliver_policy="last_per_subject", filter_subject="s.b")
    s.info()
    s.store("y", subject="s.c")
    s.store("y", subject="s.b")
    s.pull({"batch": 3, "no_wait": True})
    s.take(2)
    s.info()


# ---------------------------------------------------------------- pulls and acknowledgements


@scenario
def pulls_nobody_hears(s: Session) -> None:  # C-063, C-068, C-085
    s.stream()
    s.store("1")
    s.consumer()
    s.connection.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b"1")  # no reply subject
    s.info()
    s.pull(b"", inbox="nobody.here")
    sid = s.connection.subscribe("left")
    s.pull({"batch": 2, "expires": 10_000 * MS}, inbox="left")
    s.take(1)
    s.waits()
    s.connection.unsubscribe(sid)
    s.store("2")
    s.pull(b"1")
    s.take(1)
    s.info()


@scenario
def counts_of_redelivered(s: Session) -> None:  # C-062, C-113
    s.stream()
    s.store("1", "2")
    for deliver in (-1, 1, 2):
        s.consumer(max_deliver=deliver)
        s.pull(b"2")
        got = s.take(2)
        for message in got:
            s.ack(message, b"-NAK")
        s.pull({"batch": 2, "no_wait": True})
        s.take(2 if deliver != 1 else 1)
        s.info()
        s.api("CONSUMER.DELETE.S.C", note=False)


@scenario
def work_in_progress(s: Session) -> None:  # C-121
    s.stream()
    s.store("1")
    s.consumer(ack_wait=1000 * MS)
    s.pull({"batch": 2, "expires": 9000 * MS})
    (message,) = s.take(1)
    for _ in range(2):
        s.silence(0.6)
        s.ack(message, b"+WPI")
    s.take(1)
    s.ack(message, b"+WPIx")
    s.info()


@scenario
def replies_that_clients_may_not_use(s: Session) -> None:  # C-131
    s.stream()
    s.store("1")
    s.consumer()
    s.pull(b"1")
    (message,) = s.take(1)
    for reply in (message.reply, "$JS.ACK.x"):
        try:
            s.connection.publish("s.a", b"2", reply=reply)
            s.connection.flush()
        except ConnectionError as error:
            s.notes.append(re.sub(r"\.\d{10,}\.", ".TIME.", str(error)))


# ---------------------------------------------------------------- push


@scenario
def windows_of_flow_control(s: Session) -> None:  # C-102, C-103, C-104
    s.stream(storage="memory")
    inbox = s.inbox()
    body = "x" * 500_000
    for _ in range(8):
        s.store(body)
    s.consumer(deliver_subject=inbox, flow_control=True, idle_heartbeat=500 * MS, ack_policy="none")

    def heard(count: int) -> str:
        asked = ""
        for _ in range(count):
            message = s.connection.next_of_any(3)
            assert message is not None
            asked = message.reply if message.header else asked
            s.notes.append(normal_message(message._replace(body=b"")))
        return asked

    asked = heard(6)  # until the window is full, with one request among them
    heard(1)  # a heartbeat that says so
    s.connection.publish(asked, b"")
    heard(4)


@scenario
def ordered_consumer(s: Session) -> None:  # C-142, C-046
    s.stream()
    s.store(*"1234")
    inbox = s.inbox()
    config = {
        "ack_policy": "none",
        "max_deliver": 1,
        "mem_storage": True,
        "num_replicas": 1,
        "flow_control": True,
        "idle_heartbeat": 5000 * MS,
        "inactive_threshold": 5000 * MS,
        "deliver_subject": inbox,
    }
    ask(s, f"{CREATE}.first", stream_name="S", config=config)
    s.take(4)
    s.info("first")
    s.api("CONSUMER.DELETE.S.first", note=False)
    again = config | {"deliver_policy": "by_start_sequence", "opt_start_seq": 3}
    ask(s, f"{CREATE}.second", stream_name="S", config=again)
    s.take(2)
    s.info("second")
    s.store("5")
    s.take(1)
