"""Conversations about what few clients look at: updates of live consumers, advisories and metrics,
pauses, odd acknowledgements, the order of redeliveries.
"""

from __future__ import annotations

import json
import re

from api_connection import ANSWER_S_MAX
from consumer_feature_scenarios import advisories, request, scenario
from consumer_scenarios import MS, Session
from raw_client import wait_until
from slipstream.protocol.short_hash import short_hash

# ---------------------------------------------------------------- updates of live consumers


@scenario
def update_of_max_ack_pending(s: Session) -> None:  # C-035
    s.stream()
    s.store(*"123456")
    s.consumer(max_ack_pending=2)
    s.pull({"batch": 6, "expires": 5000 * MS})
    s.take(2)
    s.silence(0.1)
    s.consumer(max_ack_pending=4)
    got = s.take(2)
    s.consumer(max_ack_pending=1)
    s.ack(got[0])
    s.silence(0.1)
    s.info()


@scenario
def update_of_ack_wait(s: Session) -> None:  # C-026, C-028
    s.stream()
    s.store(*"12")
    s.consumer()
    s.pull({"batch": 2, "expires": 5000 * MS})
    s.take(2)
    s.consumer(ack_wait=200 * MS)
    s.pull({"batch": 2, "expires": 5000 * MS})
    s.take(2)
    s.consumer(ack_wait=60_000 * MS)
    s.pull({"batch": 1, "expires": 400 * MS})
    s.take(1)
    s.info()


@scenario
def update_of_max_deliver(s: Session) -> None:  # C-027, C-125
    s.stream()
    s.store("1")
    s.consumer(ack_wait=300 * MS)
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>")
    s.pull({"batch": 1, "expires": 5000 * MS})
    s.take(1)
    s.consumer(ack_wait=300 * MS, max_deliver=1)
    advisories(s, 1)
    s.info()


@scenario
def update_of_filters(s: Session) -> None:  # C-029, C-030, C-136
    s.stream()
    for n in range(9):
        s.store(str(n), subject=f"s.{'abc'[n % 3]}")
    s.consumer(filter_subject="s.a")
    s.pull({"batch": 2, "expires": 1000 * MS})
    s.take(2)
    s.info()
    s.consumer(filter_subjects=["s.b", "s.c"])
    s.info()
    s.pull({"batch": 2, "expires": 1000 * MS})
    s.take(2)
    s.consumer()
    s.info()
    s.consumer(filter_subject="s.none")
    s.info()


@scenario
def purge_of_one_of_many_filters(s: Session) -> None:  # C-137
    s.stream()
    for subject in ("s.b", "s.a", "s.b"):
        s.store("x", subject=subject)
    s.consumer(filter_subjects=["s.a", "s.b"])
    s.api("STREAM.PURGE.S", {"filter": "s.a"})
    s.pull({"batch": 3, "no_wait": True})
    s.take(3)


@scenario
def update_of_headers_only(s: Session) -> None:  # C-037
    s.stream()
    s.store(*"12")
    s.consumer()
    s.pull(b"1")
    s.take(1)
    s.consumer(headers_only=True)
    s.pull(b"1")
    s.take(1)


@scenario
def update_of_deliver_subject(s: Session) -> None:  # C-041, C-057
    s.stream()
    s.store(*"123")
    first = s.connection.subscribe("in.1")
    s.consumer(deliver_subject="in.1")
    got = s.take(3)
    s.ack(got[1])
    body = {"durable_name": "C", "ack_policy": "explicit", "deliver_subject": "in.2"}
    raw = json.dumps({"stream_name": "S", "config": body}).encode()
    request(s, "$JS.API.CONSUMER.CREATE.S.C", raw)  # somebody listens to the old one
    s.connection.subscribe("in.2")
    s.connection.unsubscribe(first)
    info = "CONSUMER.INFO.S.C"
    wait_until(lambda: not s.api(info, note=False).get("push_bound"), "nobody is bound")
    s.connection.request("$JS.API.CONSUMER.CREATE.S.C", raw)
    s.take(2)
    s.info()


@scenario
def update_of_everything_shown(s: Session) -> None:  # C-019..C-052
    s.stream()
    for change in (
        {"description": "new", "sample_freq": "30%", "metadata": {"a": "b"}},
        {"max_batch": 5, "max_expires": 2000 * MS, "max_bytes": 100},
        {"inactive_threshold": 60_000 * MS, "num_replicas": 1},
        {"backoff": [100 * MS, 200 * MS], "max_deliver": 3},
        {"deliver_policy": "new"},
        {"ack_policy": "all"},
        {"replay_policy": "original"},
        {"max_waiting": 3},
        {"mem_storage": True},
        {"opt_start_seq": 3, "deliver_policy": "by_start_sequence"},
        {"deliver_subject": "d"},
        {"flow_control": True, "deliver_subject": "d", "idle_heartbeat": 1000 * MS},
        {"direct": True, "deliver_subject": "d"},
        {"sourcing": True},
    ):
        config = {"durable_name": "C", "ack_policy": "explicit"} | change
        body = json.dumps({"stream_name": "S", "config": config}).encode()
        request(s, "$JS.API.CONSUMER.CREATE.S.C", body)


