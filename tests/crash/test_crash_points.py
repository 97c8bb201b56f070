"""Power losses at every disk operation of scripted workloads.

Goal: whatever was acknowledged survives, and nothing else appears. Method: a workload runs over
the simulated disk until operation n, where the power goes; each way of losing unsynced data makes
an image; a new node recovers it, and the ledger (ledger.py) judges what it finds, what it answers
to repeated ids, and what its consumers deliver (aftermath.py). The run is deterministic, so a
failure names its crash point: `crash("limits", 117, Loss.torn_last)` does it again.

CI takes a sample that fits into its time. All points: SLIPSTREAM_CRASH_SECONDS=3600 pytest
tests/crash/test_crash_points.py --timeout 0
"""

from __future__ import annotations

import contextlib
import copy
import os
import random
import time
from collections.abc import Iterator

import pytest

import workloads
from aftermath import judge
from ledger import Ledger
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import OPEN_READ, Loss, SimDisk
from slipstream.kernel.values import StoreCipher, StoreKey, StoreKeys, StreamState
from slipstream.testing.simulated_node import (
    PowerLoss,
    SimulatedClock,
    SimulatedNode,
    stream_spec,
)

SECONDS = float(os.environ.get("SLIPSTREAM_CRASH_SECONDS", "32"))
LOSSES = tuple(Loss)
RELAXED_NS = 120_000_000_000
KEYS = StoreKeys((StoreKey(1, StoreCipher.CHACHA20_POLY1305, b"k" * 32),), 1)


class Life:
    """A workload's run up to a crash point (0: none)."""

    def __init__(
        self,
        name: str,
        crash_at: int = 0,
        sync_interval_ns: int = 0,
        keys: StoreKeys | None = None,
    ) -> None:
        self.disk = SimDisk(crash_at)
        self.clock = SimulatedClock()
        self.ledger = Ledger()
        if crash_at:
            self.disk.crash_at(crash_at)
        try:
            node = SimulatedNode(
                self.disk, self.clock, sync_interval_ns=sync_interval_ns, keys=keys
            )
            self.ledger.attach(node)
            workloads.ALL[name](self.ledger)
        except PowerLoss:
            pass
        except StoreError:
            assert self.disk.crashed, "the store was refused although the power was there"
        self.operations = self.disk.operations  # a clean stop will add some

    def copy_of_ledger(self) -> tuple[Ledger, SimulatedClock]:
        clock = SimulatedClock()
        clock.advance(self.clock.now_ns - clock.now_ns)
        return copy.deepcopy(self.ledger), clock


def crash(name: str, operation: int, loss: Loss, *, thorough: bool = True) -> None:
    """One crash point, as a failure names it."""
    life = Life(name, operation)
    judge(life.disk.image(loss, operation), *life.copy_of_ledger(), thorough=thorough)


def crash_twice(name: str, operation: int, loss: Loss, second: int) -> bool:
    """The power goes again at operation `second` of the recovery; False if the recovery is over
    before.
    """
    life = Life(name, operation)
    image = life.disk.image(loss, operation)
    image.crash_at(second)
    ledger, clock = life.copy_of_ledger()
    try:
        node = SimulatedNode(image, clock)
        node.turn()
    except (StoreError, PowerLoss):
        pass
    if not image.crashed:
        return False
    for next_loss in LOSSES:
        judge(image.image(next_loss, second), copy.deepcopy(ledger), clock, thorough=False)
    return True


def operations_of(name: str) -> int:
    return Life(name).operations


def points(name: str, budget_s: float) -> Iterator[int]:
    """Every operation if there is time, in an order that spreads over the run from the beginning;
    the seed is the name.
    """
    order = list(range(1, operations_of(name) + 1))
    random.Random(name).shuffle(order)
    end = time.monotonic() + budget_s
    for operation in order:
        if time.monotonic() > end:
            return
        yield operation


@pytest.mark.parametrize("name", workloads.ALL)
def test_every_crash_point(name: str) -> None:
    done = 0
    for operation in points(name, SECONDS * 0.6 / len(workloads.ALL)):
        life = Life(name, operation)
        assert life.disk.crashed
        for loss in LOSSES:
            try:
                judge(life.disk.image(loss, operation), *life.copy_of_ledger())
            except Exception as error:
                error.add_note(f"crash({name!r}, {operation}, {loss!r})")
                raise
        done += 1
    print(f"{name}: {done} of {operations_of(name)} crash points, {len(LOSSES)} losses each")
    assert done > 0


@pytest.mark.parametrize("name", workloads.ALL)
def test_crash_during_recovery(name: str) -> None:
    done = 0
    for operation in points(name, SECONDS * 0.4 / len(workloads.ALL)):
        loss = LOSSES[operation % len(LOSSES)]
        second = 1
        try:
            while crash_twice(name, operation, loss, second):
                second += 1
        except Exception as error:
            error.add_note(f"crash_twice({name!r}, {operation}, {loss!r}, {second})")
            raise
        done += second
    print(f"{name}: {done} crash points of recoveries, {len(LOSSES)} losses each")
    assert done > 0


