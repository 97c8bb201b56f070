"""Streams that copy others, as functions that drive one connection and note what the copies hold
and what INFO says of them.

Waiting is for conditions: until a copy has what it should have. Times, generated names and how long
ago an origin was heard of are left out; the times of mirrored messages are compared with the
origin's.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

from api_connection import ANSWER_S_MAX, Connection
from raw_client import wait_until
from side_by_side import Following, Leading

MS, SECOND = 1_000_000, 1_000_000_000
Scenario = Callable[["Copies"], None]
SCENARIOS: dict[str, Scenario] = {}

_IDENTITY = re.compile(r"(Nats-Stream-Source: [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+) \S{8}(?=\r\n)")


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


class Copies:
    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.notes: list[str] = []
        self.watch: Leading | Following | None = None  # of a conversation that is held alone: none

    # -- driving

    def api(self, verb: str, body: object = None) -> Any:
        raw = b"" if body is None else json.dumps(body).encode()
        reply = self.connection.request(f"$JS.API.{verb}", raw)
        assert reply is not None, f"{verb}: no answer"
        return json.loads(reply.body)

    def ok(self, verb: str, body: object = None) -> Any:
        answer = self.api(verb, body)
        assert "error" not in answer, (verb, body, answer)
        return answer

    def stream(self, name: str, **fields: object) -> None:
        self.ok(f"STREAM.CREATE.{name}", {"name": name} | fields)

    def update(self, name: str, **fields: object) -> None:
        self.ok(f"STREAM.UPDATE.{name}", {"name": name} | fields)

    def store(self, subject: str, *bodies: str, header: str = "") -> None:
        """`header`: lines; acknowledged one by one."""
        block = f"NATS/1.0\r\n{header}\r\n".encode() if header else b""
        for body in bodies:
            answer = self.connection.request(subject, body.encode(), block)
            assert answer is not None
            assert b'"seq"' in answer.body, answer
            assert b'"error"' not in answer.body, answer

    def origin(self, name: str = "O", messages: int = 5, **fields: object) -> None:
        self.stream(name, subjects=[f"{name.lower()}.>"], **fields)
        for i in range(messages):
            self.store(f"{name.lower()}.{i % 3}", f"{name} {i}")

    def info(self, name: str) -> Any:
        return self.ok(f"STREAM.INFO.{name}")

    def until(self, name: str, condition: Callable[[Any], bool]) -> Any:
        def looked() -> Any:
            info = self.info(name)
            return info if condition(info) else None

        return wait_until(looked, f"{name} settles")

    def until_state(self, name: str, **wanted: int) -> None:
        """Until the stream's state has these numbers."""
        self.until(name, lambda info: wanted.items() <= info["state"].items())

    # -- noting

    def note(self, text: object) -> None:
        self.notes.append(str(text))

    def note_content(self, name: str, *, as_in: str = "") -> None:
        """`as_in`: the times must be those of that stream's messages."""
        state = self.info(name)["state"]
        for seq in range(max(state["first_seq"], 1), state["last_seq"] + 1):
            answer = self.api(f"STREAM.MSG.GET.{name}", {"seq": seq})
            if "error" in answer:
                self.note(f"{name} {seq}: {answer['error']['description']}")
                continue
            message = answer["message"]
            when = ""
            if as_in:
                original = self.ok(f"STREAM.MSG.GET.{as_in}", {"seq": seq})["message"]
                when = " then" if original["time"] == message["time"] else " at another time"
            header = base64.b64decode(message.get("hdrs", "")).decode()
            header = _IDENTITY.sub(r"\1 IDENTITY", header)
            body = base64.b64decode(message.get("data", "")).decode()
            self.note(f"{name} {seq} {message['subject']}{when} {header!r} {body!r}")

    def note_info(self, name: str) -> None:
        def shown() -> list[str]:
            return self._shown(name)

        self.notes += self.watch.look(shown) if self.watch else shown()

    def _shown(self, name: str) -> list[str]:
        info = self.info(name)
        state = {k: v for k, v in info["state"].items() if not k.endswith("_ts")}
        shown = [f"{name}: {state}"]
        sources = [info["mirror"]] if "mirror" in info else info.get("sources", [])
        for source in sorted(sources, key=str):
            source["active"] = "never" if source["active"] < 0 else "heard of"
            shown.append(f"{name}: {json.dumps(source)}")
        return shown

    def note_copy(self, name: str, *, as_in: str = "", **wanted: int) -> None:
        """All of the stream, once its state has these numbers."""
        self.until_state(name, **wanted)
        self.note_content(name, as_in=as_in)
        self.note_info(name)


