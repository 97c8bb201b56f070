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

from slipstream.gotext.decode import (
    EXPLAINED_BYTES_MAX,
    DecodeError,
    decode,
    decode_single,
    is_empty_request,
    looks_like_json,
)
from slipstream.gotext.encode import encode
from slipstream.gotext.nesting import flattened, is_deep
from slipstream.gotext.objects import GoStruct, to_json
from slipstream.gotext.syntax import fault_of_sequence
from slipstream.gotext.times import ZERO, format_time, from_unix_ns, parse_time
from slipstream.jetstream.api.requests import PurgeRequest
from slipstream.jetstream.consumer_config import CreateConsumerRequest
from slipstream.jetstream.stream_config import Discard, StreamConfigRequest, StreamSource

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
            assert complaint == fault_of_sequence(request)
    else:
        assert fault_of_sequence(request) is None


def complaint_of(text: bytes) -> str:
    with pytest.raises(DecodeError) as caught:
        decode(text, PurgeRequest)
    return str(caught.value)


@pytest.mark.parametrize("depth", [60, 64, 65, 900, 1_000, 5_000, 9_999])
@pytest.mark.parametrize(
    ("kind", "opened", "inmost", "closed"),
    [("array", b"[", b"", b"]"), ("object", b'{"a":', b"1", b"}")],
)
def test_deep_values_are_judged_by_their_field(
    depth: int, kind: str, opened: bytes, inmost: bytes, closed: bytes
) -> None:  # nats-server 2.15.1 says the same
    value = opened * depth + inmost + closed * depth
    assert complaint_of(b'{"nope":' + value + b"}") == 'json: unknown field "nope"'
    misfit = complaint_of(b'{"seq":' + value + b"}")
    assert misfit.startswith(f"json: cannot unmarshal {kind} into Go struct field ")
    text = b'{"filter":"]]]}}} \\" [[[","ignored":' + value + b',"seq":7} '
    found = decode(text, PurgeRequest, strict=False)
    assert (found.seq, found.subject_filter) == (7, ']]]}}} " [[[')


def test_depth_is_bounded_as_in_go() -> None:
    assert complaint_of(b'{"seq":' + b"[" * 10_000 + b"]" * 10_000 + b"}") == (
        "exceeded max depth at offset 10007"
    )
    assert complaint_of(b'{"seq":' + b'{"a":' * 9_999 + b"[1]" + b"}" * 10_000) == (
        "exceeded max depth at offset 50003"
    )
    assert complaint_of(b"[" * 5_000) == "unexpected EOF"
    assert complaint_of(b"[" * 50_000) == "exceeded max depth at offset 10001"
    assert complaint_of(b"[" * 500_000) == "exceeded max depth"


@given(_JSON, st.integers(0, 200))
def test_what_is_cut_off_is_what_is_deep(value: object, depth: int) -> None:
    text = "[" * depth + json.dumps(value) + "]" * depth
    if not is_deep(text.encode()):
        return
    shown = flattened(text)
    json.loads(shown)
    assert not is_deep(shown.encode())
    assert flattened(shown) == shown


def test_long_faulty_texts_are_not_explained() -> None:
    faulty = b'{"filter":"' + b"x" * EXPLAINED_BYTES_MAX + b'",}'
    assert "line 1 column" in complaint_of(faulty)
    assert "looking for" in complaint_of(faulty.replace(b"x" * 1000, b"x"))


@pytest.mark.parametrize("digits", [b"9" * 5_000, b"-" + b"9" * 5_000, b"1." + b"1" * 5_000])
def test_numbers_of_any_length(digits: bytes) -> None:
    assert complaint_of(b'{"seq":' + digits + b"}").startswith("json: cannot unmarshal number ")
    with pytest.raises(DecodeError):
        decode_single(b'{"seq":' + digits + b"}", PurgeRequest)


@pytest.mark.parametrize(
    "text",
    ["9999-12-31T23:59:59.999999999-23:59", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z"],
)
def test_times_at_the_ends_of_the_calendar_have_a_text(text: str) -> None:
    time = parse_time(text)
    assert -(2**63) <= time.unix_ns <= 2**63 - 1
    assert len(str(time)) >= len("0001-01-01T00:00:00Z")
    assert parse_time(str(time.in_utc())).unix_ns == time.unix_ns


def test_null_in_a_list_is_the_zero_value_of_an_element() -> None:
    """As in Go; each element is its own."""
    text = b'{"name":"A","subject_transforms":[null,{"src":"a"},null]}'
    source = decode(text, StreamSource)
    shown = [(t.source, t.destination) for t in source.subject_transforms]
    assert shown == [("", ""), ("a", ""), ("", "")]
    assert source.subject_transforms[0] is not source.subject_transforms[2]
