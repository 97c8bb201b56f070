"""Verbs of nats-server that are answered with an error here: what needs a cluster, and what is not
built yet.

They still check what nats-server checks first, so that a wrong request gets the error that it
deserves.
"""

from __future__ import annotations

from slipstream.jetstream.api.core import ApiCore, Request
from slipstream.jetstream.consumer_rules import is_valid_group_name
from slipstream.jetstream.json.decode import DecodeError, decode
from slipstream.jetstream.json.objects import GoStruct
from slipstream.protocol.errors import ApiError, ErrorCode


class UnpinRequest(GoStruct):
    go_type = "JSApiConsumerUnpinRequest"

    group: str = ""


def needs_cluster(api: ApiCore, request: Request, now_ns: int) -> None:
    raise ApiError(ErrorCode.CLUSTER_REQUIRED)


def unpin(api: ApiCore, request: Request, now_ns: int) -> None:
    """Correct as long as no consumer has priority groups (C-010)."""
    try:
        if not request.body:
            raise DecodeError("unexpected end of JSON input")
        wanted = decode(request.body, UnpinRequest, strict=False)
        if not wanted.group:
            raise DecodeError("consumer group not specified")
    except DecodeError as error:
        raise ApiError(ErrorCode.INVALID_JSON, err=error) from None
    if not is_valid_group_name(wanted.group):
        raise ApiError(ErrorCode.CONSUMER_INVALID_GROUP_NAME)
    stream_name, name = request.words
    if api.stream(request, stream_name).find_consumer(name) is None:
        raise ApiError(ErrorCode.CONSUMER_NOT_FOUND)
    raise ApiError(ErrorCode.CONSUMER_INVALID_PRIORITY_GROUP)
