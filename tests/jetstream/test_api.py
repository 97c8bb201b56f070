"""Goal: what the differential tests cannot show with one client and one request at a time: what
lies between a proposal and its commit, limits of accounts and server, recovery, failures, slices,
pauses.

Method: conversations over the fake kernel, with commits held back where the order matters.
"""

from __future__ import annotations

import json

import pytest

from conversation import CLIENT, NOW_NS, Conversation
from fake_kernel import FakeKernel
from slipstream.jetstream.api import JETSTREAM_SERVICE
from slipstream.jetstream.api.monitoring import finished
from slipstream.jetstream.api.transfers import TRANSFER_SERVICE
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.jetstream.limits import AccountLimits, ServerLimits
from slipstream.kernel.events import (
    CommittedEvent,
    FailedEvent,
    InactiveEvent,
    RequestEvent,
    TraceEvent,
)
from slipstream.kernel.values import StoreError

SECOND = 1_000_000_000


@pytest.fixture
def talk() -> Conversation:
    return Conversation()


def answers(talk: Conversation) -> list[dict[str, object]]:
    return [json.loads(p.body) for p in talk.kernel.take_published() if p.subject == b"_INBOX.1"]


# -- between proposal and commit


def test_nothing_is_answered_before_the_commit(talk: Conversation) -> None:
    talk.send("STREAM.CREATE.S", b'{"name":"S"}')
    assert answers(talk) == []
    talk.settle()
    assert answers(talk)[0]["did_create"] is True


def test_readers_see_a_stream_only_when_it_is_committed(talk: Conversation) -> None:
    talk.send("STREAM.CREATE.S", b'{"name":"S"}')
    talk.send("STREAM.NAMES")
    assert answers(talk)[0]["streams"] is None
    for verb in ("STREAM.INFO.S", "CONSUMER.NAMES.S"):
        talk.send(verb)
    assert answers(talk) == []  # test_under_way.py has more of this
    talk.settle()
    created, shown, consumers = answers(talk)
    assert (created["did_create"], shown["created"]) == (True, created["created"])
    assert consumers["consumers"] == []
    assert talk.request("STREAM.NAMES")["streams"] == ["S"]


def test_overlap_counts_from_the_proposal_on(talk: Conversation) -> None:  # S-006
    talk.send("STREAM.CREATE.S", b'{"name":"S","subjects":["a.>"]}')
    talk.send("STREAM.CREATE.T", b'{"name":"T","subjects":["a.b"]}')
    talk.settle()
    created, refused = answers(talk)
    assert created["did_create"] is True
    assert refused["error"]["err_code"] == 10065  # type: ignore[index]


def test_same_create_twice_is_answered_twice_after_one_commit(talk: Conversation) -> None:
    talk.send("STREAM.CREATE.S", b'{"name":"S"}')
    talk.send("STREAM.CREATE.S", b'{"name":"S"}')
    assert answers(talk) == []
    assert len(talk.kernel.streams) == 1
    talk.settle()
    both = answers(talk)
    assert [answer["did_create"] for answer in both] == [True, True]
    assert both[0]["created"] == both[1]["created"]


def test_consumer_may_be_proposed_behind_its_stream(talk: Conversation) -> None:
    talk.send("STREAM.CREATE.S", b'{"name":"S"}')
    talk.send("CONSUMER.CREATE.S.C", b'{"stream_name":"S","config":{"durable_name":"C"}}')
    talk.settle()
    assert [answer.get("name", "") for answer in answers(talk)] == ["", "C"]


def test_consumer_starts_behind_the_answer(talk: Conversation) -> None:  # C-064
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    talk.send("CONSUMER.CREATE.S.C", b'{"stream_name":"S","config":{"durable_name":"C"}}')
    (stream,) = talk.kernel.streams.values()
    (consumer,) = stream.consumers.values()
    assert not consumer.started
    talk.settle()
    assert consumer.started
    assert answers(talk)[0]["name"] == "C"


