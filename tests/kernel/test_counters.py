"""Goal: counters count exactly, whatever the size of the numbers.

Method: the kernel's decimal arithmetic against Python's integers; then a counter that takes
increments from clients and totals of two origins in random order, against a model of a dozen lines.
tests/differential holds the whole against nats-server.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.kernel import _kernel

NUMBERS = st.integers() | st.integers(-(10**80), 10**80) | st.sampled_from([0, 9, 10, -10, 10**40])


@given(NUMBERS, NUMBERS)
def test_arithmetic(a: int, b: int) -> None:
    first, second = b"%d" % a, b"%d" % b
    assert _kernel.add_decimals(first, second) == b"%d" % (a + b)
    assert _kernel.add_decimals(first, second, subtract=True) == b"%d" % (a - b)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [(b"+5", b"5"), (b"-0", b"0"), (b"007", b"7"), (b"-000", b"0"), (b"-012", b"-12")],
)
def test_what_is_a_number(text: bytes, canonical: bytes) -> None:
    assert _kernel.add_decimals(text, b"0") == canonical


@pytest.mark.parametrize("text", [b"", b"+", b"-", b"1.5", b"1e3", b"0x1", b"1_0", b" 1", b"--1"])
def test_what_is_no_number(text: bytes) -> None:
    assert _kernel.add_decimals(text, b"0") is None


def header_value(header: bytes, name: bytes) -> bytes | None:
    values = [
        line.removeprefix(name + b": ")
        for line in header.split(b"\r\n")
        if line.startswith(name + b":")
    ]
    assert len(values) <= 1, header
    return values[0] if values else None


def block(**headers: str) -> bytes:
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"NATS/1.0\r\n{lines}\r\n".encode()


@given(st.lists(st.tuples(st.sampled_from(["", "A", "B"]), NUMBERS), min_size=1, max_size=12))
def test_totals_of_increments_and_sources(steps: list[tuple[str, int]]) -> None:  # S-200..S-202
    last, total = None, 0
    seen: dict[str, dict[str, str]] = {}
    for origin, number in steps:
        if origin:
            source = f"{origin} 7 > > there.<{origin}>"
            header = block(Nats_Incr="999", Nats_Stream_Source=source, X="y")
            body = b'{"val":"%d"}' % number
            subjects = seen.setdefault(origin, {})
            increment = number - int(subjects.get(f"there.<{origin}>", "0"))
            subjects[f"there.<{origin}>"] = str(number)
        else:
            increment = number
            header, body = block(Nats_Incr=f"{number:+d}", X="y"), b""
        total += increment
        last = _kernel.next_counter_message(last, b"here", header, body)
        assert last is not None
        assert last[1] == b'{"val":"%d"}' % total
        assert int(header_value(last[0], b"Nats-Incr") or b"") == increment
        assert header_value(last[0], b"X") == b"y"
        sources = header_value(last[0], b"Nats-Counter-Sources")
        assert (json.loads(sources) if sources else {}) == seen
        assert b"<" not in (sources or b"")  # S-140


@pytest.mark.parametrize(
    ("last", "header", "body"),
    [
        ((b"", b"12"), block(Nats_Incr="1"), b""),
        ((b"", b'{"val":12}'), block(Nats_Incr="1"), b""),
        ((b"", b'{"val":"1"'), block(Nats_Incr="1"), b""),
        ((block(Nats_Counter_Sources="[]"), b'{"val":"1"}'), block(Nats_Incr="1"), b""),
        (None, block(Nats_Incr="1", Nats_Stream_Source="A 1 > > a"), b"1"),
        (None, block(Nats_Incr="one"), b""),
    ],
)
def test_broken_counters(last, header, body) -> None:  # S-203
    assert _kernel.next_counter_message(last, b"s", header, body) is None
