"""Disks that fail without a power loss: a sync that fails, no room, and what clients hear then.

Goal: nothing is acknowledged that is not stable, the store says what happened, and a start on a
good disk finds all that was acknowledged. Method: as in test_crash_points.py, with one fault
instead of the crash.
"""

from __future__ import annotations

import contextlib
import copy

import pytest

import workloads
from aftermath import judge
from ledger import Ledger
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import OPEN_READ, Loss, SimDisk
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode, stream_spec


@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8, 13, 21])
def test_a_failed_sync_is_final(nth: int) -> None:  # S-239, decided otherwise
    """Of a file or a folder, at any place: from there on nothing is acknowledged, and what was is
    found again.
    """
    disk, clock, ledger = SimDisk(nth), SimulatedClock(), Ledger()
    node = SimulatedNode(disk, clock)
    ledger.attach(node)
    disk.fail_sync_at(nth)
    with contextlib.suppress(StoreError):  # where the workload wants another stream
        workloads.publishes(ledger)
    with pytest.raises(StoreError):
        ledger.create_stream("LATER", stream_spec(subjects=[b"LATER.>"]))
    assert "sync" in node.failed or "cannot prepare" in node.failed, node.failed
    for loss in Loss:
        image = disk.image(loss, nth)
        twin, time = copy_of(ledger, clock)
        judge(image, twin, time)


def copy_of(ledger: Ledger, clock: SimulatedClock) -> tuple[Ledger, SimulatedClock]:
    time = SimulatedClock()
    time.advance(clock.now_ns - time.now_ns)
    return copy.deepcopy(ledger), time


def test_a_full_disk() -> None:
    """Publishes are turned away or wait, nothing acknowledged is lost, and with room again it
    goes on.
    """
    disk, clock, ledger = SimDisk(3), SimulatedClock(), Ledger()
    node = SimulatedNode(disk, clock)
    ledger.attach(node)
    ledger.create_stream("S", stream_spec(subjects=[b"S.>"]))
    ledger.turn()
    disk.set_capacity(120_000)
    for i in range(120):
        ledger.publish("S", b"S.s", b"%d " % i + b"f" * 2000)
        ledger.turn()
    s = ledger.stream("S")
    stored = s.committed
    assert stored > 0, "there was room for some"
    assert ledger.turned_away or node.failed or stored < len(s.operations), "there was none for all"
    image = disk.image(Loss.random_subset, 1)  # of no limited size
    judge(image, *copy_of(ledger, clock))


def test_room_again_after_a_full_disk() -> None:
    """A full disk stops nothing for good: what the journal has taken is applied and can be read,
    further publishes are turned away, and with room everything goes on, checkpoints included.
    """
    disk, clock, ledger = SimDisk(5), SimulatedClock(), Ledger()
    node = SimulatedNode(disk, clock)
    ledger.attach(node)
    ledger.create_stream("S", stream_spec(subjects=[b"S.>"]))
    ledger.turn()
    capacity = 150_000
    for full in range(2):
        disk.set_capacity(capacity)
        for i in range(150):
            ledger.publish("S", b"S.s", b"%d " % i + b"f" * 2000)
            ledger.turn()
        assert not node.failed
        s = ledger.stream("S")
        assert ledger.turned_away or s.committed < len(s.operations), "there was none for all"
        node.kernel.check()
        capacity *= 3
        disk.set_capacity(capacity)
        before = ledger.stream("S").committed
        clock.advance(60_000_000_000)  # checkpoints are tried again after a while
        for _ in range(20):
            ledger.publish("S", b"S.s", b"room %d" % full)
            ledger.turn()
        assert ledger.stream("S").committed > before
    image = disk.image(Loss.random_subset, 1)
    judge(image, *copy_of(ledger, clock))


def test_a_failed_sync_of_a_round_that_was_given_up_is_final() -> None:
    """Such a round's batch of syncs is still under way when the disk has no room for the next
    stream. The kernel of the operating system reports the failure once: to a later round, the same
    files look as if they were stable.
    """
    disk, clock, ledger = SimDisk(5), SimulatedClock(), Ledger()
    node = SimulatedNode(disk, clock)
    ledger.attach(node)
    names = ["A", "B", "C", "LARGE"]  # as many as fill a batch, and one more
    for name in names:
        ledger.create_stream(name, stream_spec(subjects=[name.encode() + b".>"]))
    ledger.turn()
    for name in names:
        ledger.publish(name, name.encode() + b".s", b"x" * (6000 if name == "LARGE" else 10))
    ledger.turn(3)
    disk.set_capacity(sum(disk_bytes(disk)) + 1000)
    node.kernel.checkpoint()
    ledger.turn(10)
    clock.advance(2_000_000_000)  # now LARGE, which failed, comes last, on the kernel's thread
    disk.fail_sync_at(1)
    ledger.turn(10)
    disk.set_capacity(0)
    for _ in range(20):
        clock.advance(2_000_000_000)
        ledger.turn()
    assert not node.failed
    assert ["could not be synced" in why for why in node.offline.values()] == [True], node.offline
    judge(disk.image(Loss.all), *copy_of(ledger, clock))


def disk_bytes(disk: SimDisk, folder: str = "") -> list[int]:
    """Of all files."""
    sizes = []
    for name in disk.list(folder):
        path = f"{folder}/{name}" if folder else name
        try:
            handle = disk.open(path, OPEN_READ)
        except IsADirectoryError:
            sizes += disk_bytes(disk, path)
            continue
        sizes.append(disk.size(handle))
        disk.close(handle)
    return sizes


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_round_that_was_perhaps_written_may_be_what_a_start_reads(nth: int) -> None:
    """One of its syncs fails, that of the folder with the finished file among them; a stream that
    it describes is deleted; then the power goes.
    """
    disk, clock, ledger = SimDisk(5), SimulatedClock(), Ledger()
    node = SimulatedNode(disk, clock)
    ledger.attach(node)
    for name in ["STAYS", "GOES"]:
        ledger.create_stream(name, stream_spec(subjects=[name.encode() + b".>"]))
        ledger.turn()
        ledger.publish(name, name.encode() + b".s", b"x")
    ledger.turn(3)
    node.kernel.checkpoint()
    disk.fail_sync_at(nth)
    ledger.turn(6)
    if not node.failed:
        ledger.delete_stream("GOES")
        ledger.turn(6)
    for loss in Loss:
        judge(disk.image(loss, nth), *copy_of(ledger, clock))
