"""A well-behaved client beside hostile ones, in a process of its own: measures what it is promised.

    python bystander.py PORT MONITORING_PORT SERVER_PID [MEMBERS_OF_CONNECT]

Until its standard input ends it repeats: PING, a publish that is acknowledged, a fetch with a
confirmed acknowledgement, a request to a service of its own, INFO, a new connection, /healthz. Then
it prints one line of JSON: the latencies by kind, the long waits, and the acknowledged messages.

A busy machine is no fault of the server: with each long wait stands how long the server's threads
waited for a processor, and how late this process's own clock was.
"""

from __future__ import annotations

import http.client
import json
import select
import socket
import sys
import threading
import time
import urllib.request
from pathlib import Path

CHUNK_BYTES = 1 << 16
ANSWER_S_MAX = 20.0
REST_S = 0.01
LONG_S = 0.25
STREAM = "WITNESS"


class Unanswered(Exception):
    pass


class Line:
    """One connection, with blocking requests."""

    def __init__(self, port: int, login: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), ANSWER_S_MAX)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        self._requests = 0
        self.send(
            b'CONNECT {"verbose":false,"headers":true,"no_responders":true%b}\r\n' % login.encode()
        )

    def close(self) -> None:
        self._socket.close()

    def send(self, sent: bytes) -> None:
        self._socket.settimeout(ANSWER_S_MAX)
        self._socket.sendall(sent)

    def _fill(self, end: float) -> None:
        self._socket.settimeout(max(end - time.monotonic(), 0.001))
        try:
            received = self._socket.recv(CHUNK_BYTES)
        except TimeoutError:
            raise Unanswered("no answer") from None
        if not received:
            raise Unanswered(f"closed by the server: {bytes(self._received[-200:])!r}")
        self._received += received

    def frame(self, end: float) -> tuple[bytes, bytes, bytes, bytes]:
        """The subscription and a message's reply, header and body; or a line alone."""
        while True:
            if (at := self._received.find(b"\r\n")) >= 0:
                words = bytes(self._received[:at]).split(b" ")
                if words[0] not in (b"MSG", b"HMSG"):
                    del self._received[: at + 2]
                    if words[0] == b"PING":
                        self.send(b"PONG\r\n")
                        continue
                    return b" ".join(words), b"", b"", b""
                size = int(words[-1])
                if len(self._received) >= at + 4 + size:
                    payload = bytes(self._received[at + 2 : at + 2 + size])
                    del self._received[: at + 4 + size]
                    header_size = int(words[-2]) if words[0] == b"HMSG" else 0
                    has_reply = len(words) == (6 if words[0] == b"HMSG" else 5)
                    reply = words[3] if has_reply else b""
                    header, body = payload[:header_size], payload[header_size:]
                    return words[2], reply, header, body
            self._fill(end)

    def ping(self) -> None:
        self.send(b"PING\r\n")
        end = time.monotonic() + ANSWER_S_MAX
        while self.frame(end)[0] != b"PONG":
            pass

    def request(self, to: str, body: bytes = b"") -> tuple[bytes, bytes, bytes]:
        """The reply, header and body of its answer."""
        self._requests += 1
        inbox = b"_INBOX.bystander.%d.%d" % (id(self), self._requests)
        sid = b"r%d" % self._requests
        self.send(
            b"SUB %b %b\r\nUNSUB %b 1\r\nPUB %b %b %d\r\n%b\r\n"
            % (inbox, sid, sid, to.encode(), inbox, len(body), body)
        )
        end = time.monotonic() + ANSWER_S_MAX
        while True:
            line, reply, header, answer = self.frame(end)
            if line == sid:
                return reply, header, answer
            if line.startswith(b"-ERR"):
                raise Unanswered(line.decode("latin-1"))


def waited_ns(pid: int) -> int:
    """How long the thread that waited longest had no processor although it wanted to run."""
    longest = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            longest = max(longest, int(path.read_text().split()[1]))
        except (OSError, IndexError):
            continue
    return longest


