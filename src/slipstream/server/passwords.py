"""Compares passwords with bcrypt hashes on threads of its own: one comparison takes longer than
thousands of messages, and bcrypt releases the interpreter while it works.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from slipstream.jetstream.unexpected import Report
from slipstream.server.authentication import Claim, secrets_match

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

THREADS_MAX = 2


class PasswordChecker:
    """The number of waiting comparisons is bounded by the number of connections: each has one
    CONNECT.
    """

    def __init__(self, report: Report, threads: int = THREADS_MAX) -> None:
        self._report = report
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None

    def check(self, claim: Claim, verdict: Callable[[bool], None]) -> None:
        """Calls `verdict` on one of the threads; it must hand over to the server's loop."""

        def compare() -> None:
            matches = False
            try:
                matches = secrets_match(claim.given, claim.identity.secret)
            except Exception as error:
                self._report("the comparison of a password", error)
            verdict(matches)

        self._started_pool().submit(compare)

    def _started_pool(self) -> ThreadPoolExecutor:
        """Most servers know no hashes and start sooner without it."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="password")
        return self._pool

    def stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
