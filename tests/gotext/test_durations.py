"""Go's durations: a table of texts from its documentation, and a round trip of any number of
nanoseconds.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.gotext.durations import format_duration, parse_duration

S = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("0", 0), ("5s", 5 * S), ("1.5h", 5400 * S), ("-1.5h", -5400 * S), ("+5s", 5 * S),
        ("1h15m30.918s", 4530_918_000_000), ("100ms", S // 10), ("1µs", 1000), ("1us", 1000),
        (".5s", S // 2), ("5.s", 5 * S), ("0.5ns0.5ns", 0), ("2m0s", 120 * S),
        ("9223372036854775807ns", 2**63 - 1),
    ],
)  # fmt: skip
def test_parse(text: str, duration_ns: int) -> None:
    assert parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    "text",
    ["", "-", "3", "s", ".s", "1x", "1 s", " 1s", "1s ", "5s3", "--5s", "9223372037s", "1d"],
)
def test_parse_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


LONG = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        "1" * LONG,
        "." + "1" * LONG,
        "1." + "1" * LONG,
        "1." * LONG,
        "1" * LONG + "s",
        "1s" * LONG + "x",
    ],
    ids=["digits", "fraction", "both", "dots", "seconds", "parts"],
)
@pytest.mark.timeout(20)
def test_long_texts_are_refused_soon(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["0" * LONG + "5s", "5." + "0" * LONG + "s", "5." + "0" * LONG + "1s"]
)
def test_long_texts_of_few_nanoseconds(text: str) -> None:
    assert parse_duration(text) == 5 * S


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"), (1, "1ns"), (1100, "1.1µs"), (974_951, "974.951µs"), (2_578_893, "2.578893ms"),
        (S, "1s"), (120 * S, "2m0s"), (3600 * S, "1h0m0s"), (5_400_500_000_000, "1h30m0.5s"),
        (-S, "-1s"), (-1_000_000, "-1ms"), (1500, "1.5µs"), (3_723_004_000_000, "1h2m3.004s"),
    ],
)  # fmt: skip
def test_format(duration_ns: int, text: str) -> None:
    assert format_duration(duration_ns) == text


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_round_trip(duration_ns: int) -> None:
    assert parse_duration(format_duration(duration_ns)) == duration_ns
