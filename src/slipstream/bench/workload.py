"""What every benchmark workload shares: its options as a dataclass, and the order prepare, connect,
measure, verify, clean.

A workload says what to create on the server, which roles the load generator plays, and what must be
true afterwards. Its fields are its command line options: type, default and help stand in one place.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

from slipstream.bench._load import LoadError, LoadRun
from slipstream.bench.api_client import ApiClient, ServerAddress
from slipstream.bench.measurement import Latency, Measurement, ServerProcess

Progress = Callable[
    [int, int, float], None
]  # messages so far, of how many, seconds since the start
PROGRESS_INTERVAL_S = 0.1


class NotSupported(RuntimeError):
    """The server refuses the feature that the workload is about; the text is the server's."""


@dataclass(frozen=True)
class Message:
    subject: str
    payload: bytes = b""
    header: bytes = b""


def option(default: Any, text: str, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"help": text, "choices": choices})


def headers(**values: str) -> bytes:
    """A header block; underscores in the names stand for hyphens."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in values.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode()


def inbox() -> str:
    return f"_INBOX.{secrets.token_hex(11)}"


@dataclass(frozen=True, kw_only=True)
class Workload:
    name: ClassVar[str]
    summary: ClassVar[str]
    measured_role: ClassVar[int] = 0  # whose messages and latencies are reported
    suffix: str = field(default_factory=lambda: secrets.token_hex(4), init=False)

    def prepare(self, server: ServerAddress, api: ApiClient) -> None:
        """Creates and fills what the run needs; not measured."""

    def add_roles(self, run: LoadRun) -> None:
        raise NotImplementedError

    def verify(self, api: ApiClient) -> None:
        """Raises LoadError when the server's state is not what the run must have left."""

    def clean(self, api: ApiClient) -> None:
        """Removes what prepare() created; called after failures too."""

    def messages(self, results: list[dict[str, Any]]) -> int:
        return int(results[self.measured_role]["messages"])

    def options(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    def run(
        self,
        server: ServerAddress,
        *,
        process: ServerProcess | None = None,
        progress: Progress | None = None,
        stall_seconds: float = 30.0,
    ) -> Measurement:
        with ApiClient(server) as api:
            try:
                self.prepare(server, api)
                measurement = self._measure(server, api, process, progress, stall_seconds)
                self.verify(api)
            finally:
                self.clean(api)
        return measurement

    def _measure(
        self,
        server: ServerAddress,
        api: ApiClient,
        process: ServerProcess | None,
        progress: Progress | None,
        stall_seconds: float,
    ) -> Measurement:
        run = new_run(server, stall_seconds)
        self.add_roles(run)
        run.connect()
        cpu_before_ns = process.cpu_ns() if process else 0
        execute(run, self.measured_role, progress)
        cpu_ns = process.cpu_ns() - cpu_before_ns if process else 0
        results = run.results()
        measured = results[self.measured_role]
        messages = self.messages(results)
        return Measurement(
            workload=self.name,
            options=self.options(),
            server_version=str(api.server_info.get("version", "")),
            messages=messages,
            payload_bytes=int(measured["bytes"]),
            seconds=max(float(r["seconds"]) for r in results if not r["background"]),
            latency=Latency.from_ns(measured["latency_ns"]) if measured["latency_ns"] else None,
            server_cpu_ns_per_message=cpu_ns / messages if process and messages else None,
            server_rss_peak_bytes=process.rss_peak_bytes() if process else None,
        )


def new_run(server: ServerAddress, stall_seconds: float = 30.0) -> LoadRun:
    return LoadRun(
        server.host,
        server.port,
        user=server.user,
        password=server.password,
        token=server.token,
        stall_seconds=stall_seconds,
    )


def execute(run: LoadRun, role: int = 0, progress: Progress | None = None) -> None:
    """Runs to the end in a native thread, so that this one can show progress and be interrupted."""
    failures: list[BaseException] = []

    def body() -> None:
        try:
            run.execute()
        except LoadError as error:
            failures.append(error)

    thread = threading.Thread(target=body, name="load")
    start = time.monotonic()
    thread.start()
    try:
        while thread.is_alive():
            thread.join(PROGRESS_INTERVAL_S)
            if progress:
                done, total = run.progress()[role]
                progress(done, total, time.monotonic() - start)
    except BaseException:
        run.stop()
        thread.join()
        raise
    if failures:
        raise failures[0]
