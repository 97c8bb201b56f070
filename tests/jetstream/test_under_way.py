"""Goal: what an answer names exists for readers when the answer is sent, whatever is under way when
the request is judged; and if what it was judged by fails, the answer does not claim it.

Method: the API over a kernel whose commits a test holds back; after each step the API's own
invariants are checked. The failing sync is one of the real journal on a simulated disk, too.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from conversation import NOW_NS, Conversation
from fake_kernel import FakeKernel
from served_api import ServedApi
from slipstream.jetstream.api import proposals
from slipstream.jetstream.api.core import ErrorCode
from slipstream.kernel.events import (
    AbandonedEvent,
    CommittedEvent,
    Event,
    FailedEvent,
    InactiveEvent,
    StreamOfflineEvent,
)

CONFIG: dict[str, Any] = {"name": "S", "subjects": ["s.>"]}
QUEUE: dict[str, Any] = CONFIG | {"retention": "workqueue"}
CONSUMER: dict[str, Any] = {"durable_name": "C", "ack_policy": "explicit"}
STORE_FAILED = FailedEvent("the disk failed")


class Talk(Conversation):
    """Requests whose answers come when a test lets a commit happen."""

    def ask(self, verb: str, body: object = None) -> None:
        self.send(verb, b"" if body is None else json.dumps(body).encode())
        self.api.check()

    def answers(self) -> list[dict[str, Any]]:
        found = [p for p in self.kernel.take_published() if p.subject == b"_INBOX.1"]
        return [json.loads(p.body) for p in found]

    def happen(self, *events: Event) -> list[dict[str, Any]]:
        for event in events:
            self.api.handle(event, self.kernel.now_ns)
            self.api.check()
        return self.answers()

    def codes(self) -> list[int]:
        return [_code(answer) for answer in self.answers()]


def _code(answer: dict[str, Any]) -> int:
    return answer["error"]["err_code"] if "error" in answer else 0


@pytest.fixture
def talk() -> Talk:
    return Talk(FakeKernel(NOW_NS))


def consumer(**config: Any) -> dict[str, Any]:
    return {"stream_name": "S", "config": CONSUMER | config}


def created_consumer(name: str, **config: Any) -> tuple[str, dict[str, Any]]:
    fields = {"durable_name": name, "filter_subject": config.pop("filter", "")} | config
    return f"CONSUMER.DURABLE.CREATE.S.{name}", consumer(**fields)


Step = tuple[str, Any]
STREAM: Step = ("STREAM.CREATE.S", CONFIG)
OTHER: Step = ("STREAM.CREATE.S", CONFIG | {"max_msgs": 5})

# (what exists, what is under way, the request that is judged by it, its answer)
JUDGED: dict[str, tuple[list[Step], Step, Step, int]] = {
    "name": (
        [],
        STREAM,
        ("STREAM.CREATE.S", CONFIG | {"max_msgs": 5}),
        ErrorCode.STREAM_NAME_EXIST,
    ),
    "same stream": ([], STREAM, STREAM, 0),
    "overlap": (
        [],
        STREAM,
        ("STREAM.CREATE.T", {"name": "T", "subjects": ["s.x"]}),
        ErrorCode.STREAM_SUBJECT_OVERLAP,
    ),
    "overlap of an update": (
        [("STREAM.CREATE.T", {"name": "T", "subjects": ["t"]})],
        STREAM,
        ("STREAM.UPDATE.T", {"name": "T", "subjects": ["s.x"]}),
        ErrorCode.STREAM_SUBJECT_OVERLAP,
    ),
    "configuration under way": (
        [STREAM],
        ("STREAM.UPDATE.S", CONFIG | {"max_msgs": 5}),
        ("STREAM.CREATE.S", CONFIG),
        ErrorCode.STREAM_NAME_EXIST,
    ),
    "same as what is under way": (
        [STREAM],
        ("STREAM.UPDATE.S", CONFIG | {"max_msgs": 5}),
        ("STREAM.CREATE.S", CONFIG | {"max_msgs": 5}),
        0,
    ),
    "sealed": (
        [STREAM],
        ("STREAM.UPDATE.S", CONFIG | {"sealed": True}),
        ("STREAM.PURGE.S", None),
        ErrorCode.STREAM_SEALED,
    ),
    "purge of nothing": ([], STREAM, ("STREAM.PURGE.S", {"seq": 1}), 0),
    "deleted stream": (
        [STREAM],
        ("STREAM.DELETE.S", None),
        ("STREAM.INFO.S", None),
        ErrorCode.STREAM_NOT_FOUND,
    ),
    "deleted consumer": (
        [STREAM, created_consumer("C")],
        ("CONSUMER.DELETE.S.C", None),
        ("CONSUMER.INFO.S.C", None),
        ErrorCode.CONSUMER_NOT_FOUND,
    ),
    "read stream": ([], STREAM, ("STREAM.INFO.S", None), 0),
    "consumers of a stream": ([], STREAM, ("CONSUMER.NAMES.S", {}), 0),
    "read consumer": ([STREAM], created_consumer("C"), ("CONSUMER.INFO.S.C", None), 0),
    "consumer exists": (
        [STREAM],
        created_consumer("C"),
        ("CONSUMER.CREATE.S.C", consumer(max_deliver=9, name="C") | {"action": "create"}),
        ErrorCode.CONSUMER_ALREADY_EXISTS,
    ),
    "consumer cannot be changed": (
        [STREAM],
        created_consumer("C"),
        created_consumer("C", deliver_policy="last"),
        ErrorCode.CONSUMER_CREATE,
    ),
    "consumers of a queue": (
        [("STREAM.CREATE.S", QUEUE)],
        created_consumer("C", filter="s.x"),
        created_consumer("D", filter="s.*"),
        ErrorCode.CONSUMER_WQ_CONSUMER_NOT_UNIQUE,
    ),
    "consumers of a queue without filters": (
        [("STREAM.CREATE.S", QUEUE)],
        created_consumer("C"),
        created_consumer("D"),
        ErrorCode.CONSUMER_WQ_MULTIPLE_UNFILTERED,
    ),
    "most consumers": (
        [("STREAM.CREATE.S", CONFIG | {"max_consumers": 1})],
        created_consumer("C"),
        created_consumer("D"),
        ErrorCode.MAXIMUM_CONSUMERS_LIMIT,
    ),
    "restored name": (
        [],
        STREAM,
        ("STREAM.RESTORE.S", {"config": CONFIG, "state": {}}),
        ErrorCode.STREAM_NAME_EXIST_RESTORE_FAILED,
    ),
    "restored subjects": (
        [],
        STREAM,
        ("STREAM.RESTORE.T", {"config": {"name": "T", "subjects": ["s.x"]}, "state": {}}),
        0,  # the subject for the chunks; the overlap is told with the first one
    ),
}


def under_way(talk: Talk, case: str) -> tuple[CommittedEvent, int]:
    """The commit that is held back, and what the request is to be answered with."""
    present, change, request, expected = JUDGED[case]
    for step in present:
        talk.ask(*step)
        talk.settle()
    assert not any(talk.codes())
    talk.ask(*change)
    (commit,) = talk.kernel.take_events()
    talk.ask(*request)
    assert talk.answers() == []
    return commit, expected


@pytest.mark.parametrize("case", JUDGED)
def test_answer_waits_for_the_commit(talk: Talk, case: str) -> None:
    commit, expected = under_way(talk, case)
    changed, judged = talk.happen(commit)
    assert (_code(changed), _code(judged)) == (0, expected)


@pytest.mark.parametrize("case", JUDGED)
def test_failed_store_is_the_answer(talk: Talk, case: str) -> None:
    under_way(talk, case)
    answers = talk.happen(STORE_FAILED)
    assert [_code(answer) for answer in answers] == [ErrorCode.STREAM_STORE_FAILED] * 2
    talk.ask(*JUDGED[case][2])  # what became of it nobody knows until the next start
    assert talk.codes() == [ErrorCode.STREAM_STORE_FAILED]


@pytest.mark.parametrize("case", ["consumer exists", "consumers of a queue", "most consumers"])
def test_judged_again_when_the_stream_goes_offline(talk: Talk, case: str) -> None:
    commit, _ = under_way(talk, case)
    (stream,) = talk.kernel.streams
    offline = StreamOfflineEvent(stream, "damaged")
    answers = talk.happen(offline, AbandonedEvent(commit.token, "damaged"))
    assert [_code(answer) for answer in answers] == [ErrorCode.STREAM_OFFLINE_REASON] * 2


def test_readers_find_what_an_error_names(talk: Talk) -> None:
    commit, _ = under_way(talk, "consumer exists")
    assert talk.happen(commit)
    for verb, body in (("CONSUMER.INFO.S.C", None), ("CONSUMER.NAMES.S", {})):
        talk.ask(verb, body)
        (answer,) = talk.answers()
        assert answer.get("name", answer.get("consumers")) in ("C", ["C"])


def shown_setting(talk: Talk, verb: str, key: str) -> object:
    talk.ask(verb)
    (answer,) = talk.answers()
    return answer["config"].get(key)


def test_readers_see_committed_settings(talk: Talk) -> None:
    """As nats-server shows them; each update is answered with its own."""
    for step in (STREAM, created_consumer("C")):
        talk.ask(*step)
        talk.settle()
    talk.answers()
    for limit in (5, 6):
        talk.ask("STREAM.UPDATE.S", CONFIG | {"max_msgs": limit})
        talk.ask(*created_consumer("C", max_ack_pending=limit))
    commits = talk.kernel.take_events()
    assert len(commits) == 4
    seen: list[object] = [-1, 1000]
    for commit, limit in zip(commits, (5, 5, 6, 6), strict=True):
        assert shown_setting(talk, "STREAM.INFO.S", "max_msgs") == seen[0]
        assert shown_setting(talk, "CONSUMER.INFO.S.C", "max_ack_pending") == seen[1]
        (answer,) = talk.happen(commit)
        which, key = (1, "max_ack_pending") if "stream_name" in answer else (0, "max_msgs")
        assert answer["config"][key] == limit
        seen[which] = limit
    talk.ask("STREAM.LIST", {})
    talk.settle()
    (answer,) = talk.answers()
    assert answer["streams"][0]["config"]["max_msgs"] == 6


def test_paused_consumer_is_shown_when_that_is_committed(talk: Talk) -> None:
    for step in (STREAM, created_consumer("C")):
        talk.ask(*step)
        talk.settle()
    talk.answers()
    talk.ask("CONSUMER.PAUSE.S.C", {"pause_until": "2100-01-01T00:00:00Z"})
    (commit,) = talk.kernel.take_events()
    talk.ask("CONSUMER.INFO.S.C")
    (answer,) = talk.answers()
    assert "paused" not in answer
    assert [answer["paused"] for answer in talk.happen(commit)] == [True]
    talk.ask("CONSUMER.INFO.S.C")
    assert [answer["paused"] for answer in talk.answers()] == [True]


def test_trouble_of_one_stream_holds_nobody_else(talk: Talk) -> None:
    talk.ask(*STREAM)
    talk.settle()
    talk.ask("STREAM.CREATE.T", {"name": "T", "subjects": ["t"]})
    talk.settle()
    talk.answers()
    talk.ask("STREAM.PURGE.S")
    talk.ask("CONSUMER.INFO.T.none")
    talk.ask("STREAM.CREATE.T", {"name": "T", "subjects": ["other"]})
    assert talk.codes() == [ErrorCode.CONSUMER_NOT_FOUND, ErrorCode.STREAM_NAME_EXIST]


def test_waits_for_older_proposals_only(talk: Talk) -> None:
    """A stream that is always changed answers all the same; commits may come in any order."""
    talk.ask(*STREAM)
    talk.ask(*created_consumer("C"))
    first, second = talk.kernel.take_events()
    talk.ask("CONSUMER.INFO.S.D")
    talk.ask(*created_consumer("E"))
    (third,) = talk.kernel.take_events()
    assert [_code(answer) for answer in talk.happen(second)] == [0]
    assert [_code(answer) for answer in talk.happen(first)] == [0]  # it looks again, once
    created, judged = talk.happen(third)
    assert (_code(created), _code(judged)) == (0, ErrorCode.CONSUMER_NOT_FOUND)


def test_deletion_by_the_server_itself(talk: Talk) -> None:
    for step in (STREAM, created_consumer("C")):
        talk.ask(*step)
        talk.settle()
    talk.answers()
    (stream,) = talk.kernel.streams
    (id_,) = talk.kernel.streams[stream].consumers
    talk.happen(InactiveEvent(stream, id_))
    (commit,) = talk.kernel.take_events()
    talk.ask("CONSUMER.INFO.S.C")
    assert talk.codes() == []
    assert [_code(a) for a in talk.happen(commit)] == [ErrorCode.CONSUMER_NOT_FOUND]


@pytest.mark.parametrize("limit", ["HELD_MAX", "HELD_BYTES_MAX"])
def test_held_requests_are_bounded(talk: Talk, limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = CONFIG | {"max_msgs": 5}
    size = {"HELD_MAX": 1, "HELD_BYTES_MAX": len(json.dumps(body))}[limit]
    monkeypatch.setattr(proposals, limit, 2 * size)
    talk.ask(*STREAM)
    for _ in range(3):
        talk.ask("STREAM.CREATE.S", body)
    assert talk.codes() == [ErrorCode.INSUFFICIENT_RESOURCES]
    talk.settle()
    assert talk.codes() == [0, ErrorCode.STREAM_NAME_EXIST, ErrorCode.STREAM_NAME_EXIST]
    talk.ask("STREAM.CREATE.S", body)  # and there is room again
    assert talk.codes() == [ErrorCode.STREAM_NAME_EXIST]


@pytest.mark.parametrize("fails", [False, True])
def test_two_creations_and_the_sync_of_a_journal(fails: bool) -> None:
    served = ServedApi()
    first, second = served.inbox(), served.inbox()
    for reply, config in ((first, CONFIG), (second, CONFIG | {"max_msgs": 5})):
        served.send("$JS.API.STREAM.CREATE.S", json.dumps(config).encode(), reply)
    if fails:
        served.disk.fail_sync_at(1)
    served.settle()
    ((created,), (judged,)) = served.received[first], served.received[second]
    codes = [_code(json.loads(answer.body)) for answer in (created, judged)]
    failed = ErrorCode.STREAM_STORE_FAILED
    assert codes == ([failed, failed] if fails else [0, ErrorCode.STREAM_NAME_EXIST])
