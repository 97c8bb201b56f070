"""Goal: a backup is the stream at one moment, it is sent no faster than its client confirms, and a
restore gives back every message and consumer, or nothing at all.

Method: the API over a real kernel and a simulated disk. Damaged and hostile archives are made from
records by the twin of the kernel's encoder; crashes are crash points of the simulated disk.
"""

from __future__ import annotations

import json
import random
from typing import Any

import cramjam
import pytest

from served_api import ServedApi
from slipstream.jetstream.archive.compression import Decompressor
from slipstream.jetstream.archive.records import END, MAGIC, Record, encode_record, take_record
from slipstream.jetstream.limits import ServerLimits
from slipstream.kernel import Kernel, StoreError
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import PowerLoss, SimulatedClock

SECOND = 1_000_000_000
FLOW_TIMEOUT_NS = 5 * SECOND
STREAM = {"name": "S", "subjects": ["s.>"]}


@pytest.fixture
def node() -> ServedApi:
    return ServedApi()


def noise(seed: int) -> bytes:
    """Does not compress."""
    return random.Random(seed).randbytes(10_240)


def compress(plain: bytes) -> bytes:
    return bytes(cramjam.snappy.compress(plain))


def decompress(archive: bytes) -> bytes:
    decoder = Decompressor()
    decoder.feed(archive)
    plain = b""
    while block := decoder.next():
        plain += block
    assert decoder.complete
    return plain


def records_of(archive: bytes) -> list[Record]:
    plain = bytearray(decompress(archive))
    assert plain.startswith(MAGIC)
    del plain[: len(MAGIC)]
    found = []
    while record := take_record(plain, 1 << 24):
        found.append(record)
    assert not plain
    return found


def archive_of(*records: Record) -> bytes:
    return compress(MAGIC + b"".join(encode_record(record) for record in records))


def state_record(**fields: object) -> Record:
    return Record(b"state.json", 1, payload=json.dumps(fields).encode())


def message(seq: int, subject: bytes = b"s.a", body: bytes = b"x", header: bytes = b"") -> Record:
    return Record(subject, 1_900_000_000_000_000_000 + seq, seq, header, body)


def filled(node: ServedApi, **config: object) -> dict[str, Any]:
    """Thirty messages with gaps, headers and ids; a consumer in the midst of its work."""
    answer = node.ok("STREAM.CREATE.S", STREAM | config)
    for number in range(30):
        header = b"NATS/1.0\r\nNats-Msg-Id: id%d\r\n\r\n" % number if number % 3 == 0 else b""
        node.publish(f"s.{number % 4}", b"body %d" % number * (number % 5), header)
    for seq in (1, 2, 7, 8, 30):
        node.ok("STREAM.MSG.DELETE.S", {"seq": seq, "no_erase": True})
    consumer = {"durable_name": "C", "ack_policy": "explicit", "max_deliver": 2}
    node.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": consumer})
    first = pull(node, "C", 6)
    node.send(first[0])
    node.send(first[2])
    node.send(first[3], b"-NAK")
    node.settle()
    again = pull(node, "C", 1)
    node.send(again[0], b"-NAK")
    node.settle()
    pull(node, "C", 1)
    return answer


def pull(node: ServedApi, consumer: str, batch: int) -> list[str]:
    """The ack subjects of what came."""
    inbox = node.inbox()
    wanted = json.dumps({"batch": batch, "no_wait": True}).encode()
    node.send(f"$JS.API.CONSUMER.MSG.NEXT.S.{consumer}", wanted, inbox)
    node.settle()
    return [event.reply.decode() for event in node.received.pop("", [])]


def consumer_view(node: ServedApi, name: str = "C") -> dict[str, Any]:
    shown = node.ok(f"CONSUMER.INFO.S.{name}")
    for pair in ("delivered", "ack_floor"):
        shown[pair].pop("last_active", None)
    return {key: value for key, value in shown.items() if key not in ("created", "ts")}


