"""Rows about finding few messages among many: a consumer's filters, and batches of direct gets."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass

from rows import Row, Sample
from servers import RunningServer
from slipstream.bench._load import INDEX, SUBJECT_NUMBER, LoadError
from slipstream.bench.api_client import ApiClient, ServerAddress
from slipstream.bench.workload import Message, execute, inbox, new_run
from state_rows import STREAM, SUBJECTS, fill_subjects, publish_filling

READ_BYTES = 1 << 20
INBOX = "_INBOX.bench"
ANSWER_S_MAX = 60.0
DIRECT_BATCH = 1000


class Receiver:
    """A bare connection that counts what comes: a client library would be what is measured."""

    def __init__(self, server: ServerAddress) -> None:
        self._socket = socket.create_connection((server.host, server.port), timeout=ANSWER_S_MAX)
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True}
        self._send(f"CONNECT {json.dumps(options)}\r\nSUB {INBOX} 1\r\nPING\r\n")
        self._read_until(b"PONG\r\n", 1)

    def request(self, subject: str, body: str, mark: bytes, count: int) -> None:
        """Returns when `mark` has come `count` times."""
        self._send(f"PUB {subject} {INBOX} {len(body)}\r\n{body}\r\n")
        self._read_until(mark, count)

    def close(self) -> None:
        self._socket.close()

    def _send(self, text: str) -> None:
        self._socket.sendall(text.encode())

    def _read_until(self, mark: bytes, count: int) -> None:
        seen, kept = 0, b""
        while seen < count:
            received = self._socket.recv(READ_BYTES)
            if not received:
                raise LoadError(f"the server closed the connection; {kept!r}")
            whole = kept + received
            seen += whole.count(mark)
            # A mark may be cut in two, but is not to be counted twice.
            kept = whole[max(len(whole) - len(mark) + 1, 0) :] if len(mark) > 1 else b""


@dataclass(frozen=True, kw_only=True)
class FilterRow(Row):
    """Messages per second from the request that creates a consumer with filters, each of one
    subject of a million, until the last message that they let through has come.
    """

    filters: int

    def begin(self, server: RunningServer) -> None:
        """The first sample fills the stream."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        subjects = max(self.filters, int(SUBJECTS * scale))
        if not server.running:
            server.start()
            fill_subjects(server, subjects)
        step = subjects // self.filters
        chosen = [f"subjects.{number * step:08d}" for number in range(self.filters)]
        return read_filtered(server, chosen, self.filters)


@dataclass(frozen=True, kw_only=True)
class SparseFilterRow(Row):
    """The same of one subject, whose messages lie in a hundred places among a million others."""

    places: int = 100
    each: int = 100

    def begin(self, server: RunningServer) -> None:
        """The first sample fills the stream."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        subjects = max(self.places, int(SUBJECTS * scale))
        if not server.running:
            server.start()
            self.fill(server, subjects)
        return read_filtered(server, ["subjects.one"], self.places * self.each)

    def fill(self, server: RunningServer, subjects: int) -> None:
        with ApiClient(server.address) as api:
            api.create_stream({"name": STREAM, "subjects": ["subjects.>"], "storage": "file"})
        others = subjects // self.places
        for place in range(self.places):
            indices = range(place * others, (place + 1) * others)
            publish_filling(server, f"subjects.{SUBJECT_NUMBER}", indices, subjects)
            publish_filling(server, "subjects.one", range(self.each))


def read_filtered(server: RunningServer, filters: list[str], count: int) -> Sample:
    """Creates a consumer, and reads the `count` messages that its filters let through."""
    config = {
        "name": "filtered",
        "filter_subjects": filters,
        "ack_policy": "none",
        "mem_storage": True,
    }
    receiver = Receiver(server.address)
    with ApiClient(server.address) as api:
        start = time.perf_counter()
        api.create_consumer(STREAM, config)
        body = json.dumps({"batch": count, "expires": int(ANSWER_S_MAX * 1e9)})
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.filtered"
        receiver.request(subject, body, b"MSG subjects.", count)
        seconds = time.perf_counter() - start
        pending = api.consumer(STREAM, "filtered")["num_pending"]
        api.request(f"$JS.API.CONSUMER.DELETE.{STREAM}.filtered")
    receiver.close()
    if pending:
        raise LoadError(f"{pending} messages are pending after the last one came")
    return Sample(count / seconds, {"seconds": seconds})


@dataclass(frozen=True, kw_only=True)
class DirectBatchRow(Row):
    """Messages per second of direct gets that ask for many at once, one after the other."""

    batches: int = 200

    def begin(self, server: RunningServer) -> None:
        """The first sample fills the stream."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        batches = max(1, int(self.batches * scale))
        if not server.running:
            server.start()
            fill_subjects(server, DIRECT_BATCH * 10, allow_direct=True)
        receiver = Receiver(server.address)
        subject = f"$JS.API.DIRECT.GET.{STREAM}"
        start = time.perf_counter()
        for number in range(batches):
            first = number % 10 * DIRECT_BATCH + 1
            body = json.dumps({"seq": first, "batch": DIRECT_BATCH})
            receiver.request(subject, body, b"204 EOB", 1)
        seconds = time.perf_counter() - start
        receiver.close()
        return Sample(batches * DIRECT_BATCH / seconds, {"seconds": seconds})


@dataclass(frozen=True, kw_only=True)
class IdleConsumersRow(Row):
    """Publishes per second into a stream with many consumers that ask for nothing."""

    consumers: int
    count: int = 100_000

    def begin(self, server: RunningServer) -> None:
        """The first sample makes the consumers."""

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        consumers, count = max(1, int(self.consumers * scale)), max(1, int(self.count * scale))
        if not server.running:
            server.start()
            make_idle_consumers(server, consumers)
        return publish_beside(server, count)


def make_idle_consumers(server: RunningServer, consumers: int) -> None:
    with ApiClient(server.address) as api:
        # nats-server 2.15 takes a thousand where the stream does not say how many.
        config = {"name": STREAM, "subjects": ["subjects.>"], "max_consumers": 2 * consumers}
        api.create_stream(config | {"storage": "file"})
    run = new_run(server.address)
    config = f'{{"durable_name":"c{INDEX}","ack_policy":"explicit"}}'
    run.add_requesters(
        [
            Message(
                f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.c{INDEX}",
                f'{{"stream_name":"{STREAM}","config":{config}}}'.encode(),
            )
        ],
        count=consumers,
        inbox=inbox(),
        check="api",
        window=10,
        name="create consumers",
    )
    run.connect()
    execute(run)


def publish_beside(server: RunningServer, count: int) -> Sample:
    run = new_run(server.address)
    run.add_requesters(
        [Message("subjects.one", b"x" * 128)],
        count=count,
        inbox=inbox(),
        check="pub_ack",
        stream=STREAM,
        window=4000,
    )
    run.connect()
    execute(run)
    result = run.results()[0]
    with ApiClient(server.address) as api:
        api.request(f"$JS.API.STREAM.PURGE.{STREAM}")
    return Sample(result["messages"] / result["seconds"], {"seconds": result["seconds"]})
