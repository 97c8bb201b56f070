"""Conversations with streams and their consumers, as functions that drive one connection and note
what came back.

What is noted: subject, reply, header and body of every message, with what differs by nature (times,
random parts) replaced. Waiting is for messages, never for time, except where time is the subject;
then it is short.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeVar

from api_connection import ANSWER_S_MAX, Connection, Message
from raw_client import wait_until
from side_by_side import Following, Leading

MS = 1_000_000
NEXT = "$JS.API.CONSUMER.MSG.NEXT.S.{}"
Scenario = Callable[["Session"], None]
State = TypeVar("State")
SCENARIOS: dict[str, Scenario] = {}


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


class Session:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.notes: list[str] = []
        self.watch: Leading | Following | None = None  # of a conversation that is held alone: none
        self._inboxes = 0

    # -- driving

    def look(self, read: Callable[[], State]) -> State:
        """Reads what nats-server may be late with."""
        return self.watch.look(read) if self.watch else read()

    def counted(self, name: str) -> None:
        """Until the consumer has counted what was stored: a pull is answered by that number."""
        self.look(lambda: self.api(f"CONSUMER.INFO.S.{name}", note=False).get("num_pending"))

    def api(self, verb: str, body: object = None, *, note: bool = True) -> dict:
        raw = b"" if body is None else json.dumps(body).encode()
        reply = self.connection.request(f"$JS.API.{verb}", raw)
        assert reply is not None, f"{verb}: no answer"
        answer = json.loads(reply.body)
        if note:
            self.notes.append(f"{verb}: {normal_json(answer)}")
        return answer

    def stream(self, **fields: object) -> None:
        config = {"name": "S", "subjects": ["s.>"]} | fields
        answer = self.api("STREAM.CREATE.S", config, note=False)
        assert "error" not in answer, answer

    def consumer(self, name: str = "C", **config: object) -> None:
        config = {"durable_name": name, "ack_policy": "explicit"} | config
        self.api(f"CONSUMER.CREATE.S.{name}", {"stream_name": "S", "config": config}, note=False)

    def store(self, *bodies: str, subject: str = "s.a", header: bytes = b"") -> None:
        for body in bodies:
            answer = self.connection.request(subject, body.encode(), header)
            assert answer is not None
            assert b'"seq"' in answer.body, answer

    def inbox(self) -> str:
        self._inboxes += 1
        name = f"in.{self._inboxes}"
        self.connection.subscribe(name)
        return name

    def pull(self, body: object, name: str = "C", inbox: str = "") -> str:
        inbox = inbox or self.inbox()
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.counted(name)
        self.connection.publish(NEXT.format(name), raw, reply=inbox)
        return inbox

    def take(self, count: int, timeout_s: float = ANSWER_S_MAX) -> list[Message]:
        """That many messages; a missing one is noted as such."""
        taken = []
        for _ in range(count):
            message = self.connection.next_of_any(timeout_s)
            self.notes.append(normal_message(message) if message else "nothing")
            if message is None:
                break
            taken.append(message)
        return taken

    def silence(self, seconds: float = 0.15) -> None:
        message = self.connection.next_of_any(seconds)
        self.notes.append(normal_message(message) if message else "silence")

    def ack(self, message: Message, body: bytes = b"", *, sync: bool = True) -> None:
        if not sync:
            self.connection.publish(message.reply, body)
            return
        answer = self.connection.request(message.reply, body)
        self.notes.append(f"ack {body!r}: {normal_message(answer) if answer else 'no answer'}")

    def waits(self, count: int = 1, name: str = "C") -> None:
        """Until so many pull requests stand in the consumer's queue; nats-server takes them up
        later.
        """
        verb = f"CONSUMER.INFO.S.{name}"
        wait_until(lambda: self.api(verb, note=False)["num_waiting"] == count, f"{count} pulls")

    def until_state(self, stream: str = "S", **wanted: int) -> dict:
        """The stream's state, once it has these numbers."""

        def looked() -> dict | None:
            asked = {"subjects_filter": ">", "deleted_details": True}
            state = self.api(f"STREAM.INFO.{stream}", asked, note=False)["state"]
            return state if wanted.items() <= state.items() else None

        return wait_until(looked, f"{stream} has {wanted}")

    def until_gone(self, seq: int) -> None:
        verb = "STREAM.MSG.GET.S"
        wait_until(lambda: "error" in self.api(verb, {"seq": seq}, note=False), f"{seq} is gone")

    def info(self, name: str = "C") -> None:
        self.notes.append(f"info: {self.look(lambda: self._shown(name))}")

    def _shown(self, name: str) -> str:
        answer = self.api(f"CONSUMER.INFO.S.{name}", note=False)
        kept = {
            k: v for k, v in answer.items() if k.startswith("num_") or k in ("push_bound", "paused")
        }
        for position in ("delivered", "ack_floor"):
            found = dict(answer[position])
            found["last_active"] = "last_active" in found
            kept[position] = found
        return json.dumps(kept, sort_keys=True)


