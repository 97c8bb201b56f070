"""What a stream's configuration may be: defaults, validation and what an update may change
(S-001..S-054).

The checks run in nats-server's order, because a request with two faults is answered with the first.
`normalise` gives the configuration that is stored and shown; `check_update` compares two normalised
ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from slipstream.gotext.durations import SECOND_NS, format_duration
from slipstream.jetstream import subjects
from slipstream.jetstream.limits import SEQUENCE_MAX, AccountLimits, ServerLimits
from slipstream.jetstream.names import (
    DESCRIPTION_BYTES_MAX,
    METADATA_BYTES_MAX,
    NAME_BYTES_MAX,
    is_valid_name,
    metadata_bytes,
)
from slipstream.jetstream.sourcing.origin_rules import FindStream, check_origins
from slipstream.jetstream.stream_config import (
    Discard,
    PersistMode,
    Placement,
    Retention,
    StreamConfig,
)
from slipstream.jetstream.subject_index import first_overlap
from slipstream.protocol.errors import ApiError, ErrorCode
from slipstream.protocol.subject_transform import (
    SubjectTransform,
    TransformError,
    check_stream_transform,
)

REPLICAS_MAX = 5
DUPLICATE_WINDOW_DEFAULT_NS = 120_000_000_000
SHORTEST_WINDOW_NS = 100_000_000


class StreamRules(NamedTuple):
    """What surrounds the judgement."""

    server: ServerLimits
    account: AccountLimits
    pedantic: bool = False
    find_stream: FindStream = lambda name: None  # among those of the account


def normalise(config: StreamConfig, rules: StreamRules) -> StreamConfig:
    """A copy with the defaults filled in. Raises ApiError."""
    _check_names(config)
    _check_sizes(config)
    config = msgspec.structs.replace(config, metadata=dict(config.metadata))
    _fill_limits(config, rules.pedantic)
    _check_ages(config, rules)
    _check_features(config)
    _force_rollup(config, rules.pedantic)
    _check_persist_mode(config)
    check_origins(config, rules.find_stream, pedantic=rules.pedantic)
    _check_subjects(config)
    _check_account(config, rules.account)
    _check_subject_transform(config)
    _check_republish(config, rules.pedantic)
    if config.placement == Placement():
        config.placement = None
    if config.placement is not None and config.placement.preferred:
        raise invalid("preferred server not permitted in placement")
    return config


def check_update(old: StreamConfig, new: StreamConfig) -> StreamConfig:
    """What `old` becomes when it is updated to `new` (both normalised). Raises ApiError."""
    if new.allow_msg_counter and new.allow_msg_ttl:
        # Delete markers switch it on; nats-server looks at an update twice, at a create once.
        raise invalid("counter stream cannot use message TTLs")
    if new.name != old.name:
        raise invalid("stream configuration name must match original")
    if new.num_replicas > 1:
        raise ApiError(ErrorCode.STREAM_REPLICAS_NOT_SUPPORTED)
    update = "stream configuration update can not"
    work_queue = Retention.WORK_QUEUE in (old.retention, new.retention)
    forbidden = (
        (new.storage != old.storage, f"{update} change storage type"),
        (
            new.retention != old.retention and work_queue,
            f"{update} change retention policy to/from workqueue",
        ),
        (old.sealed and not new.sealed, f"{update} unseal a sealed stream"),
        (old.deny_delete and not new.deny_delete, f"{update} cancel deny message deletes"),
        (old.deny_purge and not new.deny_purge, f"{update} cancel deny purge"),
    )
    _refuse_first(forbidden)
    if new.mirror is not None and new.mirror != old.mirror:
        raise ApiError(ErrorCode.STREAM_MIRROR_NOT_UPDATABLE)
    features = (
        (old.allow_msg_ttl and not new.allow_msg_ttl, "message TTL status can not be disabled"),
        (
            old.allow_msg_counter != new.allow_msg_counter,
            f"{update} change message counter setting",
        ),
        (
            old.allow_msg_schedules and not new.allow_msg_schedules,
            "message schedules can not be disabled",
        ),
        (old.persist_mode != new.persist_mode, f"{update} change persist mode"),
    )
    _refuse_first(features)
    if new.sealed:
        new = msgspec.structs.replace(
            new,
            max_age_ns=0,
            discard=Discard.NEW,
            deny_delete=True,
            deny_purge=True,
            allow_rollup_hdrs=False,
        )
    return new


def invalid(text: str) -> ApiError:
    return ApiError(ErrorCode.STREAM_INVALID_CONFIG, err=text)


def pedantic_fault(text: str) -> ApiError:
    return ApiError(ErrorCode.PEDANTIC, err=text)


def _refuse_first(checks: Sequence[tuple[bool, str]]) -> None:
    for fault, text in checks:
        if fault:
            raise invalid(text)


def _check_names(config: StreamConfig) -> None:
    if not is_valid_name(config.name):
        raise invalid("stream name is required and can not contain '.', '*', '>', '\\', '/'")
    if len(config.name.encode()) > NAME_BYTES_MAX:
        raise invalid(f"stream name is too long, maximum allowed is {NAME_BYTES_MAX}")
    if len(config.description.encode()) > DESCRIPTION_BYTES_MAX:
        raise invalid(f"stream description is too long, maximum allowed is {DESCRIPTION_BYTES_MAX}")
    if metadata_bytes(config.metadata) > METADATA_BYTES_MAX:
        raise invalid(f"stream metadata exceeds maximum size of {METADATA_BYTES_MAX} bytes")


def _fill_limits(config: StreamConfig, pedantic: bool) -> None:
    if config.num_replicas == 0:
        config.num_replicas = 1
    if config.num_replicas > REPLICAS_MAX:
        raise invalid(f"maximum replicas is {REPLICAS_MAX}")
    if config.num_replicas < 0:
        raise ApiError(ErrorCode.REPLICAS_COUNT_CANNOT_BE_NEGATIVE)
    if config.first_seq > SEQUENCE_MAX:
        raise invalid(f"first sequence is too large, maximum allowed is {SEQUENCE_MAX}")
    for name in ("max_msgs", "max_msgs_per_subject", "max_bytes", "max_msg_size", "max_consumers"):
        value = getattr(config, name)
        if value < -1 and pedantic:
            raise pedantic_fault(f"{name} must be set to -1")
        if value == 0 or value < -1:
            setattr(config, name, -1)


def _check_ages(config: StreamConfig, rules: StreamRules) -> None:
    age = config.max_age_ns
    if age < 0:
        raise invalid("max age can not be negative")
    if 0 < age < SHORTEST_WINDOW_NS:
        raise invalid("max age needs to be >= 100ms")
    limit = rules.server.duplicate_window_ns
    if config.duplicate_window_ns == 0 and config.mirror is None and not config.sources:
        config.duplicate_window_ns = _default_window(age, limit, rules.pedantic)
    window = config.duplicate_window_ns
    if window < 0:
        raise invalid("duplicates window can not be negative")
    if age and window > age:
        raise invalid("duplicates window can not be larger then max age")
    if limit and window > limit:
        raise invalid(
            f"duplicates window can not be larger then server limit of {format_duration(limit)}"
        )
    if 0 < window < SHORTEST_WINDOW_NS:
        raise invalid("duplicates window needs to be >= 100ms")


def _default_window(age: int, limit: int, pedantic: bool) -> int:
    window = DUPLICATE_WINDOW_DEFAULT_NS
    if limit and window > limit:
        if pedantic:
            raise pedantic_fault("duplicate window limits are higher than current limits")
        window = limit
    if age and age < window:
        if pedantic:
            raise pedantic_fault("duplicate window cannot be bigger than max age")
        window = age
    return window


def _check_features(config: StreamConfig) -> None:
    per_subject = config.discard_new_per_subject
    counter = config.allow_msg_counter
    discard_new = config.discard is Discard.NEW
    marker_ttl = config.subject_delete_marker_ttl_ns
    _refuse_first(
        (
            (
                config.deny_purge and config.allow_rollup_hdrs,
                "roll-ups require the purge permission",
            ),
            (counter and discard_new, "counter stream cannot use discard new"),
            (counter and config.allow_msg_ttl, "counter stream cannot use message TTLs"),
            (
                counter and config.allow_msg_schedules,
                "counter stream cannot use message schedules",
            ),
            (
                counter and config.retention is not Retention.LIMITS,
                "counter stream can only use limits retention",
            ),
            (
                per_subject and not discard_new,
                "discard new per subject requires discard new policy to be set",
            ),
            (
                per_subject and config.max_msgs_per_subject <= 0,
                "discard new per subject requires max msgs per subject > 0",
            ),
            (
                0 < marker_ttl < SECOND_NS,
                "subject delete marker TTL must be at least 1 second",
            ),
            (marker_ttl < 0, "subject delete marker TTL must not be negative"),
        )
    )


def _force_rollup(config: StreamConfig, pedantic: bool) -> None:
    """Delete markers and schedules work through roll-ups, so they switch them on (S-039)."""
    if config.subject_delete_marker_ttl_ns > 0:
        if pedantic and not config.allow_msg_ttl:
            raise invalid("subject delete marker cannot be set if message TTLs are disabled")
        if pedantic and not config.allow_rollup_hdrs:
            raise invalid("subject delete marker cannot be set if roll-ups are disabled")
        config.allow_msg_ttl = True
    if config.allow_msg_schedules:
        if config.discard is Discard.NEW:
            raise invalid("message scheduling cannot use discard new")
        if pedantic and not config.allow_rollup_hdrs:
            raise invalid("message scheduling cannot be set if roll-ups are disabled")
    needs_rollup = config.subject_delete_marker_ttl_ns > 0 or config.allow_msg_schedules
    if needs_rollup and not config.allow_rollup_hdrs:
        config.allow_rollup_hdrs, config.deny_purge = True, False


def _check_persist_mode(config: StreamConfig) -> None:
    if config.persist_mode is not PersistMode.ASYNC:
        return
    _refuse_first(
        (
            (config.is_memory, "async persist mode is only supported on file storage"),
            (
                config.num_replicas > 1,
                "async persist mode is not supported on replicated streams",
            ),
            (
                config.allow_atomic,
                "async persist mode is not supported with atomic batch publish",
            ),
        )
    )


def _check_sizes(config: StreamConfig) -> None:
    origins = [origin for origin in (config.mirror, *config.sources) if origin is not None]
    transforms = [transform for origin in origins for transform in origin.subject_transforms]
    filters = [origin.filter_subject for origin in origins]
    if not subjects.are_bounded([*config.subjects, *filters, *(t.source for t in transforms)]):
        raise invalid("subjects are too long or too many")


def _check_subjects(config: StreamConfig) -> None:
    if not config.subjects:
        if config.mirror is None and not config.sources:
            config.subjects = [config.name]
        return
    overlapping = first_overlap(config.subjects)
    for position, subject in enumerate(config.subjects):
        if not subjects.is_valid(subject):
            raise invalid("invalid subject")
        _check_reserved(subject, config)
        if position != overlapping:
            continue
        for later in config.subjects[position + 1 :]:
            if subjects.collide(later, subject):
                raise invalid(f'subject "{subject}" overlaps with "{later}"')


def _check_reserved(subject: str, config: StreamConfig) -> None:
    if subject == ">":
        if not config.no_ack:
            raise invalid("capturing all subjects requires no-ack to be true")
        if config.num_replicas != 1:
            raise invalid("capturing all subjects requires replicas of 1")
    if config.no_ack:
        return
    for namespace in ("$JS.>", "$JSC.>", "$NRG.>"):
        if subjects.collide(subject, namespace) and not subjects.is_subset(subject, "$JS.EVENT.>"):
            raise invalid("subjects that overlap with jetstream api require no-ack to be true")
    if subjects.collide(subject, "$SYS.>") and not subjects.is_subset(subject, "$SYS.ACCOUNT.>"):
        raise invalid("subjects that overlap with system api require no-ack to be true")


def _check_account(config: StreamConfig, account: AccountLimits) -> None:
    limit = account.memory_max_stream_bytes if config.is_memory else account.store_max_stream_bytes
    if account.max_bytes_required and config.max_bytes <= 0:
        raise ApiError(ErrorCode.STREAM_MAX_BYTES_REQUIRED)
    if limit > 0 and config.max_bytes > limit:
        raise ApiError(ErrorCode.STREAM_MAX_STREAM_BYTES_EXCEEDED)


def _check_subject_transform(config: StreamConfig) -> None:
    transform = config.subject_transform
    if transform is None:
        return
    source = transform.source
    if source and not subjects.is_valid(source):
        text = f"invalid subject {source}"
        raise ApiError(ErrorCode.STREAM_TRANSFORM_INVALID_SOURCE, err=text)
    try:
        check_stream_transform(source.encode(), transform.destination.encode())
    except TransformError as fault:
        raise ApiError(ErrorCode.STREAM_TRANSFORM_INVALID_DESTINATION, err=str(fault)) from None


def _check_republish(config: StreamConfig, pedantic: bool) -> None:
    if config.republish is None:
        return
    republish = config.republish
    if not republish.source:
        if pedantic:
            raise pedantic_fault("republish source can not be empty")
        republish = msgspec.structs.replace(republish, source=">")
    transform = config.subject_transform
    everything = republish.source == republish.destination == ">"
    if everything and transform is not None and config.subjects == [transform.source]:
        # What comes in leaves on another subject, so this is no cycle.
        if pedantic:
            raise pedantic_fault("implicit republish based on subject transform")
        stored_on = transform.destination
        republish = msgspec.structs.replace(republish, source=stored_on, destination=stored_on)
    config.republish = republish
    destination = republish.destination
    if any(subjects.collide(destination, subject) for subject in config.subjects):
        raise invalid("stream configuration for republish destination forms a cycle")
    if not destination:
        return
    try:
        SubjectTransform(republish.source.encode(), destination.encode())
    except TransformError:
        raise invalid(
            f"stream configuration for republish with transform from '{republish.source}' "
            f"to '{destination}' not valid"
        ) from None