def settled() -> Callable[[Any], bool]:
    """All origins were heard of, or answered with an error."""

    def condition(info: Any) -> bool:
        sources = [info["mirror"]] if "mirror" in info else info["sources"]
        return all(source["active"] >= 0 or "error" in source for source in sources)

    return condition


# -- mirrors  # S-183, S-190, S-197


@scenario
def mirror_of_everything(s: Copies) -> None:
    s.origin()
    expected = "Nats-Expected-Stream: O\r\nNats-Expected-Last-Sequence: 5\r\n"
    s.store("o.h", "kept", header=f"A: b\r\n{expected}Nats-Msg-Id: one\r\n")
    s.store("o.h", "nothing left", header="Nats-Expected-Stream: O\r\n")
    s.store("o.h", "")
    s.stream("M", mirror={"name": "O"})
    s.until_state("M", last_seq=8)
    s.store("o.h", "later", header="Nats-Msg-Id: two\r\n")
    s.note_copy("M", last_seq=9, as_in="O")
    s.note_info("O")
    s.note(s.api("CONSUMER.NAMES.O")["consumers"])


@scenario
def mirror_with_gaps(s: Copies) -> None:
    s.origin(messages=8)
    for seq in (1, 4, 5, 8):
        s.ok("STREAM.MSG.DELETE.O", {"seq": seq})
    s.stream("M", mirror={"name": "O"})
    s.until_state("M", last_seq=7)
    s.store("o.1", "after a gap")
    s.note_copy("M", last_seq=9)
    s.ok("STREAM.MSG.DELETE.M", {"seq": 6})
    s.ok("STREAM.MSG.DELETE.O", {"seq": 7})
    s.store("o.1", "and after deletions")
    s.note_copy("M", last_seq=10)


@scenario
def mirror_of_a_stream_that_begins_late(s: Copies) -> None:
    s.stream("O", subjects=["o.>"], first_seq=100)
    s.stream("M", mirror={"name": "O"})
    s.store("o.1", "a", "b")
    s.note_copy("M", last_seq=101, as_in="O")


@scenario
def mirror_of_a_purged_stream(s: Copies) -> None:
    s.origin(messages=6)
    s.ok("STREAM.PURGE.O")
    s.stream("M", mirror={"name": "O"})
    s.until_state("M", last_seq=6)
    s.note_info("M")
    s.store("o.1", "a")
    s.note_copy("M", last_seq=7, as_in="O")


def _mirror(messages: int, origin: dict[str, object], **fields: object) -> Scenario:
    """A mirror of that many messages, made when they are there."""

    def play(s: Copies) -> None:
        s.origin(messages=messages)
        s.stream("M", mirror={"name": "O"} | origin, **fields)
        s.note_copy("M", last_seq=messages, as_in="O")

    return play


_TRANSFORMS = [{"src": "o.1", "dest": "one.{{partition(3)}}"}, {"src": "o.2", "dest": ""}]
SCENARIOS |= {
    "mirror_with_a_start_sequence": _mirror(6, {"opt_start_seq": 4}),
    "mirror_with_a_filter": _mirror(8, {"filter_subject": "o.1"}),
    "mirror_with_transforms": _mirror(6, {"subject_transforms": _TRANSFORMS}),
    "mirror_with_limits_of_its_own": _mirror(9, {}, max_msgs=4, storage="memory"),
}


