"""Goal: clients in other languages do a short real job here unchanged: stream, publish with ids,
pull, ack, key-value, object; with the CLI also backup and restore.

Method: each job is a program in the client's language; it checks what it gets and prints `done` at
its end. Each has a server process of its own. What a job needs is installed by `make tools`; where
it is absent, the test is skipped and says so.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from slipstream.testing import ServerProcess

HERE = Path(__file__).parent
TOOLS = HERE.parents[1] / ".tools"
JOB_S_MAX = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(["-js"], folder=tmp_path / "server") as running:
        yield running


def run(command: Sequence[str | Path], folder: Path | None = None) -> str:
    finished = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=JOB_S_MAX,
        check=False,
        cwd=folder,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


def test_nats_py(server: ServerProcess) -> None:
    assert run([sys.executable, HERE / "nats_py_job.py", server.url]) == "done\n"


@pytest.mark.skipif(
    importlib.util.find_spec("natsrpy") is None, reason="the Rust client natsrpy is not installed"
)
def test_rust(server: ServerProcess) -> None:
    assert run([sys.executable, HERE / "natsrpy_job.py", server.url]) == "done\n"


def test_javascript(server: ServerProcess) -> None:
    folder = TOOLS / "javascript"
    if not (folder / "node_modules" / "@nats-io").is_dir():
        pytest.skip("the JavaScript client is not installed: run `make tools` (needs Node)")
    shutil.copy(HERE / "javascript" / "job.mjs", folder)
    assert run(["node", folder / "job.mjs", server.url]) == "done\n"


def test_c(server: ServerProcess, tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not Path("/usr/include/nats/nats.h").exists():
        pytest.skip("the C client is not installed (Debian: apt-get install libnats-dev)")
    run([compiler, "-o", tmp_path / "job", HERE / "c" / "job.c", "-lnats"])
    assert run([tmp_path / "job", server.url]) == "done\n"


def test_cli(server: ServerProcess, tmp_path: Path) -> None:
    own = TOOLS / "bin" / "nats"
    cli = str(own) if own.exists() else shutil.which("nats")
    if cli is None:
        pytest.skip("the nats CLI is not installed: run `make tools` (needs Go)")

    def nats(*words: str) -> str:
        return run([cli, "--server", server.url, *words], tmp_path)

    nats("stream", "add", "ORDERS", "--subjects=orders.>", "--defaults")
    nats("publish", "orders.new", "coffee {{.Count}}", "--count=10", "--jetstream")
    consumer = ("ORDERS", "barista")
    nats("consumer", "add", *consumer, "--pull", "--ack=explicit", "--defaults")
    assert "coffee 1" in nats("consumer", "next", *consumer, "--count=1", "--ack")
    nats("kv", "add", "settings", "--history=5")
    nats("kv", "put", "settings", "color", "blue")
    assert nats("kv", "get", "settings", "color", "--raw").strip() == "blue"
    nats("object", "add", "files")
    (tmp_path / "picture").write_bytes(bytes(range(256)) * 1000)
    nats("object", "put", "files", "picture", "--no-progress", "--force")
    nats("object", "get", "files", "picture", "--output=copy", "--no-progress", "--force")
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "picture").read_bytes()

    nats("stream", "backup", "ORDERS", "saved", "--no-progress", "--consumers")
    nats("stream", "rm", "ORDERS", "--force")
    nats("stream", "restore", "saved", "--no-progress")
    assert "coffee 10" in nats("stream", "get", "ORDERS", "10")
    assert "coffee 2" in nats("consumer", "next", *consumer, "--count=1", "--ack")
