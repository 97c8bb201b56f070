"""Clients coming and going: CONNECT is answered with the kernel's `accept` or `refuse`, and both
are logged as nats-server does.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from slipstream.gotext.quoting import one_line
from slipstream.jetstream.unexpected import Report
from slipstream.kernel import Kernel
from slipstream.kernel.events import ClosedEvent, ConnectEvent
from slipstream.server.authentication import (
    AUTHORIZATION_VIOLATION,
    Authenticator,
    Claim,
    Connect,
    ConnectError,
    decode_connect,
    redacted,
    secrets_match,
    violation_detail,
    wrong_protocol,
)
from slipstream.server.clients import Client, Clients, label
from slipstream.server.line_limit import LineLimit
from slipstream.server.log import Log
from slipstream.server.loop import Loop
from slipstream.server.passwords import PasswordChecker
from slipstream.server.running_options import RunningOptions

AUTHENTICATION_FAILURE = "Authentication Failure"
PARSE_ERROR = "Parse Error"
TOO_MANY_CONNECTIONS = "Maximum Connections Exceeded"


class Admission:
    """On the server's loop, except where it says otherwise."""

    def __init__(
        self,
        kernel: Kernel,
        account: int,
        loop: Loop,
        clients: Clients,
        options: RunningOptions,
        report: Report,
        log: Log,
    ) -> None:
        """`account` is where clients go."""
        self._kernel = kernel
        self._account = account
        self._loop = loop
        self._clients = clients
        self._options = options
        self._report = report
        self._log = log
        self._authenticator = Authenticator(options.current)
        self._passwords = PasswordChecker(report)
        self._excess = LineLimit()

    def connect(self, event: ConnectEvent) -> None:
        self._contained(event, lambda: self._connect(event))

    def _contained(self, event: ConnectEvent, step: Callable[[], None]) -> None:
        """The kernel reads no more of a connection before it is accepted or refused, so what a step
        raises must end in the one or the other.
        """
        try:
            step()
        except Exception as error:
            id_ = self._report("CONNECT", error)
            self._kernel.refuse(event.cid, f"Unexpected error {id_}".encode(), PARSE_ERROR)

    def _connect(self, event: ConnectEvent) -> None:
        name = label(event.cid, event.ip, event.port, self._clients.get(event.cid))
        self._log.trace(f"{name} - <<- [CONNECT {redacted(event.payload)}]")
        try:
            connect = decode_connect(event.payload)
        except ConnectError as error:
            self._log.error(f"{name} - {one_line(str(error))}")
            self._kernel.refuse(event.cid, b"", "Protocol Violation")
            return
        claim = self._authenticator.claim(connect)
        if claim is None:
            self._violation(event, connect)
        elif claim.needs_hashing:
            self._check_hash(event, connect, claim)
        elif claim.trusted or secrets_match(claim.given, claim.identity.secret):
            self._admit(event, connect, claim)
        else:
            self._violation(event, connect)

    def _check_hash(self, event: ConnectEvent, connect: Connect, claim: Claim) -> None:
        def verdict(matches: bool) -> None:  # on a thread of the checker
            decide = self._admit if matches else self._violation_of_claim
            decided = partial(decide, event, connect, claim)
            self._loop.post(lambda: self._contained(event, decided))

        self._passwords.check(event.cid, claim, verdict)

    def _admit(self, event: ConnectEvent, connect: Connect, claim: Claim) -> None:
        if not self._authenticator.still_valid(claim.identity):  # a reload came between
            self._violation(event, connect)
            return
        if connect.account or connect.new_account:  # clients cannot choose accounts (K-040)
            self._violation(event, connect)
            return
        headers = not self._options.current.no_header_support
        if wrong := wrong_protocol(connect, served_headers=headers):
            error, reason = wrong
            self._kernel.refuse(event.cid, error, reason)
            name = label(event.cid, event.ip, event.port)
            self._log.error(f"{name} - {error.decode()}")
            return
        accepted = self._kernel.accept(
            event.cid,
            self._account,
            verbose=connect.verbose,
            pedantic=connect.pedantic,
            echo=connect.echo,
            headers=connect.headers and headers,
            no_responders=connect.no_responders,
            protocol=connect.protocol,
        )
        if accepted:
            client = Client(
                event.cid, event.ip, event.port, connect, claim.identity, time.time_ns()
            )
            self._clients.add(client)

    def _violation_of_claim(self, event: ConnectEvent, connect: Connect, claim: Claim) -> None:
        self._violation(event, connect)

    def _violation(self, event: ConnectEvent, connect: Connect) -> None:
        client = self._clients.get(event.cid)
        name = label(event.cid, event.ip, event.port, client)
        self._log.error(f"{name} - {violation_detail(connect)}")
        self._kernel.refuse(event.cid, AUTHORIZATION_VIOLATION, AUTHENTICATION_FAILURE)

    def closed(self, event: ClosedEvent) -> None:
        self._passwords.withdraw(event.cid)
        client = self._clients.close(event)
        name = label(event.cid, event.ip, event.port, client)
        if event.reason.startswith("Slow Consumer"):
            self._log.info(f"{name} - Slow Consumer Detected: {event.reason}")
        if event.reason == TOO_MANY_CONNECTIONS and (more := self._excess.suffix()) is not None:
            self._log.error(f"{name} - maximum connections exceeded{more}")
        self._log.debug(f"{name} - Client connection closed: {event.reason}")

    def reload(self, authenticator: Authenticator) -> None:
        """New credentials: clients that would not be let in with them have to leave."""
        self._authenticator = authenticator
        for client in self._clients.all():
            if not self._authenticator.still_valid(client.identity):
                self._log.error(f"{client.label()} - {violation_detail(client.connect)}")
                self._kernel.refuse(client.cid, AUTHORIZATION_VIOLATION, AUTHENTICATION_FAILURE)

    def stop(self) -> None:
        self._passwords.stop()
