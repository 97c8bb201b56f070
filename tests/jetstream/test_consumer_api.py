"""Goal: what the API decides about consumers of mirrors and sources, resets and
pins, without a server.

Method: conversations over the fake kernel; what the kernel was told is looked at directly.
"""

from __future__ import annotations

import json

import pytest

from conversation import NOW_NS, Conversation
from slipstream.gotext.times import format_time
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.protocol.short_hash import short_hash


@pytest.fixture
def talk() -> Conversation:
    talk = Conversation()
    talk.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s.>"]})
    for body in b"1", b"2", b"3":
        talk.publish("s.a", body)
    return talk


def create(talk: Conversation, name: str, header: bytes = b"", **config: object) -> bytes:
    body = {"stream_name": "S", "config": {"name": name} | config}
    answer = talk.request_raw(f"CONSUMER.CREATE.S.{name}", json.dumps(body).encode(), header)
    assert answer is not None
    return answer


DIRECT = {"direct": True, "deliver_subject": "d", "ack_policy": "none"}


# -- consumers of mirrors and sources


def test_answers_carry_the_identity(talk: Conversation) -> None:  # C-018
    created = talk.ok("STREAM.INFO.S")["created"]
    answer = create(talk, "D", **DIRECT)
    expected = f"NATS/1.0\r\nNats-Stream-Identity: {short_hash(created)}\r\n\r\n".encode()
    assert answer.startswith(expected)
    assert not create(talk, "P").startswith(b"NATS/1.0")


def test_another_identity_is_refused(talk: Conversation) -> None:  # C-018
    header = b"NATS/1.0\r\nNats-Stream-Identity: else0000\r\n\r\n"
    assert b'"err_code":10225' in create(talk, "D", header, **DIRECT)
    assert b'"err_code"' not in create(talk, "P", header)  # only asked of those
    mine = short_hash(talk.ok("STREAM.INFO.S")["created"])
    header = f"NATS/1.0\r\nNats-Stream-Identity: {mine}\r\n\r\n".encode()
    assert b'"err_code"' not in create(talk, "D", header, **DIRECT)


def test_direct_consumers_are_hidden(talk: Conversation) -> None:  # C-047
    create(talk, "D", **DIRECT)
    create(talk, "Q", sourcing=True, deliver_subject="d")
    create(talk, "P")
    assert talk.ok("CONSUMER.NAMES.S")["consumers"] == ["P", "Q"]
    assert [c["name"] for c in talk.ok("CONSUMER.LIST.S")["consumers"]] == ["P", "Q"]
    assert talk.ok("STREAM.INFO.S")["state"]["consumer_count"] == 2
    assert talk.ok("INFO")["consumers"] == 3
    assert talk.ok("CONSUMER.INFO.S.D")["config"]["direct"] is True
    talk.ok("CONSUMER.DELETE.S.D")
    assert talk.ok("INFO")["consumers"] == 2


def test_direct_consumers_count_against_no_limit() -> None:  # C-047, C-056
    talk = Conversation()
    talk.ok("STREAM.CREATE.S", {"name": "S", "max_consumers": 1})
    create(talk, "D", **DIRECT)
    assert b"err_code" not in create(talk, "P")
    assert b'"err_code":10026' in create(talk, "Q")
    assert b"err_code" not in create(talk, "E", **DIRECT)


def test_a_direct_sourcing_consumer_has_a_new_name_each_time(talk: Conversation) -> None:  # C-047
    names = set()
    for _ in range(2):
        answer = create(talk, "M", sourcing=True, **DIRECT)
        names.add(json.loads(answer[answer.index(b"{") :])["name"])
    assert len(names) == 2
    assert all(name.startswith("M-") and len(name) == 10 for name in names)


@pytest.mark.parametrize("sourcing", [True, False])
def test_a_consumer_starts_again_after_each_update(talk: Conversation, sourcing: bool) -> None:
    create(talk, "Q", sourcing=sourcing, deliver_subject="d")
    consumer = kernel_consumer(talk)
    consumer.started = False
    create(talk, "Q", sourcing=sourcing, deliver_subject="d", description="updated")
    assert consumer.started
    consumer.started = False
    talk.ok("CONSUMER.PAUSE.S.Q", {"pause_until": "2120-01-01T00:00:00Z"})
    assert consumer.started


def test_direct_consumers_live_in_memory(talk: Conversation) -> None:  # C-047
    create(talk, "D", **DIRECT)
    (consumer,) = next(iter(talk.kernel.streams.values())).consumers.values()
    assert consumer.spec["memory"]
    assert consumer.spec["direct"]


