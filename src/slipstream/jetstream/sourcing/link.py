"""The life of one mirror or source: ask the origin for a consumer, take in what it delivers, notice
silence and gaps, ask again (S-190..S-196).

Sans-IO: the caller says what the log has (`Known`), carries the request, brings the answer, opens
and closes the feed. `due_ns` is when `Links` must look again, whatever the phase.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Annotated, NamedTuple

import msgspec

from slipstream.gotext.decode import DecodeError, readable
from slipstream.gotext.encode import encode
from slipstream.gotext.objects import to_json
from slipstream.jetstream import subjects
from slipstream.jetstream.consumer_config import ConsumerConfig, CreateConsumerRequest
from slipstream.jetstream.headers import header_value
from slipstream.jetstream.names import is_valid_name
from slipstream.jetstream.sourcing import origin
from slipstream.jetstream.sourcing.origin import Side
from slipstream.jetstream.stream_config import StreamSource
from slipstream.kernel.specs import FeedSpec
from slipstream.kernel.values import FeedStatus
from slipstream.protocol.errors import ApiError, ErrorCode

ANSWER_WAIT_NS = 30_000_000_000
RESET_WAIT_NS = 5_000_000_000  # the consumer is there already
REQUEST_GAP_NS = 2_000_000_000
BACKOFF_NS, BACKOFF_MAX_NS = 10_000_000_000, 120_000_000_000
JITTER_MIN_NS, JITTER_NS = 100_000_000, 100_000_000
UNFINISHED_WAIT_NS = 100_000_000

IDENTITY_HEADER = "Nats-Stream-Identity"
_LEVEL_HEADER = "Nats-Required-Api-Level"
# What the origin must know: 5 its identity, 4 sourcing consumers; 0 any server.
_MIRROR_LEVELS, _SOURCE_LEVELS = (4, 0), (5, 4, 0)


class Phase(Enum):
    WAITING = "waiting"  # until due_ns, then ask
    ASKING = "asking"  # until the answer or due_ns
    FLOWING = "flowing"  # next look at due_ns


class Known(NamedTuple):
    """What the stream's log says when a link asks."""

    position: int  # of this source; of a mirror the stream's last sequence
    identity: str
    used: bool  # the stream holds or held messages


class Inquiry(NamedTuple):
    """A request to the origin."""

    subject: str
    header: bytes
    body: bytes


_SUBJECT_BYTES_MAX = 4096
_IDENTITY = re.compile(rb"[!-~]{0,255}")
_Uint63 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class OriginError(msgspec.Struct):
    code: _Uint63 = 0
    err_code: _Uint63 = 0
    description: Annotated[str, msgspec.Meta(max_length=4096)] = ""


class _Delivered(msgspec.Struct):
    stream_seq: _Uint63 = 0


class _AnsweredConfig(msgspec.Struct):
    ack_policy: str = ""
    deliver_subject: str = ""


class _Answer(msgspec.Struct):
    error: OriginError | None = None
    name: str = ""
    config: _AnsweredConfig | None = None
    delivered: _Delivered = msgspec.field(default_factory=_Delivered)


_decode_answer = msgspec.json.Decoder(_Answer).decode


