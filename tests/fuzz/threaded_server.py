"""A server with all its threads in this process, for a kernel that a sanitizer of threads watches.

    python threaded_server.py [--race LIBRARY]

Prints "PORT MONITORING_PORT", begins checkpoints all the time, and stops when its standard input
ends. With --race it calls the library's deliberate race instead, by which run_thread_sanitized.sh
proves that races are reported.
"""

from __future__ import annotations

import ctypes
import sys
import threading

from slipstream.testing import server

CHECKPOINT_S = 0.05


def main() -> int:
    if sys.argv[1:2] == ["--race"]:
        ctypes.CDLL(sys.argv[2]).race()
        return 0
    with server(http_port=-1) as running:
        ended = threading.Event()

        def wait_for_the_end() -> None:
            sys.stdin.read()
            ended.set()

        threading.Thread(target=wait_for_the_end, daemon=True).start()
        print(running.port, running.monitoring_url.rsplit(":", 1)[1], flush=True)
        kernel = running.server.kernel
        while not ended.wait(CHECKPOINT_S):
            kernel.checkpoint()
    return 0


if __name__ == "__main__":
    sys.exit(main())