def state_view(node: ServedApi) -> dict[str, Any]:
    state: dict[str, Any] = node.ok("STREAM.INFO.S", {"deleted_details": True})["state"]
    return state


# -- there and back


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_stream_comes_back_as_it_was(node: ServedApi, storage: str) -> None:
    """S-081, S-082, S-229."""
    filled(node, storage=storage)
    expected = node.messages("S"), consumer_view(node), state_view(node)
    backup = node.backup("S")
    assert backup.answer["config"]["name"] == "S"
    assert backup.answer["state"] == {
        key: value for key, value in expected[2].items() if key != "deleted"
    }
    node.ok("STREAM.DELETE.S")
    answer = node.restore(backup.answer["config"], backup.archive, chunk_bytes=100)
    assert answer["type"] == "io.nats.jetstream.api.v1.stream_create_response"
    assert answer["config"]["name"] == "S"
    assert "did_create" not in answer
    assert (node.messages("S"), consumer_view(node), state_view(node)) == expected
    node.kernel.check()


def test_restored_stream_works_on(node: ServedApi) -> None:
    filled(node)
    backup = node.backup("S")
    node.ok("STREAM.DELETE.S")
    node.restore(backup.answer["config"], backup.archive)
    assert node.publish("s.new", b"next")["seq"] == 31
    again = node.publish("s.0", b"", b"NATS/1.0\r\nNats-Msg-Id: id27\r\n\r\n")
    assert again == {"stream": "S", "seq": 28, "duplicate": True}
    assert len(pull(node, "C", 100)) == 19
    node.kernel.check()


def test_restored_stream_survives_a_restart(node: ServedApi) -> None:
    filled(node)
    backup = node.backup("S")
    node.ok("STREAM.DELETE.S")
    node.restore(backup.answer["config"], backup.archive)
    expected = node.messages("S"), consumer_view(node), state_view(node)
    node.kernel.stop()
    later = ServedApi(node.disk.image(Loss.all), node.clock)
    assert (later.messages("S"), consumer_view(later), state_view(later)) == expected


def test_configuration_may_be_another(node: ServedApi) -> None:
    """The request's counts: the archive has none."""
    filled(node)
    backup = node.backup("S", no_consumers=True)
    assert [r.name for r in records_of(backup.archive) if r.seq == 0] == [b"state.json", b""]
    node.ok("STREAM.DELETE.S")
    answer = node.restore({"name": "S", "subjects": ["t.>"], "max_msgs": 4}, backup.archive)
    assert answer["config"]["subjects"] == ["t.>"]
    assert (answer["state"]["messages"], answer["state"]["first_seq"]) == (4, 26)
    assert answer["state"]["consumer_count"] == 0
    assert node.publish("t.a")["seq"] == 31


@pytest.mark.parametrize("purge", [{}, {"seq": 100}])
def test_empty_stream_keeps_its_place(node: ServedApi, purge: dict[str, int]) -> None:
    filled(node)
    node.ok("STREAM.PURGE.S", purge)
    expected = state_view(node)
    backup = node.backup("S")
    node.ok("STREAM.DELETE.S")
    node.restore(backup.answer["config"], backup.archive)
    assert state_view(node) == expected


@pytest.mark.parametrize("retention", ["interest", "workqueue"])
def test_retention_goes_on_where_it_was(node: ServedApi, retention: str) -> None:
    """What was acknowledged is not in the archive; what is acknowledged later goes."""
    node.ok("STREAM.CREATE.S", STREAM | {"retention": retention})
    consumer = {"durable_name": "C", "ack_policy": "explicit"}
    node.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": consumer})
    for number in range(10):
        node.publish("s.a", bytes([number]))
    taken = pull(node, "C", 5)
    for ack in taken[1:3]:
        node.send(ack)
    node.settle()
    backup = node.backup("S")
    node.ok("STREAM.DELETE.S")
    assert "error" not in node.restore(backup.answer["config"], backup.archive)
    node.kernel.check()
    assert [seq for seq, *_ in node.messages("S")] == [1, 4, 5, 6, 7, 8, 9, 10]
    for ack in [taken[0], *taken[3:], *pull(node, "C", 100)]:
        node.send(ack)
    node.settle()
    node.kernel.check()
    assert node.messages("S") == []
    assert consumer_view(node)["ack_floor"] == {"consumer_seq": 10, "stream_seq": 10}


