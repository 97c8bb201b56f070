"""A store that has filled its own disk gets room by what clients remove.

Goal: on a full disk acknowledgements, deletions of messages, consumers and streams, and purges
work, and what they free is free without a restart and without more room: also where other streams,
a thousand of them, have more in memory than the disk has room for, so that no checkpoint of
everything can be written. A loss of power at any operation of that leaves what was acknowledged.
Method: a large stream that is in files, and others that are written to until the simulated disk
refuses.
"""

from __future__ import annotations

import copy
import os
import random
import time

import pytest

from aftermath import goes_on
from ledger import Ledger
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    PowerLoss,
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    consumer_spec,
    stream_spec,
)
from test_failing_disk import disk_bytes

SECONDS = float(os.environ.get("SLIPSTREAM_TROUBLE_SECONDS", "30")) / 5
SMALL = StoreSizes()
LARGE = StoreSizes(1 << 20, 8 << 20, 64 << 10)
ROUNDS = 12
ROUND_NS = 1_100_000_000


class FullDisk:
    """The large stream BIG, W with consumers, GONE, and `count` others, on a disk that is full."""

    def __init__(self, count: int, sizes: StoreSizes) -> None:
        self.disk, self.clock, self.ledger = SimDisk(1), SimulatedClock(), Ledger()
        self.sizes = sizes
        self.node = SimulatedNode(self.disk, self.clock, sizes=sizes)
        self.ledger.attach(self.node)
        self.names = [f"S{i}" for i in range(count)]
        for name in ("BIG", "W", "GONE", *self.names):
            self.ledger.create_stream(name, stream_spec(subjects=[name.encode() + b".>"]))
            self.ledger.turn()
        for name in ("C", "SPARE"):
            subject = b"W.work" if name == "C" else b"W.other"
            self.ledger.create_consumer("W", name, consumer_spec(filters=[subject]))
        body = b"b" * (sizes.segment_bytes_max // 4)
        for i in range(sizes.journal_bytes_max // len(body)):
            self.ledger.publish("BIG", b"BIG.b", b"%d " % i + body)
            self.ledger.turn(2)
        for i in range(4):
            self.ledger.publish("W", b"W.work", b"%d" % i)
            self.ledger.publish("GONE", b"GONE.g", b"%d" % i)
        for _ in range(3):
            self.rounds(1)
            self.node.kernel.checkpoint()
            self.ledger.turn(count + 20)
        self.deliveries = self.ledger.pull("W", "C", 2)
        self.fill()

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.clock.advance(ROUND_NS)
            self.ledger.turn(12 + len(self.names) // 3)  # a turn describes four streams

    def fill(self) -> None:
        used = sum(disk_bytes(self.disk))
        self.disk.set_capacity(used + self.sizes.journal_bytes_max // 8)
        body = b"s" * (self.sizes.journal_bytes_max // 4 // len(self.names))
        for _ in range(400):
            for i, name in enumerate(self.names):
                self.ledger.publish(name, name.encode() + b".s", body)
                if i % 100 == 99:
                    self.ledger.turn()
            self.ledger.turn(3)
            self.clock.advance(ROUND_NS // 10)
            if self.ledger.turned_away:
                break
        self.rounds(ROUNDS)
        assert self.node.kernel.store_stats().no_room, "it never fills up"

    def free(self, how: str) -> None:
        if how == "purge":
            self.ledger.purge("BIG")
        else:
            self.ledger.delete_stream("BIG")

    def restart(self, loss: Loss, seed: int) -> None:
        clock, ledger = SimulatedClock(), copy.deepcopy(self.ledger)
        clock.advance(self.clock.now_ns - clock.now_ns)
        image = self.disk.image(loss, seed)
        ledger.reconcile(SimulatedNode(image, clock, sizes=self.sizes))
        goes_on(ledger)
        ledger.node.kernel.check()


@pytest.mark.parametrize(
    ("count", "sizes", "how"),
    [(5, SMALL, "purge"), (5, SMALL, "delete"), (1000, LARGE, "purge")],
)
def test_what_is_removed_makes_room(count: int, sizes: StoreSizes, how: str) -> None:
    full = FullDisk(count, sizes)
    ledger, kernel = full.ledger, full.node.kernel
    w = ledger.stream("W")
    for delivery in full.deliveries:
        ledger.acknowledge(delivery, confirm=True)
    ledger.delete_message("S0", 1, erase=True)
    ledger.delete_consumer("W", "SPARE")
    ledger.turn(3)
    assert {d.stream_seq for d in full.deliveries} == w.consumers["C"].confirmed
    assert "SPARE" not in {r.description.decode().split("#")[0] for r in kernel.consumers(w.stream)}
    assert kernel.store_stats().no_room
    gone = ledger.stream("GONE")
    ledger.delete_stream("GONE")
    full.free(how)
    ledger.turn(3)
    assert gone.deleted
    full.rounds(ROUNDS)
    assert not kernel.store_stats().no_room
    assert not full.node.failed
    assert not full.node.offline
    ledger.streams = [s for s in ledger.streams if not s.deleted]
    goes_on(ledger)
    kernel.check()
    full.restart(Loss.all, 1)


def crash(how: str, operation: int) -> bool:
    """The power goes at that operation behind the removal. False when there is room before."""
    full = FullDisk(5, SMALL)
    full.free(how)
    full.disk.crash_at(full.disk.operations + operation)
    try:
        full.rounds(ROUNDS)
    except PowerLoss:
        for loss in Loss:
            full.restart(loss, operation)
        return True
    return False


@pytest.mark.parametrize("how", ["purge", "delete"])
def test_the_power_goes_while_room_is_made(how: str) -> None:
    end, points = time.monotonic() + SECONDS / 2, list(range(1, 160))
    random.Random(how).shuffle(points)
    crashed = 0
    for operation in points:
        if time.monotonic() > end:
            break
        try:
            crashed += crash(how, operation)
        except (AssertionError, StoreError) as failure:
            failure.add_note(f"crash({how!r}, {operation})")
            raise
    assert crashed