def test_name_is_free_again_from_the_deletion_on(talk: Conversation) -> None:
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    talk.send("STREAM.DELETE.S")
    talk.send("STREAM.CREATE.S", b'{"name":"S","subjects":["other"]}')
    talk.settle()
    deleted, created = answers(talk)
    assert deleted["success"] is True
    assert created["config"]["subjects"] == ["other"]  # type: ignore[index]


def test_update_whose_stream_is_gone_at_its_commit(talk: Conversation) -> None:
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    talk.send("STREAM.UPDATE.S", b'{"name":"S","max_msgs":5}')
    talk.send("STREAM.DELETE.S")
    talk.settle()
    updated, deleted = answers(talk)
    assert updated["error"]["err_code"] == 10059  # type: ignore[index]
    assert deleted["success"] is True


# -- limits


def test_account_limits() -> None:
    talk = Conversation(account_limits=AccountLimits(max_streams=2, max_consumers=1))
    talk.ok("STREAM.CREATE.A", {"name": "A"})
    talk.ok("STREAM.CREATE.B", {"name": "B"})
    assert talk.error("STREAM.CREATE.C", {"name": "C"})[0] == 10027  # S-241
    talk.ok("STREAM.CREATE.B", {"name": "B"})
    talk.ok("CONSUMER.CREATE.A.x", {"stream_name": "A", "config": {}})
    assert talk.error("CONSUMER.CREATE.A.y", {"stream_name": "A", "config": {}})[0] == 10026
    talk.ok("STREAM.DELETE.B")
    assert talk.error("STREAM.CREATE.C", {"name": "C", "max_consumers": 2})[0] == 10026
    talk.ok("STREAM.CREATE.C", {"name": "C", "max_consumers": 1})


@pytest.mark.parametrize(("storage", "err_code"), [("file", 10047), ("memory", 10028)])
@pytest.mark.parametrize("by_account", [True, False])
def test_reservations(storage: str, err_code: int, by_account: bool) -> None:  # S-241
    limits = AccountLimits(max_memory=100, max_store=100) if by_account else None
    server = ServerLimits(2**40, 2**40) if by_account else ServerLimits(100, 100)
    talk = Conversation(account_limits=limits, server_limits=server)

    def config(name: str, max_bytes: int) -> dict[str, object]:
        return {"name": name, "storage": storage, "max_bytes": max_bytes}

    talk.ok("STREAM.CREATE.A", config("A", 60))
    assert talk.error("STREAM.CREATE.B", config("B", 41))[0] == err_code
    talk.ok("STREAM.CREATE.B", config("B", 40))
    assert talk.error("STREAM.CREATE.C", config("C", -1))[0] == err_code
    assert talk.error("STREAM.UPDATE.A", config("A", 61))[0] == err_code
    talk.ok("STREAM.UPDATE.A", config("A", 50))
    talk.ok("STREAM.UPDATE.B", config("B", 50))
    talk.ok("STREAM.DELETE.A")
    talk.ok("STREAM.UPDATE.B", config("B", 100))
    used = talk.ok("INFO")
    assert (used["reserved_memory"], used["reserved_storage"]) == (
        (100, 0) if storage == "memory" else (0, 100)
    )


def test_stream_bytes_limits() -> None:
    limits = AccountLimits(store_max_stream_bytes=50, max_bytes_required=True)
    talk = Conversation(account_limits=limits)
    assert talk.error("STREAM.CREATE.A", {"name": "A"})[0] == 10113
    assert talk.error("STREAM.CREATE.A", {"name": "A", "max_bytes": 51})[0] == 10122
    talk.ok("STREAM.CREATE.A", {"name": "A", "max_bytes": 50})


