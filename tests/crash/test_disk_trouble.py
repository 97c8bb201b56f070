"""A disk that refuses for a while: full, a limit of a file's size, no more open files; and one that
is read-only or broken, or whose reads give less than is there.

Goal: trouble that passes costs nobody an acknowledged message, leaves no stream refused, and ends
without a restart when it has passed; trouble that does not pass loses nothing either. Method: the
scripted workloads, with an error of the simulated disk injected at every operation that can end
with it, for a few operations or for the rest of the workload. Then the disk is well again; the
node has to go on, and a restart has to find what the ledger was promised.
"""

from __future__ import annotations

import contextlib
import copy
import errno
import os
import random
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

import workloads
from aftermath import goes_on, judge
from ledger import Ledger, StreamPromises
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import SHORT_READ, Loss, SimDisk
from slipstream.kernel.specs import StreamSpec
from slipstream.kernel.values import StoreCipher, StoreKey, StoreKeys
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

SECONDS = float(os.environ.get("SLIPSTREAM_TROUBLE_SECONDS", "30"))
PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE)
BURSTS = (1, 3, 20, 2**62)
ROUNDS = 12
ROUND_NS = 1_100_000_000
RELAXED_NS = 120_000_000_000
KEYS = StoreKeys((StoreKey(1, StoreCipher.CHACHA20_POLY1305, b"k" * 32),), 1)


class PatientLedger(Ledger):
    """Of clients that notice when a stream or a consumer is not there yet, or still there."""

    def create_stream(self, name: str, spec: StreamSpec) -> StreamPromises:
        if any(s.name == name and s.delete_proposed and not s.deleted for s in self.streams):
            raise StoreError("the name is still taken")
        return super().create_stream(name, spec)

    def publish(
        self,
        name: str,
        subject: bytes,
        body: bytes,
        message_id: str = "",
        expected_last_seq: int = -1,
        headers: tuple[str, ...] = (),
    ) -> None:
        if self.stream(name).created:
            super().publish(name, subject, body, message_id, expected_last_seq, headers)


class Kind(NamedTuple):
    relaxed: bool
    encrypted: bool


PLAIN = Kind(relaxed=False, encrypted=False)


class Life:
    """A workload's run with trouble from the `after`-th operation on that can end with `error`."""

    def __init__(self, name: str, error: int, after: int, burst: int, kind: Kind) -> None:
        self.disk, self.clock, self.ledger = SimDisk(after), SimulatedClock(), PatientLedger()
        self.keys = KEYS if kind.encrypted else None
        interval_ns = RELAXED_NS if kind.relaxed else 0
        self.node = SimulatedNode(
            self.disk, self.clock, sync_interval_ns=interval_ns, keys=self.keys
        )
        self.ledger.attach(self.node)
        self.disk.inject(error, after, burst)
        # Where a stream or a consumer is refused, or not there yet, the workload ends.
        with contextlib.suppress(StoreError, KeyError):
            workloads.ALL[name](self.ledger)
        self.eligible, self.injected = self.disk.eligible, self.disk.injected
        self.disk.inject(0)

    def restart(self) -> None:
        """On the disk as the process leaves it when it is killed now."""
        clock = SimulatedClock()
        clock.advance(self.clock.now_ns - clock.now_ns)
        self.pass_damaged()
        image, ledger = self.disk.image(Loss.none), copy.deepcopy(self.ledger)
        judge(image, ledger, clock, thorough=False, keys=self.keys)

    def pass_damaged(self) -> None:
        """Consumers pass what a read found damaged, as if its last delivery were over."""
        for stream, seq in self.node.damaged:
            for promises in self.ledger.streams:
                for consumer in promises.consumers.values() if promises.stream == stream else ():
                    consumer.delivered.setdefault(seq, 1)
                    consumer.acked.add(seq)

    def check_others(self) -> None:
        """All streams but those that are offline go on, with a checkpoint."""
        for _ in range(4):  # a round that was given up is made again after a second
            self.clock.advance(ROUND_NS)
            self.ledger.turn(8)
        if self.node.failed:  # of relaxed mode: a sync that failed shows later
            return
        everything = self.ledger.streams
        self.ledger.streams = [s for s in everything if s.stream not in self.node.offline]
        goes_on(self.ledger)
        self.node.kernel.checkpoint()
        self.ledger.turn(8)
        goes_on(self.ledger)
        self.node.kernel.check()
        self.ledger.streams = everything


def trouble(name: str, error: int, after: int, burst: int, kind: Kind) -> bool:
    """One point, as a failure names it. False when the workload is over before."""
    life = Life(name, error, after, burst, kind)
    if not life.injected:
        return False
    if error == SHORT_READ:
        assert not life.node.failed, life.node.failed
        assert len(life.node.offline) <= burst
    if error in (SHORT_READ, errno.EIO) and not life.node.failed:
        life.check_others()
    if error in PASSING:
        assert not life.node.failed, life.node.failed
        for _ in range(ROUNDS):
            life.clock.advance(ROUND_NS)
            life.ledger.turn()
        assert not life.node.kernel.store_stats().no_room
        goes_on(life.ledger)
        life.node.kernel.checkpoint()
        life.ledger.turn(6)
        assert not life.node.failed, life.node.failed
        life.node.kernel.check()
    life.restart()
    return True


def points(name: str, error: int, budget_s: float) -> Iterator[tuple[int, int]]:
    """Every operation if there is time, in an order that spreads over the run."""
    eligible = Life(name, error, 2**62, 0, PLAIN).eligible
    order = [(after, burst) for after in range(eligible) for burst in BURSTS]
    random.Random(f"{name} {error}").shuffle(order)
    end = time.monotonic() + budget_s
    for point in order:
        if time.monotonic() > end:
            return
        yield point


