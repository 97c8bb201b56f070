"""Goal: requests are read and answers written as nats-server 2.15.1 does, down to the words of its
complaints.

Method: tables of what the real server answered (the differential tests ask it again when it is at
hand), and properties: whatever the standard parser accepts the explainer accepts, whatever it
refuses the explainer explains.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.jetstream.consumer_config import CreateConsumerRequest
from slipstream.jetstream.json.decode import (
    DecodeError,
    decode,
    is_empty_request,
    looks_like_json,
)
from slipstream.jetstream.json.encode import encode
from slipstream.jetstream.json.objects import GoStruct, to_json
from slipstream.jetstream.json.syntax import explain
from slipstream.jetstream.json.times import ZERO, format_time, from_unix_ns, parse_time
from slipstream.jetstream.stream_config import Discard, StreamConfigRequest

# [request, text behind "invalid JSON: ", or null where the request was read], as answered to
# STREAM.CREATE by nats-server 2.15.1.
COMPLAINTS = json.loads(Path(__file__).with_name("json_complaints.json").read_text())


@pytest.mark.parametrize(("request_text", "complaint"), COMPLAINTS)
def test_complaints_of_the_real_server(request_text: str, complaint: str | None) -> None:  # S-050
    if complaint is None:
        decode(request_text.encode("latin-1"), StreamConfigRequest)
        return
    with pytest.raises(DecodeError) as refused:
        decode(request_text.encode("latin-1"), StreamConfigRequest)
    assert str(refused.value) == complaint


def test_tolerance_of_the_real_server() -> None:
    text = b'{"NAME":"T","Max_Msgs":5,"subjects":null,"discard":"NEW"} {"max_msgs":7}'
    request = decode(text, StreamConfigRequest)
    assert (request.name, request.max_msgs, request.subjects) == ("T", 7, [])
    assert request.discard is Discard.NEW
    assert decode(b" \n", StreamConfigRequest) == StreamConfigRequest()


def test_unknown_fields_pass_when_not_strict() -> None:
    assert decode(b'{"name":"T","bogus":1}', StreamConfigRequest, strict=False).name == "T"


def test_half_a_surrogate_pair_becomes_the_replacement_character() -> None:
    assert decode(rb'{"name":"\ud800x"}', StreamConfigRequest).name == "\ufffdx"


def test_start_time_keeps_its_offset() -> None:
    text = b'{"config":{"opt_start_time":"2024-01-01T00:00:00.120+02:00"}}'
    shown = to_json(decode(text, CreateConsumerRequest).config)
    assert shown["opt_start_time"] == "2024-01-01T00:00:00.12+02:00"


def test_answers_are_html_safe() -> None:  # S-140
    assert encode({"s": "a.>&<\u2028"}) == rb'{"s":"a.\u003e\u0026\u003c\u2028"}'


@pytest.mark.parametrize(
    ("text", "empty"),
    [(b"", True), (b"{}", True), (b" { } ", True), (b" ", False), (b"[]", False), (b"{", False)],
)
def test_empty_requests(text: bytes, empty: bool) -> None:
    assert is_empty_request(text) is empty


def test_what_looks_like_json() -> None:  # S-099
    assert [looks_like_json(text) for text in (b" \n{", b"[x", b"5", b"")] == [
        True,
        True,
        False,
        False,
    ]


def test_zero_time() -> None:  # S-057
    assert str(ZERO) == format_time(0) == "0001-01-01T00:00:00Z"
    assert parse_time(str(ZERO)).is_zero


@given(st.integers(min_value=-(10**18), max_value=2**63 - 1))
def test_times_survive_their_text(unix_ns: int) -> None:
    assert parse_time(str(from_unix_ns(unix_ns))).unix_ns == unix_ns


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)  # fmt: skip


@given(_JSON, st.data())
def test_explainer_agrees_with_the_parser(value: object, data: st.DataObject) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    position = data.draw(st.integers(0, max(len(text) - 1, 0)))
    damaged = text[:position] + data.draw(st.binary(max_size=2)) + text[position + 1 :]
    request = b'{"unknown":' + damaged + b"}"
    try:
        decode(request, GoStruct, strict=False)
    except DecodeError as error:
        complaint = str(error)
        # A second value of the wrong kind is a misfit before any later syntax error.
        if "unmarshal" not in complaint:
            assert complaint == explain(request)
    else:
        with pytest.raises(AssertionError, match="valid JSON"):
            explain(request)


def test_depth_is_bounded() -> None:
    with pytest.raises(DecodeError, match="exceeded max depth"):
        decode(b"[" * 50_000, GoStruct)


@pytest.mark.parametrize(
    "text",
    ["9999-12-31T23:59:59.999999999-23:59", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"],
)
def test_times_at_the_ends_of_the_calendar_have_a_text(text: str) -> None:
    time = parse_time(text)
    assert len(str(time)) >= len("0001-01-01T00:00:00Z")
    assert parse_time(str(time.in_utc())).unix_ns == time.unix_ns