@scenario
def mirror_with_a_start_time(s: Copies) -> None:
    s.origin(messages=6)
    when = s.ok("STREAM.MSG.GET.O", {"seq": 3})["message"]["time"]
    s.stream("M", mirror={"name": "O", "opt_start_time": when})
    s.until_state("M", last_seq=6)
    s.note_content("M", as_in="O")


@scenario
def mirror_keeps_roll_ups_as_messages(s: Copies) -> None:
    s.stream("O", subjects=["o.>"], allow_rollup_hdrs=True, allow_msg_ttl=True)
    s.store("o.1", "a", "b")
    s.store("o.1", "c", header="Nats-Rollup: sub\r\n")
    s.store("o.2", "d", header="Nats-TTL: 1h\r\n")
    s.stream("M", mirror={"name": "O"})
    s.note_copy("M", last_seq=4, as_in="O")


@scenario
def mirror_that_rolls_up(s: Copies) -> None:
    s.stream("O", subjects=["o.>"])
    s.stream("R", subjects=["r.>"], allow_rollup_hdrs=True)
    s.stream("M", mirror={"name": "R"}, allow_rollup_hdrs=True)
    s.until("M", settled())
    s.store("r.1", "a", "b")
    s.until_state("M", last_seq=2)
    s.store("r.1", "c", header="Nats-Rollup: sub\r\n")
    s.note_copy("M", last_seq=3)


@scenario
def mirror_of_a_mirror(s: Copies) -> None:
    s.origin(messages=4)
    s.stream("M", mirror={"name": "O"})
    s.stream("N", mirror={"name": "M"})
    s.until_state("N", last_seq=4)
    s.store("o.1", "later")
    s.note_copy("N", last_seq=5, as_in="O")


@scenario
def promotion(s: Copies) -> None:  # S-198
    s.origin(messages=3)
    s.stream("M", mirror={"name": "O"})
    s.until_state("M", last_seq=3)
    s.update("M", subjects=["m.>"])
    s.store("o.1", "not any more")
    s.store("m.1", "own", header="Nats-Msg-Id: x\r\n")
    s.note_content("M")
    s.note_info("M")
    config = s.info("M")["config"]
    s.note((config["subjects"], config.get("mirror"), config.get("duplicate_window")))


@scenario
def publishing_to_a_mirror(s: Copies) -> None:
    s.origin(messages=3)
    s.stream("M", mirror={"name": "O"})
    s.until_state("M", last_seq=3)
    for subject in ("M", "m.1"):
        answer = s.connection.request(subject, b"x")
        s.note(answer.header if answer is not None else "no answer")


@scenario
def mirror_of_what_is_not_there_yet(s: Copies) -> None:
    s.stream("M", mirror={"name": "O"})
    s.until("M", settled())
    s.note_info("M")


# -- sources  # S-184, S-185


@scenario
def one_source(s: Copies) -> None:
    s.origin(messages=4)
    s.store("o.h", "kept", header="A: b\r\nNats-Expected-Stream: O\r\nNats-Msg-Id: one\r\n")
    s.stream("S", sources=[{"name": "O"}])
    s.until_state("S", last_seq=5)
    s.store("o.h", "later")
    s.note_copy("S", last_seq=6)
    s.note_info("O")


@scenario
def sources_and_subjects_of_its_own(s: Copies) -> None:
    s.origin(messages=3)
    s.stream("S", subjects=["s.>"], sources=[{"name": "O"}])
    s.until_state("S", last_seq=3)
    s.store("s.1", "own")
    s.store("o.1", "origin's")
    s.note_copy("S", last_seq=5)


