"""What a stream answers to a message, and why: the headers that matter, and the checks in the order
in which nats-server makes them (S-115..S-138).

`judge` looks at a stream and decides; it changes nothing. Storing is stream.py's part.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from slipstream.protocol.subjects import subject_matches
from slipstream.testing.model.go_text import SECOND_NS, duration_of, go_json
from slipstream.testing.model.message import Stored

HEADER_BYTES_MAX = 65535
NEVER = -1  # a time to live without an end

_INCREMENT = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"[0-9]{1,18}")


class Refused(NamedTuple):
    code: int
    err_code: int
    description: str


class Duplicate(NamedTuple):
    seq: int


class Accepted(NamedTuple):
    message_id: str
    rollup: str  # "", "sub" or "all"
    ttl_s: int = 0  # 0: none
    total: int | None = None  # of a counter (S-200)


Verdict = Refused | Duplicate | Accepted

SEALED = Refused(400, 10109, "invalid operation on sealed stream")
INCREMENT_INVALID = Refused(400, 10171, "message counter increment is invalid")
INCREMENT_MISSING = Refused(400, 10169, "message counter increment is missing")
INCREMENT_WITH_BODY = Refused(400, 10170, "message counter has payload")
NOT_A_COUNTER = Refused(400, 10168, "message counters is disabled")
WRONG_STREAM = Refused(400, 10060, "expected stream does not match")
TTL_DISABLED = Refused(400, 10166, "per-message TTL is disabled")
TTL_INVALID = Refused(400, 10165, "invalid per-message TTL")
NO_BATCHES = Refused(400, 10174, "atomic publish is disabled")
SUBJECT_WITHOUT_SEQUENCE = Refused(
    400, 10193, "missing sequence for expected last sequence per subject"
)
NO_SCHEDULES = Refused(400, 10188, "message schedules is disabled")
SOURCE_HEADER = Refused(400, 10227, "message stream source header is not allowed")
TOO_LARGE = Refused(400, 10054, "message size exceeds maximum allowed")
HEADER_TOO_LARGE = Refused(400, 10097, "header size exceeds maximum allowed of 64k")
ROLLUP_NOT_PERMITTED = Refused(500, 10111, "rollup not permitted")
FULL_MESSAGES = Refused(503, 10077, "maximum messages exceeded")
FULL_BYTES = Refused(503, 10077, "maximum bytes exceeded")
FULL_SUBJECT = Refused(503, 10077, "maximum messages per subject exceeded")


def wrong_sequence(actual: int) -> Refused:
    return Refused(400, 10071, f"wrong last sequence: {actual}")


def headers_of(block: bytes) -> dict[str, str]:
    """Exact names, the first occurrence counts, blanks before the value do not (S-129)."""
    found: dict[str, str] = {}
    for line in block.decode("latin-1").split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name, value.lstrip(" \t"))
    return {name: value for name, value in found.items() if value}


def without_status(block: bytes) -> bytes:
    """A status on the first line is the server's to give (S-128)."""
    first, separator, rest = block.partition(b"\r\n")
    return b"NATS/1.0" + separator + rest if first != b"NATS/1.0" and block else block


def seconds_of_ttl(text: str) -> int | None:
    """Whole seconds, NEVER, or None for what is no time to live (S-122)."""
    if text.lower() == "never":
        return NEVER
    if _NUMBER.fullmatch(text):
        return int(text) or None
    duration_ns = duration_of(text)
    if duration_ns is None or duration_ns < SECOND_NS:
        return None
    return duration_ns // SECOND_NS


def sequence_of(text: str) -> int | None:
    return int(text) if _NUMBER.fullmatch(text) else None


