"""Goal: hostile clients do not end the server, and the others do not notice them.

Method: a short run of hostile_fuzzer.py from a fixed seed (longer ones are run by hand); then the
replays of what was found. And the oracle is shown what it must find: a server that ends, a forged
line, an answer that comes late, a message that is gone.

SLIPSTREAM_FUZZ_SECONDS (default 2) is a third of the run's length, SLIPSTREAM_FUZZ_SEED (default 1)
its seed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from pathlib import Path

import pytest

import hostile_fuzzer
from action_player import Action, ActionPlayer, Connection, Forged
from bystander import Bystander
from hostile_fuzzer import Episode, EpisodeRun, Limits
from machine_probe import MachineProbe, Stall, Wait, machine_to_blame
from slipstream.testing import ServerProcess
from slipstream.testing.process import PROGRAM

SECONDS = 3 * float(os.environ.get("SLIPSTREAM_FUZZ_SECONDS", "2"))
SEED = int(os.environ.get("SLIPSTREAM_FUZZ_SEED", "1"))
REPLAYS = sorted((Path(__file__).parent / "replays").glob("*.jsonl"))


def run(actions: list[Action], run_type: type[EpisodeRun] = EpisodeRun, **limits: float) -> Episode:
    episode = Episode(1, with_passwords=True, killed=True)
    return run_type(episode, PROGRAM, Limits(**limits)).run(0, actions)  # type: ignore[arg-type]


def pump_to_the_end(connection: Connection) -> None:
    while not connection.closed:
        connection.pump()


def kinds(episode: Episode) -> set[str]:
    return {finding.kind for finding in episode.findings}


def test_a_short_run_finds_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    given = ["--seconds", str(SECONDS), "--seed", str(SEED), "--findings", str(tmp_path)]
    code = hostile_fuzzer.main([*given, "--minimize-seconds", "0"])
    assert code == 0, capfd.readouterr().out


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_what_was_found_is_found_no_more(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert hostile_fuzzer.main(["--replay", str(path)]) == 0, capfd.readouterr().out


def test_a_server_that_ends_is_a_finding() -> None:
    class Killing(EpisodeRun):
        def _settle(self, *_: object) -> None:
            self._server._process.kill()  # type: ignore[union-attr]
            self._server._process.wait()  # type: ignore[union-attr]
            self._look(None)

    assert "crash" in kinds(run([], Killing))


def test_memory_above_the_limit_is_a_finding() -> None:
    assert kinds(run([], memory_bytes=1 << 20)) == {"memory"}


def test_a_slow_answer_is_a_finding() -> None:
    class Stopping(EpisodeRun):
        def _settle(self, *_: object) -> None:
            self._server.send_signal(signal.SIGSTOP)
            time.sleep(2.5)  # nobody can say that the machine was busy
            self._server.send_signal(signal.SIGCONT)

    assert kinds(run([], Stopping)) == {"hang"}


@pytest.mark.parametrize(
    ("wait", "stalls", "is_the_machines"),
    [
        (Wait("ping", 10.0, 2.0), [], False),
        (Wait("ping", 10.0, 2.0), [Stall("timer", 10.5, 1.1)], True),
        (Wait("ping", 10.0, 2.0), [Stall("timer", 10.5, 0.6), Stall("timer", 11.3, 0.6)], True),
        (Wait("ping", 10.0, 2.0), [Stall("timer", 10.5, 0.5)], False),
        (Wait("ping", 10.0, 2.0), [Stall("timer", 5.0, 5.5)], False),  # over soon
        (Wait("ping", 10.0, 2.0, queued_s=1.1), [], True),
        (Wait("ping", 10.0, 2.0), [Stall("sync", 10.0, 2.0)], False),  # needs no disk
        (Wait("publish", 10.0, 2.0), [Stall("sync", 10.0, 2.0)], True),
        (Wait("publish", 10.0, 2.0), [Stall("sync", 10.0, 0.4)], False),
    ],
)
def test_the_machine_is_blamed_for_its_own_stalls_alone(
    wait: Wait, stalls: list[Stall], is_the_machines: bool
) -> None:
    assert bool(machine_to_blame(wait, stalls)) == is_the_machines


def test_the_probe_ends_when_it_is_asked_for_its_stalls(tmp_path: Path) -> None:
    stalls = MachineProbe(tmp_path).stalls()
    assert all(stall.what in ("timer", "sync") and stall.took_s > 0 for stall in stalls)
    assert not list(tmp_path.iterdir())


def test_a_message_that_is_gone_is_a_finding() -> None:
    class Forgetful(EpisodeRun):
        def _read_back(self) -> None:
            self._acknowledged[10**6] = "a message that is not there"
            super()._read_back()

    assert kinds(run([{"do": "rest", "ms": 100}], Forgetful)) == {"lost"}


@pytest.mark.parametrize(
    "sent",
    [
        b"MSG a 1 2\r\nxx\r\nPUB b 0\r\n\r\n",
        b"MSG a 1 1\r\nxx\r\n",
        b"-ERR 'a\r\nb'\r\n",
        b"\x00\r\n",
    ],
)
def test_forged_lines_are_findings(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connection = Connection(listener.getsockname()[1], reads=True)
        server, _ = listener.accept()
        with server:
            server.sendall(sent)
            server.shutdown(socket.SHUT_WR)
            with pytest.raises(Forged):
                pump_to_the_end(connection)
        connection.close()


def test_the_bystander_gets_what_it_is_promised() -> None:
    with ServerProcess() as server:
        port = int(server.monitoring_url.rsplit(":", 1)[1])
        bystander = Bystander(server.port, port, server.pid, "")
        bystander.prepare()
        for number in range(3):
            bystander.round(number)
        report = json.loads(bystander.report(""))
    assert len(report["acknowledged"]) == 3
    assert not report["refused"]
    assert report["latencies"].keys() == {
        *("ping", "publish", "fetch", "request", "info", "connect", "healthz")
    }


def test_restores_and_origins_get_far() -> None:
    """Hostile actions are worth what they reach: most restores begin, some end."""
    with ServerProcess(config=hostile_fuzzer.CONFIG.format(authorization="")) as server:
        player = ActionPlayer(server)
        chunks = [""]
        body = json.dumps({"config": {"name": "R0", "subjects": ["r0.>"]}, "state": {}})
        subject = "$JS.API.STREAM.RESTORE.R0"
        player.play({"do": "restore", "subject": subject, "body": body, "chunks": chunks})
        player.close()
    assert player.counts["restores begun"] == 1
    assert player.counts["restores failed"] == 1
