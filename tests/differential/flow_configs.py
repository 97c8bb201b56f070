"""Configurations of streams and consumers, drawn at random: mostly valid, some at the edge, some
refused. What happens by itself after a while is left out: two servers would not do it at once.
"""

from __future__ import annotations

from random import Random
from typing import Any

Config = dict[str, Any]
SECOND = 1_000_000_000
HOUR = 3600 * SECOND
FAR = "2099-01-01T00:00:00Z"
TOKENS = ("0", "1", "2", "x.0", "x.1", "x.y.z")
GROUPS = ("g", "h")

# Field -> (probability, values).
_STREAM_FIELDS: dict[str, tuple[float, tuple[Any, ...]]] = {
    "storage": (0.4, ("memory",)),
    "max_msgs": (0.15, (1, 3, 5, 10)),
    "max_bytes": (0.12, (200, 400, 900)),
    "max_msgs_per_subject": (0.25, (1, 2, 3)),
    "max_msg_size": (0.07, (40, 120)),
    "max_age": (0.06, (HOUR, 2 * HOUR, 1)),
    "duplicate_window": (0.06, (600 * SECOND, 60 * SECOND, -1)),
    "discard": (0.2, ("new", "new", "old")),
    "discard_new_per_subject": (0.08, (True,)),
    "first_seq": (0.06, (10, 100)),
    "no_ack": (0.03, (True,)),
    "allow_rollup_hdrs": (0.25, (True,)),
    "deny_delete": (0.05, (True,)),
    "deny_purge": (0.05, (True,)),
    "allow_direct": (0.7, (True,)),
    "mirror_direct": (0.02, (True,)),
    "sealed": (0.01, (True,)),
    "allow_msg_ttl": (0.2, (True,)),
    "subject_delete_marker_ttl": (0.1, (HOUR, 7 * SECOND, 1)),
    "allow_msg_counter": (0.1, (True,)),
    "allow_atomic": (0.3, (True,)),
    "allow_batched": (0.2, (True,)),
    "allow_msg_schedules": (0.12, (True,)),
    "persist_mode": (0.04, ("async",)),
    "max_consumers": (0.06, (1, 2, 3)),
    "description": (0.05, ("<some> & text",)),
    "metadata": (0.05, ({"k": "v"}, {"_nats.ver": "9", "a": "b"})),
    "placement": (0.02, ({}, {"cluster": "C"})),
    "num_replicas": (0.02, (1, 3)),
    "consumer_limits": (
        0.06,
        ({"max_ack_pending": 2}, {"inactive_threshold": HOUR}, {"max_ack_pending": 3000}),
    ),
}
_UPDATE_ONLY: dict[str, tuple[float, tuple[Any, ...]]] = {
    "retention": (0.2, ("limits", "interest", "workqueue")),
    "max_msgs": (0.2, (-1, 2, 4)),
    "max_bytes": (0.15, (-1, 300)),
    "max_msgs_per_subject": (0.2, (-1, 1, 2)),
    "discard": (0.15, ("old", "new")),
    "max_age": (0.1, (0, HOUR)),
    "allow_direct": (0.15, (True, False)),
    "allow_rollup_hdrs": (0.1, (True, False)),
    "deny_delete": (0.05, (True, False)),
    "allow_atomic": (0.1, (True, False)),
    "allow_batched": (0.1, (True, False)),
    "allow_msg_ttl": (0.1, (True, False)),
    "sealed": (0.02, (True,)),
    "storage": (0.03, ("file", "memory")),
    "first_seq": (0.03, (500,)),
    "no_ack": (0.03, (True, False)),
}
_CONSUMER_FIELDS: dict[str, tuple[float, tuple[Any, ...]]] = {
    "ack_wait": (0.1, (HOUR, -1)),
    "max_deliver": (0.2, (1, 2, 3, 0)),
    "backoff": (0.1, ([HOUR], [HOUR, 2 * HOUR], [HOUR, HOUR, HOUR, HOUR])),
    "max_ack_pending": (0.2, (1, 2, 5, -1)),
    "headers_only": (0.12, (True,)),
    "sample_freq": (0.06, ("100", "50%", "x")),
    "metadata": (0.05, ({"k": "v"},)),
    "description": (0.05, ("text",)),
    "mem_storage": (0.1, (True,)),
    "inactive_threshold": (0.15, (HOUR,)),
    "num_replicas": (0.05, (1, 3)),
    "replay_policy": (0.03, ("instant",)),
    "pause_until": (0.04, (FAR, "2020-01-01T00:00:00Z")),
}
_PULL_FIELDS: dict[str, tuple[float, tuple[Any, ...]]] = {
    "max_waiting": (0.1, (1, 2, -1)),
    "max_batch": (0.1, (1, 3)),
    "max_expires": (0.1, (HOUR, 1)),
    "max_bytes": (0.1, (150, 400)),
}
_POLICIES = ("all", "all", "all", "all", "last", "new", "last_per_subject", "last_per_subject")