ERRORS = (*PASSING, errno.EROFS, errno.EIO, SHORT_READ)
CASES = [(name, error) for name in workloads.ALL for error in ERRORS]


@pytest.mark.parametrize(
    ("name", "error"),
    CASES,
    ids=[f"{name}-{errno.errorcode.get(error, 'short')}" for name, error in CASES],
)
def test_at_every_operation(name: str, error: int) -> None:
    tried = 0
    for after, burst in points(name, error, SECONDS / len(CASES)):
        kind = Kind(relaxed=after % 3 == 0, encrypted=after % 4 == 1)
        try:
            tried += trouble(name, error, after, burst, kind)
        except BaseException as failure:
            failure.add_note(f"trouble({name!r}, {error}, {after}, {burst}, {kind})")
            raise
    assert tried or error == SHORT_READ, "no operation ended with the error"


FOUND = [
    ("batches", errno.ENOSPC, 8, 20, PLAIN),  # a fast batch was acknowledged ahead of the log
    ("batches", errno.EFBIG, 6, 20, Kind(relaxed=True, encrypted=False)),
]


@pytest.mark.parametrize(("name", "error", "after", "burst", "kind"), FOUND)
def test_points_where_something_was_found(
    name: str, error: int, after: int, burst: int, kind: Kind
) -> None:
    assert trouble(name, error, after, burst, kind)


def small_node(disk: SimDisk) -> tuple[Ledger, SimulatedNode, SimulatedClock]:
    clock, ledger = SimulatedClock(), Ledger()
    node = SimulatedNode(disk, clock)
    ledger.attach(node)
    ledger.create_stream("S", stream_spec(subjects=[b"S.>"]))
    ledger.create_stream("OTHER", stream_spec(subjects=[b"OTHER.>"]))
    ledger.turn()
    return ledger, node, clock


def fill(ledger: Ledger, disk: SimDisk, clock: SimulatedClock, capacity: int) -> None:
    """Until publishes are refused."""
    disk.set_capacity(capacity)
    for i in range(400):
        if ledger.turned_away:
            return
        ledger.publish("S", b"S.s", b"%d " % i + b"f" * 2000)
        ledger.turn()
        clock.advance(20_000_000)
    raise AssertionError("it never fills up")


def test_a_flood_leaves_room_for_what_frees_room() -> None:
    """Progress reports, deliveries and acknowledgements on a full disk, far more than the reserve
    holds: a purge, a deletion and a confirmed acknowledgement still go through.
    """
    disk = SimDisk(1)
    ledger, node, clock = small_node(disk)
    ledger.create_consumer("S", "C", consumer_spec(ack_wait_ns=2**62))
    ledger.publish("S", b"S.s", b"first")
    ledger.publish("S", b"S.s", b"second")
    ledger.turn()
    first, second = ledger.pull("S", "C", 2)
    fill(ledger, disk, clock, 300_000)
    for i in range(4000):
        ledger.acknowledge(first, b"+WPI")
        if i % 100 == 0:
            ledger.pull("S", "C", 1)
        ledger.turn()
    ledger.acknowledge(second, confirm=True)
    ledger.turn(2)
    assert second.stream_seq in ledger.stream("S").consumers["C"].confirmed
    ledger.delete_message("S", 1, erase=True)
    ledger.purge("S")
    ledger.turn(3)
    assert node.kernel.stream_state(ledger.stream("S").stream).messages == 0
    disk.set_capacity(0)
    for _ in range(ROUNDS):
        clock.advance(ROUND_NS)
        ledger.turn()
    goes_on(ledger)
    node.kernel.check()


def test_a_message_erased_before_its_bytes_were_written() -> None:
    """Its segment could not be written. The erasure is no error, and the bytes never come."""
    disk = SimDisk(2)
    ledger, node, clock = small_node(disk)
    fill(ledger, disk, clock, 300_000)
    for _ in range(3):
        ledger.delete_message("S", ledger.stream("S").model.last_seq, erase=True)
        ledger.turn(2)
    assert not node.failed, node.failed
    disk.set_capacity(0)
    for _ in range(ROUNDS):
        clock.advance(ROUND_NS)
        ledger.turn()
    node.kernel.checkpoint()
    ledger.turn(6)
    goes_on(ledger)
    clock_again = SimulatedClock()
    clock_again.advance(clock.now_ns - clock_again.now_ns)
    judge(disk.image(Loss.none), copy.deepcopy(ledger), clock_again)


def test_messages_larger_than_a_journal_file() -> None:
    """Each takes a file of its own. The others' messages are answered meanwhile, and the bound of
    the journal's size holds nobody up.
    """
    ledger, node, _ = small_node(SimDisk(3))
    for i in range(12):
        ledger.publish("S", b"S.large", b"%d " % i + b"l" * 40_000)
        ledger.publish("OTHER", b"OTHER.small", b"%d" % i)
        ledger.turn()
        ledger.publish("OTHER", b"OTHER.small", b"%d behind" % i + b"s" * 3000)
        ledger.turn(6)
        assert node.kernel.stream_state(ledger.stream("S").stream).messages == i + 1
        assert node.kernel.stream_state(ledger.stream("OTHER").stream).messages == 2 * i + 2
    goes_on(ledger)
    assert node.kernel.store_stats().bytes_in_flight == 0
    node.kernel.check()
