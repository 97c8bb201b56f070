"""Further conversations with consumers: acknowledgement by flow control, consumers of mirrors and
sources, resets, priority groups. More are in consumer_detail_scenarios.py.

They drive a Session of consumer_scenarios.py. Waiting is for messages, never for time, except where
time is the subject; then it is short.
"""

from __future__ import annotations

import json
import re

from api_connection import ANSWER_S_MAX, Message
from consumer_scenarios import MS, Scenario, Session

FEATURE_SCENARIOS: dict[str, Scenario] = {}

RESET = "$JS.API.CONSUMER.RESET.S.{}"


def scenario(function: Scenario) -> Scenario:
    def play(s: Session) -> None:
        function(s)
        s.notes = with_numbered_ids(s.notes)

    FEATURE_SCENARIOS[function.__name__] = play
    return function


def with_numbered_ids(notes: list[str]) -> list[str]:
    """Ids of pins and advisories become numbers, in the order in which they appear."""
    numbers: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"ID{numbers.setdefault(found[0], len(numbers))}"

    return [re.sub(r"\b(?=[A-Z]*[0-9a-z])[0-9A-Za-z]{22}\b", number, note) for note in notes]


def pin_id(message: Message) -> str:
    (found,) = re.findall(rb"Nats-Pin-Id: (\w+)", message.header)
    return found.decode()


def groups(s: Session, name: str = "C") -> None:
    found = s.api(f"CONSUMER.INFO.S.{name}", note=False).get("priority_groups")
    s.notes.append(normal_answer(s, {"groups": found}))


def advisories(s: Session, count: int) -> None:
    """Those that come; their bodies are noted with the order of their fields."""
    for _ in range(count):
        message = s.connection.next_of_any(ANSWER_S_MAX)
        assert message is not None, "no advisory"
        body = re.sub(rb'"timestamp":"[^"]*"', b'"timestamp":"TIME"', message.body)
        body = re.sub(rb'("(?:pinned_)?id":")', rb"\1 ", body)
        s.notes.append(f"{message.subject} {body!r}")


def request(s: Session, subject: str, body: bytes = b"", header: bytes = b"") -> dict:
    """Any request; its JSON and its header are noted."""
    answer = s.connection.request(subject, body, header, timeout_s=0.5)
    if answer is None:
        s.notes.append(f"{subject} {body!r}: silence")
        return {}
    if not answer.body:
        s.notes.append(f"{body!r}: {answer.header.split()[:2]}")
        return {}
    value = json.loads(answer.body)
    s.notes.append(f"{subject} {body!r}: {normal_answer(s, value)} {normal_header(answer.header)}")
    return value


def normal_answer(s: Session, value: dict) -> str:
    text = json.dumps(value, sort_keys=True)
    text = re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"TIME"', text)
    text = re.sub(r'"_nats.(level|ver)": "[^"]*"', r'"_nats.\1": ""', text)
    text = re.sub(r'"(\w+)-[0-9A-Za-z]{8}"', r'"\1-RANDOM"', text)
    text = re.sub(r"(does not match: )[0-9A-Za-z]{8}", r"\1HASH", text)
    return re.sub(r'"pause_remaining": \d+', '"pause_remaining": 0', text)


def normal_header(header: bytes) -> str:
    return re.sub(r"(Identity: )[0-9A-Za-z]{8}\\r", r"\1HASH\\r", repr(header))


def flow_reply(s: Session, asked: Message, consumer_seq: int, stream_seq: int) -> None:
    header = f"NATS/1.0\r\nNats-Last-Consumer: {consumer_seq}\r\nNats-Last-Stream: {stream_seq}\r\n"
    s.connection.publish(asked.reply, b"", header=header.encode() + b"\r\n")


# ---------------------------------------------------------------- acknowledgement by flow control


