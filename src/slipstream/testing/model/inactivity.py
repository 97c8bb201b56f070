"""When a consumer that nobody uses is deleted (C-092, C-108, C-109).

Use is a request, a delivery, an acknowledgement, a change of its configuration, or somebody who
waits. A pull consumer is not unused either while a delivery may still be acknowledged, nor for as
long again while one waits to be delivered again.
"""

from __future__ import annotations

from collections.abc import Iterable

from slipstream.testing.model.go_text import SECOND_NS

LATENESS_MAX_NS = SECOND_NS  # nats-server adds as much by chance


def unused_from_ns(threshold_ns: int, uses_ns: Iterable[int]) -> int | None:
    """When a consumer that nobody waits at may be deleted; None: never."""
    return max(uses_ns) + threshold_ns if threshold_ns else None
