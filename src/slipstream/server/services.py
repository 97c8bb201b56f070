"""The system services that every account has (K-175, K-176): who am I, and what do my connections
do. The `nats` CLI asks them.

Services of the system account itself (`$SYS.REQ.SERVER.>`) are not there: nobody can log in to that
account yet.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from typing import Any

import msgspec

from slipstream.config.options import ACCOUNT_GLOBAL
from slipstream.gotext.decode import DecodeError, readable
from slipstream.gotext.times import format_time
from slipstream.jetstream.unexpected import Report, unexpected
from slipstream.kernel import Kernel
from slipstream.kernel.events import RequestEvent
from slipstream.server.clients import Clients
from slipstream.server.identity import Identity
from slipstream.server.monitoring.accstatz import accstatz
from slipstream.server.monitoring.connz import ConnzOptions, connz
from slipstream.server.monitoring.parameters import BadParameter
from slipstream.server.monitoring.render import render
from slipstream.server.running_options import RunningOptions
from slipstream.version import NATS_VERSION

SERVICE_FIRST = 1000  # JetStream's services have smaller numbers
CAPABILITY_JETSTREAM = 1
REQUESTS_MAX = 1000  # whose answers are under way

Answering = Generator[None, None, dict[str, Any]]  # in slices


class RequestError(Exception):
    """Answered with this code and text: 400 for the unreadable, 500 for what cannot be done."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class SystemServices:
    """On the server's loop."""

    def __init__(
        self,
        kernel: Kernel,
        account: int,
        clients: Clients,
        identity: Identity,
        options: RunningOptions,
        report: Report,
    ) -> None:
        """`account` is the one whose clients are served."""
        self._kernel = kernel
        self._account = account
        self._clients = clients
        self._identity = identity
        self._options = options
        self._report = report
        self._sequence = 0
        self._under_way: deque[tuple[RequestEvent, Answering]] = deque()
        subjects: dict[str, Callable[[RequestEvent], Answering]] = {
            "$SYS.REQ.USER.INFO": self._user,
            "$SYS.REQ.ACCOUNT.PING.CONNZ": self._connections,
            "$SYS.REQ.SERVER.PING.CONNZ": self._connections,
            "$SYS.REQ.ACCOUNT.PING.STATZ": self._account_statistics,
        }
        self._subjects = list(subjects)
        self._answers = list(subjects.values())

    def serve(self) -> None:
        """Before clients connect."""
        for number, subject in enumerate(self._subjects):
            self._kernel.serve(self._account, subject.encode(), SERVICE_FIRST + number)

    def owns(self, service: int) -> bool:
        return service >= SERVICE_FIRST

    def handle(self, event: RequestEvent) -> None:
        """Requests beyond REQUESTS_MAX are dropped, and their callers time out."""
        if event.reply and len(self._under_way) < REQUESTS_MAX:
            answering = self._answers[event.service - SERVICE_FIRST](event)
            self._under_way.append((event, answering))
            self.work()

    def work(self) -> bool:
        """One slice of the oldest answer, then it is the others' turn. False when there is none."""
        if not self._under_way:
            return False
        event, answering = self._under_way.popleft()
        answer: dict[str, Any] = {}
        try:
            next(answering)
        except StopIteration as finished:
            answer["data"] = finished.value
        except RequestError as error:
            answer["error"] = {"code": error.code, "description": str(error)}
        except Exception as error:
            subject = self._subjects[event.service - SERVICE_FIRST]
            id_ = self._report(subject, error)
            answer["error"] = {"code": 500, "description": str(unexpected(id_))}
        else:
            self._under_way.append((event, answering))
            return True
        body = b"".join(render({"server": self._described(), **answer}, indented=False))
        self._kernel.publish(event.account, event.reply, b"", b"", body)
        return bool(self._under_way)

    def _described(self) -> dict[str, Any]:
        """K-190."""
        options = self._options.current
        self._sequence += 1
        identity: dict[str, Any] = {
            "name": self._identity.name,
            "host": options.host,
            "id": self._identity.server_id,
            "ver": NATS_VERSION,
        }
        if options.server_tags:
            identity["tags"] = list(options.server_tags)
        if options.server_metadata:
            identity["metadata"] = dict(options.server_metadata)
        return identity | {
            "jetstream": options.jetstream.enabled,
            "flags": CAPABILITY_JETSTREAM if options.jetstream.enabled else 0,
            "seq": self._sequence,
            "time": format_time(time.time_ns()),
        }

    def _user(self, event: RequestEvent) -> Answering:
        yield from ()
        client = self._clients.get(event.cid)
        user = client.identity.shown if client is not None else ""
        return {"user": user, "account": ACCOUNT_GLOBAL, "account_name": ACCOUNT_GLOBAL}

    def _connections(self, event: RequestEvent) -> Answering:
        options = _decoded(event.body, ConnzOptions)
        try:
            options = msgspec.structs.replace(options, acc=ACCOUNT_GLOBAL)
            return (yield from connz(self._identity, self._kernel, self._clients, options))
        except BadParameter as error:
            raise RequestError(500, str(error)) from None

    def _account_statistics(self, event: RequestEvent) -> Answering:
        yield from ()
        return accstatz(self._identity, self._kernel)


def _decoded(body: bytes, kind: type[ConnzOptions]) -> ConnzOptions:
    if not body:
        return kind()
    try:
        return msgspec.json.decode(readable(body), type=kind)
    except (msgspec.DecodeError, DecodeError) as error:
        raise RequestError(400, str(error)) from None