@scenario
def flow_control_acks(s: Session) -> None:  # C-025, C-117
    s.stream()
    inbox = s.inbox()
    s.store(*"123456")
    s.consumer(ack_policy="flow_control", deliver_subject=inbox, max_ack_pending=2)
    got = s.take(3)  # two messages and the request
    s.silence(0.1)
    s.info()
    request(s, got[0].reply)  # nobody takes acknowledgements
    flow_reply(s, got[2], 1, 1)
    s.take(2)  # the third message is one too many again
    s.info()
    s.connection.publish(got[2].reply, b"")  # not the latest request
    s.silence(0.1)
    asked = s.take(2)[-1]  # a heartbeat that says that it is stalled
    s.info()
    assert asked


@scenario
def flow_control_acks_when_idle(s: Session) -> None:  # C-117
    s.stream()
    inbox = s.inbox()
    s.store(*"123")
    s.consumer(ack_policy="flow_control", deliver_subject=inbox)
    s.take(3)
    got = s.take(2)  # after a heartbeat without messages the consumer asks
    flow_reply(s, got[1], 2, 2)
    s.info()
    s.connection.publish(got[1].reply, b"")  # not the latest request any more
    got = s.take(2)
    s.connection.publish(got[1].reply, b"")  # answers without saying anything
    s.info()


@scenario
def flow_control_ack_rules(s: Session) -> None:  # C-025: 10218..10222
    s.stream()
    plain = {"durable_name": "C", "ack_policy": "flow_control", "deliver_subject": "d"}
    for change in (
        {"deliver_subject": ""},
        {"max_ack_pending": -1},
        {"ack_wait": 1000 * MS},
        {"backoff": [1000 * MS]},
        {"max_deliver": 3},
        {"flow_control": False, "idle_heartbeat": 5000 * MS},
        {},
    ):
        for pedantic in (True, False):
            body = {"stream_name": "S", "config": plain | change, "pedantic": pedantic}
            request(s, "$JS.API.CONSUMER.CREATE.S.C", json.dumps(body).encode())


# ---------------------------------------------------------------- consumers of mirrors and sources


INTERNAL = {
    "deliver_subject": "d.x",
    "deliver_policy": "all",
    "ack_policy": "none",
    "ack_wait": 79_200_000 * MS,
    "max_deliver": 1,
    "idle_heartbeat": 1000 * MS,
    "flow_control": True,
    "inactive_threshold": 10_000 * MS,
}


def create(s: Session, name: str, header: bytes = b"", **config: object) -> dict:
    body = json.dumps({"stream_name": "S", "config": {"name": name} | INTERNAL | config})
    return request(s, f"$JS.API.CONSUMER.CREATE.S.{name}", body.encode(), header)


@scenario
def direct_consumers(s: Session) -> None:  # C-018, C-047, C-056
    s.stream(max_consumers=2)
    s.store(*"12")
    mirror = create(s, "M", direct=True, sourcing=True)
    create(s, "D", direct=True)
    create(s, "Q", sourcing=True)
    create(s, "Q", sourcing=True)
    create(s, "X", direct=True, deliver_subject="", idle_heartbeat=0, flow_control=False)
    create(s, "X", direct=True, durable_name="X")
    create(s, "D", b"NATS/1.0\r\nNats-Stream-Identity: elsewhere\r\n\r\n", direct=True)
    s.consumer("P")
    s.consumer("P2")
    for verb in ("CONSUMER.NAMES.S", "CONSUMER.INFO.S.D", "CONSUMER.INFO.S.M"):
        request(s, f"$JS.API.{verb}")
    listed = s.api("CONSUMER.LIST.S", note=False)["consumers"]
    s.notes.append(str([consumer["name"] for consumer in listed]))
    s.notes.append(str(s.api("STREAM.INFO.S", note=False)["state"]["consumer_count"]))
    s.notes.append(str(s.api("INFO", note=False)["consumers"]))
    s.api("CONSUMER.DELETE.S.D")
    s.api(f"CONSUMER.DELETE.S.{mirror['name']}", note=False)
    s.notes.append(str(s.api("INFO", note=False)["consumers"]))


@scenario
def direct_consumer_delivers(s: Session) -> None:  # C-047, C-128
    s.stream()
    s.store(*"12")
    inbox = s.inbox()
    create(s, "D", direct=True, deliver_subject=inbox)
    got = s.take(2)
    request(s, got[0].reply)
    s.info("D")
    s.store("3")
    s.take(1)


