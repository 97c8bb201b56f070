"""Goal: a message that is damaged under a running server is told to whoever asks for it, and nobody
takes more harm than that: the API's get, direct gets alone and in batches, consumers, mirrors,
sources and backups.

Method: a server over a store whose messages are in files alone, because it was started anew; a byte
of one message's body is changed in the file. Clients speak raw protocol.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raw_client import RawClient, wait_until
from slipstream.testing import EmbeddedServer, server

MESSAGES, DAMAGED = 9, 4
TEXT = b"message %d of the stream"


class Asker(RawClient):
    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.send(b"SUB answer.> 1\r\n")
        self.number = 0

    def ask(self, subject: str, **body: object) -> dict[str, Any]:
        self.number += 1
        reply = b"answer.%d" % self.number
        self.publish(subject.encode(), json.dumps(body).encode() if body else b"", reply)
        self.until(b"MSG " + reply + b" 1 ")
        self.line()
        found: dict[str, Any] = json.loads(self.line())
        return found

    def state(self, stream: str) -> dict[str, Any]:
        state: dict[str, Any] = self.ask(f"$JS.API.STREAM.INFO.{stream}")["state"]
        return state


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[EmbeddedServer]:
    settings = f"jetstream {{ store_dir: '{tmp_path}' }}"
    with server(settings) as started, Asker(started.port) as client:
        created = client.ask(
            "$JS.API.STREAM.CREATE.S", name="S", subjects=["s.*"], allow_direct=True
        )
        assert "error" not in created
        for number in range(1, MESSAGES + 1):
            client.publish(b"s.%d" % number, TEXT % number, b"answer.0")
            client.until(b'"seq":%d' % number)
    with server(settings) as started:
        [segment] = tmp_path.rglob("*.segment")
        content = bytearray(segment.read_bytes())
        content[content.index(TEXT % DAMAGED)] ^= 4
        with segment.open("r+b") as file:
            file.write(content)
        yield started


def test_the_api_and_direct_gets(damaged: EmbeddedServer) -> None:
    with Asker(damaged.port) as client:
        found = client.ask("$JS.API.STREAM.MSG.GET.S", seq=DAMAGED)
        assert found["error"]["code"] == 500
        assert "damaged" in found["error"]["description"]
        found = client.ask("$JS.API.STREAM.MSG.GET.S", last_by_subj=f"s.{DAMAGED}")
        assert "damaged" in found["error"]["description"]
        assert "message" in client.ask("$JS.API.STREAM.MSG.GET.S", seq=DAMAGED + 1)
        for request in (b'{"seq":%d}' % DAMAGED, b'{"seq":1,"batch":9}'):
            client.publish(b"$JS.API.DIRECT.GET.S", request, b"answer.direct")
            client.until(b"NATS/1.0 500 message is damaged")
        client.publish(b"$JS.API.DIRECT.GET.S", b'{"seq":%d}' % (DAMAGED + 1), b"answer.direct")
        client.until(TEXT % (DAMAGED + 1))


def test_mirrors_and_sources_go_on_behind_it(damaged: EmbeddedServer) -> None:
    with Asker(damaged.port) as client:
        mirror = client.ask("$JS.API.STREAM.CREATE.M", name="M", mirror={"name": "S"})
        assert "error" not in mirror
        source = client.ask("$JS.API.STREAM.CREATE.C", name="C", sources=[{"name": "S"}])
        assert "error" not in source
        for stream in ("M", "C"):
            wait_until(
                lambda stream=stream: client.state(stream)["messages"] == MESSAGES - 1, stream
            )
        assert client.state("M")["last_seq"] == MESSAGES
        assert client.state("M")["num_deleted"] == 1
        client.publish(b"s.new", b"behind", b"answer.0")
        for stream in ("M", "C"):
            wait_until(lambda stream=stream: client.state(stream)["messages"] == MESSAGES, stream)


def test_a_consumer_passes_it_and_an_advisory_tells(damaged: EmbeddedServer) -> None:
    with Asker(damaged.port) as client, RawClient(damaged.port) as watcher:
        watcher.send(b"SUB $JS.EVENT.ADVISORY.STREAM.MSG_DAMAGED.S 1\r\n")
        watcher.flush()
        created = client.ask(
            "$JS.API.CONSUMER.CREATE.S.D",
            stream_name="S",
            config={"durable_name": "D", "ack_policy": "explicit"},
        )
        assert "error" not in created
        request = b'{"batch":%d,"no_wait":true}' % MESSAGES
        client.publish(b"$JS.API.CONSUMER.MSG.NEXT.S.D", request, b"answer.next")
        text = client.until(TEXT % MESSAGES)
        assert TEXT % (DAMAGED + 1) in text
        assert TEXT % DAMAGED not in text
        found = client.ask("$JS.API.CONSUMER.INFO.S.D")
        assert found["num_pending"] == 0
        assert found["num_ack_pending"] == MESSAGES - 1
        watcher.until(b'"stream_seq":%d' % DAMAGED)


def test_a_backup_ends_with_an_error(damaged: EmbeddedServer) -> None:
    with Asker(damaged.port) as client:
        begun = client.ask("$JS.API.STREAM.SNAPSHOT.S", deliver_subject="answer.backup")
        assert "error" not in begun
        client.until(b"NATS/1.0 ")
        assert b"damaged" in client.line()
        assert client.state("S")["messages"] == MESSAGES