class Bystander:
    def __init__(self, port: int, monitoring_port: int, pid: int, login: str) -> None:
        self._port, self._monitoring_port, self._pid = port, monitoring_port, pid
        self._login = login
        self._line = Line(port, login)
        self._service = threading.Thread(target=self._serve, daemon=True)
        self.latencies: dict[str, list[float]] = {}
        self.long: list[tuple[str, float, float, float]] = []  # see machine_probe.Wait
        self.refused: list[str] = []
        self.acknowledged: dict[int, str] = {}
        self.removed = 0
        self._published = 0
        self._latest = time.monotonic()
        self._lateness_s = 0.0
        threading.Thread(target=self._watch_own_clock, daemon=True).start()

    def _watch_own_clock(self) -> None:
        while True:
            began = time.monotonic()
            time.sleep(0.02)
            self._lateness_s += max(time.monotonic() - began - 0.03, 0)

    def _serve(self) -> None:
        line = Line(self._port, self._login)
        line.send(b"SUB bystander.ask 1\r\nPING\r\n")
        while True:
            try:
                _, reply, _, body = line.frame(time.monotonic() + 3600)
            except (Unanswered, OSError):
                return
            if reply:
                line.send(b"PUB %b %d\r\n%b\r\n" % (reply, len(body), body))

    def prepare(self) -> None:
        config = {"name": STREAM, "subjects": ["bystander.stored"], "storage": "file"}
        config |= {"allow_direct": True, "num_replicas": 1}
        self._must(f"$JS.API.STREAM.CREATE.{STREAM}", config)
        consumer = {"durable_name": "d", "ack_policy": "explicit", "ack_wait": 60 * 10**9}
        asked = {"stream_name": STREAM, "config": consumer}
        self._must(f"$JS.API.CONSUMER.CREATE.{STREAM}.d", asked)
        self._service.start()
        for _ in range(100):
            if b"503" not in self._line.request("bystander.ask")[1]:
                return
            time.sleep(0.02)
        raise Unanswered("its own service is not heard")

    def _must(self, to: str, asked: object) -> None:
        _, _, body = self._line.request(to, json.dumps(asked).encode())
        if b'"error"' in body:
            raise Unanswered(body.decode("utf-8", "replace"))

    def round(self, number: int) -> None:
        self._measure("ping", self._line.ping)
        self._measure("publish", self._publish)
        self._measure("fetch", self._fetch)
        self._measure("request", self._ask)
        if number % 3 == 0:
            self._measure("info", self._info)
        if number % 10 == 0:
            self._measure("connect", self._reconnect)
        if number % 20 == 0:
            self._measure("healthz", self._healthz)

    def _measure(self, kind: str, act) -> None:  # type: ignore[no-untyped-def]
        waited, late = waited_ns(self._pid), self._lateness_s
        began = time.monotonic()
        act()
        took = time.monotonic() - began
        self.latencies.setdefault(kind, []).append(took)
        if took > LONG_S:
            queued = max((waited_ns(self._pid) - waited) / 1e9, self._lateness_s - late)
            self.long.append((kind, began, took, min(queued, took)))

    def _publish(self) -> None:
        self._published += 1
        body = b"%d" % self._published
        _, header, answer = self._line.request("bystander.stored", body)
        acked = json.loads(answer) if answer else {"error": header.decode("latin-1")}
        if "error" in acked:
            self.refused.append(f"a publish: {acked['error']}")
        else:
            self.acknowledged[acked["seq"]] = body.decode()

    def _fetch(self) -> None:
        body = b'{"batch":1,"no_wait":true}'
        reply, header, _ = self._line.request(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.d", body)
        if reply.startswith(b"$JS.ACK."):
            self._line.request(reply.decode(), b"+ACK")
        elif b"404" not in header and b"408" not in header:
            self.refused.append(f"a fetch: {header!r}")

    def _ask(self) -> None:
        _, header, body = self._line.request("bystander.ask", b"how are you")
        if body != b"how are you":
            self.refused.append(f"a request: {header!r}")

    def _info(self) -> None:
        _, header, body = self._line.request(f"$JS.API.STREAM.INFO.{STREAM}")
        if b'"error"' in body or not body:
            self.refused.append(f"INFO: {header!r} {body[:200]!r}")

    def _reconnect(self) -> None:
        line = Line(self._port, self._login)
        line.ping()
        line.close()

    def _healthz(self) -> None:
        """Where very many connect at once, one that has not sent its request yet may be cut off:
        then again.
        """
        try:
            status = self._health_status()
        except http.client.RemoteDisconnected:
            status = self._health_status()
        if status != 200:
            self.refused.append(f"/healthz: {status}")

    def _health_status(self) -> int:
        url = f"http://127.0.0.1:{self._monitoring_port}/healthz"
        with urllib.request.urlopen(url, timeout=ANSWER_S_MAX) as answer:
            status: int = answer.status
            return status

    def report(self, ended: str) -> str:
        return json.dumps(
            {
                "latencies": self.latencies,
                "long": self.long,
                "refused": self.refused[:50],
                "acknowledged": self.acknowledged,
                "ended": ended,
            }
        )


def main() -> int:
    port, monitoring_port, pid = map(int, sys.argv[1:4])
    bystander = Bystander(port, monitoring_port, pid, sys.argv[4] if len(sys.argv) > 4 else "")
    ended = ""
    try:
        bystander.prepare()
        print("ready", flush=True)
        number = 0
        while not select.select([sys.stdin], [], [], REST_S)[0]:
            bystander.round(number)
            number += 1
    except (Unanswered, OSError, ValueError) as error:
        ended = f"{type(error).__name__}: {error}"
    print(bystander.report(ended), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
