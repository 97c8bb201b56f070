"""What a consumer's configuration may be: defaults, validation and what an update may change
(C-019..C-057).

In nats-server's order, as in stream_rules.py. `normalise` gives what is stored and shown; the API
decides whether it is a new consumer or an update, and calls `check_update` for the latter.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import NamedTuple

import msgspec

from slipstream.gotext.durations import format_duration
from slipstream.jetstream import subjects
from slipstream.jetstream.consumer_config import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    PriorityPolicy,
)
from slipstream.jetstream.limits import AccountLimits, ServerLimits
from slipstream.jetstream.names import (
    DESCRIPTION_BYTES_MAX,
    METADATA_BYTES_MAX,
    is_valid_name,
    metadata_bytes,
)
from slipstream.jetstream.stream_config import Retention, StreamConfig
from slipstream.jetstream.stream_rules import invalid, pedantic_fault
from slipstream.jetstream.subject_index import WiderSubjects
from slipstream.protocol.errors import ApiError, ErrorCode

ACK_WAIT_DEFAULT_NS = 30_000_000_000
MAX_ACK_PENDING_DEFAULT = 1000
MAX_WAITING_DEFAULT = 512
PIN_TIMEOUT_DEFAULT_NS = 120_000_000_000
INACTIVE_THRESHOLD_DEFAULT_NS = 5_000_000_000
_FLOW_CONTROL_HEARTBEAT_NS = 1_000_000_000
_SMALLEST_HEARTBEAT_NS = 100_000_000
_SMALLEST_EXPIRES_NS = 1_000_000
_GROUP_NAME = re.compile(r"[a-zA-Z0-9/_=-]{1,16}")
_INT64_DIGITS = 18  # every number of so many digits fits; longer ones are no percentage
_INTEGER = re.compile(r"[+-]?[0-9]+")


class ConsumerRules(NamedTuple):
    """What surrounds the judgement."""

    stream: StreamConfig
    server: ServerLimits
    account: AccountLimits
    pedantic: bool = False


def normalise(config: ConsumerConfig, rules: ConsumerRules) -> ConsumerConfig:
    """A copy with the defaults filled in. Raises ApiError."""
    config = msgspec.structs.replace(config, metadata=dict(config.metadata))
    _fill_defaults(config, rules)
    _check_names_and_replicas(config, rules.stream)
    _check_waits(config)
    if len(config.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise ApiError(ErrorCode.CONSUMER_DESCRIPTION_TOO_LONG, max=DESCRIPTION_BYTES_MAX)
    if config.is_push:
        _check_push(config, rules.stream)
    else:
        _check_pull(config, rules)
    _check_limits(config, rules)
    _check_direct(config)
    _check_filters(config)
    _check_start(config)
    _check_sampling(config)
    _check_rest(config)
    _check_priority(config)
    return config


def with_ephemeral_threshold(config: ConsumerConfig) -> ConsumerConfig:
    """An ephemeral consumer always has a threshold.

    Not part of `normalise`, because nats-server compares a request to create with what exists
    before it fills this in: the same request to create an ephemeral consumer twice is refused the
    second time (C-015).
    """
    if config.is_durable or config.inactive_threshold_ns > 0:
        return config
    return msgspec.structs.replace(config, inactive_threshold_ns=INACTIVE_THRESHOLD_DEFAULT_NS)


def check_update(old: ConsumerConfig, new: ConsumerConfig, *, deliver_interest: bool) -> None:
    """Whether `old` may become `new` (both normalised). Raises ApiError.

    `deliver_interest` says whether somebody subscribes to the old deliver subject.
    """
    start_times = [c.opt_start_time and c.opt_start_time.in_utc() for c in (old, new)]
    fixed = (
        (old.deliver_policy, new.deliver_policy, "deliver policy"),
        (old.mem_storage, new.mem_storage, "storage type"),
        (old.direct, new.direct, "direct"),
        (old.sourcing, new.sourcing, "sourcing"),
        (old.opt_start_seq, new.opt_start_seq, "start sequence"),
        (*start_times, "start time"),
        (old.ack_policy, new.ack_policy, "ack policy"),
        (old.replay_policy, new.replay_policy, "replay policy"),
        (old.idle_heartbeat_ns, new.idle_heartbeat_ns, "heart beats"),
        (old.flow_control, new.flow_control, "flow control"),
    )
    for before, after, what in fixed:
        if before != after:
            raise refused(f"{what} can not be updated")
    if old.deliver_subject != new.deliver_subject:
        if not old.is_push:
            raise refused("can not update pull consumer to push based")
        if not new.is_push:
            raise refused("can not update push consumer to pull based")
        if deliver_interest:
            raise ApiError(ErrorCode.CONSUMER_NAME_EXIST)
    if old.max_waiting != new.max_waiting:
        raise refused("max waiting can not be updated")


def check_work_queue(config: ConsumerConfig, stream: StreamConfig, *, others: int) -> None:
    """What a new consumer of a work queue must be (C-055); whether its filters are disjoint from
    those of the `others` that exist is the caller's to find out. Raises ApiError.
    """
    if stream.retention is not Retention.WORK_QUEUE or config.is_internal:
        return
    if config.ack_policy not in (AckPolicy.EXPLICIT, AckPolicy.FLOW_CONTROL):
        raise ApiError(ErrorCode.CONSUMER_WQ_REQUIRES_EXPLICIT_ACK)
    if config.deliver_policy is not DeliverPolicy.ALL:
        raise ApiError(ErrorCode.CONSUMER_WQ_CONSUMER_NOT_DELIVER_ALL)
    if others > 0 and not config.filters:
        raise ApiError(ErrorCode.CONSUMER_WQ_MULTIPLE_UNFILTERED)


def refused(text: str) -> ApiError:
    return ApiError(ErrorCode.CONSUMER_CREATE, err=text)


def is_valid_group_name(group: str) -> bool:
    return _GROUP_NAME.fullmatch(group) is not None


def _fill_defaults(config: ConsumerConfig, rules: ConsumerRules) -> None:
    pedantic, limits = rules.pedantic, rules.stream.consumer_limits
    if config.max_deliver == 0 or config.max_deliver < -1:
        if pedantic and config.max_deliver < -1:
            raise pedantic_fault("max_deliver must be set to -1")
        config.max_deliver = -1
    _no_negatives(config, pedantic)
    if not config.is_push and config.max_waiting == 0:
        config.max_waiting = MAX_WAITING_DEFAULT
    if config.ack_wait_ns == 0 and config.ack_policy in (AckPolicy.EXPLICIT, AckPolicy.ALL):
        config.ack_wait_ns = ACK_WAIT_DEFAULT_NS
    if config.backoff_ns:
        if pedantic and config.ack_wait_ns != config.backoff_ns[0]:
            raise pedantic_fault("first backoff value has to equal batch AckWait")
        config.ack_wait_ns = config.backoff_ns[0]
    if config.max_ack_pending == 0:
        if pedantic and limits.max_ack_pending > 0:
            raise pedantic_fault("max_ack_pending must be set if it's configured in stream limits")
        config.max_ack_pending = limits.max_ack_pending
    if config.inactive_threshold_ns == 0:
        if pedantic and limits.inactive_threshold_ns > 0:
            raise pedantic_fault(
                "inactive_threshold must be set if it's configured in stream limits"
            )
        config.inactive_threshold_ns = limits.inactive_threshold_ns
    if config.max_ack_pending == 0 and config.ack_policy is not AckPolicy.NONE:
        limits_set = (rules.server.max_ack_pending, rules.account.max_ack_pending)
        bounds = [bound for bound in limits_set if bound > 0]
        config.max_ack_pending = min([MAX_ACK_PENDING_DEFAULT, *bounds])
    if not config.is_push and config.max_batch == 0 and rules.server.max_request_batch > 0:
        if pedantic:
            raise pedantic_fault("max_request_batch must be set if it's JetStream limits are set")
        config.max_batch = rules.server.max_request_batch
    if config.priority_policy is PriorityPolicy.PINNED_CLIENT and config.priority_timeout_ns == 0:
        config.priority_timeout_ns = PIN_TIMEOUT_DEFAULT_NS
    if config.ack_policy is AckPolicy.FLOW_CONTROL and not pedantic:
        config.flow_control = True
        config.idle_heartbeat_ns = _FLOW_CONTROL_HEARTBEAT_NS


def _no_negatives(config: ConsumerConfig, pedantic: bool) -> None:
    for attribute, lowest, complaint in (
        ("max_waiting", 0, "max_waiting must not be negative"),
        ("max_ack_pending", -1, "max_ack_pending must be set to -1"),
        ("max_batch", 0, "max_batch must not be negative"),
        ("max_expires_ns", 0, "max_expires must not be negative"),
        ("max_bytes", 0, "max_bytes must not be negative"),
        ("idle_heartbeat_ns", 0, "idle_heartbeat must not be negative"),
        ("inactive_threshold_ns", 0, "inactive_threshold must not be negative"),
        ("priority_timeout_ns", 0, "priority_timeout must not be negative"),
    ):
        if getattr(config, attribute) < lowest:
            if pedantic:
                raise pedantic_fault(complaint)
            setattr(config, attribute, lowest)


def _check_names_and_replicas(config: ConsumerConfig, stream: StreamConfig) -> None:
    if config.name and not is_valid_name(config.name):
        raise invalid("consumer name can not contain '.', '*', '>', '\\', '/'")
    if config.durable_name and not is_valid_name(config.durable_name):
        raise invalid("consumer durable name can not contain '.', '*', '>', '\\', '/'")
    if config.num_replicas > stream.num_replicas:
        raise ApiError(ErrorCode.CONSUMER_REPLICAS_EXCEEDS_STREAM)
    if config.num_replicas < 0:
        raise ApiError(ErrorCode.REPLICAS_COUNT_CANNOT_BE_NEGATIVE)
    bound_to_stream = stream.retention is not Retention.LIMITS
    if bound_to_stream and config.num_replicas not in (0, stream.num_replicas):
        raise ApiError(ErrorCode.CONSUMER_REPLICAS_SHOULD_MATCH_STREAM)


def _check_waits(config: ConsumerConfig) -> None:
    if any(wait < 0 for wait in config.backoff_ns):
        raise ApiError(ErrorCode.CONSUMER_BACK_OFF_NEGATIVE)
    if config.ack_wait_ns < 0:
        raise ApiError(ErrorCode.CONSUMER_ACK_WAIT_NEGATIVE)
    if config.ack_policy is AckPolicy.FLOW_CONTROL:
        _check_flow_control_acks(config)
    if config.backoff_ns and -1 != config.max_deliver < len(config.backoff_ns):
        raise ApiError(ErrorCode.CONSUMER_MAX_DELIVER_BACKOFF)


def _check_flow_control_acks(config: ConsumerConfig) -> None:
    if not config.is_push:
        raise ApiError(ErrorCode.CONSUMER_ACK_FC_REQUIRES_PUSH)
    if not config.flow_control:
        raise ApiError(ErrorCode.CONSUMER_ACK_FC_REQUIRES_FC)
    if config.idle_heartbeat_ns != _FLOW_CONTROL_HEARTBEAT_NS:
        raise invalid("flow control ack policy heartbeat needs to be 1s")
    if config.max_ack_pending <= 0:
        raise ApiError(ErrorCode.CONSUMER_ACK_FC_REQUIRES_MAX_ACK_PENDING)
    if config.ack_wait_ns or config.backoff_ns:
        raise ApiError(ErrorCode.CONSUMER_ACK_FC_REQUIRES_NO_ACK_WAIT)
    if config.max_deliver > 0:
        raise ApiError(ErrorCode.CONSUMER_ACK_FC_REQUIRES_NO_MAX_DELIVER)


def _check_push(config: ConsumerConfig, stream: StreamConfig) -> None:
    deliver = config.deliver_subject
    if not subjects.is_literal(deliver):
        raise ApiError(ErrorCode.CONSUMER_DELIVER_TO_WILDCARDS)
    if not subjects.is_valid(deliver):
        raise ApiError(ErrorCode.CONSUMER_INVALID_DELIVER_SUBJECT)
    if any(subjects.is_subset(deliver, captured) for captured in stream.subjects):
        raise ApiError(ErrorCode.CONSUMER_DELIVER_CYCLE)
    if config.max_waiting != 0:
        raise ApiError(ErrorCode.CONSUMER_PUSH_MAX_WAITING)
    if config.max_ack_pending > 0 and config.ack_policy is AckPolicy.NONE:
        raise ApiError(ErrorCode.CONSUMER_MAX_PENDING_ACK_POLICY_REQUIRED)
    if 0 < config.idle_heartbeat_ns < _SMALLEST_HEARTBEAT_NS:
        raise ApiError(ErrorCode.CONSUMER_SMALL_HEARTBEAT)


def _check_pull(config: ConsumerConfig, rules: ConsumerRules) -> None:
    batch_max = rules.server.max_request_batch
    if config.ack_policy is AckPolicy.NONE and rules.stream.retention is Retention.WORK_QUEUE:
        raise ApiError(ErrorCode.CONSUMER_PULL_REQUIRES_ACK)
    if config.rate_limit_bps > 0:
        raise ApiError(ErrorCode.CONSUMER_PULL_WITH_RATE_LIMIT)
    if config.idle_heartbeat_ns > 0:
        raise ApiError(ErrorCode.CONSUMER_HB_REQUIRES_PUSH)
    if config.flow_control:
        raise ApiError(ErrorCode.CONSUMER_FC_REQUIRES_PUSH)
    if 0 < config.max_expires_ns < _SMALLEST_EXPIRES_NS:
        raise ApiError(ErrorCode.CONSUMER_MAX_REQUEST_EXPIRES_TOO_SMALL)
    if 0 < batch_max < config.max_batch:
        raise ApiError(ErrorCode.CONSUMER_MAX_REQUEST_BATCH_EXCEEDED, limit=batch_max)


def _check_limits(config: ConsumerConfig, rules: ConsumerRules) -> None:
    stream_limits = rules.stream.consumer_limits
    for limit in (
        rules.server.max_ack_pending,
        rules.account.max_ack_pending,
        stream_limits.max_ack_pending,
    ):
        if 0 < limit < config.max_ack_pending:
            raise ApiError(ErrorCode.CONSUMER_MAX_PENDING_ACK_EXCESS, limit=limit)
    threshold = stream_limits.inactive_threshold_ns
    if 0 < threshold < config.inactive_threshold_ns:
        limit_text = format_duration(threshold)
        raise ApiError(ErrorCode.CONSUMER_INACTIVE_THRESHOLD_EXCESS, limit=limit_text)


def _check_direct(config: ConsumerConfig) -> None:
    if not config.direct:
        return
    if not config.is_push:
        raise ApiError(ErrorCode.CONSUMER_DIRECT_REQUIRES_PUSH)
    if config.is_durable:
        raise ApiError(ErrorCode.CONSUMER_DIRECT_REQUIRES_EPHEMERAL)


def _check_filters(config: ConsumerConfig) -> None:
    if config.filter_subject and config.filter_subjects:
        raise ApiError(ErrorCode.CONSUMER_DUPLICATE_FILTER_SUBJECTS)
    if config.filter_subject and not subjects.is_valid(config.filter_subject):
        raise invalid("invalid subject")
    if "" in config.filter_subjects:
        raise ApiError(ErrorCode.CONSUMER_EMPTY_FILTER)
    if not subjects.are_bounded(config.filters):
        raise invalid("subjects are too long or too many")
    wildcards = WiderSubjects(config.filters)
    counts = Counter(config.filters)
    for subject in config.filters:
        if not subjects.is_valid(subject):
            raise invalid("invalid subject")
        if counts[subject] > 1 or wildcards.has_wider(subject):
            raise ApiError(ErrorCode.CONSUMER_OVERLAPPING_SUBJECT_FILTERS)


_POLICY_WORDS = {
    DeliverPolicy.ALL: "all",
    DeliverPolicy.LAST: "last",
    DeliverPolicy.LAST_PER_SUBJECT: "last per subject",
    DeliverPolicy.NEW: "new",
    DeliverPolicy.BY_START_SEQUENCE: "by start sequence",
    DeliverPolicy.BY_START_TIME: "by start time",
}


def _check_start(config: ConsumerConfig) -> None:
    policy, words = config.deliver_policy, _POLICY_WORDS[config.deliver_policy]
    by_sequence = policy is DeliverPolicy.BY_START_SEQUENCE
    by_time = policy is DeliverPolicy.BY_START_TIME
    also = f"consumer delivery policy is deliver {words}, but optional start"
    missing = f"consumer delivery policy is deliver {words}, but optional"
    has_time = config.opt_start_time is not None
    checks = (
        (by_sequence and config.opt_start_seq == 0, f"{missing} start sequence is not set"),
        (by_time and not has_time, f"{missing} start time is not set"),
        (
            by_time and config.opt_start_seq > 0,
            f"{also} start sequence is also set",
        ),
        (not by_sequence and config.opt_start_seq > 0, f"{also} sequence is also set"),
        (not by_time and has_time, f"{also} time is also set"),
        (
            policy is DeliverPolicy.LAST_PER_SUBJECT and not config.filters,
            f"{missing} filter subject is not set",
        ),
    )
    for fault, text in checks:
        if fault:
            raise ApiError(ErrorCode.CONSUMER_INVALID_POLICY, err=text)


def _check_sampling(config: ConsumerConfig) -> None:
    if not config.sample_freq:
        return
    number = config.sample_freq.removesuffix("%")
    if _INTEGER.fullmatch(number) is None:
        text = f'strconv.Atoi: parsing "{number}": invalid syntax'
        raise ApiError(ErrorCode.CONSUMER_INVALID_SAMPLING, err=text)
    if len(number) > _INT64_DIGITS:
        text = f'strconv.Atoi: parsing "{number}": value out of range'
        raise ApiError(ErrorCode.CONSUMER_INVALID_SAMPLING, err=text)
    if int(number) < 0:
        raise ApiError(ErrorCode.CONSUMER_INVALID_SAMPLING, err="<nil>")


def _check_rest(config: ConsumerConfig) -> None:
    if config.flow_control and config.idle_heartbeat_ns == 0:
        raise ApiError(ErrorCode.CONSUMER_WITH_FLOW_CONTROL_NEEDS_HEARTBEATS)
    if config.durable_name and config.name and config.name != config.durable_name:
        raise ApiError(ErrorCode.CONSUMER_CREATE_DURABLE_AND_NAME_MISMATCH)
    if metadata_bytes(config.metadata) > METADATA_BYTES_MAX:
        limit = f"{METADATA_BYTES_MAX // 1024}KB"
        raise ApiError(ErrorCode.CONSUMER_METADATA_LENGTH, limit=limit)


def _check_priority(config: ConsumerConfig) -> None:
    if config.priority_policy is PriorityPolicy.NONE:
        if config.priority_groups:
            raise ApiError(ErrorCode.CONSUMER_PRIORITY_GROUP_WITH_POLICY_NONE)
        if config.priority_timeout_ns > 0:
            raise ApiError(ErrorCode.CONSUMER_PINNED_TTL_WITHOUT_PRIORITY_POLICY_NONE)
        return
    if config.is_push:
        raise ApiError(ErrorCode.CONSUMER_PUSH_WITH_PRIORITY_GROUP)
    if not config.priority_groups:
        raise ApiError(ErrorCode.CONSUMER_PRIORITY_POLICY_WITHOUT_GROUP)
    for group in config.priority_groups:
        if not group:
            raise ApiError(ErrorCode.CONSUMER_EMPTY_GROUP_NAME)
        if not is_valid_group_name(group):
            raise ApiError(ErrorCode.CONSUMER_INVALID_GROUP_NAME)
