"""Goal: advisories are those of nats-server: the same subjects, in the same order for each subject,
with the same bytes after ids and times are made alike. What nobody listens to is not built.

Method: the same conversation with a nats-server and with the API over the fake kernel, both with a
subscription on $JS.EVENT.>; what the kernel notices while it delivers is told to the API as events.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict

import pytest

from api_connection import Message
from conversation import NOW_NS
from conversation import Conversation as ApiConversation
from corpus import Call, Step, Store, call, consumer, stream, update
from normal_form import normal_form
from slipstream.jetstream.api.advisories import AUDIT_SUBJECT
from slipstream.kernel.events import AdvisoryEvent
from targets import LiveTarget

STEPS: list[Step] = [
    Call("INFO"),
    stream(subjects=["s.>"], description="<a>"),
    stream(subjects=["s.>"], description="<a>"),
    stream(subjects=["other"]),
    update(subjects=["s.>"]),
    Call("STREAM.CREATE.S", b"\xff{"),
    Store("s.a"),
    call("STREAM.MSG.GET.S", seq=1),
    call("STREAM.MSG.GET.S", seq=9),
    call("STREAM.MSG.DELETE.S", seq=9),
    consumer(name="C", durable_name="C"),
    consumer(name="C", durable_name="C", description="x"),
    consumer(name="D", durable_name="D", deliver_subject="dd"),
    Call("CONSUMER.INFO.S.C"),
    call("CONSUMER.PAUSE.S.C", pause_until="2099-01-01T02:00:00+02:00"),
    call("CONSUMER.PAUSE.S.C", pause_until="2099-01-01T00:00:00Z"),
    Call("CONSUMER.PAUSE.S.C"),
    consumer(name="P", durable_name="P", pause_until="2099-01-01T00:00:00Z"),
    Call("CONSUMER.LIST.S"),
    Call("CONSUMER.DELETE.S.C"),
    Call("STREAM.PURGE.S"),
    Call("STREAM.DELETE.S"),
    Call("STREAM.DELETE.S"),
]

_ID = re.compile(rb'"id":"[0-9A-Za-z]{22}"')
_CLIENT = re.compile(rb'"start":"[^"]*"|"id":\d+|"rtt":\d+')
# Times inside the escaped response of an audit.
_INNER_TIME = re.compile(rb'\\"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}Z\\"')
_INNER = re.compile(
    rb'\\"(_nats\.level|_nats\.ver)\\":\\"[^"\\]*\\"'
    rb'|\\"(pause_remaining|level|total|errors)\\":\d+'
)


def alike(body: bytes) -> str:
    body = _INNER.sub(
        b"-", _INNER_TIME.sub(b"TIME", _CLIENT.sub(b"-", _ID.sub(b'"id":"ID"', body)))
    )
    return normal_form(body)


def by_subject(messages: list[tuple[str, bytes]]) -> dict[str, list[str]]:
    grouped = defaultdict(list)
    for subject, body in messages:
        grouped[subject].append(alike(body))
    return grouped


def of_oracle(oracle: LiveTarget) -> list[tuple[str, bytes]]:
    connection = oracle.connection
    connection.subscribe("$JS.EVENT.>")
    heard: list[Message] = []
    for step in STEPS:
        if isinstance(step, Store):
            oracle.store(step.subject, step.body, step.header)
        else:
            oracle.request(step.verb, step.body, step.header)
    while (message := connection.next_message(0.3)) is not None:
        heard.append(message)
    heard = connection.drain_queued() + heard
    return [(message.subject, message.body) for message in heard]


def of_api() -> list[tuple[str, bytes]]:
    talk = ApiConversation()
    talk.kernel.subscriptions.add(b"$JS.EVENT.>")
    for step in STEPS:
        if isinstance(step, Store):
            talk.publish(step.subject, step.body, step.header)
        else:
            talk.send(step.verb, step.body, step.header)
            talk.settle()
    published = talk.kernel.take_published()
    return [(p.subject.decode(), p.body) for p in published if p.subject.startswith(b"$JS.EVENT.")]


def test_same_advisories(fresh_oracle: LiveTarget) -> None:  # S-247
    expected, got = by_subject(of_oracle(fresh_oracle)), by_subject(of_api())
    assert sorted(got) == sorted(expected)
    del expected[AUDIT_SUBJECT]
    for subject, bodies in expected.items():
        assert got[subject] == bodies, subject


def test_same_audits(fresh_oracle: LiveTarget) -> None:  # S-246
    """In any order: nats-server has several workers for the API."""
    expected, got = by_subject(of_oracle(fresh_oracle)), by_subject(of_api())
    assert sorted(got[AUDIT_SUBJECT]) == sorted(expected[AUDIT_SUBJECT])


def delivery_talk() -> tuple[ApiConversation, int, int]:
    talk = ApiConversation()
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    talk.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {}})
    (stream_id,) = talk.kernel.streams
    (consumer_id,) = talk.kernel.streams[stream_id].consumers
    return talk, stream_id, consumer_id


@pytest.mark.parametrize(
    ("kind", "subject", "type_", "fields"),
    [
        (
            "max_deliver",
            "ADVISORY.CONSUMER.MAX_DELIVERIES",
            "advisory.v1.max_deliver",
            {"stream_seq": 7, "deliveries": 3},
        ),
        (
            "nak",
            "ADVISORY.CONSUMER.MSG_NAKED",
            "advisory.v1.nak",
            {"consumer_seq": 8, "stream_seq": 7, "deliveries": 3},
        ),
        (
            "terminated",
            "ADVISORY.CONSUMER.MSG_TERMINATED",
            "advisory.v1.terminated",
            {"consumer_seq": 8, "stream_seq": 7, "deliveries": 3, "reason": "bad"},
        ),
        (
            "ack_sample",
            "METRIC.CONSUMER.ACK",
            "metric.v1.consumer_ack",
            {"consumer_seq": 8, "stream_seq": 7, "ack_time": 5, "deliveries": 3},
        ),
    ],
)
def test_deliveries(kind: str, subject: str, type_: str, fields: dict[str, object]) -> None:
    """C-129, C-146..C-148: field order as in nats-server's structs."""
    talk, stream_id, consumer_id = delivery_talk()
    reason = b"bad" if kind == "terminated" else b""
    event = AdvisoryEvent(kind, stream_id, consumer_id, 7, 8, 3, 5, reason)
    talk.api.handle(event, NOW_NS)
    assert talk.kernel.take_published() == []  # nobody listens
    talk.kernel.subscriptions.add(b"$JS.EVENT.>")
    talk.api.handle(event, NOW_NS)
    (sent,) = talk.kernel.take_published()
    assert sent.subject.decode() == f"$JS.EVENT.{subject}.S.C"
    shown = json.loads(sent.body)
    assert shown["type"] == f"io.nats.jetstream.{type_}"
    assert len(shown["id"]) == 22
    expected = {"stream": "S", "consumer": "C"} | fields
    assert list(shown.items())[3:] == list(expected.items())


def test_stream_that_captures_events_listens_too() -> None:
    talk, stream_id, consumer_id = delivery_talk()
    talk.ok("STREAM.CREATE.E", {"name": "E", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.>"]})
    talk.api.handle(AdvisoryEvent("nak", stream_id, consumer_id, 1, 1, 1, 0, b""), NOW_NS)
    (sent,) = talk.kernel.take_published()
    assert sent.subject == b"$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.S.C"


def test_event_of_a_consumer_that_is_gone() -> None:
    talk, stream_id, consumer_id = delivery_talk()
    talk.kernel.subscriptions.add(b"$JS.EVENT.>")
    talk.ok("CONSUMER.DELETE.S.C")
    talk.kernel.take_published()
    talk.api.handle(AdvisoryEvent("nak", stream_id, consumer_id, 1, 1, 1, 0, b""), NOW_NS)
    assert talk.kernel.take_published() == []
