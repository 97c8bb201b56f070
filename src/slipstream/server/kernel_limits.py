"""The kernel's share of the options."""

from __future__ import annotations

from slipstream.config.options import Options
from slipstream.gotext.durations import SECOND_NS
from slipstream.jetstream.api_level import API_LEVEL
from slipstream.kernel.specs import KernelLimits
from slipstream.server import process_usage

PENDING_MEMORY_SHARE = 1 / 4  # of the machine's, for what all slow clients have not yet read


def kernel_limits(options: Options) -> KernelLimits:
    """All of them can change while it runs."""
    jetstream = options.jetstream
    batch = jetstream.limits.batch
    return KernelLimits(
        max_payload=options.max_payload,
        max_control_line=options.max_control_line,
        max_pending=options.max_pending,
        max_connections=options.max_connections,
        max_subscriptions=max(0, options.max_subscriptions),
        ping_interval_ns=options.ping_interval_ns,
        ping_max=options.ping_max,
        write_deadline_ns=options.write_deadline_ns,
        auth_timeout_ns=int(options.authorization.timeout_s * SECOND_NS),
        auth_required=options.authorization.required and not options.no_auth_user,
        headers=not options.no_header_support,
        trace=options.trace,
        traced_payload_max=options.max_traced_msg_len,
        api_level=API_LEVEL,
        api_requests_queued=jetstream.api_requests_queued,
        api_info_requests_queued=jetstream.api_info_requests_queued,
        batches_per_stream=batch.max_inflight_per_stream,
        batches_total=batch.max_inflight_total,
        batch_messages=batch.max_msgs,
        batch_timeout_ns=batch.timeout_ns,
        pending_total_max=max(
            int(process_usage.usable_memory_bytes() * PENDING_MEMORY_SHARE), options.max_pending
        ),
    )
