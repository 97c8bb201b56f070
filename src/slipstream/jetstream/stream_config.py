"""A stream's configuration: the object of the API with its defaults and what it compiles to for the
kernel (S-011..S-054).

What is allowed is judged in stream_rules.py; this file only says what there is.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import msgspec

from slipstream.gotext.objects import (
    DURATION,
    INT,
    INT32,
    INT64,
    OMITEMPTY,
    UINT64,
    GoEnum,
    GoStruct,
    Name,
)
from slipstream.gotext.times import Timestamp
from slipstream.kernel import specs


class Retention(GoEnum):
    LIMITS = "limits"
    INTEREST = "interest"
    WORK_QUEUE = "workqueue"


class Discard(GoEnum):
    OLD = "old"
    NEW = "new"

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            return super().from_json(text.lower())
        except ValueError:
            return super().from_json(text)  # its text quotes the value as it came


class Storage(GoEnum):
    FILE = "file"
    MEMORY = "memory"


class Compression(GoEnum):
    NONE = "none"
    S2 = "s2"

    @classmethod
    def from_json(cls, text: str) -> Self:
        if not text.startswith('"') and text != "null":
            kinds = {"{": "object", "[": "array", "t": "bool", "f": "bool"}
            kind = kinds.get(text[0], "number")
            raise ValueError(f"json: cannot unmarshal {kind} into Go value of type string")
        try:
            return super().from_json(text)
        except ValueError:
            raise ValueError("unknown compression algorithm") from None


class PersistMode(GoEnum):
    DEFAULT = "default"
    ASYNC = "async"

    @classmethod
    def from_json(cls, text: str) -> Self:
        return cls("default") if text == '""' else super().from_json(text)


class Placement(GoStruct):
    go_type = "Placement"

    cluster: Annotated[str, OMITEMPTY] = ""
    tags: Annotated[list[str], OMITEMPTY] = msgspec.field(default_factory=list)
    preferred: Annotated[str, OMITEMPTY] = ""


class SubjectTransform(GoStruct):
    go_type = "SubjectTransformConfig"

    source: Annotated[str, Name("src")] = ""
    destination: Annotated[str, Name("dest")] = ""


class ExternalStream(GoStruct):
    go_type = "ExternalStream"

    api_prefix: Annotated[str, Name("api")] = ""
    deliver_prefix: Annotated[str, Name("deliver")] = ""


class StreamConsumerSource(GoStruct):
    go_type = "StreamConsumerSource"

    name: Annotated[str, OMITEMPTY] = ""
    deliver_subject: Annotated[str, OMITEMPTY] = ""


class StreamSource(GoStruct):
    go_type = "StreamSource"

    name: str = ""
    opt_start_seq: Annotated[int, UINT64, OMITEMPTY] = 0
    opt_start_time: Annotated[Timestamp | None, OMITEMPTY] = None
    filter_subject: Annotated[str, OMITEMPTY] = ""
    subject_transforms: Annotated[list[SubjectTransform], OMITEMPTY] = msgspec.field(
        default_factory=list
    )
    external: Annotated[ExternalStream | None, OMITEMPTY] = None
    consumer: Annotated[StreamConsumerSource | None, OMITEMPTY] = None


class Republish(GoStruct):
    go_type = "RePublish"

    source: Annotated[str, Name("src"), OMITEMPTY] = ""
    destination: Annotated[str, Name("dest")] = ""
    headers_only: Annotated[bool, OMITEMPTY] = False


class ConsumerLimits(GoStruct):
    go_type = "StreamConsumerLimits"

    inactive_threshold_ns: Annotated[int, DURATION, Name("inactive_threshold"), OMITEMPTY] = 0
    max_ack_pending: Annotated[int, INT, OMITEMPTY] = 0


class StreamConfig(GoStruct):
    """As sent and as shown; zero values mean "not said" until `stream_rules.normalise` has filled
    in the defaults.
    """

    go_type: ClassVar[str] = "StreamConfig"

    name: str = ""
    description: Annotated[str, OMITEMPTY] = ""
    subjects: Annotated[list[str], OMITEMPTY] = msgspec.field(default_factory=list)
    retention: Retention = Retention.LIMITS
    max_consumers: Annotated[int, INT] = 0
    max_msgs: Annotated[int, INT64] = 0
    max_bytes: Annotated[int, INT64] = 0
    max_age_ns: Annotated[int, DURATION, Name("max_age")] = 0
    max_msgs_per_subject: Annotated[int, INT64] = 0
    max_msg_size: Annotated[int, INT32, OMITEMPTY] = 0
    discard: Discard = Discard.OLD
    storage: Storage = Storage.FILE
    num_replicas: Annotated[int, INT] = 0
    no_ack: Annotated[bool, OMITEMPTY] = False
    duplicate_window_ns: Annotated[int, DURATION, Name("duplicate_window"), OMITEMPTY] = 0
    placement: Annotated[Placement | None, OMITEMPTY] = None
    mirror: Annotated[StreamSource | None, OMITEMPTY] = None
    sources: Annotated[list[StreamSource | None], OMITEMPTY] = msgspec.field(default_factory=list)
    compression: Compression = Compression.NONE
    first_seq: Annotated[int, UINT64, OMITEMPTY] = 0
    subject_transform: Annotated[SubjectTransform | None, OMITEMPTY] = None
    republish: Annotated[Republish | None, OMITEMPTY] = None
    allow_direct: bool = False
    mirror_direct: bool = False
    discard_new_per_subject: Annotated[bool, OMITEMPTY] = False
    sealed: bool = False
    deny_delete: bool = False
    deny_purge: bool = False
    allow_rollup_hdrs: bool = False
    consumer_limits: ConsumerLimits = msgspec.field(default_factory=ConsumerLimits)
    allow_msg_ttl: bool = False
    subject_delete_marker_ttl_ns: Annotated[
        int, DURATION, Name("subject_delete_marker_ttl"), OMITEMPTY
    ] = 0
    allow_msg_counter: Annotated[bool, OMITEMPTY] = False
    allow_atomic: Annotated[bool, OMITEMPTY] = False
    allow_msg_schedules: Annotated[bool, OMITEMPTY] = False
    persist_mode: Annotated[PersistMode, OMITEMPTY] = PersistMode.DEFAULT
    allow_batched: Annotated[bool, OMITEMPTY] = False
    metadata: Annotated[dict[str, str], OMITEMPTY] = msgspec.field(default_factory=dict)

    @property
    def is_memory(self) -> bool:
        return self.storage is Storage.MEMORY

    @property
    def required_api_level(self) -> int:
        if self.allow_batched:
            return 4
        if (
            self.allow_msg_counter
            or self.allow_atomic
            or self.allow_msg_schedules
            or self.persist_mode is PersistMode.ASYNC
        ):
            return 2
        return 1 if self.allow_msg_ttl or self.subject_delete_marker_ttl_ns > 0 else 0

    def to_spec(self) -> specs.StreamSpec:
        """What the kernel enforces. Only of a normalised configuration."""
        assert self.num_replicas > 0, "not normalised"
        transform, republish = self.subject_transform, self.republish
        return specs.StreamSpec(
            subjects=[subject.encode() for subject in self.subjects],
            memory=self.is_memory,
            no_ack=self.no_ack,
            allow_direct=self.allow_direct,
            discard_new=self.discard is Discard.NEW,
            discard_new_per_subject=self.discard_new_per_subject,
            sealed=self.sealed,
            deny_delete=self.deny_delete,
            deny_purge=self.deny_purge,
            allow_rollup=self.allow_rollup_hdrs,
            allow_msg_ttl=self.allow_msg_ttl,
            mirror=self.mirror is not None,
            mirror_direct=self.mirror_direct,
            sourced=bool(self.sources),
            counter=self.allow_msg_counter,
            allow_atomic=self.allow_atomic,
            allow_batched=self.allow_batched,
            allow_schedules=self.allow_msg_schedules,
            persist_async=self.persist_mode is PersistMode.ASYNC,
            compress=self.compression is Compression.S2,
            republish_headers_only=republish is not None and republish.headers_only,
            retention=specs.Retention[self.retention.name],
            max_msgs=self.max_msgs,
            max_bytes=self.max_bytes,
            max_age_ns=self.max_age_ns,
            max_msgs_per_subject=self.max_msgs_per_subject,
            max_msg_size=self.max_msg_size,
            duplicate_window_ns=self.duplicate_window_ns,
            delete_marker_ttl_ns=self.subject_delete_marker_ttl_ns,
            first_seq=self.first_seq,
            transform_source=transform.source.encode() if transform else b"",
            transform_destination=transform.destination.encode() if transform else b"",
            republish_source=(republish.source or ">").encode() if republish else b"",
            republish_destination=republish.destination.encode() if republish else b"",
            mirror_origin=self.mirror.name.encode() if self.mirror else b"",
        )


class StreamConfigRequest(StreamConfig):
    """A create or update request: the configuration and how strictly to take it."""

    go_type = "StreamConfigRequest"

    pedantic: Annotated[bool, OMITEMPTY] = False

    def to_config(self) -> StreamConfig:
        return StreamConfig(
            **{name: getattr(self, name) for name in StreamConfig.__struct_fields__}
        )
