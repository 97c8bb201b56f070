"""Goal: an exception that no code expected is one request's: it is answered with an id, leaves
nothing half done, and nobody else notices.

Method: the API over a kernel whose calls a test can make raise: when something is proposed, when it
is committed, between the slices of a long answer, in a link, in a backup and in a restore.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from conversation import NOW_NS, Conversation
from fake_kernel import FakeKernel
from served_api import ServedApi
from slipstream.jetstream.sourcing.links import SOURCING_SERVICE
from slipstream.kernel.events import FailedEvent, RequestEvent

SECOND = 1_000_000_000
CONFIG: dict[str, Any] = {"name": "S", "subjects": ["s"]}
ANSWERED = (10051, "unexpected error ID1, see the server's log")


class Reports:
    """What the API reported, and how often."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Exception]] = []

    def __call__(self, what: str, error: Exception) -> str:
        self.seen.append((what, error))
        return f"ID{len(self.seen)}"

    @property
    def steps(self) -> list[str]:
        return [what for what, _ in self.seen]


class BrokenKernel(FakeKernel):
    """Calls named in `broken` raise, as often as it says."""

    broken: dict[str, int]

    def break_call(self, name: str, times: int = 1) -> None:
        plain: Callable[..., Any] = getattr(self, name)
        left = [times]

        def call(*arguments: Any) -> Any:
            if left[0]:
                left[0] -= 1
                raise OverflowError("evil\r\n[1] forged line")
            return plain(*arguments)

        setattr(self, name, call)


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def talk(reports: Reports) -> Conversation:
    return Conversation(BrokenKernel(NOW_NS), report=reports)


def broken(talk: Conversation, name: str, times: int = 1) -> None:
    assert isinstance(talk.kernel, BrokenKernel)
    talk.kernel.break_call(name, times)


def error_of(answer: dict[str, Any]) -> tuple[int, int]:
    return answer["error"]["code"], answer["error"]["err_code"]


def test_request_is_answered_with_the_id_of_the_log(talk: Conversation, reports: Reports) -> None:
    broken(talk, "propose_stream_create")
    answer = talk.request("STREAM.CREATE.S", {"name": "S"})
    assert error_of(answer) == (500, 10051)
    assert answer["error"]["description"] == ANSWERED[1]
    assert reports.steps == ["$JS.API.STREAM.CREATE.S"]
    assert talk.ok("STREAM.CREATE.S", {"name": "S"})["did_create"]


@pytest.mark.parametrize(
    ("call", "verb", "body"),
    [
        ("propose_stream_update", "STREAM.UPDATE.S", {"name": "S", "subjects": ["other"]}),
        ("propose_stream_delete", "STREAM.DELETE.S", None),
        ("propose_purge", "STREAM.PURGE.S", None),
        ("propose_delete", "STREAM.MSG.DELETE.S", {"seq": 1}),
        ("get_message", "STREAM.MSG.GET.S", {"seq": 1}),
        ("stream_state", "STREAM.INFO.S", None),
        ("stream_deleted", "STREAM.INFO.S", {"deleted_details": True}),
        ("stream_state", "STREAM.LIST", None),
        ("propose_consumer_create", "CONSUMER.CREATE.S.N", {"stream_name": "S", "config": {}}),
        ("propose_consumer_update", "CONSUMER.PAUSE.S.C", {"pause_until": "2099-01-01T00:00:00Z"}),
        ("propose_consumer_delete", "CONSUMER.DELETE.S.C", None),
        ("propose_consumer_reset", "CONSUMER.RESET.S.C", None),
        ("consumer_state", "CONSUMER.INFO.S.C", None),
        ("consumer_state", "CONSUMER.LIST.S", None),
    ],
)
def test_it_leaves_nothing_behind(
    talk: Conversation, reports: Reports, call: str, verb: str, body: object
) -> None:
    talk.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
    talk.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {"ack_policy": "explicit"}})
    talk.publish("s", b"x")
    broken(talk, call)
    assert error_of(talk.request(verb, body)) == (500, 10051)
    assert len(reports.seen) == 1
    talk.api.check()
    assert "error" not in talk.request(verb, body)


def test_a_callback_that_raises_does_not_drop_the_others(
    talk: Conversation, reports: Reports
) -> None:
    """Two requests wait for the same commit; showing the stream fails for the first alone."""
    body = json.dumps({"name": "S"}).encode()
    talk.send("STREAM.CREATE.S", body)
    talk.send("STREAM.CREATE.S", body)
    broken(talk, "stream_state")
    talk.settle()
    first, second = [json.loads(p.body) for p in talk.kernel.take_published()]
    assert error_of(first) == (500, 10051)
    assert second["did_create"]
    assert len(reports.seen) == 1