def test_server_limits_of_consumers() -> None:
    server = ServerLimits(2**40, 2**40, max_ack_pending=10, max_request_batch=5)
    talk = Conversation(server_limits=server)
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    created = talk.ok(
        "CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {"ack_policy": "explicit"}}
    )
    assert created["config"]["max_ack_pending"] == 10
    assert created["config"]["max_batch"] == 5
    over = {"stream_name": "S", "config": {"ack_policy": "explicit", "max_ack_pending": 11}}
    assert talk.error("CONSUMER.CREATE.S.D", over)[0] == 10121
    over = {"stream_name": "S", "config": {"max_batch": 6}}
    assert talk.error("CONSUMER.CREATE.S.D", over)[0] == 10125


def test_duplicate_window_limit() -> None:
    server = ServerLimits(2**40, 2**40, duplicate_window_ns=30 * SECOND)
    talk = Conversation(server_limits=server)
    created = talk.ok("STREAM.CREATE.S", {"name": "S"})
    assert created["config"]["duplicate_window"] == 30 * SECOND
    over = {"name": "T", "duplicate_window": 60 * SECOND}
    text = "duplicates window can not be larger then server limit of 30s"
    assert talk.error("STREAM.CREATE.T", over) == (10052, text)


def test_api_level_is_the_same_everywhere(talk: Conversation) -> None:  # S-243, S-244
    created = talk.ok("STREAM.CREATE.S", {"name": "S"})
    assert created["config"]["metadata"]["_nats.level"] == str(API_LEVEL)
    assert talk.ok("INFO")["api"]["level"] == API_LEVEL

    def header(level: int) -> bytes:
        return f"NATS/1.0\r\nNats-Required-Api-Level: {level}\r\n\r\n".encode()

    assert "error" not in talk.request("STREAM.INFO.S", header=header(API_LEVEL))
    assert talk.error("STREAM.INFO.S", header=header(API_LEVEL + 1))[0] == 10185


@pytest.mark.parametrize(
    ("level", "accepted"),
    [
        (b"9" * 5_000, False), (b"-" + b"9" * 5_000, False), (b"9" * 19, False),
        (b"-" + b"9" * 19, False), (b"-5", True), (b"+1", True), (b"0" * 5_000 + b"1", True),
        (b"1_0", False), ("²".encode(), False), (b"\xff", False),
    ],
)  # fmt: skip
def test_levels_that_are_no_small_numbers(
    talk: Conversation, level: bytes, accepted: bool
) -> None:  # as nats-server 2.15.1 reads them
    header = b"NATS/1.0\r\nNats-Required-Api-Level: " + level + b"\r\n\r\n"
    answer = talk.request("INFO", header=header)
    assert ("error" not in answer) is accepted


# -- recovery


def test_everything_is_there_after_a_restart(talk: Conversation) -> None:
    stream = {
        "name": "S",
        "subjects": ["s.>"],
        "metadata": {"k": "v"},
        "max_age": SECOND,
        "consumer_limits": {"max_ack_pending": 7},
    }
    talk.ok("STREAM.CREATE.S", stream)
    talk.ok("STREAM.CREATE.M", {"name": "M", "storage": "memory"})
    start = {"deliver_policy": "by_start_time", "opt_start_time": "2024-01-01T00:00:00.5+02:00"}
    talk.ok(
        "CONSUMER.CREATE.S.C",
        {"stream_name": "S", "config": {"durable_name": "C", "backoff": [SECOND]} | start},
    )
    ephemeral = talk.ok("CONSUMER.CREATE.S", {"stream_name": "S", "config": {}})["name"]
    talk.publish("s.a", b"x")
    verbs = ("STREAM.INFO.S", "CONSUMER.INFO.S.C", f"CONSUMER.INFO.S.{ephemeral}")
    before = [talk.ok(verb) for verb in verbs]

    again = Conversation(kernel=talk.kernel)
    for answer, verb in zip(before, verbs, strict=True):
        later = again.ok(verb)
        del answer["ts"], later["ts"]
        assert later == answer
    assert again.error("STREAM.INFO.M")[0] == 10059  # memory streams are gone
    assert again.ok("STREAM.CREATE.S", stream)["did_create"] is True
    assert again.error("STREAM.CREATE.T", {"name": "T", "subjects": ["s.b"]})[0] == 10065


# -- failures of the store


