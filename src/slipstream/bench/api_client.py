"""A blocking client for the few JetStream API requests around a benchmark: one socket, one request
at a time.

It shares nothing with the server's code, so that what it accepts is what the protocol says and not
what we believe it says.
"""

from __future__ import annotations

import json
import secrets
import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class ServerAddress:
    host: str = "127.0.0.1"
    port: int = 4222
    user: str = ""
    password: str = ""
    token: str = ""


class ApiError(RuntimeError):
    """The server answered an API request with an error."""

    def __init__(self, subject: str, code: int, err_code: int, description: str) -> None:
        super().__init__(f"{subject}: {description} ({code}, {err_code})")
        self.code = code
        self.err_code = err_code
        self.description = description


class ApiClient:
    def __init__(self, server: ServerAddress, timeout_s: float = 60.0) -> None:
        self._socket = socket.create_connection((server.host, server.port), timeout=timeout_s)
        self._stream = self._socket.makefile("rb")
        self._inbox = f"_INBOX.{secrets.token_hex(11)}"
        self._requests = 0
        line = self._stream.readline()
        if not line.startswith(b"INFO "):
            raise ConnectionError(f"not a NATS server: {line[:60]!r}")
        self.server_info: dict[str, Any] = json.loads(line[5:])
        self._send(f"CONNECT {json.dumps(_connect_options(server))}\r\nSUB {self._inbox}.* 1\r\n")
        self.ping()

    def __enter__(self) -> ApiClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def ping(self) -> None:
        """Returns when the server has processed everything sent before."""
        self._send("PING\r\n")
        while self._read_frame() != ("PONG", b"", b""):
            pass

    def request(self, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer to one API request; raises ApiError for an error, ConnectionError when nobody
        answers.
        """
        self._requests += 1
        reply = f"{self._inbox}.{self._requests}"
        payload = json.dumps(body).encode() if body is not None else b""
        self._send(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")
        while True:
            to, header, answer = self._read_frame()
            if to == reply:
                break
        if header.startswith(b"NATS/1.0 503"):
            raise ConnectionError(f"{subject}: nobody answers; is JetStream enabled?")
        found: dict[str, Any] = json.loads(answer)
        if error := found.get("error"):
            raise ApiError(
                subject,
                int(error.get("code", 0)),
                int(error.get("err_code", 0)),
                str(error.get("description", "")),
            )
        return found

    def create_stream(self, config: dict[str, Any]) -> dict[str, Any]:
        return self.request(f"$JS.API.STREAM.CREATE.{config['name']}", config)

    def delete_stream(self, name: str) -> None:
        self.request(f"$JS.API.STREAM.DELETE.{name}")

    def stream_state(self, name: str) -> dict[str, Any]:
        state: dict[str, Any] = self.request(f"$JS.API.STREAM.INFO.{name}")["state"]
        return state

    def create_consumer(self, stream: str, config: dict[str, Any]) -> dict[str, Any]:
        body = {"stream_name": stream, "config": config, "action": "create"}
        return self.request(f"$JS.API.CONSUMER.CREATE.{stream}.{config['name']}", body)

    def consumer(self, stream: str, name: str) -> dict[str, Any]:
        return self.request(f"$JS.API.CONSUMER.INFO.{stream}.{name}")

    def _send(self, frames: str | bytes) -> None:
        self._socket.sendall(frames.encode() if isinstance(frames, str) else frames)

    def _read_frame(self) -> tuple[str, bytes, bytes]:
        """(subject, header, body) of a message, or (verb, b"", b"") of anything else."""
        line = self._stream.readline()
        if not line:
            raise ConnectionError("the server closed the connection")
        words = line.split()
        verb = words[0].decode()
        if verb == "-ERR":
            raise ConnectionError(line.decode().strip())
        if verb == "PING":
            self._send("PONG\r\n")
        if verb not in ("MSG", "HMSG"):
            return verb, b"", b""
        size = int(words[-1])
        header_size = int(words[-2]) if verb == "HMSG" else 0
        payload = self._stream.read(size + 2)
        if len(payload) != size + 2:
            raise ConnectionError("the server closed the connection")
        return words[1].decode(), payload[:header_size], payload[header_size:size]


def _connect_options(server: ServerAddress) -> dict[str, Any]:
    options: dict[str, Any] = {
        "verbose": False,
        "pedantic": False,
        "headers": True,
        "no_responders": True,
        "protocol": 1,
        "lang": "slipstream-bench",
        "version": "1",
        "name": "slipstream bench",
    }
    if server.user:
        options |= {"user": server.user, "pass": server.password}
    if server.token:
        options["auth_token"] = server.token
    return options
