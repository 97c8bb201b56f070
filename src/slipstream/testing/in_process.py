"""A server inside the running Python process: the kernel on its native thread, the server's loop on
a Python thread.

    with slipstream.testing.server() as server:
        client = await nats.connect(server.url)

The port is free, the store is in a temporary folder and goes with the server. Messages never visit
Python: beside a thread that spins, a request and its reply took 15 us in the middle and 18 us at
the 99th percentile, as without it. What the server does in Python waits for the interpreter: the
JetStream API answered in 0.13 ms in the middle, and in 9.5 ms instead of 0.3 ms at the 99th
percentile.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from slipstream.config.load import build, check, read_document
from slipstream.config.options import Options
from slipstream.config.parser import parse_text
from slipstream.server.log import LogSettings, ServerLog
from slipstream.server.server import Server

STOP_S_MAX = 60.0
LOG_LINES_MAX = 10_000


class EmbeddedServer:
    """A running server. `stop` it, or use `server` as a context manager."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.log_lines: list[str] = []
        self._start()

    def _start(self) -> None:
        log = ServerLog(sink=self._keep)
        log.configure(LogSettings(debug=True))
        self._server = Server(self._options, log, program="slipstream-embedded")
        self._server.start()
        self._thread = threading.Thread(target=self._server.run, name="slipstream", daemon=True)
        self._thread.start()

    def _keep(self, line: str) -> None:
        if len(self.log_lines) < LOG_LINES_MAX:
            self.log_lines.append(line)

    @property
    def url(self) -> str:
        return self._server.url

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def monitoring_url(self) -> str:
        """Only with `http_port`."""
        return self._server.monitoring_url

    @property
    def server(self) -> Server:
        """The server itself, for tests that look inside."""
        return self._server

    def stop(self) -> None:
        """A clean stop; the store stays. A second one does nothing."""
        self._server.stop()
        self._thread.join(STOP_S_MAX)
        assert not self._thread.is_alive(), "the server does not stop"

    def restart(self) -> None:
        """Stops cleanly and starts again on the same port and the same store."""
        port = self.port
        self.stop()
        self._options = dataclasses.replace(self._options, port=port)
        self._start()


@contextmanager
def server(config: str = "", **settings: Any) -> Iterator[EmbeddedServer]:
    """A server on a free port of 127.0.0.1, with JetStream and a store in a temporary folder.

    Args:
        config: a configuration in NATS's format, laid over these defaults.
        settings: options by path, with `__` for the dot (`authorization__user="a"`), over both.

    Raises:
        ConfigError: for what is wrong in `config`.
        StartError: when the server cannot start.
    """
    folder = tempfile.mkdtemp(prefix="slipstream-")
    try:
        running = EmbeddedServer(_options(config, settings, folder))
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder)


def _options(config: str, settings: dict[str, Any], folder: str) -> Options:
    chosen: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": -1,
        "jetstream.enabled": True,
        "store_dir": folder,
    }
    configured, _ = read_document(parse_text(config, "config"))
    chosen |= configured
    chosen |= {path.replace("__", "."): value for path, value in settings.items()}
    options = build(chosen)
    check(options)
    return options
