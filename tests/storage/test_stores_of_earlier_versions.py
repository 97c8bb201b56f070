"""Goal: a store that an earlier version wrote opens, with all that it acknowledged, also where that
version could not have gone on.

Method: stores kept as archives beside this file. One has a checkpoint of a stream with message ids,
hashed as snapshots of format 2 and 3 have them. One has streams that were led to the last sequences
by a purge and by `first_seq`; its writer aborted at the publish behind them, and at each start. One
has a counter stream in a snapshot of format 5, and increments in its journal.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slipstream.kernel import Kernel
from slipstream.kernel.events import CommittedEvent, RequestEvent

STORES = Path(__file__).with_name("stores")
START_NS = 1_900_000_000_000_000_000
SEQUENCE_END = 2**64 - 1


class OpenedStore:
    def __init__(self, path: Path) -> None:
        self.kernel = Kernel()
        self.now_ns = START_NS
        self.account = self.kernel.account(b"$G")
        self.kernel.serve(self.account, b"in.>", 1)
        self.kernel.turn(self.now_ns, self.now_ns)
        records = self.kernel.open_store(path=str(path), threads=False)
        self.streams = {json.loads(r.description)["config"]["name"]: r.stream for r in records}
        self.committed: dict[int, int] = {}

    def turns(self, count: int = 20) -> list[RequestEvent]:
        requests = []
        for _ in range(count):
            self.now_ns += 1_000_000
            self.kernel.turn(self.now_ns, self.now_ns)
            for event in self.kernel.wait_events(0):
                if isinstance(event, RequestEvent):
                    requests.append(event)
                if isinstance(event, CommittedEvent):
                    self.committed[event.token] = event.result
        return requests

    def publish(self, subject: bytes, header: bytes = b"", body: bytes = b"x") -> dict:
        self.kernel.publish(self.account, subject, b"in.ack", header, body)
        (answer,) = self.turns()
        return json.loads(answer.body)


@contextmanager
def opened(path: Path) -> Iterator[OpenedStore]:
    store = OpenedStore(path)
    try:
        yield store
        store.kernel.check()
    finally:
        store.kernel.stop()


@pytest.fixture
def unpacked(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    with tarfile.open(STORES / f"{request.param}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "s"


@pytest.mark.parametrize("unpacked", ["message_ids_of_format_2"], indirect=True)
def test_message_ids_stay_duplicates(unpacked: Path) -> None:
    def header(name: str) -> bytes:
        return f"NATS/1.0\r\nNats-Msg-Id: {name}\r\n\r\n".encode()

    for round_number in range(3):
        with opened(unpacked) as store:
            for seq in (1, 17, 40):
                answer = store.publish(b"old.a", header(f"id number {seq - 1}"))
                assert (answer["seq"], answer["duplicate"]) == (seq, True)
            answer = store.publish(b"old.a", header(f"new {round_number}"))
            assert answer == {"stream": "OLD", "seq": 41 + round_number}
            for earlier in range(round_number + 1):
                answer = store.publish(b"old.a", header(f"new {earlier}"))
                assert (answer["seq"], answer["duplicate"]) == (41 + earlier, True)
            store.kernel.checkpoint()
            store.turns()


@pytest.mark.parametrize("unpacked", ["sequences_at_the_end"], indirect=True)
def test_streams_at_the_last_sequence(unpacked: Path) -> None:
    for _ in range(3):
        with opened(unpacked) as store:
            states = {name: store.kernel.stream_state(i) for name, i in store.streams.items()}
            assert {name: (s.messages, s.last_seq) for name, s in states.items()} == {
                "OTHER": (states["OTHER"].messages, states["OTHER"].messages),
                "PURGED": (1, SEQUENCE_END),
                "FIRST": (2, SEQUENCE_END),
            }
            for subject in (b"purged.1", b"first.1"):
                error = store.publish(subject)["error"]
                assert (error["code"], error["err_code"]) == (503, 10077)
                assert error["description"] == "maximum sequence reached"
            assert store.publish(b"other.1")["seq"] == states["OTHER"].messages + 1
            reply, body = b"in.pull", b'{"batch":5,"no_wait":true}'
            subject = b"$JS.API.CONSUMER.MSG.NEXT.PURGED.C"
            store.kernel.publish(store.account, subject, reply, b"", body)
            answers = store.turns()
            assert [answer.body for answer in answers if answer.body] in ([b"last"], [])
            store.kernel.checkpoint()
            store.turns()


@pytest.mark.parametrize("unpacked", ["sequences_at_the_end"], indirect=True)
def test_a_stream_at_the_last_sequence_is_emptied(unpacked: Path) -> None:
    for emptied in (False, True):
        with opened(unpacked) as store:
            stream = store.streams["FIRST"]
            assert store.kernel.stream_state(stream).messages == (0 if emptied else 2)
            store.kernel.propose_purge(7, stream, b"", 0, 0)
            store.turns()
            assert store.committed[7] == (0 if emptied else 2)
            state = store.kernel.stream_state(stream)
            assert (state.messages, state.last_seq) == (0, SEQUENCE_END)
            assert store.publish(b"first.1")["error"]["err_code"] == 10077


@pytest.mark.parametrize("unpacked", ["counter_totals_of_format_5"], indirect=True)
def test_counters_go_on(unpacked: Path) -> None:
    for round_number in range(3):
        with opened(unpacked) as store:
            for number, total in enumerate((118, 122, 126)):
                header = b"NATS/1.0\r\nNats-Incr: 1\r\n\r\n"
                answer = store.publish(b"c.%d" % number, header, b"")
                assert answer["seq"] == 16 + 3 * round_number + number
                assert answer["val"] == str(total + round_number + 1)
            store.kernel.checkpoint()
            store.turns()
