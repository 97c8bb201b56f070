"""The ports file: the URLs in use, written for programs that start servers on free ports."""

from __future__ import annotations

from slipstream.server import listeners
from slipstream.server.client_port import ClientPort
from slipstream.server.listeners import PortsFile
from slipstream.server.log import Log
from slipstream.server.running_options import RunningOptions


class PublishedPorts:
    def __init__(
        self, program: str, options: RunningOptions, clients: ClientPort, log: Log
    ) -> None:
        self._program = program
        self._options = options
        self._clients = clients
        self._log = log
        self._file: PortsFile | None = None
        self.monitoring_port: int | None = None  # None: there is none

    def publish(self) -> None:
        """At the start, if it is configured; the log says what goes wrong."""
        folder = self._options.current.ports_file_dir
        if not folder:
            return
        file = self.file_in(folder)
        try:
            file.write(self.urls())
        except OSError as error:
            self._log.error(f"Error writing ports file ({file.path}): {error}")
            return
        self._file = file

    def file_in(self, folder: str) -> PortsFile:
        return PortsFile(folder, self._program)

    def urls(self) -> dict[str, list[str]]:
        """As the ports file has them."""
        options = self._options.current
        ports = {"nats": listeners.urls("nats", options.host, self._clients.port)}
        if self.monitoring_port is not None:
            host = options.http_host or options.host
            ports["monitoring"] = listeners.urls("http", host, self.monitoring_port)
        return ports

    def use(self, file: PortsFile | None) -> None:
        """After a reload has written another one, or asks for none any more."""
        replaced, self._file = self._file, file
        if replaced is not None:
            self._remove(replaced)

    def remove(self) -> None:
        """When the server ends."""
        if self._file is not None:
            self._remove(self._file)

    def _remove(self, file: PortsFile) -> None:
        try:
            file.remove()
        except OSError as error:
            self._log.error(f"Error removing ports file ({file.path}): {error}")
