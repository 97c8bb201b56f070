"""The server's loop: one thread that owns all Python state, and the ways in for every other thread.

Kernel events, timers and calls that other threads post are handled here one after the other; so the
rest of the server needs no locks. Each step is meant to take about a millisecond; the longest so
far is kept for /varz. An exception that leaves a step is reported and ends this step alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from typing import TypeVar

from slipstream.jetstream.unexpected import Report
from slipstream.kernel import Kernel
from slipstream.kernel.events import Event
from slipstream.server.timers import Timers

T = TypeVar("T")

WAIT_MAX_S = 1.0
REQUESTS_PER_ROUND_MAX = 16  # then connects, timers and long answers are looked after
ROUND_S = 0.01  # a round that takes longer takes fewer requests the next time
WORK_RETRY_S = 0.1  # after a slice of work that raised
ANSWER_WAIT_MAX_S = 10.0
_END = object()


class LoopStopped(Exception):
    """The loop does not run (any more), so nobody answers."""


class Loop:
    """`run` belongs to one thread, `timers` too; `post` and `ask` may be called from any."""

    def __init__(
        self,
        kernel: Kernel,
        handle: Callable[[Event], None],
        work: Callable[[], float | None],
        report: Report,
    ) -> None:
        """`handle` gets each event. `work` does one slice of what is due and says in how many
        seconds there is more (None: not by itself). `report` gets what any of them raises.
        """
        self._kernel = kernel
        self._handle = handle
        self._work = work
        self._report = report
        self._work_due_s: float | None = 0.0
        self._posted: deque[Callable[[], object]] = deque()
        self._requests_per_round = REQUESTS_PER_ROUND_MAX
        self._stopping = False
        self._finished = threading.Event()
        self.timers = Timers()
        self.steps = 0
        self.step_ns_max = 0
        self.step_ns_total = 0

    def run(self) -> None:
        """Until `stop` was called."""
        try:
            while not self._stopping:
                self._round(self._kernel.wait_events(self._wait_s(), self._requests_per_round))
        finally:
            self._finished.set()

    def _wait_s(self) -> float:
        if self._posted:
            return 0.0
        now_s = time.monotonic()
        wait_s = self.timers.wait_s(now_s, WAIT_MAX_S)
        if self._work_due_s is not None:
            wait_s = min(wait_s, max(0.0, self._work_due_s - now_s))
        return wait_s

    def _round(self, events: list[Event]) -> None:
        began_s = time.monotonic()
        for event in events:
            self._step(type(event).__name__, partial(self._handle, event))
        while self._posted and not self._stopping:
            self._step("a posted call", self._posted.popleft())
        for callback in self.timers.take_due(time.monotonic()):
            self._step("a timer", callback)
        self._work_due_s = time.monotonic() + WORK_RETRY_S  # if it raises
        self._step("a slice of work", self._slice_of_work)
        self._set_pace(time.monotonic() - began_s)

    def _set_pace(self, round_s: float) -> None:
        """The kernel hands out what costs little first; of what costs much a round takes less, so
        that what comes meanwhile need not wait for all of it.
        """
        if round_s > ROUND_S:
            self._requests_per_round = max(1, self._requests_per_round // 2)
        elif round_s < ROUND_S / 2:
            self._requests_per_round = min(2 * self._requests_per_round, REQUESTS_PER_ROUND_MAX)

    def _slice_of_work(self) -> None:
        more_s = self._work()
        self._work_due_s = None if more_s is None else time.monotonic() + more_s

    def _step(self, what: str, step: Callable[[], object]) -> None:
        started_ns = time.monotonic_ns()
        try:
            step()
        except Exception as error:
            self._report(what, error)
        finally:
            took_ns = time.monotonic_ns() - started_ns
            self.steps += 1
            self.step_ns_total += took_ns
            self.step_ns_max = max(self.step_ns_max, took_ns)

    def stop(self) -> None:
        """Ends `run` after the current step; from any thread."""
        self._stopping = True
        self._kernel.wake()

    def post(self, call: Callable[[], object]) -> None:
        """Runs a call on the loop soon; from any thread."""
        self._posted.append(call)
        self._kernel.wake()

    def ask(self, question: Callable[[], T]) -> T:
        """Runs a question on the loop and waits for its answer. Not from the loop itself.

        Raises LoopStopped when there is no loop to answer; the question is not run later then, so
        that a loop that is stuck has at most one of each thread that asks.
        """
        answers: list[T | BaseException] = []
        answered = threading.Event()

        def answer() -> None:
            try:
                answers.append(question())
            except Exception as error:
                answers.append(error)
            answered.set()

        self.post(answer)
        deadline_s = time.monotonic() + ANSWER_WAIT_MAX_S
        while not answered.wait(0.05 if self._finished.is_set() else WAIT_MAX_S):
            if self._finished.is_set() or time.monotonic() > deadline_s:
                with suppress(ValueError):  # it is being run
                    self._posted.remove(answer)
                raise LoopStopped("the server is stopping or too busy to answer")
        first = answers[0]
        if isinstance(first, BaseException):
            raise first
        return first

    def slices(self, questions: Iterator[T]) -> Iterator[T]:
        """Lets an iterator run on the loop, one step at a time, between the loop's other work. Not
        from the loop itself. Raises LoopStopped.
        """
        while True:
            step = self.ask(lambda: next(questions, _END))
            if step is _END:
                return
            yield step  # type: ignore[misc]

    def ask_in_slices(self, question: Generator[None, None, T]) -> Generator[None, None, T]:
        """The same for what has one answer in the end."""

        def step() -> list[T]:
            try:
                next(question)
            except StopIteration as end:
                return [end.value]
            return []

        while not (answer := self.ask(step)):
            yield
        return answer[0]
