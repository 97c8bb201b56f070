"""The monitoring port over the standard library's HTTP server: a thread per connection, at most
CONNECTIONS_MAX of them (K-216, K-218).

Like nats-server it answers every method as GET, with indented JSON, and closes nothing early; an
unknown path is 404, a parameter that cannot be read 400 with a text.
"""

from __future__ import annotations

import re
import sys
import threading
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET, AF_INET6, socket
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from slipstream.jetstream.json.encode import encode
from slipstream.jetstream.unexpected import unexpected
from slipstream.server import listeners
from slipstream.server.loop import LoopStopped
from slipstream.server.monitoring import pages
from slipstream.server.monitoring.parameters import BadParameter, Parameters

if TYPE_CHECKING:
    from slipstream.server.server import Server

CONNECTIONS_MAX = 64
IDLE_S_MAX = 60.0
JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
_LENGTH = re.compile(r"[0-9]{1,6}")  # of a body that is read and discarded
NOT_FOUND = b"404 page not found\n"


class MonitoringServer:
    """Listens from its creation on, answers from `start` on."""

    def __init__(self, server: Server, host: str, port: int) -> None:
        """Raises ListenError."""
        listener = listeners.listen(host, port)
        listener.setblocking(True)
        self.host, self.port = listeners.address(listener, host)
        self.requests: Counter[str] = Counter()
        self._http = _HttpServer(server, self, listener)
        self._thread = threading.Thread(
            target=self._http.serve_forever,
            kwargs={"poll_interval": 0.2},
            name="monitoring",
            daemon=True,
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when no further request is taken."""
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, server: Server, monitoring: MonitoringServer, listener: socket) -> None:
        self.address_family = AF_INET6 if ":" in monitoring.host else AF_INET
        super().__init__((monitoring.host, monitoring.port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.observed = server
        self.monitoring = monitoring
        self._places = threading.BoundedSemaphore(CONNECTIONS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news; anything else belongs into the log."""
        error = sys.exception()
        if isinstance(error, Exception) and not isinstance(error, OSError):
            self.observed.guard.report("a monitoring request", error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S_MAX
    server: _HttpServer

    def handle_one_request(self) -> None:
        """Every method is answered as GET is."""
        self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536:
            self.close_connection = True
            return
        if not self.raw_requestline:
            self.close_connection = True
            return
        if not self.parse_request():
            return
        self._discard_body()
        self._answer()
        self.wfile.flush()

    def _discard_body(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not _LENGTH.fullmatch(length) or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            return
        self.rfile.read(int(length))

    def _answer(self) -> None:
        target, _, query = self.path.partition("?")
        server = self.server.observed
        path = "/" + unquote(target).lstrip("/")
        page = _find(server.options.http_base_path, path)
        if page is None:
            self._send(404, TEXT_TYPE, NOT_FOUND)
            return
        try:
            parameters = Parameters(query)
            self.server.monitoring.requests[page.path] += 1
            status, body = page.answer(server, parameters)
        except BadParameter as error:
            self._send(400, TEXT_TYPE, str(error).encode())
            return
        except LoopStopped as error:
            self._send(503, TEXT_TYPE, str(error).encode())
            return
        except Exception as error:
            id_ = server.guard.report(f"the page {page.path}", error)
            self._send(500, TEXT_TYPE, str(unexpected(id_)).encode())
            return
        if isinstance(body, str):
            self._send(status, HTML_TYPE, body.encode())
        else:
            self._send(status, JSON_TYPE, render(body, indented=page.indented))

    def _send(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response_only(status)
        if content_type == JSON_TYPE:
            self.send_header("Access-Control-Allow-Origin", "*")
        self.send_header("Content-Type", content_type)
        self.send_header("Date", formatdate(usegmt=True))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Requests are counted, not logged."""


def _find(base_path: str, path: str) -> pages.Page | None:
    base = "/" + base_path.strip("/") if base_path.strip("/") else ""
    if not path.startswith(base):
        return None
    return pages.PAGES.get(path[len(base) :] or "/")


def render(body: Any, *, indented: bool) -> bytes:
    """JSON as Go's encoder writes it."""
    text = encode(body)
    return msgspec.json.format(text, indent=2) if indented else text