def test_interest_without_consumers_keeps_what_is_restored(node: ServedApi) -> None:
    node.ok("STREAM.CREATE.S", STREAM | {"retention": "interest"})
    node.ok("CONSUMER.CREATE.S.C", {"stream_name": "S", "config": {"durable_name": "C"}})
    node.publish("s.a", b"x")
    backup = node.backup("S", no_consumers=True)
    node.ok("STREAM.DELETE.S")
    assert node.restore(backup.answer["config"], backup.archive)["state"]["messages"] == 1
    node.kernel.check()


# -- a backup


def test_backup_is_of_the_moment_of_its_request(node: ServedApi) -> None:
    node.ok("STREAM.CREATE.S", STREAM)
    for number in range(64):
        node.publish("s.a", noise(number))
    deliver = node.inbox()
    wanted = {"deliver_subject": deliver, "chunk_size": 1024, "window_size": 1024}
    node.ok("STREAM.SNAPSHOT.S", wanted)
    node.publish("s.a", b"too late")
    node.ok("STREAM.MSG.DELETE.S", {"seq": 63})
    archive, _ = node.collect(deliver)
    stored = [record.seq for record in records_of(archive) if record.seq]
    assert stored[0] == 1
    assert max(stored) == 64
    assert len(stored) in (63, 64)


def test_chunks_wait_for_confirmation(node: ServedApi) -> None:
    """S-228: the window, the replies, the end."""
    node.ok("STREAM.CREATE.S", STREAM)
    node.publish("s.a", noise(0))
    deliver = node.inbox()
    wanted = {"deliver_subject": deliver, "chunk_size": 1, "window_size": 2048}
    node.ok("STREAM.SNAPSHOT.S", wanted)
    node.pass_time(FLOW_TIMEOUT_NS - SECOND)
    first, second = node.received.pop(deliver)
    assert [len(first.body), len(second.body)] == [1024, 1024]  # the least there is
    assert first.reply.decode().split(".")[:4] == ["$JS", "SNAPSHOT", "ACK", "S"]
    assert first.reply.decode().split(".")[5:] == ["1024", "1"]
    assert second.reply.decode().split(".")[5:] == ["1024", "2"]
    node.send(first.reply.decode())
    node.settle()
    (third,) = node.received.pop(deliver)
    assert third.reply.decode().endswith(".3")
    node.subscribe("$JS.EVENT.ADVISORY.STREAM.>")
    node.pass_time(FLOW_TIMEOUT_NS + SECOND)
    (end,) = node.received.pop(deliver)
    assert (end.header, end.body) == (b"NATS/1.0 408 No Flow Response\r\n\r\n", b"")
    (advisory,) = node.received["$JS.EVENT.ADVISORY.STREAM.SNAPSHOT_COMPLETE.S"]
    assert json.loads(advisory.body)["error"] == "no flow response"


def test_backup_ends_when_nobody_listens_any_more(node: ServedApi) -> None:
    node.ok("STREAM.CREATE.S", STREAM)
    node.publish("s.a", noise(0))
    node.subscribe("$JS.EVENT.ADVISORY.STREAM.>")
    deliver = node.inbox()
    node.ok("STREAM.SNAPSHOT.S", {"deliver_subject": deliver, "chunk_size": 1, "window_size": 1})
    node.unsubscribe(deliver)
    node.pass_time(SECOND)
    (advisory,) = node.received["$JS.EVENT.ADVISORY.STREAM.SNAPSHOT_COMPLETE.S"]
    assert json.loads(advisory.body)["error"] == "no interest"


