"""Differences that were decided (docs/differences.md) and that a flow cannot avoid beforehand: it
ends there, because what follows depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flow_comparison import Difference

_LISTED = "last_per_subject"


def known_reason(difference: Difference) -> str:
    """Empty for what is not known."""
    if difference.channel.startswith("event "):
        return _known_event(difference)
    if difference.channel.startswith("state CONSUMER.INFO.") and _purges(difference):
        return "a purge leaves pending what it removed, or moves the floor to what was looked at"
    if any(config.get("deliver_policy") == _LISTED for config in _consumers(difference).values()):
        return "a message chosen by last_per_subject is gone"
    match difference.operations[-1]:
        case {"do": "ack"} if difference.theirs and _asked(difference, "CONSUMER.RESET."):
            return "a consumer that was reset had looked further than it had delivered"
        case {"verb": str(verb)} if verb.startswith("STREAM.PURGE.") and not difference.theirs:
            return "a consumer goes on at once when what held it back is purged"
    return ""


def _known_event(difference: Difference) -> str:
    verb = difference.operations[-1].get("verb", "")
    if ".PAUSE." in difference.channel and verb.startswith("CONSUMER.CREATE."):
        return "the advisory of a pause comes again with an update"
    if ".MSG_TERMINATED." in difference.channel and verb.startswith("STREAM.PURGE."):
        return "some purges tell of pending messages"
    return ""


def _purges(difference: Difference) -> bool:
    """Some subjects: by a request, or by a rollup."""
    asked = _asked(difference, "STREAM.PURGE.")
    return asked or any(
        "Nats-Rollup" in headers
        for op in difference.operations
        for _, headers, *_ in op.get("messages", ())
    )


def _asked(difference: Difference, verb: str) -> bool:
    return any(op.get("verb", "").startswith(verb) for op in difference.operations)


def _consumers(difference: Difference) -> dict[str, dict[str, Any]]:
    """As they were asked for, by name."""
    return {
        op["verb"].rsplit(".", 1)[1]: op["body"]["config"]
        for op in difference.operations
        if op.get("verb", "").startswith("CONSUMER.CREATE.")
    }
