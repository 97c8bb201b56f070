"""SIGHUP: reads the configuration again and applies what differs, or says what cannot change and
keeps everything (K-320..K-322).

A reload is applied whole or refused whole. `_prepare` does what can fail (opens the log file,
writes the process id and the ports, checks addresses and ranges) beside what is in use, and can
take it back; `_commit` then switches over and has no step that fails.
"""

from __future__ import annotations

import dataclasses
import os
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from slipstream.config.load import Change, changes, load
from slipstream.config.options import Options
from slipstream.config.source import ConfigError
from slipstream.server import banner
from slipstream.server.authentication import Authenticator
from slipstream.server.kernel_limits import kernel_limits
from slipstream.server.listeners import AddressError, PortsFile, advertised_address
from slipstream.server.log import LogSettings, ServerLog
from slipstream.server.log_targets import Target

if TYPE_CHECKING:
    from slipstream.server.server import Server

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

    def __init__(self, server: Server) -> None:
        self._server = server

    def reload(self) -> bool:
        """False when the configuration stays as it was; the log says why."""
        server = self._server
        try:
            loaded = load(server.options.config_file, server.flags)
        except (ConfigError, OSError) as error:
            return self._failed(str(error))
        if not server.options.config_file:
            return self._failed(
                "can only reload config when a file is provided using -c or --config"
            )
        for warning in loaded.warnings:
            server.log.warn(warning)
        options = self._with_machine_defaults(loaded.options)
        found = changes(server.options, options)
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
        server.log.info(f"Reloaded server configuration ({options.config_digest})")
        return True

    def _failed(self, reason: str) -> bool:
        self._server.log.error(f"Failed to reload server configuration: {reason}")
        return False

    def _with_machine_defaults(self, options: Options) -> Options:
        """What was not configured stays what the running server found out for itself."""
        running = self._server.options
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
        server = self._server
        prepared = _Prepared(Authenticator(options))
        try:
            advertised_address(options.client_advertise, server.port)
        except AddressError as error:
            raise _Refused(
                f"invalid ClientAdvertise value of {options.client_advertise}, err={error}"
            ) from None
        with ExitStack() as undo:
            if paths & _LOG_OPTIONS and isinstance(server.log, ServerLog):
                prepared.log = self._prepare_log(server.log, options, undo)
            if "pid_file" in paths and options.pid_file:
                self._prepare_pid_file(options.pid_file, undo)
            if "ports_file_dir" in paths and options.ports_file_dir:
                prepared.ports_file = self._prepare_ports_file(options, undo)
            try:  # all values or none; it comes last because nothing takes it back
                server.kernel.set_limits(**kernel_limits(options))
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
        ports_file = PortsFile(options.ports_file_dir, self._server.program)
        try:
            ports_file.write(self._server.ports())
        except OSError as error:
            raise _Refused(f"error writing ports file ({ports_file.path}): {error}") from None
        undo.callback(_remove, str(ports_file.path))
        return ports_file

    def _commit(self, options: Options, found: list[Change], prepared: _Prepared) -> None:
        server = self._server
        paths = {change.path for change in found}
        if prepared.log is not None and isinstance(server.log, ServerLog):
            server.log.adopt(*prepared.log)
        server.options = options
        server.config_loaded_ns = time.time_ns()
        if server.jetstream is not None:
            server.jetstream.reload(options)
        if "ports_file_dir" in paths:
            server.use_ports_file(prepared.ports_file)
        authorization_changed = any(path.startswith("authorization") for path in paths)
        if authorization_changed:
            server.admission.reload(prepared.authenticator)
        if paths & _SHOWN_IN_INFO or authorization_changed:
            server.set_info()
        if "client_advertise" in paths:
            server.kernel.broadcast_info(server.info_json())
        if "max_connections" in paths:
            self._close_surplus(options.max_connections)
        for change in found:
            server.log.info(f"Reloaded: {change.path} = {change.new}")

    def _close_surplus(self, connections_max: int) -> None:
        """The youngest leave first."""
        connections = sorted(self._server.kernel.connections(), key=lambda one: one.start_ns)
        for surplus in connections[max(0, connections_max) :]:
            self._server.kernel.refuse(
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
