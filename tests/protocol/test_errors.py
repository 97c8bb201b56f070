"""Goal: the error table and its names cannot drift apart, and a raised error fills its template
completely.

Method: the shipped data file is read again and compared; templates are raised with right, wrong and
missing placeholders.
"""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from slipstream.protocol.errors import ERROR_TABLE, ApiError, ErrorCode


def test_every_row_has_a_name_and_every_name_a_row() -> None:
    rows = json.loads(files("slipstream.protocol").joinpath("errors.json").read_text())
    assert len(rows) == 226  # E-004
    assert {row["error_code"] for row in rows} == {int(code) for code in ErrorCode}
    assert set(ERROR_TABLE) == {int(code) for code in ErrorCode}


def test_plain_error() -> None:
    error = ApiError(ErrorCode.STREAM_NOT_FOUND)
    assert error.to_json_object() == {
        "code": 404,
        "err_code": 10059,
        "description": "stream not found",
    }
    assert str(error) == "stream not found (10059)"


def test_template_is_filled() -> None:  # E-002
    error = ApiError(ErrorCode.STREAM_EXTERNAL_API_OVERLAP, prefix="a.b", subject="$JS.API")
    assert error.description == "stream external api prefix a.b must not overlap with $JS.API"


def test_value_that_looks_like_a_placeholder_stays() -> None:
    error = ApiError(ErrorCode.STREAM_GENERAL_ERROR, err="{err}")
    assert error.description == "{err}"


def test_wrong_placeholders_are_refused() -> None:
    with pytest.raises(ValueError, match="needs its placeholders"):
        ApiError(ErrorCode.STREAM_INVALID_CONFIG)
    with pytest.raises(ValueError, match="has no placeholder"):
        ApiError(ErrorCode.STREAM_NOT_FOUND, err="x")
