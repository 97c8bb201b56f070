"""What a row of the comparison is: a figure of one server, taken in the same way on both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from servers import (
    DURABLE,
    RELAXED,
    THEIR_ALWAYS,
    THEIR_DEFAULT,
    Durability,
    Product,
    RunningServer,
)
from slipstream.bench.measurement import Measurement
from slipstream.bench.workload import Workload

NO_STORE = "-"


@dataclass(frozen=True)
class Sample:
    value: float
    measured: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    title: str
    target: float
    at_most: bool = False  # the ratio ours / theirs must be at most the target; otherwise at least
    unit: str = "msgs/s"
    ours: Durability = DURABLE
    theirs: Durability = THEIR_DEFAULT
    stores: bool = True  # false: core NATS or memory, where no durability mode applies
    remark: str = ""
    warms_up: ClassVar[bool] = False

    def modes(self) -> tuple[str, str]:
        return (self.ours.label, self.theirs.label) if self.stores else (NO_STORE, NO_STORE)

    def sides(self, ours: Product, theirs: Product) -> tuple[Product, Product]:
        """What is compared."""
        return ours, theirs

    def begin(self, server: RunningServer) -> None:
        """Once per side, before its samples."""
        server.start()

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        raise NotImplementedError

    def meets(self, ratio: float) -> bool:
        return ratio <= self.target if self.at_most else ratio >= self.target


@dataclass(frozen=True, kw_only=True)
class WorkloadRow(Row):
    """A workload of `slipstream bench`; `make` gets the count after scaling."""

    warms_up = True
    make: Callable[[int], Workload]
    count: int
    their_count: int | None = None  # where they are so slow that the same count would take minutes
    count_step: int = 1
    figure: Callable[[Measurement], float] = lambda m: m.messages_per_s

    def sample(self, server: RunningServer, ours: bool, scale: float) -> Sample:
        count = self.count if ours or self.their_count is None else self.their_count
        scaled = max(1, int(count * scale) // self.count_step) * self.count_step
        measurement = self.make(scaled).run(server.address, process=server.process)
        return Sample(self.figure(measurement), measurement.as_json())


__all__ = [
    "DURABLE",
    "RELAXED",
    "THEIR_ALWAYS",
    "THEIR_DEFAULT",
    "Row",
    "Sample",
    "WorkloadRow",
]
