"""Goal: no request makes the API fail: each is answered with JSON of its type or, if nobody knows
its verb, not at all, and the registry stays consistent with the kernel.

Method: hypothesis builds requests from the field names of the API and values at the edges of their
types, whole and damaged, and sends them to the API over the fake kernel and over the real one.
"""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slipstream.gotext.objects import GoEnum, fields_of
from slipstream.jetstream.api.router import ROUTES
from slipstream.jetstream.consumer_config import ConsumerConfig
from slipstream.jetstream.stream_config import StreamConfig
from targets import ApiTarget, KernelTarget, Target

_NAMES = st.sampled_from(["S", "T", "C", "a.b", "", "x" * 256, "é", "$"])
_SUBJECTS = st.sampled_from(["s.>", "s.a", "t", ">", "*", "a..b", "$JS.x", "s.*.b", ""])
_EDGES = st.sampled_from(
    [0, 1, -1, 5, 10**8, 10**9, 2**31, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 1.5]
)
_WORDS = st.sampled_from(
    [
        *("all", "none", "explicit", "new", "last", "file", "memory", "by_start_sequence"),
        *("50%", "9" * 30, "d", "2024-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
        "9999-12-31T23:59:59.999999999-23:59",
    ]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | _EDGES | _WORDS | _SUBJECTS | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=4,
)
_PLAIN_VERBS = sorted(
    ROUTES.keys() - {"CONSUMER.MSG.NEXT"}
)  # answered with a status, not with JSON


def _fitting(struct: Any) -> st.SearchStrategy[dict[str, Any]]:
    """Objects whose values have mostly the right kind."""
    kinds: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields_of(struct):
        default = getattr(struct(), field.attribute)
        if isinstance(default, GoEnum):
            kinds[field.name] = st.sampled_from([member.value for member in type(default)])
        elif isinstance(default, bool):
            kinds[field.name] = st.booleans()
        elif isinstance(default, int):
            kinds[field.name] = _EDGES
        elif isinstance(default, list):
            kinds[field.name] = st.lists(_SUBJECTS | _EDGES, max_size=3)
        else:
            kinds[field.name] = _VALUES
    return st.dictionaries(st.sampled_from(sorted(kinds)), st.none(), max_size=5).flatmap(
        lambda chosen: st.fixed_dictionaries({name: kinds[name] for name in chosen})
    )


@st.composite
def _requests(draw: st.DrawFn) -> tuple[str, bytes, bytes]:
    verb = draw(st.sampled_from(_PLAIN_VERBS))
    name = draw(_NAMES.filter(lambda n: n not in ("", "a.b")))
    body: Any
    if verb in ("STREAM.CREATE", "STREAM.UPDATE"):
        body = draw(_fitting(StreamConfig)) | {"name": name}
    elif verb in ("CONSUMER.CREATE", "CONSUMER.DURABLE.CREATE"):
        consumer = draw(st.sampled_from(["C", "D"]))
        config = draw(_fitting(ConsumerConfig)) | {"durable_name": consumer, "name": consumer}
        body = {"stream_name": name, "config": config}
        verb, name = f"{verb}.{name}", consumer
    else:
        names = (
            "seq",
            "filter",
            "keep",
            "offset",
            "subjects_filter",
            "last_by_subj",
            "pause_until",
        )
        body = draw(st.dictionaries(st.sampled_from(names), _VALUES | _WORDS, max_size=3))
    words = {0: "", 1: f".{name}", 2: f".S.{name}"}[
        min(ROUTES.get(verb, ROUTES["STREAM.INFO"]).words)
    ]
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 5)) == 0:
        cut = draw(st.integers(0, len(text)))
        text = text[:cut] + draw(st.binary(max_size=3)) + text[cut + 1 :]
    header = draw(st.sampled_from([b"", b"", b"NATS/1.0\r\nNats-Required-Api-Level:9"]))
    return verb + words, text, header


def _hold(target: Target, requests: list[tuple[str, bytes, bytes]]) -> None:
    target.request("STREAM.CREATE.S", b'{"name":"S","subjects":["s.>"]}', b"")
    target.store("s.a", b"x", b"")
    for verb, body, header in requests:
        answer = target.request(verb, body, header)
        known_silence = verb.startswith("CONSUMER.RESET.")
        assert answer is not None or known_silence, (verb, body)
        if answer is not None:
            shown = json.loads(answer)
            assert shown["type"].startswith("io.nats.jetstream.api.v1."), answer


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_requests(), max_size=15))
def test_over_the_fake_kernel(requests: list[tuple[str, bytes, bytes]]) -> None:
    _hold(ApiTarget(), requests)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_requests(), max_size=15))
def test_over_the_kernel(requests: list[tuple[str, bytes, bytes]]) -> None:
    target = KernelTarget()
    try:
        _hold(target, requests)
    finally:
        target.close()