@scenario
def filtered_sources(s: Copies) -> None:
    s.origin(messages=7)
    for filters in (["o.1"], ["o.0", "o.2"], ["o.>"]):
        sources = [{"name": "O", "filter_subject": subject} for subject in filters]
        name = "S" + str(len(filters)) + filters[0][-1].replace(">", "x")
        s.stream(name, sources=sources[:1])
        count = {"o.1": 2, "o.0": 3, "o.>": 7}[filters[0]]
        s.note_copy(name, messages=count)


@scenario
def transformed_sources(s: Copies) -> None:
    s.origin(messages=6)
    pairs = [{"src": "o.1", "dest": "one.x"}, {"src": "o.2", "dest": ""}]
    s.stream("S", sources=[{"name": "O", "subject_transforms": pairs}])
    s.note_copy("S", messages=4)


@scenario
def transformed_twice(s: Copies) -> None:
    s.origin(messages=3)
    pairs = [{"src": "o.*", "dest": "t.{{wildcard(1)}}"}]
    own = {"src": "t.*", "dest": "u.{{wildcard(1)}}.v"}
    s.stream("S", sources=[{"name": "O", "subject_transforms": pairs}], subject_transform=own)
    s.note_copy("S", messages=3)


@scenario
def source_of_a_source(s: Copies) -> None:
    s.origin(messages=3)
    s.stream("S", sources=[{"name": "O"}])
    s.until_state("S", last_seq=3)
    s.stream("T", sources=[{"name": "S"}])
    s.note_copy("T", last_seq=3)


@scenario
def source_of_a_mirror(s: Copies) -> None:
    s.origin(messages=3)
    s.stream("M", mirror={"name": "O"})
    s.stream("S", sources=[{"name": "M", "filter_subject": "o.1"}])
    s.note_copy("S", messages=1)


@scenario
def sources_with_starts(s: Copies) -> None:
    s.origin(messages=6)
    s.stream("S", sources=[{"name": "O", "opt_start_seq": 5}])
    s.note_copy("S", messages=2)
    when = s.ok("STREAM.MSG.GET.O", {"seq": 4})["message"]["time"]
    s.stream("T", sources=[{"name": "O", "opt_start_time": when}])
    s.until_state("T", messages=3)
    s.note_content("T")


@scenario
def sources_and_duplicates(s: Copies) -> None:
    s.origin(messages=0)
    s.store("o.1", "a", header="Nats-Msg-Id: one\r\n")
    s.stream("S", subjects=["s"], sources=[{"name": "O"}], duplicate_window=120 * SECOND)
    s.until_state("S", last_seq=1)
    s.note(s.connection.request("s", b"x", b"NATS/1.0\r\nNats-Msg-Id: one\r\n\r\n").body)
    s.store("s", "two", header="Nats-Msg-Id: two\r\n")
    s.store("o.1", "a duplicate here", header="Nats-Msg-Id: two\r\n")
    s.store("o.1", "b")
    s.note_copy("S", last_seq=3)


@scenario
def sources_that_come_and_go(s: Copies) -> None:
    s.origin("O", messages=3)
    s.origin("P", messages=2)
    s.stream("S", sources=[{"name": "O"}])
    s.until_state("S", messages=3)
    s.update("S", sources=[{"name": "O"}, {"name": "P"}])
    s.until_state("S", messages=5)
    s.update("S", sources=[{"name": "P"}])
    s.store("o.1", "unseen")
    s.store("p.1", "seen")
    s.note_copy("S", messages=6)
    s.update("S", sources=[{"name": "P"}, {"name": "O"}])
    s.until_state("S", messages=7)  # it goes on where it was
    s.note_content("S")
    s.note_info("S")


@scenario
def source_into_an_emptied_stream(s: Copies) -> None:
    s.origin(messages=4)
    s.stream("S", sources=[{"name": "O"}])
    s.until_state("S", messages=4)
    s.ok("STREAM.PURGE.S")
    s.store("o.1", "new")
    s.note_copy("S", messages=1)


@scenario
def source_of_what_is_not_there_yet(s: Copies) -> None:
    s.stream("S", sources=[{"name": "O"}, {"name": "P", "filter_subject": "p"}])
    s.until("S", settled())
    s.note_info("S")


