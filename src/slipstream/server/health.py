"""How a server is doing: whether clients can connect, whether the store takes messages."""

from __future__ import annotations

import time

from slipstream.gotext.durations import format_duration
from slipstream.kernel.events import StorageEvent
from slipstream.server.log import Log

NO_ROOM_LOGGED_NS = 10_000_000_000  # between two lines about it


class Health:
    """Written on the server's loop, and by its start; any thread may read it."""

    def __init__(self, log: Log) -> None:
        self.is_ready = False
        self.store_failure = ""
        self.no_room = ""  # on the disk of the store, and why
        self._log = log
        self._no_room_is_logged = False
        self._no_room_logged_ns = -NO_ROOM_LOGGED_NS

    def store_failed(self, text: str) -> None:
        self.store_failure = text
        self._log.error(f"JetStream failed and accepts nothing more on this server: {text}")

    def storage_changed(self, event: StorageEvent) -> None:
        """On a disk that is full again and again, the log hears of it now and then."""
        now_ns = time.monotonic_ns()
        self.no_room = event.text if event.is_full else ""
        if event.is_full:
            self._no_room_is_logged = now_ns - self._no_room_logged_ns >= NO_ROOM_LOGGED_NS
            if self._no_room_is_logged:
                self._no_room_logged_ns = now_ns
                self._log.error(f"JetStream out of storage, messages are refused: {event.text}")
        elif self._no_room_is_logged:
            took = format_duration(now_ns - self._no_room_logged_ns)
            self._log.info(f"JetStream has storage again, after {took}: {event.text}")