# ---------------------------------------------------------------- advisories and metrics


def watched(s: Session, count: int) -> None:
    """Advisories; numbers that differ by nature are replaced."""
    for _ in range(count):
        message = s.connection.next_of_any(ANSWER_S_MAX)
        assert message is not None, "no advisory"
        body = re.sub(rb'"(timestamp|pause_until)":"[^"]*"', rb'"\1":"TIME"', message.body)
        body = re.sub(rb'"ack_time":\d+', b'"ack_time":1', body)
        body = re.sub(rb'"id":"\w+"', b'"id":""', body)
        s.notes.append(f"{message.subject} {body!r}")


@scenario
def audit_of_a_client(s: Session) -> None:  # S-246
    sid = s.connection.subscribe("$JS.EVENT.ADVISORY.API")
    s.api("CONSUMER.INFO.S.C")
    audit = s.connection.next_of_any(2)
    s.connection.unsubscribe(sid)
    assert audit is not None, "no audit"
    client = json.loads(audit.body)["client"]
    unlike = dict.fromkeys(("start", "id", "rtt", "server"), "its own")
    s.notes.append(json.dumps({name: unlike.get(name, client[name]) for name in client}))


@scenario
def consumer_advisories(s: Session) -> None:  # C-119, C-122, C-125, C-129, C-143..C-151
    s.stream()
    s.store(*"12345")
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.>")
    s.connection.subscribe("$JS.EVENT.METRIC.>")
    s.consumer(sample_freq="100")
    watched(s, 1)
    s.pull({"batch": 3, "expires": 1000 * MS})
    got = s.take(3)
    s.ack(got[0], sync=False)
    watched(s, 1)
    s.ack(got[1], b"-NAK", sync=False)
    watched(s, 1)
    s.ack(got[2], b"+TERM  of no use ", sync=False)
    watched(s, 1)
    s.ack(got[2], b"+TERM again", sync=False)
    watched(s, 1)
    s.pull({"batch": 1, "expires": 1000 * MS})
    s.ack(s.take(1)[0], sync=False)
    watched(s, 1)
    s.info()
    s.pull({"batch": 1, "expires": 1000 * MS})
    got = s.take(1)
    s.api("STREAM.MSG.DELETE.S", {"seq": int(got[0].reply.split(".")[5])}, note=False)
    watched(s, 1)
    s.api("CONSUMER.PAUSE.S.C", {"pause_until": "2120-01-01T00:00:00Z"}, note=False)
    watched(s, 1)
    s.api("CONSUMER.PAUSE.S.C", note=False)
    watched(s, 1)
    s.consumer(description="changed", sample_freq="100")
    s.api("CONSUMER.DELETE.S.C", note=False)
    watched(s, 1)
    s.api("STREAM.DELETE.S", note=False)
    s.silence(0.1)


@scenario
def sampling(s: Session) -> None:  # C-033, C-129
    s.stream()
    s.store(*"123")
    s.connection.subscribe("$JS.EVENT.METRIC.>")
    s.consumer(sample_freq="0%")
    s.pull({"batch": 3, "expires": 1000 * MS})
    got = s.take(3)
    s.ack(got[0])
    s.consumer(sample_freq="100%")
    s.ack(got[1])
    watched(s, 1)
    s.ack(got[1])
    s.consumer(sample_freq="0")
    s.ack(got[2])
    s.silence(0.1)


@scenario
def deletion_of_an_idle_consumer(s: Session) -> None:  # C-044, C-092, C-108
    s.stream()
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.DELETED.>")
    s.consumer(inactive_threshold=300 * MS)
    watched(s, 1)
    request(s, "$JS.API.CONSUMER.INFO.S.C")


# ---------------------------------------------------------------- pauses


@scenario
def paused_pull(s: Session) -> None:  # C-049, C-088, C-141
    s.stream()
    s.store(*"12")
    s.consumer()
    s.api("CONSUMER.PAUSE.S.C", {"pause_until": "2120-01-01T00:00:00Z"}, note=False)
    s.pull({"batch": 2, "expires": 200 * MS})
    s.take(1)
    s.pull({"batch": 2, "no_wait": True})
    s.take(1)
    s.pull({"batch": 1, "expires": 400 * MS, "idle_heartbeat": 150 * MS})
    s.take(3)
    s.info()
    s.consumer(description="still paused")
    s.pull({"batch": 1, "expires": 3000 * MS})
    s.silence(0.1)
    s.api("CONSUMER.PAUSE.S.C", {"pause_until": "2020-01-01T00:00:00Z"})
    s.pull({"batch": 1, "expires": 3000 * MS})  # nats-server resumes when something happens
    s.take(2)
    s.info()


