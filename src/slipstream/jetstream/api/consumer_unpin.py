"""CONSUMER.UNPIN: the client to which a consumer is pinned loses its pin (C-010, C-097)."""

from __future__ import annotations

from slipstream.gotext.decode import DecodeError, decode_single
from slipstream.gotext.objects import GoStruct
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.consumer_rules import is_valid_group_name
from slipstream.protocol.errors import ApiError, ErrorCode


class UnpinRequest(GoStruct):
    go_type = "JSApiConsumerUnpinRequest"

    group: str = ""


def unpin(api: ApiCore, request: Request, now_ns: int) -> None:
    group = _wanted(request)
    stream_name, name = request.words
    consumer = api.stream(request, stream_name).find_consumer(name)
    if consumer is None:
        raise ApiError(ErrorCode.CONSUMER_NOT_FOUND)
    if group not in consumer.config.priority_groups:
        raise ApiError(ErrorCode.CONSUMER_INVALID_PRIORITY_GROUP)
    try:
        api.kernel.unpin_consumer(consumer.stream.id, consumer.id)
    except KeyError:  # deleted in the kernel, its commit not seen yet
        raise ApiError(ErrorCode.CONSUMER_NOT_FOUND) from None
    api.advisories.consumer_unpinned(consumer, group, "admin", now_ns)
    api.answer(request, {}, now_ns)


def _wanted(request: Request) -> str:
    try:
        group = decode_single(request.body, UnpinRequest).group
        if not group:
            raise DecodeError("consumer group not specified")
    except DecodeError as error:
        raise ApiError(ErrorCode.INVALID_JSON, err=error) from None
    if not is_valid_group_name(group):
        raise ApiError(ErrorCode.CONSUMER_INVALID_GROUP_NAME)
    return group
