"""Goal: a mirror or source asks its origin as nats-server does, and never gives up.

Method: the API over the fake kernel; the test plays the origin and moves the clock. What goes out
is compared field by field, because origins behind external prefixes are other servers.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from conversation import NOW_NS, Conversation
from fake_kernel import FakeFeed
from slipstream.jetstream.sourcing.links import LINKS_PER_STEP, SOURCING_SERVICE
from slipstream.kernel.events import FeedEvent, RequestEvent
from slipstream.kernel.specs import StreamSpec
from slipstream.kernel.values import SourcePosition

MS, SECOND = 1_000_000, 1_000_000_000
SOURCE_INDEX = b"O > >"


class Asked:
    """A request to an origin."""

    def __init__(self, subject: bytes, reply: bytes, header: bytes, body: bytes) -> None:
        self.subject = subject.decode()
        self.reply = reply
        self.fields = dict(
            line.split(": ", 1) for line in header.decode().split("\r\n")[1:] if ": " in line
        )
        self.body = json.loads(body) if body else None

    @property
    def config(self) -> dict[str, Any]:
        assert self.body is not None
        config: dict[str, Any] = self.body["config"]
        return config


class Talk(Conversation):
    """Requests that the server makes to origins are taken out of what it publishes."""

    def after(self, duration_ns: int) -> list[Asked]:
        """What it asks in that time; the last moment counts."""
        self.kernel.now_ns += duration_ns
        while self.api.step(self.kernel.now_ns):
            pass
        self.api.check()
        return self.asked()

    def asked(self) -> list[Asked]:
        return [
            Asked(p.subject, p.reply, p.header, p.body)
            for p in self.kernel.take_published()
            if p.reply.startswith(b"$JSC.R.")
        ]

    def one(self, duration_ns: int = SECOND) -> Asked:
        (asked,) = self.after(duration_ns)
        return asked

    def answer(self, asked: Asked, body: object, header: bytes = b"") -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        event = RequestEvent(SOURCING_SERVICE, 1, 0, asked.reply, b"", header, raw)
        self.api.handle(event, self.kernel.now_ns)
        self.api.check()

    def accept(self, asked: Asked, identity: str = "", delivered: int = 0) -> FakeFeed:
        """The origin has made the consumer; the feed that was opened for it."""
        header = f"NATS/1.0\r\nNats-Stream-Identity: {identity}\r\n\r\n" if identity else ""
        body = {
            "name": "JS_x-1",
            "config": {"deliver_subject": asked.config["deliver_subject"], "ack_policy": "none"},
            "delivered": {"consumer_seq": 0, "stream_seq": delivered},
        }
        self.answer(asked, body, header.encode())
        return list(self.kernel.all_feeds().values())[-1]

    def refuse(self, asked: Asked, err_code: int) -> None:
        error = {"code": 400, "err_code": err_code, "description": "no"}
        self.answer(asked, {"error": error})

    def stop_feed(self) -> None:
        (stream, feed), found = list(self.kernel.all_feeds().items())[-1]
        found.open = False
        self.api.handle(FeedEvent(stream, feed), self.kernel.now_ns)
        self.api.check()

    def shown(self, name: str, kind: str) -> Any:
        return self.ok(f"STREAM.INFO.{name}")[kind]


@pytest.fixture
def talk() -> Talk:
    return Talk()


def mirror(talk: Talk, **fields: object) -> None:
    talk.ok("STREAM.CREATE.M", {"name": "M", "mirror": {"name": "O"} | fields})
    talk.kernel.take_published()


def source(talk: Talk, *sources: dict[str, object], name: str = "S") -> None:
    found = list(sources) or [{"name": "O"}]
    talk.ok(f"STREAM.CREATE.{name}", {"name": name, "sources": found})
    talk.kernel.take_published()


# -- what is asked


def test_a_mirror_asks_for_a_consumer(talk: Talk) -> None:  # S-190, S-191
    mirror(talk)
    assert talk.after(99 * MS) == []
    asked = talk.one(101 * MS)
    assert asked.subject == "$JS.API.CONSUMER.CREATE.O"
    assert asked.fields == {"Nats-Required-Api-Level": "4"}
    assert asked.body is not None
    assert asked.body["stream_name"] == "O"
    config = asked.config
    assert config.pop("deliver_subject").startswith("$JS.M.")
    assert config == {
        "name": "JS_MIRROR_ih8eMwqr",  # of the stream's and the account's name
        "deliver_policy": "all",
        "ack_policy": "none",
        "ack_wait": 22 * 3600 * SECOND,
        "max_deliver": 1,
        "replay_policy": "instant",
        "flow_control": True,
        "idle_heartbeat": SECOND,
        "inactive_threshold": 10 * SECOND,
        "num_replicas": 0,
        "direct": True,
        "sourcing": True,
        "metadata": {"_nats.mirror.acc": "$G", "_nats.mirror.stream": "M"},
    }


def test_a_source_asks_for_a_consumer(talk: Talk) -> None:
    source(talk)
    asked = talk.one()
    assert asked.subject == "$JS.API.CONSUMER.CREATE.O"
    assert asked.fields == {"Nats-Required-Api-Level": "5", "Nats-Stream-Identity": ""}
    assert asked.config["deliver_subject"].startswith("$JS.S.")
    assert asked.config["name"].startswith("JS_SRC_")
    assert asked.config["metadata"] == {"_nats.src.acc": "$G", "_nats.src.stream": "S"}


def test_a_single_filter_stands_in_the_subject(talk: Talk) -> None:
    mirror(talk, filter_subject="o.>")
    asked = talk.one()
    name = asked.config["name"]
    assert asked.subject == f"$JS.API.CONSUMER.CREATE.O.{name}.o.>"
    assert asked.config["filter_subject"] == "o.>"


def test_filters_come_from_transforms(talk: Talk) -> None:
    pairs = [{"src": "o.a", "dest": "p"}, {"src": "o.b", "dest": ""}]
    source(talk, {"name": "O", "subject_transforms": pairs})
    asked = talk.one()
    assert asked.subject == "$JS.API.CONSUMER.CREATE.O"
    assert asked.config["filter_subjects"] == ["o.a", "o.b"]
    feed = talk.accept(asked)
    assert feed.spec["transforms"] == [(b"o.a", b"p"), (b"o.b", b"")]
    assert feed.spec["source"] == b"O o.a\x0co.b p\x0c>"  # S-184, S-185


def test_through_an_external_prefix(talk: Talk) -> None:
    external = {"api": "$JS.hub.API", "deliver": "from.hub"}
    mirror(talk, external=external, filter_subject="o.a")
    asked = talk.one()
    assert asked.subject.startswith("$JS.hub.API.CONSUMER.CREATE.O.JS_MIRROR_")
    assert asked.config["deliver_subject"].startswith("from.hub.M.")


def test_several_sources_of_one_origin_have_names_of_their_own(talk: Talk) -> None:
    source(talk, {"name": "O", "filter_subject": "a"}, {"name": "O", "filter_subject": "b"})
    names = {asked.config["name"] for asked in talk.after(SECOND)}
    assert len(names) == 2


def test_a_durable_consumer_is_reset(talk: Talk) -> None:  # S-193
    source(talk, {"name": "O", "consumer": {"name": "D", "deliver_subject": "to.s"}})
    asked = talk.one()
    assert asked.subject == "$JS.API.CONSUMER.RESET.O.D"
    assert asked.body is None
    answer = {
        "name": "D",
        "config": {"deliver_subject": "to.s", "ack_policy": "explicit"},
        "delivered": {"stream_seq": 0},
    }
    talk.answer(asked, answer)
    assert talk.shown("S", "sources")[0]["error"]["err_code"] == 10217
    asked = talk.one(15 * SECOND)
    answer["config"]["ack_policy"] = "flow_control"  # type: ignore[index]
    talk.answer(asked, answer)
    (feed,) = talk.kernel.all_feeds().values()
    assert feed.spec["deliver_subject"] == b"to.s"
    assert feed.spec["consumer"] == b"D"


def test_a_durable_consumer_of_a_mirror_too(talk: Talk) -> None:  # S-193
    mirror(talk, consumer={"name": "D", "deliver_subject": "to.m"})
    answer = {
        "name": "D",
        "config": {"deliver_subject": "to.m", "ack_policy": "none"},
        "delivered": {"stream_seq": 0},
    }
    talk.answer(talk.one(), answer)
    error = talk.shown("M", "mirror")["error"]
    assert error["err_code"] == 10214
    assert error["description"] == "stream mirror consumer requires flow control ack policy"


# -- where it begins


def test_a_new_mirror_begins_where_it_was_told(talk: Talk) -> None:
    mirror(talk, opt_start_seq=7)
    asked = talk.one()
    assert asked.config["deliver_policy"] == "by_start_sequence"
    assert asked.config["opt_start_seq"] == 7
    talk.accept(asked)
    talk.kernel.streams[_id(talk, "M")].last_seq = 20
    talk.kernel.streams[_id(talk, "M")].first_seq = 7
    talk.stop_feed()
    asked = talk.one(10 * SECOND)
    assert asked.config["opt_start_seq"] == 21


def test_a_source_begins_behind_its_position(talk: Talk) -> None:  # S-195
    source(talk, {"name": "O", "opt_start_time": "2026-01-02T03:04:05Z"})
    asked = talk.one()
    assert asked.config["opt_start_time"] == "2026-01-02T03:04:05Z"
    talk.accept(asked, identity="first")
    talk.kernel.positions[_id(talk, "S"), SOURCE_INDEX] = SourcePosition(8, b"first")
    talk.stop_feed()
    asked = talk.one(10 * SECOND)
    assert asked.config["opt_start_seq"] == 9
    assert asked.fields["Nats-Stream-Identity"] == "first"
    feed = talk.accept(asked, identity="first")
    assert feed.spec["after"] == 8
    assert not feed.spec["restart"]


def test_it_asks_only_when_the_log_is_settled(talk: Talk) -> None:
    source(talk)
    talk.accept(talk.one())
    talk.stop_feed()
    talk.kernel.unfinished = True
    assert talk.after(10 * SECOND) == []
    talk.kernel.unfinished = False
    assert len(talk.after(200 * MS)) == 1


# -- older and other origins


def test_an_older_origin_is_asked_with_less(talk: Talk) -> None:  # S-191
    source(talk)
    asked = talk.one()
    talk.refuse(asked, 10185)
    (asked,) = talk.asked()
    assert asked.fields == {"Nats-Required-Api-Level": "4"}
    talk.refuse(asked, 10025)
    (asked,) = talk.asked()
    assert asked.fields == {}
    assert "sourcing" not in asked.config
    assert asked.config["name"].count("_") == 3  # made unique
    talk.refuse(asked, 10185)
    assert talk.asked() == []
    assert talk.shown("S", "sources")[0]["error"]["err_code"] == 10185


def test_another_identity_starts_over(talk: Talk) -> None:  # S-196
    source(talk)
    talk.kernel.positions[_id(talk, "S"), SOURCE_INDEX] = SourcePosition(8, b"first")
    asked = talk.one()
    assert asked.fields["Nats-Stream-Identity"] == "first"
    talk.refuse(asked, 10225)
    asked = talk.one(3 * SECOND)
    assert asked.fields["Nats-Stream-Identity"] == ""
    assert asked.config["deliver_policy"] == "all"
    feed = talk.accept(asked, identity="second")
    assert feed.spec["restart"]
    assert feed.spec["after"] == 0
    assert feed.spec["identity"] == b"second"


# -- health, retries


def test_silence_makes_it_ask_again(talk: Talk) -> None:  # S-194
    mirror(talk)
    feed = talk.accept(talk.one())
    feed.seen_ns = talk.kernel.now_ns
    assert talk.after(10 * SECOND) == []
    assert talk.kernel.all_feeds()
    talk.after(10 * SECOND)
    assert not talk.kernel.all_feeds()
    assert len(talk.after(SECOND)) == 1


def test_messages_keep_it_alive(talk: Talk) -> None:
    mirror(talk)
    feed = talk.accept(talk.one())
    for _ in range(5):
        feed.seen_ns = talk.kernel.now_ns + 9 * SECOND
        assert talk.after(10 * SECOND) == []
    assert list(talk.kernel.all_feeds().values()) == [feed]


def test_no_answer(talk: Talk) -> None:
    mirror(talk)
    late = talk.one()
    assert talk.after(29 * SECOND) == []
    assert talk.after(2 * SECOND) == []  # given up; the back-off runs
    talk.answer(late, {})
    assert not talk.kernel.all_feeds()
    assert talk.after(9 * SECOND) == []
    assert len(talk.after(2 * SECOND)) == 1


def test_errors_back_off_and_are_shown(talk: Talk) -> None:
    source(talk)
    waits = []
    for _ in range(15):
        waited = 0
        while not (asked := talk.after(SECOND)):
            waited += 1
        waits.append(waited)
        talk.refuse(asked[0], 10059)
    assert waits[:3] == [0, 12, 22]
    assert max(waits) == waits[-1] == 122
    state = talk.shown("S", "sources")[0]
    assert state["error"] == {"code": 400, "err_code": 10059, "description": "no"}
    assert state["active"] == -1


@pytest.mark.parametrize(
    "answer",
    [
        b"{",
        b"[]",
        b"{}",
        b'{"config":{"deliver_subject":"$JS.M.x"},"delivered":{"stream_seq":-1}}',
        b'{"config":{"deliver_subject":"$JS.M.x"},"delivered":{"stream_seq":18446744073709551616}}',
        b'{"config":{"deliver_subject":""}}',
        b'{"config":{"deliver_subject":">"}}',
    ],
)
def test_an_unreadable_answer_is_an_error(talk: Talk, answer: bytes) -> None:
    mirror(talk)
    talk.answer(talk.one(), answer)
    assert talk.shown("M", "mirror")["error"]["err_code"] == 10029
    assert not talk.kernel.all_feeds()


def test_a_durable_consumer_is_heard_of_before_the_back_off_ends(talk: Talk) -> None:  # S-193
    mirror(talk, consumer={"name": "D", "deliver_subject": "to.m"})
    talk.one()
    assert talk.after(6 * SECOND) == []  # no answer
    ((_, probe),) = talk.kernel.all_feeds().items()
    assert probe.spec["deliver_subject"] == b"to.m"
    assert probe.spec["consumer"] == b""
    talk.stop_feed()
    assert not talk.kernel.all_feeds()
    assert talk.one(300 * MS).subject == "$JS.API.CONSUMER.RESET.O.D"


def test_strangers_are_not_heard(talk: Talk) -> None:
    mirror(talk)
    asked = talk.one()
    event = RequestEvent(SOURCING_SERVICE, 1, 7, b"$JSC.R.guessed", b"", b"", b"{}")
    talk.api.handle(event, talk.kernel.now_ns)
    talk.api.handle(FeedEvent(99, 1), talk.kernel.now_ns)
    talk.accept(asked)
    assert len(talk.kernel.all_feeds()) == 1


# -- what INFO shows


def test_state_of_a_source(talk: Talk) -> None:  # S-066, S-067
    source(talk, {"name": "O", "filter_subject": "o.a"})
    assert talk.shown("S", "sources") == [
        {"name": "O", "lag": 0, "active": -1, "filter_subject": "o.a"}
    ]
    feed = talk.accept(talk.one())
    feed.origin_seq, feed.consumer_seq, feed.lag = 12, 1, 3
    feed.seen_ns = talk.kernel.now_ns
    talk.kernel.now_ns += 5 * MS
    (state,) = talk.shown("S", "sources")
    assert list(state) == ["name", "lag", "seq", "active", "filter_subject"]
    assert (state["lag"], state["seq"]) == (3, 12)
    assert 5 * MS <= state["active"] < 6 * MS
    feed.seen_ns = talk.kernel.now_ns + MS
    (state,) = talk.shown("S", "sources")
    assert state["active"] == 0
    talk.stop_feed()
    assert talk.shown("S", "sources")[0]["lag"] == 3


# -- updates, promotion, deletion


def test_promotion(talk: Talk) -> None:  # S-198
    mirror(talk)
    talk.accept(talk.one())
    talk.ok("STREAM.UPDATE.M", {"name": "M", "subjects": ["m"]})
    (asked,) = talk.asked() or [None]
    assert asked is None or asked.subject.startswith("$JS.API.CONSUMER.DELETE.O.JS_MIRROR_")
    assert not talk.kernel.all_feeds()
    assert "mirror" not in talk.ok("STREAM.INFO.M")
    assert talk.after(300 * SECOND) == []


def test_sources_come_and_go(talk: Talk) -> None:
    source(talk, {"name": "O"}, {"name": "P"})
    for asked in talk.after(SECOND):
        talk.accept(asked)
    wanted = {"name": "S", "sources": [{"name": "P"}, {"name": "Q"}]}
    talk.ok("STREAM.UPDATE.S", wanted)
    assert {feed.source for feed in talk.kernel.all_feeds().values()} == {b"P > >"}
    subjects = {asked.subject for asked in talk.after(SECOND)}
    assert "$JS.API.CONSUMER.CREATE.Q" in subjects
    assert "$JS.API.CONSUMER.CREATE.P" not in subjects


def test_a_deleted_stream_asks_nothing_more(talk: Talk) -> None:
    source(talk)
    asked = talk.one()
    talk.ok("STREAM.DELETE.S")
    talk.answer(asked, {"name": "x", "config": {}})
    assert not talk.kernel.all_feeds()
    assert talk.after(300 * SECOND) == []


def test_many_sources_go_in_small_steps(talk: Talk) -> None:
    """A request has room for tens of thousands, whose origins are asked to forget them. Then those
    that are there again are asked for.
    """
    count = 100
    sources = [{"name": f"O{number}"} for number in range(count)]
    source(talk, *sources)
    talk.after(SECOND)
    for wanted in ([{"name": "P"}], sources):
        talk.send("STREAM.UPDATE.S", json.dumps({"name": "S", "sources": wanted}).encode())
        for event in talk.kernel.take_events():
            talk.api.handle(event, talk.kernel.now_ns)
        assert not talk.asked()
    talk.kernel.now_ns += SECOND
    more, subjects = True, list[str]()
    while more:
        more = talk.api.step(talk.kernel.now_ns)
        asked = talk.asked()
        assert len(asked) <= 2 * LINKS_PER_STEP  # of both kinds
        subjects += [one.subject for one in asked]
    verbs = [subject.split(".")[3] for subject in subjects]
    assert verbs == ["DELETE"] * (count + 1) + ["CREATE"] * count


def test_recovery_goes_on(talk: Talk) -> None:
    source(talk)
    talk.accept(talk.one())
    talk.kernel.forget_feeds()
    again = Talk(talk.kernel)
    again.kernel.now_ns = NOW_NS + 1000 * SECOND
    assert again.one().subject == "$JS.API.CONSUMER.CREATE.O"


def _id(talk: Talk, name: str) -> int:
    def named(stream: object) -> str:
        spec: StreamSpec = stream.spec  # type: ignore[attr-defined]
        kind = "M" if spec["mirror"] else "S"
        return kind

    return next(id_ for id_, stream in talk.kernel.streams.items() if named(stream) == name)


# -- what an origin may say


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"name": "a\r\nb"},
        {"name": 5},
        {"config": {"deliver_subject": "d x"}},
        {"config": {"deliver_subject": "d\r\nMSG x 1 0"}},
        {"config": {"deliver_subject": "d." + "x" * 5_000}},
        {"delivered": {"stream_seq": 10**400}},
        {"delivered": {"stream_seq": -1}},
        {"error": {"code": 10**400}},
        {"error": {"code": 400, "description": "x" * 5_000}},
        {"delivered": {"stream_seq": 1e300}},
    ],
)
def test_answers_that_cannot_be_are_no_answers(talk: Talk, changes: dict[str, Any]) -> None:
    mirror(talk)
    asked = talk.one()
    answer = {"name": "C", "config": {"deliver_subject": "d"}, "delivered": {}} | changes
    talk.answer(asked, answer)
    assert talk.kernel.all_feeds() == {}
    error = talk.shown("M", "mirror")["error"]
    assert (error["err_code"], error["description"]) == (10029, "invalid consumer create response")
    assert talk.one(30 * SECOND).subject == asked.subject


@pytest.mark.parametrize("deep", [b"[" * 900 + b"]" * 900, b'{"a":' * 5_000, b"[" * 100_000])
def test_deep_answers(talk: Talk, deep: bytes) -> None:
    mirror(talk)
    asked = talk.one()
    talk.answer(asked, b'{"x":' + deep + b"}")
    assert talk.kernel.all_feeds() == {}
    assert talk.one(30 * SECOND).subject == asked.subject


@pytest.mark.parametrize("identity", [b"a\nb", b"\xff\xfe", b"x" * 300, b"a b", b"a\rb"])
def test_identities_that_cannot_be_are_none(talk: Talk, identity: bytes) -> None:
    source(talk)
    asked = talk.one()
    header = b"NATS/1.0\r\nNats-Stream-Identity: " + identity + b"\r\n\r\n"
    body = {"name": "C", "config": {"deliver_subject": "d", "ack_policy": "none"}}
    talk.answer(asked, body, header)
    (feed,) = talk.kernel.all_feeds().values()
    assert feed.spec["identity"] == b""


def test_a_position_whose_identity_is_no_text(talk: Talk) -> None:
    """As a restored message may have it."""
    source(talk)
    stream = _id(talk, "S")
    talk.kernel.positions[stream, SOURCE_INDEX] = SourcePosition(8, b"\xff\r\nEvil: 1")
    assert talk.one().fields == {"Nats-Required-Api-Level": "5", "Nats-Stream-Identity": ""}
