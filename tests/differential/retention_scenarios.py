"""Conversations with streams that keep messages for their consumers: work queues and interest.

Written as those in consumer_scenarios.py. What nats-server does behind an answer (removing what an
acknowledgement frees) is waited for by looking at the stream, never for a time.
"""

from __future__ import annotations

import json

from api_connection import ANSWER_S_MAX, Message
from consumer_scenarios import MS, Scenario, Session, normal_json, normal_message

SCENARIOS: dict[str, Scenario] = {}


EXPIRES_NS = 60 * 1_000_000_000


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def settled(s: Session, messages: int) -> None:
    """Notes what the stream holds, once it holds so many messages."""
    s.notes.append(f"state: {normal_json(s.until_state(messages=messages))}")


def publish(s: Session, *subjects: str, header: bytes = b"") -> None:
    """Notes the acknowledgements."""
    for subject in subjects:
        block = b"NATS/1.0\r\n" + header + b"\r\n\r\n" if header else b""
        answer = s.connection.request(subject, subject.encode(), block)
        s.notes.append(f"{subject}: {normal_message(answer) if answer else 'no answer'}")


def fetch(s: Session, count: int, name: str = "C") -> list[Message]:
    """What is stored already; nats-server's consumers may hear of it only later."""
    s.pull({"batch": count, "expires": EXPIRES_NS}, name)
    return s.take(count)


def finish(s: Session, count: int, name: str = "C", *, left: int | None = None) -> None:
    """Takes and acknowledges so many messages; `left` is what the stream holds in the end."""
    for message in fetch(s, count, name):
        s.ack(message)
    if left is not None:
        settled(s, left)


def config(s: Session, name: str = "C", **fields: object) -> None:
    """Create or update, with the answer's code noted."""
    wanted = {"durable_name": name, "ack_policy": "explicit"} | fields
    answer = s.api(f"CONSUMER.CREATE.S.{name}", {"stream_name": "S", "config": wanted}, note=False)
    kept = answer.get("error") or {k: answer[k] for k in ("num_pending", "num_ack_pending")}
    s.notes.append(f"{name} {json.dumps(fields)}: {json.dumps(kept)}")


def update(s: Session, **fields: object) -> None:
    wanted = {"name": "S", "subjects": ["s.>"]} | fields
    answer = s.api("STREAM.UPDATE.S", wanted, note=False)
    kept = answer.get("error") or answer["config"]["retention"]
    s.notes.append(f"update {json.dumps(fields)}: {json.dumps(kept)}")


def told(s: Session, subject: str) -> None:
    """Waits for a message there."""
    while (message := s.connection.next_of_any(ANSWER_S_MAX)) is not None:
        if message.subject == subject:
            return
    raise AssertionError(f"nothing came on {subject}")


def delete(s: Session, name: str = "C") -> None:
    s.api(f"CONSUMER.DELETE.S.{name}")


# ---------------------------------------------------------------- work queue


@scenario
def work_queue_takes_acknowledged(s: Session) -> None:  # S-142
    s.stream(retention="workqueue")
    publish(s, "s.a", "s.b", "s.a")
    s.consumer()
    for message in fetch(s, 3)[:2]:
        s.ack(message)
    settled(s, 1)
    s.info()
    delete(s)
    settled(s, 1)  # waits for the next consumer
    s.consumer("D")
    fetch(s, 1, "D")
    s.info("D")


@scenario
def work_queue_takes_terminated(s: Session) -> None:  # S-142, C-122
    s.stream(retention="workqueue")
    publish(s, "s.a", "s.b")
    s.consumer()
    first, second = fetch(s, 2)
    s.ack(first, b"+TERM because")
    settled(s, 1)
    s.ack(second, b"-NAK")
    settled(s, 1)
    s.take(0)
    again = fetch(s, 1)[0]
    s.ack(again, b"+WPI")
    settled(s, 1)
    s.ack(again)
    settled(s, 0)
    s.info()


@scenario
def work_queue_keeps_what_was_delivered_enough(s: Session) -> None:  # S-144, C-125
    s.stream(retention="workqueue")
    publish(s, "s.a", "s.b")
    s.consumer(max_deliver=1, ack_wait=100 * MS)
    advisories = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.C"
    s.connection.subscribe(advisories)
    first, second = fetch(s, 2)
    s.ack(second)
    told(s, advisories)
    settled(s, 1)
    s.info()
    s.ack(first)  # late, but it counts
    settled(s, 0)
    s.info()


