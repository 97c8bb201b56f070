"""Goal: a client cannot tell our consumers from nats-server's: same messages, statuses, reply
subjects, same numbers in INFO.

Method: every scenario of consumer_scenarios.py and retention_scenarios.py runs over a socket
against nats-server and against our server in this process; the notes of both are compared line by
line. Decided differences are in docs/differences.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_connection import Connection
from consumer_scenarios import SCENARIOS as CONSUMER_SCENARIOS
from consumer_scenarios import Scenario, Session
from retention_scenarios import SCENARIOS as RETENTION_SCENARIOS
from slipstream.testing import server
from targets import LiveTarget, find_oracle, running_oracle

SCENARIOS = CONSUMER_SCENARIOS | RETENTION_SCENARIOS


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    executable = find_oracle()
    if executable is None:
        pytest.skip("nats-server is not installed: consumers were NOT compared with it")
    with running_oracle(executable, tmp_path_factory.mktemp("oracle")) as target:
        yield target


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    store: Path = tmp_path_factory.mktemp("ours")
    with server(store=store) as running, Connection("127.0.0.1", running.port) as connection:
        yield LiveTarget(connection)


def notes(target: LiveTarget, play: Scenario) -> list[str]:
    target.remove_everything()
    target.connection.drain_queued()
    host, port = target.connection.peer
    with Connection(host, port) as connection:
        session = Session(connection)
        play(session)
        return session.notes


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_conversation(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    play = SCENARIOS[name]
    assert notes(ours, play) == notes(oracle, play)