class Link:
    """`index` is the source's index name, empty for a mirror."""

    def __init__(self, side: Side, source: StreamSource, index: str) -> None:
        self.source = source
        self.one_of_several = False  # sources of the same origin; the caller keeps it so
        self.index = index
        self.phase = Phase.WAITING
        self.due_ns = 0
        self.error: OriginError | None = None
        self.status: FeedStatus | None = None  # of the feed that is open, or was open last
        self._side = side
        self._fails = 0
        self._asked_ns = 0
        self._level = 0  # index into the levels
        self._known = Known(0, "", False)
        self._restart = False
        self._deliver_subject = ""
        self._suffix = ""

    @property
    def is_mirror(self) -> bool:
        return not self.index

    @property
    def consumer_name(self) -> str:
        """The stable one; the origin adds something to it unless it keeps the consumer."""
        if self.is_mirror:
            return origin.mirror_consumer_name(self._side)
        return origin.source_consumer_name(
            self._side, self.source, one_of_several=self.one_of_several
        )

    @property
    def asked(self) -> bool:
        return self._asked_ns > 0

    @property
    def origin_seq(self) -> int:
        """Of the last message of the origin that came; 0 before the first one."""
        if self.status is not None and self.status.consumer_seq > 0:
            return self.status.origin_seq
        return self._known.position

    # -- waiting

    def wait(self, now_ns: int, jitter_ns: int) -> None:
        """Asks (again) as soon as that is decent. `jitter_ns` is below JITTER_NS."""
        delay_ns = 0
        if self._asked_ns:
            delay_ns = max(0, self._asked_ns + REQUEST_GAP_NS - now_ns)
            delay_ns += min(self._fails * BACKOFF_NS, BACKOFF_MAX_NS)
        self.phase = Phase.WAITING
        self.due_ns = now_ns + delay_ns + JITTER_MIN_NS + jitter_ns

    def wait_for_log(self, now_ns: int) -> None:
        """What the last feed brought is not applied yet."""
        self.due_ns = now_ns + UNFINISHED_WAIT_NS

    # -- asking

    def ask(self, known: Known, suffix: str, now_ns: int) -> Inquiry:
        """`suffix`: eight random characters, for subjects and names of this attempt."""
        self._known = known._replace(position=0, identity="") if self._restart else known
        self._level = 0
        self._asked_ns = now_ns
        self._suffix = suffix
        self.error = None
        self.phase = Phase.ASKING
        self.due_ns = now_ns + (RESET_WAIT_NS if self.source.consumer else ANSWER_WAIT_NS)
        return self._inquiry()

    def _inquiry(self) -> Inquiry:
        level = self._levels()[self._level]
        fields = {} if level == 0 else {_LEVEL_HEADER: str(level)}
        if not self.is_mirror and level == 5:
            fields[IDENTITY_HEADER] = self._known.identity
        if self.source.consumer is not None:
            self._deliver_subject = self.source.consumer.deliver_subject
            header = b"" if self.is_mirror else _header(fields)
            return Inquiry(origin.reset_subject(self.source), header, b"")
        config = self._consumer_config(sourcing=level > 0)
        self._deliver_subject = config.deliver_subject
        body = encode(to_json(CreateConsumerRequest(stream_name=self.source.name, config=config)))
        return Inquiry(origin.create_subject(self.source, config), _header(fields), body)

    def _levels(self) -> tuple[int, ...]:
        return _MIRROR_LEVELS if self.is_mirror else _SOURCE_LEVELS

    def _consumer_config(self, *, sourcing: bool) -> ConsumerConfig:
        known, letter = self._known, "M" if self.is_mirror else "S"
        if self.is_mirror:
            start = origin.mirror_start(self.source, known.position, used=known.used)
        else:
            start = origin.source_start(self.source, known.position)
        # An origin that knows no sourcing consumers would not make the name unique.
        name = self.consumer_name if sourcing else f"{self.consumer_name}_{self._suffix}"
        config = origin.consumer_config(
            self.source,
            name,
            origin.deliver_subject(self.source, letter, self._suffix),
            start,
            self._side.metadata("mirror" if self.is_mirror else "src"),
        )
        config.sourcing = sourcing
        return config

    # -- the answer

    def answer(self, header: bytes, body: bytes) -> Inquiry | FeedSpec | None:
        """Another question, the feed to open, or nothing: then the caller calls `wait`."""
        assert self.phase is Phase.ASKING
        try:
            answer = _decode_answer(readable(body))
        except (msgspec.DecodeError, DecodeError):
            self._failed(self._setup_failed())
            return None
        if answer.error is not None or answer.config is None:
            return self._refused(answer.error or self._setup_failed())
        if self.source.consumer is not None and answer.config.ack_policy != "flow_control":
            self._failed(_shown_error(ApiError(self._flow_control_code())))
            return None
        identity = ""
        if not self.is_mirror:
            identity = read_identity(header_value(header, IDENTITY_HEADER.encode()))
        known = self._known
        restart = self._restart or bool(identity and known.identity and identity != known.identity)
        subject = self._deliver_subject
        if self.source.consumer is None:
            subject = answer.config.deliver_subject
        is_deliverable = subjects.is_valid_publish(subject) and len(subject) <= _SUBJECT_BYTES_MAX
        if not is_deliverable or not is_valid_name(answer.name):
            self._failed(self._setup_failed())
            return None
        return FeedSpec(
            source=self.index.encode(),
            identity=identity.encode(),
            deliver_subject=subject.encode(),
            consumer=answer.name.encode(),
            after=0 if restart else known.position,
            delivered=answer.delivered.stream_seq,
            restart=restart,
            transforms=[
                (transform.source.encode(), transform.destination.encode())
                for transform in self.source.subject_transforms
            ],
        )

    def _refused(self, error: OriginError) -> Inquiry | None:
        if not self.is_mirror and error.err_code == ErrorCode.CONSUMER_STREAM_IDENTITY_MISMATCH:
            self._restart = True
            return None
        unknown = (ErrorCode.REQUIRED_API_LEVEL, ErrorCode.INVALID_JSON)
        if error.err_code in unknown and self._level + 1 < len(self._levels()):
            self._level += 1
            return self._inquiry()
        self._failed(error)
        return None

    def _failed(self, error: OriginError) -> None:
        self.error = error
        self._fails += 1

    def _setup_failed(self) -> OriginError:
        code = ErrorCode.SOURCE_CONSUMER_SETUP_FAILED
        if self.is_mirror:
            code = ErrorCode.MIRROR_CONSUMER_SETUP_FAILED
        return _shown_error(ApiError(code, err="invalid consumer create response"))

    def _flow_control_code(self) -> ErrorCode:
        if self.is_mirror:
            return ErrorCode.MIRROR_CONSUMER_REQUIRES_ACK_FC
        return ErrorCode.SOURCE_CONSUMER_REQUIRES_ACK_FC

    def no_answer(self) -> None:
        """In time; the caller calls `wait`. A consumer of the user's own choice may be heard of
        before the back-off is over: see `probe`.
        """
        self._fails += 1

    def probe(self) -> FeedSpec:
        """A feed that takes nothing in, and stops when something arrives."""
        assert self.source.consumer is not None
        return FeedSpec(
            source=self.index.encode(),
            identity=b"",
            deliver_subject=self.source.consumer.deliver_subject.encode(),
            consumer=b"",
            after=0,
            delivered=0,
            restart=False,
            transforms=[],
        )

    def heard_of(self) -> None:
        """The probe's origin is alive; the caller calls `wait`."""
        self._fails = 0

    # -- flowing

    def flow(self, now_ns: int) -> None:
        """The feed is open."""
        self._fails = 0
        self._restart = False
        self.phase = Phase.FLOWING
        self.due_ns = now_ns + origin.SILENCE_MAX_NS

    def look(self, status: FeedStatus | None, now_ns: int) -> bool:
        """Whether the feed is well. The caller closes one that is not, and calls `wait`."""
        if status is None or not status.open or now_ns - status.seen_ns > origin.SILENCE_MAX_NS:
            return False
        self.due_ns = now_ns + origin.SILENCE_MAX_NS
        return True


def read_identity(word: bytes) -> str:
    """Goes into a header of the next request; empty for what is no word, as if it was not said."""
    return word.decode() if _IDENTITY.fullmatch(word) else ""


def _header(fields: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode() if fields else b""


def _shown_error(error: ApiError) -> OriginError:
    return msgspec.convert(error.to_json_object(), OriginError)
