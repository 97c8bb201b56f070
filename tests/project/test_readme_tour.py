"""Goal: the tour in README.md works as printed.

Method: the code blocks are taken from README.md and run as a reader would, in order, against one
server process, which is killed between the two halves of the tour. Only the address is another.
What a block is said to print is compared with what it prints.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slipstream.testing import ServerProcess
from source_tree import ROOT

README = (ROOT / "README.md").read_text()
ADDRESS = "127.0.0.1:4222"
STEP_S_MAX = 60.0
CLI_MISSING = "the nats CLI is not installed: run `make tools` (needs Go)"


def section(title: str) -> str:
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def find_cli() -> str | None:
    own = ROOT / ".tools" / "bin" / "nats"
    return str(own) if own.exists() else shutil.which("nats")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(["-js"], folder=tmp_path) as running:
        yield running


def run_script(script: str, server: ServerProcess, folder: Path) -> str:
    path = folder / "tour.py"
    path.write_text(script.replace(ADDRESS, f"127.0.0.1:{server.port}"))
    finished = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=STEP_S_MAX, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_tour_with_nats_py(server: ServerProcess, tmp_path: Path) -> None:
    tour = section("A tour with nats-py")
    before, after = blocks(tour, "python")
    printed_before, printed_after = blocks(tour, "text")
    assert run_script(before, server, tmp_path) == printed_before
    server.kill()
    server.start()
    assert run_script(after, server, tmp_path) == printed_after


def commands(script: str) -> list[tuple[str, list[str]]]:
    """Each command with what it is said to print."""
    found: list[tuple[str, list[str]]] = []
    for line in script.splitlines():
        if line.startswith("# "):
            found[-1][1].append(line.removeprefix("# "))
        else:
            found.append((line, []))
    return found


def test_tour_with_the_cli(server: ServerProcess, tmp_path: Path) -> None:
    cli = find_cli()
    if cli is None:
        pytest.skip(CLI_MISSING)
    environment = os.environ | {
        "NATS_URL": server.url,
        "PATH": f"{Path(cli).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path),  # no context of whoever runs the tests
    }
    (script,) = blocks(section("The same with the `nats` CLI"), "sh")
    for command, expected in commands(script):
        finished = subprocess.run(
            ["bash", "-c", command],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STEP_S_MAX,
            check=False,
        )
        output = finished.stdout + finished.stderr
        assert finished.returncode == 0, f"{command}\n{output}"
        for text in expected:
            assert text in output, f"{command}\n{output}"


def test_server_in_this_process(capsys: pytest.CaptureFixture[str]) -> None:
    embedded = blocks(section("In a Python process, in a test"), "python")[0]
    exec(compile(embedded, "README.md", "exec"), {})
    assert re.fullmatch(r"nats://127\.0\.0\.1:\d+\n", capsys.readouterr().out)
