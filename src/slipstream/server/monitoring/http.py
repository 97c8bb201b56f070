"""The monitoring port: HTTP on one thread for all connections, and two that make the answers
(K-216, K-218).

Whatever clients do, threads, connections and bytes are bounded, and a health probe is answered:
when all places are taken, the connection that has been idle for longest goes; a request has to
arrive, and an answer to be taken, within a time; probes have a thread of their own, so that they do
not wait behind a long page.

Like nats-server it answers every method as GET, with indented JSON; an unknown path is 404, a
parameter that cannot be read 400 with a text.
"""

from __future__ import annotations

import enum
import queue
import selectors
import socket
import threading
import time
from collections import deque
from contextlib import suppress

from slipstream.server import listeners
from slipstream.server.monitoring.answering import (
    TEXT_TYPE,
    Abandoned,
    Pace,
    answer,
    is_health_probe,
    response,
)
from slipstream.server.monitoring.http_request import (
    HEAD_BYTES_MAX,
    BadHead,
    HttpRequest,
    head_end,
    parse_head,
)
from slipstream.server.monitoring.monitored import Monitored

CONNECTIONS_MAX = 64
ACCEPTS_PER_ROUND = 16
REQUEST_S_MAX = 5.0  # from a connection, or a request's first byte, to the request's last byte
IDLE_S_MAX = 60.0  # between requests
ANSWER_S_MAX = 30.0  # to take an answer, from its first byte to its last
ANSWERS_BYTES_MAX = 64 << 20  # that wait to be taken; beyond, the slowest connection goes
ACCEPT_PAUSE_S = 0.5  # when no descriptor is left and no connection can go
_READ_BYTES = 16 * 1024


class _State(enum.Enum):
    READING = enum.auto()
    IDLE = enum.auto()
    ANSWERING = enum.auto()
    WRITING = enum.auto()


class _Connection:
    def __init__(self, opened: socket.socket, now_s: float) -> None:
        self.socket = opened
        self.received = bytearray()
        self.skipped_bytes = 0  # of a body, still to come
        self.request: HttpRequest | None = None
        self.unsent = memoryview(b"")
        self.closes = False  # behind the answer
        self.at_end = False  # the client sends nothing more
        self.is_closed = False
        self.events = 0  # what the selector watches
        self.enter(_State.READING, now_s)

    def enter(self, state: _State, now_s: float) -> None:
        self.state, self.since_s = state, now_s
        self.deadline_s = (
            now_s
            + {
                _State.READING: REQUEST_S_MAX,
                _State.IDLE: IDLE_S_MAX,
                _State.ANSWERING: float("inf"),
                _State.WRITING: ANSWER_S_MAX,
            }[state]
        )

    @property
    def wanted_events(self) -> int:
        reads = not self.at_end and len(self.received) <= HEAD_BYTES_MAX
        return (selectors.EVENT_READ if reads else 0) | (
            selectors.EVENT_WRITE if self.unsent else 0
        )


