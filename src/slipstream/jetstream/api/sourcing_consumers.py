"""Consumers that serve a mirror or a source of another stream: how their creation differs (C-018,
C-047).

A direct one is ephemeral and shown in no list. On a work queue or interest stream, where messages
must not go before they were copied, a direct sourcing one becomes durable and is acknowledged by
flow control. The stream's identity tells the copying side that the origin was deleted and made
anew.
"""

from __future__ import annotations

from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore
from slipstream.jetstream.consumer_config import AckPolicy, ConsumerConfig
from slipstream.jetstream.headers import header_value
from slipstream.jetstream.registry import Consumer, Stream
from slipstream.jetstream.stream_config import Retention
from slipstream.protocol.errors import ApiError, ErrorCode

_IDENTITY_HEADER = "Nats-Stream-Identity"


def serve_sourcing(api: ApiCore, request: Request, stream: Stream, config: ConsumerConfig) -> None:
    """Rewrites `config` in place. Raises ApiError if the sender expects another stream."""
    if config.direct and config.sourcing and config.name:
        if stream.config.retention is Retention.LIMITS:
            # The other side always asks for the same name, before the consumer from its earlier
            # try is gone.
            config.name = f"{config.name}-{api.ids.consumer_name()}"
        else:
            config.direct = False
            config.durable_name = config.name
            config.ack_policy = AckPolicy.FLOW_CONTROL
            config.ack_wait_ns = config.max_deliver = config.inactive_threshold_ns = 0
    if config.is_internal:
        expected = header_value(request.header, _IDENTITY_HEADER.encode())
        if expected and expected.decode("utf-8", "replace") != stream.identity:
            raise ApiError(ErrorCode.CONSUMER_STREAM_IDENTITY_MISMATCH, msg=stream.identity)


def keep_start(config: ConsumerConfig, existing: ConsumerConfig) -> None:
    """A durable sourcing consumer goes on at its ack floor, whatever the request says."""
    config.deliver_policy = existing.deliver_policy
    config.opt_start_seq = existing.opt_start_seq
    config.opt_start_time = existing.opt_start_time


def identity_header(consumer: Consumer) -> bytes:
    """Of the answer to a creation; empty for consumers of clients."""
    return stream_identity_header(consumer.stream) if consumer.config.is_internal else b""


def stream_identity_header(stream: Stream) -> bytes:
    return f"NATS/1.0\r\n{_IDENTITY_HEADER}: {stream.identity}\r\n\r\n".encode()


def asks_identity(request: Request) -> bool:
    return bool(header_value(request.header, _IDENTITY_HEADER.encode()))
