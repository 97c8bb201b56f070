"""A whole server: kernel, JetStream, clients, monitoring, and the order in which they start and
stop.

`start` brings it up and returns when clients can connect; `run` is the loop and returns when the
server has stopped. Everything else may be called from any thread. Log lines, their order and their
texts are nats-server's, because harnesses wait for them (K-324..K-328).
"""

from __future__ import annotations

import socket
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from slipstream.config.options import ACCOUNT_GLOBAL, ACCOUNT_SYSTEM, Options
from slipstream.gotext.durations import format_duration
from slipstream.kernel import Kernel
from slipstream.kernel.events import (
    ClosedEvent,
    ConnectEvent,
    Event,
    FailedEvent,
    RequestEvent,
    StorageEvent,
    TraceEvent,
    TurnedAwayEvent,
)
from slipstream.server import banner, listeners
from slipstream.server.admission import Admission
from slipstream.server.client_port import ClientPort
from slipstream.server.clients import Clients
from slipstream.server.error_guard import ErrorGuard
from slipstream.server.errors import StartError
from slipstream.server.health import Health
from slipstream.server.identity import Identity, new_server_id, random_bits
from slipstream.server.jetstream import JetStreamService
from slipstream.server.kernel_limits import kernel_limits
from slipstream.server.lame_duck import LameDuck
from slipstream.server.listeners import ListenError
from slipstream.server.log import Log, ServerLog
from slipstream.server.loop import Loop
from slipstream.server.monitoring.http import MonitoringServer
from slipstream.server.monitoring.monitored import Monitored
from slipstream.server.process_usage import ProcessorTime
from slipstream.server.protocol_trace import log_trace
from slipstream.server.published_ports import PublishedPorts
from slipstream.server.reload import Reloader
from slipstream.server.running_options import RunningOptions
from slipstream.server.services import SystemServices