def test_failed_store_refuses_changes_and_still_reads(talk: Conversation) -> None:
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    talk.send("STREAM.CREATE.T", b'{"name":"T"}')
    talk.kernel.take_events()  # lost: the sync failed
    talk.api.handle(FailedEvent("sync failed: EIO"), NOW_NS)
    refused = answers(talk)
    assert refused[0]["error"] == {  # type: ignore[comparison-overlap]
        "code": 503,
        "err_code": 10077,
        "description": "sync failed: EIO",
    }
    assert talk.error("STREAM.PURGE.S") == (10077, "sync failed: EIO")
    assert talk.error("STREAM.DELETE.S") == (10077, "sync failed: EIO")
    talk.ok("STREAM.INFO.S")


class RefusingKernel(FakeKernel):
    def propose_stream_create(self, *args: object) -> int:
        raise StoreError("the journal is full")


def test_proposal_that_is_not_taken_up_leaves_no_trace() -> None:
    talk = Conversation(kernel=RefusingKernel(NOW_NS))
    assert talk.error("STREAM.CREATE.S", {"name": "S"}) == (10077, "the journal is full")
    assert talk.error("STREAM.INFO.S")[0] == 10059
    assert talk.ok("INFO")["streams"] == 0


# -- long answers


def test_long_answers_take_turns(talk: Conversation) -> None:
    for number in range(200):
        name = f"S{number:03d}"
        talk.ok(f"STREAM.CREATE.{name}", {"name": name})
    talk.send("STREAM.LIST")
    talk.send("STREAM.LIST", b'{"offset":190}', cid=4)
    steps = 0
    while talk.api.step(NOW_NS):
        steps += 1
    short, long = answers(talk)
    assert len(short["streams"]) == 10  # type: ignore[arg-type]
    assert len(long["streams"]) == 200  # type: ignore[arg-type]
    assert steps >= 4


def test_stream_deleted_while_it_is_being_listed(talk: Conversation) -> None:
    for number in range(100):
        talk.ok(f"STREAM.CREATE.S{number:02d}", {"name": f"S{number:02d}"})
    talk.send("STREAM.LIST")
    talk.api.step(NOW_NS)
    talk.send("STREAM.DELETE.S99")
    talk.settle()
    listed = next(answer for answer in answers(talk) if "streams" in answer)
    names = [entry["config"]["name"] for entry in listed["streams"]]  # type: ignore[attr-defined]
    assert names == [f"S{number:02d}" for number in range(99)]


def test_subjects_of_a_stream_over_several_slices(talk: Conversation) -> None:  # S-061
    talk.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"]})
    for number in range(4_500):
        talk.publish(f"s.{number % 4_100:04d}")
    answer = talk.request("STREAM.INFO.S", {"subjects_filter": "s.*"})
    assert (answer["total"], answer["limit"]) == (4_100, 100_000)
    subjects = answer["state"]["subjects"]
    assert list(subjects) == [f"s.{number:04d}" for number in range(4_100)]
    assert sum(subjects.values()) == 4_500


# -- consumers by themselves


def test_inactive_consumer_is_deleted(talk: Conversation) -> None:  # C-108
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    talk.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {}})
    (stream_id,) = talk.kernel.streams
    (consumer_id,) = talk.kernel.streams[stream_id].consumers
    talk.api.handle(InactiveEvent(stream_id, consumer_id), NOW_NS)
    talk.settle()
    assert talk.kernel.streams[stream_id].consumers == {}
    assert talk.error("CONSUMER.INFO.S.C")[0] == 10014
    talk.api.handle(InactiveEvent(stream_id, consumer_id), NOW_NS)  # too late, and harmless


