"""Goal: what a later version stored is not served as if its features were not there.

Method: the API recovers from records as the kernel hands them over.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from conversation import Conversation
from slipstream.jetstream.api_level import API_LEVEL, LevelError
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.jetstream.descriptions import describe_consumer, describe_stream
from slipstream.jetstream.stream_config import StreamConfig


def recovered(stream_level: int, consumer_level: int) -> object:
    talk = Conversation()
    config = StreamConfig(name="S", metadata={"_nats.req.level": str(stream_level)})
    description = describe_stream(config, 1)
    record = SimpleNamespace(account=b"$G", stream=1, description=description, offline="")
    known = ConsumerConfig(name="C", metadata={"_nats.req.level": str(consumer_level)})
    found = SimpleNamespace(consumer=1, description=describe_consumer("C", known, 1))
    talk.kernel.consumers = lambda stream: [found]
    talk.api.recover([record])
    return talk.request("STREAM.NAMES")["streams"]


def test_levels_that_this_version_has() -> None:
    assert recovered(API_LEVEL, 0) == ["S"]


def test_a_stream_of_a_later_version() -> None:  # S-245, decided otherwise
    with pytest.raises(LevelError, match='stream "S" needs JetStream API level 6'):
        recovered(API_LEVEL + 1, 0)


def test_a_consumer_of_a_later_version() -> None:
    with pytest.raises(LevelError, match='consumer "C" of stream "S" needs JetStream API level 6'):
        recovered(0, API_LEVEL + 1)
