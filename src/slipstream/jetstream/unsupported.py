"""What nats-server has and this server does not have yet, refused by name.

Each entry goes when the feature comes. A configuration that asks for one is answered with an error
that says so; accepting and ignoring it would lose messages or guarantees silently.
"""

from __future__ import annotations

from slipstream.jetstream.consumer_config import ConsumerConfig, PriorityPolicy
from slipstream.jetstream.stream_config import Compression, Retention, StreamConfig
from slipstream.protocol.errors import ApiError, ErrorCode


def refuse_unsupported_stream(config: StreamConfig) -> None:
    asked = (
        (config.retention is Retention.WORK_QUEUE, "workqueue retention is"),
        (config.retention is Retention.INTEREST, "interest retention is"),
        (config.mirror is not None, "mirroring a stream is"),
        (bool(config.sources), "sourcing from streams is"),
        (config.allow_msg_counter, "message counters are"),
        (config.allow_msg_schedules, "message schedules are"),
        (config.subject_delete_marker_ttl_ns != 0, "subject delete markers are"),
        (config.allow_atomic, "atomic batch publishing is"),
        (config.allow_batched, "fast batch publishing is"),
        (config.compression is Compression.S2, "s2 compression is"),
    )
    for wanted, what in asked:
        if wanted:
            raise ApiError(ErrorCode.STREAM_INVALID_CONFIG, err=f"{what} not supported yet")


def refuse_unsupported_consumer(config: ConsumerConfig) -> None:
    asked = (
        (
            config.priority_policy is not PriorityPolicy.NONE or bool(config.priority_groups),
            "priority groups are",
        ),
    )
    for wanted, what in asked:
        if wanted:
            raise ApiError(ErrorCode.CONSUMER_CREATE, err=f"{what} not supported yet")