@scenario
def work_queue_consumers_are_disjoint(s: Session) -> None:  # C-055
    s.stream(retention="workqueue")
    config(s, ack_policy="none")
    config(s, ack_policy="all")
    config(s, ack_policy="none", deliver_subject="out")
    config(s, deliver_policy="new")
    config(s, deliver_policy="last_per_subject", filter_subject="s.a")
    config(s, num_replicas=1)
    config(s, "D")
    config(s, "D", filter_subject="s.a")
    delete(s)
    config(s, filter_subject="s.a")
    config(s, "D")
    config(s, "D", filter_subject="s.>")
    config(s, "D", filter_subjects=["s.b", "s.*"])
    config(s, "D", filter_subjects=["s.b", "s.c"])
    config(s, filter_subjects=["s.a", "s.c"])
    config(s, filter_subjects=["s.a", "s.d"])
    config(s, "D")
    config(s, "E", filter_subject="s.e")


@scenario
def work_queue_partitions(s: Session) -> None:  # S-142
    s.stream(retention="workqueue")
    s.consumer(filter_subject="s.a")
    s.consumer("D", filter_subjects=["s.b", "s.c.*"])
    publish(s, "s.a", "s.b", "s.c.1", "s.x", "s.a")
    finish(s, 2, left=3)
    finish(s, 2, "D", left=1)
    s.consumer("E", filter_subject="s.x")
    finish(s, 1, "E", left=0)


@scenario
def work_queue_obeys_limits(s: Session) -> None:  # S-145, C-122
    s.stream(retention="workqueue", max_msgs=3)
    s.consumer()
    publish(s, "s.a", "s.b", "s.c")
    taken = fetch(s, 2)
    publish(s, "s.d")  # evicts what is pending
    settled(s, 3)
    s.ack(taken[1])
    settled(s, 2)
    s.info()
    fetch(s, 2)


@scenario
def work_queue_refuses_when_full(s: Session) -> None:  # S-145
    s.stream(retention="workqueue", max_msgs=2, discard="new")
    s.consumer()
    publish(s, "s.a", "s.b", "s.c")
    finish(s, 1)
    publish(s, "s.d", "s.e")
    settled(s, 2)


@scenario
def work_queue_deletes_and_purges(s: Session) -> None:  # C-122
    s.stream(retention="workqueue")
    s.consumer()
    publish(s, "s.a", "s.b", "s.c", "s.a")
    fetch(s, 2)
    s.api("STREAM.MSG.DELETE.S", {"seq": 1})
    settled(s, 3)
    s.api("STREAM.PURGE.S", {"filter": "s.a"})
    settled(s, 2)
    s.info()
    s.api("STREAM.PURGE.S")
    settled(s, 0)
    s.info()


@scenario
def work_queue_pushes(s: Session) -> None:
    s.stream(retention="workqueue")
    s.consumer(deliver_subject="out")
    publish(s, "s.a", "s.b")
    s.connection.subscribe("out")
    for message in s.take(2):
        s.ack(message)
    settled(s, 0)
    s.info()


@scenario
def retention_updates(s: Session) -> None:  # S-014
    s.stream(retention="workqueue")
    update(s, retention="limits")
    update(s, retention="interest")
    update(s, retention="workqueue", max_msgs=5)
    s.api("STREAM.DELETE.S", note=False)
    s.stream()
    update(s, retention="workqueue")
    update(s, retention="interest")
    update(s, retention="workqueue")
    update(s, retention="limits")


# ---------------------------------------------------------------- interest


@scenario
def interest_without_consumers(s: Session) -> None:  # S-133
    s.stream(retention="interest")
    publish(s, "s.a", "s.b")
    publish(s, "s.c", "s.c", header=b"Nats-Msg-Id: one")
    publish(s, "s.d", header=b"Nats-Expected-Last-Msg-Id: one")
    publish(s, "s.d", header=b"Nats-Expected-Last-Sequence: 4")
    settled(s, 0)
    s.consumer()
    publish(s, "s.a")
    settled(s, 1)
    publish(s, "s.c", header=b"Nats-Msg-Id: one")
    fetch(s, 1)
    s.info()


@scenario
def interest_of_filters_alone(s: Session) -> None:  # S-133, S-143
    s.stream(retention="interest")
    s.consumer(filter_subjects=["s.a", "s.b.*"])
    publish(s, "s.a", "s.b", "s.b.1", "s.c", "s.b.1.2")
    settled(s, 2)
    finish(s, 2, left=0)
    s.info()


