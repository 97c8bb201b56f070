"""What a mirror and sources may say (S-182, S-186..S-189, S-193), in nats-server's order.

Origins need not exist; what can be seen of one in the same account is compared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from slipstream.jetstream import subjects
from slipstream.jetstream.names import is_valid_name
from slipstream.jetstream.sourcing.origin import (
    API_PREFIX,
    durable_index_name,
    index_name,
    sources_of,
)
from slipstream.jetstream.stream_config import StreamConfig, StreamSource
from slipstream.jetstream.subject_index import first_overlap, is_one_within_another
from slipstream.protocol.errors import ApiError, ErrorCode
from slipstream.protocol.subject_transform import TransformError, check_stream_transform

# The configuration of a stream in the same account, if there is one.
FindStream = Callable[[str], StreamConfig | None]


def check_origins(config: StreamConfig, find_stream: FindStream, *, pedantic: bool) -> None:
    """May change `mirror_direct`, which a mirror inherits. Raises ApiError."""
    origin_subjects: list[str] = []
    prefixes: list[StreamSource] = []
    if config.mirror is not None:
        _check_mirror(config, config.mirror, find_stream, origin_subjects, pedantic)
        prefixes.append(config.mirror)
    if config.sources:
        _check_sources(config, find_stream, origin_subjects)
        prefixes += sources_of(config)
    _check_prefixes(prefixes, origin_subjects)
    _check_cycles(config, find_stream)


def check_filters(config: StreamConfig, *, updated: bool = False) -> None:
    """A last look at what is created. In an update nats-server takes any filter; one that cannot
    stand in the subject of a request is refused here.
    """
    fits = subjects.has_no_blank if updated else _is_valid_or_empty
    mirror = config.mirror
    if mirror is not None and not fits(mirror.filter_subject):
        _fail_creation(f"subject filter '{mirror.filter_subject}' for the mirror invalid subject")
    for source in sources_of(config):
        if not source.subject_transforms and not fits(source.filter_subject):
            _fail_creation(
                f"subject filter '{source.filter_subject}' for the source: invalid subject"
            )


def _fail_creation(text: str) -> None:
    raise ApiError(ErrorCode.STREAM_CREATE, err=text)


def _invalid(text: str) -> ApiError:
    return ApiError(ErrorCode.STREAM_INVALID_CONFIG, err=text)


def _is_valid_or_empty(subject: str) -> bool:
    return not subject or subjects.is_valid(subject)


def _check_mirror(
    config: StreamConfig,
    mirror: StreamSource,
    find_stream: FindStream,
    origin_subjects: list[str],
    pedantic: bool,
) -> None:
    conflicts = (
        (config.first_seq > 0, ErrorCode.MIRROR_WITH_FIRST_SEQ),
        (bool(config.subjects), ErrorCode.MIRROR_WITH_SUBJECTS),
        (bool(config.sources), ErrorCode.MIRROR_WITH_SOURCES),
        (config.allow_msg_counter, ErrorCode.MIRROR_WITH_COUNTERS),
        (config.allow_atomic, ErrorCode.MIRROR_WITH_ATOMIC_PUBLISH),
        (config.allow_batched, ErrorCode.MIRROR_WITH_BATCH_PUBLISH),
        (config.allow_msg_schedules, ErrorCode.MIRROR_WITH_MSG_SCHEDULES),
        (not _durable_is_whole(mirror), ErrorCode.MIRROR_DURABLE_CONSUMER_CFG_INVALID),
        (
            bool(mirror.filter_subject and mirror.subject_transforms),
            ErrorCode.MIRROR_MULTIPLE_FILTERS_NOT_ALLOWED,
        ),
    )
    for fault, err_code in conflicts:
        if fault:
            raise ApiError(err_code)
    if config.subject_delete_marker_ttl_ns > 0:
        raise _invalid("subject delete markers forbidden on mirrors")
    overlapping = first_overlap([t.source for t in mirror.subject_transforms])
    for place, transform in enumerate(mirror.subject_transforms):
        _check_transform(
            transform.source,
            transform.destination,
            ErrorCode.MIRROR_INVALID_SUBJECT_FILTER,
            ErrorCode.MIRROR_INVALID_TRANSFORM_DESTINATION,
        )
        if place == overlapping:
            raise ApiError(ErrorCode.MIRROR_OVERLAPPING_SUBJECT_FILTERS)
    # Of an external origin too, other than in nats-server: the name stands in subjects of requests.
    if not is_valid_name(mirror.name):
        raise ApiError(ErrorCode.MIRROR_INVALID_STREAM_NAME)
    if mirror.external is not None:
        return
    origin = find_stream(mirror.name)
    if origin is None:
        return
    origin_subjects += origin.subjects
    if 0 < config.max_msg_size < origin.max_msg_size:
        raise ApiError(ErrorCode.MIRROR_MAX_MESSAGE_SIZE_TOO_BIG)
    if pedantic and config.mirror_direct != origin.allow_direct:
        text = "origin stream has direct get set, mirror has it disabled"
        raise ApiError(ErrorCode.PEDANTIC, err=text)
    config.mirror_direct = origin.allow_direct


def _check_sources(
    config: StreamConfig, find_stream: FindStream, origin_subjects: list[str]
) -> None:
    if config.allow_msg_schedules:
        raise ApiError(ErrorCode.SOURCE_WITH_MSG_SCHEDULES)
    names, durable_names = set[str](), set[str]()
    for source in config.sources:
        if source is None or not is_valid_name(source.name):
            raise ApiError(ErrorCode.SOURCE_INVALID_STREAM_NAME)
        if index_name(source) in names:
            raise ApiError(ErrorCode.SOURCE_DUPLICATE_DETECTED)
        names.add(index_name(source))
        if source.filter_subject and source.subject_transforms:
            raise ApiError(ErrorCode.SOURCE_MULTIPLE_FILTERS_NOT_ALLOWED)
        for transform in source.subject_transforms:
            _check_transform(
                transform.source,
                transform.destination,
                ErrorCode.SOURCE_INVALID_SUBJECT_FILTER,
                ErrorCode.SOURCE_INVALID_TRANSFORM_DESTINATION,
            )
        if is_one_within_another([t.source for t in source.subject_transforms]):
            raise ApiError(ErrorCode.SOURCE_OVERLAPPING_SUBJECT_FILTERS)
        if not _durable_is_whole(source):
            raise ApiError(ErrorCode.SOURCE_DURABLE_CONSUMER_CFG_INVALID)
        if source.consumer is not None:
            if durable_index_name(source) in durable_names:
                raise ApiError(ErrorCode.SOURCE_DURABLE_CONSUMER_DUPLICATE_DETECTED)
            durable_names.add(durable_index_name(source))
        origin = find_stream(source.name) if source.external is None else None
        if origin is not None:
            origin_subjects += origin.subjects
            if 0 < config.max_msg_size < origin.max_msg_size:
                raise ApiError(ErrorCode.SOURCE_MAX_MESSAGE_SIZE_TOO_BIG)


def _durable_is_whole(source: StreamSource) -> bool:
    """A consumer of the user's own choice has a name and a subject, and where it starts and what
    it filters is its own.
    """
    consumer = source.consumer
    if consumer is None:
        return True
    return (
        is_valid_name(consumer.name)
        and subjects.is_valid_publish(consumer.deliver_subject)
        and not source.opt_start_seq
        and source.opt_start_time is None
        and not source.filter_subject
    )


def _check_transform(
    source: str, destination: str, filter_code: ErrorCode, destination_code: ErrorCode
) -> None:
    if not _is_valid_or_empty(source):
        raise ApiError(filter_code, err=f"invalid subject {source}")
    try:
        check_stream_transform(source.encode(), destination.encode())
    except TransformError as fault:
        raise ApiError(destination_code, err=str(fault)) from None


def _check_prefixes(origins: Sequence[StreamSource], origin_subjects: Sequence[str]) -> None:
    external = [origin.external for origin in origins if origin.external is not None]
    # A subject and the same one with a prefix differ in length: without a `>` they do not collide.
    open_ended = dict.fromkeys(subject for subject in origin_subjects if ">" in subject)
    for prefix in dict.fromkeys(e.deliver_prefix for e in external if e.deliver_prefix):
        if not subjects.is_valid_publish(prefix):
            raise ApiError(ErrorCode.STREAM_INVALID_EXTERNAL_DELIVERY_SUBJ, prefix=prefix)
        for subject in open_ended:
            if subjects.collide(subject, f"{prefix}.{subject}"):
                raise ApiError(
                    ErrorCode.STREAM_EXTERNAL_DEL_PREFIX_OVERLAPS, prefix=prefix, subject=subject
                )
    for prefix in [e.api_prefix for e in external if e.api_prefix]:
        if not subjects.is_valid_publish(prefix):
            raise _invalid(
                f'stream external api prefix "{prefix}" must be a valid subject without wildcards'
            )
        if subjects.collide(prefix, API_PREFIX):
            raise ApiError(ErrorCode.STREAM_EXTERNAL_API_OVERLAP, prefix=prefix, subject=API_PREFIX)


def _check_cycles(config: StreamConfig, find_stream: FindStream) -> None:
    """Messages must not come back to where they came from. What happens behind an external prefix
    nobody here can see.
    """
    to_visit, visited = deque([config]), set[str]()
    while to_visit:
        current = to_visit.popleft()
        visited.add(current.name)
        for source in sources_of(current):
            if source.external is not None:
                continue
            if source.name not in visited:
                _visit_later(source.name, find_stream, to_visit)
            elif _reaches(current.subjects, source.filter_subject):
                raise _invalid("detected cycle")
        mirror = current.mirror
        if mirror is not None and mirror.external is None:
            if mirror.name in visited:
                raise _invalid("detected cycle")
            _visit_later(mirror.name, find_stream, to_visit)


def _visit_later(name: str, find_stream: FindStream, to_visit: deque[StreamConfig]) -> None:
    found = find_stream(name)
    if found is not None:
        to_visit.append(found)


def _reaches(captured: Sequence[str], subject_filter: str) -> bool:
    return not subject_filter or any(subjects.collide(s, subject_filter) for s in captured)