def kept(s: Session, messages: int) -> None:
    """Once the stream has so many; nats-server removes after it has answered."""
    state = s.until_state(messages=messages)
    s.notes.append(f"{state['messages']} messages from {state['first_seq']}")


@scenario
def sourcing_consumer_of_a_work_queue(s: Session) -> None:  # C-047, C-055, S-196
    s.stream(retention="workqueue")
    s.store(*"12345")
    inbox = s.inbox()
    create(s, "M", direct=True, sourcing=True, deliver_subject=inbox)
    s.take(5)
    asked = s.take(2)[-1]
    flow_reply(s, asked, 3, 3)
    kept(s, 2)
    s.info("M")
    create(s, "M", direct=True, sourcing=True, deliver_subject=inbox)
    s.take(2)
    s.info("M")
    for verb in ("CONSUMER.NAMES.S", "CONSUMER.INFO.S.M"):
        request(s, f"$JS.API.{verb}")
    kept(s, 2)


# ---------------------------------------------------------------- resets


@scenario
def reset_of_interest(s: Session) -> None:  # C-138
    play_reset_of_kept(s, "interest", skipped=2, left=0)


@scenario
def reset_of_a_work_queue(s: Session) -> None:  # C-138
    play_reset_of_kept(s, "workqueue", skipped=4, left=2)


def play_reset_of_kept(s: Session, retention: str, *, skipped: int, left: int) -> None:
    s.stream(retention=retention)
    s.consumer()
    s.store(*"12345")
    s.pull({"batch": 3, "expires": 1000 * MS})
    got = s.take(3)
    s.ack(got[1])
    kept(s, 4)
    request(s, RESET.format("C"), b'{"seq":4}')
    s.info()
    kept(s, skipped)
    s.pull({"batch": 3, "no_wait": True})
    for message in s.take(3)[:2]:
        s.ack(message)
    kept(s, left)


@scenario
def reset_over_what_interest_kept(s: Session) -> None:  # C-138
    """What lies before the consumer's start was kept for it as well."""
    s.stream(retention="interest")
    s.consumer(deliver_policy="by_start_sequence", opt_start_seq=4)
    s.store(*"123456")
    request(s, RESET.format("C"), b'{"seq":5}')
    kept(s, 2)
    s.info()


@scenario
def reset_over_what_interest_never_wanted(s: Session) -> None:  # C-138, S-014
    s.stream()
    s.store("1", "2", subject="s.b")
    s.store("3", "4", "5")
    s.consumer(filter_subject="s.a")
    s.api("STREAM.UPDATE.S", {"name": "S", "subjects": ["s.>"], "retention": "interest"})
    request(s, RESET.format("C"), b'{"seq":4}')
    kept(s, 4)
    request(s, RESET.format("C"), b'{"seq":1}')
    kept(s, 4)
    request(s, RESET.format("C"), b'{"seq":5}')
    kept(s, 3)


@scenario
def reset_to_the_ack_floor(s: Session) -> None:  # C-011, C-138
    s.stream()
    s.store(*"12345")
    s.consumer()
    s.pull({"batch": 4, "expires": 1000 * MS})
    got = s.take(4)
    s.ack(got[0])
    s.ack(got[2])
    s.info()
    request(s, RESET.format("C"))
    s.info()
    s.pull({"batch": 5, "no_wait": True})
    got = s.take(5)
    s.ack(got[0])
    s.info()


@scenario
def reset_to_a_sequence(s: Session) -> None:  # C-138
    s.stream()
    s.store(*"123456")
    s.consumer()
    s.pull({"batch": 3, "expires": 1000 * MS})
    for message in s.take(3):
        s.ack(message)
    request(s, RESET.format("C"), b'{"seq":2}')
    s.info()
    s.pull({"batch": 2, "expires": 1000 * MS})
    s.take(2)
    request(s, RESET.format("C"), b'{"seq":5}')
    s.pull({"batch": 5, "no_wait": True})
    s.take(3)
    request(s, RESET.format("C"), b'{"seq":50}')
    s.info()


