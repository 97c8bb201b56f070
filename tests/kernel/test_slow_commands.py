"""Goal: commands that take long, because a client has prepared subscriptions that make them so, do
not keep others from their turn.

Method: a kernel with its own thread. A client subscribes with every mixture of a literal and `*`
over some tokens, so that each of its publishes walks all of them, and sends many at once with a
PING behind them. Another client's PING is answered before that one.
"""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from raw_client import RawClient
from slow_publishes import SlowPublishes, running_kernel

PUBLISHES = 1500  # all in one read


@pytest.fixture
def port() -> Iterator[int]:
    with running_kernel() as (_, number):
        yield number


def test_slow_publishes_leave_others_their_turn(port: int) -> None:
    with RawClient(port) as hostile, RawClient(port) as other:
        slow = SlowPublishes(hostile)
        other.flush()
        hostile.send(slow.text(PUBLISHES) + b"PING\r\n")
        other.flush()
        assert not select.select([hostile.socket], [], [], 0)[0], "the other one was served last"
        hostile.until(b"PONG\r\n")
