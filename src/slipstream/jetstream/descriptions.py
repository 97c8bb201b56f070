"""What the log keeps of a stream or consumer beside the kernel's spec: its configuration as clients
see it, and when it was made.

JSON, read with tolerance for unknown fields, so that an older server can read what a newer one
wrote, as far as its API level allows.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from slipstream.gotext.decode import decode
from slipstream.gotext.encode import encode
from slipstream.gotext.objects import GoStruct, Integer, to_json
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.jetstream.stream_config import StreamConfig

# Wider than what is written: a version that restored streams whose files claimed the year 9999
# wrote such a time down.
CREATED = Integer("int64", -(10**21), 10**21)


class StreamDescription(GoStruct):
    go_type = "StreamDescription"

    config: StreamConfig = msgspec.field(default_factory=StreamConfig)
    created_ns: Annotated[int, CREATED] = 0


class ConsumerDescription(GoStruct):
    go_type = "ConsumerDescription"

    # The name stands beside the configuration because a configuration may come without one.
    name: str = ""
    config: ConsumerConfig = msgspec.field(default_factory=ConsumerConfig)
    created_ns: Annotated[int, CREATED] = 0


def describe_stream(config: StreamConfig, created_ns: int) -> bytes:
    return encode(to_json(StreamDescription(config=config, created_ns=created_ns)))


def describe_consumer(name: str, config: ConsumerConfig, created_ns: int) -> bytes:
    return encode(to_json(ConsumerDescription(name=name, config=config, created_ns=created_ns)))


def read_stream(text: bytes) -> StreamDescription:
    """Raises json.decode.DecodeError."""
    return decode(text, StreamDescription, strict=False)


def read_consumer(text: bytes) -> ConsumerDescription:
    """Raises json.decode.DecodeError."""
    return decode(text, ConsumerDescription, strict=False)
