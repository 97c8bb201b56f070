"""Goal: a server that cannot start because of its configuration says why, and leaves neither a
store nor a pid file behind.

Method: the process with one fault each; ports that are taken are taken by the test itself.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

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
        arguments = ["-a", "127.0.0.1", "-js", "-sd", "store", "-P", "pid"]
        arguments += [port if flag == "TAKEN" else flag for flag in flags]
        ended = subprocess.run(
            [sys.executable, "-m", "slipstream.cli.nats_server", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 1
    assert reason in ended.stderr
    assert list(tmp_path.iterdir()) == []
