"""/healthz: whether the server, its JetStream, a stream or a consumer is there (K-212, K-217,
K-271, K-272).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slipstream.config.options import ACCOUNT_GLOBAL
from slipstream.server.health import Health
from slipstream.server.jetstream import JetStreamService
from slipstream.server.loop import Loop
from slipstream.server.monitoring.parameters import Parameters

OK, BAD_REQUEST, NOT_FOUND, ERROR, UNAVAILABLE = 200, 400, 404, 500, 503


@dataclass(frozen=True, slots=True)
class HealthzOptions:
    """K-261."""

    jetstream_only: bool = False
    server_only: bool = False
    account: str = ""
    stream: str = ""
    consumer: str = ""
    details: bool = False

    @classmethod
    def from_query(cls, query: Parameters) -> HealthzOptions:
        """Raises BadParameter."""
        jetstream_only = [query.flag(name) for name in ("js-enabled", "js-enabled-only")]
        server_only = query.flag("js-server-only")
        query.flag("js-meta-only")  # there is no meta group to look at
        return cls(
            jetstream_only=any(jetstream_only),
            server_only=server_only,
            account=query.text("account"),
            stream=query.text("stream"),
            consumer=query.text("consumer"),
            details=query.flag("details"),
        )


@dataclass(frozen=True, slots=True)
class _Problem:
    code: int
    status: str
    kind: str
    text: str
    account: str = ""
    stream: str = ""
    consumer: str = ""


def healthz(
    health: Health, jetstream: JetStreamService | None, loop: Loop, options: HealthzOptions
) -> tuple[int, dict[str, Any]]:
    """A status code and the body. `jetstream` is None where it is not enabled."""
    problem = _problem(health, jetstream, loop, options)
    if problem is None:
        return OK, {"status": "ok"}
    if not options.details:
        return problem.code, {"status": problem.status, "error": problem.text}
    detail = {"type": problem.kind}
    for name in ("account", "stream", "consumer"):
        if value := getattr(problem, name):
            detail[name] = value
    return problem.code, {"status": "error", "errors": [detail | {"error": problem.text}]}


def _problem(
    health: Health, jetstream: JetStreamService | None, loop: Loop, options: HealthzOptions
) -> _Problem | None:
    if options.stream and not options.account:
        text = '"account" must not be empty when checking stream health'
        return _Problem(BAD_REQUEST, "error", "BAD_REQUEST", text)
    if options.consumer and not options.stream:
        text = '"stream" must not be empty when checking consumer health'
        return _Problem(BAD_REQUEST, "error", "BAD_REQUEST", text)
    if not health.is_ready:
        text = "the server does not accept connections"
        return _Problem(ERROR, "error", "CONNECTION", text)
    if options.server_only or jetstream is None:
        return None
    if health.store_failure:
        text = f"JetStream failed: {health.store_failure}"
        return _Problem(UNAVAILABLE, "unavailable", "JETSTREAM", text)
    if health.no_room:
        text = f"JetStream out of storage: {health.no_room}"
        return _Problem(UNAVAILABLE, "unavailable", "JETSTREAM", text)
    if options.jetstream_only:
        return None
    if options.account and (missing := _missing(jetstream, loop, options)) is not None:
        return missing
    return _offline(jetstream, options)


def _offline(jetstream: JetStreamService, options: HealthzOptions) -> _Problem | None:
    """The first stream that is offline, or the one that is asked for."""
    for name, reason in jetstream.offline.items():
        if options.stream in ("", name):
            text = f"JetStream stream '{ACCOUNT_GLOBAL} > {name}' is offline: {reason}"
            return _Problem(UNAVAILABLE, "unavailable", "STREAM", text, ACCOUNT_GLOBAL, name)
    return None


def _missing(jetstream: JetStreamService, loop: Loop, options: HealthzOptions) -> _Problem | None:
    """An account, stream or consumer that is asked for by name and is not there."""
    account = options.account
    if account != ACCOUNT_GLOBAL:
        text = f'JetStream account "{account}" not found'
        return _Problem(NOT_FOUND, "unavailable", "ACCOUNT", text, account)
    if not options.stream:
        return None
    consumers = loop.ask(lambda: jetstream.consumer_names(options.stream))
    if consumers is None:
        text = f'JetStream stream "{options.stream}" not found on account "{account}"'
        return _Problem(NOT_FOUND, "unavailable", "STREAM", text, account, options.stream)
    if options.consumer and options.consumer not in consumers:
        text = (
            f'JetStream consumer "{options.consumer}" not found for stream '
            f'"{options.stream}" on account "{account}"'
        )
        return _Problem(
            NOT_FOUND, "unavailable", "CONSUMER", text, account, options.stream, options.consumer
        )
    return None
