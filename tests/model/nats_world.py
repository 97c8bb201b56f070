"""nats-server in the place of ours: the same operations, held against the same model.

The model is only worth what it is like. Here it is the model that is judged: what nats-server
answers, delivers and shows must be what the model says. Time is real, so nothing that depends on
it is done, and the times that nats-server tells are not compared.
"""

from __future__ import annotations

import json
import re
import select
import socket
import time
from typing import Any

from pin_names import PinNames
from slipstream.kernel.events import RequestEvent
from slipstream.testing.simulated_node import SimulatedClock
from world import (
    API,
    FIRST_SERVICE,
    INBOX,
    INBOXES,
    Answer,
    Expected,
    Possibility,
    World,
    inbox_subjects,
)

QUIET_S = 0.02
ANSWER_S = 30.0
_ACK_TIME = re.compile(rb"^(\$JS\.ACK\.(?:[^.]+\.){5})[^.]+")
_STAMP = re.compile(rb"(Nats-Time-Stamp: )[^\r]+")
_TIMES = frozenset(("first_ts", "last_ts", "last_active", "time", "pinned_ts"))


class NatsWorld(World):
    """`port` of a server whose store is empty."""

    def __init__(self, port: int) -> None:
        self.clock = SimulatedClock()  # stands still
        self.streams: dict[str, list[Possibility]] = {}
        self.numbers = self.sync_interval_ns = 0
        self.pins = PinNames()
        self.arrived: dict[int, list[RequestEvent]] = {}
        self.deliveries: dict[str, list[RequestEvent]] = {}
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._received = b""
        self._pongs = 0
        options = {"verbose": False, "headers": True, "no_responders": False, "protocol": 1}
        self._write(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        for i, subject in enumerate(inbox_subjects()):
            self._write(b"SUB %b %d\r\n" % (subject, i + 1))

    def close(self) -> None:
        """Its interest is gone when this returns; the next one begins without it."""
        for i in range(INBOXES):
            self._write(b"UNSUB %d\r\n" % (i + 1))
        self._wait_for_pong()
        self._socket.close()

    def _wait_for_pong(self) -> None:
        self._write(b"PING\r\n")
        pongs = self._pongs
        while self._pongs == pongs:
            assert self._read(ANSWER_S), "nats-server does not answer"

    def _write(self, text: bytes) -> None:
        self._socket.sendall(text)

    def send(self, subject: bytes, reply: bytes, header: bytes, body: bytes) -> None:
        to = subject + (b" " + reply if reply else b"")
        if header:
            sizes = b"%d %d" % (len(header), len(header) + len(body))
            self._write(b"HPUB %b %b\r\n%b%b\r\n" % (to, sizes, header, body))
        else:
            self._write(b"PUB %b %d\r\n%b\r\n" % (to, len(body), body))

    # -- what arrives

    def _read(self, wait_s: float) -> bool:
        """False when nothing came in that time."""
        if not select.select([self._socket], [], [], wait_s)[0]:
            return False
        got = self._socket.recv(1 << 16)
        assert got, "nats-server closed the connection"
        self._received += got
        while self._take_one():
            pass
        return True

    def _take_one(self) -> bool:
        line, separator, rest = self._received.partition(b"\r\n")
        if not separator:
            return False
        words = line.split(b" ")
        if words[0] not in (b"MSG", b"HMSG"):
            assert words[0] in (b"INFO", b"PING", b"PONG"), line
            if words[0] == b"PING":
                self._write(b"PONG\r\n")
            self._pongs += words[0] == b"PONG"
            self._received = rest
            return True
        size = int(words[-1])
        if len(rest) < size + 2:
            return False
        head = int(words[-2]) if words[0] == b"HMSG" else 0
        fixed = 5 if words[0] == b"HMSG" else 4
        reply = words[3] if len(words) > fixed else b""
        service = FIRST_SERVICE + int(words[2]) - 1
        event = RequestEvent(service, 0, 0, words[1], reply, rest[:head], rest[head:size])
        self._received = rest[size + 2 :]
        self._take(event)
        return True

    def _take(self, event: Any) -> None:
        self.arrived.setdefault(event.service - FIRST_SERVICE, []).append(event)
        if event.reply.startswith(b"$JS.ACK."):
            self.deliveries.setdefault(event.reply.split(b".")[2].decode(), []).append(event)

    # -- one step

    def settle(self) -> None:
        self._wait_for_pong()
        deadline = time.monotonic() + ANSWER_S
        while not self.everything_arrived() and time.monotonic() < deadline:
            self._read(QUIET_S)
        while self._read(QUIET_S):  # and nothing more
            pass
        self._compare_arrived()
        for stream in list(self.streams):
            self._compare_state_in_time(stream, deadline)

    def _compare_state_in_time(self, stream: str, deadline: float) -> None:
        """What it shows may lag behind what it sends."""
        while True:
            try:
                return self._compare_state(stream)
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                self._read(QUIET_S)

    def ask(self, verb: str, body: Answer | None = None) -> Answer:
        inbox = self.inbox()
        space = int(inbox.split(b".")[1])
        payload = b"" if body is None else json.dumps(body).encode()
        self.send(API + verb.encode(), inbox, b"", payload)
        while space not in self.arrived:
            assert self._read(ANSWER_S), f"{verb} is not answered"
        answer = json.loads(self.arrived.pop(space)[0].body)
        assert isinstance(answer, dict)
        return without_times(answer)

    def differs(self, expected: Expected, event: RequestEvent) -> str:
        sent = expected.sent
        if expected.answer is not None:
            answer = without_times(json.loads(event.body))
            timeless = Expected(sent, without_times(expected.answer), 0)
            return super().differs(timeless, event._replace(body=json.dumps(answer).encode()))
        timeless = Expected(
            sent._replace(reply=_masked(sent.reply), header=_masked(sent.header)), None, 0
        )
        masked = event._replace(reply=_masked(event.reply), header=_masked(event.header))
        return super().differs(timeless, masked)

    def known(self, shown: Any) -> Any:
        known = without_times(super().known(shown))
        if isinstance(known, dict) and known.get("state", {}).get("deleted") == [0]:
            # A file stream that was never written to counts a message that cannot be.
            del known["state"]["deleted"], known["state"]["num_deleted"]
        return known


def _masked(text: bytes) -> bytes:
    return _STAMP.sub(rb"\1T", _ACK_TIME.sub(rb"\1T", text))


def without_times(answer: Any) -> Any:
    """A time is there, or it is not; which one is not compared."""
    if isinstance(answer, list):
        return [without_times(item) for item in answer]
    if not isinstance(answer, dict):
        return answer
    return {
        key: "T" if key in _TIMES and not str(value).startswith("0001") else without_times(value)
        for key, value in answer.items()
    }


assert INBOX == b"_BOX."
