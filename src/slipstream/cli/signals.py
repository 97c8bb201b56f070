"""`slipstream-server --signal reload=1234`: sends a signal to a running server (K-319)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

PROGRAM = "slipstream-server"
SIGNALS = {
    "stop": signal.SIGKILL,
    "quit": signal.SIGINT,
    "term": signal.SIGTERM,
    "reopen": signal.SIGUSR1,
    "reload": signal.SIGHUP,
    "ldm": signal.SIGUSR2,
}


class SignalError(Exception):
    """The signal was not sent."""


def send(expression: str) -> None:
    """Sends `signal`, `signal=pid`, `signal=pidfile` or `signal=prefix*`. Raises SignalError."""
    name, *targets = expression.split("=")
    if len(targets) > 1:
        raise SignalError(f"invalid signal parameters: [{' '.join(targets[1:])}]")
    target = _pid_from_file(targets[0]) if targets else ""
    prefix, is_pattern = target.removesuffix("*"), target.endswith("*")
    if prefix and not prefix.isdigit():
        raise SignalError(f"invalid pid: {prefix}")
    if prefix and not is_pattern:
        pids = [int(prefix)]
    else:
        pids = [pid for pid in running_servers() if str(pid).startswith(prefix)]
    if len(pids) > 1 and not is_pattern:
        listed = "\n".join(str(pid) for pid in pids)
        raise SignalError(f"multiple {PROGRAM} processes running:\n{listed}")
    if not pids:
        raise SignalError(f"no {PROGRAM} processes running")
    if name not in SIGNALS:
        raise SignalError(f'unknown signal "{name}"')
    failures = []
    for pid in pids:
        try:
            os.kill(pid, SIGNALS[name])
        except OSError as error:
            failures.append(f'\nsignal "{name}" {pid}: {(error.strerror or "failed").lower()}')
    if failures:
        raise SignalError("".join(failures))


def running_servers() -> list[int]:
    """Other processes that run this program: its name is the script that python runs."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile, or belongs to somebody else
        if any(os.path.basename(word) == PROGRAM.encode() for word in arguments[:3]):
            found.append(int(folder.name))
    return sorted(found)


def _pid_from_file(target: str) -> str:
    """The content of a pid file, or the text itself when there is no such file."""
    try:
        return Path(target).read_text().strip()
    except OSError:
        return target
