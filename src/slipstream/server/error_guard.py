"""Exceptions that no code expected: each one ends the step that raised it, never the server.

The loop, the API and the monitoring port catch Exception around each step that they run for a
client, undo what it had begun, and report here. KeyboardInterrupt and SystemExit are no Exceptions
and end the server. MemoryError is one: a single request asked for too much, and giving it up frees
what it held.

The id of an error is a hash of its place in the code. The same fault therefore has the same id, one
entry of the log explains all answers that name it, and a client that repeats its request cannot
fill the disk with tracebacks.
"""

from __future__ import annotations

import hashlib
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from slipstream.gotext.quoting import escaped
from slipstream.server.log import Log

LOG_INTERVAL_S = 60.0  # between two entries with the same id
IDS_MAX = 256  # remembered; each is a place in the code, so that there are few
_FRAMES_LOGGED_MAX = 30  # the innermost ones
_FRAMES_HASHED = 4
_TEXT_MAX = 500


@dataclass(slots=True)
class _Logged:
    at_s: float
    unlogged: int = 0  # how many came since


class ErrorGuard:
    """From any thread."""

    def __init__(self, log: Log, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._logged: dict[str, _Logged] = {}
        self.errors = 0

    def report(self, what: str, error: Exception) -> str:
        """Counts and logs `error`, which the caller has just caught. `what` names the step that
        raised it and may contain a client's text. Returns the id.
        """
        id_ = _id(error)
        with self._lock:
            self.errors += 1
            now_s = self._clock_s()
            known = self._logged.get(id_)
            if known is not None and now_s - known.at_s < LOG_INTERVAL_S:
                known.unlogged += 1
                return id_
            repeated = f" ({known.unlogged} more since it was logged last)" if known else ""
            self._logged.pop(id_, None)
            if len(self._logged) >= IDS_MAX:
                del self._logged[next(iter(self._logged))]
            self._logged[id_] = _Logged(now_s)
        self._log.error(_entry(id_, what, error, repeated))
        return id_


def _id(error: Exception) -> str:
    lines = [
        f"{frame.f_code.co_filename}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    place = "\n".join([type(error).__qualname__, *lines[-_FRAMES_HASHED:]])
    return hashlib.blake2b(place.encode(), digest_size=4).hexdigest()


def _entry(id_: str, what: str, error: Exception, repeated: str) -> str:
    """One line, then the frames: source code alone, so that no text of a client begins a line."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_FRAMES_LOGGED_MAX)
    cause = f"{type(error).__name__}: {_shown(str(error))}"
    head = f"Unexpected error {id_} in {_shown(what)}{repeated}: {cause}"
    return "\n".join([head, *"".join(traceback.format_list(frames)).splitlines()])


def _shown(text: str) -> str:
    shown = escaped(text[:_TEXT_MAX].encode("utf-8", "surrogatepass"))
    return shown if len(text) <= _TEXT_MAX else f"{shown}..."
