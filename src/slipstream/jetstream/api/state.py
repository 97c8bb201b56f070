"""The state of streams and consumers as objects of the API (S-055..S-061, C-058..C-066)."""

from __future__ import annotations

from typing import Any

from slipstream.gotext.objects import to_json
from slipstream.gotext.times import ZERO_TIME, format_time
from slipstream.jetstream.api_level import shown_metadata
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.jetstream.registry import Consumer
from slipstream.jetstream.stream_config import StreamConfig


def shown_config(config: StreamConfig | ConsumerConfig, server_version: str) -> dict[str, Any]:
    """As CREATE, UPDATE and INFO show it; lists show the stored metadata (S-102)."""
    shown = to_json(config)
    assert "metadata" in shown, "a stored configuration has metadata"
    shown["metadata"] = dict(sorted(shown_metadata(config.metadata, server_version).items()))
    return shown


def stream_state(
    state: Any,
    consumer_count: int,
    subjects: object = None,
    deleted: list[int] | None = None,
) -> dict[str, Any]:
    """`state` is the kernel's StreamState; `subjects` (encoded or a dict) and `deleted` when they
    were asked for.
    """
    shown: dict[str, Any] = {
        "messages": state.messages,
        "bytes": state.bytes,
        "first_seq": state.first_seq,
        "first_ts": format_time(state.first_time_ns),
        "last_seq": state.last_seq,
        "last_ts": format_time(state.last_time_ns),
    }
    if state.num_subjects:
        shown["num_subjects"] = state.num_subjects
    if subjects is not None:
        shown["subjects"] = subjects
    if state.num_deleted:
        shown["num_deleted"] = state.num_deleted
    if deleted:
        shown["deleted"] = deleted
    shown["consumer_count"] = consumer_count
    return shown


def consumer_info(consumer: Consumer, state: Any, config: object, now_ns: int) -> dict[str, Any]:
    """`state` is the kernel's ConsumerState; `config` how the configuration is to be shown."""
    committed = consumer.committed_config
    shown: dict[str, Any] = {
        "stream_name": consumer.stream.name,
        "name": consumer.name,
        "created": consumer.created,
        "config": config,
        "delivered": _sequences(
            state.delivered_consumer_seq, state.delivered_stream_seq, state.delivered_last_ns
        ),
        "ack_floor": _sequences(
            state.ack_floor_consumer_seq, state.ack_floor_stream_seq, state.ack_floor_last_ns
        ),
        "num_ack_pending": state.num_ack_pending,
        # With a single delivery allowed nothing is ever delivered again (C-062).
        "num_redelivered": 0 if committed.max_deliver == 1 else state.num_redelivered,
        "num_waiting": 0 if committed.is_push else state.num_waiting,
        "num_pending": state.num_pending,
    }
    if committed.is_push and state.push_bound:
        shown["push_bound"] = True
    remaining_ns = pause_remaining_ns(committed, now_ns)
    if remaining_ns > 0:
        shown["paused"] = True
        shown["pause_remaining"] = remaining_ns
    shown["ts"] = format_time(now_ns)
    if committed.priority_groups:  # nats-server shows the first (C-099)
        group: dict[str, Any] = {"group": committed.priority_groups[0]}
        if state.pin_id:
            group["pinned_client_id"] = state.pin_id
        group["pinned_ts"] = format_time(state.pinned_ns)
        shown["priority_groups"] = [group]
    return shown


def pause_remaining_ns(config: ConsumerConfig, now_ns: int) -> int:
    """0 or less: not paused."""
    return config.pause_until_ns - now_ns if config.pause_until is not None else 0


def pause_until_text(config: ConsumerConfig) -> str:
    return ZERO_TIME if config.pause_until is None else str(config.pause_until.in_utc())


def _sequences(consumer_seq: int, stream_seq: int, last_ns: int) -> dict[str, Any]:
    shown: dict[str, Any] = {"consumer_seq": consumer_seq, "stream_seq": stream_seq}
    if last_ns:
        shown["last_active"] = format_time(last_ns)
    return shown
