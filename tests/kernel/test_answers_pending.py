"""Goal: a client that sends commands and does not read the answers costs bounded memory, and is cut
off by the same rules as a slow subscriber.

Method: floods of commands that only produce answers, from clients that never read, over a kernel
whose turns and clock the test drives; then one of them reads, and must get every answer.
"""

from __future__ import annotations

import pytest

from driven_kernel import SECOND_NS, DrivenKernel

ANSWERS_MAX = 256 << 10  # kAnswerBytesMax
READ_BYTES = 128 << 10  # of one connection and turn
FLOODS = {
    "PONG": b"PING\r\n" * 20_000,
    "+OK": b"PUB a 0\r\n\r\n" * 10_000,
    "-ERR": b"SUB a..b 1\r\n" * 10_000,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS.keys())
def test_answers_that_are_not_read_stop_the_reading(flood: bytes) -> None:
    with DrivenKernel() as driven:
        driven.options["verbose"] = flood.startswith(b"PUB")
        client = driven.connect(receive_buffer_bytes=4096)
        while driven.feed(client, flood) == len(flood):
            assert driven.pending(1) <= ANSWERS_MAX + 4096
        assert driven.pending(1) <= ANSWERS_MAX + 4096
        assert not driven.closed
        driven.turn(11 * SECOND_NS)  # the write deadline
        assert driven.closed == {1: "Slow Consumer (Write Deadline)"}


def test_answers_go_on_when_they_are_read() -> None:
    with DrivenKernel() as driven:
        client = driven.connect(receive_buffer_bytes=4096)
        flood = b"PING\r\n" * 20_000
        sent = driven.feed(client, flood * 100)
        assert sent < len(flood) * 100
        received = 0

        def read_all() -> bool:
            nonlocal received
            received += len(driven.read(client))
            return received >= sent // 6 * 6

        driven.turns_until(read_all, "every PONG")
        assert received == sent // 6 * 6
        assert not driven.closed


def test_every_byte_counts_towards_max_pending() -> None:
    with DrivenKernel(max_pending=1 << 20) as driven:
        driven.connect(receive_buffer_bytes=4096)
        info = b'{"filler":"' + b"x" * 60_000 + b'"}'
        for _ in range(200):
            driven.kernel.send_error(1, info)
            if driven.closed:
                break
            driven.turn()
            assert driven.pending(1) <= 1 << 20
        assert driven.closed == {1: "Slow Consumer (Pending Bytes)"}
        assert driven.kernel.stats().slow_consumers == 1
