"""STREAM.MSG.GET and STREAM.MSG.DELETE (S-079, S-080, S-103, S-104)."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from slipstream.gotext.times import format_time
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.api.requests import (
    MessageDeleteRequest,
    MessageGetRequest,
    read_required,
)
from slipstream.jetstream.registry import Stream
from slipstream.kernel.values import DamagedMessage
from slipstream.protocol.errors import ApiError, ErrorCode

_SEQUENCE_MAX = 2**64 - 1


def get(api: ApiCore, request: Request, now_ns: int) -> None:
    wanted = read_required(api, request, MessageGetRequest)
    if wanted.batch > 0 or wanted.max_bytes > 0 or _contradictory(wanted):
        raise ApiError(ErrorCode.BAD_REQUEST)
    stream = api.stream(request, request.words[0])
    try:
        message = _find(api, stream, wanted)
    except DamagedMessage as damage:
        raise ApiError(ErrorCode.STREAM_GENERAL_ERROR, err=damage) from None
    if message is None:  # the kernel says what is applied: there is nothing to wait for
        api.refuse(request, ApiError(ErrorCode.NO_MESSAGE_FOUND), now_ns)
        return
    shown: dict[str, Any] = {"subject": message.subject.decode("utf-8", "replace")}
    shown["seq"] = message.seq
    if message.header and not wanted.no_hdr:
        shown["hdrs"] = b64encode(message.header).decode()
    if message.body:
        shown["data"] = b64encode(message.body).decode()
    shown["time"] = format_time(message.time_ns)
    api.answer_unaudited(request, {"message": shown})


def _contradictory(wanted: MessageGetRequest) -> bool:
    by_time = wanted.start_time is not None
    return (
        (wanted.seq > 0 and wanted.last_by_subj != "")
        or not (wanted.seq or wanted.last_by_subj or wanted.next_by_subj or by_time)
        or (wanted.seq > 0 and by_time)
        or (by_time and wanted.last_by_subj != "")
        or (wanted.last_by_subj != "" and wanted.next_by_subj != "")
    )


def _find(api: ApiCore, stream: Stream, wanted: MessageGetRequest) -> Any:
    kernel = api.kernel
    seq = wanted.seq
    if wanted.start_time is not None:
        time_ns = max(wanted.start_time.unix_ns, 0)
        seq = kernel.first_at_or_after(stream.id, time_ns)
    if wanted.next_by_subj:
        return kernel.get_next(stream.id, wanted.next_by_subj.encode(), seq)
    if seq > 0:
        return kernel.get_message(stream.id, seq)
    return kernel.get_last(stream.id, wanted.last_by_subj.encode())


def delete(api: ApiCore, request: Request, now_ns: int) -> None:
    wanted = read_required(api, request, MessageDeleteRequest)
    stream = api.stream_to_change(request, request.words[0])
    if stream.config.sealed:
        raise ApiError(ErrorCode.STREAM_SEALED)
    if stream.config.deny_delete:
        raise ApiError(ErrorCode.STREAM_MSG_DELETE_FAILED, err="message delete not permitted")

    def done(removed: int, done_ns: int) -> None:
        if removed:
            api.answer(request, {"success": True}, done_ns)
        else:
            api.fail_operation(request, _missing(api, stream, wanted.seq), done_ns)

    api.kernel.propose_delete(api.token(request, done), stream.id, wanted.seq, not wanted.no_erase)


def _missing(api: ApiCore, stream: Stream, seq: int) -> ApiError:
    """nats-server's file store has other words for what lies outside of its blocks (S-104)."""
    if not stream.config.is_memory and stream.account.find(stream.name) is stream:
        state = api.stream_state(stream)
        if seq > state.last_seq:
            return ApiError(ErrorCode.STREAM_MSG_DELETE_FAILED, err="stream store EOF")
        if seq < max(state.first_seq, 1):
            return ApiError(ErrorCode.STREAM_MSG_DELETE_FAILED, err="no message found")
    return ApiError(ErrorCode.SEQUENCE_NOT_FOUND, seq=seq)
