"""Subjects as the API judges them: validity, overlap, subset. The kernel's matcher has the same
rules compiled.

A token `*` stands for one token and a last token `>` for one or more. Only whole tokens are
wildcards; `a*b` is literal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SUBJECT_CHARACTERS_MAX = 65_535
TOKENS_MAX = 100_000  # of all subjects of a stream or filters of a consumer
_BLANKS = frozenset("\t\n\f\r ")


def is_valid(subject: str) -> bool:
    """No empty token, no blank inside a token, nothing behind `>` (K-096). Nobody can publish or
    subscribe to more than SUBJECT_CHARACTERS_MAX, and each token of a longer one costs memory.
    """
    if len(subject) > SUBJECT_CHARACTERS_MAX:
        return False
    tokens = subject.split(".")
    return all(tokens) and ">" not in tokens[:-1] and _BLANKS.isdisjoint(subject)


def are_bounded(subjects: Iterable[str]) -> bool:
    """Whether they are few and short enough to be judged in one step of the event loop."""
    tokens = 0
    for subject in subjects:
        tokens += subject.count(".") + 1
        if tokens > TOKENS_MAX or len(subject) > SUBJECT_CHARACTERS_MAX:
            return False
    return True


def has_no_blank(subject: str) -> bool:
    return _BLANKS.isdisjoint(subject)


def is_literal(subject: str) -> bool:
    tokens = subject.split(".")
    return "*" not in tokens and ">" not in tokens


def is_valid_publish(subject: str) -> bool:
    return is_valid(subject) and is_literal(subject)


def is_subset(subject: str, of: str) -> bool:
    """Whether every subject that `subject` matches is matched by `of`."""
    return is_subset_of_tokens(subject.split("."), of.split("."))


def is_subset_of_tokens(tokens: Sequence[str], of: Sequence[str]) -> bool:
    for index, wide in enumerate(of):
        if index >= len(tokens) or not wide:
            return False
        if wide == ">":
            return True
        narrow = tokens[index]
        if narrow in ("", ">") or (narrow == "*" and wide != "*"):
            return False
        if wide != "*" and narrow != wide:
            return False
    return len(tokens) == len(of)


def collide(first: str, second: str) -> bool:
    """Whether some subject is matched by both."""
    if first == second:
        return True
    a, b = first.split("."), second.split(".")
    for left, right in zip(a, b, strict=False):
        if ">" in (left, right):
            return True
        if "*" not in (left, right) and left != right:
            return False
    return len(a) == len(b)
