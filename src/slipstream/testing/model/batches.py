"""Atomic batches (S-214..S-220): all messages are stored, or none.

Each message is judged in order, against the stream and what the batch itself says before it; the
first refusal refuses all. What an atomic batch may ask for is less than what a message may.
"""

from __future__ import annotations

from collections.abc import Sequence

from slipstream.testing.model.message import Stored
from slipstream.testing.model.publishing import (
    FULL_BYTES,
    FULL_MESSAGES,
    FULL_SUBJECT,
    ROLLUP_NOT_PERMITTED,
    TTL_DISABLED,
    TTL_INVALID,
    Accepted,
    Refused,
    headers_of,
    seconds_of_ttl,
    sequence_of,
    wrong_sequence,
)

DUPLICATE = Refused(400, 10201, "atomic publish batch contains duplicate message id")
WRITTEN_BEFORE = Refused(400, 10164, "wrong last sequence")
NO_LAST_ID = Refused(
    400, 10177, "atomic publish unsupported header used: Nats-Expected-Last-Msg-Id"
)

BatchMessage = tuple[bytes, bytes, bytes]  # subject, header, body


def judge_batch(stream: Stored, messages: Sequence[BatchMessage], now_ns: int) -> Refused | None:
    ids: set[str] = set()
    written: list[bytes] = []
    size = 0
    for subject, header, body in messages:
        headers = headers_of(header)
        refused = (
            _refused_headers(stream, headers, ids, now_ns)
            or _unexpected(stream, subject, headers, written)
            or _refused_rollup(stream, subject, headers, written)
        )
        if refused:
            return refused
        written.append(subject)
        size += stream.size(subject, header, body)
        if refused := _no_room(stream, subject, written, size, "Nats-Rollup" in headers):
            return refused
    return None


def accepted_in_batch(header: bytes) -> Accepted:
    """Of a message whose batch was accepted."""
    headers = headers_of(header)
    ttl_s = seconds_of_ttl(headers["Nats-TTL"]) if "Nats-TTL" in headers else 0
    assert ttl_s is not None, "the batch was judged"
    return Accepted(headers.get("Nats-Msg-Id", ""), headers.get("Nats-Rollup", "").lower(), ttl_s)


def _refused_headers(
    stream: Stored, headers: dict[str, str], ids: set[str], now_ns: int
) -> Refused | None:
    if "Nats-Expected-Last-Msg-Id" in headers:
        return NO_LAST_ID
    if ttl := headers.get("Nats-TTL"):
        if not stream.spec["allow_msg_ttl"]:
            return TTL_DISABLED
        if seconds_of_ttl(ttl) is None:
            return TTL_INVALID
    message_id = headers.get("Nats-Msg-Id", "")
    if message_id and (message_id in ids or stream.sequence_of_id(message_id, now_ns)):
        return DUPLICATE
    ids.add(message_id)
    return None


def _unexpected(
    stream: Stored, subject: bytes, headers: dict[str, str], written: list[bytes]
) -> Refused | None:
    """Of the sequences a message may say what was there before the batch."""
    expected = headers.get("Nats-Expected-Last-Sequence")
    if expected is not None:
        last = stream.last_seq + len(written)
        if sequence_of(expected) != last:
            return wrong_sequence(last)
        if written:
            return WRITTEN_BEFORE
    of_subject = headers.get("Nats-Expected-Last-Subject-Sequence")
    if of_subject is not None:
        if subject in written:
            return WRITTEN_BEFORE
        if sequence_of(of_subject) != stream.last_on(subject):
            return wrong_sequence(stream.last_on(subject))
    return None


def _refused_rollup(
    stream: Stored, subject: bytes, headers: dict[str, str], written: list[bytes]
) -> Refused | None:
    rollup = headers.get("Nats-Rollup", "").lower()
    if not rollup:
        return None
    if not stream.spec["allow_rollup"] or stream.spec["deny_purge"]:
        return ROLLUP_NOT_PERMITTED
    if rollup == "sub" and subject in written:
        return Refused(500, 10111, "batch rollup sub invalid")
    if rollup == "all" and written:
        return Refused(500, 10111, "batch rollup all invalid")
    return None


def _no_room(
    stream: Stored, subject: bytes, written: list[bytes], size: int, rollup: bool
) -> Refused | None:
    """Discard new; that the oldest of a subject goes is not counted in."""
    spec = stream.spec
    if not spec["discard_new"]:
        return None
    if 0 < spec["max_msgs"] < len(stream.messages) + len(written):
        return FULL_MESSAGES
    if 0 < spec["max_bytes"] < stream.stored_bytes + size:
        return FULL_BYTES
    if not spec["discard_new_per_subject"] or rollup:
        return None
    there = sum(m.subject == subject for m in stream.messages.values()) + written.count(subject)
    return FULL_SUBJECT if 0 < spec["max_msgs_per_subject"] < there else None