@scenario
def headers_of_another_source_are_replaced(s: Copies) -> None:
    s.origin(messages=1)
    s.stream("S", sources=[{"name": "O"}])
    s.until_state("S", last_seq=1)
    s.stream("T", sources=[{"name": "S", "filter_subject": "o.>"}])
    s.stream("U", mirror={"name": "S"})
    s.until_state("T", last_seq=1)
    s.until_state("U", last_seq=1)
    s.note_content("T")
    s.note_content("U")


@scenario
def source_keeps_consumers_going(s: Copies) -> None:
    s.origin(messages=2)
    s.stream("S", sources=[{"name": "O"}])
    s.until_state("S", last_seq=2)
    config = {"durable_name": "C", "ack_policy": "explicit"}
    s.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": config})
    inbox = "copies.inbox"
    s.connection.subscribe(inbox)
    s.connection.publish("$JS.API.CONSUMER.MSG.NEXT.S.C", b'{"batch":3}', reply=inbox)
    s.store("o.1", "third")
    for _ in range(3):
        message = s.connection.next_of_any(ANSWER_S_MAX)
        assert message is not None
        s.note((message.subject, message.body))


# -- what origins are asked  # S-190, S-191, S-193

_RANDOM = (
    (re.compile(r"\$JSC\.R\.\w{8}"), "INBOX"),
    (re.compile(r"(\.[MS]\.)\w{8}(?=\")"), r"\1RANDOM"),
)


@scenario
def requests_to_origins(s: Copies) -> None:
    s.origin(messages=3)
    when = "2026-01-02T03:04:05+01:00"
    transforms = [{"src": "o.1", "dest": "a"}, {"src": "o.2", "dest": "b"}]
    durable = {"name": "D", "deliver_subject": "to.d"}
    external = {"api": "ext.api", "deliver": "ext.deliver"}
    mirrors: list[dict[str, object]] = [
        {"name": "O"},
        {"name": "O", "opt_start_seq": 2},
        {"name": "O", "opt_start_time": when},
        {"name": "O", "filter_subject": "o.1"},
        {"name": "O", "subject_transforms": transforms},
        {"name": "O", "subject_transforms": transforms[:1]},
        {"name": "O", "consumer": durable},
        {"name": "O", "external": external},
    ]
    host, port = s.connection.peer
    with Connection(host, port) as listener:
        for subject in ("$JS.API.CONSUMER.>", "ext.>"):
            listener.subscribe(subject)
        for number, origin in enumerate(mirrors):
            s.stream(f"M{number}", mirror=origin)
            _note_request(s, listener)
            s.stream(f"S{number}", sources=[origin])
            _note_request(s, listener)
        s.stream(
            "T", sources=[{"name": "O", "filter_subject": "o.1"}, {"name": "X"}, {"name": "O"}]
        )
        requests = sorted(_request(listener) for _ in range(3))
        s.notes += requests
        s.update("M0", subjects=["m"])
        _note_request(s, listener)
        s.ok("STREAM.DELETE.S0")
        _note_request(s, listener)


def _note_request(s: Copies, listener: Connection) -> None:
    s.note(_request(listener))


def _request(listener: Connection) -> str:
    request = listener.next_message(ANSWER_S_MAX)
    assert request is not None, "nobody asks"
    text = f"{request.subject} {request.reply} {request.header!r} {request.body.decode()}"
    for pattern, replacement in _RANDOM:
        text = pattern.sub(replacement, text)
    return text


# -- together with other features


