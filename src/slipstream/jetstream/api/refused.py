"""Verbs of nats-server that are answered with an error here: what needs a cluster."""

from __future__ import annotations

from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore
from slipstream.protocol.errors import ApiError, ErrorCode


def needs_cluster(api: ApiCore, request: Request, now_ns: int) -> None:
    raise ApiError(ErrorCode.CLUSTER_REQUIRED)
