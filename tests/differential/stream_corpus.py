"""Conversations about how requests are spelled, and about every field of a stream's configuration
with every change: what nats-server and Slipstream must answer alike.
"""

from __future__ import annotations

import itertools
import json
from typing import Any

from corpus import SECOND, Call, Conversation, Step, call, level, stream

# ---------------------------------------------------------------- spelling

_NAMES = [
    "a\nb",
    "a\x00",
    "\x7f",
    "é",
    "\u200b",
    "\U0001f600",
    "\u00a0",
    '"',
    "\\",
    "\u2028",
    "<&>",
]

# S-050: what a complaint calls a field, and which names match.
_SPELLED: list[Step] = [
    *(Call("STREAM.PURGE.S", json.dumps({name: True}).encode()) for name in ("sEq", "SEQ", "ſeq")),
    *(Call("STREAM.PURGE.S", json.dumps({name: 1}).encode()) for name in _NAMES),
    *(
        Call("STREAM.PURGE.S", json.dumps({name: 1}, ensure_ascii=False).encode())
        for name in _NAMES
    ),
    Call("STREAM.PURGE.S", b'{"\\ud800":1}'),
    *(
        stream(**fields)
        for fields in (
            {"MAX_MSGS": "a"},
            {"Mirror": {"NAME": 1}},
            {"sources": [{"name": "a"}, {"External": {"Api": 1}}]},
            {"Consumer_Limits": {"MAX_ack_pending": "x"}},
            {"Metadata": {"A": 1}},
            {"Subjects": [1]},
            {"SUBJECTS": "a"},
            {"Pedantic": 1},
        )
    ),
    call("CONSUMER.CREATE.S.C", stream_name="S", CONFIG={"BackOff": ["x"]}),
    # A surrogate that is alone is no character.
    Call(
        "STREAM.CREATE.S",
        b'{"name":"S","description":"\\ud800 \\udc00 \\ud83d\\ude00 \\ud83dx \\\\ud800",'
        b'"metadata":{"\\udfff":"\\uD800"}}',
    ),
    Call("STREAM.INFO.S"),
    # S-111: a number, and nothing else
    *(
        Call("STREAM.NAMES", b"", level(wanted))
        for wanted in ("4", " 4", "4 ", "\t4", "+3", "-0", "0x3", "1_0", "")
    ),
    Call("STREAM.INFO.S", b"", b"NATS/1.0\r\nNats-Response-Type: create \r\n\r\n"),  # S-112
]

# ---------------------------------------------------------------- every field, every change

# S-012..S-048: values of each field, and with them every way from one to the other. `#` is the name
# of the stream's own subjects.
_VALUES: dict[str, list[Any]] = {
    "description": ["", "d"],
    "subjects": [["#.>"], ["#.a", "#.b"], ["#.*"], [], ["other.#"], None],
    "retention": ["limits", "interest", "workqueue"],
    "max_consumers": [0, -1, 5],
    "max_msgs": [-1, 0, 1],
    "max_bytes": [-1, 0, 1, 200],
    "max_age": [0, 100 * SECOND, SECOND * 3600],
    "max_msgs_per_subject": [-1, 0, 1],
    "max_msg_size": [-1, 0, 1],
    "discard": ["old", "new"],
    "storage": ["file", "memory"],
    "no_ack": [False, True],
    "duplicate_window": [0, SECOND, 100 * SECOND],
    "placement": [None, {}, {"cluster": "x"}, {"tags": ["a"]}, {"preferred": "p"}],
    "first_seq": [0, 5],
    "subject_transform": [None, {"src": "", "dest": "x.>"}, {"src": "#.*", "dest": "q.$1"}],
    "republish": [None, {"src": "", "dest": "r.>"}, {"dest": "r.>", "headers_only": True}],
    "allow_direct": [False, True],
    "mirror_direct": [False, True],
    "discard_new_per_subject": [False, True],
    "sealed": [False, True],
    "deny_delete": [False, True],
    "deny_purge": [False, True],
    "allow_rollup_hdrs": [False, True],
    "consumer_limits": [
        *[None, {}, {"inactive_threshold": SECOND, "max_ack_pending": 3}],
        *[{"inactive_threshold": -1}, {"max_ack_pending": -5}],
    ],
    "allow_msg_ttl": [False, True],
    "subject_delete_marker_ttl": [0, SECOND],
    "allow_msg_counter": [False, True],
    "allow_atomic": [False, True],
    "allow_msg_schedules": [False, True],
    "persist_mode": ["", "default", "async"],
    "allow_batched": [False, True],
    "metadata": [None, {}, {"a": "b"}, {"_nats.req.level": "1"}],
    "num_replicas": [0, 1],
}


def _with_own_subjects(value: Any, name: str) -> Any:
    return json.loads(json.dumps(value).replace("#", name))


def _changes(field: str, values: list[Any]) -> list[Step]:
    steps: list[Step] = []
    for number, (before, after) in enumerate(itertools.permutations(values, 2)):
        name = f"{field.replace('_', '')}{number}"  # none is deleted: creating would race with it
        own = {"name": name, "subjects": [f"{name}.>"]}
        created = own | {field: _with_own_subjects(before, name)}
        changed = own | {field: _with_own_subjects(after, name)}
        pedantic = {"pedantic": True} if number % 2 else {}
        steps.append(call(f"STREAM.CREATE.{name}", **created))
        steps += [
            call(f"STREAM.UPDATE.{name}", **changed, **pedantic),
            Call(f"STREAM.INFO.{name}"),
            call(f"STREAM.CREATE.{name}", **changed, **pedantic),
        ]
    return steps


def _every_change() -> list[Step]:
    return [step for field, values in _VALUES.items() for step in _changes(field, values)]


STREAM_CONVERSATIONS: list[Conversation] = [
    Conversation("spelling", _SPELLED),
    Conversation("every change", _every_change()),
]