class Server:
    """Order of use: create, `start`, `run`; `stop` ends `run`."""

    def __init__(
        self,
        options: Options,
        log: Log | None = None,
        *,
        flags: Mapping[str, Any] | None = None,
        program: str = "slipstream-server",
    ) -> None:
        """`flags` are the command line's settings, which a reload lays over the file again."""
        self.log = log or ServerLog()
        server_id = new_server_id()
        self._identity = Identity(server_id, options.server_name or server_id, time.time_ns())
        self._options = RunningOptions(options, flags or {})
        self._health = Health(self.log)
        self.guard = ErrorGuard(self.log)
        self.clients = Clients(options.max_closed_clients)
        self.jetstream: JetStreamService | None = None
        self.monitoring: MonitoringServer | None = None
        self.kernel = Kernel(**kernel_limits(self.options), seed=random_bits(62))
        self.kernel.set_long_ack_subjects(self.options.feature_flags.js_ack_fc_v2)
        self._account = self.kernel.account(ACCOUNT_GLOBAL.encode())
        self._system_account = self.kernel.account(ACCOUNT_SYSTEM.encode())
        self.loop = Loop(self.kernel, self._handle, self._work, self.guard.report)
        self._port = ClientPort(self.kernel, self._options, self._identity)
        self._ports = PublishedPorts(program, self._options, self._port, self.log)
        self._make_collaborators()
        self._stop_lock = threading.Lock()
        self._is_shut = False

    def _make_collaborators(self) -> None:
        kernel, options, log, report = self.kernel, self._options, self.log, self.guard.report
        self.admission = Admission(
            kernel, self._account, self.loop, self.clients, options, report, log
        )
        self.services = SystemServices(
            kernel, self._account, self.clients, self._identity, options, report
        )
        self.lame_duck = LameDuck(kernel, self.loop, self._port, options, self._health, log)
        self.reloader = Reloader(
            kernel, options, self._port, self._ports, self.admission, self._opened_jetstream, log
        )
        self._monitored = Monitored(
            identity=self._identity,
            options=options,
            health=self._health,
            kernel=kernel,
            accounts={self._account: ACCOUNT_GLOBAL, self._system_account: ACCOUNT_SYSTEM},
            clients=self.clients,
            port=self._port,
            loop=self.loop,
            lame_duck=self.lame_duck,
            guard=self.guard,
            log=log,
            processor_time=ProcessorTime(),
            jetstream=self._opened_jetstream,
        )

    # -- what others ask

    @property
    def options(self) -> Options:
        """The ones in force."""
        return self._options.current

    @property
    def host(self) -> str:
        return self._port.host

    @property
    def port(self) -> int:
        return self._port.port

    @property
    def url(self) -> str:
        """Where a client on this machine connects to."""
        return self._port.url

    @property
    def monitoring_url(self) -> str:
        assert self.monitoring is not None, "the server was started without a monitoring port"
        host = listeners.reachable_hosts(self.monitoring.host)[0]
        return f"http://{listeners.host_port(host, self.monitoring.port)}"

    @property
    def store_path(self) -> Path:
        return self._options.store_path

    def _opened_jetstream(self) -> JetStreamService | None:
        return self.jetstream

    # -- starting

    def start(self) -> None:
        """Raises StartError when something is in the way; nothing is left open then."""
        try:
            self._start()
        except StartError:
            self._close()
            raise

    def _start(self) -> None:
        banner.log_identity(self._identity, self.options, self.log)
        banner.log_configuration(self.options, self.log)
        self._port.check_advertised()
        with ExitStack() as undo:
            # First: a taken port leaves no store behind.
            bound = undo.enter_context(self._port.bind())
            self._start_monitoring()
            self._write_pid_file(undo)
            if self.options.jetstream.enabled:
                self._start_jetstream()
            self._start_listening(bound)
            undo.pop_all()
        self._health.is_ready = True
        self.log.info("Server is ready")
        self._ports.publish()

    def _start_monitoring(self) -> None:
        if not self.options.http_port:
            return
        host = self.options.http_host or self.options.host
        try:
            self.monitoring = MonitoringServer(self._monitored, host, self.options.http_port)
        except ListenError as error:
            raise StartError(
                f"Can't start monitoring: can't listen to the monitor port: {error}"
            ) from None
        self._ports.monitoring_port = self.monitoring.port
        address = listeners.host_port(self.monitoring.host, self.monitoring.port)
        self.log.info(f"Starting http monitor on {address}")
        self.monitoring.start()

    def _start_jetstream(self) -> None:
        started_ns = time.monotonic_ns()
        self.log.info("Starting JetStream")
        if self._options.store_is_temporary:
            self.log.warn("Temporary storage directory used, data could be lost on system reboot")
        banner.log_jetstream(self.options, self.log)
        self.jetstream = JetStreamService(
            self.kernel,
            self._identity,
            self._options,
            self.clients,
            self.guard.report,
            self.log,
        )
        took_ns = time.monotonic_ns() - started_ns
        self.log.info(f"Took {format_duration(took_ns)} to start JetStream")

    def _start_listening(self, bound: socket.socket) -> None:
        """Clients are refused, and try again, until everything is there for them."""
        self._port.begin_listening(bound)
        self.services.serve()
        self._port.open(bound)
        self.kernel.start()
        address = listeners.host_port(self.options.host, self.port)
        self.log.info(f"Listening for client connections on {address}")

    def _write_pid_file(self, undo: ExitStack) -> None:
        """Before the store is opened, which can take long: a start can be ended by the file."""
        if not self.options.pid_file:
            return
        try:
            banner.write_pid(self.options.pid_file)
        except OSError as error:
            raise StartError(f"Could not write pidfile: {error}") from None
        undo.callback(self._remove_pid_file, self.options.pid_file)

    def _remove_pid_file(self, path: str) -> None:
        try:
            banner.remove_pid(path)
        except OSError as error:
            self.log.error(f"Error removing pid file ({path}): {error}")

    # -- running

    def run(self) -> None:
        """Handles events until the server has stopped. Start first.

        What a step raises ends that step alone (see error_guard.py). An exception from outside of
        the steps ends the server: what was acknowledged is in the store.
        """
        try:
            self.loop.run()
        except Exception:
            self.log.fatal(f"Unexpected error, the server ends:\n{traceback.format_exc()}")
            raise
        finally:
            self._shut_down()

    def _handle(self, event: Event) -> None:
        if isinstance(event, ConnectEvent):
            self.admission.connect(event)
        elif isinstance(event, ClosedEvent):
            self.admission.closed(event)
        elif isinstance(event, RequestEvent):
            self._serve(event)
        elif isinstance(event, TraceEvent):
            log_trace(event, self.clients.get(event.cid), self.log)
        elif isinstance(event, TurnedAwayEvent):
            text = f"Too many open files: {event.clients} clients were turned away"
            self.log.error(f"{text}; raise the limit of open files (ulimit -n) for more")
        else:
            if isinstance(event, FailedEvent):
                self._health.store_failed(event.text)
            elif isinstance(event, StorageEvent):
                self._health.storage_changed(event)
            if self.jetstream is not None:
                self.jetstream.handle(event)

    def _serve(self, event: RequestEvent) -> None:
        if self.services.owns(event.service):
            self.services.handle(event)
        elif self.jetstream is not None:
            self.jetstream.handle(event)

    def _work(self) -> float | None:
        more = self.services.work()
        due_s = None if self.jetstream is None else self.jetstream.work()
        return 0.0 if more else due_s

    # -- stopping

    def stop(self) -> None:
        """Asks a running server to stop; returns at once. From any thread."""
        self.loop.stop()

    def enter_lame_duck(self) -> None:
        self.loop.post(self.lame_duck.enter)

    def reload(self) -> None:
        self.loop.post(self.reloader.reload)

    def _shut_down(self) -> None:
        """Once, whoever comes first."""
        with self._stop_lock:
            if self._is_shut:
                return
            self._is_shut = True
        self._health.is_ready = False
        self.log.info("Initiating Shutdown...")
        if self.jetstream is not None:
            self.log.info("Initiating JetStream Shutdown...")
        self._close()
        if self.jetstream is not None:
            self.log.info("JetStream Shutdown")
        self.log.info("Server Exiting..")

    def _close(self) -> None:
        self.admission.stop()
        self.kernel.stop()
        if self.monitoring is not None:
            self.monitoring.stop()
        self._ports.remove()
