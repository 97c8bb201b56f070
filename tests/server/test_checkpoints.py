"""Goal: a checkpoint of many streams, which works on a thread of its own in parts, ends whole: by
itself while clients go on publishing, and when the server stops in the middle of it.

Method: servers in this process over one store, with more streams than one part has; what was
acknowledged is there after the next start. What happens in crashes is in tests/crash.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raw_client import RawClient, wait_until
from slipstream.testing import EmbeddedServer, server

STREAMS = 150  # files and folders of more than two parts


def acknowledged(client: RawClient, subject: str, body: bytes) -> dict[str, object]:
    client.publish(subject.encode(), body, b"answer")
    client.until(b"MSG answer 1 ")
    client.line()
    found: dict[str, object] = json.loads(client.line())
    assert "error" not in found, found
    return found


def listening(started: EmbeddedServer) -> RawClient:
    client = RawClient(started.port)
    client.send(b"SUB answer 1\r\n")
    return client


def create(started: EmbeddedServer) -> None:
    with listening(started) as client:
        for number in range(STREAMS):
            config = {"name": f"S{number}", "subjects": [f"s.{number}"]}
            acknowledged(client, f"$JS.API.STREAM.CREATE.S{number}", json.dumps(config).encode())


def publish_everywhere(started: EmbeddedServer) -> None:
    with listening(started) as client:
        for number in range(STREAMS):
            acknowledged(client, f"s.{number}", b"x" * 100)


def messages(started: EmbeddedServer) -> list[int]:
    def of(found: dict[str, object]) -> int:
        state = found["state"]
        assert isinstance(state, dict)
        return int(state["messages"])

    with listening(started) as client:
        infos = (acknowledged(client, f"$JS.API.STREAM.INFO.S{n}", b"") for n in range(STREAMS))
        return [of(info) for info in infos]


def test_rounds_end_beside_publishers(tmp_path: Path) -> None:
    with server(f"jetstream {{ store_dir: '{tmp_path}' }}") as started:
        create(started)
        kernel = started.server.kernel
        for done in range(1, 4):
            kernel.checkpoint()
            publish_everywhere(started)
            wait_until(
                lambda done=done: kernel.store_stats().checkpoints >= done, "the round ended"
            )
    with server(f"jetstream {{ store_dir: '{tmp_path}' }}") as started:
        assert messages(started) == [3] * STREAMS


@pytest.mark.parametrize("published", [0, 1, 40, 149])
def test_a_stop_in_the_middle_of_a_round(tmp_path: Path, published: int) -> None:
    with server(f"jetstream {{ store_dir: '{tmp_path}' }}") as started:
        create(started)
        publish_everywhere(started)
        started.server.kernel.checkpoint()
        with listening(started) as client:
            for number in range(published):
                acknowledged(client, f"s.{number}", b"y")
    with server(f"jetstream {{ store_dir: '{tmp_path}' }}") as started:
        assert messages(started) == [1 + (number < published) for number in range(STREAMS)]
