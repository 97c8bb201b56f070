"""A disk that refuses while a store is opened: errors and short reads.

Goal: a start on a disk that has trouble loses nothing and concerns no stream but the one whose
files have it. It is refused, with a reason, where nothing could be trusted; else each stream is
there with all that was acknowledged, or offline with the reason, or says which of its messages
could not be read. A later start on a disk that is well finds everything, also after the store has
gone on and made checkpoints in between. Method: the scripted workloads in durable, relaxed,
compressed and encrypted stores; then an error at each operation of the recovery in turn, once or
from there on, judged by the ledger.
"""

from __future__ import annotations

import copy
import errno
import os
import random
import time

import pytest

import workloads
from aftermath import goes_on, judge
from ledger import Ledger
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import SHORT_READ, Loss, SimDisk
from slipstream.kernel.values import StoreCipher, StoreKey, StoreKeys
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode

SECONDS = float(os.environ.get("SLIPSTREAM_TROUBLE_SECONDS", "30")) / 2
ERRORS = (errno.EIO, SHORT_READ, errno.EMFILE, errno.ENOSPC)
KEYS = StoreKeys((StoreKey(1, StoreCipher.CHACHA20_POLY1305, b"k" * 32),), 1)
RELAXED_NS = 120_000_000_000


class Store:
    """After a workload, as a killed process leaves it."""

    def __init__(self, name: str, encrypted: bool, relaxed: bool) -> None:
        self.keys = KEYS if encrypted else None
        self.relaxed_ns = RELAXED_NS if relaxed else 0
        self.disk, self.clock, self.ledger = SimDisk(1), SimulatedClock(), Ledger()
        node = SimulatedNode(
            self.disk, self.clock, keys=self.keys, sync_interval_ns=self.relaxed_ns
        )
        self.ledger.attach(node)
        workloads.ALL[name](self.ledger)

    def start(self, disk: SimDisk) -> SimulatedNode:
        clock = SimulatedClock()
        clock.advance(self.clock.now_ns - clock.now_ns)
        return SimulatedNode(disk, clock, keys=self.keys, sync_interval_ns=self.relaxed_ns)

    def try_at(self, error: int, after: int, count: int) -> bool:
        """False when the start is over before."""
        disk = self.disk.image(Loss.none)
        disk.inject(error, after, count)
        try:
            node = self.start(disk)
        except StoreError:
            if not disk.injected:
                raise
            disk.inject(0)
            self.judge(disk, copy.deepcopy(self.ledger))
            return True
        injected = disk.injected
        disk.inject(0)
        for _ in range(8):  # a job of the start that failed is noticed by a later turn
            node.turn()
        self.judge(disk, self.judge_what_serves(node))
        return injected > 0

    def judge_what_serves(self, node: SimulatedNode) -> Ledger:
        """The ledger of all streams, those that are untouched after some more work."""
        hurt = {r.stream for r in node.recovered if r.offline}
        hurt |= node.offline.keys() | {stream for stream, _ in node.damaged}
        for record in node.recovered:
            assert not record.offline or record.stream in hurt
        ledger, touched = copy.deepcopy(self.ledger), copy.deepcopy(self.ledger)
        ledger.streams = [s for s in ledger.streams if s.stream not in hurt]
        touched.streams = [s for s in touched.streams if s.stream in hurt]
        node.recovered = [r for r in node.recovered if r.stream not in hurt]
        ledger.reconcile(node)
        goes_on(ledger)
        for _ in range(3):
            node.clock.advance(1_100_000_000)
            node.kernel.checkpoint()
            ledger.turn(8)
        goes_on(ledger)
        node.kernel.check()
        self.clock.now_ns = max(self.clock.now_ns, node.clock.now_ns)
        whole = copy.deepcopy(ledger)
        whole.streams += touched.streams
        return whole

    def judge(self, disk: SimDisk, ledger: Ledger) -> None:
        clock = SimulatedClock()
        clock.advance(self.clock.now_ns - clock.now_ns)
        judge(disk.image(Loss.none), ledger, clock, thorough=False, keys=self.keys)


CASES = [(name, error) for name in workloads.ALL for error in ERRORS]


@pytest.mark.parametrize(
    ("name", "error"),
    CASES,
    ids=[f"{name}-{errno.errorcode.get(error, 'short')}" for name, error in CASES],
)
def test_at_every_operation(name: str, error: int) -> None:
    end = time.monotonic() + SECONDS / len(CASES)
    draw = random.Random(f"{name} {error}")
    kinds = [(encrypted, relaxed) for encrypted in (False, True) for relaxed in (False, True)]
    stores = {kind: Store(name, *kind) for kind in kinds}
    points = [
        (kind, after, count) for kind in kinds for after in range(120) for count in (1, 2**62)
    ]
    draw.shuffle(points)
    tried = 0
    for kind, after, count in points:
        if tried and time.monotonic() > end:
            break
        try:
            tried += stores[kind].try_at(error, after, count)
        except BaseException as failure:
            failure.add_note(f"Store({name!r}, *{kind}).try_at({error}, {after}, {count})")
            raise
    assert tried, "no operation of the start ended with the error"
