"""CONSUMER.RESET: a consumer starts again, behind what was acknowledged or at a sequence (C-011,
C-138).

In nats-server the consumer itself answers: nobody does for one that does not exist, requests
without a reply do nothing, and none is audited.
"""

from __future__ import annotations

from typing import Annotated

from slipstream.gotext.decode import DecodeError, decode_single
from slipstream.gotext.objects import UINT64, GoStruct
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.api.sourcing_consumers import asks_identity, stream_identity_header
from slipstream.jetstream.api.state import consumer_info, shown_config
from slipstream.jetstream.consumer_config import DeliverPolicy
from slipstream.jetstream.limits import SEQUENCE_MAX
from slipstream.jetstream.registry import Consumer
from slipstream.kernel.values import StoreError
from slipstream.protocol.errors import ApiError, ErrorCode


class ResetRequest(GoStruct):
    go_type = "JSApiConsumerResetRequest"

    seq: Annotated[int, UINT64] = 0


def reset(api: ApiCore, request: Request, now_ns: int) -> None:
    stream_name, name = request.words
    stream = request.account.find(stream_name)
    consumer = stream.find_consumer(name) if stream is not None else None
    if consumer is None or not request.reply:
        return
    try:
        api.require_level(request)
        seq = _wanted(request)
        if seq > 0:
            _check(api, consumer, seq)
        _propose(api, request, consumer, seq)
    except ApiError as error:
        _refuse(api, request, error)


def _wanted(request: Request) -> int:
    """0: behind the ack floor."""
    if not request.body:
        return 0
    try:
        return decode_single(request.body, ResetRequest).seq
    except DecodeError as error:
        raise ApiError(ErrorCode.INVALID_JSON, err=error) from None


def _check(api: ApiCore, consumer: Consumer, seq: int) -> None:
    """Not before what the consumer was made for, and not beyond all streams."""
    if seq > SEQUENCE_MAX:
        raise ApiError(
            ErrorCode.CONSUMER_INVALID_RESET,
            err=f"sequence is too large, maximum is {SEQUENCE_MAX}",
        )
    config = consumer.config
    if config.deliver_policy is DeliverPolicy.ALL:
        return
    if config.deliver_policy is DeliverPolicy.BY_START_SEQUENCE:
        if seq < config.opt_start_seq:
            raise ApiError(ErrorCode.CONSUMER_INVALID_RESET, err="below start seq")
        return
    if config.deliver_policy is DeliverPolicy.BY_START_TIME:
        assert config.opt_start_time is not None, "not normalised"
        if seq < api.kernel.first_at_or_after(consumer.stream.id, config.opt_start_time.unix_ns):
            raise ApiError(ErrorCode.CONSUMER_INVALID_RESET, err="below start time")
        return
    raise ApiError(ErrorCode.CONSUMER_INVALID_RESET, err="not allowed")


def _propose(api: ApiCore, request: Request, consumer: Consumer, seq: int) -> None:
    def done(reset_seq: int, done_ns: int) -> None:
        api.answer_when_counted(request, consumer, lambda: answer(reset_seq, done_ns))

    def answer(reset_seq: int, done_ns: int) -> None:
        try:
            state = api.consumer_state(consumer)
        except ApiError:
            return  # deleted meanwhile: nobody answers for it any more
        shown = shown_config(consumer.committed_config, api.options.server_version)
        fields = consumer_info(consumer, state, shown, done_ns) | {"reset_seq": reset_seq}
        header = stream_identity_header(consumer.stream) if asks_identity(request) else b""
        api.answer_unaudited(request, fields, header)
        api.kernel.start_consumer(consumer.stream.id, consumer.id)  # it delivers after the answer

    token = api.token(request, done)
    try:
        api.kernel.propose_consumer_reset(token, consumer.stream.id, consumer.id, seq)
    except StoreError as error:
        api.forget_tokens(token)
        raise ApiError(ErrorCode.STREAM_STORE_FAILED, err=error) from None


def _refuse(api: ApiCore, request: Request, error: ApiError) -> None:
    fields = {"error": error.to_json_object()} | dict(request.on_error)
    api.answer_unaudited(request, fields)
