"""Lame duck mode: a server that goes away lets its clients leave without a rush (K-328).

It stops accepting, tells clients in an INFO (good ones then connect elsewhere), waits the grace
period, and closes those that are left one by one over the rest of the duration. Streams are served
until the last client is gone: this server has no peer that could take over.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipstream.server.server import Server

CLOSE_INTERVAL_MAX_S = 1.0
CLOSE_INTERVAL_MIN_S = 0.001
SERVER_SHUTDOWN = "Server Shutdown"


class LameDuck:
    """On the server's loop."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.is_active = False

    def enter(self) -> None:
        if self.is_active:
            return
        self.is_active = True
        server = self._server
        server.log.info("Entering lame duck mode, stop accepting new clients")
        server.stop_listening()
        if not server.kernel.connections():
            server.stop()
            return
        server.kernel.broadcast_info(server.info_json(lame_duck=True))
        grace_s = server.options.lame_duck_grace_period_ns / 1e9
        server.loop.timers.at(time.monotonic() + grace_s, self._begin_closing)

    def _begin_closing(self) -> None:
        server = self._server
        cids = [connection.cid for connection in server.kernel.connections()]
        if not cids:
            server.stop()
            return
        server.log.info("Closing existing clients")
        options = server.options
        left_s = (options.lame_duck_duration_ns - options.lame_duck_grace_period_ns) / 1e9
        interval_s = min(left_s / len(cids), CLOSE_INTERVAL_MAX_S)
        together = 1
        if interval_s < CLOSE_INTERVAL_MIN_S:
            together = int(CLOSE_INTERVAL_MIN_S / interval_s) + 1
            interval_s = CLOSE_INTERVAL_MIN_S
        self._close_next(cids, together, interval_s)

    def _close_next(self, cids: list[int], together: int, interval_s: float) -> None:
        kernel = self._server.kernel
        for cid in cids[:together]:
            kernel.disconnect(cid, SERVER_SHUTDOWN)
        rest = cids[together:]
        if rest and kernel.connections():
            due_s = time.monotonic() + interval_s
            self._server.loop.timers.at(due_s, lambda: self._close_next(rest, together, interval_s))
        else:
            self._server.stop()
