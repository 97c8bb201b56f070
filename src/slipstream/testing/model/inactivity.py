"""When a consumer that nobody uses is deleted (C-092, C-108, C-109).

Use is a request, a delivery, an acknowledgement, a change of its configuration, or somebody who
waits. A pull consumer is not unused either while a delivery may still be acknowledged, nor for as
long again while one waits to be delivered again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipstream.testing.model.go_text import SECOND_NS

if TYPE_CHECKING:
    from slipstream.testing.model.consumer import ConsumerModel

LATENESS_MAX_NS = SECOND_NS  # nats-server adds as much by chance


def unused_from_ns(consumer: ConsumerModel) -> int | None:
    """When it may be deleted; None: not as things are."""
    threshold_ns = consumer.spec["inactive_threshold_ns"]
    if not threshold_ns or consumer.has_receiver():
        return None
    queued = consumer.redelivery
    ends = [p.deadline_ns for seq, p in consumer.pending.items() if seq not in queued]
    again = [consumer.pending[seq] for seq in queued]
    ends += [p.sent_ns + 2 * consumer.wait_ns(p.deliveries) for p in again]
    return max([consumer.used_ns, *ends]) + threshold_ns
