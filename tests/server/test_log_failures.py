"""Goal: a log that cannot be written costs log lines and nothing else; they are counted, and the
log says so once when it can be written again.

Method: the log in this process with targets that fail on demand (/dev/full, closed and replaced
stderr, folders that vanish), and server processes that start with such streams.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from raw_client import wait_until
from slipstream.server.log import LogSettings, ServerLog
from slipstream.server.log_targets import FileTarget
from slipstream.testing import ServerProcess
from slipstream.testing.process import PROGRAM, STOP_S_MAX
from wire import WireClient, get

FULL = "/dev/full"
PLAIN = LogSettings(logtime=False)


class FlakySink:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.fails = False

    def __call__(self, line: str) -> None:
        if self.fails:
            raise RuntimeError("no room")
        self.lines.append(line.split("] ", 1)[1])


def test_drops_are_counted_and_reported_once() -> None:
    sink = FlakySink()
    log = ServerLog(sink=sink)
    log.configure(PLAIN)
    log.info("before")
    sink.fails = True
    log.error("lost")
    log.error("lost as well")
    sink.fails = False
    log.info("after")
    log.info("later")
    assert log.lines_dropped == 2
    assert sink.lines == [
        "[INF] before\n",
        "[WRN] 2 log lines could not be written: the log's sink failed: RuntimeError('no room')\n",
        "[INF] after\n",
        "[INF] later\n",
    ]


def test_a_full_disk_under_a_log_file() -> None:
    log = ServerLog()
    log.configure(LogSettings(path=FULL, size_limit=100))
    for _ in range(5):
        log.info("x" * 100)
    log.close()
    assert log.lines_dropped == 5


def test_a_line_written_in_part_does_not_join_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "server.log"
    log = ServerLog()
    log.configure(LogSettings(path=str(path), logtime=False))
    write = os.write
    room = [5]

    def write_until_full(descriptor: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = write(descriptor, content[: room[0]])
        room[0] -= written
        return written

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write_until_full)
        log.info("torn")
    log.info("whole")
    log.close()
    torn, report, whole = path.read_text().splitlines()
    assert len(torn) == 5
    assert report.endswith(
        "[WRN] 1 log lines could not be written: [Errno 28] No space left on device"
    )
    assert whole.endswith("[INF] whole")


def without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)


def closed(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = open(os.devnull, "w")  # noqa: SIM115
    stream.close()
    monkeypatch.setattr(sys, "stderr", stream)


def full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", open(FULL, "w"))  # noqa: SIM115


class Hostile:
    """A stream of an embedding program, without any of what files have."""

    def write(self, text: str) -> int:
        raise RuntimeError("not here")


def hostile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Hostile())


@pytest.mark.parametrize("replace", [without, closed, full, hostile])
def test_a_stderr_that_cannot_be_written(
    replace: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(monkeypatch)
    log = ServerLog()
    log.configure(PLAIN)
    log.info("a")
    log.fatal("b")
    assert log.lines_dropped == (0 if replace is without else 2)


def test_a_stderr_that_is_no_file_gets_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    log = ServerLog()
    log.configure(PLAIN)
    log.info("a")
    assert sys.stderr.getvalue() == f"[{os.getpid()}] [INF] a\n"  # type: ignore[attr-defined]


def test_a_rotation_that_fails_keeps_the_file_and_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "server.log"
    log = ServerLog()
    log.configure(LogSettings(path=str(path), size_limit=1000, logtime=False))

    def refuse(source: object, target: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", refuse)
        for _ in range(18):  # above the limit, not yet above twice the limit
            log.info("x" * 60)
    text = path.read_text()
    assert text.count("could not be rotated") == 1
    assert text.count("x" * 60) == 18
    for _ in range(20):
        log.info("y" * 60)
    log.close()
    assert len(list(tmp_path.glob("server.log.2*"))) == 1
    assert log.lines_dropped == 0


def test_a_rotation_without_a_new_file_puts_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = FileTarget(str(tmp_path / "server.log"), size_limit=1)
    target.write(b"one\n")

    def refuse(*_: object) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        with pytest.raises(OSError, match="Too many open files"):
            target.rotate()
    target.write(b"two\n")
    target.close()
    assert [file.name for file in tmp_path.iterdir()] == ["server.log"]
    assert (tmp_path / "server.log").read_bytes() == b"one\ntwo\n"


def test_a_log_folder_that_vanishes(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "server.log"
    log = ServerLog()
    log.configure(LogSettings(path=str(path), size_limit=200))
    path.unlink()
    folder.rmdir()
    for _ in range(10):
        log.info("x" * 60)
    with pytest.raises(FileNotFoundError):
        log.reopen()
    log.info("still there")
    folder.mkdir()
    assert log.reopen()
    log.info("back")
    log.close()
    assert path.read_text().endswith("[INF] back\n")
    assert log.lines_dropped == 0


def test_a_server_serves_on_when_its_log_is_full() -> None:
    config = "authorization { token: t }\n"
    with ServerProcess(["-DV"], config=config) as server:
        port, pages = server.port, server.monitoring_url
        (server.folder / "server.conf").write_text(f'{config}log_file: "{FULL}"')
        server.send_signal(1)

        def dropped() -> int:
            shown: int = get(pages, "/varz").json["slipstream"]["log_lines_dropped"]
            return shown

        wait_until(lambda: dropped() > 0, "lines that are dropped")
        with WireClient(f"nats://127.0.0.1:{port}") as client:
            client.answer(b'CONNECT {"verbose":false,"auth_token":"wrong"}\r\n')
            client.until_closed()
        with WireClient(f"nats://127.0.0.1:{port}") as client:
            assert client.answer(b'CONNECT {"verbose":false,"auth_token":"t"}\r\n') == b""
        assert server.stop() == 0


@pytest.mark.parametrize("redirection", ["2>&-", f"2>{FULL}", f">{FULL} 2>{FULL}", "<&- >&- 2>&-"])
def test_a_server_starts_without_streams_to_write_to(redirection: str, tmp_path: Path) -> None:
    """With a configuration that is warned of before there is a log."""
    config = tmp_path / "server.conf"
    config.write_text(f'ports_file_dir: "{tmp_path}", authorization {{ timeout: 100, token: t }}')
    flags = f"-a 127.0.0.1 -p -1 -js -sd {tmp_path}/store -c {config}"
    command = f"exec {' '.join(PROGRAM)} {flags} {redirection}"
    with subprocess.Popen(["sh", "-c", command]) as process:
        try:
            wait_until(lambda: any(tmp_path.glob("*.ports")), "the ports file")
            streams = [os.readlink(f"/proc/{process.pid}/fd/{number}") for number in (0, 1, 2)]
            assert not any("store" in stream or "socket" in stream for stream in streams)
        finally:
            process.terminate()
        assert process.wait(STOP_S_MAX) == 0
