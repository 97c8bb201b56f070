"""Compares passwords with bcrypt hashes on threads of its own: one comparison takes longer than
thousands of messages, and bcrypt releases the interpreter while it works.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from slipstream.jetstream.unexpected import Report
from slipstream.server.authentication import Claim, secrets_match

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

THREADS_MAX = 2


class PasswordChecker:
    """One comparison waits for each connection at most: `withdraw` takes back that of a connection
    that is gone. So clients that connect and leave neither fill the queue nor delay the others.
    """

    def __init__(self, report: Report, threads: int = THREADS_MAX) -> None:
        self._report = report
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()  # of the two below
        self._waiting: dict[int, tuple[Claim, Callable[[bool], None]]] = {}  # by cid, oldest first
        self._working = 0  # threads that look for more

    def __len__(self) -> int:
        """Comparisons that have not begun."""
        return len(self._waiting)

    def check(self, cid: int, claim: Claim, verdict: Callable[[bool], None]) -> None:
        """Calls `verdict` on one of the threads; it must hand over to the server's loop."""
        with self._lock:
            self._waiting[cid] = (claim, verdict)
            if self._working == self._threads:
                return
            self._working += 1
        self._started_pool().submit(self._work)

    def withdraw(self, cid: int) -> None:
        with self._lock:
            self._waiting.pop(cid, None)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._working -= 1
                    return
                claim, verdict = self._waiting.pop(next(iter(self._waiting)))
            verdict(self._matches(claim))

    def _matches(self, claim: Claim) -> bool:
        try:
            return secrets_match(claim.given, claim.identity.secret)
        except Exception as error:
            self._report("the comparison of a password", error)
            return False

    def _started_pool(self) -> ThreadPoolExecutor:
        """Most servers know no hashes and start sooner without it."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="password")
        return self._pool

    def stop(self) -> None:
        with self._lock:
            self._waiting.clear()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
