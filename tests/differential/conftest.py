"""The two sides of a comparison: nats-server as the oracle, and our server in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from api_connection import Connection
from slipstream.testing import server
from targets import LiveTarget, find_oracle, running_oracle


@pytest.fixture(scope="session")
def nats_server() -> str:
    """The program; who needs it is skipped where it is missing, and says so."""
    executable = find_oracle()
    if executable is None:
        pytest.skip("nats-server is not installed: NOTHING was compared with it")
    return executable


@pytest.fixture(scope="module")
def oracle(nats_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveTarget]:
    with running_oracle(nats_server, tmp_path_factory.mktemp("oracle")) as target:
        yield target


@pytest.fixture
def fresh_oracle(nats_server: str, tmp_path: Path) -> Iterator[LiveTarget]:
    """One for each test: nats-server 2.15.1 may find the files of a deleted stream when its name is
    used again at once.
    """
    with running_oracle(nats_server, tmp_path) as target:
        yield target


@pytest.fixture(scope="module")
def ours() -> Iterator[LiveTarget]:
    with _running_ours() as target:
        yield target


@pytest.fixture
def fresh_ours() -> Iterator[LiveTarget]:
    with _running_ours() as target:
        yield target


@contextmanager
def _running_ours() -> Iterator[LiveTarget]:
    with server() as running, Connection("127.0.0.1", running.port) as connection:
        yield LiveTarget(connection)
