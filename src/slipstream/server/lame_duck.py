"""Lame duck mode: a server that goes away lets its clients leave without a rush (K-328).

It stops accepting, tells clients in an INFO (good ones then connect elsewhere), waits the grace
period, and closes those that are left one by one over the rest of the duration. Streams are served
until the last client is gone: this server has no peer that could take over.
"""

from __future__ import annotations

import time

from slipstream.kernel import Kernel
from slipstream.server.client_port import ClientPort
from slipstream.server.health import Health
from slipstream.server.log import Log
from slipstream.server.loop import Loop
from slipstream.server.running_options import RunningOptions

CLOSE_INTERVAL_MAX_S = 1.0
CLOSE_INTERVAL_MIN_S = 0.001
SERVER_SHUTDOWN = "Server Shutdown"


class LameDuck:
    """On the server's loop."""

    def __init__(
        self,
        kernel: Kernel,
        loop: Loop,
        port: ClientPort,
        options: RunningOptions,
        health: Health,
        log: Log,
    ) -> None:
        """Stops the loop, and with it the server, when the last client is gone."""
        self._kernel = kernel
        self._loop = loop
        self._port = port
        self._options = options
        self._health = health
        self._log = log
        self.is_active = False

    def enter(self) -> None:
        if self.is_active:
            return
        self.is_active = True
        self._log.info("Entering lame duck mode, stop accepting new clients")
        self._health.is_ready = False
        self._port.close()
        if not self._kernel.connections():
            self._loop.stop()
            return
        self._port.broadcast_info(lame_duck=True)
        grace_s = self._options.current.lame_duck_grace_period_ns / 1e9
        self._loop.timers.at(time.monotonic() + grace_s, self._begin_closing)

    def _begin_closing(self) -> None:
        cids = [connection.cid for connection in self._kernel.connections()]
        if not cids:
            self._loop.stop()
            return
        self._log.info("Closing existing clients")
        options = self._options.current
        left_s = (options.lame_duck_duration_ns - options.lame_duck_grace_period_ns) / 1e9
        interval_s = min(left_s / len(cids), CLOSE_INTERVAL_MAX_S)
        together = 1
        if interval_s < CLOSE_INTERVAL_MIN_S:
            together = int(CLOSE_INTERVAL_MIN_S / interval_s) + 1
            interval_s = CLOSE_INTERVAL_MIN_S
        self._close_next(cids, together, interval_s)

    def _close_next(self, cids: list[int], together: int, interval_s: float) -> None:
        for cid in cids[:together]:
            self._kernel.disconnect(cid, SERVER_SHUTDOWN)
        rest = cids[together:]
        if rest and self._kernel.connections():
            due_s = time.monotonic() + interval_s
            self._loop.timers.at(due_s, lambda: self._close_next(rest, together, interval_s))
        else:
            self._loop.stop()
