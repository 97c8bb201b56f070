"""Goal: clients that publish into streams faster than the disk takes it wait; whoever publishes
little never does, and what is in flight stays bounded.

Method: a kernel over a simulated disk whose syncs take many turns, with real sockets; the test
drives the turns and the clock.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from driven_kernel import SECOND_NS, DrivenKernel
from slipstream.kernel._kernel import SimDisk
from slipstream.testing.simulated_node import stream_spec

BEHIND_BYTES = 32 << 20  # kBehindInflightBytes
SHARE_BYTES = 256 << 10  # kIngestShareBytes
FOR_EVER = 1_000_000
MESSAGE = b"PUB s.a 100000\r\n" + b"x" * 100_000 + b"\r\n"
SMALL = b"PUB s.b reply 5\r\nsmall\r\n"


class Publishing:
    """A kernel with one stream, whose disk is asked for two syncs in each turn and is `sync_lag`
    behind.
    """

    def __init__(self, driven: DrivenKernel, disk: SimDisk, sync_lag: int) -> None:
        self.driven, self.disk = driven, disk
        driven.kernel.open_store(disk=disk, threads=False, sync_lag=sync_lag)
        driven.turn()

    @property
    def in_flight(self) -> int:
        return self.driven.kernel.store_stats().bytes_in_flight

    @property
    def waits(self) -> int:
        """How often a publisher had to wait."""
        return self.driven.kernel.stats().stalls

    def publish(self, publisher: socket.socket, count: int) -> bytes:
        """What was not taken."""
        text = MESSAGE * count
        return text[self.driven.feed(publisher, text) :]


@contextmanager
def publishing(sync_lag: int) -> Iterator[Publishing]:
    disk = SimDisk(1)
    with DrivenKernel() as first:
        first.kernel.open_store(disk=disk, threads=False)
        spec = stream_spec(subjects=[b"s.>"], max_msgs=100)
        first.kernel.propose_stream_create(1, first.account, b"S", b"{}", spec)
        first.turns_until(lambda: first.kernel.interest(first.account, b"s.a") == 1, "a stream")
    with DrivenKernel() as driven:
        yield Publishing(driven, disk, sync_lag)


def test_who_publishes_much_waits_for_the_disk() -> None:
    with publishing(sync_lag=4000) as p:
        driven = p.driven
        busy, calm, other = driven.connect(), driven.connect(), driven.connect()
        calm.send(b"SUB reply 1\r\n")
        assert p.publish(busy, 700)
        assert p.waits == 1
        assert BEHIND_BYTES <= p.in_flight < BEHIND_BYTES + (2 << 20)
        p.publish(other, 40)  # has its share, and no more
        driven.turns_until(lambda: p.waits == 2, "the other one to wait")
        before = p.in_flight
        assert before < BEHIND_BYTES + (4 << 20)
        calm.send(SMALL)
        driven.turns_until(lambda: p.in_flight > before, "a message of one that sends little")
        answer = b""

        def answered() -> bool:
            nonlocal answer
            answer += driven.read(calm)
            return b'"stream":"S"' in answer

        driven.turns_until(answered, "its answer")
        driven.turns_until(lambda: p.in_flight == 0, "everything to be stored")


def test_a_disk_that_takes_nothing_gives_a_share_each_second() -> None:
    with publishing(sync_lag=FOR_EVER) as p:
        busy = p.driven.connect()
        rest = p.publish(busy, 700)
        for waits in range(1, 5):
            assert (p.waits, bool(rest)) == (waits, True)
            before = p.in_flight
            for _ in range(10):  # the last one ends the second
                assert p.in_flight == before
                p.driven.turn(SECOND_NS // 10)
            rest = rest[p.driven.feed(busy, rest) :]
            assert SHARE_BYTES < p.in_flight - before < SHARE_BYTES + (1 << 20)


def test_who_waits_for_a_disk_that_fails_gets_to_know() -> None:
    with publishing(sync_lag=2000) as p:
        busy = p.driven.connect()
        busy.send(b"SUB reply 1\r\n")
        rest = p.publish(busy, 700)
        assert p.waits == 1
        p.disk.fail_sync_at(1)
        p.driven.turns_until(lambda: p.driven.kernel.store_stats().failed != "", "the failure")
        rest = rest[p.driven.feed(busy, rest) :]
        assert not rest
        busy.send(SMALL)
        answer = b""

        def answered() -> bool:
            nonlocal answer
            answer += p.driven.read(busy)
            return b"10077" in answer

        p.driven.turns_until(answered, "an error")
