"""Goal: the small rules that no single request shows: what a configuration
compiles to, idempotence of the defaults.

Method: tables, and properties over random configurations.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slipstream.jetstream.consumer_config import AckPolicy, ConsumerConfig, DeliverPolicy
from slipstream.jetstream.consumer_rules import ConsumerRules
from slipstream.jetstream.consumer_rules import normalise as normalise_consumer
from slipstream.jetstream.descriptions import (
    describe_consumer,
    describe_stream,
    read_consumer,
    read_stream,
)
from slipstream.jetstream.limits import AccountLimits, ServerLimits
from slipstream.jetstream.stream_config import Discard, Storage, StreamConfig
from slipstream.jetstream.stream_rules import StreamRules, normalise
from slipstream.kernel.specs import ConsumerSpec, StreamSpec
from slipstream.protocol.errors import ApiError

SERVER = ServerLimits(2**40, 2**40)
RULES = StreamRules(SERVER, AccountLimits())


_configs = st.builds(
    StreamConfig,
    name=st.just("S"),
    subjects=st.sampled_from([[], ["a"], ["a.>", "b.*"]]),
    max_msgs=st.integers(-2, 5),
    max_bytes=st.integers(-2, 5),
    max_age_ns=st.sampled_from([0, 10**8, 10**9, 10**12]),
    max_msgs_per_subject=st.integers(-1, 2),
    discard=st.sampled_from(Discard),
    discard_new_per_subject=st.booleans(),
    storage=st.sampled_from(Storage),
    num_replicas=st.integers(0, 1),
    metadata=st.just({"_nats.req.level": "0"}),
)


@given(_configs)
def test_normalised_configuration_is_a_fixed_point(config: StreamConfig) -> None:
    try:
        once = normalise(config, RULES)
    except ApiError:
        return
    assert normalise(once, RULES) == once
    assert read_stream(describe_stream(once, 7)).config == once
    assert set(once.to_spec()) == set(StreamSpec.__annotations__)


@given(
    st.builds(
        ConsumerConfig,
        durable_name=st.sampled_from(["", "C"]),
        ack_policy=st.sampled_from([AckPolicy.NONE, AckPolicy.ALL, AckPolicy.EXPLICIT]),
        deliver_policy=st.sampled_from(DeliverPolicy),
        opt_start_seq=st.integers(0, 1),
        filter_subjects=st.sampled_from([[], ["a"], ["a", "b.>"]]),
        max_deliver=st.integers(-2, 3),
        backoff_ns=st.lists(st.integers(0, 9), max_size=3),
        deliver_subject=st.sampled_from(["", "d"]),
        metadata=st.just({"_nats.req.level": "0"}),
    )
)
def test_normalised_consumer_is_a_fixed_point(config: ConsumerConfig) -> None:
    stream = normalise(StreamConfig(name="S", subjects=["s.>"]), RULES)
    rules = ConsumerRules(stream, SERVER, AccountLimits())
    try:
        once = normalise_consumer(config, rules)
    except ApiError:
        return
    assert normalise_consumer(once, rules) == once
    assert read_consumer(describe_consumer("C", once, 7)).config == once
    spec = once.to_spec(memory_stream=False)
    assert set(spec) == set(ConsumerSpec.__annotations__)


def test_consumer_of_a_memory_stream_is_in_memory() -> None:
    stream = normalise(StreamConfig(name="S", storage=Storage.MEMORY), RULES)
    config = normalise_consumer(
        ConsumerConfig(durable_name="C"), ConsumerRules(stream, SERVER, AccountLimits())
    )
    assert config.to_spec(memory_stream=stream.is_memory)["memory"] is True
    assert config.mem_storage is False
