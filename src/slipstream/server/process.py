"""A server as a process of its own: signals, log, exit code (K-318, K-331).

Signals are blocked in every thread and taken one at a time by a thread that waits for them: the
main thread sits in the kernel's wait, where Python's own handlers would not run.
"""

from __future__ import annotations

import gc
import resource
import signal
import sys
import threading
from collections.abc import Mapping
from typing import Any

from slipstream.config.options import Options
from slipstream.server import banner
from slipstream.server.errors import StartError
from slipstream.server.log import ServerLog
from slipstream.server.reload import log_settings
from slipstream.server.server import Server
from slipstream.server.terminal import complain, occupy_standard_descriptors, say

HANDLED = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2})
SWITCH_INTERVAL_S = 0.0005
NAMES = {
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hangup",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGUSR2: "user defined signal 2",
}


def run(options: Options, *, flags: Mapping[str, Any], program: str, announce: bool = False) -> int:
    """Serves until a signal ends it; `announce` says on stdout where. Returns the exit code."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)  # before any thread exists
    occupy_standard_descriptors()
    _use_all_descriptors()
    log = ServerLog()
    try:
        log.configure(log_settings(options))
    except OSError as error:
        complain(f"{program}: error opening file: {error}")
        return 1
    server = Server(options, log, flags=flags, program=program)
    threading.Thread(target=_take_signals, args=(server, log), name="signals", daemon=True).start()
    try:
        server.start()
    except StartError as error:
        log.fatal(str(error))
        return 1
    _settle()
    if announce:
        monitoring_url = server.monitoring_url if server.monitoring else ""
        say(banner.greeting(server.url, monitoring_url, server.options))
    server.run()
    log.close()
    return 0


def _use_all_descriptors() -> None:
    """As programs in Go do: clients and segments need more than the usual thousand, which is there
    for the sake of programs that call select().
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _settle() -> None:
    """What was made so far lives as long as the process: the collector need not look at it again.
    Threads hand over sooner than by default, so that a long monitoring page delays the loop less.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH_INTERVAL_S)


def _take_signals(server: Server, log: ServerLog) -> None:
    while True:
        received = signal.Signals(signal.sigwait(HANDLED))
        log.info(f'Trapped "{NAMES[received]}" signal')
        if received is signal.SIGINT or (
            received is signal.SIGTERM and not server.lame_duck.is_active
        ):
            server.stop()
        elif received is signal.SIGHUP:
            server.reload()
        elif received is signal.SIGUSR1:
            _reopen(log)
        elif received is signal.SIGUSR2:
            server.enter_lame_duck()


def _reopen(log: ServerLog) -> None:
    try:
        reopened = log.reopen()
    except OSError as error:
        log.error(f"File log re-open failed: {error}")
        return
    log.info("File log re-opened" if reopened else "File log re-open ignored, not a file logger")
