"""A whole server: kernel, JetStream, clients, monitoring, and the order in which they start and
stop.

`start` brings it up and returns when clients can connect; `run` is the loop and returns when the
server has stopped. Everything else may be called from any thread. Log lines, their order and their
texts are nats-server's, because harnesses wait for them (K-324..K-328).
"""

from __future__ import annotations

import dataclasses
import os
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
from slipstream.server import banner, listeners, process_usage
from slipstream.server.admission import Admission
from slipstream.server.clients import Clients
from slipstream.server.error_guard import ErrorGuard
from slipstream.server.errors import StartError
from slipstream.server.identity import new_server_id, random_bits
from slipstream.server.info import ServerInfo
from slipstream.server.jetstream import JetStreamService
from slipstream.server.kernel_limits import kernel_limits
from slipstream.server.lame_duck import LameDuck
from slipstream.server.listeners import (
    AddressError,
    ListenError,
    PortsFile,
    advertised_address,
)
from slipstream.server.log import Log, ServerLog
from slipstream.server.loop import Loop
from slipstream.server.monitoring.http import MonitoringServer
from slipstream.server.protocol_trace import log_trace
from slipstream.server.reload import Reloader
from slipstream.server.services import SystemServices
from slipstream.server.storage_sizes import StorageSizes, storage_sizes

TEMPORARY_STORE = "slipstream"  # below the system's temporary folder, when none was given


