"""Pull requests: what a body asks for, and what waits (C-067..C-081)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from slipstream.kernel.specs import ConsumerSpec
from slipstream.testing.model.go_text import duration_text

OVERFLOW, PINNED, PRIORITIZED = 1, 2, 3
LAST_RANK = 10  # of a request that is no JSON
REQUEST_TIMEOUT = "408 Request Timeout"
NO_MESSAGES = "404 No Messages"
TOO_LARGE = "409 Message Size Exceeds MaxBytes"
BATCH_COMPLETED = "409 Batch Completed"


@dataclass
class Pull:
    inbox: bytes
    batch: int = 1
    max_bytes: int = 0  # what is left of it
    expires_ns: int = 0  # when; 0: never
    heartbeat_ns: int = 0
    next_heartbeat_ns: int = 0
    no_wait: bool = False
    limits_bytes: bool = False
    delivered: int = 0
    rank: int = 0  # the lowest is served first, where requests have priorities
    min_pending: int = 0
    min_ack_pending: int = 0
    group: str = ""
    pin: str = ""  # the id that it knows, or was given

    def is_enough(self, pending: int, ack_pending: int) -> bool:
        """For a request that only wants what is too much for the others (C-095)."""
        if not self.min_pending and not self.min_ack_pending:
            return True
        by_pending = 0 < self.min_pending <= pending
        return by_pending or 0 < self.min_ack_pending <= ack_pending

    def is_over(self, now_ns: int) -> bool:
        return 0 < self.expires_ns <= now_ns

    def is_due(self, now_ns: int) -> bool:
        return self.is_over(now_ns) or 0 < self.next_heartbeat_ns <= now_ns


def parse(body: bytes) -> dict[str, Any]:
    """Empty and unknown text: one message; a number: so many; JSON: what it says (C-067)."""
    text = body.decode().strip()
    if text.startswith("{"):
        return {"batch": 0, **json.loads(text), "json": True}
    try:
        return {"batch": int(text), "json": False}
    except ValueError:
        return {"batch": 1, "json": False}


def complaint(asked: dict[str, Any], spec: ConsumerSpec) -> str:
    """The status that refuses a request before it waits; empty if it may (C-071, C-072, C-094)."""
    expires, heartbeat = asked.get("expires", 0), asked.get("idle_heartbeat", 0)
    if heartbeat > 0 and heartbeat * 2 > expires:
        return "400 Bad Request - heartbeat value too large"
    if 0 < spec["max_batch"] < asked["batch"]:
        return f"409 Exceeded MaxRequestBatch of {spec['max_batch']}"
    if 0 < spec["max_expires_ns"] < expires:
        return f"409 Exceeded MaxRequestExpires of {duration_text(spec['max_expires_ns'])}"
    if 0 < spec["max_bytes"] < asked.get("max_bytes", 0):
        return f"409 Exceeded MaxRequestMaxBytes of {spec['max_bytes']}"
    return _priority_complaint(asked, spec)


def _priority_complaint(asked: dict[str, Any], spec: ConsumerSpec) -> str:
    """C-093, C-094."""
    thresholds = asked.get("min_pending", 0) or asked.get("min_ack_pending", 0)
    if thresholds and spec["priority_policy"] != OVERFLOW:
        return "400 Bad Request - Not a Overflow Priority consumer"
    if asked.get("id") and spec["priority_policy"] != PINNED:
        return "400 Bad Request - Not a Pinned Client Priority consumer"
    if not 0 <= asked.get("priority", 0) <= 9:
        return "400 Bad Request - Priority must be between 0 and 9"
    if not spec["priority_policy"] or not asked["json"]:
        return ""
    if not asked.get("group"):
        return "400 Bad Request - Priority Group missing"
    if asked["group"].encode() not in spec["priority_groups"]:
        return "400 Bad Request - Invalid Priority Group"
    return ""


def status(line: str, *headers: tuple[str, object]) -> bytes:
    """A header block with a status (C-090)."""
    lines = [f"NATS/1.0 {line}", *(f"{name}: {value}" for name, value in headers)]
    return "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"


def status_with_rest(line: str, pull: Pull) -> bytes:
    """With what was left of the request (C-079..C-081)."""
    rest = ("Nats-Pending-Messages", pull.batch), ("Nats-Pending-Bytes", pull.max_bytes)
    return status(line, *rest)