@scenario
def paused_push(s: Session) -> None:  # C-102, C-141
    s.stream()
    inbox = s.inbox()
    paused = {"pause_until": "2120-01-01T00:00:00Z"}
    s.consumer(deliver_subject=inbox, idle_heartbeat=500 * MS, **paused)
    s.store("1")
    s.take(2)
    s.info()
    s.api("CONSUMER.PAUSE.S.C")
    s.store("2")  # nats-server resumes when something happens
    for _ in range(2):
        message = s.connection.next_of_any(ANSWER_S_MAX)
        s.notes.append(f"{message and message.body!r}")


# ---------------------------------------------------------------- acknowledgements


@scenario
def pulls_that_are_odd(s: Session) -> None:  # C-067, C-069, C-089
    s.stream()
    s.store(*(str(n) for n in range(20)))
    s.consumer()
    for level in (b"0", b"999", b"x", b""):
        header = b"NATS/1.0\r\nNats-Required-Api-Level: " + level + b"\r\n\r\n"
        inbox = s.inbox()
        s.connection.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b"1", header, inbox)
        s.take(1)
    for body in (
        b'{"BATCH":1,"Expires":1000000000}',
        b'{"batch":-1}',
        b'{"batch":1,"unknown":{"a":[1,"}"]}}',
        b'{"batch":null,"no_wait":null,"group":null}',
        b"{}",
        b"+1",
        b"-1",
        b"0",
        b"1 2",
        b"[1]",
        b'"1"',
        b"\t1\r\n",
    ):
        s.notes.append(str(body))
        s.pull(body)
        s.take(1)
    s.api("STREAM.PURGE.S", note=False)
    for body in (
        b'{"batch":1,"expires":-1}',
        b'{"batch":1,"expires":-1,"no_wait":true}',
        b'{"batch":1,"expires":-5,"idle_heartbeat":-5}',
        b'{"batch":1,"expires":5000000,"max_bytes":-1}',
    ):
        s.notes.append(str(body))
        s.pull(body)
        s.take(1)


@scenario
def pulls_that_are_no_json(s: Session) -> None:  # C-067
    s.stream()
    s.consumer()
    for body in (
        b'{"batch":"x"}',
        b'{"batch":1.5}',
        b'{"no_wait":1}',
        b'{"group":1}',
        b'{"batch":1',
        b'{"batch":1}}',
        b"{batch:1}",
        b'{"batch":}',
        b'{"batch":1,}',
        b'{"batch":[1]}',
        b'{"batch":99999999999999999999}',
        b'{"expires":"1s"}',
        b'{"batch":true}',
        b'{"id":{}}',
        b'{"batch":tru}',
        b'{"a":"\\x"}',
        b'{"priority":"1"}',
        b'{"min_pending":"1"}',
        b"{",
        b'{"a"',
        b'{"batch":01}',
        b'{"batch":-}',
        b'{"batch":1,"idle_heartbeat":100,"expires":150}',
    ):
        s.notes.append(str(body))
        s.pull(body)
        s.take(1)


@scenario
def nak_bodies(s: Session) -> None:  # C-114, C-119
    s.stream()
    s.store("1")
    bodies = (
        b"-NAK 50ms",
        b'-NAK {"delay":50000000}',
        b'-NAK {"Delay":50000000}',
        b"-NAK",
        b"-NAK  ",
        b"-NAK{}",
        b"-NAKx",
        b'-NAK {"delay":"1s"}',
        b"-NAK {",
        b"-NAK 1",
        b"-NAK -5s",
        b'-NAK {"other":1}',
    )
    for number, body in enumerate(bodies):
        s.notes.append(str(body))
        s.consumer(f"C{number}")
        s.pull({"batch": 1, "expires": 1000 * MS}, f"C{number}")
        got = s.take(1)
        s.ack(got[0], body)
        s.pull({"batch": 1, "expires": 3000 * MS}, f"C{number}")
        s.take(1)


@scenario
def next_bodies(s: Session) -> None:  # C-114, C-067
    s.stream()
    s.store(*(str(n) for n in range(30)))
    s.consumer()
    s.pull(b"1")
    got = s.take(1)[0]
    counts = (
        (b"+NXT", 1),
        (b"+NXT 2", 2),
        (b"+NXT  3 ", 3),
        (b'+NXT {"batch":2,"no_wait":true}', 2),
        (b"+NXTx", 1),
        (b"+NXT x", 1),
        (b"+NXT {", 1),
        (b"+NXT 0", 1),
        (b"+NXT -1", 1),
        (b'+NXT {"batch":1,"idle_heartbeat":1000}', 1),
    )
    for body, count in counts:
        s.notes.append(str(body))
        inbox = s.inbox()
        s.connection.publish(got.reply, body, reply=inbox)
        found = [m for m in s.take(count) if m.reply]
        got = found[-1] if found else got
    s.info()


