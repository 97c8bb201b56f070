"""A consumer's configuration: the object of the API and what it compiles to for the kernel
(C-019..C-054).

What is allowed is judged in consumer_rules.py; this file only says what there is.
"""

from __future__ import annotations

from typing import Annotated, Self

import msgspec

from slipstream.gotext.objects import (
    DURATION,
    INT,
    OMITEMPTY,
    UINT64,
    GoEnum,
    GoStruct,
    Name,
)
from slipstream.gotext.times import Timestamp
from slipstream.kernel import specs

_INT64_MAX = 2**63 - 1


class DeliverPolicy(GoEnum):
    ALL = "all"
    LAST = "last"
    NEW = "new"
    BY_START_SEQUENCE = "by_start_sequence"
    BY_START_TIME = "by_start_time"
    LAST_PER_SUBJECT = "last_per_subject"

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls("all") if text == '"undefined"' else super().from_json(text)


class AckPolicy(GoEnum):
    NONE = "none"
    ALL = "all"
    EXPLICIT = "explicit"
    FLOW_CONTROL = "flow_control"


class ReplayPolicy(GoEnum):
    INSTANT = "instant"
    ORIGINAL = "original"


class PriorityPolicy(GoEnum):
    NONE = "none"
    OVERFLOW = "overflow"
    PINNED_CLIENT = "pinned_client"
    PRIORITIZED = "prioritized"

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            return super().from_json(text)
        except ValueError:
            raise ValueError(f"unknown priority policy: {text}") from None


class Action(GoEnum):
    CREATE_OR_UPDATE = ""
    UPDATE = "update"
    CREATE = "create"

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            return super().from_json(text)
        except ValueError:
            raise ValueError(f"unknown consumer action: {text}") from None


