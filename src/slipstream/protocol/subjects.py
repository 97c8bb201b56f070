"""Subjects as bytes on the wire: validity, matching, and an index of subscriptions. The readable
model of the kernel's subjects.hpp; the same tests run on both.

A token `*` stands for one token, a last token `>` for one or more. Only whole tokens are wildcards:
`a*b` is literal (K-096).
"""

from __future__ import annotations

from typing import NamedTuple

BLANKS = frozenset(b" \t\r\n\f")


def valid_subject(subject: bytes) -> bool:
    """What one may subscribe to."""
    tokens = subject.split(b".")
    return all(tokens) and b">" not in tokens[:-1] and BLANKS.isdisjoint(subject)


def valid_literal(subject: bytes) -> bool:
    """What one may publish to, strictly; without `pedantic` the server is more patient (K-097)."""
    return valid_subject(subject) and not has_wildcard(subject)


def has_wildcard(subject: bytes) -> bool:
    tokens = subject.split(b".")
    return b"*" in tokens or b">" in tokens


def subject_matches(subscribed: bytes, literal: bytes) -> bool:
    """A subject with an empty token is matched by nothing."""
    wanted, tokens = subscribed.split(b"."), literal.split(b".")
    if not all(tokens):
        return False
    if wanted[-1] == b">":
        wanted.pop()
        if len(tokens) <= len(wanted):
            return False
        tokens = tokens[: len(wanted)]
    return len(wanted) == len(tokens) and all(
        one == b"*" or one == token for one, token in zip(wanted, tokens, strict=True)
    )


class Subscription(NamedTuple):
    subject: bytes
    queue: bytes


class SubscriptionIndex:
    """Numbered subscriptions and who matches a subject: what the kernel's trie must answer."""

    def __init__(self) -> None:
        self._subscriptions: dict[int, Subscription] = {}

    def __len__(self) -> int:
        return len(self._subscriptions)

    def insert(self, key: int, subject: bytes, queue: bytes = b"") -> None:
        assert key not in self._subscriptions, "a key is used once"
        self._subscriptions[key] = Subscription(subject, queue)

    def remove(self, key: int) -> None:
        del self._subscriptions[key]

    def match(self, literal: bytes) -> tuple[set[int], dict[bytes, set[int]]]:
        """Plain subscriptions, and members by queue group: of these one gets the message."""
        plain: set[int] = set()
        groups: dict[bytes, set[int]] = {}
        for key, (subject, queue) in self._subscriptions.items():
            if not subject_matches(subject, literal):
                continue
            if queue:
                groups.setdefault(queue, set()).add(key)
            else:
                plain.add(key)
        return plain, groups
