"""The rows of the comparison with their targets.

Durability modes: ours is durable (a message is acknowledged after it was synced) unless a row says
relaxed; theirs is the default (synced every two minutes) unless a row says always.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from checkpoint_rows import ConsumersCheckpointRow, StreamsCheckpointRow, WindowCheckpointRow
from filter_rows import DirectBatchRow, FilterRow, IdleConsumersRow
from latency_rows import BusyApiRow, ColdReplayRow
from rows import RELAXED, THEIR_ALWAYS, Row, WorkloadRow
from slipstream.bench.consumer_workloads import Consume, Fetch, Replay
from slipstream.bench.core_workloads import CoreDelivery, CorePublish, CoreRequest
from slipstream.bench.get_workloads import DirectGet, KeyValueGet, KeyValuePut, KeyValueWatch
from slipstream.bench.retention_workloads import InterestFlow, PublishBesideConsumers, WorkQueue
from slipstream.bench.stream_workloads import AtomicBatchPublish, StreamPublish
from state_rows import RestartRow, SubjectMemoryRow

KIB = 1024
FAN_OUT = 100


def core_publish(size: int, target: float, count: int) -> Row:
    return WorkloadRow(
        title=f"core publish {size} B",
        target=target,
        stores=False,
        make=lambda n: CorePublish(count=n, size=size),
        count=count,
    )


def one_to_one(size: int, target: float, count: int) -> Row:
    text = f"{size // KIB} KiB" if size >= KIB else f"{size} B"
    return WorkloadRow(
        title=f"core 1:1 {text}",
        target=target,
        stores=False,
        make=lambda n: CoreDelivery(count=n, size=size),
        count=count,
    )


def stream_publish(
    title: str, target: float, count: int, options: dict[str, Any], **row: Any
) -> Row:
    def make(n: int) -> StreamPublish:
        return StreamPublish(count=n, **options)

    return WorkloadRow(title=f"publish {title}", target=target, count=count, make=make, **row)


CORE_ROWS: tuple[Row, ...] = (
    core_publish(16, 1.5, 6_000_000),
    core_publish(128, 1.5, 4_000_000),
    one_to_one(16, 1.5, 2_000_000),
    one_to_one(128, 1.5, 1_500_000),
    WorkloadRow(
        title="fan-out 1:100, 128 B",
        target=2.5,
        unit="deliveries/s",
        stores=False,
        make=lambda n: CoreDelivery(count=n, size=128, subscribers=FAN_OUT),
        count=40_000,
    ),
    WorkloadRow(
        title="request-reply, one client",
        target=1.3,
        unit="requests/s",
        stores=False,
        make=lambda n: CoreRequest(count=n),
        count=30_000,
    ),
    one_to_one(1 * KIB, 1.0, 600_000),
    one_to_one(16 * KIB, 1.0, 100_000),
)

PUBLISH_ROWS: tuple[Row, ...] = (
    stream_publish("file, 128 B, 4000 in flight", 1.5, 300_000, {}),
    stream_publish(
        "file, 128 B, 4000 in flight",
        20.0,
        300_000,
        {},
        theirs=THEIR_ALWAYS,
        their_count=20_000,
    ),
    stream_publish("with Nats-Msg-Id", 1.5, 200_000, {"message_ids": True}),
    stream_publish(
        "with Expected-Last-Subject-Sequence",
        1.2,
        200_000,
        {"expect_last": True, "subjects": 1000},
    ),
    stream_publish("into a full stream, discard old", 1.2, 200_000, {"full": 10_000}),
    stream_publish("file, 1 KiB, 4000 in flight", 1.0, 150_000, {"size": 1 * KIB}, ours=RELAXED),
    stream_publish(
        "file, 16 KiB, 500 in flight",
        1.0,
        20_000,
        {"size": 16 * KIB, "window": 500},
        ours=RELAXED,
    ),
    stream_publish("file, 128 B, one in flight", 1.2, 5_000, {"window": 1}, theirs=THEIR_ALWAYS),
    stream_publish("file, 128 B, one in flight", 1.0, 30_000, {"window": 1}, ours=RELAXED),
    stream_publish(
        "memory, 128 B, 4000 in flight", 1.3, 300_000, {"storage": "memory"}, stores=False
    ),
)

CONSUME_ROWS: tuple[Row, ...] = (
    WorkloadRow(
        title="fetch 100, explicit acks",
        target=2.0,
        make=lambda n: Fetch(count=n),
        count=200_000,
    ),
    WorkloadRow(
        title="consume 500, explicit acks",
        target=2.0,
        make=lambda n: Consume(count=n),
        count=200_000,
    ),
    WorkloadRow(
        title="ordered replay, no acks",
        target=1.2,
        make=lambda n: Replay(count=n),
        count=500_000,
    ),
    ColdReplayRow(
        title="core 1:1 p99 beside a cold replay of 2 GB",
        target=1.5,
        at_most=True,
        unit="us",
        remark="pages dropped with POSIX_FADV_DONTNEED; 10,000 messages/s of 128 B",
    ),
)

STATE_ROWS: tuple[Row, ...] = (
    RestartRow(
        title="restart, 1M messages on 1M subjects, clean stop",
        target=1.0,
        at_most=True,
        unit="s",
        killed=False,
    ),
    RestartRow(
        title="restart, 1M messages on 1M subjects, kill -9",
        target=1.0,
        at_most=True,
        unit="s",
        killed=True,
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
    WorkloadRow(
        title="publish beside 10 consumers, 4000 in flight",
        target=1.0,
        make=lambda n: PublishBesideConsumers(count=n),
        count=200_000,
    ),
    IdleConsumersRow(title="publish beside 10,000 idle consumers", target=1.0, consumers=10_000),
    FilterRow(title="consumer with 1 filter over 1M subjects", target=1.0, filters=1),
    FilterRow(title="consumer with 100 filters over 1M subjects", target=5.0, filters=100),
    FilterRow(title="consumer with 10,000 filters over 1M subjects", target=5.0, filters=10_000),
    WorkloadRow(
        title="work queue, 50 pullers, explicit acks",
        target=1.0,
        make=lambda n: WorkQueue(count=n),
        count=100_000,
    ),
    WorkloadRow(
        title="interest, 10 consumers, explicit acks",
        target=1.0,
        make=lambda n: InterestFlow(count=n),
        count=20_000,
        unit="msgs/s per consumer",
    ),
    WorkloadRow(
        title="atomic batches of 100, 10 in flight",
        target=1.0,
        make=lambda n: AtomicBatchPublish(count=n, window=10),
        count=200_000,
        count_step=100,
    ),
    WorkloadRow(
        title="direct get by sequence, one in flight",
        target=1.0,
        unit="gets/s",
        make=lambda n: DirectGet(count=n),
        count=50_000,
    ),
    WorkloadRow(
        title="direct get by subject, 64 in flight",
        target=1.0,
        unit="gets/s",
        make=lambda n: DirectGet(count=n, by="subject", window=64),
        count=200_000,
    ),
    DirectBatchRow(title="direct get, batches of 1,000", target=1.0),
    WorkloadRow(
        title="KV put, one in flight",
        target=1.2,
        make=lambda n: KeyValuePut(count=n),
        count=5_000,
        theirs=THEIR_ALWAYS,
    ),
    WorkloadRow(
        title="KV put, one in flight",
        target=1.0,
        make=lambda n: KeyValuePut(count=n),
        count=30_000,
        ours=RELAXED,
    ),
    WorkloadRow(
        title="KV put, 500 in flight",
        target=1.0,
        make=lambda n: KeyValuePut(count=n, window=500),
        count=200_000,
    ),
    WorkloadRow(
        title="KV get, one in flight",
        target=1.0,
        unit="gets/s",
        make=lambda n: KeyValueGet(count=n),
        count=50_000,
    ),
    WorkloadRow(
        title="KV watch of 100,000 keys",
        target=1.0,
        unit="keys/s",
        make=lambda n: KeyValueWatch(count=n),
        count=100_000,
    ),
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