class ConsumerConfig(GoStruct):
    """As sent and as shown; zero values mean "not said" until `consumer_rules.normalise` has filled
    in the defaults.
    """

    go_type = "ConsumerConfig"

    durable_name: Annotated[str, OMITEMPTY] = ""
    name: Annotated[str, OMITEMPTY] = ""
    description: Annotated[str, OMITEMPTY] = ""
    deliver_policy: DeliverPolicy = DeliverPolicy.ALL
    opt_start_seq: Annotated[int, UINT64, OMITEMPTY] = 0
    opt_start_time: Annotated[Timestamp | None, OMITEMPTY] = None
    ack_policy: AckPolicy = AckPolicy.NONE
    ack_wait_ns: Annotated[int, DURATION, Name("ack_wait"), OMITEMPTY] = 0
    max_deliver: Annotated[int, INT, OMITEMPTY] = 0
    backoff_ns: Annotated[list[int], DURATION, Name("backoff"), OMITEMPTY] = msgspec.field(
        default_factory=list
    )
    filter_subject: Annotated[str, OMITEMPTY] = ""
    filter_subjects: Annotated[list[str], OMITEMPTY] = msgspec.field(default_factory=list)
    replay_policy: ReplayPolicy = ReplayPolicy.INSTANT
    rate_limit_bps: Annotated[int, UINT64, OMITEMPTY] = 0
    sample_freq: Annotated[str, OMITEMPTY] = ""
    max_waiting: Annotated[int, INT, OMITEMPTY] = 0
    max_ack_pending: Annotated[int, INT, OMITEMPTY] = 0
    flow_control: Annotated[bool, OMITEMPTY] = False
    headers_only: Annotated[bool, OMITEMPTY] = False
    max_batch: Annotated[int, INT, OMITEMPTY] = 0
    max_expires_ns: Annotated[int, DURATION, Name("max_expires"), OMITEMPTY] = 0
    max_bytes: Annotated[int, INT, OMITEMPTY] = 0
    deliver_subject: Annotated[str, OMITEMPTY] = ""
    deliver_group: Annotated[str, OMITEMPTY] = ""
    idle_heartbeat_ns: Annotated[int, DURATION, Name("idle_heartbeat"), OMITEMPTY] = 0
    inactive_threshold_ns: Annotated[int, DURATION, Name("inactive_threshold"), OMITEMPTY] = 0
    num_replicas: Annotated[int, INT] = 0
    mem_storage: Annotated[bool, OMITEMPTY] = False
    direct: Annotated[bool, OMITEMPTY] = False
    sourcing: Annotated[bool, OMITEMPTY] = False
    metadata: Annotated[dict[str, str], OMITEMPTY] = msgspec.field(default_factory=dict)
    pause_until: Annotated[Timestamp | None, OMITEMPTY] = None
    priority_groups: Annotated[list[str], OMITEMPTY] = msgspec.field(default_factory=list)
    priority_policy: Annotated[PriorityPolicy, OMITEMPTY] = PriorityPolicy.NONE
    priority_timeout_ns: Annotated[int, DURATION, Name("priority_timeout"), OMITEMPTY] = 0

    @property
    def is_durable(self) -> bool:
        return bool(self.durable_name)

    @property
    def is_push(self) -> bool:
        return bool(self.deliver_subject)

    @property
    def is_internal(self) -> bool:
        """Serves a mirror or a source: no limit counts it."""
        return self.direct or self.sourcing

    @property
    def filters(self) -> list[str]:
        return (
            [*self.filter_subjects, self.filter_subject]
            if self.filter_subject
            else self.filter_subjects
        )

    @property
    def sample_percent(self) -> int:
        return int(self.sample_freq.removesuffix("%")) if self.sample_freq else 0

    @property
    def pause_until_ns(self) -> int:
        """0: not paused. Times that no clock reaches are cut to what 64 bits hold."""
        if self.pause_until is None:
            return 0
        return max(self.pause_until.unix_ns, 0)

    @property
    def required_api_level(self) -> int:
        if self.ack_policy is AckPolicy.FLOW_CONTROL:
            return 4
        paused = self.pause_until is not None and not self.pause_until.is_zero
        priority = self.priority_policy is not PriorityPolicy.NONE
        return int(paused or priority or bool(self.priority_groups or self.priority_timeout_ns))

    def to_spec(self, *, memory_stream: bool) -> specs.ConsumerSpec:
        """What the kernel runs. Only of a normalised configuration."""
        assert self.max_deliver != 0, "not normalised"
        start = self.opt_start_time
        return specs.ConsumerSpec(
            durable=self.is_durable,
            memory=self.mem_storage or memory_stream or self.direct,
            deliver_policy=specs.DeliverPolicy[self.deliver_policy.name],
            opt_start_seq=self.opt_start_seq,
            opt_start_time_ns=0 if start is None else max(start.unix_ns, 1),
            ack_policy=specs.AckPolicy[self.ack_policy.name],
            ack_wait_ns=self.ack_wait_ns,
            backoff_ns=list(self.backoff_ns),
            max_deliver=self.max_deliver,
            max_ack_pending=self.max_ack_pending,
            max_waiting=self.max_waiting,
            max_batch=self.max_batch,
            max_expires_ns=self.max_expires_ns,
            max_bytes=self.max_bytes,
            filters=[subject.encode() for subject in self.filters],
            deliver_subject=self.deliver_subject.encode(),
            deliver_group=self.deliver_group.encode(),
            flow_control=self.flow_control,
            idle_heartbeat_ns=self.idle_heartbeat_ns,
            headers_only=self.headers_only,
            rate_limit_bps=min(self.rate_limit_bps, _INT64_MAX),
            replay_original=self.replay_policy is ReplayPolicy.ORIGINAL,
            inactive_threshold_ns=self.inactive_threshold_ns,
            pause_until_ns=self.pause_until_ns,
            sample_percent=self.sample_percent,
            direct=self.direct,
            sourcing=self.sourcing,
            priority_policy=specs.PriorityPolicy[self.priority_policy.name],
            priority_timeout_ns=self.priority_timeout_ns,
            priority_groups=[group.encode() for group in self.priority_groups],
        )


class CreateConsumerRequest(GoStruct):
    go_type = "CreateConsumerRequest"

    stream_name: str = ""
    config: ConsumerConfig = msgspec.field(default_factory=ConsumerConfig)
    action: Action = Action.CREATE_OR_UPDATE
    pedantic: Annotated[bool, OMITEMPTY] = False