def test_nobody_ever_listens(node: ServedApi) -> None:
    node.ok("STREAM.CREATE.S", STREAM)
    node.publish("s.a", noise(0))
    node.subscribe("$JS.EVENT.ADVISORY.STREAM.>")
    node.ok("STREAM.SNAPSHOT.S", {"deliver_subject": "x", "chunk_size": 1, "window_size": 1})
    for _ in range(8):
        node.pass_time(SECOND)
    (advisory,) = node.received["$JS.EVENT.ADVISORY.STREAM.SNAPSHOT_COMPLETE.S"]
    assert json.loads(advisory.body)["error"] == "no flow response"
    assert len(node.api._core.transfers) == 0


def test_listener_may_come_late(node: ServedApi) -> None:
    """The CLI subscribes when it has the answer; its wildcard for all inboxes does not count."""
    node.ok("STREAM.CREATE.S", STREAM)
    node.publish("s.a", b"x")
    node.subscribe("late.*")
    node.ok("STREAM.SNAPSHOT.S", {"deliver_subject": "late.one"})
    node.pass_time(SECOND)
    assert "late.one" not in node.received
    node.subscribe("late.one")
    node.pass_time(SECOND)
    assert node.received["late.one"][0].body.startswith(b"\xff\x06\x00\x00sNaPpY")


def test_end_has_a_status_only_behind_a_full_chunk(node: ServedApi) -> None:
    node.ok("STREAM.CREATE.S", STREAM)
    assert node.backup("S").status == b""
    node.publish("s.a", noise(0))
    assert node.backup("S", chunk_size=1024).status == b"NATS/1.0 204\r\n\r\n"


def test_deletion_ends_a_backup(node: ServedApi) -> None:
    node.ok("STREAM.CREATE.S", STREAM)
    for number in range(100):
        node.publish("s.a", noise(number))
    deliver = node.inbox()
    node.ok("STREAM.SNAPSHOT.S", {"deliver_subject": deliver, "chunk_size": 1, "window_size": 1})
    node.ok("STREAM.DELETE.S")
    _, status = node.collect(deliver)
    assert status == b"NATS/1.0 500 the stream was deleted\r\n\r\n"


def test_cold_messages_are_awaited() -> None:
    node = ServedApi(segment_bytes_max=64 << 10)
    node.ok("STREAM.CREATE.S", STREAM)
    for number in range(300):
        node.publish("s.a", bytes([number % 256]) * 9000)
    node.disk.set_cold(True)
    stored = [r for r in records_of(node.backup("S").archive) if r.seq]
    assert [r.seq for r in stored] == list(range(1, 301))
    assert all(r.payload == bytes([(r.seq - 1) % 256]) * 9000 for r in stored)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 10003),
        ({"deliver_subject": "a.*"}, 10015),
        ({"deliver_subject": ""}, 10015),
        ({"deliver": "x"}, 10025),
    ],
)
def test_requests_for_a_backup_that_are_wrong(
    node: ServedApi, body: dict[str, str], code: int
) -> None:
    node.ok("STREAM.CREATE.S", STREAM)
    assert node.error("STREAM.SNAPSHOT.S", body)[0] == code


def test_backup_of_nothing(node: ServedApi) -> None:
    assert node.error("STREAM.SNAPSHOT.N", {"deliver_subject": "a"})[0] == 10059


def test_advisories(node: ServedApi) -> None:
    """S-232, S-248, S-249."""
    filled(node)
    node.subscribe("$JS.EVENT.ADVISORY.STREAM.>")
    backup = node.backup("S")
    node.ok("STREAM.DELETE.S")
    node.restore(backup.answer["config"], backup.archive)
    heard = {
        subject.split(".")[4]: json.loads(events[0].body)
        for subject, events in node.received.items()
        if subject.startswith("$JS.EVENT.ADVISORY.STREAM.")
    }
    assert {"SNAPSHOT_CREATE", "SNAPSHOT_COMPLETE", "RESTORE_CREATE", "RESTORE_COMPLETE"} <= {
        *heard
    }
    assert heard["SNAPSHOT_CREATE"]["state"] == backup.answer["state"]
    assert heard["RESTORE_COMPLETE"]["bytes"] == len(backup.archive)
    for event, told in heard.items():
        assert told["type"].endswith(f".{event.lower()}") or "action" in told
        assert told["stream"] == "S"


