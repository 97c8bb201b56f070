"""Goal: the errors that the kernel answers by itself are those of the one table.

Method: the constants of publish_errors.hpp are read as text and held against protocol/errors.json:
each code exists with this HTTP-like number, and a fixed text fits the row's template. A text that
the kernel fills in while it runs (nullptr) must belong to a row with a placeholder.
"""

from __future__ import annotations

import re

import pytest

from slipstream.protocol.errors import ERROR_TABLE
from source_tree import PACKAGE

ROW = re.compile(r"\bk(\w+)\{(\d{3}), (1\d{4}), (nullptr|\"(?:[^\"\\]|\\.)*\")\}")
SOURCE = (PACKAGE / "kernel" / "src" / "stream" / "publish_errors.hpp").read_text()
ERRORS = ROW.findall(SOURCE)


def test_the_table_was_found() -> None:
    assert len(ERRORS) >= 15


@pytest.mark.parametrize(("name", "code", "error_code", "text"), ERRORS)
def test_row(name: str, code: str, error_code: str, text: str) -> None:
    row = ERROR_TABLE[int(error_code)]
    assert row.code == int(code), name
    if text == "nullptr":
        assert "{" in row.template
        return
    parts = re.split(r"\{\w+\}", row.template)
    assert re.fullmatch(".+".join(re.escape(part) for part in parts), text.strip('"'))
