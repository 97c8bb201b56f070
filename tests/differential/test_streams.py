"""Goal: a client cannot tell our streams from nats-server's by what they keep, evict and refuse.

Method: every scenario of stream_scenarios.py runs over a socket against nats-server and against our
server in this process; the notes of both are compared line by line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from api_connection import Connection
from consumer_scenarios import Session
from side_by_side import notes_of_both
from slipstream.testing import ServerProcess, server
from stream_scenarios import SCENARIOS
from targets import LiveTarget

OURS = (sys.executable, "-m", "slipstream.cli.nats_server")


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_conversation(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    got, expected = notes_of_both(ours, oracle, SCENARIOS[name], Session)
    assert got == expected


CREATED = {"created", "first_ts", "last_ts", "subjects", "messages", "last_seq"}


def test_a_restart_keeps_times_and_ids() -> None:  # S-070, S-153
    """Ours alone: a server is compared with itself."""
    seen, acks = [], []
    with server() as running:
        for _ in range(2):
            with Connection("127.0.0.1", running.port) as connection:
                connection.request("$JS.API.STREAM.CREATE.S", b'{"name":"S","subjects":["s.>"]}')
                acks.append(connection.request("s.a", b"", b"NATS/1.0\r\nNats-Msg-Id: 1\r\n\r\n"))
                reply = connection.request("$JS.API.STREAM.INFO.S", b"")
            assert reply is not None
            shown = json.loads(reply.body)
            seen.append({k: v for k, v in (shown | shown["state"]).items() if k in CREATED})
            running.restart()
    assert [ack.body for ack in acks if ack] == [
        b'{"stream":"S","seq":1}',
        b'{"stream":"S","seq":1,"duplicate": true}',
    ]
    assert seen[0] == seen[1]
    assert "created" in seen[0]


def test_a_record_of_a_file_has_a_largest_size(nats_server: str, tmp_path: Path) -> None:  # S-010
    answers = []
    for name, program in (("theirs", (nats_server,)), ("ours", OURS)):
        (tmp_path / name).mkdir()
        with (
            ServerProcess(
                ["-js"], folder=tmp_path / name, program=program, config="max_payload: 40MB"
            ) as running,
            Connection("127.0.0.1", running.port, timeout_s=20) as connection,
        ):
            answers.append([_stored_at_most(connection, kind) for kind in ("file", "memory")])
    assert answers[1] == answers[0]
    assert b"message too large" in answers[0][0][1]


def _stored_at_most(connection: Connection, storage: str) -> list[bytes]:
    config = {"name": storage, "storage": storage}
    connection.request(f"$JS.API.STREAM.CREATE.{storage}", json.dumps(config).encode())
    largest = (32 << 20) - 22 - len(storage) - 8
    replies = [
        connection.request(storage, b"x" * size, timeout_s=20) for size in (largest, largest + 1)
    ]
    return [reply.body if reply else b"" for reply in replies]
