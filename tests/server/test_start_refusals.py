"""Goal: a server that cannot start because of its configuration or of its store says why, and
leaves neither a new store nor a pid file behind.

Method: the process with one fault each; ports that are taken are taken by the test itself, a store
that is used is locked by the test, and stores are spoilt in their files.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slipstream.kernel._kernel import OPEN_CREATE, OPEN_TRUNCATE, OPEN_WRITE, RealDisk
from slipstream.server.store_keys import Passphrases, unlock

FAULTS = {
    "port taken": (["-p", "TAKEN"], "Error listening on port: "),
    "monitoring port taken": (["-p", "-1", "-m", "TAKEN"], "can't listen to the monitor port"),
    "no such port": (["-p", "70000"], "invalid port"),
    "no such address": (["-p", "-1", "-a", "999.1.1.1"], "lookup 999.1.1.1"),
    "advertised address": (["-p", "-1", "--client_advertise", "a:b:c"], "too many colons"),
    "size of log files": (["-p", "-1", "--log_size_limit", "-1"], "cannot be negative"),
    "folder of the pid file": (["-p", "-1", "-P", "missing/pid"], "Could not write pidfile"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_left_behind(fault: str, tmp_path: Path) -> None:
    flags, reason = FAULTS[fault]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run([port if flag == "TAKEN" else flag for flag in flags], tmp_path)
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert list(tmp_path.iterdir()) == []


def run(flags: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """A server that does not start, in that folder."""
    arguments = ["-a", "127.0.0.1", "-js", "-sd", "store", "-P", "pid", *flags]
    return subprocess.run(
        [sys.executable, "-m", "slipstream.cli.nats_server", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def damage(disk: RealDisk) -> str:
    write(disk, "slipstream.store", b"slipstream store, format 9\n")
    return "has a format that this version does not know"


def lose_keys(disk: RealDisk) -> str:
    unlock(disk, Passphrases("a key that the server is not given"), os.urandom)
    return "encrypted"


def lock(disk: RealDisk) -> str:
    disk.lock("LOCK")  # until the disk is gone
    return "in use"


def write(disk: RealDisk, path: str, content: bytes) -> None:
    handle = disk.open(path, OPEN_WRITE | OPEN_CREATE | OPEN_TRUNCATE)
    disk.pwrite(handle, content, 0)
    disk.close(handle)


@pytest.mark.parametrize("spoil", [damage, lose_keys, lock])
@pytest.mark.parametrize("old_pid", ["", "1"])
def test_a_store_that_cannot_be_opened_leaves_no_pid_file(
    spoil: Callable[[RealDisk], str], old_pid: str, tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    disk = RealDisk(str(folder))
    write(disk, "slipstream.store", b"slipstream store, format 1\n")
    reason = spoil(disk)
    if old_pid:  # of a server that ended long ago
        (tmp_path / "pid").write_text(old_pid)
    ended = run(["-p", "-1"], tmp_path)
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert not (tmp_path / "pid").exists()