@scenario
def acks_that_mean_nothing(s: Session) -> None:  # C-114..C-118
    s.stream()
    s.store(*"1234")
    s.consumer()
    s.pull({"batch": 3, "expires": 1000 * MS})
    got = s.take(3)
    header = b"NATS/1.0\r\nA: b\r\n\r\n"
    answer = s.connection.request(got[0].reply, b"+ACK", header)
    s.notes.append("answered" if answer else "silence")
    for body in (b"+WPI ", b"+wpi", b"+ACK ", b" ", b"-nak", b"+OKx", b"{}"):
        s.ack(got[1], body)
    s.info()
    parts = got[1].reply.split(".")
    for index, value in ((4, "9"), (5, "99"), (6, "99"), (7, "x"), (8, "x"), (5, "x"), (4, "x")):
        forged = [*parts[:index], value, *parts[index + 1 :]]
        answer = s.connection.request(".".join(forged), b"+WPI", timeout_s=0.3)
        status = answer and answer.header.split(b"\r\n")[0]
        s.notes.append(f"{index} {value}: {status!r}")
    for subject in (".".join(parts[:8]), got[1].reply + ".x", "$JS.ACK.S.nobody.1.1.1.1.0"):
        answer = s.connection.request(subject, b"+WPI", timeout_s=0.3)
        status = answer and answer.header.split(b"\r\n")[0]
        s.notes.append(f"{len(subject.split('.'))}: {status!r}")
    s.info()


@scenario
def redelivery_order(s: Session) -> None:  # C-119, C-123, C-126
    s.stream()
    s.store(*"12345678")
    s.consumer()
    s.pull({"batch": 6, "expires": 1000 * MS})
    got = s.take(6)
    for position in (4, 1, 3):
        s.ack(got[position], b"-NAK")
    s.ack(got[1])
    s.info()
    s.pull({"batch": 4, "expires": 1000 * MS})
    got = s.take(4)
    s.ack(got[0], b"-NAK")
    s.ack(got[0], b"-NAK")
    s.pull({"batch": 2, "expires": 1000 * MS})
    s.take(2)
    s.info()


# ---------------------------------------------------------------- subjects of acknowledgements


ACCOUNT_HASH = short_hash("$G")


def play_long_ack_subjects(s: Session) -> None:
    """Both forms are understood, whichever the deliveries ask for (C-111)."""
    s.stream()
    s.store(*"12345")
    s.consumer()
    s.pull({"batch": 5, "expires": 1000 * MS})
    got = [s.connection.next_of_any(ANSWER_S_MAX) for _ in range(5)]
    replies = [message.reply for message in got if message]
    s.notes.extend(re.sub(r"\.\d{19}\.", ".TIME.", reply) for reply in replies)
    for seq, prefix in enumerate(
        (
            "$JS.ACK.S.C",
            f"$JS.ACK._.{ACCOUNT_HASH}.S.C",
            "$JS.ACK._.00000000.S.C",
            f"$JS.ACK.domain.{ACCOUNT_HASH}.S.C",
        ),
        1,
    ):
        tail = f"1.{seq}.{seq}.1795411869648001000.0"
        for more in ("", ".more", ".and.more"):
            answer = s.connection.request(f"{prefix}.{tail}{more}", timeout_s=0.5)
            s.notes.append(f"{prefix} {more}: {answer and answer.header[:12]!r}")
    answer = s.connection.request(replies[4])
    s.notes.append(f"{answer and answer.header!r}")
    s.info()


scenario(play_long_ack_subjects)


def play_long_flow_subjects(s: Session) -> None:  # C-112
    s.stream()
    s.store(*"12")
    s.consumer(ack_policy="flow_control", deliver_subject=s.inbox(), max_ack_pending=1)
    got = [s.connection.next_of_any(ANSWER_S_MAX) for _ in range(2)]
    subject = [message.reply for message in got if message][1]
    s.notes.append(re.sub(r"\w{4}$", "RANDOM", subject))
    header = b"NATS/1.0\r\nNats-Last-Consumer: 1\r\nNats-Last-Stream: 1\r\n\r\n"
    s.connection.publish(subject, b"", header=header)
    message = s.connection.next_of_any(ANSWER_S_MAX)
    s.notes.append(f"{message and message.body!r}")
    s.info()


scenario(play_long_flow_subjects)