def normal_message(m: Message) -> str:
    reply = re.sub(r"^(\$JS\.ACK\.S\.\w+\.\d+\.\d+\.\d+)\.\d+\.(\d+)$", r"\1.TIME.\2", m.reply)
    reply = re.sub(r"^(\$JS\.FC\.S\.\w+)\.\w+$", r"\1.RANDOM", reply)
    subject = "REPLY" if m.subject.startswith("_INBOX.") else m.subject
    header = re.sub(rb"\$JS\.FC\.S\.(\w+)\.\w+", rb"$JS.FC.S.\1.RANDOM", m.header)
    header = re.sub(rb"(: \$JS\.ACK(?:\.\w+){5})\.\d+\.", rb"\1.TIME.", header)
    header = re.sub(rb"(Time-Stamp: )[^\r]*", rb"\1TIME", header)
    return f"{subject} <{reply}> {header!r} {m.body!r}"


def normal_json(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"TIME"', text)


# ---------------------------------------------------------------- pull


@scenario
def pull_batch_and_timeout(s: Session) -> None:  # C-067, C-070, C-079, C-090, C-110
    s.stream()
    s.store("1", "2", "3")
    s.consumer()
    s.pull({"batch": 5, "expires": 200 * MS})
    s.take(4)
    s.info()


@scenario
def pull_bodies(s: Session) -> None:  # C-067, C-069, C-071
    s.stream()
    s.store(*"12345678")
    s.consumer()
    for body in (b"", b"2", b"nonsense", b'{"batch":0}', b"  1  "):
        s.pull(body)
        s.take(2 if body == b"2" else 1)
    s.pull(b'{"batch":2,"idle_heartbeat":100,"expires":150}')
    s.take(1)
    s.silence()


@scenario
def pull_no_wait(s: Session) -> None:  # C-075..C-078
    s.stream()
    s.consumer()
    s.pull({"batch": 2, "no_wait": True})
    s.take(1)
    s.pull({"batch": 2, "no_wait": True, "expires": 150 * MS})
    s.take(1)
    s.store("1", "2", "3")
    s.pull({"batch": 2, "no_wait": True})
    s.take(2)
    s.pull({"batch": 5, "no_wait": True})
    s.take(2)
    s.store("4")
    s.pull({"batch": 5, "no_wait": True, "expires": 5000 * MS})
    s.take(2)


@scenario
def pull_requests_pending(s: Session) -> None:  # C-076
    s.stream()
    s.store("1", "2")
    s.consumer(max_ack_pending=1)
    first = s.pull({"batch": 10, "expires": 3000 * MS})
    s.take(1)
    s.pull({"batch": 1, "no_wait": True})
    s.take(1)
    assert first


@scenario
def pull_max_bytes(s: Session) -> None:  # C-080, C-081
    s.stream()
    s.store("x" * 100, "y" * 100, "z" * 1000)
    s.consumer()
    s.pull({"batch": 10, "max_bytes": 400, "expires": 300 * MS})
    s.take(3)
    s.pull({"batch": 1, "max_bytes": 5000, "expires": 300 * MS})
    s.take(2)
    s.silence()


@scenario
def pull_limits(s: Session) -> None:  # C-072, C-074
    s.stream()
    s.consumer(max_batch=3, max_expires=1000 * MS, max_bytes=100, max_waiting=2)
    for body in (
        {"batch": 4},
        {"batch": 1, "expires": 2000 * MS},
        {"batch": 1, "expires": 1500 * MS + 1},
        {"batch": 1, "max_bytes": 101},
        {"batch": 1, "min_pending": 1},
        {"batch": 1, "id": "x"},
        {"batch": 1, "priority": 10},
        {"batch": 1, "idle_heartbeat": 100 * MS},
    ):
        s.pull(body)
        s.take(1)
    s.pull({"batch": 1, "expires": 900 * MS})
    s.pull({"batch": 1, "expires": 900 * MS})
    s.pull({"batch": 1, "expires": 900 * MS})
    s.take(1)
    s.pull({"batch": 1, "expires": 900 * MS, "idle_heartbeat": 300 * MS})
    s.silence(0.1)
    s.info()


@scenario
def pull_heartbeats(s: Session) -> None:  # C-082
    s.stream()
    s.store("1")
    s.consumer()
    s.pull({"batch": 2, "expires": 350 * MS, "idle_heartbeat": 100 * MS})
    s.take(5, 1.0)


@scenario
def pull_round_robin(s: Session) -> None:  # C-086
    s.stream()
    s.consumer()
    one, two = (
        s.pull({"batch": 2, "expires": 3000 * MS}),
        s.pull({"batch": 2, "expires": 3000 * MS}),
    )
    for body in "1234":
        s.store(body)
        s.take(1)
    assert one != two


@scenario
def pull_of_push_consumer(s: Session) -> None:  # C-073
    s.stream()
    s.consumer(deliver_subject="deliver.here")
    s.pull({"batch": 1})
    s.take(1)


@scenario
def pull_unknown(s: Session) -> None:  # C-013
    s.stream()
    s.pull({"batch": 1}, name="nobody")
    s.take(1)


@scenario
def pull_and_delete(s: Session) -> None:  # C-083
    s.stream()
    s.consumer()
    s.pull({"batch": 1, "expires": 3000 * MS})
    s.waits()
    s.api("CONSUMER.DELETE.S.C")
    s.take(1)
    s.consumer("D")
    s.pull({"batch": 1, "expires": 3000 * MS}, "D")
    s.waits(name="D")
    s.api("STREAM.DELETE.S")
    s.take(1)


# ---------------------------------------------------------------- acknowledgements


@scenario
def acks(s: Session) -> None:  # C-114..C-116, C-126, C-130
    s.stream()
    s.store(*"123456")
    s.consumer()
    s.pull({"batch": 6, "expires": 1000 * MS})
    got = s.take(6)
    s.ack(got[1])
    s.info()
    s.ack(got[0])
    s.info()
    s.ack(got[0])
    s.ack(got[3], b"foo")
    s.info()
    s.ack(got[3], b"+ACK")
    s.ack(got[2], b"+OK")
    s.info()
    s.ack(got[4], b"+TERM because")
    s.ack(got[5], b"+WPI")
    s.info()


@scenario
def ack_all(s: Session) -> None:  # C-117
    s.stream()
    s.store(*"12345")
    s.consumer(ack_policy="all")
    s.pull({"batch": 5, "expires": 1000 * MS})
    got = s.take(5)
    s.ack(got[2])
    s.info()
    s.ack(got[1])
    s.info()
    s.ack(got[4])
    s.info()


@scenario
def ack_none(s: Session) -> None:  # C-128
    s.stream()
    s.store(*"123")
    s.consumer(ack_policy="none")
    s.pull({"batch": 2, "expires": 1000 * MS})
    got = s.take(2)
    s.info()
    s.connection.publish(got[0].reply, b"+ACK", reply=s.inbox())  # nobody listens: 503
    s.take(1)


@scenario
def ack_next(s: Session) -> None:  # C-114
    s.stream()
    s.store(*"1234")
    s.consumer()
    inbox = s.pull({"batch": 1, "expires": 1000 * MS})
    got = s.take(1)
    s.connection.publish(got[0].reply, b"+NXT", reply=inbox)
    got = s.take(1)
    s.connection.publish(got[0].reply, b'+NXT {"batch":2}', reply=inbox)
    s.take(2)
    s.info()


@scenario
def nak(s: Session) -> None:  # C-119, C-120, C-113
    s.stream()
    s.store(*"123")
    s.consumer()
    s.pull({"batch": 3, "expires": 1000 * MS})
    got = s.take(3)
    s.ack(got[1], b"-NAK")
    s.ack(got[0], b"-NAK")
    s.info()
    s.pull({"batch": 2, "expires": 1000 * MS})
    s.take(2)
    s.info()


@scenario
def nak_with_delay(s: Session) -> None:  # C-119
    s.stream()
    s.store(*"12")
    s.consumer()
    s.pull({"batch": 2, "expires": 1000 * MS})
    got = s.take(2)
    s.ack(got[0], b'-NAK {"delay": 250000000}')
    s.ack(got[1], b"-NAK 100ms")
    s.pull({"batch": 2, "expires": 2000 * MS})
    s.take(2)


@scenario
def ack_wait_redelivers_in_order(s: Session) -> None:  # C-123
    s.stream()
    s.store(*"1234")
    s.consumer(ack_wait=200 * MS)
    s.pull({"batch": 3, "expires": 1000 * MS})
    got = s.take(3)
    s.ack(got[1])
    s.pull({"batch": 4, "expires": 3000 * MS})
    s.ack(s.take(1)[0])
    s.take(2)
    s.info()


@scenario
def backoff_and_max_deliver(s: Session) -> None:  # C-124, C-125
    s.stream()
    s.store("1")
    s.consumer(backoff=[100 * MS, 200 * MS], max_deliver=2)
    s.pull({"batch": 1, "expires": 3000 * MS})
    s.take(1)
    s.pull({"batch": 2, "expires": 3000 * MS})
    s.take(1)
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>")
    message = s.connection.next_of_any(ANSWER_S_MAX)
    assert message is not None
    advisory = json.loads(message.body)
    s.notes.append(f"{message.subject} {advisory['stream_seq']} {advisory['deliveries']}")
    s.info()
    s.store("2")
    got = s.take(1)
    s.ack(got[0])
    s.info()


@scenario
def nak_of_the_last_delivery(s: Session) -> None:  # C-119, C-125
    s.stream()
    s.store("1", "2")
    s.consumer(max_deliver=1, ack_wait=60_000 * MS)
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>")

    def advisory() -> None:
        message = s.connection.next_of_any(ANSWER_S_MAX)
        assert message is not None
        told = json.loads(message.body)
        s.notes.append(f"{message.subject} {told['stream_seq']} {told['deliveries']}")
        s.info()

    s.pull({"batch": 2, "expires": 3000 * MS})
    got = s.take(2)
    s.ack(got[0], b"-NAK", sync=False)
    s.ack(got[1], b'-NAK {"delay":100000000}', sync=False)
    advisory()  # of the second, when its delay is over; the first waits for a pull
    s.pull({"batch": 1, "expires": 200 * MS})
    advisory()


@scenario
def nak_of_the_last_delivery_that_was_pushed(s: Session) -> None:  # C-119, C-125
    s.stream()
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>")
    s.connection.subscribe("push")
    s.consumer(max_deliver=1, ack_wait=60_000 * MS, deliver_subject="push")
    s.store("1")
    got = s.take(1)
    s.ack(got[0], b"-NAK", sync=False)
    message = s.connection.next_of_any(ANSWER_S_MAX)
    assert message is not None
    s.notes.append(message.subject)
    s.info()


@scenario
def max_ack_pending_stalls(s: Session) -> None:  # C-127, C-087
    s.stream()
    s.store(*"1234")
    s.consumer(max_ack_pending=2)
    s.pull({"batch": 4, "expires": 3000 * MS})
    got = s.take(2)
    s.silence()
    s.info()
    s.ack(got[0])
    s.take(1)
    s.info()


@scenario
def ack_of_what_was_never_delivered(s: Session) -> None:  # C-115
    s.stream()
    s.store("1", "2")
    s.consumer()
    s.pull({"batch": 1, "expires": 1000 * MS})
    got = s.take(1)
    forged = got[0]._replace(reply="$JS.ACK.S.C.1.2.2.1.0")
    reply = s.inbox()
    s.connection.publish(forged.reply, b"", reply=reply)
    s.silence()
    s.info()


@scenario
def deleted_while_pending(s: Session) -> None:  # C-122
    s.stream()
    s.store(*"123")
    s.consumer()
    s.pull({"batch": 3, "expires": 1000 * MS})
    s.take(3)
    s.api("STREAM.MSG.DELETE.S", {"seq": 1})
    s.connection.flush()
    s.silence(0.1)
    s.info()
    s.api("STREAM.PURGE.S")
    s.silence(0.1)
    s.info()


# ---------------------------------------------------------------- start positions and filters


@scenario
def deliver_policies(s: Session) -> None:  # C-132, C-060
    s.stream()
    for n, subject in enumerate(("s.a", "s.b", "s.a", "s.c", "s.b")):
        s.store(str(n), subject=subject)
    policies = {
        "all": {},
        "last": {"deliver_policy": "last"},
        "new": {"deliver_policy": "new"},
        "seq": {"deliver_policy": "by_start_sequence", "opt_start_seq": 3},
        "beyond": {"deliver_policy": "by_start_sequence", "opt_start_seq": 30},
        "per": {"deliver_policy": "last_per_subject", "filter_subject": "s.*"},
        "lastf": {"deliver_policy": "last", "filter_subject": "s.a"},
        "time": {"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"},
        "future": {"deliver_policy": "by_start_time", "opt_start_time": "2120-01-01T00:00:00Z"},
    }
    for name, config in policies.items():
        s.consumer(name, **config)
        s.info(name)
        s.pull({"batch": 9, "no_wait": True}, name)
        while got := s.take(1, 0.5):
            if got[0].header.startswith(b"NATS/1.0 404"):
                break
        s.info(name)


@scenario
def filters(s: Session) -> None:  # C-061, C-135
    s.stream()
    for n in range(12):
        s.store(str(n), subject=f"s.{'abc'[n % 3]}.{n % 2}")
    s.consumer("one", filter_subject="s.a.*")
    s.consumer("two", filter_subjects=["s.a.1", "s.b.>"])
    s.consumer("none", filter_subject="s.z")
    for name in ("one", "two", "none"):
        s.info(name)
        s.pull({"batch": 4, "no_wait": True}, name)
        s.take(1 if name == "none" else 4, 0.5)
        s.info(name)
    s.api("STREAM.PURGE.S", {"filter": "s.b.1"})
    for name in ("one", "two", "none"):
        s.info(name)


@scenario
def consumer_of_empty_stream(s: Session) -> None:  # C-134
    s.stream()
    s.consumer()
    s.info()
    s.store("1")
    s.info()
    s.api("STREAM.PURGE.S")
    s.info()
    s.store("2")
    s.pull({"batch": 1, "expires": 500 * MS})
    s.take(1)
    s.info()


@scenario
def headers_only(s: Session) -> None:  # C-106
    s.stream()
    s.store("hello", header=b"NATS/1.0\r\nA: b\r\n\r\n")
    s.store("world")
    s.consumer(headers_only=True)
    s.pull({"batch": 2, "expires": 500 * MS})
    s.take(2)


# ---------------------------------------------------------------- push


@scenario
def push(s: Session) -> None:  # C-100
    s.stream()
    s.store("1", "2")
    inbox = s.inbox()
    s.consumer(deliver_subject=inbox)
    got = s.take(2)
    s.info()
    s.ack(got[0])
    s.store("3")
    s.take(1)
    s.info()


@scenario
def push_group(s: Session) -> None:  # C-101
    s.stream()
    s.consumer(deliver_subject="deliver.group", deliver_group="q")
    s.store("1")
    s.silence()
    s.info()
    s.connection.subscribe("deliver.group", "q")
    s.take(1)
    s.info()


@scenario
def push_heartbeat(s: Session) -> None:  # C-102
    s.stream()
    inbox = s.inbox()
    s.consumer(deliver_subject=inbox, idle_heartbeat=150 * MS)
    s.store("1")
    s.take(3, 1.0)


@scenario
def push_ack_none(s: Session) -> None:  # C-128
    s.stream()
    s.store("1", "2")
    inbox = s.inbox()
    s.consumer(deliver_subject=inbox, ack_policy="none")
    s.take(2)
    s.info()


@scenario
def push_max_ack_pending(s: Session) -> None:  # C-127
    s.stream()
    s.store("1", "2", "3")
    inbox = s.inbox()
    s.consumer(deliver_subject=inbox, max_ack_pending=2)
    got = s.take(2)
    s.silence()
    s.ack(got[1])
    s.take(1)
    s.info()


# ---------------------------------------------------------------- direct get


@scenario
def direct_get(s: Session) -> None:  # S-161..S-172
    s.stream(allow_direct=True)
    s.store("1", header=b"NATS/1.0\r\nA: b\r\n\r\n")
    s.store("2", subject="s.b.c")
    s.store("3")
    for tail, body in (
        ("S", b'{"seq":1}'),
        ("S", b'{"seq":9}'),
        ("S", b""),
        ("S", b"{"),
        ("S", b"{}"),
        ("S", b'{"last_by_subj":"s.a"}'),
        ("S", b'{"last_by_subj":"s.>"}'),
        ("S", b'{"next_by_subj":"s.*","seq":2}'),
        ("S", b'{"next_by_subj":"s.*"}'),
        ("S", b'{"start_time":"2020-01-01T00:00:00Z"}'),
        ("S", b'{"start_time":"2120-01-01T00:00:00Z"}'),
        ("S", b'{"seq":1,"no_hdr":true}'),
        ("S", b'{"seq":1,"last_by_subj":"s.a"}'),
        ("S.s.a", b""),
        ("S.s.b.c", b""),
        ("S.s.none", b""),
        ("S.s.a", b'{"no_hdr":true}'),
        ("S.s.a", b'{"seq":1}'),
        ("T", b'{"seq":1}'),
    ):
        answer = s.connection.request(f"$JS.API.DIRECT.GET.{tail}", body)
        s.notes.append(f"{tail} {body!r}: {normal_message(answer) if answer else 'no answer'}")


# ---------------------------------------------------------------- time to live


def _publish_with_ttl(s: Session, ttl: str) -> None:
    header = f"NATS/1.0\r\nNats-TTL: {ttl}\r\n\r\n".encode()
    answer = s.connection.request("s.ttl", b"x", header)
    s.notes.append(f"TTL {ttl}: {normal_message(answer) if answer else 'no answer'}")


@scenario
def message_ttl(s: Session) -> None:  # S-122, S-155
    s.stream(allow_msg_ttl=True)
    for ttl in ("1s", "1", "never", "NEVER", "0", "10ms", "-1", "soon", "1h", "1.5s"):
        _publish_with_ttl(s, ttl)
    s.store("stays")
    for seq in (1, 2, 6):  # a second, or a bit more
        s.until_gone(seq)
    for seq in range(1, 8):
        gone = "error" in s.api("STREAM.MSG.GET.S", {"seq": seq}, note=False)
        s.notes.append(f"{seq} {'gone' if gone else 'there'}")


@scenario
def message_ttl_not_allowed(s: Session) -> None:  # S-122
    s.stream()
    _publish_with_ttl(s, "1s")
