"""The table of monitoring pages: path, title, what answers, and how it is written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from slipstream.server.monitoring.accstatz import accstatz
from slipstream.server.monitoring.connz import ConnzOptions, connz
from slipstream.server.monitoring.healthz import HealthzOptions, healthz
from slipstream.server.monitoring.jsz import JszOptions, jsz
from slipstream.server.monitoring.monitored import Monitored
from slipstream.server.monitoring.neighbours import gatewayz, leafz, routez
from slipstream.server.monitoring.parameters import Parameters
from slipstream.server.monitoring.subsz import SubszOptions, subsz
from slipstream.server.monitoring.varz import varz
from slipstream.version import NATS_VERSION, VERSION

Answered = tuple[int, Any]
Answer = Callable[[Monitored, Parameters], Answered | Generator[None, None, Answered]]


@dataclass(frozen=True, slots=True)
class Page:
    """`answer` returns a status and what becomes JSON, or a string that is HTML; it is a generator
    where that takes long, which yields after each slice.
    """

    path: str
    title: str
    answer: Answer
    indented: bool = True


def _root(monitored: Monitored, parameters: Parameters) -> tuple[int, str]:
    links = "\n".join(
        f'<li><a href=".{page.path}">{page.title}</a> <code>{page.path}</code></li>'
        for page in PAGES.values()
        if page.path != "/"
    )
    return 200, (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f"<title>{escape(monitored.identity.name)}</title></head>\n<body>\n"
        f"<h1>Slipstream {VERSION}</h1>\n"
        f"<p>{escape(monitored.identity.name)}, compatible with NATS {NATS_VERSION}</p>\n"
        f"<ul>\n{links}\n</ul>\n</body>\n</html>\n"
    )


def _varz(monitored: Monitored, parameters: Parameters) -> Generator[None, None, Answered]:
    return 200, (yield from varz(monitored))


def _connz(monitored: Monitored, parameters: Parameters) -> Generator[None, None, Answered]:
    options = ConnzOptions.from_query(parameters)
    return 200, (yield from connz(monitored.identity, monitored.kernel, monitored.clients, options))


def _jsz(monitored: Monitored, parameters: Parameters) -> Generator[None, None, Answered]:
    return 200, (yield from jsz(monitored, JszOptions.from_query(parameters)))


def _subsz(monitored: Monitored, parameters: Parameters) -> Generator[None, None, Answered]:
    options = SubszOptions.from_query(parameters)
    return 200, (
        yield from subsz(monitored.identity, monitored.kernel, monitored.accounts, options)
    )


def _accstatz(monitored: Monitored, parameters: Parameters) -> Answered:
    return 200, accstatz(monitored.identity, monitored.kernel)


def _healthz(monitored: Monitored, parameters: Parameters) -> tuple[int, Any]:
    options = HealthzOptions.from_query(parameters)
    return healthz(monitored.health, monitored.jetstream(), monitored.loop, options)


PAGES: Mapping[str, Page] = {
    page.path: page
    for page in (
        Page("/", "Index", _root),
        Page("/varz", "General", _varz),
        Page("/jsz", "JetStream", _jsz),
        Page("/connz", "Connections", _connz),
        Page("/accstatz", "Account Stats", _accstatz),
        Page("/subsz", "Subscriptions", _subsz),
        Page("/subscriptionsz", "Subscriptions", _subsz),
        Page("/routez", "Routes", lambda m, _: (200, routez(m.identity))),
        Page("/leafz", "Leaf Nodes", lambda m, _: (200, leafz(m.identity))),
        Page("/gatewayz", "Gateways", lambda m, _: (200, gatewayz(m.identity))),
        Page("/healthz", "Health Probe", _healthz, indented=False),
    )
}
