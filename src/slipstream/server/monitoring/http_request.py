"""The head of an HTTP request, as far as a monitoring port needs it."""

from __future__ import annotations

from dataclasses import dataclass

HEAD_BYTES_MAX = 64 * 1024
BODY_BYTES_MAX = 1_000_000  # larger ones are not read: the connection is closed behind the answer
_METHOD_BYTES_MAX = 32


class BadHead(Exception):
    """No request of HTTP: answered with 400, and the connection is closed."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`body_bytes` follow the head and are skipped."""

    method: str
    target: str
    keep_alive: bool
    body_bytes: int = 0

    @property
    def path(self) -> str:
        """Still quoted."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]


def head_end(received: bytes | bytearray) -> int:
    """Behind the empty line; 0 when it is not there yet."""
    ends = [at + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (at := received.find(mark)) >= 0]
    return min(ends, default=0)


def parse_head(head: bytes) -> HttpRequest:
    """Raises BadHead."""
    first, *lines = head.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    words = first.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1.") or len(words[0]) > _METHOD_BYTES_MAX:
        raise BadHead("no request line")
    method, target, version = words
    if not method.isalpha() or not target:
        raise BadHead("no request line")
    fields = _fields(lines)
    keep_alive = version != "HTTP/1.0"
    connection = fields.get("connection", "").lower()
    if "close" in connection:
        keep_alive = False
    elif "keep-alive" in connection:
        keep_alive = True
    length = fields.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or len(length) > 20:
        raise BadHead("no length")
    body_bytes = int(length)
    if body_bytes > BODY_BYTES_MAX or "transfer-encoding" in fields or "expect" in fields:
        keep_alive, body_bytes = False, 0
    return HttpRequest(method, _without_host(target), keep_alive, body_bytes)


def _fields(lines: list[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadHead("no header field")
        fields[name.lower()] = value.strip()
    return fields


def _without_host(target: str) -> str:
    """`http://host/path`, as proxies write it, means `/path`."""
    scheme, separator, rest = target.partition("://")
    if not separator or "/" in scheme or "?" in scheme:
        return target
    return "/" + rest.partition("/")[2]