# -- resets


def reset(talk: Conversation, name: str, body: bytes = b"", header: bytes = b"") -> dict | None:
    answer = talk.request_raw(f"CONSUMER.RESET.S.{name}", body, header)
    return None if answer is None else json.loads(answer[answer.index(b"{") :])


def test_reset_answers_with_the_state_then_delivers(talk: Conversation) -> None:  # C-011, C-138
    create(talk, "C")
    answer = reset(talk, "C", b'{"seq":3}')
    assert answer is not None
    assert answer["type"] == "io.nats.jetstream.api.v1.consumer_reset_response"
    assert (answer["reset_seq"], answer["delivered"]["stream_seq"]) == (3, 2)
    assert answer["ts"] >= format_time(NOW_NS)
    (consumer,) = next(iter(talk.kernel.streams.values())).consumers.values()
    assert consumer.started


def test_reset_of_nothing_is_silent(talk: Conversation) -> None:  # C-011
    assert reset(talk, "nobody") is None
    assert talk.request_raw("CONSUMER.RESET.T.C") is None


@pytest.mark.parametrize(
    ("config", "seq", "text"),
    [
        ({}, 1, ""),
        ({"deliver_policy": "new"}, 1, "not allowed"),
        ({"deliver_policy": "last"}, 1, "not allowed"),
        ({"deliver_policy": "last_per_subject", "filter_subject": "s.a"}, 1, "not allowed"),
        ({"deliver_policy": "by_start_sequence", "opt_start_seq": 2}, 1, "below start seq"),
        ({"deliver_policy": "by_start_sequence", "opt_start_seq": 2}, 2, ""),
        (
            {"deliver_policy": "by_start_time", "opt_start_time": "2120-01-01T00:00:00Z"},
            3,
            "below start time",
        ),
        (
            {"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"},
            1,
            "",
        ),
        (
            {"deliver_policy": "by_start_time", "opt_start_time": "9999-12-31T23:59:59Z"},
            3,
            "below start time",
        ),
        ({"deliver_policy": "by_start_time", "opt_start_time": "0001-01-01T00:00:01Z"}, 1, ""),
    ],
)
def test_reset_stays_in_the_range_of_the_consumer(
    talk: Conversation, config: dict, seq: int, text: str
) -> None:  # C-138
    create(talk, "C", **config)
    answer = reset(talk, "C", b'{"seq":%d}' % seq)
    assert answer is not None
    if text:
        assert answer["error"]["err_code"] == 10204
        assert answer["error"]["description"] == f"invalid reset: {text}"
        assert answer["reset_seq"] == 0
    else:
        assert answer["reset_seq"] == seq
    assert reset(talk, "C").get("error") is None  # to the ack floor is always possible


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"{", "unexpected end of JSON input"),
        (b" ", "unexpected end of JSON input"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b'{"seq":1}}', "invalid character '}' after top-level value"),
        (
            b"3",
            "json: cannot unmarshal number into Go value of type server.JSApiConsumerResetRequest",
        ),
    ],
)
def test_reset_reads_one_value(talk: Conversation, body: bytes, complaint: str) -> None:
    create(talk, "C")
    answer = reset(talk, "C", body)
    assert answer is not None
    assert answer["error"]["description"] == f"invalid JSON: {complaint}"


def test_reset_is_neither_counted_nor_audited(talk: Conversation) -> None:  # C-011, S-108
    create(talk, "C")
    talk.kernel.subscriptions.add(b"$JS.EVENT.ADVISORY.API")
    before = talk.ok("INFO")["api"]
    talk.kernel.take_published()
    reset(talk, "C")
    reset(talk, "C", b"x")
    assert talk.kernel.take_published() == []
    after = talk.ok("INFO")["api"]
    assert (after["total"], after["errors"]) == (before["total"] + 1, before["errors"])


def test_reset_asks_for_the_level_and_may_ask_for_the_identity(talk: Conversation) -> None:
    create(talk, "C")
    header = f"NATS/1.0\r\nNats-Required-Api-Level: {API_LEVEL + 1}\r\n\r\n".encode()
    answer = reset(talk, "C", b"", header)
    assert answer is not None
    assert answer["error"]["err_code"] == 10185
    header = b"NATS/1.0\r\nNats-Stream-Identity: anything\r\n\r\n"
    raw = talk.request_raw("CONSUMER.RESET.S.C", b"", header)
    assert raw is not None
    assert raw.startswith(b"NATS/1.0\r\nNats-Stream-Identity: ")