def test_nobody_is_answered_twice(talk: Conversation, reports: Reports) -> None:
    """The consumer's creation was answered before what raises."""
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    broken(talk, "start_consumer")
    answer = talk.request("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {}})
    assert "error" not in answer
    assert len(reports.seen) == 1


def test_commits_that_follow_a_failure_of_the_store(talk: Conversation, reports: Reports) -> None:
    """The failure refuses what is under way; the entry may have been taken up all the same."""
    talk.send("STREAM.CREATE.S", b'{"name": "S"}')
    talk.api.handle(FailedEvent("the disk is gone"), NOW_NS)
    talk.send("STREAM.CREATE.S", b'{"name": "S"}')  # the same again, while it is under way
    talk.settle()
    answers = [json.loads(p.body)["error"] for p in talk.kernel.take_published()]
    assert [answer["err_code"] for answer in answers] == [10077, 10077]
    assert {answer["description"] for answer in answers} == {"the disk is gone"}
    assert reports.seen == []


def test_a_failure_of_the_store_reaches_everybody(talk: Conversation, reports: Reports) -> None:
    for name in ("A", "B", "C"):
        talk.send(f"STREAM.CREATE.{name}", json.dumps({"name": name}).encode())
    broken(talk, "publish")
    talk.api.handle(FailedEvent("the disk is gone"), NOW_NS)
    answers = [json.loads(p.body)["error"] for p in talk.kernel.take_published()]
    assert [answer["err_code"] for answer in answers] == [10077, 10077]
    assert len(reports.seen) == 1


# -- links


def test_a_link_that_raises_tries_again_and_the_others_go_on(
    talk: Conversation, reports: Reports
) -> None:
    for name in ("A", "B"):
        talk.ok(f"STREAM.CREATE.{name}", {"name": name, "mirror": {"name": f"O{name}"}})
    broken(talk, "source_position")
    (asked,) = after(talk, SECOND)
    first, other = ("A", "B") if asked.subject.endswith(b"OB") else ("B", "A")
    assert asked.subject == f"$JS.API.CONSUMER.CREATE.O{other}".encode()
    assert reports.steps == [f"the mirror or source O{first} of stream {first}"]
    again = f"$JS.API.CONSUMER.CREATE.O{first}".encode()
    assert again in [p.subject for p in after(talk, 30 * SECOND)]


def test_an_answer_that_raises_is_asked_for_again(talk: Conversation, reports: Reports) -> None:
    talk.ok("STREAM.CREATE.A", {"name": "A", "mirror": {"name": "O"}})
    (asked,) = after(talk, SECOND)
    broken(talk, "open_feed")
    answer = {"name": "C", "config": {"deliver_subject": "d", "ack_policy": "none"}}
    event = RequestEvent(SOURCING_SERVICE, 1, 0, asked.reply, b"", b"", json.dumps(answer).encode())
    talk.api.handle(event, talk.kernel.now_ns)
    talk.api.check()
    assert len(reports.seen) == 1
    (again,) = after(talk, 30 * SECOND)
    assert again.subject == asked.subject


def test_a_stream_is_deleted_even_if_its_origin_cannot_be_told(
    talk: Conversation, reports: Reports
) -> None:
    talk.ok("STREAM.CREATE.A", {"name": "A", "mirror": {"name": "O"}})
    talk.send("STREAM.DELETE.A")
    for event in talk.kernel.take_events():
        talk.api.handle(event, talk.kernel.now_ns)
    broken(talk, "publish")
    talk.settle()
    assert len(reports.seen) == 1
    assert any(b'"success":true' in p.body for p in talk.kernel.take_published())
    assert talk.error("STREAM.INFO.A")[0] == 10059


def after(talk: Conversation, duration_ns: int) -> list[Any]:
    talk.kernel.now_ns += duration_ns
    while talk.api.step(talk.kernel.now_ns):
        pass
    talk.api.check()
    return [p for p in talk.kernel.take_published() if p.reply.startswith(b"$JSC.R.")]


# -- backups and restores, over the real kernel


def test_a_backup_that_raises_ends_alone(reports: Reports, monkeypatch: pytest.MonkeyPatch) -> None:
    node = ServedApi(report=reports)
    node.ok("STREAM.CREATE.S", CONFIG)
    for number in range(3):
        node.publish("s", b"%d" % number)
    with monkeypatch.context() as patched:
        patched.setattr("slipstream.jetstream.api.snapshots.encode_record", _raise)
        ended = node.backup("S")
    assert b"500 unexpected error ID1" in ended.status
    assert reports.steps == ["a backup or restore"]
    whole = node.backup("S")
    assert whole.archive
    node.ok("STREAM.DELETE.S")
    assert node.restore(CONFIG, whole.archive)["state"]["messages"] == 3


@pytest.mark.parametrize(
    "place",
    [
        "slipstream.jetstream.api.restores.ArchiveReader.next",
        "slipstream.jetstream.api.restores.describe_stream",
        "slipstream.jetstream.api.restores.Restore._propose_end",
    ],
)
def test_a_restore_that_raises_gives_its_name_back(
    reports: Reports, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    node = ServedApi(report=reports)
    node.ok("STREAM.CREATE.S", CONFIG)
    node.publish("s", b"x")
    whole = node.backup("S")
    node.ok("STREAM.DELETE.S")
    with monkeypatch.context() as patched:
        patched.setattr(place, _raise)
        answer = node.restore(CONFIG, whole.archive)
    assert error_of(answer) == (500, 10051)
    assert reports.steps == ["a backup or restore"]
    node.settle()
    node.kernel.check()
    assert node.restore(CONFIG, whole.archive)["state"]["messages"] == 1


def _raise(*_: object) -> Any:
    raise OverflowError("unexpected")
