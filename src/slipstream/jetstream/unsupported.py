"""What nats-server has and this server does not have yet, refused by name.

Each entry goes when the feature comes. A configuration that asks for one is answered with an error
that says so; accepting and ignoring it would lose messages or guarantees silently.
"""

from __future__ import annotations

from slipstream.jetstream.consumer_config import AckPolicy, ConsumerConfig, PriorityPolicy
from slipstream.jetstream.stream_config import Compression, PersistMode, Retention, StreamConfig
from slipstream.protocol.errors import ApiError, ErrorCode


def refuse_unsupported_stream(config: StreamConfig) -> None:
    asked = (
        (config.retention is Retention.WORK_QUEUE, "workqueue retention is"),
        (config.retention is Retention.INTEREST, "interest retention is"),
        (config.mirror is not None, "mirroring a stream is"),
        (bool(config.sources), "sourcing from streams is"),
        (config.subject_transform is not None, "subject transforms are"),
        (config.republish is not None, "republishing is"),
        (config.allow_msg_counter, "message counters are"),
        (config.allow_msg_schedules, "message schedules are"),
        (config.subject_delete_marker_ttl_ns != 0, "subject delete markers are"),
        (config.compression is Compression.S2, "s2 compression is"),
        (config.persist_mode is PersistMode.ASYNC, "the async persist mode is"),
    )
    for wanted, what in asked:
        if wanted:
            raise ApiError(ErrorCode.STREAM_INVALID_CONFIG, err=f"{what} not supported yet")


def refuse_unsupported_consumer(config: ConsumerConfig) -> None:
    asked = (
        (config.ack_policy is AckPolicy.FLOW_CONTROL, "the flow_control ack policy is"),
        (
            config.priority_policy is not PriorityPolicy.NONE or bool(config.priority_groups),
            "priority groups are",
        ),
        (config.direct or config.sourcing, "direct and sourcing consumers are"),
    )
    for wanted, what in asked:
        if wanted:
            raise ApiError(ErrorCode.CONSUMER_CREATE, err=f"{what} not supported yet")
