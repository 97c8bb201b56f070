"""Goal: whatever clients do to the monitoring port, a health probe is answered, and threads,
connections and bytes stay bounded.

Method: raw sockets that say nothing, half of a request, or never read what they asked for; times
are shortened where the test waits for their end. Pages that are rendered in pieces are compared
with the same page rendered whole.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec
import pytest

from raw_client import wait_until
from slipstream.gotext.encode import Parts, encode
from slipstream.server.monitoring import http, pages
from slipstream.server.monitoring.http_request import BadHead, HttpRequest, head_end, parse_head
from slipstream.server.monitoring.render import render
from slipstream.testing import server
from slipstream.testing.in_process import EmbeddedServer
from wire import get

PROBE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def monitored() -> Iterator[tuple[EmbeddedServer, Callable[[], socket.socket]]]:
    with server(http_port=-1) as running, ExitStack() as opened:
        port = int(running.monitoring_url.rsplit(":", 1)[1])

        def connect() -> socket.socket:
            return opened.enter_context(socket.create_connection(("127.0.0.1", port), 30))

        yield running, connect


def is_healthy(connect: Callable[[], socket.socket]) -> bool:
    with connect() as probe:
        probe.sendall(PROBE)
        return probe.recv(65536).endswith(b'{"status":"ok"}')


def test_idle_connections_give_way_to_newer_ones() -> None:
    with monitored() as (_, connect):
        idle = [connect() for _ in range(http.CONNECTIONS_MAX)]
        used = idle.pop()
        used.sendall(PROBE)
        assert used.recv(65536).endswith(b'{"status":"ok"}')
        for _ in range(http.CONNECTIONS_MAX // 2):
            assert is_healthy(connect)
        assert idle[0].recv(1) == b""  # the one that was idle for longest
        used.sendall(PROBE)
        assert used.recv(65536).endswith(b'{"status":"ok"}')


@pytest.mark.parametrize(
    "half",
    [
        b"",
        b"GET /varz HT",
        b"GET /varz HTTP/1.1\r\nHost: x\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nx",
    ],
    ids=["nothing", "line", "head", "body"],
)
def test_half_sent_requests_are_closed(half: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_S_MAX", 0.2)
    with monitored() as (_, connect):
        for _ in range(3):
            halves = [connect() for _ in range(http.CONNECTIONS_MAX)]
            for one in halves:
                one.sendall(half)
            assert is_healthy(connect)
            for one in halves:
                received = b"x"
                try:
                    received = one.recv(65536)
                except ConnectionResetError:
                    received = b""
                assert received == b""


def test_a_request_byte_by_byte_has_one_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_S_MAX", 0.5)
    with monitored() as (_, connect):
        slow = connect()
        slow.settimeout(0.05)
        for _ in range(200):  # ten seconds, were each byte to begin the time anew
            try:
                slow.sendall(b"G")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        else:
            pytest.fail("still open")


def test_answers_that_nobody_takes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    page = pages.Page("/large", "Large", lambda *_: (200, "x" * (8 << 20)))
    monkeypatch.setattr(pages, "PAGES", {**pages.PAGES, "/large": page})
    monkeypatch.setattr(http, "ANSWERS_BYTES_MAX", 16 << 20)
    with monitored() as (running, connect):
        slow = [connect() for _ in range(8)]
        for one in slow:
            one.sendall(b"GET /large HTTP/1.1\r\n\r\n")
        monitoring = running.server.monitoring
        assert monitoring is not None
        connections = monitoring._connections
        wait_until(lambda: monitoring._monitored.requests["/large"] == 8, "eight answers")
        wait_until(lambda: len(connections) <= 3, "the slowest to be closed")
        assert is_healthy(connect)


def test_an_answer_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    page = pages.Page("/large", "Large", lambda *_: (200, "x" * (8 << 20)))
    monkeypatch.setattr(pages, "PAGES", {**pages.PAGES, "/large": page})
    monkeypatch.setattr(http, "ANSWER_S_MAX", 0.2)
    with monitored() as (running, connect):
        connect().sendall(b"GET /large HTTP/1.1\r\n\r\n")
        monitoring = running.server.monitoring
        assert monitoring is not None
        wait_until(lambda: monitoring._monitored.requests["/large"] == 1, "the request")
        wait_until(lambda: not monitoring._connections, "its end")


def test_a_probe_does_not_wait_behind_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()

    def wait(*_: object) -> tuple[int, str]:
        goes_on.wait()
        return 200, "done"

    monkeypatch.setattr(pages, "PAGES", {**pages.PAGES, "/wait": pages.Page("/wait", "", wait)})
    with monitored() as (_, connect):
        waiting = [connect() for _ in range(http.CONNECTIONS_MAX)]
        for one in waiting:
            one.sendall(b"GET /wait HTTP/1.1\r\n\r\n")
        threads = threading.active_count()
        for _ in range(5):
            assert is_healthy(connect)
        assert threading.active_count() == threads
        goes_on.set()
        assert waiting[-1].recv(65536).endswith(b"done")


def test_pages_in_pieces_over_one_connection() -> None:
    with monitored() as (running, connect):
        one = connect()
        one.sendall(b"HEAD /varz HTTP/1.1\r\n\r\n" + PROBE + b"POST /healthz HTTP/1.1\r\n"
                    b"Content-Length: 3\r\n\r\nabc" + b"GET /no HTTP/1.0\r\n\r\n")  # fmt: skip
        received = b""
        while more := one.recv(65536):
            received += more
        statuses = [part[:3] for part in received.split(b"HTTP/1.1 ")[1:]]
        assert statuses == [b"200", b"200", b"200", b"404"]
        garbage = connect()
        garbage.sendall(b"\x16\x03\x01 nothing\r\n\r\n")
        assert garbage.recv(65536).startswith(b"HTTP/1.1 400 ")
        endless = connect()
        endless.sendall(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 15_000)
        assert endless.recv(65536).startswith(b"HTTP/1.1 431 ")
        assert get(running.monitoring_url, "/varz").status == 200


@pytest.mark.parametrize(
    ("head", "request_"),
    [
        (b"GET /a?b=c HTTP/1.1\r\n\r\n", HttpRequest("GET", "/a?b=c", True)),
        (b"GET / HTTP/1.0\n\n", HttpRequest("GET", "/", False)),
        (b"GET / HTTP/1.1\r\nConnection: Close\r\n\r\n", HttpRequest("GET", "/", False)),
        (b"GET http://h/x HTTP/1.1\r\n\r\n", HttpRequest("GET", "/x", True)),
        (b"PUT / HTTP/1.1\r\ncontent-length: 7\r\n\r\n", HttpRequest("PUT", "/", True, 7)),
        (b"PUT / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", HttpRequest("PUT", "/", False)),
        (b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", HttpRequest("PUT", "/", False)),
        (b"PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", None),
        (b"PUT / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", None),
        (b"GET /\r\n\r\n", None),
        (b"GET / HTTP/2\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\n folded\r\n\r\n", None),
    ],
)
def test_heads(head: bytes, request_: HttpRequest | None) -> None:
    assert head_end(head + b"more") == len(head)
    if request_ is None:
        with pytest.raises(BadHead):
            parse_head(head)
    else:
        assert parse_head(head) == request_


@pytest.mark.parametrize("indented", [True, False])
@pytest.mark.parametrize("sizes", [[], [1], [2, 1, 3]])
def test_pieces_make_the_same_text(sizes: list[int], indented: bool) -> None:
    parts, whole = Parts(), list[Any]()
    for size in sizes:
        elements: list[Any] = [{"a": [1, {"b": "x\ny"}], "c": {}} for _ in range(size)]
        parts.add(elements)
        whole += elements
    for build in (lambda x: x, lambda x: {"p": x, "q": 1}, lambda x: {"o": [{"i": x, "e": []}, 2]}):
        text = encode(build(whole))
        expected = msgspec.json.format(text, indent=2) if indented else text
        rendered = b"".join(render(build(parts), indented=indented))
        assert rendered == expected
        assert json.loads(rendered) == build(whole)
