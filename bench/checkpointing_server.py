"""Slipstream with the flags of `slipstream-server`, that takes checkpoints when it is told to.

SIGRTMIN has it take one after the other, and stop after the one under way when it comes again; as
long as it takes none there is a file `idle` beside the configuration. By itself a server takes one
when half of its journal is used: too seldom to measure beside it.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from slipstream.cli import command_line
from slipstream.config.load import load
from slipstream.kernel import Kernel
from slipstream.server.log import ServerLog
from slipstream.server.server import Server

POLL_S = 0.002


class Checkpointer:
    """Rounds back to back, on a thread of its own, while it is on."""

    def __init__(self, kernel: Kernel, idle: Path) -> None:
        self._kernel, self._idle = kernel, idle
        self._idle.touch()
        self._on, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="checkpointer")
        self._thread.start()

    def toggle(self) -> None:
        if self._on.is_set():
            self._on.clear()
        else:
            self._idle.unlink(missing_ok=True)
            self._on.set()

    def stop(self) -> None:
        self._stopped.set()
        self._on.set()
        self._thread.join()

    def _run(self) -> None:
        while self._on.wait() and not self._stopped.is_set():
            done = self._kernel.store_stats().checkpoints
            self._kernel.checkpoint()
            while self._kernel.store_stats().checkpoints == done:
                if self._stopped.wait(POLL_S):
                    return
            if not self._on.is_set():
                self._idle.touch()


def main(arguments: Sequence[str]) -> None:
    asked = command_line.parse(arguments)
    awaited = {signal.SIGRTMIN, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)  # in all threads: sigwait() takes them
    loaded = load(asked.config_file, asked.settings)
    server = Server(loaded.options, ServerLog())
    server.start()
    serving = threading.Thread(target=server.run, name="server")
    serving.start()
    checkpointer = Checkpointer(server.kernel, Path(asked.config_file).with_name("idle"))
    while signal.sigwait(awaited) != signal.SIGTERM:
        checkpointer.toggle()
    checkpointer.stop()
    server.stop()
    serving.join()


if __name__ == "__main__":
    main(sys.argv[1:])
