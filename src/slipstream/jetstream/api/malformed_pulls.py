"""What is wrong with the JSON of a pull request. The kernel answers pulls and hands on what it
cannot read; here it is said in Go's words (C-067).
"""

from __future__ import annotations

from typing import Annotated

from slipstream.gotext.decode import DecodeError, decode_single
from slipstream.gotext.objects import DURATION, INT, INT64, GoStruct, Name
from slipstream.jetstream.api.api_request import Request
from slipstream.jetstream.api.core import ApiCore


class PullRequest(GoStruct):
    go_type = ""

    expires_ns: Annotated[int, DURATION, Name("expires")] = 0
    batch: Annotated[int, INT] = 0
    max_bytes: Annotated[int, INT] = 0
    no_wait: bool = False
    idle_heartbeat_ns: Annotated[int, DURATION, Name("idle_heartbeat")] = 0
    group: str = ""
    min_pending: Annotated[int, INT64] = 0
    min_ack_pending: Annotated[int, INT64] = 0
    id: str = ""
    priority: Annotated[int, INT] = 0


def refuse(api: ApiCore, request: Request, now_ns: int) -> None:
    try:
        decode_single(request.body, PullRequest)
        complaint = "the request cannot be read"  # by the kernel, which is stricter than Go
    except DecodeError as error:
        complaint = str(error)
    status = f"NATS/1.0 400 Bad Request - {complaint}\r\n\r\n".encode()
    api.kernel.publish(request.account.id, request.reply, b"", status, b"")