@scenario
def interest_ends_with_the_last_acknowledgement(s: Session) -> None:  # S-143
    s.stream(retention="interest")
    s.consumer()
    s.consumer("D", filter_subject="s.a")
    publish(s, "s.a", "s.b", "s.a")
    finish(s, 3, left=2)
    for message in fetch(s, 2, "D")[1:]:
        s.ack(message)
    settled(s, 1)
    s.info()
    s.info("D")


@scenario
def interest_acknowledged_all_at_once(s: Session) -> None:  # S-143
    s.stream(retention="interest")
    s.consumer(ack_policy="all")
    s.consumer("D")
    publish(s, "s.a", "s.b", "s.c", "s.d")
    s.ack(fetch(s, 4)[2])
    settled(s, 4)
    finish(s, 4, "D", left=1)
    s.info()
    delete(s)
    settled(s, 0)


@scenario
def interest_without_acknowledgements(s: Session) -> None:  # S-143
    s.stream(retention="interest")
    s.connection.subscribe("out")
    s.consumer(ack_policy="none", deliver_subject="out")
    for subject in ("s.a", "s.b"):
        publish(s, subject)
        s.take(1)
    settled(s, 0)
    s.consumer("D", ack_policy="none")
    publish(s, "s.c")
    s.take(1)
    settled(s, 1)
    fetch(s, 1, "D")
    settled(s, 0)
    s.info()
    s.info("D")


@scenario
def interest_goes_with_its_consumer(s: Session) -> None:  # C-140
    s.stream(retention="interest")
    s.consumer()
    s.consumer("D", filter_subject="s.a")
    publish(s, "s.a", "s.b", "s.a", "s.b")
    finish(s, 1)
    delete(s)
    settled(s, 2)
    fetch(s, 1, "D")
    delete(s, "D")
    settled(s, 0)
    publish(s, "s.a")
    settled(s, 0)


@scenario
def interest_of_later_consumers(s: Session) -> None:
    s.stream(retention="interest")
    s.consumer()
    publish(s, "s.a", "s.b", "s.a")
    finish(s, 1, left=2)
    config(s, "ALL")
    config(s, "NEW", deliver_policy="new")
    config(s, "LAST", deliver_policy="last")
    config(s, "FROM", deliver_policy="by_start_sequence", opt_start_seq=3)
    config(s, "FUTURE", deliver_policy="by_start_sequence", opt_start_seq=6)
    finish(s, 2, left=2)
    finish(s, 2, "ALL", left=1)
    finish(s, 1, "LAST")
    finish(s, 1, "FROM", left=0)
    publish(s, "s.c")
    for name in ("C", "ALL", "NEW", "LAST", "FROM"):
        finish(s, 1, name)
    settled(s, 0)
    for name in ("C", "ALL", "NEW", "LAST", "FROM", "FUTURE"):
        s.info(name)


@scenario
def interest_of_filters_that_change(s: Session) -> None:  # C-136
    s.stream(retention="interest")
    config(s)
    publish(s, "s.a", "s.b", "s.a", "s.c")
    config(s, filter_subject="s.a")
    settled(s, 2)
    publish(s, "s.b")
    settled(s, 2)
    config(s, filter_subjects=["s.a", "s.b"])
    publish(s, "s.b")
    settled(s, 3)
    finish(s, 3, left=0)
    s.info()


@scenario
def interest_of_filters_that_change_behind_the_start(s: Session) -> None:  # C-136
    """What lies at the floor of the consumer is looked at, what lies before it stays."""
    s.stream(retention="interest")
    config(s, deliver_policy="by_start_sequence", opt_start_seq=4)
    publish(s, "s.a", "s.a", "s.a", "s.a", "s.a")
    narrower = {"deliver_policy": "by_start_sequence", "opt_start_seq": 4, "filter_subject": "s.b"}
    config(s, **narrower)
    settled(s, 2)
    s.info()


@scenario
def interest_that_a_consumer_had_before_its_start(s: Session) -> None:  # C-140
    s.stream(retention="interest")
    config(s, deliver_policy="by_start_sequence", opt_start_seq=4)
    config(s, "D", filter_subject="s.b")
    publish(s, "s.a", "s.a", "s.a", "s.a", "s.a")
    delete(s)
    settled(s, 2)
    s.info("D")


@scenario
def interest_of_filters_that_change_under_deliveries(s: Session) -> None:  # C-136
    s.stream(retention="interest")
    config(s)
    publish(s, "s.a", "s.b", "s.a")
    taken = fetch(s, 3)
    s.consumer(filter_subject="s.a")
    settled(s, 2)
    for message in taken:
        s.ack(message)
    settled(s, 0)
    s.info()


