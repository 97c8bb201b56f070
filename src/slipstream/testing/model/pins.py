"""The one client that a pinned_client consumer serves (C-096, C-097).

Its id is random. A model names it by what it followed from; whoever compares learns what the server
calls it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from slipstream.kernel.specs import ConsumerSpec
from slipstream.testing.model.go_text import time_text
from slipstream.testing.model.pulls import PINNED, Pull

MISMATCH = "423 Nats-Pin-Id mismatch"
WRONG_PIN = "423 Nats-Wrong-Pin-Id"


class Pin(NamedTuple):
    name: str
    since_ns: int
    until_ns: int  # unless its client asks again


def complaint(pin: Pin | None, asked: dict[str, Any], spec: ConsumerSpec) -> str:
    """The status that refuses a request because somebody else is pinned; empty if none is."""
    if spec["priority_policy"] != PINNED or not asked["json"] or pin is None:
        return ""
    return MISMATCH if asked.get("id", pin.name) not in ("", pin.name) else ""


def passes_over(pin: Pin | None, pull: Pull) -> bool:
    """Whether a request has to wait until nobody else is pinned."""
    return pin is not None and not pull.pin


def is_wrong(pin: Pin | None, pull: Pull) -> bool:
    return bool(pull.pin) and (pin is None or pin.name != pull.pin)


def shown_group(pin: Pin | None, group: str) -> dict[str, Any]:
    """C-099."""
    named = {"pinned_client_id": pin.name} if pin else {}
    return {"group": group, **named, "pinned_ts": time_text(pin.since_ns if pin else 0)}
