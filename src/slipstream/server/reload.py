"""SIGHUP: reads the configuration again and applies what differs, or says what cannot change and
keeps everything (K-320..K-322).
"""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from slipstream.config.load import Change, changes, load
from slipstream.config.options import Options
from slipstream.config.source import ConfigError
from slipstream.server.kernel_limits import kernel_limits
from slipstream.server.log import ServerLog

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
_FILE_OPTIONS = frozenset({"pid_file", "ports_file_dir"})
_SHOWN_IN_INFO = frozenset({"client_advertise", "max_payload"})


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
            self._apply(options, found)
        except OSError as error:
            return self._failed(str(error))
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

    def _apply(self, options: Options, found: list[Change]) -> None:
        server = self._server
        paths = {change.path for change in found}
        if paths & _LOG_OPTIONS and isinstance(server.log, ServerLog):
            configure_log(server.log, options)  # may fail, so it comes first
        server.options = options
        server.config_loaded_ns = time.time_ns()
        server.kernel.set_limits(**kernel_limits(options))
        if server.jetstream is not None:
            server.jetstream.reload(options)
        if paths & _FILE_OPTIONS:
            server.rewrite_files()
        if any(path.startswith("authorization") for path in paths):
            server.admission.reload()
        if paths & _SHOWN_IN_INFO or any(path.startswith("authorization") for path in paths):
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


def configure_log(log: ServerLog, options: Options) -> None:
    """Raises OSError when the log file cannot be opened."""
    log.configure(
        path=options.log_file,
        size_limit=options.log_size_limit,
        files_max=options.log_max_files,
        debug=options.debug,
        trace=options.trace,
        logtime=options.logtime,
        utc=options.logtime_utc,
    )
