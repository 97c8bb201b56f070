"""SIGHUP: reads the configuration again and applies what differs, or says what cannot change and
keeps everything (K-320..K-322).

A reload is applied whole or refused whole. `_prepare` does what can fail (opens the log file,
writes the process id and the ports, checks addresses and ranges) beside what is in use, and can
take it back; `_commit` then switches over and has no step that fails.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress

from slipstream.config.load import Change, changes, load
from slipstream.config.options import Options
from slipstream.config.source import ConfigError
from slipstream.kernel import Kernel
from slipstream.server import banner
from slipstream.server.admission import Admission
from slipstream.server.authentication import Authenticator
from slipstream.server.client_port import ClientPort
from slipstream.server.jetstream import JetStreamService
from slipstream.server.kernel_limits import kernel_limits
from slipstream.server.listeners import AddressError, PortsFile, advertised_address
from slipstream.server.log import Log, LogSettings, ServerLog
from slipstream.server.log_targets import Target
from slipstream.server.published_ports import PublishedPorts
from slipstream.server.running_options import RunningOptions

_LOG_OPTIONS = frozenset(
    {
        "log_file",
        "log_size_limit",
        "log_max_files",
        "debug",
        "trace",
        "logtime",
        "logtime_utc",
    }
)
_SHOWN_IN_INFO = frozenset({"client_advertise", "max_payload"})


class _Refused(Exception):
    """The new configuration cannot be applied; the text says why."""


@dataclasses.dataclass(slots=True)
class _Prepared:
    """What stands ready to be switched to. None: stays as it is."""

    authenticator: Authenticator
    log: tuple[LogSettings, Target] | None = None
    ports_file: PortsFile | None = None


class Reloader:
    """On the server's loop."""

    def __init__(
        self,
        kernel: Kernel,
        options: RunningOptions,
        port: ClientPort,
        ports: PublishedPorts,
        admission: Admission,
        jetstream: Callable[[], JetStreamService | None],
        log: Log,
    ) -> None:
        """`jetstream` says what runs when it is asked: it is opened after this is made."""
        self._kernel = kernel
        self._options = options
        self._port = port
        self._ports = ports
        self._admission = admission
        self._jetstream = jetstream
        self._log = log

    def reload(self) -> bool:
        """False when the configuration stays as it was; the log says why."""
        try:
            loaded = load(self._options.current.config_file, self._options.flags)
        except (ConfigError, OSError) as error:
            return self._failed(str(error))
        if not self._options.current.config_file:
            return self._failed(
                "can only reload config when a file is provided using -c or --config"
            )
        for warning in loaded.warnings:
            self._log.warn(warning)
        options = self._with_machine_defaults(loaded.options)
        found = changes(self._options.current, options)
        fixed = [change for change in found if not change.reloadable]
        if fixed:
            return self._failed(
                "; ".join(f"config reload not supported for {change}" for change in fixed)
            )
        try:
            prepared = self._prepare(options, {change.path for change in found})
        except _Refused as error:
            return self._failed(str(error))
        self._commit(options, found, prepared)
        self._log.info(f"Reloaded server configuration ({options.config_digest})")
        return True

    def _failed(self, reason: str) -> bool:
        self._log.error(f"Failed to reload server configuration: {reason}")
        return False

    def _with_machine_defaults(self, options: Options) -> Options:
        """What was not configured stays what the running server found out for itself."""
        running = self._options.current
        jetstream = options.jetstream
        if jetstream.max_memory < 0:
            jetstream = dataclasses.replace(jetstream, max_memory=running.jetstream.max_memory)
        if jetstream.max_file < 0:
            jetstream = dataclasses.replace(jetstream, max_file=running.jetstream.max_file)
        return dataclasses.replace(
            options, store_dir=options.store_dir or running.store_dir, jetstream=jetstream
        )

    def _prepare(self, options: Options, paths: set[str]) -> _Prepared:
        """Raises _Refused, and leaves nothing behind then."""
        prepared = _Prepared(Authenticator(options))
        try:
            advertised_address(options.client_advertise, self._port.port)
        except AddressError as error:
            raise _Refused(
                f"invalid ClientAdvertise value of {options.client_advertise}, err={error}"
            ) from None
        with ExitStack() as undo:
            if paths & _LOG_OPTIONS and isinstance(self._log, ServerLog):
                prepared.log = self._prepare_log(self._log, options, undo)
            if "pid_file" in paths and options.pid_file:
                self._prepare_pid_file(options.pid_file, undo)
            if "ports_file_dir" in paths and options.ports_file_dir:
                prepared.ports_file = self._prepare_ports_file(options, undo)
            try:  # all values or none; it comes last because nothing takes it back
                self._kernel.set_limits(**kernel_limits(options))
            except (OverflowError, ValueError) as error:
                raise _Refused(f"a limit is out of the range: {error}") from None
            undo.pop_all()
        return prepared

    def _prepare_log(
        self, log: ServerLog, options: Options, undo: ExitStack
    ) -> tuple[LogSettings, Target]:
        settings = log_settings(options)
        self._remove_if_new(settings.path, undo)
        try:
            target = log.prepare(settings)
        except OSError as error:
            raise _Refused(f"error opening file: {error}") from None
        undo.callback(target.close)
        return settings, target

    def _prepare_pid_file(self, path: str, undo: ExitStack) -> None:
        self._remove_if_new(path, undo)
        try:
            banner.write_pid(path)
        except OSError as error:
            raise _Refused(f"could not write pidfile: {error}") from None

    def _remove_if_new(self, path: str, undo: ExitStack) -> None:
        """A file that a refused reload has begun does not stay."""
        if path and not os.path.lexists(path):
            undo.callback(_remove, path)

    def _prepare_ports_file(self, options: Options, undo: ExitStack) -> PortsFile:
        ports_file = self._ports.file_in(options.ports_file_dir)
        try:
            ports_file.write(self._ports.urls())
        except OSError as error:
            raise _Refused(f"error writing ports file ({ports_file.path}): {error}") from None
        undo.callback(_remove, str(ports_file.path))
        return ports_file

    def _commit(self, options: Options, found: list[Change], prepared: _Prepared) -> None:
        paths = {change.path for change in found}
        if prepared.log is not None and isinstance(self._log, ServerLog):
            self._log.adopt(*prepared.log)
        self._options.replace(options)
        if (jetstream := self._jetstream()) is not None:
            jetstream.reload(options)
        if "ports_file_dir" in paths:
            self._ports.use(prepared.ports_file)
        authorization_changed = any(path.startswith("authorization") for path in paths)
        if authorization_changed:
            self._admission.reload(prepared.authenticator)
        if paths & _SHOWN_IN_INFO or authorization_changed:
            self._port.set_info()
        if "client_advertise" in paths:
            self._port.broadcast_info()
        if "max_connections" in paths:
            self._close_surplus(options.max_connections)
        for change in found:
            self._log.info(f"Reloaded: {change.path} = {change.new}")

    def _close_surplus(self, connections_max: int) -> None:
        """The youngest leave first."""
        connections = sorted(self._kernel.connections(), key=lambda one: one.start_ns)
        for surplus in connections[max(0, connections_max) :]:
            self._kernel.refuse(
                surplus.cid, b"maximum connections exceeded", "Maximum Connections Exceeded"
            )


def _remove(path: str) -> None:
    with suppress(OSError):  # it could not be made either, or it is empty and harms nobody
        os.unlink(path)


def log_settings(options: Options) -> LogSettings:
    return LogSettings(
        path=options.log_file,
        size_limit=options.log_size_limit,
        files_max=options.log_max_files,
        debug=options.debug,
        trace=options.trace,
        logtime=options.logtime,
        utc=options.logtime_utc,
    )
