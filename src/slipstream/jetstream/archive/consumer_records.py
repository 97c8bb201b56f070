"""A consumer in an archive: its configuration and its state, as JSON.

Sequences are pairs of the consumer's and the stream's. `pending` maps a stream sequence to its
consumer sequence and the time of its delivery; `redelivered` to how often it was delivered again,
also for messages that are no longer pending because they reached max_deliver.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec

from slipstream.gotext.decode import DecodeError, decode
from slipstream.gotext.encode import encode
from slipstream.gotext.objects import to_json
from slipstream.jetstream.archive.records import ArchiveError
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.kernel.values import ConsumerProgress, PendingDelivery

_UINT32_MAX = 2**32 - 1
_Uint64 = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class _Sequences(msgspec.Struct):
    consumer_seq: _Uint64 = 0
    stream_seq: _Uint64 = 0


class _Pending(msgspec.Struct):
    Sequence: _Uint64 = 0
    Timestamp: _Int64 = 0


class _State(msgspec.Struct):
    delivered: _Sequences = msgspec.field(default_factory=_Sequences)
    ack_floor: _Sequences = msgspec.field(default_factory=_Sequences)
    pending: dict[_Uint64, _Pending] | None = None
    redelivered: dict[_Uint64, _Uint64] | None = None


class _Consumer(msgspec.Struct):
    config: msgspec.Raw = msgspec.Raw(b"null")
    state: _State | None = None


class ArchivedConsumer(NamedTuple):
    name: str
    config: ConsumerConfig  # as it was written: not normalised
    progress: ConsumerProgress


def encode_consumer(
    name: str, config: ConsumerConfig, progress: ConsumerProgress, last_seq: int
) -> bytes:
    """Bounded by the stream's last sequence in the archive: the consumer may be further by now."""
    shown = to_json(config)
    if not config.name:
        named = to_json(msgspec.structs.replace(config, name=name))
        shown = named
    state: dict[str, Any] = {
        "delivered": _pair(
            progress.delivered_consumer_seq, min(progress.delivered_stream_seq, last_seq)
        ),
        "ack_floor": _pair(
            progress.ack_floor_consumer_seq, min(progress.ack_floor_stream_seq, last_seq)
        ),
    }
    pending = [delivery for delivery in progress.pending if delivery.stream_seq <= last_seq]
    if pending:
        state["pending"] = {
            str(d.stream_seq): {"Sequence": d.consumer_seq, "Timestamp": d.sent_ns} for d in pending
        }
    redelivered = {d.stream_seq: d.deliveries - 1 for d in pending if d.deliveries > 1}
    # Deliveries beyond the limit were attempted once more before they ended.
    limit = max(config.max_deliver, 1)
    redelivered |= {seq: limit for seq in progress.exceeded if seq <= last_seq}
    if redelivered:
        state["redelivered"] = {str(seq): again for seq, again in sorted(redelivered.items())}
    return encode({"config": shown, "state": state})


def decode_consumer(name: str, text: bytes) -> ArchivedConsumer:
    """Raises ArchiveError."""
    try:
        found = msgspec.json.decode(text, type=_Consumer)
        if bytes(found.config) == b"null":
            raise ArchiveError(f'consumer "{name}" is missing config')
        if found.state is None:
            raise ArchiveError(f'consumer "{name}" is missing state')
        config = decode(bytes(found.config), ConsumerConfig, strict=False)
    except (msgspec.DecodeError, DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveError(f'failed to decode consumer "{name}" state: {error}') from None
    return ArchivedConsumer(name, config, _progress(found.state))


def _pair(consumer_seq: int, stream_seq: int) -> dict[str, int]:
    return {"consumer_seq": consumer_seq, "stream_seq": stream_seq}


def _progress(state: _State) -> ConsumerProgress:
    again = state.redelivered or {}
    pending = state.pending or {}
    deliveries = [
        PendingDelivery(
            seq, found.Sequence, found.Timestamp, min(again.get(seq, 0) + 1, _UINT32_MAX)
        )
        for seq, found in pending.items()
    ]
    return ConsumerProgress(
        delivered_consumer_seq=state.delivered.consumer_seq,
        delivered_stream_seq=state.delivered.stream_seq,
        ack_floor_consumer_seq=state.ack_floor.consumer_seq,
        ack_floor_stream_seq=state.ack_floor.stream_seq,
        delivered_last_ns=0,
        ack_floor_last_ns=0,
        pending=sorted(deliveries, key=lambda delivery: delivery.consumer_seq),
        exceeded=sorted(again.keys() - pending.keys()),
    )
