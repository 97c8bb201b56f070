"""Goal: a JetStream domain is another name of the API, and a full server refuses publishes, as
nats-server does both.

Method: the same bare conversation with both servers, each with the same configuration; answers are
compared whole after times are made alike.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from api_connection import Connection
from slipstream.testing import ServerProcess

OURS = (sys.executable, "-m", "slipstream.cli.nats_server")
_VOLATILE = re.compile(
    rb'"(created|ts|first_ts|last_ts|last_active)":"[^"]*"|"_nats\.level":"\d+"'
    rb'|"level":\d+|"total":\d+,"errors":\d+'
)
CONFIG = "jetstream { max_file: 1MB, max_mem: 1MB, domain: hub }"
HALF = b"x" * 300_000


def normal(answer: bytes) -> bytes:
    return _VOLATILE.sub(b"*", answer)


def stream(name: str, **config: object) -> bytes:
    return json.dumps({"name": name, "subjects": [f"{name}.>"], **config}).encode()


CONVERSATION: list[tuple[str, bytes, bytes]] = [
    ("$JS.hub.API.INFO", b"", b""),
    ("$JS.hub.API.STREAM.CREATE.f", stream("f", allow_direct=True), b""),
    ("f.a", b"one", b""),
    ("f.a", b"one", b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n"),
    ("f.a", b"one", b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n"),
    ("$JS.hub.API.DIRECT.GET.f", b'{"seq":1,"no_hdr":true}', b""),
    ("$JS.API.STREAM.INFO.f", b"", b""),
    ("$JS.hub.API.STREAM.NAMES", b"", b""),
    (
        "$JS.hub.API.CONSUMER.DURABLE.CREATE.f.c",
        b'{"stream_name":"f","config":{"durable_name":"c","ack_policy":"explicit"}}',
        b"",
    ),
    ("$JS.hub.API.CONSUMER.INFO.f.c", b"", b""),
    ("$JS.API.STREAM.CREATE.KV_b", stream("KV_b", subjects=["$KV.b.>"]), b""),
    ("$JS.hub.API.$KV.b.key", b"value", b""),
    # S-241, S-238: reservations, then what is really there.
    ("$JS.API.STREAM.CREATE.big", stream("big", max_bytes=5_000_000), b""),
    ("$JS.API.STREAM.CREATE.big", stream("big", max_bytes=5_000_000, storage="memory"), b""),
    *[("f.a", HALF, b"")] * 4,
    ("f.a", HALF, b""),
    ("f.a", b"", b""),
    ("f.a", b"", b"NATS/1.0\r\nNats-Expected-Stream: other\r\n\r\n"),
    ("$JS.API.STREAM.PURGE.f", b"", b""),
    ("f.a", b"there is room again", b""),
    ("$JS.API.STREAM.CREATE.m", stream("m", storage="memory"), b""),
    *[("m.a", HALF, b"")] * 4,
    ("m.a", b"", b""),
    ("$JS.API.INFO", b"", b""),
]


def converse(server: ServerProcess) -> list[bytes]:
    answers = []
    with Connection("127.0.0.1", server.port) as connection:
        for subject, body, header in CONVERSATION:
            reply = connection.request(subject, body, header)
            assert reply is not None, subject
            answers.append(normal(reply.header + reply.body))
    return answers


def test_domain_and_server_limits(nats_server: str, tmp_path: Path) -> None:
    answers = []
    for name, program in (("theirs", (nats_server,)), ("ours", OURS)):
        folder = tmp_path / name
        folder.mkdir()
        with ServerProcess(
            ["-js", "-n", "ORACLE"], folder=folder, program=program, config=CONFIG
        ) as server:
            answers.append(converse(server))
    for asked, theirs, ours in zip(CONVERSATION, *answers, strict=True):
        assert ours == theirs, asked[0]