@scenario
def reset_rules(s: Session) -> None:  # C-138, C-011, C-017
    s.stream()
    s.store(*"12345")
    s.consumer("seq", deliver_policy="by_start_sequence", opt_start_seq=3)
    s.consumer("time", deliver_policy="by_start_time", opt_start_time="2120-01-01T00:00:00Z")
    s.consumer("old", deliver_policy="by_start_time", opt_start_time="2020-01-01T00:00:00Z")
    s.consumer("new", deliver_policy="new")
    s.consumer("last", deliver_policy="last")
    s.consumer("per", deliver_policy="last_per_subject", filter_subject="s.*")
    for name in ("seq", "time", "old", "new", "last", "per", "nobody"):
        for body in (b"", b'{"seq":2}', b'{"seq":3}', b'{"seq":6}'):
            request(s, RESET.format(name), body)
    for body in (b"{", b"{}", b"3", b'{"seq":-1}', b'{"seq":0}', b'{"other":1}', b"  "):
        request(s, RESET.format("old"), body)
    for level in (b"0", b"999", b"x"):
        header = b"NATS/1.0\r\nNats-Required-Api-Level: " + level + b"\r\n\r\n"
        request(s, RESET.format("old"), b"", header)
    identity = b"NATS/1.0\r\nNats-Stream-Identity: whatever\r\n\r\n"
    request(s, RESET.format("old"), b"", identity)


@scenario
def reset_of_redeliveries(s: Session) -> None:  # C-138, C-125
    s.stream()
    s.store(*"123")
    s.consumer(max_deliver=2)
    s.pull({"batch": 3, "expires": 1000 * MS})
    for message in s.take(3):
        s.ack(message, b"-NAK")
    s.pull({"batch": 1, "expires": 1000 * MS})
    s.take(1)
    s.info()
    request(s, RESET.format("C"))
    s.info()
    s.pull({"batch": 3, "expires": 1000 * MS})
    s.take(3)


@scenario
def reset_of_flow_control_acks(s: Session) -> None:  # C-117, C-138
    s.stream()
    inbox = s.inbox()
    s.store(*"1234")
    s.consumer(ack_policy="flow_control", deliver_subject=inbox, max_ack_pending=3)
    got = s.take(4)
    flow_reply(s, got[3], 2, 2)
    s.take(1)
    s.info()
    request(s, RESET.format("C"))
    s.take(2)
    s.info()


# ---------------------------------------------------------------- priority groups


PINNED = {"priority_groups": ["a"], "priority_policy": "pinned_client"}
OVERFLOW = {"priority_groups": ["a", "b"], "priority_policy": "overflow"}
PRIORITIZED = {"priority_groups": ["a"], "priority_policy": "prioritized"}


@scenario
def priority_requests_are_checked(s: Session) -> None:  # C-093, C-094
    s.stream()
    s.consumer("none")
    s.consumer("over", **OVERFLOW)
    s.consumer("pin", **PINNED)
    s.consumer("prio", **PRIORITIZED)
    s.store(*"123456789")
    bodies = (
        {},
        {"group": "x"},
        {"group": "a", "min_pending": 1},
        {"group": "a", "min_ack_pending": 1},
        {"group": "a", "id": "x"},
        {"group": "a", "priority": 9},
        {"group": "a", "priority": 10},
        {"group": "a", "priority": -1},
        {"group": ""},
        {"min_pending": -1},
    )
    for name in ("none", "over", "pin", "prio"):
        for body in bodies:
            s.notes.append(f"{name} {body}")
            s.pull({"batch": 1, "expires": 50 * MS} | body, name)
            s.take(1)
        for raw in (b"{}",) if name == "pin" else (b"", b"1", b"{}"):
            s.pull(raw, name)
            s.take(1)


