"""Verbs of nats-server that are answered with an error here: what needs a cluster, and what is not
built yet.

They still check what nats-server checks first, so that a wrong request gets the error that it
deserves.
"""

from __future__ import annotations

from slipstream.jetstream.api.core import ApiCore, Request
from slipstream.jetstream.json.decode import is_empty_request
from slipstream.protocol.errors import ApiError, ErrorCode


def needs_cluster(api: ApiCore, request: Request, now_ns: int) -> None:
    raise ApiError(ErrorCode.CLUSTER_REQUIRED)


def snapshot(api: ApiCore, request: Request, now_ns: int) -> None:
    if is_empty_request(request.body):
        raise ApiError(ErrorCode.BAD_REQUEST)
    api.stream(request, request.words[0])
    raise ApiError(ErrorCode.STREAM_SNAPSHOT, err="snapshots are not supported yet")


def restore(api: ApiCore, request: Request, now_ns: int) -> None:
    if is_empty_request(request.body):
        raise ApiError(ErrorCode.BAD_REQUEST)
    raise ApiError(ErrorCode.STREAM_RESTORE, err="restoring a stream is not supported yet")
