"""The servers under comparison: started on free loopback ports with stores of their own, in a
stated durability mode, and stopped by their own process id.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from slipstream.bench.api_client import ServerAddress
from slipstream.bench.measurement import ServerProcess

LISTENING = "Listening for client connections on "
READY_LINE = "Server is ready"
READY_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 60.0
LOG_LINES_SHOWN = 20


@dataclass(frozen=True)
class Durability:
    """When a server says that a message is stored: what its file streams promise."""

    label: str
    sync_interval: str | None  # the option in the configuration file; None: left out


DURABLE = Durability("durable", None)
RELAXED = Durability("relaxed", "2m")
THEIR_DEFAULT = Durability("default", None)
THEIR_ALWAYS = Durability("always", "always")


@dataclass(frozen=True)
class Product:
    name: str
    command: tuple[str, ...]


def beside_interpreter(name: str) -> tuple[str, ...]:
    return (str(Path(sys.executable).parent / name),)


def product(name: str, command: str | None) -> Product:
    words = tuple(shlex.split(command)) if command else beside_interpreter(name)
    if not shutil.which(words[0]):
        raise FileNotFoundError(f"{name}: there is no command {words[0]}")
    return Product(name, words)


class ServerFailed(RuntimeError):
    """The server did not start, or ended when it should not; with the end of its log."""


class RunningServer:
    """A server process with its folder; it may be stopped, killed and started on the same store."""

    def __init__(self, product: Product, durability: Durability, parent: Path) -> None:
        self.product = product
        self.durability = durability
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{product.name}-", dir=parent))
        self.store = self.folder / "store"
        self.address = ServerAddress(port=-1)  # the server chooses one when it starts, and keeps it
        self._process: subprocess.Popen[str] | None = None
        self._log: list[str] = []
        self._ready = False
        self._ready_or_ended = threading.Event()
        self._reader: threading.Thread | None = None
        sync = f'sync_interval: "{durability.sync_interval}"' if durability.sync_interval else ""
        self._config = self.folder / "server.conf"
        self._config.write_text(f'jetstream {{ store_dir: "{self.store}"\n {sync} }}\n')

    def start(self) -> float:
        """Returns the seconds from the start of the process to its ready line."""
        assert self._process is None, "the server runs already"
        self._ready = False
        self._ready_or_ended.clear()
        start = time.monotonic()
        self._process = subprocess.Popen(
            [
                *self.product.command,
                *("-a", "127.0.0.1", "-p", str(self.address.port)),
                *("-c", str(self._config)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_log, args=(self._process,), daemon=True)
        self._reader.start()
        self._ready_or_ended.wait(READY_TIMEOUT_S)
        if not self._ready:
            self.kill()
            raise ServerFailed(f"{self.product.name} did not start:\n{self.log_end()}")
        return time.monotonic() - start

    def _read_log(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self._log.append(line)
            if LISTENING in line:
                self.address = ServerAddress(port=int(line.rsplit(":", 1)[1]))
            elif READY_LINE in line:
                self._ready = True
                self._ready_or_ended.set()
        self._ready_or_ended.set()

    def log_end(self) -> str:
        return "".join(self._log[-LOG_LINES_SHOWN:])

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def process(self) -> ServerProcess:
        assert self._process is not None, "the server does not run"
        return ServerProcess(self._process.pid)

    def stop(self) -> None:
        """A clean stop."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ServerFailed(f"{self.product.name} did not stop:\n{self.log_end()}") from None
        assert self._reader is not None
        self._reader.join()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def keep_store(self) -> Path:
        """A copy of the stopped server's store, for restore_store()."""
        assert self._process is None, "the server still writes"
        kept = self.folder / "kept"
        if kept.exists():
            shutil.rmtree(kept)
        shutil.copytree(self.store, kept, symlinks=True)
        return kept

    def restore_store(self, kept: Path) -> None:
        assert self._process is None, "the server still writes"
        shutil.rmtree(self.store)
        shutil.copytree(kept, self.store, symlinks=True)
        for path in self._store_files():
            sync_file(path)  # or the kernel would write the copy back while the server starts

    def _store_files(self) -> list[Path]:
        return [Path(folder) / name for folder, _, names in os.walk(self.store) for name in names]

    def drop_cached_files(self) -> None:
        """Has the kernel forget the store's pages, so that the next reads come from the disk."""
        for path in self._store_files():
            sync_file(path, drop_pages=True)


def sync_file(path: Path, drop_pages: bool = False) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return  # the server removed it since
    try:
        os.fsync(handle)  # only clean pages can be dropped
        if drop_pages:
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
