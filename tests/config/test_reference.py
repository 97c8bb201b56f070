"""The printed reference is what the table says: docs/configuration.md is made by `python -m
slipstream.config.reference`.
"""

from __future__ import annotations

from pathlib import Path

from slipstream.config.options import Options
from slipstream.config.reference import markdown
from slipstream.config.table import rows


def test_the_document_is_up_to_date() -> None:
    document = Path(__file__).parents[2] / "docs" / "configuration.md"
    assert document.read_text() == markdown(), (
        "make it anew: python -m slipstream.config.reference > docs/configuration.md"
    )


def test_every_key_is_in_it() -> None:
    text = markdown()
    for row in rows(Options):
        for key in row.spec.keys:
            assert f"`{key}`" in text
