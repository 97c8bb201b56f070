"""The grammar of requests to the API: subjects, fields and their types.

Most of a request is right, so that it gets far; one or two of its fields are hostile. There are few
names, so that requests meet each other's streams and consumers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import hostile_values as values
from hostile_values import Raw, encoded

STREAMS = [f"F{number}" for number in range(6)]
CONSUMERS = [f"c{number}" for number in range(4)]
WORDS = ["a", "b", "c", "d0", "d1"]
HOUR_NS = 3600 * 10**9

# A type: "integer", "duration", "time", "string", "boolean", "map"; a word with "|" lists
# alternatives; [type] is a list, a dict an object. RIGHT draws values of the types in capitals.
_ORIGIN = {
    "name": "STREAM",
    "opt_start_seq": "SEQ",
    "opt_start_time": "time",
    "filter_subject": "FILTER",
    "subject_transforms": [{"src": "FILTER", "dest": "DESTINATION"}],
    "consumer": {"name": "CONSUMER", "deliver_subject": "INBOX"},
    "external": {"api": "ORIGIN_API", "deliver": "ORIGIN_DELIVER"},
}
STREAM_CONFIG: dict[str, object] = {
    "name": "STREAM",
    "description": "string",
    "subjects": ["OWN_SUBJECT"],
    "subject_transform": {"src": "FILTER", "dest": "DESTINATION"},
    "retention": "limits|interest|workqueue",
    "max_consumers": "LIMIT",
    "max_msgs": "LIMIT",
    "max_msgs_per_subject": "LIMIT",
    "max_bytes": "BYTES",
    "max_age": "duration",
    "max_msg_size": "BYTES",
    "storage": "file|memory",
    "compression": "none|s2",
    "first_seq": "SEQ",
    "num_replicas": "REPLICAS",
    "no_ack": "boolean",
    "discard": "old|new",
    "duplicate_window": "duration",
    "placement": {"cluster": "string", "tags": ["string"], "preferred": "string"},
    "mirror": _ORIGIN,
    "sources": [_ORIGIN],
    "sealed": "boolean",
    "deny_delete": "boolean",
    "deny_purge": "boolean",
    "allow_rollup_hdrs": "boolean",
    "allow_direct": "boolean",
    "allow_atomic": "boolean",
    "allow_batched": "boolean",
    "allow_msg_counter": "boolean",
    "allow_msg_schedules": "boolean",
    "allow_msg_ttl": "boolean",
    "mirror_direct": "boolean",
    "republish": {"src": "FILTER", "dest": "DESTINATION", "headers_only": "boolean"},
    "discard_new_per_subject": "boolean",
    "metadata": "map",
    "consumer_limits": {"inactive_threshold": "duration", "max_ack_pending": "LIMIT"},
    "subject_delete_marker_ttl": "duration",
    "persist_mode": "default|async",
}
CONSUMER_CONFIG: dict[str, object] = {
    "durable_name": "CONSUMER",
    "name": "CONSUMER",
    "description": "string",
    "deliver_policy": "all|last|new|by_start_sequence|by_start_time|last_per_subject",
    "opt_start_seq": "SEQ",
    "opt_start_time": "time",
    "deliver_subject": "INBOX",
    "deliver_group": "string",
    "ack_policy": "explicit|explicit|all|none|flow_control",
    "ack_wait": "duration",
    "max_deliver": "LIMIT",
    "backoff": ["duration"],
    "filter_subject": "FILTER",
    "filter_subjects": ["FILTER"],
    "replay_policy": "instant|original",
    "sample_freq": "string",
    "rate_limit_bps": "BYTES",
    "max_ack_pending": "LIMIT",
    "idle_heartbeat": "duration",
    "flow_control": "boolean",
    "max_waiting": "LIMIT",
    "direct": "boolean",
    "sourcing": "boolean",
    "headers_only": "boolean",
    "max_batch": "LIMIT",
    "max_expires": "duration",
    "max_bytes": "BYTES",
    "inactive_threshold": "duration",
    "num_replicas": "REPLICAS",
    "mem_storage": "boolean",
    "metadata": "map",
    "pause_until": "time",
    "priority_groups": ["GROUP"],
    "priority_policy": "none|overflow|pinned_client|prioritized",
    "priority_timeout": "duration",
}
STATE: dict[str, object] = {
    "messages": "SEQ",
    "bytes": "integer",
    "first_seq": "SEQ",
    "first_ts": "time",
    "last_seq": "SEQ",
    "last_ts": "time",
    "deleted": ["SEQ"],
    "num_deleted": "integer",
    "num_subjects": "integer",
    "consumer_count": "integer",
    "lost": {"msgs": ["SEQ"], "bytes": "integer"},
}
PULL: dict[str, object] = {
    "expires": "duration",
    "batch": "LIMIT",
    "max_bytes": "BYTES",
    "no_wait": "boolean",
    "idle_heartbeat": "duration",
    "group": "GROUP",
    "min_pending": "SEQ",
    "min_ack_pending": "SEQ",
    "id": "string",
    "priority": "integer",
}
GET: dict[str, object] = {
    "seq": "SEQ",
    "last_by_subj": "FILTER",
    "next_by_subj": "FILTER",
    "batch": "LIMIT",
    "max_bytes": "BYTES",
    "start_time": "time",
    "multi_last": ["FILTER"],
    "up_to_seq": "SEQ",
    "up_to_time": "time",
    "no_hdr": "boolean",
}
_PAGE: dict[str, object] = {"subject": "FILTER", "offset": "LIMIT"}
_PLACEMENT: dict[str, object] = {
    "placement": {"cluster": "string", "tags": ["string"], "preferred": "string"},
    "peer": "string",
}

# Subject (S: a stream's name, C: a consumer's, W: a subject's words), weight, required fields, all.
Row = tuple[str, int, list[str], dict[str, object]]
ROWS: list[Row] = [
    ("STREAM.CREATE.S", 10, ["name", "subjects"], STREAM_CONFIG | {"pedantic": "boolean"}),
    ("STREAM.UPDATE.S", 8, ["name", "subjects"], STREAM_CONFIG | {"pedantic": "boolean"}),
    ("STREAM.DELETE.S", 2, [], {}),
    (
        "STREAM.PURGE.S",
        5,
        [],
        {"filter": "FILTER", "seq": "SEQ", "keep": "LIMIT"},
    ),
    (
        "STREAM.INFO.S",
        4,
        [],
        {"deleted_details": "boolean", "subjects_filter": "FILTER", "offset": "LIMIT"},
    ),
    ("STREAM.NAMES", 2, [], _PAGE),
    ("STREAM.LIST", 2, [], _PAGE),
    ("STREAM.MSG.GET.S", 5, [], GET),
    ("STREAM.MSG.DELETE.S", 3, ["seq"], {"seq": "SEQ", "no_erase": "boolean"}),
    (
        "STREAM.SNAPSHOT.S",
        3,
        ["deliver_subject"],
        {
            "deliver_subject": "INBOX",
            "no_consumers": "boolean",
            "chunk_size": "BYTES",
            "window_size": "BYTES",
            "jsck": "boolean",
        },
    ),
    ("STREAM.RESTORE.S", 2, ["config", "state"], {"config": STREAM_CONFIG, "state": STATE}),
    ("DIRECT.GET.S", 6, [], GET),
    ("DIRECT.GET.S.W", 2, [], {}),
    ("CONSUMER.LIST.S", 2, [], _PAGE),
    ("CONSUMER.NAMES.S", 2, [], _PAGE),
    ("CONSUMER.INFO.S.C", 3, [], {}),
    ("CONSUMER.DELETE.S.C", 2, [], {}),
    ("CONSUMER.PAUSE.S.C", 3, ["pause_until"], {"pause_until": "time"}),
    ("CONSUMER.RESET.S.C", 3, [], {"seq": "SEQ"}),
    ("CONSUMER.UNPIN.S.C", 2, ["group"], {"group": "GROUP"}),
    ("CONSUMER.MSG.NEXT.S.C", 8, [], PULL),
    ("INFO", 1, [], {}),
    ("STREAM.LEADER.STEPDOWN.S", 1, [], _PLACEMENT),
    ("CONSUMER.LEADER.STEPDOWN.S.C", 1, [], _PLACEMENT),
    ("STREAM.PEER.REMOVE.S", 1, [], _PLACEMENT),
    ("META.LEADER.STEPDOWN", 1, [], _PLACEMENT),
    ("SERVER.REMOVE", 1, [], _PLACEMENT),
    ("ACCOUNT.PURGE.W", 1, [], {}),
]
_CONSUMER: dict[str, object] = {
    "stream_name": "STREAM",
    "config": CONSUMER_CONFIG,
    "action": "|create|update",
    "pedantic": "boolean",
}
CONSUMER_ROWS: list[Row] = [
    ("CONSUMER.CREATE.S.C", 8, ["stream_name", "config"], _CONSUMER),
    ("CONSUMER.CREATE.S", 4, ["stream_name", "config"], _CONSUMER),
    ("CONSUMER.CREATE.S.C.W", 2, ["stream_name", "config"], _CONSUMER),
    ("CONSUMER.DURABLE.CREATE.S.C", 3, ["stream_name", "config"], _CONSUMER),
]
ALL_ROWS = ROWS + CONSUMER_ROWS

RIGHT: dict[str, Callable[[random.Random], object]] = {
    "integer": lambda rng: rng.randrange(100),
    "duration": lambda rng: rng.choice([0, 10**8, 10**9, 5 * 10**9, HOUR_NS]),
    "time": lambda rng: rng.choice(["2026-01-01T00:00:00Z", "2030-05-05T01:02:03.4+02:00"]),
    "string": lambda rng: rng.choice(["", "word", "two words", "50%", "100"]),
    "boolean": lambda rng: rng.random() < 0.5,
    "map": lambda rng: {rng.choice(WORDS): "value" for _ in range(rng.randrange(3))},
    "SEQ": lambda rng: rng.choice([0, 1, 2, 5, 20, 100]),
    "LIMIT": lambda rng: rng.choice([-1, 0, 1, 10, 100, 1000]),
    "BYTES": lambda rng: rng.choice([-1, 0, 1000, 65_536, 1 << 20, 8 << 20]),
    "REPLICAS": lambda rng: rng.choice([0, 1, 1, 1, 3]),
    "STREAM": lambda rng: rng.choice(STREAMS),
    "CONSUMER": lambda rng: rng.choice(CONSUMERS),
    "GROUP": lambda rng: rng.choice(["g", "h"]),
    "INBOX": lambda rng: rng.choice(["fz.inbox.a", "fz.inbox.b"]),
    "FILTER": lambda rng: subject(rng, f"f{rng.randrange(6)}", wild=True),
    "DESTINATION": lambda rng: rng.choice(
        ["fz.to.>", "fz.to.{{wildcard(1)}}", "fz.to.{{partition(3,1)}}", "fz.x.$1", "f0.>"]
    ),
    "ORIGIN_API": lambda rng: "fz.origin.api",
    "ORIGIN_DELIVER": lambda rng: "fz.origin.deliver",
}


def subject(rng: random.Random, first: str, *, wild: bool = False) -> str:
    words = [first, *rng.choices(WORDS, k=rng.randrange(1, 3))]
    if wild and rng.random() < 0.5:
        words[rng.randrange(len(words) if rng.random() < 0.1 else 1, len(words) + 1) - 1] = "*"
        if rng.random() < 0.4:
            words[-1] = ">"
    return ".".join(words)


class RequestWriter:
    """Requests drawn from `rng`; the share of hostile fields is `hostility`."""

    def __init__(self, rng: random.Random, hostility: float = 0.06) -> None:
        self.rng = rng
        self.hostility = hostility

    def value(self, kind: object, stream: str) -> object:
        """Of that type, mostly right."""
        rng = self.rng
        if rng.random() < self.hostility:
            return self.hostile(kind)
        if isinstance(kind, list):
            return [self.value(kind[0], stream) for _ in range(rng.choice([0, 1, 1, 2, 3]))]
        if isinstance(kind, dict):
            return self.fields(kind, [], stream, share=0.7)
        assert isinstance(kind, str)
        if kind == "OWN_SUBJECT":
            own = stream.lower() if stream in STREAMS else "f0"
            return rng.choice([f"{own}.>", f"{own}.*", f"{own}.a", f"{own}.*.*", subject(rng, own)])
        if "|" in kind:
            return rng.choice(kind.split("|"))
        return RIGHT[kind](rng)

    def hostile(self, kind: object) -> object:
        rng = self.rng
        if rng.random() < 0.2:
            return values.anything(rng)
        if isinstance(kind, list):
            many = [self.value(kind[0], "F0") for _ in range(rng.choice([2, 50]))]
            return rng.choice([many, values.wide(rng), [self.hostile(kind[0])], values.nested(rng)])
        if isinstance(kind, dict) or kind == "map":
            keys = rng.choice([["", "\x00", "a" * 5000], ["_nats.x", "_nats.req.level"]])
            return rng.choice([values.nested(rng), values.wide(rng), dict.fromkeys(keys, "x")])
        choices = {
            "integer": values.INTEGERS,
            "SEQ": values.INTEGERS,
            "LIMIT": values.INTEGERS,
            "BYTES": values.INTEGERS,
            "REPLICAS": values.INTEGERS,
            "duration": values.DURATIONS + values.INTEGERS,
            "time": values.TIMES,
            "boolean": [0, 1, "true", None, Raw(b"True"), Raw(b"TRUE"), []],
        }
        return rng.choice(choices.get(str(kind), values.STRINGS))

    def fields(
        self, table: dict[str, object], required: list[str], stream: str, share: float = 0.12
    ) -> dict[str, object]:
        out: dict[str, object] = {}
        for key, kind in table.items():
            if (key == "name" and kind == "STREAM") or key == "stream_name":
                out[key] = stream
            elif key in required or self.rng.random() < share:
                out[key] = self.value(kind, stream)
        return out

    def request(self, row: Row | None = None) -> tuple[str, bytes]:
        """A subject and a body."""
        rng = self.rng
        row = row or rng.choices(ALL_ROWS, [one[1] for one in ALL_ROWS])[0]
        path, _, required, table = row
        stream, consumer = rng.choice(STREAMS), rng.choice(CONSUMERS)
        words = {"S": stream, "C": consumer, "W": subject(rng, stream.lower())}
        whole = "$JS.API." + ".".join(words.get(token, token) for token in path.split("."))
        if rng.random() < self.hostility / 2:
            word = rng.choice(values.STRINGS)
            whole += "." + (word if isinstance(word, str) else "x")
        if not table:
            return whole, rng.choice([b"", b"", b"{}", encoded(values.anything(rng))])
        body = self.fields(table, required, stream)
        if path.startswith("CONSUMER.") and isinstance(config := body.get("config"), dict):
            config["durable_name" if rng.random() < 0.5 else "name"] = consumer
        if rng.random() < self.hostility:
            body[str(rng.choice(["", "NAME", "seq", "x" * 3000, "\x00"]))] = values.anything(rng)
        text = encoded(body)
        if rng.random() < self.hostility:
            text = rng.choice(
                [values.damaged(text, rng), text + text, b"", encoded(values.anything(rng))]
            )
        return whole, text