# -- priority groups


PINNED = {"priority_policy": "pinned_client", "priority_groups": ["a", "b"]}


def kernel_consumer(talk: Conversation):
    (consumer,) = next(iter(talk.kernel.streams.values())).consumers.values()
    return consumer


def test_info_shows_the_first_group(talk: Conversation) -> None:  # C-058, C-099
    create(talk, "C", **PINNED)
    unpinned = {"group": "a", "pinned_ts": "0001-01-01T00:00:00Z"}
    assert talk.ok("CONSUMER.INFO.S.C")["priority_groups"] == [unpinned]
    kernel_consumer(talk).pin_id = "pin"
    (group,) = talk.ok("CONSUMER.INFO.S.C")["priority_groups"]
    assert (group["group"], group["pinned_client_id"]) == ("a", "pin")
    assert group["pinned_ts"] > "2026"
    (listed,) = talk.ok("CONSUMER.LIST.S")["consumers"]
    assert listed["priority_groups"][0]["pinned_client_id"] == "pin"


def test_pins_last_two_minutes_unless_said(talk: Conversation) -> None:  # C-052
    create(talk, "C", **PINNED)
    spec = kernel_consumer(talk).spec
    assert spec["priority_timeout_ns"] == 120_000_000_000
    assert (spec["priority_policy"], spec["priority_groups"]) == (2, [b"a", b"b"])


def test_unpin_tells_the_kernel_and_the_listeners(talk: Conversation) -> None:  # C-010, C-145
    create(talk, "C", **PINNED)
    kernel_consumer(talk).pin_id = "pin"
    subject = b"$JS.EVENT.ADVISORY.CONSUMER.UNPINNED.S.C"
    talk.kernel.subscriptions.add(subject)
    talk.kernel.take_published()
    talk.send("CONSUMER.UNPIN.S.C", b'{"group":"b"}')
    told, answer = talk.kernel.take_published()
    assert (told.subject, answer.subject) == (subject, b"_INBOX.1")
    advisory = json.loads(told.body)
    assert advisory.pop("id")
    assert advisory.pop("timestamp")
    assert advisory == {
        "type": "io.nats.jetstream.advisory.v1.consumer_group_unpinned",
        "account": "$G",
        "stream": "S",
        "consumer": "C",
        "group": "b",
        "reason": "admin",
    }
    assert kernel_consumer(talk).pin_id == ""


@pytest.mark.parametrize(
    ("verb", "body", "err_code"),
    [
        ("S.C", b"", 10025),
        ("S.C", b"{}", 10025),
        ("S.C", b'{"group":"no way"}', 10162),
        ("S.C", b'{"group":"c"}', 10160),
        ("S.nobody", b'{"group":"a"}', 10014),
        ("T.C", b'{"group":"a"}', 10059),
    ],
)
def test_unpin_checks_in_order(
    talk: Conversation, verb: str, body: bytes, err_code: int
) -> None:  # C-010
    create(talk, "C", **PINNED)
    raw = talk.request_raw(f"CONSUMER.UNPIN.{verb}", body)
    assert raw is not None
    assert json.loads(raw)["error"]["err_code"] == err_code


# -- pull requests that the kernel cannot read


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b'{"batch":"x"}', "json: cannot unmarshal string into Go struct field .batch of type int"),
        (b'{"batch":1', "unexpected end of JSON input"),
        (b"{batch:1}", "invalid character 'b' looking for beginning of object key string"),
    ],
)
def test_malformed_pulls_are_answered_in_words_of_go(
    talk: Conversation, body: bytes, complaint: str
) -> None:  # C-067
    create(talk, "C")
    talk.send("CONSUMER.MSG.NEXT.S.C", body)
    (status,) = talk.kernel.take_published()
    assert status.subject == b"_INBOX.1"
    assert status.header == f"NATS/1.0 400 Bad Request - {complaint}\r\n\r\n".encode()
    assert status.body == b""


def test_repeated_pauses_leave_little_behind(talk: Conversation) -> None:
    create(talk, "Q", durable_name="Q")
    for second in range(300):
        until = f"2120-01-01T00:{second // 60:02d}:{second % 60:02d}Z"
        talk.ok("CONSUMER.PAUSE.S.Q", {"pause_until": until})
    assert len(talk.api._core._pause_ends) <= 66