# -- a restore


def test_nothing_is_seen_of_a_stream_that_is_restored(node: ServedApi) -> None:
    filled(node)
    backup = node.backup("S")
    node.ok("STREAM.DELETE.S")
    subject = node.begin_restore(backup.answer["config"])
    half = len(backup.archive) // 2
    assert node.ask(subject, backup.archive[:half]) == b""
    assert node.stream_names() == []
    assert node.error("STREAM.INFO.S")[0] == 10059
    assert node.error("STREAM.DELETE.S")[0] == 10059
    assert node.error("STREAM.CREATE.S", STREAM)[0] == 10058
    assert node.error("STREAM.CREATE.T", {"name": "T", "subjects": ["s.a"]})[0] == 10065
    wanted = {"config": STREAM, "state": {}}
    assert node.error("STREAM.RESTORE.S", wanted)[0] == 10130
    assert node.ask(subject, backup.archive[half:]) == b""
    assert "error" not in json.loads(node.ask(subject))
    assert node.stream_names() == ["S"]


def test_silent_client_is_given_up(node: ServedApi) -> None:
    """S-231."""
    filled(node)
    backup = node.backup("S")
    node.ok("STREAM.DELETE.S")
    subject = node.begin_restore(backup.answer["config"])
    node.ask(subject, backup.archive[:500])
    node.pass_time(4 * SECOND)
    node.ask(subject, backup.archive[500:700])
    node.pass_time(6 * SECOND)
    node.ok("STREAM.CREATE.S", STREAM)
    assert node.ok("STREAM.INFO.S")["state"]["messages"] == 0
    assert len(node.kernel.store_stats().failed) == 0


def test_every_chunk_needs_a_reply_subject(node: ServedApi) -> None:
    subject = node.begin_restore(STREAM)
    node.send(subject, b"\xff\x06\x00\x00sNaPpY")
    node.settle()
    assert node.ok("STREAM.CREATE.S", STREAM)["did_create"]


def test_subjects_of_another_stream(node: ServedApi) -> None:
    node.ok("STREAM.CREATE.T", {"name": "T", "subjects": ["s.>"]})
    answer = node.restore(STREAM, archive_of(state_record(), END))
    assert answer["error"]["err_code"] == 10062
    assert answer["error"]["description"].endswith(
        "error adding stream: subjects overlap with an existing stream (10065)"
    )
    assert node.stream_names() == ["T"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, 10003),
        ({"config": {"name": "T"}}, 10056),
        ({"config": {"name": "S", "max_age": -1}}, 10052),
        ({"config": {"name": "E"}}, 10056),
    ],
)
def test_requests_for_a_restore_that_are_wrong(
    node: ServedApi, body: dict[str, Any], code: int
) -> None:
    assert node.error("STREAM.RESTORE.S", body)[0] == code


def test_existing_stream_is_not_restored_over(node: ServedApi) -> None:
    node.ok("STREAM.CREATE.S", STREAM)
    assert node.error("STREAM.RESTORE.S", {"config": STREAM, "state": {}})[0] == 10130


GOOD = (
    state_record(messages=2, first_seq=1, last_seq=3, consumer_count=0),
    message(1),
    message(3),
    END,
)
ONE_CONSUMER = state_record(consumer_count=1)
CONSUMER = {"config": {"durable_name": "C", "ack_policy": "explicit"}, "state": {}}


def consumer_record(name: bytes = b"C", **changes: object) -> Record:
    return Record(b"consumers/" + name, 1, payload=json.dumps(CONSUMER | changes).encode())


