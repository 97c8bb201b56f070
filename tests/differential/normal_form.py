"""Answers without what may differ between two servers: times, generated names, versions, levels."""

from __future__ import annotations

import re

_REPLACEMENTS = (
    # A time with a fraction is one of the server's own; what the corpus sends back has none.
    (re.compile(rb'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,9}Z"'), b'"TIME"'),
    (re.compile(rb'"_nats\.level":"\d+"'), b'"_nats.level":"N"'),
    (re.compile(rb'"_nats\.ver":"[^"]*"'), b'"_nats.ver":"V"'),
    (re.compile(rb'"api":\{"level":\d+,"total":\d+,"errors":\d+\}'), b'"api":{}'),
    (re.compile(rb'"pause_remaining":\d+'), b'"pause_remaining":N'),
    (re.compile(rb'"name":"[0-9A-Za-z]{8}","created"'), b'"name":"GENERATED","created"'),
    # Of a mirror's or source's state: when it was heard of, and what happened so far.
    (re.compile(rb'"active":-?\d+(,"error":\{[^}]*\})?'), b'"active":N'),
    (re.compile(rb'"leader":"[^"]*"'), b'"leader":"SERVER"'),
)


def normal_form(answer: bytes | None) -> str:
    if answer is None:
        return "silence"
    for pattern, replacement in _REPLACEMENTS:
        answer = pattern.sub(replacement, answer)
    answer = _SOURCE_STATES.sub(_sorted_states, answer)
    return answer.decode("utf-8", "replace")


# nats-server shows the states of several sources in any order.
_SOURCE_STATES = re.compile(
    rb'"sources":\[(\{"name":"[^"]*",(?:"external":\{[^}]*\},)?"lag".*?)\](?=,"ts")'
)


def _sorted_states(found: re.Match[bytes]) -> bytes:
    states = sorted(re.split(rb',(?=\{"name")', found[1]))
    return b'"sources":[' + b",".join(states) + b"]"