@scenario
def interest_that_others_share_when_filters_change(s: Session) -> None:  # C-136
    s.stream(retention="interest")
    config(s)
    config(s, "D", filter_subject="s.b")
    publish(s, "s.a", "s.b", "s.c")
    config(s, filter_subject="s.c")
    settled(s, 2)
    finish(s, 1, "D", left=1)
    config(s, "D", filter_subject="s.c")
    s.info("D")
    finish(s, 1, left=1)
    finish(s, 1, "D", left=0)


@scenario
def interest_of_paused_consumers(s: Session) -> None:
    s.stream(retention="interest")
    s.consumer()
    s.consumer("D")
    s.api("CONSUMER.PAUSE.S.D", {"pause_until": "2099-01-01T00:00:00Z"}, note=False)
    publish(s, "s.a")
    finish(s, 1, left=1)
    s.api("CONSUMER.PAUSE.S.D", {}, note=False)
    finish(s, 1, "D", left=0)


@scenario
def interest_comes_to_a_stream_of_limits(s: Session) -> None:  # S-014
    s.stream()
    s.store("1", "2", "3")
    s.store("4", "5", subject="s.b")
    s.consumer(filter_subject="s.a")
    for message in fetch(s, 3)[:2]:
        s.ack(message)
    update(s, retention="interest")
    settled(s, 3)  # nobody ever wanted s.b: it stays
    publish(s, "s.b")
    settled(s, 3)
    update(s, retention="limits")
    publish(s, "s.b")
    settled(s, 4)
    update(s, retention="interest")
    settled(s, 4)
    s.info()
    delete(s)
    settled(s, 0)


@scenario
def interest_comes_without_consumers(s: Session) -> None:  # S-014
    s.stream()
    s.store("1", "2")
    update(s, retention="interest")
    settled(s, 0)
    publish(s, "s.c")
    settled(s, 0)
    s.consumer()
    s.pull({"batch": 1, "no_wait": True})
    s.take(1)  # nothing is left


@scenario
def interest_keeps_what_was_delivered_enough(s: Session) -> None:  # S-144
    s.stream(retention="interest")
    s.consumer(max_deliver=1, ack_wait=80 * MS)
    s.consumer("D")
    publish(s, "s.a")
    finish(s, 1, "D")
    advisories = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.C"
    s.connection.subscribe(advisories)
    fetch(s, 1)
    told(s, advisories)
    settled(s, 1)
    s.info()
    delete(s)
    settled(s, 0)


@scenario
def interest_obeys_limits(s: Session) -> None:  # S-145
    s.stream(retention="interest", max_msgs_per_subject=1)
    s.consumer()
    publish(s, "s.a", "s.a", "s.b")
    settled(s, 2)
    update(s, retention="interest", max_msgs=1)
    settled(s, 1)
    publish(s, "s.c")
    settled(s, 1)
    s.info()
    fetch(s, 1)


@scenario
def interest_when_full(s: Session) -> None:  # S-133, S-145
    s.stream(retention="interest", max_msgs=1, discard="new", max_msg_size=10)
    s.consumer(filter_subject="s.a")
    publish(s, "s.a", "s.a", "s.b", "s.long-subject-and-body")
    settled(s, 1)


@scenario
def interest_rolls_up(s: Session) -> None:
    s.stream(retention="interest", allow_rollup_hdrs=True)
    s.consumer(filter_subject="s.a")
    publish(s, "s.a", "s.a")
    publish(s, "s.b", header=b"Nats-Rollup: sub")
    settled(s, 2)
    publish(s, "s.b", header=b"Nats-Rollup: all")
    settled(s, 0)
    publish(s, "s.a", header=b"Nats-Rollup: sub")
    settled(s, 1)


@scenario
def interest_rules_of_consumers(s: Session) -> None:  # C-045, S-040
    s.stream(retention="interest", consumer_limits={"max_ack_pending": 10})
    config(s, ack_policy="none", max_ack_pending=0)
    config(s, "D", num_replicas=1, max_ack_pending=6)
    config(s, "E", max_ack_pending=11)
    config(s, "E", max_ack_pending=4, deliver_policy="last_per_subject", filter_subject="s.>")
    update(s, retention="interest", consumer_limits={"max_ack_pending": 8})
    update(s, retention="interest", consumer_limits={"max_ack_pending": 20})


@scenario
def interest_in_memory(s: Session) -> None:
    s.stream(retention="interest", storage="memory")
    publish(s, "s.a")
    s.consumer()
    s.consumer("D", ack_policy="none")
    publish(s, "s.a", "s.b")
    finish(s, 2, left=2)
    fetch(s, 2, "D")
    settled(s, 0)
    s.info("D")
