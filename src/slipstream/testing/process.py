"""`slipstream-server` as a child process, for tests that kill it: free ports, a wait until it is
ready, SIGKILL, a start on the same store.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

READY = "Server is ready"
LISTENING = "Listening for client connections on "
MONITORING = "Starting http monitor on "
READY_S_MAX = 60.0
STOP_S_MAX = 60.0
CHUNK_BYTES = 65536
PROGRAM = (sys.executable, "-m", "slipstream.cli.nats_server")


class ServerProcess:
    """A server process; its folder holds the store and the log, and survives kills.

    with ServerProcess(["-js"]) as server:
        ...
        server.kill()
        server.start()
    """

    def __init__(
        self,
        flags: Sequence[str] = ("-js",),
        *,
        folder: Path | None = None,
        program: Sequence[str] = PROGRAM,
        config: str = "",
    ) -> None:
        """`flags` beside those for ports and store; `program` may be a real nats-server."""
        self._temporary = None
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="slipstream-")
            folder = Path(self._temporary.name)
        self.folder = folder
        self._program = list(program)
        self._flags = list(flags)
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._port = -1
        self._monitoring_port = -1
        self._log_lines: list[str] = []
        self._ready = threading.Event()
        self._reader: threading.Thread | None = None

    # -- life

    def start(self) -> None:
        """Starts (again, on the same ports and store) and returns when it accepts clients.

        Raises TimeoutError or RuntimeError with the log, when it does not come up.
        """
        assert self._process is None, "it runs"
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [*self._program, *self._arguments()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not self._ready.wait(READY_S_MAX):
            self.kill()
            raise TimeoutError(f"the server is not ready after {READY_S_MAX} s:\n{self.log}")
        if self._process.poll() is not None:
            code = self._wait()
            raise RuntimeError(f"the server ended with code {code}:\n{self.log}")

    def kill(self) -> None:
        """SIGKILL: the process has no chance to write anything more."""
        self._signal(signal.SIGKILL)
        self._wait()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self._signal(signal.SIGTERM)
        return self._wait()

    def send_signal(self, number: signal.Signals) -> None:
        self._signal(number)

    def wait(self, timeout_s: float = STOP_S_MAX) -> int:
        """Waits until it ends by itself, and returns the exit code."""
        return self._wait(timeout_s)

    def __enter__(self) -> ServerProcess:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self.kill()
        if self._temporary is not None:
            self._temporary.cleanup()

    # -- what it is

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def port(self) -> int:
        return self._port

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    @property
    def monitoring_url(self) -> str:
        return f"http://127.0.0.1:{self._monitoring_port}"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    @property
    def log(self) -> str:
        """Everything on stderr so far, of all starts."""
        return "".join(self._log_lines)

    # -- inside

    def _arguments(self) -> list[str]:
        arguments = [
            *("-a", "127.0.0.1"),
            *("-p", str(self._port)),
            *("-m", str(self._monitoring_port)),
            *("-sd", str(self.store)),
            *self._flags,
        ]
        if self._config:
            path = self.folder / "server.conf"
            path.write_text(self._config)
            arguments += ["-c", str(path)]
        return arguments

    def _read_log(self) -> None:
        """Until the process closes its stderr; one that ended counts as ready to be looked at."""
        assert self._process is not None
        assert self._process.stderr is not None
        begun = ""
        while received := self._process.stderr.read(CHUNK_BYTES):
            *lines, begun = (begun + received.decode("utf-8", "replace")).split("\n")
            for line in lines:
                self._log_lines.append(line + "\n")
                self._learn_port(line)
        self._process.wait()
        self._ready.set()

    def _learn_port(self, line: str) -> None:
        """The lines that name the ports come before the one that says ready."""
        if LISTENING in line:
            self._port = int(line.rsplit(":", 1)[1])
        elif MONITORING in line:
            self._monitoring_port = int(line.rsplit(":", 1)[1])
        elif READY in line:
            self._ready.set()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        os.kill(self._process.pid, number)

    def _wait(self, timeout_s: float = STOP_S_MAX) -> int:
        assert self._process is not None, "it does not run"
        code = self._process.wait(timeout_s)
        if self._reader is not None:
            self._reader.join()
        assert self._process.stderr is not None
        self._process.stderr.close()
        self._process = None
        return code
