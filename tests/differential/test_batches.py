"""Goal: a client cannot tell our batches and schedules from nats-server's.

Method: as test_consumers.py, with the scenarios of batch_scenarios.py and schedule_scenarios.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import batch_scenarios
import schedule_scenarios
from api_connection import Connection
from slipstream.testing import server
from targets import LiveTarget, find_oracle, running_oracle


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    executable = find_oracle()
    if executable is None:
        pytest.skip("nats-server is not installed: batches were NOT compared with it")
    with running_oracle(executable, tmp_path_factory.mktemp("oracle")) as target:
        yield target


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    store: Path = tmp_path_factory.mktemp("ours")
    with server(store=store) as running, Connection("127.0.0.1", running.port) as connection:
        yield LiveTarget(connection)


SCENARIOS = batch_scenarios.SCENARIOS | schedule_scenarios.SCENARIOS


def notes(target: LiveTarget, name: str) -> list[str]:
    while json.loads(target.request("STREAM.NAMES", b"", b"") or b"{}")["streams"]:
        target.remove_everything()  # nats-server takes its time while batches are open
    target.connection.drain_queued()
    host, port = target.connection.peer
    with Connection(host, port) as connection:
        session = schedule_scenarios.ScheduleSession(connection)
        SCENARIOS[name](session)
        return session.notes


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_conversation(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    assert notes(ours, name) == notes(oracle, name)
