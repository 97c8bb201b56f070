"""Goal: overlap and subset are decided exactly.

Method: over a small alphabet every subject is enumerated, so that the definitions ("some subject is
matched by both", "every subject matched by one is matched by the other") can be tried by brute
force; the index is compared with pairwise comparison.
"""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from slipstream.jetstream import subjects

_TOKENS = ("a", "b", "*")
_LITERALS = [
    ".".join(tokens) for length in range(1, 5) for tokens in itertools.product("abc", repeat=length)
]


def _matches(literal: str, pattern: str) -> bool:
    have, want = literal.split("."), pattern.split(".")
    for index, token in enumerate(want):
        if token == ">":
            return len(have) > index
        if index >= len(have) or token not in ("*", have[index]):
            return False
    return len(have) == len(want)


@st.composite
def _patterns(draw: st.DrawFn) -> str:
    tokens = draw(st.lists(st.sampled_from(_TOKENS), min_size=0, max_size=3))
    return ".".join([*tokens, draw(st.sampled_from((*_TOKENS, ">")))])


@given(_patterns(), _patterns())
def test_collide_means_a_common_subject(first: str, second: str) -> None:
    common = any(_matches(s, first) and _matches(s, second) for s in _LITERALS)
    assert subjects.collide(first, second) is common


@given(_patterns(), _patterns())
def test_subset_is_sound(narrow: str, wide: str) -> None:
    if subjects.is_subset(narrow, wide):
        assert all(_matches(s, wide) for s in _LITERALS if _matches(s, narrow))


@given(st.lists(_patterns(), max_size=6), _patterns(), st.data())
def test_index_equals_pairwise_comparison(
    captured: list[str], subject: str, data: st.DataObject
) -> None:
    index = subjects.SubjectIndex()
    for owner, pattern in enumerate(captured):
        index.add([pattern], str(owner))
    removed = data.draw(st.sets(st.integers(0, len(captured) - 1))) if captured else set()
    for owner in removed:
        index.remove([captured[owner]], str(owner))
    expected = {
        str(owner)
        for owner, pattern in enumerate(captured)
        if owner not in removed and subjects.collide(pattern, subject)
    }
    assert set(index.owners(subject)) == expected


def test_validity() -> None:
    for valid in ("a", "a.b", "*", ">", "a.>", "a*b", "a.*.>", "é"):
        assert subjects.is_valid(valid), valid
    for invalid in ("", ".", "a.", ".a", "a..b", "a. .b", "a b", ">.a", "a\t"):
        assert not subjects.is_valid(invalid), invalid
    assert subjects.is_literal("a*b")
    assert not subjects.is_literal("a.*")


def test_subjects_of_any_depth_find_their_owners() -> None:
    """Deeper than the interpreter's stack."""
    deep = ".".join(["a"] * 50_000)
    index = subjects.SubjectIndex()
    index.add([f"{deep}.b", f"{deep}.>", f"*.{deep}"], "S")
    for asked in (f"{deep}.b", f"{deep}.*", f"{deep}.>", "*.>", ">"):
        assert set(index.owners(asked)) == {"S"}
    index.remove([f"{deep}.b", f"{deep}.>", f"*.{deep}"], "S")
    assert not set(index.owners(">"))
