"""Goal: what Python asks of a busy kernel does not wait for a turn with each of its calls: a
request takes several calls, and a round of requests dozens.

Method: a kernel with its own thread that has no pause, and whose turns are long, because a client
publishes through thousands of subscriptions that match nothing. Somebody makes some calls, one
behind the other. That several of them find room between two turns depends on the scheduler, which
need not let it happen at once; without such room it happens never. While the loop works on what
the kernel gave it, turns are also shorter: counted in messages.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from raw_client import RawClient
from slipstream.kernel import Kernel
from slow_publishes import SlowPublishes, running_kernel

PUBLISHES = 3000
BUSY_MESSAGES = 100
FLOOD = 600
CALLS = 20
ATTEMPTS_MAX = 50


@pytest.fixture
def kernel() -> Iterator[tuple[Kernel, int]]:
    with running_kernel() as running:
        yield running


def test_calls_behind_a_long_turn_come_several_at_once(kernel: tuple[Kernel, int]) -> None:
    asked, port = kernel
    with RawClient(port) as hostile:
        slow = SlowPublishes(hostile)
        for _ in range(ATTEMPTS_MAX):
            flood = threading.Thread(target=hostile.send, args=(slow.text(PUBLISHES),))
            flood.start()
            turns = _turns_meanwhile(asked, asked.stats().in_msgs)
            flood.join()
            hostile.flush()
            if turns < CALLS // 2:
                return
    pytest.fail("each call waits for a turn")


def test_turns_are_shorter_while_the_loop_works(kernel: tuple[Kernel, int]) -> None:
    asked, port = kernel
    with RawClient(port) as hostile:
        slow = SlowPublishes(hostile)
        for _ in range(ATTEMPTS_MAX):
            alone = _messages_per_turn(asked, hostile, slow, loop_works=False)
            beside = _messages_per_turn(asked, hostile, slow, loop_works=True)
            if beside < alone / 2:
                return
    pytest.fail(f"{alone:.1f} messages a turn, and {beside:.1f} while the loop works")


def _messages_per_turn(
    kernel: Kernel, hostile: RawClient, slow: SlowPublishes, *, loop_works: bool
) -> float:
    before = kernel.stats()
    flood = threading.Thread(target=hostile.send, args=(slow.text(FLOOD),))
    flood.start()
    while (stats := kernel.stats()).in_msgs < before.in_msgs + FLOOD:
        if loop_works:
            kernel.wait_events(0)
    flood.join()
    hostile.flush()
    return (stats.in_msgs - before.in_msgs) / (stats.turns - before.turns)


def _turns_meanwhile(kernel: Kernel, in_msgs: int) -> int:
    """CALLS if the kernel was not busy all the time."""
    while kernel.stats().in_msgs < in_msgs + BUSY_MESSAGES:
        pass
    before = kernel.stats().turns
    for _ in range(CALLS):
        kernel.interest(0, b"a")
    after = kernel.stats()
    is_busy = after.in_msgs < in_msgs + PUBLISHES - BUSY_MESSAGES
    return after.turns - before if is_busy else CALLS
