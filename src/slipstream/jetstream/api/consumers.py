"""CONSUMER.CREATE (all subject forms), DELETE, INFO, NAMES, LIST, PAUSE (C-001..C-018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from slipstream.gotext.encode import encode
from slipstream.jetstream.api.api_request import Request, Scope
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.api.requests import (
    ConsumersRequest,
    PauseRequest,
    read,
    read_optional,
    refuse_body,
)
from slipstream.jetstream.api.sourcing_consumers import (
    identity_header,
    keep_start,
    serve_sourcing,
)
from slipstream.jetstream.api.state import (
    consumer_info,
    pause_remaining_ns,
    shown_config,
)
from slipstream.jetstream.api_level import comparable_metadata, stored_metadata
from slipstream.jetstream.consumer_config import Action, ConsumerConfig, CreateConsumerRequest
from slipstream.jetstream.consumer_rules import (
    ConsumerRules,
    check_update,
    check_work_queue,
    normalise,
    with_ephemeral_threshold,
)
from slipstream.jetstream.descriptions import describe_consumer
from slipstream.jetstream.names import NAME_BYTES_MAX, has_path_separator, is_valid_name
from slipstream.jetstream.registry import Consumer, Stream
from slipstream.jetstream.stream_config import Retention
from slipstream.kernel.values import StoreError
from slipstream.protocol.errors import ApiError, ErrorCode

NAMES_PER_PAGE = 1024
CONSUMERS_PER_PAGE = 256
# How much of a long answer is built in one slice.
CONSUMERS_PER_SLICE = 32


def create(api: ApiCore, request: Request, now_ns: int) -> None:
    """CREATE.<stream>[.<consumer>[.<filter>]]; without a name it is nats-server's legacy ephemeral
    form.
    """
    wanted = read(api, request, CreateConsumerRequest)
    api.require_level(request)
    stream_name, *rest = request.words
    config = wanted.config
    name = rest[0] if rest else config.name
    _check_names(wanted, stream_name, name)
    if rest:
        if config.durable_name and config.durable_name != name:
            raise ApiError(ErrorCode.CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT)
        config.name = name
    elif config.durable_name:
        raise ApiError(ErrorCode.CONSUMER_EPHEMERAL_WITH_DURABLE_NAME)
    filter_in_subject = ".".join(rest[1:])
    if filter_in_subject and config.filter_subjects:
        raise ApiError(ErrorCode.CONSUMER_MULTIPLE_FILTERS_NOT_ALLOWED)
    if filter_in_subject and config.filter_subject != filter_in_subject:
        raise ApiError(ErrorCode.CONSUMER_CREATE_FILTER_SUBJECT_MISMATCH)
    _create_or_update(api, request, wanted, now_ns)


def create_durable(api: ApiCore, request: Request, now_ns: int) -> None:
    """DURABLE.CREATE.<stream>.<consumer>."""
    wanted = read(api, request, CreateConsumerRequest)
    api.require_level(request)
    stream_name, name = request.words
    _check_names(wanted, stream_name, name)
    if not wanted.config.durable_name:
        raise ApiError(ErrorCode.CONSUMER_DURABLE_NAME_NOT_SET)
    if wanted.config.durable_name != name:
        raise ApiError(ErrorCode.CONSUMER_DURABLE_NAME_NOT_MATCH_SUBJECT)
    wanted.config.name = name
    _create_or_update(api, request, wanted, now_ns)


def _check_names(wanted: CreateConsumerRequest, stream_name: str, name: str) -> None:
    if wanted.stream_name != stream_name:
        raise ApiError(ErrorCode.STREAM_MISMATCH)
    if has_path_separator(name):
        raise ApiError(ErrorCode.CONSUMER_NAME_CONTAINS_PATH_SEPARATORS)


def _create_or_update(
    api: ApiCore, request: Request, wanted: CreateConsumerRequest, now_ns: int
) -> None:
    if wanted.config.num_replicas > 1:
        raise ApiError(ErrorCode.STREAM_REPLICAS_NOT_SUPPORTED)
    stream = api.stream_to_change(request, wanted.stream_name)
    config = wanted.config
    serve_sourcing(api, request, stream, config)
    existing = stream.consumers.get(config.durable_name or config.name)
    if existing is not None:
        config.pause_until = existing.config.pause_until  # only PAUSE changes it (C-049)
        if config.sourcing and config.durable_name:
            keep_start(config, existing.config)
    config.metadata = stored_metadata(config.metadata, config.required_api_level)
    rules = ConsumerRules(
        stream.config,
        api.options.limits,
        request.account.limits_of(stream.config.num_replicas),
        wanted.pedantic,
    )
    config = normalise(config, rules)
    if existing is not None:
        _update(api, request, existing, config, wanted.action)
        return
    if wanted.action is Action.UPDATE:
        raise ApiError(ErrorCode.CONSUMER_DOES_NOT_EXIST)
    if not config.is_internal:
        _check_count(api, stream)
    check_work_queue(config, stream.config, others=stream.limited_consumer_count)
    _check_partition(stream, config, "")
    if len(config.durable_name.encode()) > NAME_BYTES_MAX:
        raise ApiError(ErrorCode.CONSUMER_NAME_TOO_LONG, max=NAME_BYTES_MAX)
    if len(config.name.encode()) > NAME_BYTES_MAX:
        # nats-server fails to make a folder of that name.
        raise ApiError(ErrorCode.CONSUMER_CREATE, err="error creating store for consumer")
    name = config.durable_name or config.name or _new_name(api, stream)
    _propose_create(api, request, stream, name, with_ephemeral_threshold(config), now_ns)


def restored_config(
    api: ApiCore, stream: Stream, name: str, config: ConsumerConfig
) -> ConsumerConfig:
    """What a consumer of a backup is restored with. Raises ApiError."""
    config = msgspec.structs.replace(config, name=config.name or name)
    config.metadata = stored_metadata(config.metadata, config.required_api_level)
    limits = stream.account.limits_of(stream.config.num_replicas)
    rules = ConsumerRules(stream.config, api.options.limits, limits, pedantic=False)
    config = normalise(config, rules)
    _check_count(api, stream)
    if not is_valid_name(name) or len(name.encode()) > NAME_BYTES_MAX or name in stream.consumers:
        raise ApiError(ErrorCode.CONSUMER_CREATE, err=f"invalid consumer name '{name}'")
    return with_ephemeral_threshold(config)


def _check_count(api: ApiCore, stream: Stream) -> None:
    """The smaller of the stream's and the account's limit counts, without either the server's own:
    a stream that says "unlimited" is under that as well (C-056).
    """
    of_account = stream.account.limits_of(stream.config.num_replicas)
    limits = (stream.config.max_consumers, of_account.max_consumers)
    of_server = api.options.limits.default_max_consumers
    limit = min((limit for limit in limits if limit > 0), default=of_server)
    if 0 < limit <= stream.limited_consumer_count:
        raise ApiError(ErrorCode.MAXIMUM_CONSUMERS_LIMIT)


def _check_partition(stream: Stream, config: ConsumerConfig, name: str) -> None:
    """No two consumers of a work queue may want the same message (C-055)."""
    if stream.config.retention is not Retention.WORK_QUEUE or config.is_internal:
        return
    for other in stream.consumers_overlapping(config.filters):
        if other.name != name and not other.config.is_internal:
            raise ApiError(ErrorCode.CONSUMER_WQ_CONSUMER_NOT_UNIQUE)


def _new_name(api: ApiCore, stream: Stream) -> str:
    while (name := api.ids.consumer_name()) in stream.consumers:
        pass
    return name


def _propose_create(
    api: ApiCore, request: Request, stream: Stream, name: str, config: ConsumerConfig, now_ns: int
) -> None:
    consumer = Consumer(stream, 0, name, config, now_ns)

    def done(_: int, done_ns: int) -> None:
        consumer.token = 0
        api.answer_when_counted(request, consumer, lambda: answer(done_ns))

    def answer(done_ns: int) -> None:
        state = api.consumer_state(consumer)
        api.advisories.consumer_action(consumer, "create", done_ns)
        shown = shown_config(consumer.committed_config, api.options.server_version)
        fields = consumer_info(consumer, state, shown, done_ns)
        api.answer(request, fields, done_ns, identity_header(consumer))
        api.kernel.start_consumer(consumer.stream.id, consumer.id)
        if pause_remaining_ns(config, done_ns) > 0:
            api.advisories.consumer_pause(consumer, done_ns)
            api.watch_pause(consumer)

    token = api.token(request, done)
    consumer.token = token
    consumer.id = api.kernel.propose_consumer_create(
        token,
        stream.id,
        name.encode(),
        describe_consumer(name, config, now_ns),
        config.to_spec(memory_stream=stream.config.is_memory),
    )
    stream.add_consumer(consumer)


def _update(
    api: ApiCore, request: Request, consumer: Consumer, config: ConsumerConfig, action: Action
) -> None:
    old = consumer.config
    if action is Action.CREATE:
        metadata = comparable_metadata(config.metadata, old.metadata)
        config = msgspec.structs.replace(config, metadata=metadata)
        if config != old:
            raise ApiError(ErrorCode.CONSUMER_ALREADY_EXISTS)
    _check_partition(consumer.stream, config, consumer.name)
    deliver = old.deliver_subject.encode()
    bound = bool(deliver) and api.kernel.interest(request.account.id, deliver) > 0
    check_update(old, config, deliver_interest=bound)

    updated = with_ephemeral_threshold(config)

    def done(_: int, done_ns: int) -> None:
        consumer.update_committed(updated)
        api.answer_when_counted(request, consumer, lambda: answer(done_ns))

    def answer(done_ns: int) -> None:
        shown = shown_config(consumer.committed_config, api.options.server_version)
        fields = consumer_info(consumer, api.consumer_state(consumer), shown, done_ns)
        api.answer(request, fields, done_ns, identity_header(consumer))
        api.kernel.start_consumer(consumer.stream.id, consumer.id)

    propose_update(api, api.token(request, done), consumer, updated)


def propose_update(api: ApiCore, token: int, consumer: Consumer, config: ConsumerConfig) -> None:
    stream = consumer.stream
    api.kernel.propose_consumer_update(
        token,
        stream.id,
        consumer.id,
        describe_consumer(consumer.name, config, consumer.created_ns),
        config.to_spec(memory_stream=stream.config.is_memory),
    )
    stream.update_consumer(consumer, config)


def delete(api: ApiCore, request: Request, now_ns: int) -> None:
    refuse_body(request)
    consumer = _consumer_to_change(api, request)

    def done(_: int, done_ns: int) -> None:
        api.advisories.consumer_action(consumer, "delete", done_ns)
        api.answer(request, {"success": True}, done_ns)

    api.kernel.propose_consumer_delete(api.token(request, done), consumer.stream.id, consumer.id)
    consumer.stream.remove_consumer(consumer)


def delete_inactive(api: ApiCore, consumer: Consumer) -> None:
    """The kernel says that nobody used it for its inactive_threshold (C-108)."""

    def done(_: int, done_ns: int) -> None:
        api.advisories.consumer_action(consumer, "delete", done_ns)

    if api.failure:
        return
    stream = consumer.stream
    token = api.token(None, done, [Scope(stream.account.id, stream.name)])
    try:
        api.kernel.propose_consumer_delete(token, stream.id, consumer.id)
    except StoreError:
        api.forget_tokens(token)  # it stays until the kernel says so again, which it does
        return
    stream.remove_consumer(consumer)


def info(api: ApiCore, request: Request, now_ns: int) -> Iterator[None] | None:
    refuse_body(request)
    api.require_level(request)
    stream_name, name = request.words
    consumer = api.stream(request, stream_name).find_consumer(name)
    if consumer is None:
        raise ApiError(ErrorCode.CONSUMER_NOT_FOUND)

    def answer() -> None:
        shown = shown_config(consumer.committed_config, api.options.server_version)
        fields = consumer_info(consumer, api.consumer_state(consumer), shown, now_ns)
        api.answer(request, fields, now_ns)

    return api.when_counted(consumer, answer)


def names(api: ApiCore, request: Request, now_ns: int) -> None:
    wanted = read_optional(api, request, ConsumersRequest)
    present = api.stream(request, request.words[0]).consumer_names()
    offset = min(max(wanted.offset, 0), len(present))
    fields = {
        "total": len(present),
        "offset": offset,
        "limit": NAMES_PER_PAGE,
        "consumers": present[offset : offset + NAMES_PER_PAGE],
    }
    api.answer(request, fields, now_ns)


def list_(api: ApiCore, request: Request, now_ns: int) -> Iterator[None]:
    wanted = read_optional(api, request, ConsumersRequest)
    stream = api.stream(request, request.words[0])
    present = stream.consumer_names()
    offset = min(max(wanted.offset, 0), len(present))
    page = present[offset : offset + CONSUMERS_PER_PAGE]
    parts: list[bytes] = []
    for start in range(0, len(page), CONSUMERS_PER_SLICE):
        names = page[start : start + CONSUMERS_PER_SLICE]
        for consumer in filter(None, map(stream.find_consumer, names)):
            yield from api.counted(consumer)
        found = filter(None, map(stream.find_consumer, names))
        entries = [list_entry(api, consumer, now_ns) for consumer in found]
        if entries:  # else all deleted since the list was begun
            parts.append(encode(entries)[1:-1])
        yield
    fields = {
        "total": len(present),
        "offset": offset,
        "limit": CONSUMERS_PER_PAGE,
        "consumers": msgspec.Raw(b"[" + b",".join(parts) + b"]"),
    }
    api.answer(request, fields, now_ns)


def list_entry(api: ApiCore, consumer: Consumer, now_ns: int) -> dict[str, Any]:
    return consumer_info(consumer, api.consumer_state(consumer), consumer.config_json, now_ns)


def pause(api: ApiCore, request: Request, now_ns: int) -> None:
    """Until a time; without one, or with one that has passed, it resumes (C-009, C-141)."""
    wanted = read_optional(api, request, PauseRequest)
    api.require_level(request)
    consumer = _consumer_to_change(api, request)
    until = wanted.pause_until.in_utc()
    config = msgspec.structs.replace(consumer.config, pause_until=None if until.is_zero else until)
    config.metadata = stored_metadata(config.metadata, config.required_api_level)
    changed = config.pause_until != consumer.config.pause_until

    def done(_: int, done_ns: int) -> None:
        consumer.update_committed(config)
        remaining_ns = pause_remaining_ns(config, done_ns)
        if changed:
            api.advisories.consumer_pause(consumer, done_ns)
        if remaining_ns > 0:
            api.watch_pause(consumer)
        fields: dict[str, Any] = {"paused": remaining_ns > 0, "pause_until": str(until)}
        if remaining_ns > 0:
            fields["pause_remaining"] = remaining_ns
        api.answer(request, fields, done_ns)
        api.kernel.start_consumer(consumer.stream.id, consumer.id)

    propose_update(api, api.token(request, done), consumer, config)


def _consumer_to_change(api: ApiCore, request: Request) -> Consumer:
    stream_name, name = request.words
    consumer = api.stream_to_change(request, stream_name).consumers.get(name)
    if consumer is None:
        raise ApiError(ErrorCode.CONSUMER_NOT_FOUND)
    return consumer
