"""The rows of the comparison with their targets.

Durability modes: ours is durable (a message is acknowledged after it was synced) unless a row says
relaxed; theirs is the default (synced every two minutes) unless a row says always.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from checkpoint_rows import ConsumersCheckpointRow, StreamsCheckpointRow, WindowCheckpointRow
from filter_rows import DirectBatchRow, FilterRow, IdleConsumersRow, SparseFilterRow
from latency_rows import BusyApiRow, ColdReplayRow
from rows import RELAXED, THEIR_ALWAYS, Row, WorkloadRow
from slipstream.bench.consumer_workloads import Consume, Fetch, Replay
from slipstream.bench.core_workloads import CoreDelivery, CorePublish, CoreRequest
from slipstream.bench.get_workloads import DirectGet, KeyValueGet, KeyValuePut, KeyValueWatch
from slipstream.bench.retention_workloads import InterestFlow, PublishBesideConsumers, WorkQueue
from slipstream.bench.stream_workloads import AtomicBatchPublish, StreamPublish
from slipstream.bench.workload import Workload
from state_rows import RestartRow, SubjectMemoryRow

KIB = 1024
FAN_OUT = 100


def workload(
    title: str, target: float, kind: type[Workload], count: int, /, *modes: Mode, **options: Any
) -> tuple[Row, ...]:
    """A row for each mode, or the one in which we are durable and they are as they come."""
    own = {f.name: options.pop(f.name) for f in fields(WorkloadRow) if f.name in options}

    def make(n: int) -> Workload:
        return kind(count=n, **options)

    row = WorkloadRow(title=title, target=target, count=count, make=make, **own)
    return tuple(replace(row, **mode) for mode in modes or ({},))


Mode = dict[str, Any]
RELAXED_BOTH: Mode = {"ours": RELAXED}
# Who waits for each acknowledgement waits for the disk, where both sync before they answer.
ONE_IN_FLIGHT: tuple[Mode, ...] = (
    {"target": 1.2, "count": 5_000, "theirs": THEIR_ALWAYS},
    {"target": 1.0, "count": 30_000, "ours": RELAXED},
)
MANY_IN_FLIGHT: tuple[Mode, ...] = (
    {},
    {"target": 20.0, "theirs": THEIR_ALWAYS, "their_count": 20_000},
)
SIZES = {16: "16 B", 128: "128 B", 1 * KIB: "1 KiB", 16 * KIB: "16 KiB"}


def core(title: str, target: float, kind: type[Workload], count: int, size: int) -> tuple[Row, ...]:
    return workload(f"{title} {SIZES[size]}", target, kind, count, stores=False, size=size)


CORE_ROWS: tuple[Row, ...] = (
    *core("core publish", 1.5, CorePublish, 6_000_000, 16),
    *core("core publish", 1.5, CorePublish, 4_000_000, 128),
    *core("core 1:1", 1.5, CoreDelivery, 2_000_000, 16),
    *core("core 1:1", 1.5, CoreDelivery, 1_500_000, 128),
    *workload(
        "fan-out 1:100, 128 B",
        2.5,
        CoreDelivery,
        40_000,
        unit="deliveries/s",
        stores=False,
        size=128,
        subscribers=FAN_OUT,
    ),
    *workload(
        "request-reply, one client", 1.3, CoreRequest, 30_000, unit="requests/s", stores=False
    ),
    *core("core 1:1", 1.0, CoreDelivery, 600_000, 1 * KIB),
    *core("core 1:1", 1.0, CoreDelivery, 100_000, 16 * KIB),
)


def publish(title: str, target: float, count: int, *modes: Mode, **options: Any) -> tuple[Row, ...]:
    return workload(f"publish {title}", target, StreamPublish, count, *modes, **options)


PUBLISH_ROWS: tuple[Row, ...] = (
    *publish("file, 128 B, 4000 in flight", 1.5, 300_000, *MANY_IN_FLIGHT),
    *publish("with Nats-Msg-Id", 1.5, 200_000, message_ids=True),
    *publish("with Expected-Last-Subject-Sequence", 1.2, 200_000, expect_last=True, subjects=1000),
    *publish("into a full stream, discard old", 1.2, 200_000, full=10_000),
    *publish("file, 1 KiB, 4000 in flight", 1.0, 150_000, RELAXED_BOTH, size=1 * KIB),
    *publish("file, 16 KiB, 500 in flight", 1.0, 20_000, RELAXED_BOTH, size=16 * KIB, window=500),
    *publish("file, 128 B, one in flight", 1.2, 5_000, *ONE_IN_FLIGHT, window=1),
    *publish("memory, 128 B, 4000 in flight", 1.3, 300_000, storage="memory", stores=False),
)

CONSUME_ROWS: tuple[Row, ...] = (
    *workload("fetch 100, explicit acks", 2.0, Fetch, 200_000),
    *workload("consume 500, explicit acks", 2.0, Consume, 200_000),
    *workload("ordered replay, no acks", 1.2, Replay, 500_000),
    ColdReplayRow(
        title="core 1:1 p99 beside a cold replay of 2 GB",
        target=1.5,
        at_most=True,
        unit="us",
        remark="pages dropped with POSIX_FADV_DONTNEED; 10,000 messages/s of 128 B",
    ),
)

STATE_ROWS: tuple[Row, ...] = (
    *(
        RestartRow(
            title=f"restart, 1M messages on 1M subjects, {end}",
            target=1.0,
            at_most=True,
            unit="s",
            killed=killed,
        )
        for end, killed in (("clean stop", False), ("kill -9", True))
    ),
    SubjectMemoryRow(title="resident memory per 1M subjects", target=0.6, at_most=True, unit="MiB"),
    BusyApiRow(
        title="request-reply p99 while 1,000 streams are created and listed",
        target=2.0,
        at_most=True,
        unit="us",
        remark="2,000 requests/s of 128 B",
    ),
)

FEATURE_ROWS: tuple[Row, ...] = (
    *workload("publish beside 10 consumers, 4000 in flight", 1.0, PublishBesideConsumers, 200_000),
    IdleConsumersRow(title="publish beside 10,000 idle consumers", target=1.0, consumers=10_000),
    SparseFilterRow(
        title="consumer with 1 filter over 1M subjects",
        target=1.0,
        remark="10,000 messages of one subject, in 100 places among 1M of others",
    ),
    FilterRow(
        title="new consumer with 1 filter over 1M subjects, its first message",
        target=1.0,
        filters=1,
        remark="one creation and one message: the latency of the API",
    ),
    FilterRow(title="consumer with 100 filters over 1M subjects", target=5.0, filters=100),
    FilterRow(title="consumer with 10,000 filters over 1M subjects", target=5.0, filters=10_000),
    *workload("work queue, 50 pullers, explicit acks", 1.0, WorkQueue, 100_000),
    *workload(
        "interest, 10 consumers, explicit acks",
        1.0,
        InterestFlow,
        20_000,
        unit="msgs/s per consumer",
    ),
    *workload(
        "atomic batches of 100, 10 in flight",
        1.0,
        AtomicBatchPublish,
        200_000,
        count_step=100,
        window=10,
    ),
    *workload("direct get by sequence, one in flight", 1.0, DirectGet, 50_000, unit="gets/s"),
    *workload(
        "direct get by subject, 64 in flight",
        1.0,
        DirectGet,
        200_000,
        unit="gets/s",
        by="subject",
        window=64,
    ),
    DirectBatchRow(title="direct get, batches of 1,000", target=1.0),
    *workload("KV put, one in flight", 1.2, KeyValuePut, 5_000, *ONE_IN_FLIGHT),
    *workload("KV put, 500 in flight", 1.0, KeyValuePut, 200_000, window=500),
    *workload("KV get, one in flight", 1.0, KeyValueGet, 50_000, unit="gets/s"),
    *workload("KV watch of 100,000 keys", 1.0, KeyValueWatch, 100_000, unit="keys/s"),
)

BESIDE_CHECKPOINTS: dict[str, Any] = {
    "target": 2.0,
    "at_most": True,
    "unit": "us",
    "remark": "2,000 publishes/s of 128 B; against the same server without a checkpoint",
}

CHECKPOINT_ROWS: tuple[Row, ...] = (
    StreamsCheckpointRow(
        title="publish p99 beside checkpoints of 10,000 streams",
        streams=10_000,
        **BESIDE_CHECKPOINTS,
    ),
    ConsumersCheckpointRow(
        title="publish p99 beside checkpoints of 10,000 consumers",
        consumers=10_000,
        **BESIDE_CHECKPOINTS,
    ),
    WindowCheckpointRow(
        title="publish p99 beside checkpoints of 1M message ids",
        ids=1_000_000,
        **BESIDE_CHECKPOINTS,
    ),
)

ROWS: tuple[Row, ...] = (
    CORE_ROWS + PUBLISH_ROWS + CONSUME_ROWS + FEATURE_ROWS + STATE_ROWS + CHECKPOINT_ROWS
)


def rows_with(texts: Sequence[str] | None) -> list[Row]:
    """The rows whose title contains one of the texts; all of them without texts."""
    return [row for row in ROWS if not texts or any(text in row.title for text in texts)]
