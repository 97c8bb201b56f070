"""A request to the API, and what it concerns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from slipstream.jetstream.registry import Account


class Scope(NamedTuple):
    account: int
    stream: str


STREAMS = Scope(-1, "")  # the names, subjects and sizes of all streams


class Request(NamedTuple):
    """`type` is the suffix of the answer's type; `on_error` are the fields that Go shows beside an
    error.
    """

    account: Account
    cid: int
    subject: str
    reply: bytes
    header: bytes
    body: bytes
    words: list[str]  # the subject's tokens behind the verb
    type: str
    on_error: Mapping[str, Any]
    scopes: tuple[Scope, ...] = ()  # of what it proposes, and of what it is judged by
