"""Goal: limits that the server finds for itself let everything that is stored be stored, at every
later start; and a start needs no folder but the store.

Method: a simulated disk size below a real store: what is free is the size less what the store
occupies. Streams that reserve most of what was found are created, filled, and updated without a
change after each restart.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import nats
import pytest

from slipstream.config.options import JetStream
from slipstream.server import process_usage, storage_sizes
from slipstream.server.storage_sizes import JOURNAL_BYTES_MAX, JOURNAL_BYTES_MIN
from slipstream.testing import server

MB = 1 << 20


class Disk:
    """Its free room goes down with what the store occupies."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.others = 0

    def free_bytes(self, folder: str) -> int:
        return max(0, self.room - self.others - storage_sizes.occupied_bytes(folder))


async def ask(client: nats.NATS, subject: str, **body: Any) -> Any:
    answer = await client.request(f"$JS.API.{subject}", json.dumps(body).encode(), timeout=10)
    return json.loads(answer.data)


async def test_found_limits_do_not_drift_over_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(1000 * MB)
    monkeypatch.setattr(process_usage, "free_disk_bytes", disk.free_bytes)
    with server() as running:
        first = running.server.options.jetstream.max_file
        stream = {"name": "S", "subjects": ["s"], "max_bytes": first - MB}
        client = await nats.connect(running.url)
        assert "error" not in await ask(client, "STREAM.CREATE.S", **stream)
        for _ in range(3):
            for _ in range(20):
                await client.jetstream().publish("s", b"x" * (MB - 1000))
            await client.close()
            running.restart()
            assert running.server.options.jetstream.max_file == first
            client = await nats.connect(running.url)
            assert "error" not in await ask(client, "STREAM.UPDATE.S", **stream)
        disk.others = 600 * MB  # of somebody else's
        await client.close()
        running.restart()
        assert running.server.options.jetstream.max_file == first - MB
        client = await nats.connect(running.url)
        assert "error" not in await ask(client, "STREAM.UPDATE.S", **stream)
        assert "Max Storage is" in "".join(running.log_lines)
        await client.close()


@pytest.mark.parametrize(
    ("room", "max_file", "journal"),
    [
        (100 * MB, -1, JOURNAL_BYTES_MIN),
        (1000 * MB, -1, 125 * MB),
        (10**12, -1, JOURNAL_BYTES_MAX),
        (10**12, 100 * MB, 50 * MB),
        (10**12, 300 * MB, 150 * MB),
        (10**12, 10**11, JOURNAL_BYTES_MAX),
    ],
)
def test_the_journal_is_sized_by_disk_and_limit(
    room: int, max_file: int, journal: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(process_usage, "free_disk_bytes", Disk(room).free_bytes)
    found = storage_sizes.storage_sizes(JetStream(max_file=max_file), str(tmp_path))
    assert found.journal_bytes_max == journal
    assert found.max_file == (max_file if max_file >= 0 else int((room - journal) * 3 / 4))


def test_a_start_needs_no_temporary_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def none() -> str:
        raise FileNotFoundError("no usable temporary directory")

    with monkeypatch.context() as patched:
        patched.setenv("TMPDIR", str(tmp_path / "missing"))
        with server() as running:  # makes its own store before
            patched.setattr(tempfile, "gettempdir", none)
            patched.setattr(tempfile, "mkdtemp", none)
            running.restart()
            assert running.port
