"""Goal: a subscriber that reads, but too slowly, costs the publishers a bounded time; then it is
cut off where its buffer ends, and nobody waits for it.

Method: a publisher that never stops and a subscriber that reads a little each simulated second,
over a kernel whose turns and clock the test drives. What is counted is the simulated time for which
the publisher was not read.
"""

from __future__ import annotations

import socket

from driven_kernel import SECOND_NS, DrivenKernel

BEHIND_BYTES = 8 << 20  # kBehindBytes
IDLE_STALL_NS = 300_000_000  # kStallIdleNs
MESSAGE = b"PUB s 100000\r\n" + b"x" * 100_000 + b"\r\n"
STEP_NS = SECOND_NS // 20


def publish_until_paused(driven: DrivenKernel, publisher: socket.socket, rest: bytes) -> bytes:
    """Publishes at most 2 MB; what was not taken comes first the next time."""
    text = rest or MESSAGE * 20
    return text[driven.feed(publisher, text) :]


def test_the_time_for_which_publishers_wait_is_bounded() -> None:
    deadline_s = 4
    limits = {"write_deadline_ns": deadline_s * SECOND_NS, "max_pending": 32 << 20}
    with DrivenKernel(**limits) as driven:
        slow, publisher = driven.connect(1 << 16), driven.connect()
        slow.send(b"SUB s 1\r\n")
        driven.turns_until(lambda: driven.kernel.interest(driven.account, b"s") == 1, "SUB")
        waited_ns = steps = 0
        rest = b""
        while 1 not in driven.closed:
            rest = publish_until_paused(driven, publisher, rest)
            if rest and 1 not in driven.closed:
                waited_ns += STEP_NS
            for _ in range(4):  # it always makes progress: neither the deadline nor a stall ends it
                driven.read(slow)
                driven.turn()
            driven.turn(STEP_NS)
            steps += 1
            assert steps < 2000, (driven.pending(1), waited_ns)
        assert driven.closed == {1: "Slow Consumer (Pending Bytes)"}
        forgiven_ns = steps * STEP_NS // 10
        assert 0 < waited_ns <= deadline_s * SECOND_NS + forgiven_ns + SECOND_NS
        assert driven.kernel.stats().slow_consumers == 1


def test_a_subscriber_that_keeps_up_is_waited_for() -> None:
    with DrivenKernel() as driven:
        reader, publisher = driven.connect(1 << 16), driven.connect()
        reader.send(b"SUB s 1\r\n")
        driven.turns_until(lambda: driven.kernel.interest(driven.account, b"s") == 1, "SUB")
        published = received = 0
        rest = b""
        while published < 60 << 20:
            before = len(rest) or len(MESSAGE) * 20
            rest = publish_until_paused(driven, publisher, rest)
            published += before - len(rest)
            assert driven.pending(1) <= BEHIND_BYTES + (4 << 20)
            while chunk := driven.read(reader, 1 << 22):
                received += len(chunk)
                driven.turn(STEP_NS // 1000)
        assert not driven.closed
        assert received > published // 2


def test_nobody_waits_long_for_a_subscriber_that_reads_nothing() -> None:
    with DrivenKernel(max_pending=32 << 20) as driven:
        silent, publisher = driven.connect(1 << 16), driven.connect()
        silent.send(b"SUB s 1\r\n")
        driven.turns_until(lambda: driven.kernel.interest(driven.account, b"s") == 1, "SUB")
        waited_ns = 0
        rest = b""
        while 1 not in driven.closed:
            rest = publish_until_paused(driven, publisher, rest)
            if rest and 1 not in driven.closed:
                waited_ns += STEP_NS
            driven.turn(STEP_NS)
            assert waited_ns <= IDLE_STALL_NS + 2 * STEP_NS
        assert waited_ns > 0
        assert driven.closed == {1: "Slow Consumer (Pending Bytes)"}
