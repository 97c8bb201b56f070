"""Subjects as the API judges them: validity, overlap, subset. The kernel's matcher has the same
rules compiled.

A token `*` stands for one token and a last token `>` for one or more. Only whole tokens are
wildcards; `a*b` is literal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

_BLANKS = frozenset("\t\n\f\r ")


def is_valid(subject: str) -> bool:
    """No empty token, no blank inside a token, nothing behind `>` (K-096)."""
    tokens = subject.split(".")
    return all(tokens) and ">" not in tokens[:-1] and _BLANKS.isdisjoint(subject)


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


class _Node:
    __slots__ = ("children", "owners")

    def __init__(self) -> None:
        self.children: dict[str, _Node] = {}
        self.owners: set[str] = set()


class SubjectIndex:
    """Which streams capture a subject that overlaps a given one, without comparing with every
    stream.
    """

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, subjects: Iterable[str], owner: str) -> None:
        for subject in subjects:
            node = self._root
            for token in subject.split("."):
                node = node.children.setdefault(token, _Node())
            node.owners.add(owner)

    def remove(self, subjects: Iterable[str], owner: str) -> None:
        for subject in subjects:
            path = [self._root]
            tokens = subject.split(".")
            for token in tokens:
                path.append(path[-1].children[token])
            path[-1].owners.remove(owner)
            for parent, token in zip(reversed(path[:-1]), reversed(tokens), strict=True):
                child = parent.children[token]
                if child.children or child.owners:
                    break
                del parent.children[token]

    def owners(self, subject: str) -> Iterator[str]:
        """Owners of overlapping subjects; one may come several times."""
        return _overlapping(self._root, subject.split("."))


def _overlapping(root: _Node, tokens: Sequence[str]) -> Iterator[str]:
    """Without recursion: a subject may have more tokens than the interpreter has frames."""
    waiting = [(root, 0)]
    while waiting:
        node, index = waiting.pop()
        if index == len(tokens):
            yield from node.owners
            continue
        token = tokens[index]
        if token == ">":
            yield from _below(node)
            continue
        if (rest := node.children.get(">")) is not None:
            yield from rest.owners
        if token == "*":
            names = [name for name in node.children if name != ">"]
        else:
            names = [name for name in (token, "*") if name in node.children]
        waiting += [(node.children[name], index + 1) for name in reversed(names)]


def _below(root: _Node) -> Iterator[str]:
    """Owners below it, its own not counted."""
    waiting = list(root.children.values())
    while waiting:
        node = waiting.pop()
        yield from node.owners
        waiting += node.children.values()
