"""Configurations as clients send them: what they mean (the specs by which the model acts) and how
they are shown. Defaults as the reference tells them (S-011..S-048, C-019..C-052), written apart
from the server's own tables, so that the two can be held against each other.

Only of configurations that are valid; what is refused is not a model's matter.
"""

from __future__ import annotations

from typing import Any

from slipstream.kernel.specs import (
    AckPolicy,
    ConsumerSpec,
    DeliverPolicy,
    PriorityPolicy,
    Retention,
    StreamSpec,
)
from slipstream.testing.simulated_node import consumer_spec, stream_spec

SECOND_NS = 1_000_000_000
UNLIMITED = -1
WINDOW_DEFAULT_NS = 120 * SECOND_NS
ACK_WAIT_DEFAULT_NS = 30 * SECOND_NS
PIN_TIMEOUT_DEFAULT_NS = 120 * SECOND_NS

RETENTIONS = {
    "limits": Retention.LIMITS,
    "interest": Retention.INTEREST,
    "workqueue": Retention.WORK_QUEUE,
}

Config = dict[str, Any]


def shown_stream(asked: Config) -> Config:
    """Without metadata."""
    age = asked.get("max_age", 0)
    shown = {
        "subjects": [asked["name"]],
        "retention": "limits",
        "max_consumers": UNLIMITED,
        "max_msgs": UNLIMITED,
        "max_bytes": UNLIMITED,
        "max_age": 0,
        "max_msgs_per_subject": UNLIMITED,
        "max_msg_size": UNLIMITED,
        "discard": "old",
        "storage": "file",
        "num_replicas": 1,
        "duplicate_window": min(WINDOW_DEFAULT_NS, age) if age else WINDOW_DEFAULT_NS,
        "compression": "none",
        "allow_direct": False,
        "mirror_direct": False,
        "sealed": False,
        "deny_delete": False,
        "deny_purge": False,
        "allow_rollup_hdrs": False,
        "consumer_limits": {},
        "allow_msg_ttl": False,
        **asked,
    }
    if shown.get("subject_delete_marker_ttl"):  # S-042
        shown |= {"allow_msg_ttl": True, "allow_rollup_hdrs": True}
    if shown["sealed"]:  # S-036
        sealed = {"max_age": 0, "discard": "new", "deny_delete": True, "deny_purge": True}
        shown |= sealed | {"allow_rollup_hdrs": False}
    return shown


def stream_spec_of(shown: Config) -> StreamSpec:
    return stream_spec(
        subjects=[subject.encode() for subject in shown["subjects"]],
        memory=shown["storage"] == "memory",
        no_ack=shown.get("no_ack", False),
        allow_direct=shown["allow_direct"],
        discard_new=shown["discard"] == "new",
        discard_new_per_subject=shown.get("discard_new_per_subject", False),
        sealed=shown["sealed"],
        deny_delete=shown["deny_delete"],
        deny_purge=shown["deny_purge"],
        allow_rollup=shown["allow_rollup_hdrs"],
        allow_msg_ttl=shown["allow_msg_ttl"],
        max_msgs=shown["max_msgs"],
        max_bytes=shown["max_bytes"],
        max_age_ns=shown["max_age"],
        max_msgs_per_subject=shown["max_msgs_per_subject"],
        max_msg_size=shown["max_msg_size"],
        duplicate_window_ns=shown["duplicate_window"],
        first_seq=shown.get("first_seq", 0),
        transform_source=shown.get("subject_transform", {}).get("src", "").encode(),
        transform_destination=shown.get("subject_transform", {}).get("dest", "").encode(),
        republish_source=shown.get("republish", {}).get("src", "").encode(),
        republish_destination=shown.get("republish", {}).get("dest", "").encode(),
        republish_headers_only=shown.get("republish", {}).get("headers_only", False),
        counter=shown.get("allow_msg_counter", False),
        allow_atomic=shown.get("allow_atomic", False),
        delete_marker_ttl_ns=shown.get("subject_delete_marker_ttl", 0),
        retention=RETENTIONS[shown["retention"]],
    )


def shown_consumer(asked: Config) -> Config:
    """Without metadata."""
    acks = asked.get("ack_policy", "none") != "none"
    shown: Config = {
        "deliver_policy": "all",
        "ack_policy": "none",
        "max_deliver": UNLIMITED,
        "replay_policy": "instant",
        "num_replicas": 0,
    }
    if acks:
        shown |= {"ack_wait": ACK_WAIT_DEFAULT_NS, "max_ack_pending": 1000}
    if "deliver_subject" not in asked:
        shown["max_waiting"] = 512
    if "durable_name" not in asked and "inactive_threshold" not in asked:
        shown["inactive_threshold"] = 5 * SECOND_NS
    if asked.get("priority_policy") == "pinned_client":
        shown["priority_timeout"] = PIN_TIMEOUT_DEFAULT_NS
    shown |= asked
    if shown.get("backoff"):
        shown["ack_wait"] = shown["backoff"][0]
    return shown


def consumer_spec_of(shown: Config, times: dict[str, int]) -> ConsumerSpec:
    """`times` are the unix nanoseconds of the times whose texts `shown` has."""
    filters = shown.get("filter_subjects") or []
    if "filter_subject" in shown:
        filters = [shown["filter_subject"]]
    return consumer_spec(
        durable="durable_name" in shown,
        memory=shown.get("mem_storage", False),
        deliver_policy=DeliverPolicy[shown["deliver_policy"].upper()],
        opt_start_seq=shown.get("opt_start_seq", 0),
        opt_start_time_ns=times.get("opt_start_time", 0),
        ack_policy=AckPolicy[shown["ack_policy"].upper()],
        ack_wait_ns=shown.get("ack_wait", 0),
        backoff_ns=shown.get("backoff", []),
        max_deliver=shown["max_deliver"],
        max_ack_pending=shown.get("max_ack_pending", 0),
        max_waiting=shown.get("max_waiting", 0),
        max_batch=shown.get("max_batch", 0),
        max_expires_ns=shown.get("max_expires", 0),
        max_bytes=shown.get("max_bytes", 0),
        filters=[filter_.encode() for filter_ in filters],
        deliver_subject=shown.get("deliver_subject", "").encode(),
        idle_heartbeat_ns=shown.get("idle_heartbeat", 0),
        headers_only=shown.get("headers_only", False),
        priority_policy=PriorityPolicy[shown.get("priority_policy", "none").upper()],
        priority_groups=[group.encode() for group in shown.get("priority_groups", [])],
        priority_timeout_ns=shown.get("priority_timeout", 0),
        inactive_threshold_ns=shown.get("inactive_threshold", 0),
        pause_until_ns=times.get("pause_until", 0),
    )