def sample(operations: int, seed: str, budget_s: float) -> Iterator[int]:
    order = list(range(1, operations + 1))
    random.Random(seed).shuffle(order)
    end = time.monotonic() + budget_s
    for operation in order:
        yield operation
        if time.monotonic() > end:
            return


@pytest.mark.parametrize("name", ["publishes", "at_rest"])
def test_crash_points_of_an_encrypted_store(name: str) -> None:
    for operation in sample(Life(name, keys=KEYS).operations, name, SECONDS * 0.1):
        life = Life(name, operation, keys=KEYS)
        assert life.disk.crashed
        for loss in LOSSES:
            try:
                judge(life.disk.image(loss, operation), *life.copy_of_ledger(), keys=KEYS)
            except Exception as error:
                error.add_note(f"{name} encrypted, {operation}, {loss!r}")
                raise


@pytest.mark.parametrize("name", ["publishes", "limits"])
def test_a_relaxed_store_opens_after_every_crash(name: str) -> None:
    """Its newest messages may be gone; what is left is whole, and stays."""
    for operation in sample(Life(name, 0, RELAXED_NS).operations, name, SECONDS * 0.05):
        life = Life(name, operation, RELAXED_NS)
        assert life.disk.crashed
        for loss in LOSSES:
            image, (_, clock) = life.disk.image(loss, operation), life.copy_of_ledger()
            try:
                found = states_of(image, clock)
                assert states_of(image, clock) == found
            except Exception as error:
                error.add_note(f"{name} relaxed, {operation}, {loss!r}")
                raise


def states_of(disk: SimDisk, clock: SimulatedClock) -> dict[int, StreamState]:
    node = SimulatedNode(disk, clock, sync_interval_ns=RELAXED_NS)
    states = {record.stream: node.kernel.stream_state(record.stream) for record in node.recovered}
    node.stop()
    return states


def becomes_encrypted(life: Life, crash_at: int) -> SimDisk:
    """The store of a plain life after a start with keys, or after a power loss in the middle."""
    image = life.disk.image(Loss.none, 1)
    if crash_at:
        image.crash_at(crash_at)
    _, clock = life.copy_of_ledger()
    try:
        node = SimulatedNode(image, clock, keys=KEYS)
        for _ in range(8):
            node.turn()
            clock.advance(2_000_000_000)
        node.stop()
    except (StoreError, PowerLoss):
        assert image.crashed
    return image


def test_crashes_while_a_store_becomes_encrypted() -> None:
    life = Life("limits")
    done = becomes_encrypted(life, 0)
    assert not readable(done, b"OLD."), "something stays as it was"
    for crash_at in sample(done.operations, "becomes encrypted", SECONDS * 0.1):
        image = becomes_encrypted(life, crash_at)
        for loss in LOSSES:
            try:
                judge(image.image(loss, crash_at), *life.copy_of_ledger(), keys=KEYS)
            except Exception as error:
                error.add_note(f"crash_at={crash_at}, {loss!r}")
                raise


def turns(node: SimulatedNode, count: int) -> None:
    for _ in range(count):
        node.turn()
        node.clock.advance(2_000_000_000)


@pytest.mark.parametrize("loss", LOSSES)
def test_what_a_crash_leaves_readable_goes_at_the_next_start(loss: Loss) -> None:
    """Spares of the plain life included: nothing names them, and a store that rests has no other
    reason to write a checkpoint.
    """
    plain, clock, ledger = SimDisk(1), SimulatedClock(), Ledger()
    node = SimulatedNode(plain, clock)
    ledger.attach(node)
    ledger.create_stream("S", stream_spec(subjects=[b"text.>"]))
    ledger.turn()
    for i in range(5):  # no messages: segments that are to be encrypted would be a reason
        ledger.update_stream("S", stream_spec(subjects=[b"text.>"], max_msgs=i + 1))
        ledger.turn()
        node.kernel.checkpoint()
        ledger.turn(8)
    assert [name for name in plain.list("checkpoints") if name.endswith(".spare")]
    crash_at = 0
    while True:
        crash_at += 1  # until it is not reached any more
        image = plain.image(Loss.none)
        image.crash_at(crash_at)
        with contextlib.suppress(StoreError, PowerLoss):
            turns(SimulatedNode(image, clock, keys=KEYS), 20)
        crashed = image.crashed
        image = image.image(loss, crash_at)
        resting = SimulatedNode(image, clock, keys=KEYS)
        turns(resting, 40)
        assert not readable(image, b"text"), f"crash_at={crash_at}"
        if not crashed:
            return


def readable(disk: SimDisk, text: bytes) -> list[str]:
    """The files that hold the text."""
    found = []
    folders = ["journal", "checkpoints", *(f"streams/{name}" for name in disk.list("streams"))]
    for folder in folders:
        for name in disk.list(folder):
            handle = disk.open(f"{folder}/{name}", OPEN_READ)
            if text in disk.pread(handle, disk.size(handle), 0):
                found.append(f"{folder}/{name}")
            disk.close(handle)
    return found
