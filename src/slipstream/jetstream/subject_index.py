"""Which of many subjects overlap, without comparing each with each.

Subjects are kept in a trie by tokens. Two of them are compared by walking their tries together, so
that the cost follows what they have in common: a configuration of tens of thousands of subjects or
filters is judged in one step of the event loop. No walk recurses: a subject may have very many
tokens. What subjects with wildcards in different places have in common can grow with a power of
their length, so a comparison ends after WORK_MAX steps with TooMuchToCompare.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from slipstream.jetstream.subjects import is_literal
from slipstream.protocol.errors import ApiError, ErrorCode

WORK_MAX = 200_000  # nodes and pairs of nodes that one comparison looks at: half a second


class TooMuchToCompare(ApiError):
    def __init__(self) -> None:
        text = "subjects have too many wildcards to be compared"
        super().__init__(ErrorCode.STREAM_INVALID_CONFIG, err=text)


class _Work:
    """What is left of a comparison's steps."""

    __slots__ = ("_left",)

    def __init__(self, steps: float = WORK_MAX) -> None:
        self._left = steps

    def step(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooMuchToCompare


_WALKED_ALONE_MAX = 16  # literal subjects; more are compared as one trie


class _Node:
    __slots__ = ("children", "least", "owners")

    def __init__(self, least: int) -> None:
        self.children: dict[str, _Node] = {}
        self.owners: set[str] = set()
        self.least = least  # the first place, in the order of arrival, of a subject at or below it


class SubjectIndex:
    """Subjects, each with its owners. Removing one does not change what `first_overlap` goes by:
    it is for an index that was only added to.
    """

    def __init__(self) -> None:
        self._root = _Node(0)
        self._count = 0

    def add(self, subjects: Iterable[str], owner: str) -> None:
        for subject in subjects:
            node = self._root
            for token in subject.split("."):
                if (child := node.children.get(token)) is None:
                    child = node.children[token] = _Node(self._count)
                node = child
            node.owners.add(owner)
            self._count += 1

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
        """Owners of overlapping subjects; one may come several times. It takes no longer than to
        look at all of the index once.
        """
        return _overlapping(self._root, subject.split("."), _Work(math.inf))

    def owners_of_any(self, subjects: Sequence[str]) -> Iterator[str]:
        """The same for many subjects. Raises TooMuchToCompare."""
        work = _Work()
        if all(map(is_literal, subjects)) and len(subjects) <= _WALKED_ALONE_MAX:
            for subject in subjects:
                yield from _overlapping(self._root, subject.split("."), work)
            return
        others = SubjectIndex()
        others.add(subjects, "")
        for mine, _ in _colliding(self._root, others._root, work):
            yield from mine.owners


class WiderSubjects:
    """Which of some subjects let something wider through: those with wildcards are kept."""

    def __init__(self, subjects: Iterable[str]) -> None:
        self._wildcards = SubjectIndex()
        self._work = _Work()
        for subject in subjects:
            if not is_literal(subject):
                self._wildcards.add([subject], subject)

    def has_wider(self, subject: str) -> bool:
        """Whether all that `subject` matches is matched by another one of them. Raises
        TooMuchToCompare when this and the questions before took too long.
        """
        tokens = subject.split(".")
        stack = [(self._wildcards._root, 0)]
        while stack:
            self._work.step()
            node, index = stack.pop()
            if index == len(tokens):
                if any(owner != subject for owner in node.owners):
                    return True
                continue
            rest = node.children.get(">")
            if rest is not None and any(owner != subject for owner in _below(rest, self._work)):
                return True
            for name in _wider_names(tokens[index]):
                if name in node.children:
                    stack.append((node.children[name], index + 1))
        return False


def is_one_within_another(subjects: Sequence[str]) -> bool:
    """Whether all that one of them matches is matched by another, which may be the same again.
    Raises TooMuchToCompare.
    """
    wider = WiderSubjects(subjects)
    repeated = any(subject and count > 1 for subject, count in Counter(subjects).items())
    return repeated or any(wider.has_wider(subject) for subject in subjects)


def first_overlap(subjects: Sequence[str]) -> int | None:
    """The place of the first that overlaps with a later one. Raises TooMuchToCompare."""
    index = SubjectIndex()
    seen: dict[str, int] = {}
    best = len(subjects)
    for place, subject in enumerate(subjects):
        if (before := seen.setdefault(subject, place)) != place:
            best = min(best, before)
    if all(map(is_literal, seen)):
        return best if best < len(subjects) else None
    for subject in subjects:
        index.add([subject], subject)
    # Pairs by the first place that they can be about: what is found first is the answer.
    order = itertools.count()
    heap = [(0, next(order), index._root, index._root)]
    work = _Work()
    while heap and heap[0][0] < best:
        _, _, first, second = heapq.heappop(heap)
        for one, other in _ends(first, second, work):
            if one is not other:
                places = [seen[subject] for node in (one, other) for subject in node.owners]
                best = min(best, *places)
        for one, other in _below_both(first, second):
            work.step()
            if (least := min(one.least, other.least)) < best:
                heapq.heappush(heap, (least, next(order), one, other))
    return best if best < len(subjects) else None


def _wider_names(token: str) -> Sequence[str]:
    """The tokens, other than `>`, that match all that this one does."""
    if token in ("", ">"):
        return ()
    return ("*",) if token == "*" else (token, "*")


def _overlapping(root: _Node, tokens: Sequence[str], work: _Work) -> Iterator[str]:
    stack = [(root, 0)]
    while stack:
        work.step()
        node, index = stack.pop()
        if index == len(tokens):
            yield from node.owners
            continue
        token = tokens[index]
        if token == ">":
            for child in node.children.values():
                yield from _below(child, work)
            continue
        if (rest := node.children.get(">")) is not None:
            yield from rest.owners
        if token == "*":
            stack += [(child, index + 1) for name, child in node.children.items() if name != ">"]
        else:
            for name in (token, "*"):
                if name in node.children:
                    stack.append((node.children[name], index + 1))


def _below(node: _Node, work: _Work) -> Iterator[str]:
    """Owners at the node and below it."""
    for end in _ends_below(node, work):
        yield from end.owners


def _ends_below(node: _Node, work: _Work) -> Iterator[_Node]:
    stack = [node]
    while stack:
        work.step()
        node = stack.pop()
        if node.owners:
            yield node
        stack += node.children.values()


def _colliding(first: _Node, second: _Node, work: _Work) -> Iterator[tuple[_Node, _Node]]:
    """Where a subject of one ends and a subject of the other that overlaps with it."""
    stack = [(first, second)]
    while stack:
        first, second = stack.pop()
        yield from _ends(first, second, work)
        for pair in _below_both(first, second):
            work.step()
            stack.append(pair)


def _ends(first: _Node, second: _Node, work: _Work) -> Iterator[tuple[_Node, _Node]]:
    """Pairs that end here, or with a `>` behind here."""
    if first.owners and second.owners:
        yield first, second
    if (rest := first.children.get(">")) is not None and rest.owners:
        for child in second.children.values():
            for end in _ends_below(child, work):
                yield rest, end
    if (rest := second.children.get(">")) is not None and rest.owners:
        for child in first.children.values():
            for end in _ends_below(child, work):
                yield end, rest


def _below_both(first: _Node, second: _Node) -> Iterator[tuple[_Node, _Node]]:
    """The pairs of children, one of each, whose tokens let a subject through that both match."""
    fewer = min(first.children, second.children, key=len)
    for name in fewer:
        if name != ">" and name in first.children and name in second.children:
            yield first.children[name], second.children[name]
    if (any_of_first := first.children.get("*")) is not None:
        for name, child in second.children.items():
            if name not in ("*", ">"):
                yield any_of_first, child
    if first is not second and (any_of_second := second.children.get("*")) is not None:
        for name, child in first.children.items():
            if name not in ("*", ">"):
                yield child, any_of_second
