"""Conversations about whom a push consumer delivers to: which subscriptions make it active, and who
hears what it delivers then.
"""

from __future__ import annotations

from consumer_feature_scenarios import scenario
from consumer_scenarios import MS, Session

DELIVER = "deliver.here"
EVERYTHING = "deliver.>"
# Subject and queue group of a subscription.
LISTENERS = (
    (DELIVER, ""),
    ("deliver.*", ""),
    (EVERYTHING, ""),
    (DELIVER, "q"),
    ("deliver.*", "q"),
    (DELIVER, "other"),
)


def push_consumer(s: Session, **config: object) -> None:
    s.consumer(deliver_subject=DELIVER, **config)


def bound(s: Session) -> None:
    found = s.look(lambda: s.api("CONSUMER.INFO.S.C", note=False).get("push_bound"))
    s.notes.append(f"bound {found}")


def hear(s: Session) -> None:
    """What is delivered to an active consumer, or that nothing is."""
    info = s.api("CONSUMER.INFO.S.C", note=False)
    if info.get("push_bound"):
        s.take(info["num_pending"] + info["num_ack_pending"])
    else:
        s.notes.append(f"{info['num_pending']} pending")


@scenario
def push_interest_that_comes_later(s: Session) -> None:  # C-100, C-101
    s.stream()
    s.store("1")
    for group in ("", "q"):
        for subject, queue in LISTENERS:
            push_consumer(s, deliver_group=group)
            sid = s.connection.subscribe(subject, queue)
            s.notes.append(f"group {group!r}, {subject} {queue!r}")
            bound(s)
            hear(s)
            s.connection.unsubscribe(sid)
            bound(s)
            s.api("CONSUMER.DELETE.S.C", note=False)


@scenario
def push_interest_that_is_there(s: Session) -> None:  # C-100, C-101
    s.stream()
    s.store("1")
    for group in ("", "q"):
        for subject, queue in LISTENERS:
            sid = s.connection.subscribe(subject, queue)
            push_consumer(s, deliver_group=group)
            s.notes.append(f"group {group!r}, {subject} {queue!r}")
            bound(s)
            hear(s)
            s.connection.unsubscribe(sid)
            bound(s)
            s.api("CONSUMER.DELETE.S.C", note=False)


@scenario
def push_delivers_to_everybody_once_active(s: Session) -> None:  # C-100, C-101
    s.stream()
    for group in ("", "q"):
        sids = [s.connection.subscribe(subject, queue) for subject, queue in LISTENERS]
        sids.append(s.connection.subscribe(DELIVER, "q"))
        push_consumer(s, deliver_group=group)
        # Plain subscriptions and one of each group.
        if group:
            s.take(5)  # what the first round stored
        s.store("1")
        s.take(5)
        for sid in sids:
            s.connection.unsubscribe(sid)
        bound(s)
        s.api("CONSUMER.DELETE.S.C", note=False)


@scenario
def push_without_a_literal_subscription_goes(s: Session) -> None:  # C-100, C-108
    s.stream()
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.DELETED.>")
    s.connection.subscribe(EVERYTHING)
    config = {"name": "C", "deliver_subject": DELIVER, "inactive_threshold": 150 * MS}
    s.api("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": config}, note=False)
    gone = s.connection.next_of_any(3)
    s.notes.append(str(gone and gone.subject))


@scenario
def push_deliver_subject_changes_without_any_listener(s: Session) -> None:  # C-041, C-100
    s.stream()
    s.store("1")
    sid = s.connection.subscribe(EVERYTHING)
    push_consumer(s)
    request = {"stream_name": "S", "config": {"durable_name": "C", "ack_policy": "explicit"}}
    request["config"]["deliver_subject"] = "deliver.there"
    s.api("CONSUMER.CREATE.S.C", request)
    s.connection.unsubscribe(sid)
    s.api("CONSUMER.CREATE.S.C", request, note=False)
    bound(s)
    s.connection.subscribe("deliver.there")
    bound(s)
    s.take(1)


@scenario
def push_into_a_stream(s: Session) -> None:  # C-100
    s.stream()
    s.store("1")
    s.api("STREAM.CREATE.T", {"name": "T", "subjects": [DELIVER]}, note=False)
    push_consumer(s)
    bound(s)
    while s.api("STREAM.INFO.T", note=False)["state"]["messages"] == 0:
        pass
    s.api("STREAM.DELETE.T", note=False)
    bound(s)
    s.api("STREAM.CREATE.T", {"name": "T", "subjects": [EVERYTHING]}, note=False)
    bound(s)
    s.api("STREAM.DELETE.T", note=False)
