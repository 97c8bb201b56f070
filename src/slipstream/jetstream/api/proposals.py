"""What was proposed and is not committed yet, and who waits for it.

A handler judges by what is proposed, because entries are applied in the order of their proposals:
names, overlaps and limits count from then on. Readers find it only when it is committed. So what a
handler refuses, or grants because it exists already, is *held* until every proposal that it may
have been judged by is committed. If one of them fails, the request is judged again.

Proposals are found by scope: the stream that they concern, and STREAMS if they change what other
streams are judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from slipstream.jetstream.api.api_request import Request, Scope

# Held requests, and what they keep in memory; further ones are refused for want of room.
HELD_MAX = 10_000
HELD_BYTES_MAX = 64 << 20

Committed = Callable[[int, int], None]  # (result, now_ns)
Caller = tuple[Request | None, Committed]


class Held(NamedTuple):
    """Both callbacks get the time. `last_token` is the newest proposal that it waits for."""

    request: Request
    last_token: int
    answer: Callable[[int], None]
    judge_again: Callable[[int], None]

    @property
    def size(self) -> int:
        return len(self.request.body) + len(self.request.header)


class _Proposal:
    __slots__ = ("callers", "held", "scopes")

    def __init__(self, scopes: Iterable[Scope], caller: Caller) -> None:
        self.scopes = scopes
        self.callers = [caller]
        self.held: list[Held] = []


class Proposals:
    def __init__(self) -> None:
        self.next_token = 1
        self._proposals: dict[int, _Proposal] = {}
        self._by_scope: dict[Scope, dict[int, None]] = {}  # tokens, oldest first
        self._held_count = self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._proposals)

    def add(self, scopes: Iterable[Scope], request: Request | None, callback: Committed) -> int:
        token = self.next_token
        self.next_token += 1
        self._proposals[token] = _Proposal(scopes, (request, callback))
        for scope in scopes:
            self._by_scope.setdefault(scope, {})[token] = None
        return token

    def forget(self, first: int) -> None:
        """Those from `first` on: the kernel did not take them up."""
        for token in range(first, self.next_token):
            assert not self._remove(token)[1], "held by a proposal that was never made"

    def concern(self, scopes: Iterable[Scope]) -> bool:
        return any(scope in self._by_scope for scope in scopes)

    def hold(
        self, request: Request, answer: Callable[[int], None], judge_again: Callable[[int], None]
    ) -> bool:
        """Until all is committed that concerns the request now, which is something. False: too many
        are held.
        """
        newest = max(next(reversed(t)) for s in request.scopes if (t := self._by_scope.get(s)))
        held = Held(request, newest, answer, judge_again)
        if self._held_count >= HELD_MAX or self._held_bytes + held.size > HELD_BYTES_MAX:
            return False
        self._held_count += 1
        self._held_bytes += held.size
        self._proposals[newest].held.append(held)
        return True

    def committed(self, token: int) -> tuple[list[Caller], list[Held]]:
        """Who waited for it, and what is to be answered now. Both are empty for an unknown token:
        a failing store has refused what was under way, and what the journal had taken up before is
        applied nevertheless.
        """
        callers, held = self._remove(token)
        return callers, [one for one in held if not self._wait_on(one)]

    def abandoned(self, token: int) -> tuple[list[Caller], list[Held]]:
        """Who waited for it, and what is to be judged again."""
        callers, held = self._remove(token)
        self._let_go(held)
        return callers, held

    def store_failed(self) -> list[Request]:
        """All that waited, to be refused. The proposals stay: nobody knows what becomes of them."""
        waiting: list[Request] = []
        for proposal in self._proposals.values():
            waiting += [request for request, _ in proposal.callers if request is not None]
            waiting += [held.request for held in proposal.held]
            proposal.callers, proposal.held = [], []
        self._held_count = self._held_bytes = 0
        return waiting

    def _wait_on(self, held: Held) -> bool:
        """Logs of several streams are committed in an order of their own. False: all are."""
        for token in self._oldest(held.request.scopes):
            if token <= held.last_token:
                self._proposals[token].held.append(held)
                return True
        self._let_go([held])
        return False

    def _oldest(self, scopes: Iterable[Scope]) -> Iterator[int]:
        return (next(iter(tokens)) for s in scopes if (tokens := self._by_scope.get(s)))

    def _let_go(self, held: list[Held]) -> None:
        self._held_count -= len(held)
        self._held_bytes -= sum(one.size for one in held)

    def _remove(self, token: int) -> tuple[list[Caller], list[Held]]:
        proposal = self._proposals.pop(token, None)
        if proposal is None:
            return [], []
        for scope in proposal.scopes:
            tokens = self._by_scope[scope]
            del tokens[token]
            if not tokens:
                del self._by_scope[scope]
        return proposal.callers, proposal.held

    def check(self) -> None:
        """Invariants, for tests to call after every step."""
        held = [one for proposal in self._proposals.values() for one in proposal.held]
        assert self._held_count == len(held) <= HELD_MAX
        assert self._held_bytes == sum(one.size for one in held) <= HELD_BYTES_MAX
        for scope, tokens in self._by_scope.items():
            assert tokens
            assert list(tokens) == sorted(tokens)
            assert all(scope in self._proposals[token].scopes for token in tokens)
        for token, proposal in self._proposals.items():
            assert all(one.last_token >= token for one in proposal.held)