@scenario
def counters_as_sources(s: Copies) -> None:  # S-202
    for name in ("A", "B"):
        s.stream(name, subjects=[f"{name.lower()}.>"], allow_msg_counter=True)
        s.store(f"{name.lower()}.x", "", header="Nats-Incr: 5\r\n")
    both = [
        {"name": name, "subject_transforms": [{"src": f"{name.lower()}.>", "dest": "sum.>"}]}
        for name in ("A", "B")
    ]
    s.stream("S", subjects=["sum.>"], sources=both[:1], allow_msg_counter=True)
    s.until_state("S", messages=1)
    s.update("S", subjects=["sum.>"], sources=both, allow_msg_counter=True)
    s.until_state("S", messages=2)
    s.store("a.x", "", header="Nats-Incr: -2\r\n")
    s.until_state("S", messages=3)
    s.store("sum.x", "", header="Nats-Incr: 100\r\n")
    s.note_content("S")
    s.note_info("S")


@scenario
def mirror_answers_direct_gets(s: Copies) -> None:
    s.stream("O", subjects=["o.>"], allow_direct=True)
    s.store("o.1", "a", "b")
    s.stream("M", mirror={"name": "O"})
    s.note(s.info("M")["config"]["mirror_direct"])
    s.until_state("M", last_seq=2)
    s.until("M", settled())
    s.ok("STREAM.DELETE.O")
    answer = s.connection.request("$JS.API.DIRECT.GET.O", b'{"seq":2}')
    assert answer is not None
    lines = answer.header.decode().split("\r\n")
    s.note([line for line in lines if not line.startswith("Nats-Time-Stamp")])
    s.note(answer.body)


@scenario
def republished_copies(s: Copies) -> None:
    s.origin(messages=0)
    s.connection.subscribe("again.>")
    republish = {"src": "o.>", "dest": "again.>"}
    s.stream("S", sources=[{"name": "O"}], republish=republish)
    s.until("S", settled())
    s.store("o.1", "a")
    message = s.connection.next_of_any(ANSWER_S_MAX)
    assert message is not None
    lines = message.header.decode().split("\r\n")
    kept = [x for x in lines if not x.startswith(("Nats-Time-Stamp", "Nats-Stream-Source"))]
    s.note((message.subject, kept, message.body))


# -- retention  # S-192


def _queue(s: Copies, retention: str) -> None:
    s.stream("O", subjects=["o.>"], retention=retention)
    s.store("o.1", "a", "b", "c")


@scenario
def source_of_a_work_queue(s: Copies) -> None:
    """Messages leave the queue when they are in the copy."""
    _queue(s, "workqueue")
    s.stream("S", sources=[{"name": "O"}])
    s.until_state("S", last_seq=3)
    s.until_state("O", messages=0)
    s.note_content("S")
    s.note_info("S")
    s.note_info("O")
    (name,) = s.api("CONSUMER.NAMES.O")["consumers"]
    config = s.api(f"CONSUMER.INFO.O.{name}")["config"]
    for server_made in ("deliver_subject", "metadata"):
        del config[server_made]
    s.note((name, config))
    s.ok("STREAM.DELETE.S")
    s.until("O", lambda info: info["state"]["consumer_count"] == 0)


@scenario
def mirror_of_an_interest_stream(s: Copies) -> None:
    s.stream("O", subjects=["o.>"], retention="interest")
    s.stream("M", mirror={"name": "O"})
    s.until("M", settled())
    s.store("o.1", "a", "b", "c")
    s.until_state("M", last_seq=3)
    s.until_state("O", messages=0)
    s.note_content("M")
    s.note_info("M")


@scenario
def source_into_an_interest_stream(s: Copies) -> None:
    """Without interest a message leaves nothing but its sequence. (nats-server does not count it
    in the source's `seq`.)
    """
    s.origin(messages=3)
    s.stream("S", sources=[{"name": "O"}], retention="interest")
    s.until_state("S", last_seq=3)
    config = {"durable_name": "C", "ack_policy": "explicit", "filter_subject": "o.1"}
    s.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": config})
    s.store("o.1", "wanted")
    s.store("o.2", "not wanted")
    s.until_state("S", last_seq=5)
    s.note_content("S")
    s.note({k: v for k, v in s.info("S")["state"].items() if not k.endswith("_ts")})