def judge(stream: Stored, subject: bytes, header: bytes, body: bytes, now_ns: int) -> Verdict:
    """In the order of S-130. `header` is without its status. Not of messages in atomic batches."""
    spec, headers = stream.spec, headers_of(header)
    if spec["sealed"]:
        return SEALED
    if 0 <= spec["max_msg_size"] < len(header) + len(body):
        return TOO_LARGE
    if len(header) > HEADER_BYTES_MAX:
        return HEADER_TOO_LARGE
    if "Nats-Incr" in headers and (refused := _wrong_increment(stream, headers, body)):
        return refused
    if headers.get("Nats-Expected-Stream", stream.name) != stream.name:
        return WRONG_STREAM
    if seconds_of_ttl(headers.get("Nats-TTL", "")) and not spec["allow_msg_ttl"]:
        return TTL_DISABLED  # what is no time to live is refused later
    if "Nats-Batch-Id" in headers:
        return NO_BATCHES
    if refused := _unexpected_sequence(stream, subject, headers):
        return refused
    if "Nats-Schedule" in headers:
        return NO_SCHEDULES
    if "Nats-Stream-Source" in headers:
        return SOURCE_HEADER
    message_id = headers.get("Nats-Msg-Id", "")
    if seq := stream.sequence_of_id(message_id, now_ns):
        return Duplicate(seq)
    expected_id = headers.get("Nats-Expected-Last-Msg-Id", "")
    if expected_id and expected_id != stream.last_message_id:
        return Refused(400, 10070, f"wrong last msg ID: {stream.last_message_id}")
    rollup = headers.get("Nats-Rollup", "")
    if rollup and (not spec["allow_rollup"] or spec["deny_purge"]):
        return ROLLUP_NOT_PERMITTED
    if rollup and rollup.lower() not in ("sub", "all"):
        return Refused(500, 10111, f'rollup value invalid: "{rollup}"')
    total = None
    if spec["counter"]:
        if "Nats-Incr" not in headers:
            return INCREMENT_MISSING
        total = stream.counted(subject) + int(headers["Nats-Incr"])
        if 0 <= spec["max_msg_size"] < len(header) + len(counter_body(total)):
            return TOO_LARGE
        body = counter_body(total)
    if not stream.keeps(subject):  # S-133
        return Accepted(message_id, rollup.lower())
    ttl_s = seconds_of_ttl(headers["Nats-TTL"]) if "Nats-TTL" in headers else 0
    if ttl_s is None:
        return TTL_INVALID
    if refused := _no_room(stream, subject, stream.size(subject, header, body), bool(rollup)):
        return refused
    return Accepted(message_id, rollup.lower(), ttl_s, total)


def _wrong_increment(stream: Stored, headers: dict[str, str], body: bytes) -> Refused | None:
    """S-123."""
    if not _INCREMENT.fullmatch(headers["Nats-Incr"]):
        return INCREMENT_INVALID
    if not stream.spec["counter"]:
        return NOT_A_COUNTER
    if body:
        return INCREMENT_WITH_BODY
    checks = [key for key in headers if key.startswith("Nats-Expected-") or key == "Nats-Rollup"]
    return INCREMENT_INVALID if checks else None


def counter_body(total: int) -> bytes:
    return b'{"val":"%d"}' % total


def _unexpected_sequence(stream: Stored, subject: bytes, headers: dict[str, str]) -> Refused | None:
    of_subject = headers.get("Nats-Expected-Last-Subject-Sequence")
    filter_ = headers.get("Nats-Expected-Last-Subject-Sequence-Subject")
    if of_subject is not None:
        last = stream.last_on(filter_.encode("latin-1") if filter_ else subject)
        if sequence_of(of_subject) != last:
            return wrong_sequence(last)
    elif filter_ is not None:
        return SUBJECT_WITHOUT_SEQUENCE
    expected = headers.get("Nats-Expected-Last-Sequence")
    if expected is not None and sequence_of(expected) != stream.last_seq:
        return wrong_sequence(stream.last_seq)
    return None


def _no_room(stream: Stored, subject: bytes, size: int, rollup: bool) -> Refused | None:
    """Discard new (S-147, S-148)."""
    spec = stream.spec
    if not spec["discard_new"]:
        return None
    on_subject = [seq for seq, m in stream.messages.items() if m.subject == subject]
    replaces = 0 < spec["max_msgs_per_subject"] <= len(on_subject)
    if replaces and spec["discard_new_per_subject"] and not rollup:
        return FULL_SUBJECT
    if 0 < spec["max_msgs"] <= len(stream.messages) and not replaces:
        return FULL_MESSAGES
    if 0 < spec["max_bytes"] < stream.stored_bytes + size:
        oldest = stream.messages[on_subject[0]] if replaces else None
        if oldest is None or stream.size(*oldest.content) < size:
            return FULL_BYTES
    return None


def acknowledgement(
    name: str, verdict: Verdict, seq: int, batch: tuple[str, int] = ("", 0)
) -> bytes:
    """Byte for byte (S-135..S-137). `batch`: its id, and how many messages it has."""
    if isinstance(verdict, Refused):
        error = {
            "code": verdict.code,
            "err_code": verdict.err_code,
            "description": verdict.description,
        }
        return go_json({"error": error, "stream": name, "seq": 0})
    tail = b""
    if isinstance(verdict, Duplicate):
        tail = b',"duplicate": true'
    elif verdict.total is not None:
        tail = b',"val":"%d"' % verdict.total
    if batch[0]:
        tail += b',"batch":%s,"count":%d' % (go_json(batch[0]), batch[1])
    return b'{"stream":%s,"seq":%d%s}' % (go_json(name), seq, tail)


def matching(filter_: bytes, subject: bytes) -> bool:
    return not filter_ or subject_matches(filter_, subject)
