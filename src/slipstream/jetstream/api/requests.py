"""The bodies of requests, besides the configurations."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from slipstream.gotext.decode import DecodeError, decode, is_empty_request, looks_like_json
from slipstream.gotext.objects import INT, OMITEMPTY, UINT64, GoStruct, Name
from slipstream.gotext.times import ZERO, Timestamp
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore
from slipstream.protocol.errors import ApiError, ErrorCode

T = TypeVar("T", bound=GoStruct)


class StreamsRequest(GoStruct):
    go_type = "JSApiStreamListRequest"

    offset: Annotated[int, INT] = 0
    subject: Annotated[str, OMITEMPTY] = ""


class StreamNamesRequest(StreamsRequest):
    go_type = "JSApiStreamNamesRequest"


class StreamInfoRequest(GoStruct):
    go_type = "JSApiStreamInfoRequest"

    offset: Annotated[int, INT] = 0
    deleted_details: Annotated[bool, OMITEMPTY] = False
    subjects_filter: Annotated[str, OMITEMPTY] = ""


class PurgeRequest(GoStruct):
    go_type = "JSApiStreamPurgeRequest"

    seq: Annotated[int, UINT64, OMITEMPTY] = 0
    subject_filter: Annotated[str, Name("filter"), OMITEMPTY] = ""
    keep: Annotated[int, UINT64, OMITEMPTY] = 0


class MessageDeleteRequest(GoStruct):
    go_type = "JSApiMsgDeleteRequest"

    seq: Annotated[int, UINT64] = 0
    no_erase: Annotated[bool, OMITEMPTY] = False


class MessageGetRequest(GoStruct):
    go_type = "JSApiMsgGetRequest"

    seq: Annotated[int, UINT64, OMITEMPTY] = 0
    last_by_subj: Annotated[str, OMITEMPTY] = ""
    next_by_subj: Annotated[str, OMITEMPTY] = ""
    batch: Annotated[int, INT, OMITEMPTY] = 0
    max_bytes: Annotated[int, INT, OMITEMPTY] = 0
    start_time: Annotated[Timestamp | None, OMITEMPTY] = None
    multi_last: Annotated[list[str], OMITEMPTY] = msgspec.field(default_factory=list)
    up_to_seq: Annotated[int, UINT64, OMITEMPTY] = 0
    up_to_time: Annotated[Timestamp | None, OMITEMPTY] = None
    no_hdr: Annotated[bool, OMITEMPTY] = False


class ConsumersRequest(GoStruct):
    go_type = "JSApiConsumersRequest"

    offset: Annotated[int, INT] = 0


class PauseRequest(GoStruct):
    go_type = "JSApiConsumerPauseRequest"

    pause_until: Annotated[Timestamp, OMITEMPTY] = ZERO


def read(api: ApiCore, request: Request, struct: type[T]) -> T:
    try:
        return decode(request.body, struct, strict=api.options.strict)
    except DecodeError as error:
        raise ApiError(ErrorCode.INVALID_JSON, err=error) from None


def read_optional(api: ApiCore, request: Request, struct: type[T]) -> T:
    """What does not start like JSON counts as no body at all (S-099)."""
    return read(api, request, struct) if looks_like_json(request.body) else struct()


def read_required(api: ApiCore, request: Request, struct: type[T]) -> T:
    if is_empty_request(request.body):
        raise ApiError(ErrorCode.BAD_REQUEST)
    return read(api, request, struct)


def refuse_body(request: Request) -> None:
    if not is_empty_request(request.body):
        raise ApiError(ErrorCode.NOT_EMPTY_REQUEST)
