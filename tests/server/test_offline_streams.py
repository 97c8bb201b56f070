"""Goal: a stream that cannot go on costs itself alone. It is shown as offline with the reason, all
that is asked of it is refused with it, its name stays taken, and it can be deleted; the other
streams do not notice.

Method: servers in this process. A segment's file is taken away from a stopped one; or the kernel is
told that something of a stream has failed while clients wait.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raw_client import RawClient, wait_until
from slipstream.testing import EmbeddedServer, server

OFFLINE = 10194
REASON = "stream is offline: "
FIRST = 1  # the number of the stream that was created first


class Client(RawClient):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.send(b"SUB answer 1\r\n")

    def ask(self, subject: str, body: object = "") -> Any:
        text = body if isinstance(body, str) else json.dumps(body)
        self.publish(subject.encode(), text.encode(), b"answer")
        return self.answer()

    def answer(self) -> Any:
        self.until(b"MSG answer 1 ")
        self.line()
        return json.loads(self.line())

    def api(self, verb: str, body: object = "") -> Any:
        return self.ask(f"$JS.API.{verb}", body)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[EmbeddedServer]:
    with server(store_dir=str(tmp_path), http_port=-1) as started:
        yield started


def create(client: Client) -> None:
    for name in ("S", "T"):
        config = {"name": name, "subjects": [f"{name}.>"], "allow_direct": True}
        assert "error" not in client.api(f"STREAM.CREATE.{name}", config)
        consumer = {"stream_name": name, "config": {"durable_name": "c", "ack_policy": "explicit"}}
        assert "error" not in client.api(f"CONSUMER.DURABLE.CREATE.{name}.c", consumer)
        for number in range(20):
            assert client.ask(f"{name}.x", f"body {number}")["seq"] == number + 1


def page(started: EmbeddedServer, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(started.monitoring_url + path) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def check_offline(started: EmbeddedServer, client: Client, reason: str) -> None:
    """All that is asked of S is refused, all of T is answered."""
    refused = {
        "S.x": "message",
        "$JS.API.STREAM.INFO.S": "",
        "$JS.API.STREAM.PURGE.S": "",
        "$JS.API.STREAM.UPDATE.S": {"name": "S", "subjects": ["S.>"]},
        "$JS.API.STREAM.CREATE.S": {"name": "S", "subjects": ["S.>"]},
        "$JS.API.STREAM.MSG.GET.S": {"seq": 1},
        "$JS.API.STREAM.MSG.DELETE.S": {"seq": 1},
        "$JS.API.CONSUMER.INFO.S.c": "",
        "$JS.API.CONSUMER.NAMES.S": "",
        "$JS.API.CONSUMER.DELETE.S.c": "",
        "$JS.API.CONSUMER.DURABLE.CREATE.S.d": {
            "stream_name": "S",
            "config": {"durable_name": "d", "ack_policy": "explicit"},
        },
    }
    for subject, body in refused.items():
        error = client.ask(subject, body)["error"]
        assert error["err_code"] == OFFLINE, subject
        assert error["description"].startswith(REASON)
        assert reason in error["description"]
    listed = client.api("STREAM.LIST")
    assert [stream["config"]["name"] for stream in listed["streams"]] == ["T"]
    assert list(listed["offline"]) == ["S"]
    assert reason in listed["offline"]["S"]
    assert listed["total"] == 2
    assert client.api("STREAM.NAMES")["streams"] == ["S", "T"]
    assert client.api("INFO")["streams"] == 2
    assert client.ask("T.x", "still")["seq"] == 21
    assert client.api("CONSUMER.INFO.T.c")["num_pending"] == 21
    code, health = page(started, "/healthz")
    assert code == 503
    assert reason in health["error"]
    assert "$G > S" in health["error"]
    assert page(started, "/healthz?js-server-only=true")[0] == 200
    details = page(started, "/jsz?streams=true&consumers=true")[1]["account_details"][0]
    shown = {stream["name"]: stream for stream in details["stream_detail"]}
    assert reason in shown["S"]["offline_reason"]
    assert shown["T"]["state"]["messages"] == 21
    lines = [line for line in started.log_lines if "is offline" in line]
    assert len(lines) == 1, lines
    assert "$G > S" in lines[0]


def test_a_stream_without_a_segment_is_offline_after_a_start(
    running: EmbeddedServer, tmp_path: Path
) -> None:
    with Client(running.port) as client:
        create(client)
    running.stop()
    folder = tmp_path / "streams" / f"{FIRST:016x}"
    (segment,) = folder.glob("*.segment")
    content = segment.read_bytes()
    segment.unlink()
    running.restart()
    with Client(running.port) as client:
        check_offline(running, client, segment.name)
    running.stop()
    segment.write_bytes(content)
    running.restart()
    with Client(running.port) as client:
        assert client.api("STREAM.INFO.S")["state"]["messages"] == 20
        assert client.ask("S.x", "again")["seq"] == 21
        assert client.api("STREAM.INFO.T")["state"]["messages"] == 21


def test_a_stream_goes_offline_while_clients_wait(running: EmbeddedServer) -> None:
    with Client(running.port) as client:
        create(client)
        pull = json.dumps({"batch": 100, "expires": 30_000_000_000}).encode()
        client.publish(b"$JS.API.CONSUMER.MSG.NEXT.S.c", pull, b"answer")
        client.until(b"body 19")
        running.server.kernel.take_offline(FIRST, "its disk refused")
        client.until(b"503 Stream Is Offline")
        wait_until(lambda: running.server.jetstream.offline, "the event")
        check_offline(running, client, "its disk refused")
        client.publish(b"$JS.API.DIRECT.GET.S.S.x", b"", b"answer")
        client.until(b"503 Stream Is Offline")
    running.restart()  # what it had is in its snapshot and its log
    with Client(running.port) as client:
        info = client.api("STREAM.INFO.S")
        assert "error" not in info, info
        assert info["state"]["messages"] == 20
        assert client.api("CONSUMER.INFO.S.c")["num_ack_pending"] == 20
        assert client.ask("S.x", "again")["seq"] == 21


def test_an_offline_stream_can_be_deleted(running: EmbeddedServer) -> None:
    with Client(running.port) as client:
        create(client)
        running.server.kernel.take_offline(FIRST, "its disk refused")
        wait_until(lambda: running.server.jetstream.offline, "the event")
        assert client.api("STREAM.DELETE.S")["success"] is True
        assert client.api("STREAM.NAMES")["streams"] == ["T"]
        config = {"name": "S", "subjects": ["S.>"]}
        assert "error" not in client.api("STREAM.CREATE.S", config)
        assert client.ask("S.x", "first")["seq"] == 1
        assert page(running, "/healthz")[0] == 200
    running.restart()
    with Client(running.port) as client:
        assert client.api("STREAM.INFO.S")["state"]["messages"] == 1