def _some(draw: Random, fields: dict[str, tuple[float, tuple[Any, ...]]]) -> Config:
    return {
        name: draw.choice(values)
        for name, (probability, values) in fields.items()
        if draw.random() < probability
    }


def stream(draw: Random, name: str, others: dict[str, Config], *, acks_all: bool) -> Config:
    """A stream that may copy `others`, by their names. `acks_all`: for consumers with which
    nats-server takes a message that goes for acknowledged, and those before it; so none goes but
    the oldest.
    """
    config = {"name": name} | _some(draw, _STREAM_FIELDS)
    if acks_all:
        _keep_all_but_the_oldest(config)
    config["retention"] = draw.choice(("limits",) * 6 + ("interest",) * 2 + ("workqueue",) * 2)
    if config.get("allow_msg_counter") and draw.random() < 0.8:
        for field in ("discard", "allow_msg_ttl", "allow_msg_schedules", "mirror_direct"):
            config.pop(field, None)
        config.pop("subject_delete_marker_ttl", None)
        config["retention"] = "limits"
    if config.get("allow_msg_schedules") and draw.random() < 0.8:
        config.pop("discard", None)
    if "discard" not in config or config["discard"] == "old":
        config.pop("discard_new_per_subject", None)
    if "mirror_direct" in config and draw.random() < 0.8:
        del config["mirror_direct"]
    if others and draw.random() < 0.45:
        return _copying(draw, config, others)
    config["subjects"] = draw.choice(
        (
            [f"{name}.>"],
            [f"{name}.>"],
            [f"{name}.>"],
            [f"{name}.*", f"{name}.x.*"],
            [f"{name}.0", f"{name}.1", f"{name}.x.>"],
        )
    )
    return config | _rewriting(draw, name)


def _keep_all_but_the_oldest(config: Config) -> None:
    for field in ("max_msgs_per_subject", "allow_rollup_hdrs", "subject_delete_marker_ttl"):
        config.pop(field, None)
    config.pop("allow_msg_schedules", None)


def _rewriting(draw: Random, name: str) -> Config:
    """Transforms and republishing, each rarely."""
    config: Config = {}
    if draw.random() < 0.1:
        config["subject_transform"] = draw.choice(
            (
                {"src": f"{name}.x.*", "dest": name + ".{{wildcard(1)}}.to"},
                {"src": f"{name}.>", "dest": f"{name}.t.>"},
                {"src": f"{name}.*", "dest": name + ".p.{{partition(3,1)}}"},
                {"src": f"{name}.*", "dest": name + ".{{wildcard(2)}}"},
            )
        )
    if draw.random() < 0.15:
        config["republish"] = {
            "src": draw.choice((">", f"{name}.x.>", f"{name}.*", "")),
            "dest": draw.choice((f"re.{name}.>", f"re.{name}.>", f"{name}.>")),
            "headers_only": draw.random() < 0.3,
        }
    return config


def _copying(draw: Random, config: Config, others: dict[str, Config]) -> Config:
    for field in ("first_seq", "allow_msg_schedules", "subject_delete_marker_ttl"):
        if draw.random() < 0.9:
            config.pop(field, None)
    for field in ("max_msg_size", "discard", "discard_new_per_subject"):
        config.pop(field, None)  # what is refused is tried again, when somebody thinks of it
    if draw.random() < 0.5:
        for field in ("allow_msg_counter", "allow_atomic", "allow_batched"):
            if draw.random() < 0.9:
                config.pop(field, None)
        config["mirror"] = _origin(draw, draw.choice(list(others)), config["name"])
        if draw.random() < 0.3:
            config["mirror_direct"] = True
        return config
    chosen = draw.sample(list(others), min(len(others), draw.choice((1, 1, 2))))
    config.pop("allow_msg_counter", None)  # what does not count is refused, again and again
    if all(others[other].get("allow_msg_counter") for other in chosen):
        config["allow_msg_counter"] = True
    config["sources"] = [_origin(draw, other, config["name"]) for other in chosen]
    if draw.random() < 0.5:
        config["subjects"] = [f"{config['name']}.>"]
    return config


def _origin(draw: Random, name: str, own: str) -> Config:
    origin: Config = {"name": name}
    kind = draw.random()
    if kind < 0.2:
        origin["filter_subject"] = f"{name}.{draw.choice(('0', 'x.>', '*', 'nothing'))}"
    elif kind < 0.4:
        origin["subject_transforms"] = [{"src": f"{name}.>", "dest": f"{own}.of.>"}]
    elif kind < 0.5:
        origin["subject_transforms"] = [
            {"src": f"{name}.0", "dest": ""},
            {"src": f"{name}.x.*", "dest": own + ".x.{{wildcard(1)}}"},
        ]
    if draw.random() < 0.1:
        origin["opt_start_seq"] = draw.randint(1, 6)
    return origin


