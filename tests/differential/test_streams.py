"""Goal: a client cannot tell our streams from nats-server's by what they keep, evict and refuse.

Method: every scenario of stream_scenarios.py runs over a socket against nats-server and against our
server in this process; the notes of both are compared line by line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_connection import Connection
from slipstream.testing import server
from stream_scenarios import SCENARIOS
from targets import LiveTarget, find_oracle, running_oracle
from test_features import notes


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    executable = find_oracle()
    if executable is None:
        pytest.skip("nats-server is not installed: streams were NOT compared with it")
    with running_oracle(executable, tmp_path_factory.mktemp("oracle")) as target:
        yield target


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    store: Path = tmp_path_factory.mktemp("ours")
    with server(store=store) as running, Connection("127.0.0.1", running.port) as connection:
        yield LiveTarget(connection)


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_conversation(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    play = SCENARIOS[name]
    assert notes(ours, play) == notes(oracle, play)
