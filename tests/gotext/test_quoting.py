"""Goal: one writer of Go's quoted text: for complaints about JSON and parameters, for the log, and
for the character that a JSON text may not have.

Method: a table of what strconv.Quote and strconv.QuoteRune write, and properties over any text.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.gotext.quoting import escaped, one_line, quote, quote_character
from slipstream.gotext.syntax import fault_of_single


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (b'a"\\\x00\x1f \x7f', r"a\"\\\x00\x1f \x7f"),
        (b"\a\b\f\n\r\t\v'", r"\a\b\f\n\r\t\v'"),
        (b"\xc3\xa4\xfe", "\u00e4\\xfe"),
        ("\u200b\U000e0001".encode(), r"\u200b\U000e0001"),
        (b"\xed\xa0\x80", r"\xed\xa0\x80"),
    ],
)
def test_text(shown: bytes, text: str) -> None:
    assert escaped(shown) == text
    assert quote(shown.decode("utf-8", "surrogateescape")) == f'"{text}"'


@pytest.mark.parametrize(
    ("character", "text"),
    [("'", r"'\''"), ('"', "'\"'"), ("\\", r"'\\'"), ("\u200b", r"'\u200b'"),
     ("\U000e0001", r"'\U000e0001'"), ("\u00e4", "'\u00e4'")],
)  # fmt: skip
def test_a_character(character: str, text: str) -> None:
    assert quote_character(character) == text
    fault = fault_of_single(character.encode())
    expected = f"invalid character {text} looking for beginning of value"
    assert character == '"' or (fault is not None and fault.startswith(expected))


@given(st.text())
def test_what_is_quoted_stands_on_one_line(text: str) -> None:
    assert quote(text).isprintable()
    assert one_line(text).isprintable()


@given(st.text())
def test_one_line_leaves_alone_what_is_printable(text: str) -> None:
    kept = "".join(c for c in text if c.isprintable())
    assert one_line(kept) == kept