@scenario
def priority_configurations(s: Session) -> None:  # C-050..C-052
    s.stream()
    for config in (
        {"priority_policy": "overflow"},
        {"priority_groups": ["a"]},
        {"priority_groups": [""], "priority_policy": "overflow"},
        {"priority_groups": ["a b"], "priority_policy": "overflow"},
        {"priority_groups": ["a" * 17], "priority_policy": "overflow"},
        {"priority_groups": ["a"], "priority_policy": "odd"},
        {"priority_timeout": 1},
        OVERFLOW | {"priority_timeout": 1000 * MS},
        OVERFLOW | {"deliver_subject": "d"},
        PINNED,
        PINNED | {"priority_timeout": 1000 * MS},
        OVERFLOW,
        PRIORITIZED,
        {},
    ):
        body = {"stream_name": "S", "config": {"durable_name": "C", "ack_policy": "explicit"}}
        body["config"] |= config
        request(s, "$JS.API.CONSUMER.CREATE.S.C", json.dumps(body).encode())


@scenario
def overflow_by_pending(s: Session) -> None:  # C-095
    s.stream()
    s.consumer(**OVERFLOW)
    first = s.pull({"batch": 5, "group": "a", "min_pending": 3, "expires": 3000 * MS})
    s.waits(1)
    s.store("1", "2")
    s.silence(0.1)
    s.store("3")
    s.take(1)
    s.silence(0.1)
    s.pull({"batch": 1, "group": "b", "expires": 3000 * MS})
    s.take(1)
    s.info()
    s.pull({"batch": 5, "group": "a", "min_pending": 9, "no_wait": True})
    s.take(1)
    s.info()
    assert first


@scenario
def overflow_by_ack_pending(s: Session) -> None:  # C-095
    s.stream()
    s.store(*"12345678")
    s.consumer(**OVERFLOW)
    s.pull({"batch": 3, "group": "a", "min_ack_pending": 2, "expires": 3000 * MS})
    s.waits(1)
    s.silence(0.1)
    s.pull({"batch": 1, "group": "a", "expires": 3000 * MS})
    s.take(1)
    s.silence(0.1)
    s.pull({"batch": 1, "group": "a", "expires": 3000 * MS})
    s.take(4)
    s.info()


@scenario
def overflow_by_either(s: Session) -> None:  # C-095
    s.stream()
    s.store(*"1234")
    s.consumer(**OVERFLOW)
    thresholds = {"min_pending": 4, "min_ack_pending": 4}
    s.pull({"batch": 4, "group": "a", "expires": 300 * MS} | thresholds)
    s.take(2)  # one message, and the timeout
    s.pull({"batch": 3, "group": "a", "expires": 300 * MS})
    s.take(3)
    s.store("5")
    s.pull({"batch": 4, "group": "a", "expires": 300 * MS} | thresholds)
    s.take(2)


@scenario
def pinned_client(s: Session) -> None:  # C-096, C-097, C-099
    s.stream()
    s.store(*"123456")
    s.consumer(**PINNED)
    groups(s)
    s.pull({"batch": 2, "group": "a", "expires": 3000 * MS})
    got = s.take(2)
    assert pin_id(got[0]) == pin_id(got[1])
    groups(s)
    s.pull({"batch": 1, "group": "a", "expires": 5000 * MS})
    s.waits(1)
    s.pull(b"1")
    s.waits(2)
    s.silence(0.1)
    s.pull({"batch": 1, "group": "a", "expires": 3000 * MS, "id": "another"})
    s.take(1)
    s.pull({"batch": 1, "group": "a", "expires": 3000 * MS, "id": pin_id(got[0])})
    s.take(1)
    s.info()
    request(s, "$JS.API.CONSUMER.UNPIN.S.C", b'{"group":"a"}')
    s.take(1)
    groups(s)
    s.pull({"batch": 1, "group": "a", "expires": 3000 * MS, "id": pin_id(got[0])})
    s.take(1)
    s.info()


