"""Differences that were decided (docs/differences.md) and that a flow cannot avoid beforehand: it
ends there, because what follows depends on them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flow_comparison import Difference

_NO_MESSAGES = "404 No Messages"
_ALL = ('"ack_policy":"all"', '"ack_policy":"flow_control"')


def known_reason(difference: Difference) -> str:
    """Empty for what is not known."""
    match difference.operations[-1]["do"]:
        case "pull" if _is_listed(difference) and _NO_MESSAGES in "".join(difference.theirs[:1]):
            return "a message chosen by last_per_subject is gone"
        case "look" if _asked(difference, "STREAM.MSG.DELETE.") and _acknowledges_all(difference):
            return "the deletion of a message acknowledged those before it"
        case "ack" if difference.theirs and _asked(difference, "CONSUMER.RESET."):
            return "a consumer that was reset had looked further than it had delivered"
    return ""


def _asked(difference: Difference, verb: str) -> bool:
    return any(op.get("verb", "").startswith(verb) for op in difference.operations)


def _acknowledges_all(difference: Difference) -> bool:
    shown = "".join(difference.ours)
    return "CONSUMER.INFO." in difference.channel and any(policy in shown for policy in _ALL)


def _is_listed(difference: Difference) -> bool:
    """Whether it is about a consumer that began with the last message of each subject."""
    consumer = difference.operations[-1]["consumer"]
    asked: list[dict[str, Any]] = [
        op["body"]["config"]
        for op in difference.operations
        if op.get("verb", "").startswith("CONSUMER.CREATE.") and op["verb"].endswith(consumer)
    ]
    return any(config.get("deliver_policy") == "last_per_subject" for config in asked)
