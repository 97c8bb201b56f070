"""What a benchmark run measured, and the server process's own cost as the kernel of the machine
accounts for it.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Latency:
    samples: int
    mean_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    p999_us: float
    max_us: float

    @classmethod
    def from_ns(cls, summary: dict[str, float]) -> Latency:
        return cls(
            samples=int(summary["samples"]),
            mean_us=summary["mean"] / 1e3,
            p50_us=summary["p50"] / 1e3,
            p90_us=summary["p90"] / 1e3,
            p99_us=summary["p99"] / 1e3,
            p999_us=summary["p99.9"] / 1e3,
            max_us=summary["max"] / 1e3,
        )


@dataclass(frozen=True)
class Measurement:
    workload: str
    options: dict[str, Any]
    server_version: str
    messages: int
    payload_bytes: int
    seconds: float
    latency: Latency | None = None
    server_cpu_ns_per_message: float | None = None
    server_rss_peak_bytes: int | None = None
    remarks: list[str] = field(default_factory=list)

    @property
    def messages_per_s(self) -> float:
        return self.messages / self.seconds

    @property
    def bytes_per_s(self) -> float:
        return self.payload_bytes / self.seconds

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "messages_per_s": self.messages_per_s,
            "bytes_per_s": self.bytes_per_s,
        }

    def as_text(self) -> str:
        parts = [
            f"{self.workload}: {self.messages_per_s:,.0f} msgs/s",
            f"{self.bytes_per_s / 1e6:,.1f} MB/s",
            f"{self.messages:,} messages in {self.seconds:.3f} s",
        ]
        if self.latency:
            parts.append(
                f"latency us p50 {self.latency.p50_us:,.0f} p99 {self.latency.p99_us:,.0f} "
                f"p99.9 {self.latency.p999_us:,.0f} max {self.latency.max_us:,.0f}"
            )
        if self.server_cpu_ns_per_message is not None:
            parts.append(f"server CPU {self.server_cpu_ns_per_message:,.0f} ns/message")
        if self.server_rss_peak_bytes is not None:
            parts.append(f"server peak memory {self.server_rss_peak_bytes / 2**20:,.1f} MiB")
        return " | ".join(parts + self.remarks)


class ServerProcess:
    """The server's process on this machine, seen through /proc."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._folder = Path("/proc") / str(pid)
        if not self._folder.is_dir():
            raise ValueError(f"there is no process {pid} on this machine")

    def cpu_ns(self) -> int:
        # The command's name stands in parentheses and may contain anything, blanks too.
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        user_ticks, system_ticks = int(fields[11]), int(fields[12])
        return (user_ticks + system_ticks) * NS_PER_TICK

    def rss_bytes(self) -> int:
        return self._status_bytes("VmRSS")

    def rss_peak_bytes(self) -> int:
        return self._status_bytes("VmHWM")

    def _status_bytes(self, key: str) -> int:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
        raise ValueError(f"process {self.pid} has no {key}")