def stream_change(draw: Random, config: Config, *, acks_all: bool) -> Config:
    """An update of a stream with this configuration."""
    changed = {k: v for k, v in config.items() if k != "metadata"} | _some(draw, _UPDATE_ONLY)
    if acks_all:
        _keep_all_but_the_oldest(changed)
    if draw.random() < 0.05:
        changed |= _rewriting(draw, config["name"])
    if "mirror" in changed and draw.random() < 0.15:
        del changed["mirror"]
        changed["subjects"] = [f"{config['name']}.>"]
    if "sources" in changed and draw.random() < 0.1:
        changed["sources"] = changed["sources"][1:]
    if draw.random() < 0.05 and "mirror" not in changed:
        changed["subjects"] = [f"{config['name']}.x.>", f"{config['name']}.0"]
    return changed


def filters(draw: Random, stream_name: str) -> list[str]:
    tails = draw.choice(
        (
            (),
            (),
            ("0",),
            ("*",),
            (">",),
            ("0", "2"),
            ("x.*", "1"),
            ("nothing",),
            ("x.>",),
            ("*", "0"),
        )
    )
    return [f"{stream_name}.{tail}" for tail in tails]


def consumer(
    draw: Random, name: str, stream_config: Config, last_seq: int, *, acks_all: bool
) -> Config:
    config = _some(draw, _CONSUMER_FIELDS)
    config["name"] = name
    if draw.random() < 0.8:
        config["durable_name"] = name
    else:
        config.setdefault("inactive_threshold", HOUR)
    work_queue = stream_config.get("retention") == "workqueue"
    policies = ("all", "all", "flow_control") if acks_all else ("explicit",) * 6
    config["ack_policy"] = draw.choice((*policies, "none"))
    if work_queue and draw.random() < 0.8:
        config["ack_policy"] = "explicit"
    config |= _start(draw, last_seq) if not work_queue or draw.random() < 0.1 else {}
    chosen = filters(draw, stream_config["name"])
    if not chosen and config.get("deliver_policy") == "last_per_subject" and draw.random() < 0.9:
        chosen = [f"{stream_config['name']}.>"]
    if len(chosen) == 1 and draw.random() < 0.7:
        config["filter_subject"] = chosen[0]
    elif chosen:
        config["filter_subjects"] = chosen
    if config["ack_policy"] == "none" and draw.random() < 0.8:
        for field in ("ack_wait", "backoff", "max_deliver", "max_ack_pending"):
            config.pop(field, None)
    if config["ack_policy"] == "flow_control" or draw.random() < 0.25:
        config |= _pushing(draw, name, config["ack_policy"])
        if stream_config.get("max_msg_size", -1) > 0:
            config.pop("rate_limit_bps", None)  # nats-server's burst: what is larger never comes
        return config
    if config.get("deliver_policy") == "last_per_subject":
        return config | _some(draw, _PULL_FIELDS)  # nats-server loses those it has no request for
    return config | _some(draw, _PULL_FIELDS) | _priorities(draw)


def _start(draw: Random, last_seq: int) -> Config:
    """Not in the future: nats-server counts what comes until then as pending."""
    kind = draw.random()
    if kind < 0.1:
        return {
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": draw.randint(1, last_seq + 1),
        }
    if kind < 0.15:
        return {"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z"}
    return {"deliver_policy": draw.choice(_POLICIES)}


def _pushing(draw: Random, name: str, acks: str) -> Config:
    config: Config = {"deliver_subject": f"push.{name}"}
    if draw.random() < 0.3:
        config["deliver_group"] = "q"
    if draw.random() < 0.3 or acks == "flow_control":
        config |= {"idle_heartbeat": SECOND if acks == "flow_control" else HOUR}
        config["flow_control"] = acks == "flow_control" or draw.random() < 0.5
    if draw.random() < 0.1:
        config["rate_limit_bps"] = 1 << 30
    return config


def _priorities(draw: Random) -> Config:
    if draw.random() > 0.25:
        return {}
    policy = draw.choice(("overflow", "pinned_client", "prioritized", "none"))
    config: Config = {"priority_policy": policy, "priority_groups": [draw.choice(GROUPS)]}
    if draw.random() < 0.2 or policy == "pinned_client":
        config["priority_timeout"] = HOUR
    return config


def consumer_change(draw: Random, config: Config) -> Config:
    """An update of a consumer with this configuration."""
    changed = {k: v for k, v in config.items() if k not in ("metadata", "pause_until")}
    for field in ("ack_wait", "max_deliver", "max_ack_pending", "headers_only", "max_batch"):
        if draw.random() < 0.15:
            changed |= {
                "ack_wait": {"ack_wait": 2 * HOUR},
                "max_deliver": {"max_deliver": draw.choice((1, 2, 5, -1))},
                "max_ack_pending": {"max_ack_pending": draw.choice((1, 3, 1000))},
                "headers_only": {"headers_only": draw.random() < 0.5},
                "max_batch": {"max_batch": 2},
            }[field]
    if draw.random() < 0.03:
        changed["deliver_policy"] = draw.choice(_POLICIES)
    if draw.random() < 0.03:
        changed["ack_policy"] = draw.choice(("none", "explicit"))
    return changed