NO_ROOM_LOGGED_NS = 10_000_000_000  # between two lines about it


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
        self.options = options
        self.finds_max_file = options.jetstream.max_file < 0
        self.sizes = StorageSizes(0, 0, 0)
        if options.jetstream.enabled:
            self._complete_options()
        self.flags = dict(flags or {})
        self.program = program
        self.server_id = new_server_id()
        self.name = options.server_name or self.server_id
        self.start_ns = time.time_ns()
        self.config_loaded_ns = self.start_ns
        self.processor_time = process_usage.ProcessorTime()
        self.store_failure = ""
        self.no_room = ""  # on the disk of the store, and why
        self.is_ready = False
        self.clients = Clients(options.max_closed_clients)
        self.jetstream: JetStreamService | None = None
        self.monitoring: MonitoringServer | None = None
        self.kernel = Kernel(**kernel_limits(self.options), seed=random_bits(62))
        self.kernel.set_long_ack_subjects(self.options.feature_flags.js_ack_fc_v2)
        self.account = self.kernel.account(ACCOUNT_GLOBAL.encode())
        self.system_account = self.kernel.account(ACCOUNT_SYSTEM.encode())
        self.guard = ErrorGuard(self.log)
        self.loop = Loop(self.kernel, self._handle, self._work, self.guard.report)
        self.admission = Admission(self)
        self.services = SystemServices(self)
        self.lame_duck = LameDuck(self)
        self.reloader = Reloader(self)
        self._info = ServerInfo(self.server_id, self.name)
        self._listening: tuple[str, int] | None = None
        self._ports_file: PortsFile | None = None
        self._stop_lock = threading.Lock()
        self._is_shut = False
        self._no_room_is_logged = False
        self._no_room_logged_ns = -NO_ROOM_LOGGED_NS

    def _complete_options(self) -> None:
        """With what depends on the machine: the store's folder and its default sizes."""
        store_dir = self.options.store_dir or _temporary_store()
        self.sizes = storage_sizes(self.options.jetstream, store_dir)
        self.options = dataclasses.replace(self.options, store_dir=store_dir)
        self.set_storage_limits(self.sizes.max_memory, self.sizes.max_file)

    def set_storage_limits(self, max_memory: int, max_file: int) -> None:
        jetstream = dataclasses.replace(
            self.options.jetstream, max_memory=max_memory, max_file=max_file
        )
        self.options = dataclasses.replace(self.options, jetstream=jetstream)

    # -- what others ask

    @property
    def host(self) -> str:
        return self._address()[0]

    @property
    def port(self) -> int:
        return self._address()[1]

    @property
    def url(self) -> str:
        """Where a client on this machine connects to."""
        host = listeners.reachable_hosts(self.host)[0]
        return f"nats://{listeners.host_port(host, self.port)}"

    @property
    def monitoring_url(self) -> str:
        assert self.monitoring is not None, "the server was started without a monitoring port"
        host = listeners.reachable_hosts(self.monitoring.host)[0]
        return f"http://{listeners.host_port(host, self.monitoring.port)}"

    @property
    def store_path(self) -> Path:
        return Path(self.options.store_dir)

    def info_json(self, *, lame_duck: bool = False) -> bytes:
        return self._info.render(self.options, *self._advertised(), lame_duck=lame_duck)

    def set_info(self) -> None:
        """What clients are told from now on."""
        connected = self._info.render_connected(self.options, *self._advertised())
        self.kernel.set_info(self.info_json(), connected)

    def _address(self) -> tuple[str, int]:
        assert self._listening is not None, "the server was not started"
        return self._listening

    def _advertised(self) -> tuple[str, int]:
        """The address that INFO names."""
        if not self.options.client_advertise:
            return self.options.host, self.port
        return advertised_address(self.options.client_advertise, self.port)

    # -- starting

    def start(self) -> None:
        """Raises StartError when something is in the way; nothing is left open then."""
        try:
            self._start()
        except StartError:
            self._close()
            raise

    def _start(self) -> None:
        banner.log_identity(self)
        banner.log_configuration(self.options, self.log)
        self._check_advertised()
        with ExitStack() as undo:
            bound = undo.enter_context(self._bind())  # first: a taken port leaves no store behind
            self._start_monitoring()
            self._write_pid_file(undo)
            if self.options.jetstream.enabled:
                self._start_jetstream()
            self._start_listening(bound)
            undo.pop_all()
        self.is_ready = True
        self.log.info("Server is ready")
        self._write_ports_file()

    def _start_monitoring(self) -> None:
        if not self.options.http_port:
            return
        host = self.options.http_host or self.options.host
        try:
            self.monitoring = MonitoringServer(self, host, self.options.http_port)
        except ListenError as error:
            raise StartError(
                f"Can't start monitoring: can't listen to the monitor port: {error}"
            ) from None
        address = listeners.host_port(self.monitoring.host, self.monitoring.port)
        self.log.info(f"Starting http monitor on {address}")
        self.monitoring.start()

    def _start_jetstream(self) -> None:
        started_ns = time.monotonic_ns()
        self.log.info("Starting JetStream")
        if self.store_path == Path(_temporary_store()):
            self.log.warn("Temporary storage directory used, data could be lost on system reboot")
        banner.log_jetstream(self)
        self.jetstream = JetStreamService(self)
        took_ns = time.monotonic_ns() - started_ns
        self.log.info(f"Took {format_duration(took_ns)} to start JetStream")

    def _check_advertised(self) -> None:
        try:
            if self.options.client_advertise:
                advertised_address(self.options.client_advertise, self.options.port)
        except AddressError as error:
            raise StartError(
                "Error setting server INFO with ClientAdvertise value of "
                f"{self.options.client_advertise}, err={error}"
            ) from None

    def _bind(self) -> socket.socket:
        try:
            return listeners.bind(self.options.host, self.options.port)
        except ListenError as error:
            raise self._cannot_listen(error) from None

    def _cannot_listen(self, error: ListenError) -> StartError:
        shown = listeners.host_port(self.options.host, max(self.options.port, 0))
        return StartError(f'Error listening on port: {shown}, "{error}"')

    def _start_listening(self, bound: socket.socket) -> None:
        """Clients are refused, and try again, until everything is there for them."""
        host = self.options.host
        self._listening = listeners.address(bound, host)
        try:
            listeners.begin_listening(bound, host)
        except ListenError as error:
            raise self._cannot_listen(error) from None
        self.set_info()
        self.services.serve()
        self.kernel.listen(bound.detach())  # the kernel closes it
        self.kernel.start()
        self.log.info(f"Listening for client connections on {listeners.host_port(host, self.port)}")

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

    def _write_ports_file(self) -> None:
        if not self.options.ports_file_dir:
            return
        ports_file = PortsFile(self.options.ports_file_dir, self.program)
        try:
            ports_file.write(self.ports())
        except OSError as error:
            self.log.error(f"Error writing ports file ({ports_file.path}): {error}")
            return
        self._ports_file = ports_file

    def ports(self) -> dict[str, list[str]]:
        """The URLs in use, as the ports file has them."""
        ports = {"nats": listeners.urls("nats", self.options.host, self.port)}
        if self.monitoring is not None:
            host = self.options.http_host or self.options.host
            ports["monitoring"] = listeners.urls("http", host, self.monitoring.port)
        return ports

    def use_ports_file(self, ports_file: PortsFile | None) -> None:
        """After a reload has written another one, or asks for none any more."""
        replaced, self._ports_file = self._ports_file, ports_file
        if replaced is not None:
            self._remove_ports_file(replaced)

    def _remove_ports_file(self, ports_file: PortsFile) -> None:
        try:
            ports_file.remove()
        except OSError as error:
            self.log.error(f"Error removing ports file ({ports_file.path}): {error}")

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
                self._store_failed(event.text)
            elif isinstance(event, StorageEvent):
                self._storage_changed(event)
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

    def _store_failed(self, text: str) -> None:
        self.store_failure = text
        self.log.error(f"JetStream failed and accepts nothing more on this server: {text}")

    def _storage_changed(self, event: StorageEvent) -> None:
        """On a disk that is full again and again, the log hears of it now and then."""
        now_ns = time.monotonic_ns()
        self.no_room = event.text if event.is_full else ""
        if event.is_full:
            self._no_room_is_logged = now_ns - self._no_room_logged_ns >= NO_ROOM_LOGGED_NS
            if self._no_room_is_logged:
                self._no_room_logged_ns = now_ns
                self.log.error(f"JetStream out of storage, messages are refused: {event.text}")
        elif self._no_room_is_logged:
            took = format_duration(now_ns - self._no_room_logged_ns)
            self.log.info(f"JetStream has storage again, after {took}: {event.text}")

    # -- stopping

    def stop(self) -> None:
        """Asks a running server to stop; returns at once. From any thread."""
        self.loop.stop()

    def enter_lame_duck(self) -> None:
        self.loop.post(self.lame_duck.enter)

    def reload(self) -> None:
        self.loop.post(self.reloader.reload)

    def stop_listening(self) -> None:
        self.is_ready = False
        self.kernel.stop_listening()

    def _shut_down(self) -> None:
        """Once, whoever comes first."""
        with self._stop_lock:
            if self._is_shut:
                return
            self._is_shut = True
        self.is_ready = False
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
        if self._ports_file is not None:
            self._remove_ports_file(self._ports_file)


def _temporary_store() -> str:
    """Without a look for a folder that can be written, because most servers have a store of their
    own and need none.
    """
    return str(Path(os.environ.get("TMPDIR") or "/tmp") / TEMPORARY_STORE)