@scenario
def pinned_client_times_out(s: Session) -> None:  # C-097, C-145
    s.stream()
    s.store(*"123456")
    s.consumer(**PINNED, priority_timeout=400 * MS)
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.PINNED.>")
    s.connection.subscribe("$JS.EVENT.ADVISORY.CONSUMER.UNPINNED.>")
    inbox = s.pull({"batch": 1, "group": "a", "expires": 3000 * MS})
    got = {
        m.subject: m
        for m in (s.connection.next_of_any(ANSWER_S_MAX), s.connection.next_of_any(ANSWER_S_MAX))
        if m
    }
    s.notes.append(str(sorted(got)))
    old = pin_id(got["s.a"])
    advisories(s, 1)
    groups(s)
    s.pull({"batch": 1, "group": "a", "expires": 3000 * MS, "id": old})
    s.take(1)
    s.pull({"batch": 1, "group": "a", "expires": 5000 * MS}, inbox=inbox)
    found = [s.connection.next_of_any(ANSWER_S_MAX) for _ in range(2)]
    s.notes.append(str(sorted(m.subject for m in found if m)))
    request(s, "$JS.API.CONSUMER.UNPIN.S.C", b'{"group":"a"}')
    advisories(s, 1)


@scenario
def pins_and_sizes(s: Session) -> None:  # C-080, C-096
    s.stream()
    s.store("x" * 200, "y")
    s.consumer(**PINNED)
    s.pull({"batch": 2, "group": "a", "max_bytes": 100, "expires": 3000 * MS})
    s.take(1)
    groups(s)
    s.pull({"batch": 2, "group": "a", "max_bytes": 5000, "expires": 3000 * MS})
    s.take(3)
    s.store("z", header=b"NATS/1.0\r\nA: b\r\n\r\n")
    s.consumer("H", headers_only=True, **PINNED)
    s.pull({"batch": 3, "group": "a", "expires": 3000 * MS}, "H")
    s.take(3)


@scenario
def unpin_requests(s: Session) -> None:  # C-010
    s.stream()
    s.consumer(**PINNED)
    s.consumer("plain")
    for body in (
        b"",
        b"{}",
        b"{",
        b'{"group":""}',
        b'{"group":"a b"}',
        b'{"group":"b"}',
        b'{"group":"a"}',
        b'{"group":"a","x":1}',
        b'{"group":1}',
        b"[]",
    ):
        request(s, "$JS.API.CONSUMER.UNPIN.S.C", body)
    for where in ("S.plain", "S.nobody", "T.C"):
        request(s, f"$JS.API.CONSUMER.UNPIN.{where}", b'{"group":"a"}')


@scenario
def prioritized(s: Session) -> None:  # C-098
    s.stream()
    s.consumer(**PRIORITIZED)
    for number, priority in enumerate((5, 1, 5, 0, 1)):
        s.pull({"batch": 2, "group": "a", "priority": priority, "expires": 5000 * MS})
        s.waits(number + 1)
    s.pull(b"1")
    s.waits(6)
    for n in range(11):
        s.store(str(n))
        message = s.connection.next_of_any(ANSWER_S_MAX)
        assert message is not None
        s.notes.append(f"{message.subject} {message.body!r}")


@scenario
def prioritized_asks_in_turn(s: Session) -> None:  # C-098: who got which message
    s.stream()
    s.consumer(**PRIORITIZED)
    sids = {}
    for number, priority in enumerate((3, 1, 3, 1, 2)):
        inbox = s.pull({"batch": 2, "group": "a", "priority": priority, "expires": 800 * MS})
        sids[inbox] = number
        s.waits(number + 1)
    for n in range(5):
        s.store(str(n))
        s.take(1)
    left = sorted(filter(None, (s.connection.next_of_any(ANSWER_S_MAX) for _ in range(3))))
    s.notes.extend(f"{sids[m.subject]} {m.header!r}" for m in left)


@scenario
def priority_policy_changes(s: Session) -> None:  # C-050..C-052
    s.stream()
    s.store(*"123456")
    s.consumer(**PINNED)
    s.pull({"batch": 1, "group": "a", "expires": 3000 * MS})
    s.take(1)
    s.api("CONSUMER.UNPIN.S.C", {"group": "a"})
    s.consumer(**OVERFLOW)
    s.pull({"batch": 1, "group": "b", "min_pending": 5, "expires": 3000 * MS})
    s.take(1)
    s.consumer()
    s.pull({"batch": 1, "expires": 3000 * MS})
    s.take(1)
    groups(s)
