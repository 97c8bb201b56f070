"""The table of monitoring pages: path, title, what answers, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from slipstream.server.monitoring.accstatz import accstatz
from slipstream.server.monitoring.connz import ConnzOptions, connz
from slipstream.server.monitoring.healthz import HealthzOptions, healthz
from slipstream.server.monitoring.jsz import JszOptions, jsz
from slipstream.server.monitoring.neighbours import gatewayz, leafz, routez
from slipstream.server.monitoring.parameters import Parameters
from slipstream.server.monitoring.subsz import SubszOptions, subsz
from slipstream.server.monitoring.varz import varz
from slipstream.version import NATS_VERSION, VERSION

if TYPE_CHECKING:
    from slipstream.server.server import Server

Answered = tuple[int, Any]
Answer = Callable[["Server", Parameters], Answered | Generator[None, None, Answered]]


@dataclass(frozen=True, slots=True)
class Page:
    """`answer` returns a status and what becomes JSON, or a string that is HTML; it is a generator
    where that takes long, which yields after each slice.
    """

    path: str
    title: str
    answer: Answer
    indented: bool = True


def _root(server: Server, parameters: Parameters) -> tuple[int, str]:
    links = "\n".join(
        f'<li><a href=".{page.path}">{page.title}</a> <code>{page.path}</code></li>'
        for page in PAGES.values()
        if page.path != "/"
    )
    return 200, (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{escape(server.name)}</title></head>\n<body>\n"
        f"<h1>Slipstream {VERSION}</h1>\n"
        f"<p>{escape(server.name)}, compatible with NATS {NATS_VERSION}</p>\n"
        f"<ul>\n{links}\n</ul>\n</body>\n</html>\n"
    )


def _varz(server: Server, parameters: Parameters) -> Generator[None, None, Answered]:
    return 200, (yield from varz(server))


def _connz(server: Server, parameters: Parameters) -> Generator[None, None, Answered]:
    return 200, (yield from connz(server, ConnzOptions.from_query(parameters)))


def _jsz(server: Server, parameters: Parameters) -> Generator[None, None, Answered]:
    return 200, (yield from jsz(server, JszOptions.from_query(parameters)))


def _subsz(server: Server, parameters: Parameters) -> Generator[None, None, Answered]:
    return 200, (yield from subsz(server, SubszOptions.from_query(parameters)))


def _healthz(server: Server, parameters: Parameters) -> tuple[int, Any]:
    return healthz(server, HealthzOptions.from_query(parameters))


PAGES: Mapping[str, Page] = {
    page.path: page
    for page in (
        Page("/", "Index", _root),
        Page("/varz", "General", _varz),
        Page("/jsz", "JetStream", _jsz),
        Page("/connz", "Connections", _connz),
        Page("/accstatz", "Account Stats", lambda server, _: (200, accstatz(server))),
        Page("/subsz", "Subscriptions", _subsz),
        Page("/subscriptionsz", "Subscriptions", _subsz),
        Page("/routez", "Routes", lambda server, _: (200, routez(server))),
        Page("/leafz", "Leaf Nodes", lambda server, _: (200, leafz(server))),
        Page("/gatewayz", "Gateways", lambda server, _: (200, gatewayz(server))),
        Page("/healthz", "Health Probe", _healthz, indented=False),
    )
}
