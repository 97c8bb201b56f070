"""The compiled decisions that Python hands to the kernel: with a stream or a consumer, and about
the server as a whole.

A *spec* is a flat mapping of these keys; every key must be present. The kernel writes it into the
log beside the opaque description, so that each replica applies the same decision whatever version
of Python wrote it.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypedDict


class Retention(IntEnum):
    LIMITS = 0
    INTEREST = 1
    WORK_QUEUE = 2


class DeliverPolicy(IntEnum):
    ALL = 0
    LAST = 1
    NEW = 2
    BY_START_SEQUENCE = 3
    BY_START_TIME = 4
    LAST_PER_SUBJECT = 5


class AckPolicy(IntEnum):
    NONE = 0
    ALL = 1
    EXPLICIT = 2
    FLOW_CONTROL = 3


class PriorityPolicy(IntEnum):
    NONE = 0
    OVERFLOW = 1
    PINNED_CLIENT = 2
    PRIORITIZED = 3


class StreamSpec(TypedDict):
    """Numbers: -1 means unlimited where nats-server says so; durations in ns; 0 duration = off."""

    subjects: list[bytes]
    memory: bool
    no_ack: bool
    allow_direct: bool
    discard_new: bool
    discard_new_per_subject: bool
    sealed: bool
    deny_delete: bool
    deny_purge: bool
    allow_rollup: bool
    allow_msg_ttl: bool
    mirror: bool
    mirror_direct: bool
    sourced: bool  # has sources
    counter: bool
    allow_atomic: bool
    allow_batched: bool
    allow_schedules: bool
    persist_async: bool  # acknowledged when written, not when synced
    compress: bool  # s2
    republish_headers_only: bool
    retention: int  # Retention
    max_msgs: int
    max_bytes: int
    max_age_ns: int
    max_msgs_per_subject: int
    max_msg_size: int
    duplicate_window_ns: int
    delete_marker_ttl_ns: int
    first_seq: int  # 0: not set; read at creation only
    transform_source: bytes
    transform_destination: bytes  # empty: no transform
    republish_source: bytes
    republish_destination: bytes  # empty: no republishing
    mirror_origin: bytes  # the origin's name; empty: no mirror


class FeedSpec(TypedDict):
    """What a mirror, or one source of a stream, takes in from its origin (feed.hpp)."""

    source: bytes  # the source's index name (S-184); empty: a mirror
    identity: bytes  # of the origin, if it said so
    deliver_subject: bytes
    # Its name in the reply subjects of deliveries. Empty: takes nothing in, stops at a first sign.
    consumer: bytes
    after: int  # the position in the log behind which it goes on
    delivered: int  # up to here the origin has nothing to deliver
    restart: bool  # the origin was made anew: the recorded position is void
    transforms: list[tuple[bytes, bytes]]  # source and destination; the first that matches is taken


class ConsumerSpec(TypedDict):
    """What the kernel needs to run a consumer (C-019..C-048). Empty bytes and 0 mean not set."""

    durable: bool
    memory: bool  # its state is not logged (mem_storage, or a consumer of a memory stream)
    deliver_policy: int  # DeliverPolicy
    opt_start_seq: int
    opt_start_time_ns: int
    ack_policy: int  # AckPolicy
    ack_wait_ns: int
    backoff_ns: list[int]
    max_deliver: int  # -1 unlimited
    max_ack_pending: int  # -1 unlimited
    max_waiting: int
    max_batch: int
    max_expires_ns: int
    max_bytes: int
    filters: list[bytes]  # empty: everything
    deliver_subject: bytes  # empty: pull
    deliver_group: bytes
    flow_control: bool
    idle_heartbeat_ns: int
    headers_only: bool
    rate_limit_bps: int  # bits per second
    replay_original: bool
    inactive_threshold_ns: int  # 0: never
    pause_until_ns: int
    sample_percent: int  # 0: off
    direct: bool  # serves a mirror or source: not listed, not counted
    sourcing: bool
    priority_policy: int  # PriorityPolicy
    priority_timeout_ns: int
    priority_groups: list[bytes]


class KernelLimits(TypedDict, total=False):
    """What holds for the whole server; a reload changes it. The kernel has the defaults."""

    max_payload: int
    max_control_line: int
    max_pending: int
    pending_total_max: int  # of all connections together; 0: no bound
    max_connections: int
    max_subscriptions: int  # of a connection; 0: no bound
    ping_interval_ns: int
    ping_max: int
    write_deadline_ns: int
    auth_timeout_ns: int
    auth_required: bool
    headers: bool
    trace: bool
    traced_payload_max: int  # 0: all of it
    api_level: int  # of JetStream, which requests may demand
    api_requests_queued: int
    api_info_requests_queued: int
    # 0: the defaults of the kind of batch
    batches_per_stream: int
    batches_total: int
    batch_messages: int
    batch_timeout_ns: int