class MonitoringServer:
    """Listens from its creation on, answers from `start` on."""

    def __init__(self, monitored: Monitored, host: str, port: int) -> None:
        """Raises ListenError."""
        self._monitored = monitored
        self._listener = listeners.listen(host, port)
        self.host, self.port = listeners.address(self._listener, host)
        self._connections: set[_Connection] = set()
        self._stopping = threading.Event()
        self._waker, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._accepts_again_s = 0.0  # not 0: the listener is not watched until then
        self._answers: deque[tuple[_Connection, bytes]] = deque()
        self._pages = _Answerer(self, "monitoring pages")
        self._probes = _Answerer(self, "monitoring probes")
        self._thread = threading.Thread(target=self._run, name="monitoring", daemon=True)

    def start(self) -> None:
        for thread in (self._thread, self._pages, self._probes):
            thread.start()

    def stop(self) -> None:
        """Returns when no further request is taken."""
        self._stopping.set()
        if self._thread.is_alive():
            self._wake()
            self._thread.join()
        for answerer in (self._pages, self._probes):
            answerer.tasks.put(None)
        for connection in list(self._connections):
            self._close(connection)
        self._selector.close()
        for one in (self._listener, self._waker, self._woken):
            one.close()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # full of wake-ups already
            self._waker.send(b"w")

    # -- the thread of the connections

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, events in self._selector.select(self._wait_s()):
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj is self._woken:
                    self._woken.recv(_READ_BYTES)
                else:
                    self._guarded(key.data, events)
            while self._answers:
                self._take_answer(*self._answers.popleft())
            self._expire(time.monotonic())

    def _wait_s(self) -> float | None:
        deadlines = [one.deadline_s for one in self._connections]
        if self._accepts_again_s:
            deadlines.append(self._accepts_again_s)
        nearest_s = min(deadlines, default=float("inf"))
        return None if nearest_s == float("inf") else max(0.0, nearest_s - time.monotonic())

    def _expire(self, now_s: float) -> None:
        for connection in [one for one in self._connections if one.deadline_s <= now_s]:
            self._close(connection)
        if 0 < self._accepts_again_s <= now_s:
            self._accepts_again_s = 0.0
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _accept(self) -> None:
        """A few: in a storm of newcomers, those who have come are read before they would have to
        go.
        """
        for _ in range(ACCEPTS_PER_ROUND):
            try:
                opened, _ = self._listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is left
                if self._connections:
                    self._evict()
                    continue
                self._selector.unregister(self._listener)
                self._accepts_again_s = time.monotonic() + ACCEPT_PAUSE_S
                return
            if len(self._connections) >= CONNECTIONS_MAX:
                self._evict()
            opened.setblocking(False)
            connection = _Connection(opened, time.monotonic())
            self._connections.add(connection)
            self._watch(connection)
            self._guarded(connection, selectors.EVENT_READ)  # the request is often there already

    def _evict(self) -> None:
        """The one that waits for its client for longest; with answers under way everywhere, the
        slowest of those.
        """
        under_way = (_State.ANSWERING, _State.WRITING)
        self._close(min(self._connections, key=lambda one: (one.state in under_way, one.since_s)))

    def _guarded(self, connection: _Connection, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._send(connection)
            if events & selectors.EVENT_READ and not connection.is_closed:
                self._receive(connection)
        except OSError:  # the client went away
            self._close(connection)
        except Exception as error:
            self._monitored.guard.report("a monitoring request", error)
            self._close(connection)

    def _receive(self, connection: _Connection) -> None:
        try:
            received = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        if received:
            if connection.state is _State.IDLE:
                connection.enter(_State.READING, time.monotonic())
            connection.received += received
        else:
            connection.at_end = True
            if connection.state in (_State.READING, _State.IDLE):
                self._close(connection)
                return
        self._read_request(connection)
        self._watch(connection)

    def _read_request(self, connection: _Connection) -> None:
        """Takes the next request out of what was received, when it is complete."""
        if connection.state is not _State.READING:
            return
        request = connection.request
        if request is None:
            end = head_end(connection.received)
            if not end:
                if len(connection.received) > HEAD_BYTES_MAX:
                    self._refuse(connection, 431)
                return
            try:
                request = parse_head(bytes(connection.received[:end]))
            except BadHead:
                self._refuse(connection, 400)
                return
            del connection.received[:end]
            connection.request, connection.skipped_bytes = request, request.body_bytes
        skipped = min(connection.skipped_bytes, len(connection.received))
        del connection.received[:skipped]
        connection.skipped_bytes -= skipped
        if connection.skipped_bytes:
            return
        connection.closes = not request.keep_alive
        connection.enter(_State.ANSWERING, time.monotonic())
        is_probe = is_health_probe(self._monitored.options.current.http_base_path, request)
        (self._probes if is_probe else self._pages).tasks.put((connection, request))

    def _refuse(self, connection: _Connection, status: int) -> None:
        connection.closes = True
        self._take_answer(connection, response(None, status, TEXT_TYPE, f"{status}\n".encode()))

    def _take_answer(self, connection: _Connection, text: bytes) -> None:
        if connection.is_closed:
            return
        connection.unsent = memoryview(text)
        connection.enter(_State.WRITING, time.monotonic())
        self._guarded(connection, selectors.EVENT_WRITE)
        self._bound_answers()

    def _bound_answers(self) -> None:
        writing = [one for one in self._connections if one.unsent]
        writing.sort(key=lambda one: one.since_s)
        waiting_bytes = sum(len(one.unsent) for one in writing)
        for slowest in writing[:-1]:  # a single answer of any size may go out
            if waiting_bytes <= ANSWERS_BYTES_MAX:
                return
            waiting_bytes -= len(slowest.unsent)
            self._close(slowest)

    def _send(self, connection: _Connection) -> None:
        try:
            while connection.unsent:
                sent = connection.socket.send(connection.unsent)
                connection.unsent = connection.unsent[sent:]
        except BlockingIOError:
            self._watch(connection)
            return
        if connection.closes or connection.at_end:
            self._close(connection)
            return
        connection.request = None
        state = _State.READING if connection.received else _State.IDLE
        connection.enter(state, time.monotonic())
        self._read_request(connection)  # one may have been sent along with the last
        self._watch(connection)

    def _watch(self, connection: _Connection) -> None:
        wanted = 0 if connection.is_closed else connection.wanted_events
        if wanted == connection.events:
            return
        if not wanted:
            self._selector.unregister(connection.socket)
        elif not connection.events:
            self._selector.register(connection.socket, wanted, connection)
        else:
            self._selector.modify(connection.socket, wanted, connection)
        connection.events = wanted

    def _close(self, connection: _Connection) -> None:
        connection.is_closed = True
        self._connections.discard(connection)
        self._watch(connection)
        connection.socket.close()

    # -- the threads of the answers

    def make_answer(self, connection: _Connection, request: HttpRequest) -> None:
        """On an answerer's thread."""
        pace = Pace(lambda: not connection.is_closed, self._stopping)
        if connection.is_closed:
            return
        with suppress(Abandoned):
            text = answer(self._monitored, request, pace)
            self._answers.append((connection, text))
            self._wake()


class _Answerer(threading.Thread):
    """Makes one answer after the other. At most one per connection waits."""

    def __init__(self, monitoring: MonitoringServer, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.tasks: queue.SimpleQueue[tuple[_Connection, HttpRequest] | None] = queue.SimpleQueue()
        self._monitoring = monitoring

    def run(self) -> None:
        while (task := self.tasks.get()) is not None:
            self._monitoring.make_answer(*task)
