"""Goal: the load generator reads a server's byte stream right, however the network cuts it.

Method: frames are drawn at random, written as a server writes them, cut at random places, and must
come out as they went in; arbitrary bytes must give the same frames whole and cut.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench._load import parse_frames

TOKEN = st.binary(min_size=1, max_size=12).filter(lambda b: not set(b) & set(b" \t\r\n"))
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30)
Frame = tuple[Any, ...]


@st.composite
def messages(draw: st.DrawFn) -> tuple[bytes, Frame]:
    subject, reply = draw(TOKEN), draw(st.just(b"") | TOKEN)
    sid = draw(st.integers(0, 2**63))
    header, body = (
        draw(st.just(b"") | st.binary(min_size=1, max_size=40)),
        draw(st.binary(max_size=99)),
    )
    words = [b"HMSG" if header else b"MSG", subject, b"%d" % sid]
    # K-010: an empty reply may leave two blanks behind.
    words += [reply] if reply or draw(st.booleans()) else []
    words += [b"%d" % len(header)] if header else []
    words += [b"%d" % len(header + body)]
    line = b" ".join(words) + b"\r\n" + header + body + b"\r\n"
    return line, ("message", sid, subject, reply, header, body)


def line(kind: str, written: bytes) -> st.SearchStrategy[tuple[bytes, Frame]]:
    return st.just((written + b"\r\n", (kind,)))


# K-009 to K-012
FRAMES = st.one_of(
    messages(),
    line("ping", b"PING"),
    line("pong", b"PONG"),
    line("ok", b"+OK"),
    TEXT.map(lambda t: (b"INFO {%s} \r\n" % t.encode(), ("info", b"{%s} " % t.encode()))),
    TEXT.map(lambda t: (b"-ERR '%s'\r\n" % t.encode(), ("error", b" '%s'" % t.encode()))),
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(FRAMES, max_size=12), st.lists(st.integers(0, 10**6), max_size=20))
def test_any_cut_gives_the_same_frames(
    frames: list[tuple[bytes, Frame]], places: list[int]
) -> None:
    stream = b"".join(written for written, _ in frames)
    assert parse_frames(cut(stream, places)) == [frame for _, frame in frames]


@given(st.lists(FRAMES, min_size=1, max_size=4))
def test_byte_by_byte(frames: list[tuple[bytes, Frame]]) -> None:
    stream = b"".join(written for written, _ in frames)
    assert parse_frames([bytes([b]) for b in stream]) == [frame for _, frame in frames]


@given(
    st.lists(
        st.sampled_from([b"MSG ", b"HMSG ", b" ", b"1", b"12", b"a", b"\r\n", b"\n", b"PING"])
        | st.binary(max_size=5),
        max_size=30,
    ),
    st.lists(st.integers(0, 10**6), max_size=10),
)
def test_arbitrary_bytes_do_not_depend_on_the_cut(parts: list[bytes], places: list[int]) -> None:
    stream = b"".join(parts)
    assert parse_frames(cut(stream, places)) == parse_frames([stream])


@pytest.mark.parametrize(
    "bad",
    [
        b"MSG\r\n",
        b"MSG a 1\r\n",
        b"MSG a 1 x\r\n",
        b"MSG a b 0\r\n\r\n",
        b"MSG a 1 b c 0\r\n\r\n",
        b"MSG a 1 99999999999999\r\n",
        b"HMSG a 1 5 4\r\nabcd\r\n",
        b"MSG a 1 2\r\nabXY",
        b"HELLO\r\n",
        b"x" * (1 << 21),
    ],
)
def test_malformed(bad: bytes) -> None:
    assert parse_frames([b"PING\r\n" + bad]) == [("ping",), ("malformed",)]


def test_a_large_payload_in_small_pieces() -> None:
    body = bytes(range(256)) * 8192
    stream = b"MSG a 1 %d\r\n%s\r\nPING\r\n" % (len(body), body)
    pieces = [stream[i : i + 65536] for i in range(0, len(stream), 65536)]
    assert parse_frames(pieces) == [("message", 1, b"a", b"", b"", body), ("ping",)]
