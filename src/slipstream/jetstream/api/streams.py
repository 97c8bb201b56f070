"""STREAM.CREATE, UPDATE, DELETE, PURGE, INFO, NAMES, LIST (S-072..S-078)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from functools import partial
from typing import Any

import msgspec

from slipstream.gotext.encode import encode
from slipstream.gotext.times import format_time
from slipstream.jetstream import subjects
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore, offline_error
from slipstream.jetstream.api.requests import (
    PurgeRequest,
    StreamInfoRequest,
    StreamNamesRequest,
    StreamsRequest,
    read,
    read_optional,
    refuse_body,
)
from slipstream.jetstream.api.state import shown_config, stream_state
from slipstream.jetstream.api_level import comparable_metadata, stored_metadata
from slipstream.jetstream.descriptions import describe_stream
from slipstream.jetstream.headers import header_value
from slipstream.jetstream.limits import SEQUENCE_MAX, Reservations
from slipstream.jetstream.names import has_path_separator
from slipstream.jetstream.registry import Account, Stream
from slipstream.jetstream.sourcing.origin_rules import check_filters
from slipstream.jetstream.sourcing.shown import shown_links
from slipstream.jetstream.stream_config import StreamConfig, StreamConfigRequest
from slipstream.jetstream.stream_rules import StreamRules, check_update, invalid, normalise
from slipstream.protocol.errors import ApiError, ErrorCode

NAMES_PER_PAGE = 1024
STREAMS_PER_PAGE = 256
SUBJECTS_PER_PAGE = 100_000
DELETED_MAX = 1_000_000
# How much of a long answer is built in one slice.
STREAMS_PER_SLICE = 32


def create(api: ApiCore, request: Request, now_ns: int) -> None:
    wanted = read(api, request, StreamConfigRequest)
    config = wanted.to_config()
    config.metadata = stored_metadata(config.metadata, config.required_api_level)
    name = request.words[0]
    if name != config.name:
        raise ApiError(ErrorCode.STREAM_MISMATCH)
    if has_path_separator(name):
        raise ApiError(ErrorCode.STREAM_NAME_CONTAINS_PATH_SEPARATORS)
    if config.sealed:
        raise invalid("stream configuration for create can not be sealed")
    if config.mirror_direct and config.mirror is None:
        raise invalid("stream has no mirror but does have mirror direct")
    account = request.account
    _check_stream_count(account, config)
    config = normalise(config, _rules(api, account, config.num_replicas, wanted.pedantic))
    if config.num_replicas > 1:
        raise ApiError(ErrorCode.STREAM_REPLICAS_NOT_SUPPORTED)
    existing = account.streams.get(name)
    if existing is not None and existing.restoring:
        raise ApiError(ErrorCode.STREAM_NAME_EXIST)
    if existing is not None and existing.offline:
        raise offline_error(existing.offline)
    if existing is not None:
        _answer_existing(api, request, existing, config, now_ns)
        return
    _check_limits(api, account, config, None)
    check_filters(config)
    if account.overlaps(config):
        raise ApiError(ErrorCode.STREAM_SUBJECT_OVERLAP)
    _propose_create(api, request, config, now_ns)


def _propose_create(api: ApiCore, request: Request, config: StreamConfig, now_ns: int) -> None:
    account = request.account
    stream = Stream(account, 0, config, now_ns)

    def done(_: int, done_ns: int) -> None:
        stream.token = 0
        api.links.configure(stream, done_ns)
        api.advisories.stream_action(stream, "create", done_ns)
        api.answer(request, _created(api, stream, done_ns), done_ns)

    token = api.token(request, done)
    stream.token = token
    stream.id = api.kernel.propose_stream_create(
        token, account.id, config.name.encode(), describe_stream(config, now_ns), config.to_spec()
    )
    api.registry.add_stream(stream)


def _answer_existing(
    api: ApiCore, request: Request, stream: Stream, config: StreamConfig, now_ns: int
) -> None:
    """Creating what exists with the same configuration succeeds (S-072)."""
    metadata = comparable_metadata(config.metadata, stream.config.metadata)
    if msgspec.structs.replace(config, metadata=metadata) != stream.config:
        raise ApiError(ErrorCode.STREAM_NAME_EXIST)

    def answer(at_ns: int) -> None:
        api.answer(request, _created(api, stream, at_ns), at_ns)

    api.when_settled(request, answer, partial(api.run, create, request), now_ns)


def check_restored(api: ApiCore, account: Account, config: StreamConfig) -> StreamConfig:
    """What a stream with this configuration is restored with. Raises ApiError."""
    config.metadata = stored_metadata(config.metadata, config.required_api_level)
    config = normalise(config, _rules(api, account, config.num_replicas, pedantic=False))
    _check_stream_count(account, config)
    _check_limits(api, account, config, None)
    return config


def restored_answer(api: ApiCore, stream: Stream, now_ns: int) -> dict[str, Any]:
    return _shown(api, stream, now_ns)


def _created(api: ApiCore, stream: Stream, now_ns: int) -> dict[str, Any]:
    return _shown(api, stream, now_ns) | {"did_create": True}


def update(api: ApiCore, request: Request, now_ns: int) -> None:
    wanted = read(api, request, StreamConfigRequest)
    account = request.account
    rules = _rules(api, account, wanted.num_replicas, wanted.pedantic)
    config = normalise(wanted.to_config(), rules)
    if config.name != request.words[0]:
        raise ApiError(ErrorCode.STREAM_MISMATCH)
    stream = api.stream_to_change(request, config.name)
    config.metadata = stored_metadata(config.metadata, config.required_api_level)
    config = check_update(stream.config, config)
    _check_limits(api, account, config, stream)
    _check_consumers(stream, config)
    check_filters(config, updated=True)
    if account.overlaps(config):
        raise ApiError(ErrorCode.STREAM_SUBJECT_OVERLAP)

    def done(_: int, done_ns: int) -> None:
        stream.update_committed(config)
        api.links.configure(stream, done_ns)
        api.advisories.stream_action(stream, "modify", done_ns)
        shown = _shown(api, stream, done_ns)
        api.answer(request, _with_domain(api, shown), done_ns)

    description = describe_stream(config, stream.created_ns)
    token = api.token(request, done)
    api.kernel.propose_stream_update(token, stream.id, description, config.to_spec())
    account.update(stream, config)


def _check_consumers(stream: Stream, config: StreamConfig) -> None:
    """Consumers that exist must fit stricter limits for consumers (S-040)."""
    old, new = stream.config.consumer_limits, config.consumer_limits
    changed = (
        0 < new.inactive_threshold_ns != old.inactive_threshold_ns
        or 0 < new.max_ack_pending != old.max_ack_pending
    )
    if not changed:
        return
    violating = [
        consumer.name
        for consumer in stream.consumers.values()
        if 0 < new.inactive_threshold_ns < consumer.config.inactive_threshold_ns
        or 0 < new.max_ack_pending < consumer.config.max_ack_pending
    ]
    if violating:
        text = f"change to limits violates consumers: {', '.join(violating)}"
        raise ApiError(ErrorCode.STREAM_UPDATE, err=text)


def delete(api: ApiCore, request: Request, now_ns: int) -> None:
    refuse_body(request)
    stream = api.stream_to_delete(request, request.words[0])

    def done(_: int, done_ns: int) -> None:
        for consumer in stream.consumers.values():
            api.advisories.consumer_action(consumer, "delete", done_ns)
        api.advisories.stream_action(stream, "delete", done_ns)
        api.answer(request, {"success": True}, done_ns)

    api.kernel.propose_stream_delete(api.token(request, done), stream.id)
    api.links.remove(stream)
    api.registry.remove_stream(stream)
    if stream.offline:
        api.offline_stream_deleted(stream)


def purge(api: ApiCore, request: Request, now_ns: int) -> None:
    wanted = read_optional(api, request, PurgeRequest)
    if wanted.seq > 0 and wanted.keep > 0:
        raise ApiError(ErrorCode.BAD_REQUEST)
    stream = api.stream_to_change(request, request.words[0])
    if stream.config.sealed:
        raise ApiError(ErrorCode.STREAM_SEALED)
    if stream.config.deny_purge:
        raise ApiError(ErrorCode.STREAM_PURGE_FAILED, err="stream purge not permitted")
    if wanted.seq > SEQUENCE_MAX:
        raise ApiError(
            ErrorCode.STREAM_PURGE_FAILED, err=f"sequence is too large, maximum is {SEQUENCE_MAX}"
        )

    def done(purged: int, done_ns: int) -> None:
        api.answer(request, {"success": True, "purged": purged}, done_ns)

    subject_filter = wanted.subject_filter
    matches_nothing = subject_filter != "" and not subjects.is_valid(subject_filter)
    if wanted.seq == 1 or matches_nothing:  # nothing lies below the first sequence
        api.when_settled(request, partial(done, 0), partial(api.run, purge, request), now_ns)
        return
    token = api.token(request, done)
    api.kernel.propose_purge(token, stream.id, subject_filter.encode(), wanted.seq, wanted.keep)


def info(api: ApiCore, request: Request, now_ns: int) -> Iterator[None] | None:
    if header_value(request.header, b"Nats-Response-Type") == b"create":  # S-112
        request = request._replace(type="stream_create_response")
    wanted = read_optional(api, request, StreamInfoRequest)
    stream = api.stream(request, request.words[0])
    if wanted.subjects_filter or wanted.deleted_details:
        return _detailed_info(api, request, stream, wanted, now_ns)
    api.answer(request, _info_fields(api, stream, now_ns), now_ns)
    return None


def _detailed_info(
    api: ApiCore, request: Request, stream: Stream, wanted: StreamInfoRequest, now_ns: int
) -> Iterator[None]:
    deleted = None
    if wanted.deleted_details:
        deleted = api.kernel.stream_deleted(stream.id, DELETED_MAX)
        yield
    total, parts, offset = 0, list[bytes](), max(wanted.offset, 0)
    if wanted.subjects_filter:
        total = yield from _subject_counts(api, stream, wanted.subjects_filter, offset, parts)
    counted = msgspec.Raw(b"{" + b",".join(parts) + b"}") if parts else None
    fields = _info_fields(api, stream, now_ns, counted, deleted)
    if total:
        fields |= {"total": total, "offset": offset, "limit": SUBJECTS_PER_PAGE}
    api.answer(request, fields, now_ns)


def _subject_counts(
    api: ApiCore, stream: Stream, subject_filter: str, offset: int, parts: list[bytes]
) -> Generator[None, None, int]:
    """Adds the members of a page, as JSON. In the end: how many subjects match."""
    listing = api.list_subjects(stream, subject_filter, offset, SUBJECTS_PER_PAGE)
    while True:
        try:
            found = next(listing)
        except StopIteration as end:
            total: int = end.value
            return total
        if found:
            counts = {subject.decode("utf-8", "replace"): count for subject, count in found}
            parts.append(encode(counts)[1:-1])
        yield


def _info_fields(
    api: ApiCore,
    stream: Stream,
    now_ns: int,
    counted: msgspec.Raw | None = None,
    deleted: list[int] | None = None,
) -> dict[str, Any]:
    shown = _shown(api, stream, now_ns, counted=counted, deleted=deleted)
    paged = {"total": 0, "offset": 0, "limit": 0}
    cluster = {"cluster": {"leader": api.options.server_name}}  # S-065
    return paged | _with_domain(api, shown, cluster)


def names(api: ApiCore, request: Request, now_ns: int) -> None:
    wanted = read_optional(api, request, StreamNamesRequest)
    matching = request.account.stream_names(wanted.subject)
    offset = min(max(wanted.offset, 0), len(matching))
    page = matching[offset : offset + NAMES_PER_PAGE]
    fields = {
        "total": len(matching),
        "offset": offset,
        "limit": NAMES_PER_PAGE,
        "streams": page or None,
    }
    api.answer(request, fields, now_ns)


def list_(api: ApiCore, request: Request, now_ns: int) -> Iterator[None]:
    wanted = read_optional(api, request, StreamsRequest)
    matching = request.account.stream_names(wanted.subject)
    offset = min(max(wanted.offset, 0), len(matching))
    parts: list[bytes] = []
    offline: dict[str, str] = {}
    page = matching[offset : offset + STREAMS_PER_PAGE]
    for start in range(0, len(page), STREAMS_PER_SLICE):
        found = (request.account.find(name) for name in page[start : start + STREAMS_PER_SLICE])
        present = [stream for stream in found if stream is not None]
        offline |= {stream.name: stream.offline for stream in present if stream.offline}
        entries = [list_entry(api, stream, now_ns) for stream in present if not stream.offline]
        if entries:  # else all deleted since the list was begun
            parts.append(encode(entries)[1:-1])
        yield
    fields = {
        "total": len(matching),
        "offset": offset,
        "limit": STREAMS_PER_PAGE,
        "streams": msgspec.Raw(b"[" + b",".join(parts) + b"]"),
    }
    if offline:
        fields["offline"] = offline
    api.answer(request, fields, now_ns)


def list_entry(api: ApiCore, stream: Stream, now_ns: int) -> dict[str, Any]:
    state = stream_state(api.stream_state(stream), stream.shown_consumer_count)
    return {
        "config": stream.config_json,
        "created": stream.created,
        "state": state,
        **api.domain_field(),
        **shown_links(api.links.links(stream), now_ns),
        "ts": format_time(now_ns),
    }


def _shown(
    api: ApiCore,
    stream: Stream,
    now_ns: int,
    counted: msgspec.Raw | None = None,
    deleted: list[int] | None = None,
) -> dict[str, Any]:
    state = api.stream_state(stream)
    return {
        "config": shown_config(stream.committed_config, api.options.server_version),
        "created": stream.created,
        "state": stream_state(state, stream.shown_consumer_count, counted, deleted),
        **shown_links(api.links.links(stream), now_ns),
        "ts": format_time(now_ns),
    }


def _with_domain(
    api: ApiCore, shown: dict[str, Any], more: dict[str, Any] | None = None
) -> dict[str, Any]:
    """UPDATE and INFO show the domain, CREATE does not; it stands behind the state."""
    tail = {key: shown.pop(key) for key in ("mirror", "sources", "ts") if key in shown}
    return shown | api.domain_field() | (more or {}) | tail


def _rules(api: ApiCore, account: Account, replicas: int, pedantic: bool) -> StreamRules:
    def find_stream(name: str) -> StreamConfig | None:
        stream = account.streams.get(name)
        return stream.config if stream is not None else None

    return StreamRules(api.options.limits, account.limits_of(replicas), pedantic, find_stream)


def _check_stream_count(account: Account, config: StreamConfig) -> None:
    others = len(account.streams) - (config.name in account.streams)
    if 0 < account.limits_of(config.num_replicas).max_streams <= others:
        raise ApiError(ErrorCode.MAXIMUM_STREAMS_LIMIT)


def _check_limits(api: ApiCore, account: Account, config: StreamConfig, old: Stream | None) -> None:
    """Consumers and bytes that it claims, on top of what other streams have reserved (S-241)."""
    limits, own = api.options.limits, account.limits_of(config.num_replicas)
    if 0 < own.max_consumers < config.max_consumers:
        raise ApiError(ErrorCode.MAXIMUM_CONSUMERS_LIMIT)
    claimed = config.max_bytes
    if claimed < 0:
        claimed = 1 if old is None else 0  # nats-server wants room for at least something
    existing = account.streams.get(config.name)
    others = _less(account.reserved, existing)
    _check_reservation(config, own.max_memory, own.max_store, others, claimed)
    growth = claimed
    if old is not None:
        growth = max(claimed - max(old.config.max_bytes, 0), 0)
    _check_reservation(config, limits.max_memory, limits.max_store, api.registry.reserved(), growth)


def _less(reserved: Reservations, stream: Stream | None) -> Reservations:
    own = max(stream.config.max_bytes, 0) if stream is not None else 0
    if stream is not None and stream.config.is_memory:
        return reserved._replace(memory=reserved.memory - own)
    return reserved._replace(store=reserved.store - own)


def _check_reservation(
    config: StreamConfig, max_memory: int, max_store: int, reserved: Reservations, claimed: int
) -> None:
    if config.is_memory:
        if 0 <= max_memory < reserved.memory + claimed:
            raise ApiError(ErrorCode.MEMORY_RESOURCES_EXCEEDED)
    elif 0 <= max_store < reserved.store + claimed:
        raise ApiError(ErrorCode.STORAGE_RESOURCES_EXCEEDED)
