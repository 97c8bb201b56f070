"""How the origin of a mirror or a source is addressed: its index name, the consumer that is asked
for, the subjects of requests and deliveries (S-184, S-186, S-190, S-193).

Everything here is what an origin behind an external prefix sees too, so it is nats-server's to the
letter.
"""

from __future__ import annotations

from typing import NamedTuple

from slipstream.gotext.times import Timestamp
from slipstream.jetstream.consumer_config import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
)
from slipstream.jetstream.stream_config import StreamConfig, StreamSource
from slipstream.protocol.short_hash import short_hash

API_PREFIX = "$JS.API"
HEARTBEAT_NS = 1_000_000_000
SILENCE_MAX_NS = 10_000_000_000
_ACK_WAIT_NS = 22 * 3_600 * 1_000_000_000
_TRANSFORMS_BETWEEN = "\f"


def index_name(source: StreamSource) -> str:
    """What distinguishes sources of one stream, and stands in the header of what they bring."""
    filters = [source.filter_subject or ">"]
    destinations = [">"]
    if source.subject_transforms:
        filters = [transform.source or ">" for transform in source.subject_transforms]
        destinations = [transform.destination or ">" for transform in source.subject_transforms]
    name = _qualified_name(source)
    if source.consumer is not None:
        name += ":C=" + short_hash(source.consumer.name)
    return f"{name} {_TRANSFORMS_BETWEEN.join(filters)} {_TRANSFORMS_BETWEEN.join(destinations)}"


def durable_index_name(source: StreamSource) -> str:
    """What must be unique among sources that use a consumer of their own choice."""
    return f"{_qualified_name(source)} {source.consumer.name if source.consumer else ''}"


def _qualified_name(source: StreamSource) -> str:
    """The same name may stand for streams of several domains."""
    if source.external is None:
        return source.name
    return f"{source.name}:{short_hash(source.external.api_prefix)}"


class Side(NamedTuple):
    """Whose mirror or source it is: the stream's name, its account and domain."""

    stream: str
    account: str
    domain: str

    def metadata(self, kind: str) -> dict[str, str]:
        """`kind`: mirror or src."""
        found = {f"_nats.{kind}.stream": self.stream, f"_nats.{kind}.acc": self.account}
        if self.domain:
            found[f"_nats.{kind}.domain"] = self.domain
        return found

    def stable_hash(self) -> str:
        words = [self.stream, self.account] + ([self.domain] if self.domain else [])
        return short_hash(" ".join(words))


def mirror_consumer_name(side: Side) -> str:
    return f"JS_MIRROR_{side.stable_hash()}"


def source_consumer_name(side: Side, source: StreamSource, *, one_of_several: bool) -> str:
    """Several sources of one origin need several names."""
    text = side.stable_hash()
    if one_of_several:
        text = f"{text} {index_name(source)}"
    return f"JS_SRC_{short_hash(text)}"


class Start(NamedTuple):
    """Where an origin is to begin: at a sequence, at a time, or with everything (0)."""

    seq: int = 0
    time: Timestamp | None = None


def mirror_start(mirror: StreamSource, last_seq: int, *, used: bool) -> Start:
    """`used`: the mirror holds or held something; what the configuration says is for a new one."""
    if used:
        return Start(last_seq + 1)
    if mirror.opt_start_seq > 0:
        return Start(mirror.opt_start_seq)
    return Start(0, mirror.opt_start_time)


def source_start(source: StreamSource, position: int) -> Start:
    """The position is in the log, so that 0 means that nothing ever came from this source."""
    if position > 0:
        return Start(position + 1)
    if source.opt_start_seq > 0:
        return Start(source.opt_start_seq)
    return Start(0, source.opt_start_time)


def consumer_config(
    source: StreamSource, name: str, deliver_subject: str, start: Start, metadata: dict[str, str]
) -> ConsumerConfig:
    config = ConsumerConfig(
        name=name,
        deliver_subject=deliver_subject,
        ack_policy=AckPolicy.NONE,
        ack_wait_ns=_ACK_WAIT_NS,
        max_deliver=1,
        idle_heartbeat_ns=HEARTBEAT_NS,
        flow_control=True,
        direct=True,
        sourcing=True,
        inactive_threshold_ns=SILENCE_MAX_NS,
        metadata=metadata,
        filter_subject=source.filter_subject,
        filter_subjects=[transform.source for transform in source.subject_transforms],
    )
    if start.time is not None:
        config.deliver_policy, config.opt_start_time = DeliverPolicy.BY_START_TIME, start.time
    elif start.seq > 0:
        config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, start.seq
    if len(config.filter_subjects) == 1 and not config.filter_subject:
        # The extended form of the request names a single filter in its subject.
        config.filter_subject, config.filter_subjects = config.filter_subjects[0], []
    return config


def create_subject(source: StreamSource, config: ConsumerConfig) -> str:
    subject = f"{API_PREFIX}.CONSUMER.CREATE.{source.name}"
    if config.filter_subject:
        subject += f".{config.name}.{config.filter_subject}"
    return _through_prefix(source, subject)


def reset_subject(source: StreamSource) -> str:
    assert source.consumer is not None
    return _through_prefix(
        source, f"{API_PREFIX}.CONSUMER.RESET.{source.name}.{source.consumer.name}"
    )


def delete_subject(source: StreamSource, consumer: str) -> str:
    return _through_prefix(source, f"{API_PREFIX}.CONSUMER.DELETE.{source.name}.{consumer}")


def _through_prefix(source: StreamSource, subject: str) -> str:
    if source.external is None:
        return subject
    return subject.replace(API_PREFIX, source.external.api_prefix, 1).replace("..", ".")


def deliver_subject(source: StreamSource, letter: str, suffix: str) -> str:
    """`letter`: M for mirrors, S for sources."""
    if source.external is not None and source.external.deliver_prefix:
        return f"{source.external.deliver_prefix}.{letter}.{suffix}".replace("..", ".")
    return f"$JS.{letter}.{suffix}"


def sources_of(config: StreamConfig) -> list[StreamSource]:
    """A stored configuration has no null among its sources."""
    return [source for source in config.sources if source is not None]