@pytest.mark.parametrize(
    ("archive", "complaint"),
    [
        (b"not compressed at all", "not an S2 or Snappy stream"),
        (compress(b"NATSARC2" + b"\0" * 504), "archive/tar: invalid tar header"),
        (compress(b""), "the backup was truncated"),
        (compress(MAGIC), "the backup was truncated"),
        (archive_of(message(1)), "expected state.json first"),
        (archive_of(Record(b"state.json", payload=b"{")), "error in state.json"),
        (archive_of(state_record(consumer_count=-1)), "negative consumer count"),
        (archive_of(state_record(messages=9, first_seq=1, last_seq=3)), "message count exceeds"),
        (archive_of(state_record(first_seq=9, last_seq=3)), "inconsistent message count"),
        (archive_of(state_record(first_seq=2**64 - 1, last_seq=2**64 - 1)), "inconsistent"),
        (archive_of(*GOOD[:-1]), "the backup was truncated"),
        (archive_of(GOOD[0], message(3), message(3)), "message sequence 3 out of order"),
        (archive_of(GOOD[0], Record(b"s.a", 5, 0, b"", b"x")), "expected message sequence"),
        (archive_of(GOOD[0], message(2**63)), "out of range"),
        (archive_of(GOOD[0], message(1, b"s.*")), "invalid subject"),
        (archive_of(GOOD[0], message(1, b"")), "invalid subject"),
        (archive_of(GOOD[0], message(1, b"s.a\r\nPUB x 0")), "invalid subject"),
        (archive_of(GOOD[0], message(1, b"../../etc/passwd\0")), "invalid subject"),
        (archive_of(GOOD[0], message(1, body=b"x" * 5000)), "exceeds maximum payload size"),
        (archive_of(GOOD[0], message(1, header=b"NATS/1.0\r\nNats-TTL: x\r\n\r\n")), "TTL"),
        (archive_of(GOOD[0]) + compress(b"\x05\x02\x01\xff\xff\xff\xff\x7f\x01s.a"), "invalid"),
        (archive_of(ONE_CONSUMER, message(1)), "expected consumer"),
        (archive_of(ONE_CONSUMER, consumer_record(state=None)), "missing state"),
        (
            archive_of(ONE_CONSUMER, consumer_record(config=None)),
            "missing config",
        ),
        (archive_of(ONE_CONSUMER, consumer_record(config=7)), "failed to decode"),
        (archive_of(state_record(consumer_count=2), *[consumer_record()] * 2), "consumer name"),
        (
            archive_of(ONE_CONSUMER, consumer_record(b"../x", config={})),
            "consumer name",
        ),
        (
            archive_of(ONE_CONSUMER, Record(b"consumers/C", payload=b"[" * 100_000)),
            "failed to decode",
        ),
        (archive_of(*GOOD)[:-3], "the backup was truncated"),
        (archive_of(*GOOD)[:20] + b"\xee" + archive_of(*GOOD)[21:], "of the S2 stream"),
    ],
)
def test_damaged_and_hostile_archives(archive: bytes, complaint: str) -> None:
    node = ServedApi(max_payload=4096)
    answer = node.restore(STREAM, archive)
    assert complaint in answer["error"]["description"]
    assert node.stream_names() == []
    assert node.restore(STREAM, archive_of(*GOOD))["state"]["messages"] == 2
    assert [seq for seq, *_ in node.messages("S")] == [1, 3]
    assert state_view(node)["last_seq"] == 3


def test_state_of_a_consumer_that_cannot_be(node: ServedApi) -> None:
    """Sequences beyond the stream, doubled, or of messages that are not there."""
    state = {
        "delivered": {"consumer_seq": 3, "stream_seq": 99},
        "ack_floor": {"consumer_seq": 9, "stream_seq": 200},
        "pending": {"2": {"Sequence": 2, "Timestamp": 5}, "3": {"Sequence": 3, "Timestamp": -5}},
        "redelivered": {"3": 2**40, "77": 1},
    }
    records = [state_record(messages=2, first_seq=1, last_seq=3, consumer_count=1), *GOOD[1:]]
    records.insert(1, consumer_record(state=state))
    assert "error" not in node.restore(STREAM, archive_of(*records))
    node.kernel.check()
    shown = consumer_view(node)
    assert shown["delivered"]["stream_seq"] == 3
    assert shown["num_ack_pending"] == 0


