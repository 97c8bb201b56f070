"""From a request to the bytes of its answer, on a thread that leaves the interpreter to others at
least as long as it has kept it from them.

A page may be a generator, so that the thread rests between its slices. The table of pages is
imported with the first request: a server starts without it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from slipstream.server.monitoring.http_request import HttpRequest
from slipstream.server.monitoring.monitored import Monitored

if TYPE_CHECKING:
    from slipstream.server.monitoring.pages import Page

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
HTML_TYPE = "text/html; charset=utf-8"
NOT_FOUND = b"404 page not found\n"
REST_S_MAX = 0.02
REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


class Pace:
    """For one answer: rests after each slice as long as the slice took."""

    def __init__(self, is_wanted: Callable[[], bool], stopping: threading.Event) -> None:
        self._is_wanted = is_wanted
        self._stopping = stopping
        self._since_s = time.monotonic()

    def rest(self) -> None:
        """Raises Abandoned."""
        took_s = time.monotonic() - self._since_s
        self._stopping.wait(min(took_s, REST_S_MAX))
        if self._stopping.is_set() or not self._is_wanted():
            raise Abandoned
        self._since_s = time.monotonic()


def is_health_probe(base_path: str, request: HttpRequest) -> bool:
    return _path(base_path, request) == "/healthz"


def answer(monitored: Monitored, request: HttpRequest, pace: Pace) -> bytes:
    """The whole answer, head and body. Raises Abandoned."""
    from slipstream.jetstream.unexpected import unexpected
    from slipstream.server.loop import LoopStopped
    from slipstream.server.monitoring import pages
    from slipstream.server.monitoring.parameters import BadParameter, Parameters

    path = _path(monitored.options.current.http_base_path, request)
    page = None if path is None else pages.PAGES.get(path)
    if page is None:
        return response(request, 404, TEXT_TYPE, NOT_FOUND)
    try:
        parameters = Parameters(request.query)
        monitored.requests[page.path] += 1
        status, body = _finished(page.answer(monitored, parameters), pace)
        if isinstance(body, str):
            return response(request, status, HTML_TYPE, body.encode())
        return response(request, status, JSON_TYPE, _rendered(body, page, pace))
    except BadParameter as error:
        return response(request, 400, TEXT_TYPE, str(error).encode())
    except LoopStopped as error:
        return response(request, 503, TEXT_TYPE, str(error).encode())
    except Abandoned:
        raise
    except Exception as error:
        id_ = monitored.guard.report(f"the page {page.path}", error)
        return response(request, 500, TEXT_TYPE, str(unexpected(id_)).encode())


def _finished(answered: Any, pace: Pace) -> tuple[int, Any]:
    while not isinstance(answered, tuple):
        try:
            next(answered)
        except StopIteration as finished:
            answered = finished.value
        else:
            pace.rest()
    return answered


def _rendered(body: Any, page: Page, pace: Pace) -> bytes:
    from slipstream.server.monitoring.render import render

    pieces = []
    for piece in render(body, indented=page.indented):
        pieces.append(piece)
        if len(piece) > 1024:
            pace.rest()
    return b"".join(pieces)


def _path(base_path: str, request: HttpRequest) -> str | None:
    """Below the base path; None when it is elsewhere."""
    from urllib.parse import unquote

    path = "/" + unquote(request.path).lstrip("/")
    base = "/" + base_path.strip("/") if base_path.strip("/") else ""
    return path[len(base) :] or "/" if path.startswith(base) else None


def response(request: HttpRequest | None, status: int, content_type: str, body: bytes) -> bytes:
    """`request` is None for what was no request: the connection is closed behind the answer."""
    head = [f"HTTP/1.1 {status} {REASONS[status]}"]
    if content_type == JSON_TYPE:
        head.append("Access-Control-Allow-Origin: *")
    head.append(f"Content-Type: {content_type}")
    head.append(f"Date: {_date(time.gmtime())}")
    head.append(f"Content-Length: {len(body)}")
    if request is None or not request.keep_alive:
        head.append("Connection: close")
    text = "\r\n".join([*head, "", ""]).encode()
    return text if request is not None and request.method == "HEAD" else text + body


def _date(at: time.struct_time) -> str:
    """As HTTP writes it, whatever the process's language is."""
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    clock = f"{at.tm_hour:02d}:{at.tm_min:02d}:{at.tm_sec:02d}"
    return f"{day}, {at.tm_mday:02d} {month} {at.tm_year} {clock} GMT"
