"""Goal: mirrors and sources hold the same messages, with the same headers, as nats-server's, and
INFO says the same of them.

Method: every scenario of origin_scenarios.py runs over a socket against nats-server and against our
server in this process; the notes of both are compared line by line. Decided differences are in
docs/differences.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api_connection import Connection
from origin_scenarios import SCENARIOS, Copies, Scenario
from slipstream.jetstream.api import core
from slipstream.testing import server
from targets import LiveTarget, find_oracle, running_oracle


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    executable = find_oracle()
    if executable is None:
        pytest.skip("nats-server is not installed: mirrors were NOT compared with it")
    with running_oracle(executable, tmp_path_factory.mktemp("oracle")) as target:
        yield target


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    """Which announces what sources ask of their origins."""
    store: Path = tmp_path_factory.mktemp("ours")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "API_LEVEL", 5)
        with server(store=store) as running, Connection("127.0.0.1", running.port) as connection:
            yield LiveTarget(connection)


def notes(target: LiveTarget, play: Scenario) -> list[str]:
    target.remove_everything()
    target.connection.drain_queued()
    host, port = target.connection.peer
    with Connection(host, port) as connection:
        copies = Copies(connection)
        play(copies)
        return copies.notes


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_copies(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    play = SCENARIOS[name]
    assert notes(ours, play) == notes(oracle, play)
