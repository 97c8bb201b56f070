"""Goal: every answer and advisory has the shape that clients' tools check for.

Method: the answers of the differential corpus and the advisories are validated against the JSON
schemas of nats-io/jsm.go (answer_schemas.py).
"""

from __future__ import annotations

import json

import pytest

from answer_schemas import SCHEMAS, faults
from conversation import NOW_NS, Conversation
from corpus import CONVERSATIONS, Store
from corpus import Conversation as Talk
from slipstream.kernel.events import AdvisoryEvent

pytestmark = pytest.mark.skipif(
    not SCHEMAS.is_dir(), reason=f"no schemas in {SCHEMAS} (see JETSTREAM_SCHEMAS)"
)


@pytest.mark.parametrize("talk", CONVERSATIONS, ids=lambda talk: talk.name)
def test_answers(talk: Talk) -> None:
    conversation, checked, wrong = Conversation(), 0, list[str]()
    for step in talk.steps:
        if isinstance(step, Store):
            conversation.publish(step.subject, step.body, step.header)
            continue
        answer = conversation.request_raw(step.verb, step.body, step.header)
        if answer is not None:
            checked += 1
            wrong += faults(json.loads(answer))
    assert not wrong, "\n".join(sorted(set(wrong)))
    assert checked > 0


def test_advisories() -> None:
    talk = Conversation()
    talk.kernel.subscriptions.add(b"$JS.EVENT.>")
    sent = []

    def collect() -> None:
        published = talk.kernel.take_published()
        sent.extend(json.loads(p.body) for p in published if p.subject.startswith(b"$JS.EVENT."))

    for verb, body in (
        ("STREAM.CREATE.S", b'{"name":"S"}'),
        ("STREAM.UPDATE.S", b'{"name":"S"}'),
        ("CONSUMER.CREATE.S.C", b'{"stream_name":"S","config":{}}'),
        ("CONSUMER.PAUSE.S.C", b'{"pause_until":"2099-01-01T00:00:00Z"}'),
    ):
        talk.send(verb, body)
        talk.settle()
        collect()
    (stream_id,) = talk.kernel.streams
    (consumer_id,) = talk.kernel.streams[stream_id].consumers
    # Those of pins are left out: their schemas ask for a server's name, which nats-server omits.
    for kind in ("max_deliver", "nak", "terminated", "ack_sample"):
        talk.api.handle(AdvisoryEvent(kind, stream_id, consumer_id, 7, 8, 3, 5, b"r"), NOW_NS)
        collect()
    talk.send("STREAM.DELETE.S")
    talk.settle()
    collect()
    kinds = {event["type"].rsplit(".", 1)[1] for event in sent}
    assert kinds == {
        "api_audit",
        "stream_action",
        "consumer_action",
        "consumer_pause",
        "max_deliver",
        "nak",
        "terminated",
        "consumer_ack",
    }
    wrong = [fault for event in sent for fault in faults(event)]
    assert not wrong, "\n".join(sorted(set(wrong)))
