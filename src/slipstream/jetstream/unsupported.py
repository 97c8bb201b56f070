"""What nats-server has and this server does not have yet, refused by name.

Each entry goes when the feature comes. A configuration that asks for one is answered with an error
that says so; accepting and ignoring it would lose messages or guarantees silently.
"""

from __future__ import annotations

from slipstream.jetstream.stream_config import Compression, StreamConfig
from slipstream.protocol.errors import ApiError, ErrorCode


def refuse_unsupported_stream(config: StreamConfig) -> None:
    asked = ((config.compression is Compression.S2, "s2 compression is"),)
    for wanted, what in asked:
        if wanted:
            raise ApiError(ErrorCode.STREAM_INVALID_CONFIG, err=f"{what} not supported yet")