def test_pause_ends_by_itself(talk: Conversation) -> None:  # C-141
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    talk.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {}})
    talk.kernel.subscriptions.add(b"$JS.EVENT.ADVISORY.CONSUMER.PAUSE.>")
    paused = talk.ok("CONSUMER.PAUSE.S.C", {"pause_until": "2099-01-01T00:00:00Z"})
    assert paused["paused"] is True
    end_ns = 4_070_908_800 * SECOND
    assert talk.api.deadline_ns() == end_ns
    assert paused["pause_remaining"] == end_ns - talk.kernel.now_ns
    talk.api.step(end_ns - 1)
    assert talk.kernel.take_published() == []
    talk.api.step(end_ns)
    (advisory,) = talk.kernel.take_published()
    assert json.loads(advisory.body)["paused"] is False
    assert talk.api.deadline_ns() is None


def test_pause_that_was_lifted_ends_silently(talk: Conversation) -> None:
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    talk.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {}})
    talk.ok("CONSUMER.PAUSE.S.C", {"pause_until": "2099-01-01T00:00:00Z"})
    talk.ok("CONSUMER.PAUSE.S.C")
    talk.kernel.subscriptions.add(b">")
    talk.api.step(2**63 - 1)
    assert talk.kernel.take_published() == []


def test_new_deliver_subject_needs_an_unused_old_one(talk: Conversation) -> None:  # C-041
    talk.ok("STREAM.CREATE.S", {"name": "S"})
    config = {"durable_name": "C", "deliver_subject": "d"}
    talk.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": config})
    config["deliver_subject"] = "e"
    talk.kernel.subscriptions.add(b"d")
    request = {"stream_name": "S", "config": config}
    assert talk.error("CONSUMER.CREATE.S.C", request)[0] == 10013
    talk.kernel.subscriptions.clear()
    assert talk.ok("CONSUMER.CREATE.S.C", request)["config"]["deliver_subject"] == "e"


# -- the seam


def test_events_of_others_are_left_alone(talk: Conversation) -> None:
    assert talk.api.handle(TraceEvent(1, "", 1, b"", b"", False, 0), NOW_NS) is False
    other = RequestEvent(TRANSFER_SERVICE + 1, 1, 1, b"$SYS.X", b"r", b"", b"")
    assert talk.api.handle(other, NOW_NS) is False
    assert talk.kernel.take_published() == []


def test_commit_of_an_unknown_token_changes_nothing(talk: Conversation) -> None:
    """It is the end of a proposal that was given up: see test_unexpected.py."""
    assert talk.api.handle(CommittedEvent(99, 0), NOW_NS)
    talk.api.check()
    assert talk.kernel.take_published() == []


def test_account_without_jetstream_is_told_so(talk: Conversation) -> None:  # S-097
    other = talk.kernel.account(b"OTHER")
    event = RequestEvent(JETSTREAM_SERVICE, other, 1, b"$JS.API.INFO", b"_INBOX.1", b"", b"")
    talk.api.handle(event, NOW_NS)
    assert answers(talk)[0]["error"]["err_code"] == 10039  # type: ignore[index]


def test_statistics(talk: Conversation) -> None:
    talk.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"], "max_bytes": 1000})
    talk.ok("STREAM.CREATE.M", {"name": "M", "storage": "memory"})
    talk.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {}})
    talk.publish("s.a", b"12345")
    talk.error("STREAM.INFO.X")
    numbers = finished(talk.api.statistics())
    assert (numbers.streams, numbers.consumers, numbers.messages) == (2, 1, 1)
    assert (numbers.memory, numbers.store) == (0, 30 + 3 + 5)  # S-150
    assert (numbers.reserved_memory, numbers.reserved_store) == (0, 1000)
    assert (numbers.api_total, numbers.api_errors) == (4, 1)
    slices = talk.api.stream_details("$G", NOW_NS, consumers=True, config=True)
    (memory, file) = [entry for entries in slices for entry in entries]
    assert [memory["name"], file["name"]] == ["M", "S"]
    assert [entry["name"] for entry in json.loads(bytes(file["consumer_detail"]))] == ["C"]
    assert finished(talk.api.account_overview("$G"))["storage"] == numbers.store
    assert talk.api.account_statistics("$G")["streams"] == 2
    assert CLIENT.kind == "Client"
