"""What the API says about a stream and its consumers, as JSON objects (S-055..S-061, C-058..C-063).

Without what a model cannot know or what changes by itself: creation times, the time of the answer,
metadata.
"""

from __future__ import annotations

from typing import Any

from slipstream.testing.model.consumer import ConsumerModel
from slipstream.testing.model.go_text import time_text
from slipstream.testing.model.pins import shown_group
from slipstream.testing.model.stream import StreamModel

VOLATILE = frozenset(("created", "ts", "metadata", "type", "cluster"))


def known_part(answer: Any) -> Any:
    """An answer without what a model does not say."""
    if isinstance(answer, dict):
        return {key: known_part(value) for key, value in answer.items() if key not in VOLATILE}
    if isinstance(answer, list):
        return [known_part(item) for item in answer]
    return answer


def stream_state(stream: StreamModel, *, details: bool = False) -> dict[str, Any]:
    state = stream.state()
    shown: dict[str, Any] = {
        "messages": state.messages,
        "bytes": state.stored_bytes,
        "first_seq": state.first_seq,
        "first_ts": time_text(state.first_time_ns),
        "last_seq": state.last_seq,
        "last_ts": time_text(state.last_time_ns),
        "consumer_count": len(stream.consumers),
    }
    if state.subjects:
        shown["num_subjects"] = len(state.subjects)
    if state.deleted:
        shown["num_deleted"] = len(state.deleted)
    if details and state.subjects:
        shown["subjects"] = {s.decode(): count for s, count in state.subjects.items()}
    if details and state.deleted:
        shown["deleted"] = state.deleted
    return shown


def stream_info(stream: StreamModel, *, details: bool = False) -> dict[str, Any]:
    return {"config": stream.description, "state": stream_state(stream, details=details)}


def consumer_info(stream: StreamModel, consumer: ConsumerModel, now_ns: int) -> dict[str, Any]:
    state = consumer.state(stream.messages)
    shown: dict[str, Any] = {
        "stream_name": stream.name,
        "name": consumer.name,
        "config": consumer.description,
        "delivered": _sequences(state.delivered),
        "ack_floor": _sequences(state.ack_floor),
        "num_ack_pending": state.num_ack_pending,
        "num_redelivered": state.num_redelivered,
        "num_waiting": state.num_waiting,
        "num_pending": state.num_pending,
    }
    if consumer.spec["deliver_subject"]:
        shown["push_bound"] = True
    if groups := consumer.description.get("priority_groups"):
        shown["priority_groups"] = [shown_group(consumer.pin, groups[0])]
    if (remaining_ns := consumer.spec["pause_until_ns"] - now_ns) > 0:
        shown |= {"paused": True, "pause_remaining": remaining_ns}
    return shown


def _sequences(numbers: tuple[int, int, int]) -> dict[str, Any]:
    consumer_seq, stream_seq, last_ns = numbers
    shown: dict[str, Any] = {"consumer_seq": consumer_seq, "stream_seq": stream_seq}
    return shown | ({"last_active": time_text(last_ns)} if last_ns else {})