def test_store_that_is_too_small() -> None:
    small = ServedApi(limits=ServerLimits(max_memory=1 << 20, max_store=1 << 20))
    record = state_record(bytes=1 << 30, messages=1, first_seq=1, last_seq=1)
    answer = small.restore(STREAM, archive_of(record, message(1), END))
    assert answer["error"]["err_code"] == 10047
    bomb = [message(seq, body=bytes(500_000)) for seq in range(1, 20)]
    state = state_record(bytes=1, messages=1, first_seq=1, last_seq=20)
    answer = small.restore(STREAM, archive_of(state, *bomb, END))
    assert answer["error"]["err_code"] == 10047
    small.settle()
    assert small.kernel.store_stats().file_bytes == 0
    assert small.stream_names() == []


class RefusingKernel:
    """Refuses proposals of one kind, as a full disk does."""

    def __init__(self, kernel: Kernel, refused: str) -> None:
        self._kernel = kernel
        self._refused = refused

    def __getattr__(self, name: str) -> Any:
        if name == self._refused:
            return self._refuse
        return getattr(self._kernel, name)

    def _refuse(self, *arguments: object) -> None:
        raise StoreError("no room")


@pytest.mark.parametrize(
    "refused",
    [
        "propose_restore_begin",
        "propose_restored_consumer",
        "propose_restored_messages",
        "propose_restored_end",
        "propose_stream_update",
        "propose_stream_delete",
    ],
)
def test_refused_proposals_leave_nothing_behind(node: ServedApi, refused: str) -> None:
    filled(node)
    node.ok("STREAM.PURGE.S", {"seq": 5})
    backup = node.backup("S")
    node.ok("STREAM.DELETE.S")
    core = node.api._core
    core.kernel = RefusingKernel(node.kernel, refused)
    answer = node.restore(backup.answer["config"], backup.archive)
    if refused == "propose_stream_delete":  # only a restore that failed proposes it
        assert "error" not in answer
        node.ok("STREAM.CREATE.T", {"name": "T", "subjects": ["t.>"]})
        config = backup.answer["config"] | {"name": "U", "subjects": ["u.>"]}
        answer = node.restore(config, backup.archive[:700])
    assert "error" in answer
    node.settle()
    assert len(core._proposals) == 0


# -- crashes


def test_half_restored_stream_is_gone_after_a_crash() -> None:
    """At every point of the disk where the power may go, the stream is there as a whole or not at
    all.
    """
    source = ServedApi()
    filled(source)
    backup = source.backup("S")
    expected = source.messages("S"), consumer_view(source)

    def attempt(crash_at: int) -> tuple[SimDisk, SimulatedClock, int, bool]:
        clock = SimulatedClock()
        disk = SimDisk(3)
        node = ServedApi(disk, clock)
        begin = disk.operations
        if crash_at:
            disk.crash_at(begin + crash_at)
        answered = False
        try:
            answered = "error" not in node.restore(backup.answer["config"], backup.archive, 700)
            node.kernel.checkpoint()
            node.settle()
        except PowerLoss:
            pass
        return disk, clock, disk.operations - begin, answered

    *_, operations, _ = attempt(0)
    outcomes = set()
    for crash_at in range(1, operations + 1, max(operations // 40, 1)):
        disk, clock, _, answered = attempt(crash_at)
        for loss in (Loss.all, Loss.none, Loss.torn_last):
            node = ServedApi(disk.image(loss, crash_at), clock)
            node.settle()
            there = node.stream_names() == ["S"]
            outcomes.add(there)
            assert there or not answered
            if there:
                assert (node.messages("S"), consumer_view(node)) == expected
            else:
                assert node.ok("STREAM.CREATE.S", STREAM)["did_create"]
            node.kernel.check()
    assert outcomes == {True, False}
