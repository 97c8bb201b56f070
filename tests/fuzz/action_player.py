"""Plays actions (hostile_actions.py) against a server, and judges what comes back.

What comes back must be frames of the protocol and nothing else: a line that no server sends was
forged by somebody's text. Answers of the API must be JSON.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import time
from collections import Counter
from typing import Any

from slipstream.testing import ServerProcess

Action = dict[str, Any]
READ_BYTES = 1 << 16
SENDING_S_MAX = 3.0
RESTORE_S_MAX = 3.0
UNSENT_BYTES_MAX = 4 << 20
ORIGIN_API = b"fz.origin.api."
OWN = b'"stream_name":"ORIGIN"'  # an answer that hostile clients gave
# A carriage return alone ends no line and may stand in a subject.
_LINE = re.compile(rb"(MSG|HMSG) ([^ \n]+) ([^ \n]+) (?:([^ \n]+) )?(?:(\d+) )?(\d+)")
_OTHERS = re.compile(rb"PING|PONG|\+OK|-ERR '[^'\r\n]*'|INFO \{[^\r\n]*\} ?")


class Forged(Exception):
    """The server sent what is no frame of the protocol, or an answer that is no JSON."""


class Connection:
    """One hostile socket: it never blocks, and what it does not get rid of is kept for later."""

    def __init__(self, port: int, reads: bool, receive_buffer_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(SENDING_S_MAX)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setblocking(False)
        self.reads = reads
        self.closed = False
        self.answers: list[bytes] = []
        self.deliveries: list[list[bytes]] = []
        self.answered = 0
        self.received = bytearray()
        self.unsent = bytearray()

    def send(self, sent: bytes) -> None:
        if not self.closed and len(self.unsent) < UNSENT_BYTES_MAX:
            self.unsent += sent
            self.flush()

    def flush(self) -> None:
        try:
            while self.unsent:
                del self.unsent[: self.socket.send(self.unsent[: 1 << 18])]
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
            self.unsent.clear()

    def pump(self) -> list[tuple[bytes, bytes, bytes]]:
        """What came: subject, reply, header and body of each message. Raises Forged."""
        try:
            for _ in range(16):
                received = self.socket.recv(READ_BYTES)
                self.closed = self.closed or not received
                self.received += received
                if len(received) < READ_BYTES:
                    break
        except BlockingIOError:
            pass
        except OSError:
            self.closed = True
        return self._take_messages()

    def _take_messages(self) -> list[tuple[bytes, bytes, bytes]]:
        messages, at = [], 0
        while (end := self.received.find(b"\r\n", at)) >= 0:
            line = bytes(self.received[at:end])
            found = _LINE.fullmatch(line)
            if found is None:
                if not _OTHERS.fullmatch(line):
                    raise Forged(f"no frame of the protocol: {line[:200]!r}")
                at = end + 2
                continue
            size = int(found[6])
            if len(self.received) < end + 4 + size:
                break
            if self.received[end + 2 + size : end + 4 + size] != b"\r\n":
                raise Forged(f"a payload without its end: {line[:200]!r}")
            body = bytes(self.received[end + 2 : end + 2 + size])
            messages.append((found[2], found[4] or b"", body[int(found[5] or 0) :]))
            at = end + 4 + size
        del self.received[:at]
        return messages

    def close(self, reset: bool = False) -> None:
        if reset:
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.socket.close()


class ActionPlayer:
    """Plays one action after the other; `counts` says what came of them."""

    def __init__(self, server: ServerProcess, login: str = "", config: str = "") -> None:
        """`login` are members of CONNECT, `config` the text that reloads come back to."""
        self._server = server
        self._connect = b'CONNECT {"verbose":false,"headers":true,"no_responders":true%b}\r\n' % (
            login.encode()
        )
        self._config = config
        self._connections: dict[int, Connection] = {}
        self._crowd_sockets: list[socket.socket] = []
        self.counts: Counter[str] = Counter()

    def play(self, action: Action) -> None:
        self.counts[action["do"]] += 1
        try:
            getattr(self, "_" + action["do"])(action)
        except OSError:  # a server may close whenever it likes
            self.counts["refused"] += 1

    def pump(self) -> None:
        for connection in self._connections.values():
            connection.flush()
            if connection.reads and not connection.closed:
                for message in connection.pump():
                    self._receive(connection, *message)

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        self._disperse()

    # -- actions

    def _open(self, action: Action) -> None:
        if old := self._connections.pop(action["c"], None):
            old.close()
        new = Connection(self._server.port, action["reads"], action.get("buffer", 0))
        self._connections[action["c"]] = new
        if action["login"]:
            new.send(self._connect + b"SUB _INBOX.fz%d.> 999\r\n" % action["c"])

    def _send(self, action: Action) -> None:
        connection = self._connections.get(action["c"])
        if connection is None:
            return
        if connection.closed:  # as clients do: it comes again
            self.counts["closed by the server"] += 1
            self._open({"c": action["c"], "login": True, "reads": connection.reads})
            connection = self._connections[action["c"]]
        connection.send(action["data"].encode("latin-1"))

    def _answer(self, action: Action) -> None:
        connection = self._connections.get(action["c"])
        if connection is not None:
            connection.reads = True
            connection.answers = [one.encode("latin-1") for one in action["data"]]
            connection.deliveries = [
                [part.encode("latin-1") for part in delivery] for delivery in action["deliveries"]
            ]

    def _close(self, action: Action) -> None:
        if connection := self._connections.pop(action["c"], None):
            connection.close(action["reset"])

    def _crowd(self, action: Action) -> None:
        self._disperse(action["reset"])
        monitoring = action["port"] == "http"
        port = (
            int(self._server.monitoring_url.rsplit(":", 1)[1]) if monitoring else self._server.port
        )
        for _ in range(action["count"]):
            one = socket.create_connection(("127.0.0.1", port), SENDING_S_MAX)
            self._crowd_sockets.append(one)
            one.setblocking(False)
            one.send(action["data"].encode("latin-1"))

    def _disperse(self, reset: bool = False) -> None:
        for one in self._crowd_sockets:
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.close()
        self._crowd_sockets.clear()

    def _rest(self, action: Action) -> None:
        end = time.monotonic() + action["ms"] / 1000
        while time.monotonic() < end:
            self.pump()
            time.sleep(0.005)

    def _http(self, action: Action) -> None:
        port = int(self._server.monitoring_url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            connection.settimeout(0.3)
            connection.sendall(action["data"].encode("latin-1"))
            received = b""
            try:
                while (piece := connection.recv(READ_BYTES)) and len(received) < 1 << 20:
                    received += piece
            except TimeoutError:
                pass
        asked = re.match(r"[A-Z]+ [^ \r\n]+ HTTP/1\.[01]\r\n", action["data"])
        if asked and received and not received.startswith(b"HTTP/1."):
            raise Forged(f"no answer of HTTP: {received[:100]!r}")
        if b"\r\nX: y" in received.partition(b"\r\n\r\n")[0]:
            raise Forged("a header of an HTTP answer is forged")
        self.counts["http " + received[9:12].decode("latin-1")] += 1

    def _reload(self, action: Action) -> None:
        path = self._server.folder / "server.conf"
        fresh = path.with_suffix(".new")
        fresh.write_bytes(self._config.encode() + action["text"].encode("latin-1"))
        os.replace(fresh, path)
        self._server.send_signal(signal.SIGHUP)

    def _restore(self, action: Action) -> None:
        """On a connection of its own, whose answers are waited for."""
        connection = Connection(self._server.port, True)
        try:
            connection.send(self._connect + b"SUB _INBOX.restore.> 1\r\n")
            request = action["body"].encode("latin-1")
            to = action["subject"].encode("latin-1")
            connection.send(b"PUB %b _INBOX.restore.0 %d\r\n%b\r\n" % (to, len(request), request))
            answer = self._wait_for(connection, RESTORE_S_MAX)
            target = _deliver_subject(answer)
            self.counts["restores begun" if target else "restores refused"] += 1
            if target:
                for number, chunk in enumerate(action["chunks"]):
                    body = chunk.encode("latin-1")
                    frame = b"PUB %b _INBOX.restore.%d %d\r\n%b\r\n"
                    connection.send(frame % (target, number + 1, len(body), body))
                    self.pump()
                    if connection.closed:
                        break
                last = self._wait_for(connection, RESTORE_S_MAX, until=b'"type"')
                self.counts["restores ended" if b'"config"' in last else "restores failed"] += 1
        finally:
            connection.close()

    def _wait_for(self, connection: Connection, timeout_s: float, until: bytes = b"") -> bytes:
        """The next answer that holds `until`; empty if none comes."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end and not connection.closed:
            connection.flush()
            for _, _, body in connection.pump():
                if until in body:
                    return body
            self.pump()
            time.sleep(0.002)
        return b""

    # -- what comes

    def _receive(self, connection: Connection, subject: bytes, reply: bytes, body: bytes) -> None:
        self.counts["messages"] += 1
        if connection.answers and reply and subject.startswith(ORIGIN_API):
            self._answer_request(connection, reply, body)
        elif subject.startswith(b"_INBOX.fz") and body.startswith(b'{"type"') and OWN not in body:
            try:
                answer = json.loads(body)
            except ValueError as error:
                raise Forged(f"an answer that is no JSON ({error}): {body[:200]!r}") from None
            code = answer.get("error", {}).get("err_code", 0)
            self.counts[f"answer {code}" if code else "answers without error"] += 1

    def _answer_request(self, connection: Connection, reply: bytes, body: bytes) -> None:
        turn = connection.answered
        connection.answered += 1
        if turn > 50:
            return
        answer = connection.answers[turn % len(connection.answers)]
        connection.send(b"PUB %b %d\r\n%b\r\n" % (reply, len(answer), answer))
        if found := re.search(rb'"deliver_subject":"([^"\\]+)"', body):
            for _, acked, header, payload in connection.deliveries:
                to = found[1] + (b" " + acked if acked else b"")
                size = len(header) + len(payload)
                line = b"HPUB %b %d %d\r\n" % (to, len(header), size)
                if not header:
                    line = b"PUB %b %d\r\n" % (to, size)
                connection.send(line + header + payload + b"\r\n")


def _deliver_subject(answer: bytes) -> bytes:
    try:
        found = json.loads(answer).get("deliver_subject", "")
    except (ValueError, AttributeError):
        return b""
    return found.encode() if isinstance(found, str) else b""
