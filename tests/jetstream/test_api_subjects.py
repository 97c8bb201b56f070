"""Goal: overlap and subset are decided exactly.

Method: over a small alphabet every subject is enumerated, so that the definitions ("some subject is
matched by both", "every subject matched by one is matched by the other") can be tried by brute
force; the index is compared with pairwise comparison.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation import Conversation
from slipstream.jetstream import subjects
from slipstream.jetstream.subject_index import (
    SubjectIndex,
    TooMuchToCompare,
    WiderSubjects,
    first_overlap,
    is_one_within_another,
)

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
    index = SubjectIndex()
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


_MANY = st.lists(_patterns(), max_size=8)


@given(_MANY, _MANY)
def test_owners_of_any_equal_pairwise_comparison(captured: list[str], asked: list[str]) -> None:
    index = SubjectIndex()
    for owner, pattern in enumerate(captured):
        index.add([pattern], str(owner))
    expected = {
        str(owner)
        for owner, pattern in enumerate(captured)
        if any(subjects.collide(pattern, subject) for subject in asked)
    }
    assert set(index.owners_of_any(asked)) == expected


@given(_MANY)
def test_the_first_overlap_equals_pairwise_comparison(patterns: list[str]) -> None:
    places = [
        place
        for place, pattern in enumerate(patterns)
        if any(subjects.collide(pattern, later) for later in patterns[place + 1 :])
    ]
    assert first_overlap(patterns) == (places[0] if places else None)


@given(st.lists(_patterns(), max_size=8, unique=True))
def test_wider_equals_pairwise_comparison(patterns: list[str]) -> None:
    wider = WiderSubjects(patterns)
    for pattern in patterns:
        others = [other for other in patterns if other != pattern]
        assert wider.has_wider(pattern) == any(subjects.is_subset(pattern, o) for o in others)


@given(_MANY)
def test_one_within_another_equals_pairwise_comparison(patterns: list[str]) -> None:
    within = any(subjects.is_subset(a, b) for a, b in itertools.permutations(patterns, 2))
    assert is_one_within_another(patterns) == within


@pytest.mark.parametrize("tokens", [["a"], ["a", "*"]])
def test_subjects_of_more_tokens_than_a_call_stack_holds(tokens: list[str]) -> None:
    deep = ".".join(tokens * 10_000)
    index = SubjectIndex()
    index.add([deep, f"{deep}.b", f"{deep}.>"], deep)
    assert set(index.owners(deep)) == {deep}
    assert set(index.owners_of_any([deep])) == {deep}
    assert not WiderSubjects([deep]).has_wider(deep)
    assert first_overlap([deep, f"{deep}.b", f"{deep}.>"]) == 1


def _crossed(count: int) -> list[str]:
    """No two overlap; each of one half is compared with all of the other by a walk from it."""
    return [f"*.c{i}" for i in range(count)] + [f"x{i}.y" for i in range(count)]


def _entangled(tokens: Sequence[str], depth: int) -> list[str]:
    """No two overlap, because their last tokens differ; before that many do."""
    heads = itertools.product(tokens, repeat=depth)
    return [".".join((*head, f"x{place}")) for place, head in enumerate(heads)]


def test_a_comparison_ends() -> None:
    """Its work grows with a power of the number of tokens."""
    entangled = _entangled("ab*", 8)
    assert subjects.are_bounded(entangled)
    with pytest.raises(TooMuchToCompare):
        first_overlap(entangled)
    literals = [f"{'a.' * 10}y{i}" for i in range(5000)]
    crossing = _entangled("a*", 10)
    index = SubjectIndex()
    index.add(crossing, "S")
    assert not list(index.owners_of_any(literals))  # compared as a whole
    wider = WiderSubjects(crossing)
    with pytest.raises(TooMuchToCompare):
        any(map(wider.has_wider, literals))


def test_subjects_that_are_too_many_or_too_long_are_refused() -> None:
    long = ".".join(["a"] * 40_000)
    many = [f"s{i}.*.{i}" for i in range(40_000)]
    talk = Conversation()
    for names in ([long, "b.*"], many, [long[:1000], *many]):
        config = {"name": "S", "subjects": names}
        assert talk.error("STREAM.CREATE.S", config)[0] == 10052
        source = {"name": "O", "subject_transforms": [{"src": name} for name in names]}
        assert talk.error("STREAM.CREATE.S", {"name": "S", "sources": [source]})[0] == 10052
    talk.ok("STREAM.CREATE.S", {"name": "S", "subjects": ["s"]})
    for names in ([long, "b.*"], many):
        asked = {"stream_name": "S", "config": {"name": "C", "filter_subjects": names}}
        assert talk.error("CONSUMER.CREATE.S.C", asked)[0] == 10052
    entangled = {"name": "T", "subjects": _entangled("ab*", 8)}
    code, text = talk.error("STREAM.CREATE.T", entangled)
    assert (code, text) == (10052, "subjects have too many wildcards to be compared")


def test_the_work_for_many_subjects_follows_their_number() -> None:
    def steps(work: Callable[[], object]) -> int:
        lines = 0

        def count_lines(frame: FrameType, event: str, _: object) -> Any:
            nonlocal lines
            lines += event == "line" and frame.f_code.co_filename.endswith("subject_index.py")
            return count_lines

        sys.settrace(count_lines)
        try:
            work()
        finally:
            sys.settrace(None)
        return lines

    def everything(count: int) -> None:
        crossed = _crossed(count)
        index = SubjectIndex()
        for subject in crossed:
            index.add([subject], subject)
        assert first_overlap(crossed) is None
        wider = WiderSubjects(crossed)
        assert not any(wider.has_wider(subject) for subject in crossed)
        assert not list(index.owners_of_any(["z.z", *(f"z.z{i}" for i in range(count))]))

    assert not first_overlap([*(f"x{i}.*" for i in range(400)), *_crossed(400)])
    few, many = steps(lambda: everything(50)), steps(lambda: everything(400))
    assert many < 10 * few


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
    index = SubjectIndex()
    index.add([f"{deep}.b", f"{deep}.>", f"*.{deep}"], "S")
    for asked in (f"{deep}.b", f"{deep}.*", f"{deep}.>", "*.>", ">"):
        assert set(index.owners(asked)) == {"S"}
    index.remove([f"{deep}.b", f"{deep}.>", f"*.{deep}"], "S")
    assert not set(index.owners(">"))


def test_a_subject_that_nobody_can_use_is_invalid() -> None:
    longest = "a" * subjects.SUBJECT_CHARACTERS_MAX
    assert subjects.is_valid(longest)
    assert not subjects.is_valid(longest + "a")
