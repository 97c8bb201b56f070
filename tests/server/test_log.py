"""The log's format and its files (K-323): lines are compared with nats-server's form, files with
what rotation promises.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from slipstream.server.log import LogSettings, ServerLog

LINE = re.compile(r"\[\d+\] \d{4}/\d\d/\d\d \d\d:\d\d:\d\d\.\d{6} \[(\w{3})\] (.*)\n")


def test_lines(capfd: pytest.CaptureFixture[str]) -> None:
    log = ServerLog()
    log.configure(LogSettings(debug=True, trace=True))
    for write, text in (
        (log.info, "a"), (log.warn, "b"), (log.error, "c"), (log.fatal, "d"), (log.debug, "e"),
        (log.trace, "f"),
    ):  # fmt: skip
        write(text)
    lines = [LINE.fullmatch(line) for line in capfd.readouterr().err.splitlines(keepends=True)]
    assert [line and line.groups() for line in lines] == [
        ("INF", "a"), ("WRN", "b"), ("ERR", "c"), ("FTL", "d"), ("DBG", "e"), ("TRC", "f"),
    ]  # fmt: skip


def test_debug_and_trace_are_off_by_default(capfd: pytest.CaptureFixture[str]) -> None:
    log = ServerLog()
    log.debug("e")
    log.trace("f")
    assert capfd.readouterr().err == ""


def test_without_time() -> None:
    lines: list[str] = []
    log = ServerLog(sink=lines.append)
    log.configure(LogSettings(logtime=False))
    log.info("a")
    assert lines == [f"[{os.getpid()}] [INF] a\n"]


def test_a_file_is_appended_to_and_reopened(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("before\n")
    log = ServerLog()
    log.configure(LogSettings(path=str(path)))
    log.info("one")
    path.rename(tmp_path / "old.log")
    log.info("two")
    assert log.reopen()
    log.info("three")
    log.close()
    assert [line[-4:] for line in (tmp_path / "old.log").read_text().split("\n")[1:3]] == [
        " one",
        " two",
    ]
    assert path.read_text().count("\n") == 1
    assert path.stat().st_mode & 0o777 & ~0o640 == 0
    assert not log.reopen()


def test_a_file_that_cannot_be_opened_changes_nothing(tmp_path: Path) -> None:
    lines: list[str] = []
    log = ServerLog(sink=lines.append)
    with pytest.raises(FileNotFoundError):
        log.configure(LogSettings(path=str(tmp_path / "missing" / "x"), debug=True))
    log.debug("a")
    log.info("b")
    assert len(lines) == 1


def test_rotation_keeps_as_many_files_as_asked(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    (tmp_path / "server.log.keep").write_text("not a backup")
    log = ServerLog()
    log.configure(LogSettings(path=str(path), size_limit=200, files_max=3))
    for number in range(30):
        log.info(f"line {number} " + "x" * 60)
    log.close()
    backups = sorted(tmp_path.glob("server.log.2*"))
    assert len(backups) == 2
    assert (tmp_path / "server.log.keep").exists()
    lines = "".join(file.read_text() for file in [*backups, path])
    assert "Rotated log, backup saved as" in lines
    assert "line 29 " in lines
