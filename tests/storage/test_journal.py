"""Goal: what the journal called synced is read back after any crash, and nothing never appended is.

Method: a script of appends, flushes, syncs and releases runs on the simulated disk, without a
thread, and is crashed at each of its disk operations in turn; for each kind of loss the disk that a
restart would find is recovered and compared with what was appended (the model: a list). Recovery
itself is crashed the same way. Damage, a full disk and failed syncs are made on purpose. The thread
is tested on the real disk and, by images taken while it runs, on the simulated one.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encryption_keys import ring
from slipstream.kernel._kernel import (
    OPEN_READ,
    OPEN_WRITE,
    Disk,
    Journal,
    KeyRing,
    Loss,
    RealDisk,
    SimDisk,
    StorageError,
    SyncMode,
    crc32c,
)

FILE_BYTES = 8192
HEADER_BYTES = 4096
ROOM = FILE_BYTES - HEADER_BYTES
FILES_MAX = 6
MARK_BYTES = 48  # every file keeps room for the mark that names the next

Record = tuple[int, int, int, int, bytes, int]


def open_journal(disk: Disk, **options: object) -> Journal:
    chosen = {"file_bytes": FILE_BYTES, "bytes_max": FILES_MAX * FILE_BYTES, "threaded": False}
    return Journal(disk, **(chosen | options))  # type: ignore[arg-type]


def recovered(disk: Disk, **options: object) -> list[Record]:
    return open_journal(disk, **options).recover()


def journal_bytes(disk: Disk) -> int:
    total = 0
    for name in disk.list("journal"):
        handle = disk.open(f"journal/{name}", OPEN_READ)
        total += disk.size(handle)
        disk.close(handle)
    return total


def record_bytes(payload: int) -> int:
    return (41 + payload + 7) // 8 * 8


@dataclass
class Model:
    """Drives a journal and remembers what it was told."""

    journal: Journal
    appended: list[Record] = field(default_factory=list)
    released: int = 0
    index: int = 0

    def append(
        self, payload: bytes, durable: bool = True, reserve: bool = False, term: int = 1
    ) -> int:
        self.index += 1
        end = self.journal.append(3, term, self.index, 5, payload, durable=durable, reserve=reserve)
        if end:
            self.appended.append((3, term, self.index, 5, payload, end))
        return end

    def release(self, position: int) -> None:
        self.journal.release(position)
        self.released = position

    def check(self, found: list[Record], synced: int) -> None:
        """`found` is a run of what was appended, and holds all that was synced and not released."""
        if found:
            start = self.appended.index(found[0])
            assert found == self.appended[start : start + len(found)]
            assert start == 0 or self.appended[start - 1][5] <= self.released
        last = found[-1][5] if found else self.released
        missing = [r for r in self.appended if self.released < r[5] <= synced and r[5] > last]
        assert missing == []


Step = tuple[object, ...]


def run(script: list[Step], disk: Disk, model: Model) -> None:
    """Runs until the end or until the disk crashes."""
    for step in script:
        match step:
            case ("append", int(size), bool(durable)):
                model.append(bytes([model.index % 251]) * size, durable)
            case ("flush",):
                model.journal.flush()
            case ("sync",):
                model.journal.sync_now()
            case ("release",):
                model.release(model.journal.synced)
        if model.journal.failed:
            return


STEPS = st.one_of(
    st.tuples(st.just("append"), st.sampled_from([0, 7, 100, 900, 3000]), st.booleans()),
    st.tuples(st.just("append"), st.sampled_from([0, 1, 5000, 9000]), st.booleans()),
    st.tuples(st.just("flush")),
    st.tuples(st.just("sync")),
    st.tuples(st.just("release")),
)

FIXED: list[Step] = []
for n in range(40):
    FIXED += [("append", (7, 100, 900, 1500)[n % 4], n % 3 != 0), ("append", 300, False)]
    FIXED += [("flush",)] if n % 2 else []
    FIXED += [("sync",)] if n % 5 == 4 else []
    FIXED += [("release",)] if n in (7, 12, 16, 20, 24, 33) else []
FIXED += [
    ("append", 6000, True),
    ("flush",),
    ("append", 10, True),
    ("flush",),
    ("append", 10, False),
]


def crashed_at(
    script: list[Step], operation: int, seed: int, keys: KeyRing | None = None
) -> tuple[SimDisk, Model | None, int]:
    """The disk, the model if the journal was opened at all, and the position known to be synced."""
    disk = SimDisk(seed)
    disk.crash_at(operation)
    try:
        journal = open_journal(disk, keys=keys)
        journal.recover()
    except StorageError:
        return disk, None, 0
    model = Model(journal)
    run(script, disk, model)
    return disk, model, journal.synced


def operations_of(script: list[Step]) -> int:
    disk, model, _ = crashed_at(script, 0, 0)
    assert model is not None
    assert not model.journal.failed
    return disk.operations


def check_restart(
    disk: SimDisk, model: Model | None, synced: int, keys: KeyRing | None = None
) -> None:
    """Recovers, appends, and recovers once more from what is stable then."""
    journal = open_journal(disk, keys=keys)
    found = journal.recover()
    if model is None:
        assert found == []
    else:
        model.check(found, synced)
    end = journal.append(9, 9, 1, 9, b"after", durable=True, reserve=True)
    journal.flush()
    assert end == journal.synced == journal.position > (found[-1][5] if found else 0)
    again = open_journal(disk.image(Loss.all), keys=keys).recover()
    assert again == [*found, (9, 9, 1, 9, b"after", end)]


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_crash_at_every_operation_loses_nothing_synced(loss: Loss, seed: int) -> None:
    for operation in range(1, operations_of(FIXED) + 2):
        disk, model, synced = crashed_at(FIXED, operation, seed)
        check_restart(disk.image(loss, seed), model, synced)


@settings(max_examples=25, deadline=None)
@given(
    script=st.lists(STEPS, max_size=40),
    loss=st.sampled_from(Loss),
    seed=st.integers(0, 2**32),
    where=st.floats(0, 1),
)
def test_any_script_crashed_anywhere(
    script: list[Step], loss: Loss, seed: int, where: float
) -> None:
    operation = 1 + int(where * operations_of(script))
    disk, model, synced = crashed_at(script, operation, seed)
    check_restart(disk.image(loss, seed), model, synced)


@pytest.mark.parametrize("first", [Loss.random_subset, Loss.torn_last])
@pytest.mark.parametrize("second", list(Loss))
def test_a_crash_during_recovery_loses_nothing_either(first: Loss, second: Loss) -> None:
    total = operations_of(FIXED)
    for seed, operation in enumerate(range(operations_of([]) + 1, total, 3)):
        disk, model, synced = crashed_at(FIXED, operation, seed)
        assert model is not None
        for crash in range(1, 30):
            found = disk.image(first, seed)
            found.crash_at(crash)
            try:
                open_journal(found).recover()
            except StorageError:
                assert found.crashed
            check_restart(found.image(second, seed), model, synced)
            if not found.crashed:
                break


def test_records_that_nobody_waits_for_survive_a_killed_process() -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk))
    model.journal.recover()
    model.append(b"not durable", durable=False)
    model.journal.flush()
    assert model.journal.synced == 0
    assert model.journal.written == model.journal.position
    assert recovered(disk.image(Loss.none)) == model.appended
    assert recovered(disk.image(Loss.all)) == []
    model.append(b"durable")
    model.journal.flush()
    assert recovered(disk.image(Loss.all)) == model.appended


def test_relaxed_mode_syncs_only_when_asked() -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk, mode=SyncMode.relaxed))
    model.journal.recover()
    model.append(b"1")
    model.journal.flush()
    assert (model.journal.synced, model.journal.written) == (0, model.journal.position)
    model.journal.sync_now()
    assert model.journal.synced == model.journal.position
    assert recovered(disk.image(Loss.all)) == model.appended


def test_a_reopened_journal_goes_on_behind_what_is_there() -> None:
    disk = SimDisk(5)
    every: list[Record] = []
    for _ in range(30):
        model = Model(open_journal(disk), index=len(every))
        assert model.journal.recover() == every
        assert model.journal.position == (every[-1][5] if every else 0)
        model.append(b"x" * 200)
        model.journal.flush()
        every += model.appended
        model.journal.close()


def files_with_records(records: list[Record]) -> int:
    return records[-1][5] // ROOM + 1


def script_without_padding(disk: SimDisk, records: int) -> Model:
    """Records whose size is a multiple of 8, so that every bit of them counts; each is synced."""
    model = Model(open_journal(disk))
    model.journal.recover()
    for n in range(records):
        model.append(bytes([n]) * (7 + 8 * (n % 20)))
        model.journal.flush()
    return model


def contents(disk: Disk) -> dict[str, bytes]:
    found = {}
    for name in disk.list("journal"):
        handle = disk.open(f"journal/{name}", OPEN_READ)
        found[name] = disk.pread(handle, disk.size(handle), 0)
        disk.close(handle)
    return found


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_in_synced_data_is_refused_and_reported(bit: int) -> None:
    disk = SimDisk(5)
    model = script_without_padding(disk, 60)
    assert files_with_records(model.appended) == 2
    proven = model.appended[-2][5]  # the last record says that all before it was synced
    for position in [*range(0, 400, 3), *range(ROOM, proven, 7), proven - 1]:
        file, offset = divmod(position, ROOM)
        used = max(r[5] for r in model.appended if r[5] <= (file + 1) * ROOM) - file * ROOM
        if offset >= used:
            continue  # between the last record of a file and its end
        damaged = disk.image(Loss.none)
        path = f"journal/{file + 1:016x}.journal"
        damaged.flip_bit(path, HEADER_BYTES + offset, bit)
        before = contents(damaged)
        with pytest.raises(StorageError, match=path):
            recovered(damaged)
        assert contents(damaged) == before


@pytest.mark.parametrize("offset", [0, 8, 12, 16, 24, 32, 40, 47])
def test_a_damaged_header_is_refused(offset: int) -> None:
    disk = SimDisk(5)
    script_without_padding(disk, 5)
    disk.flip_bit("journal/0000000000000001.journal", offset, 2)
    with pytest.raises(StorageError, match=r"0000000000000001.journal"):
        recovered(disk)


def test_a_missing_file_is_refused() -> None:
    for missing in (2, 3):
        disk = SimDisk(5)
        model = script_without_padding(disk, 90)
        assert files_with_records(model.appended) == 3
        disk.unlink(f"journal/{missing:016x}.journal")
        with pytest.raises(StorageError, match="missing"):
            recovered(disk)


def test_an_unknown_version_is_named() -> None:
    disk = SimDisk(5)
    script_without_padding(disk, 1)
    handle = disk.open("journal/0000000000000001.journal", OPEN_WRITE)
    disk.pwrite(handle, (77).to_bytes(4, "little"), 8)
    with pytest.raises(StorageError, match="version 77"):
        recovered(disk)


def test_a_file_of_version_1_is_read() -> None:
    """Its header ends with the salt; no key number."""
    disk = SimDisk(5)
    model = script_without_padding(disk, 5)
    path = "journal/0000000000000001.journal"
    handle = disk.open(path, OPEN_WRITE)
    header = disk.pread(handle, 52, 0)
    assert header[8:12] == (2).to_bytes(4, "little")
    fields = header[16:48]
    earlier = header[:8] + (1).to_bytes(4, "little") + crc32c(fields).to_bytes(4, "little") + fields
    disk.pwrite(handle, earlier + b"\xff" * 4, 0)
    disk.close(handle)
    assert recovered(disk) == model.appended


def test_a_failed_recovery_leaves_a_failed_journal() -> None:
    disk = SimDisk(5)
    script_without_padding(disk, 5)
    disk.flip_bit("journal/0000000000000001.journal", HEADER_BYTES + 3, 2)
    journal = open_journal(disk)
    with pytest.raises(StorageError):
        journal.recover()
    assert journal.failed
    assert journal.append(1, 1, 1, 1, b"") == 0


@pytest.mark.parametrize("nth", [1, 2, 5])
def test_a_failed_sync_is_final(nth: int) -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk))
    model.journal.recover()
    for _ in range(3):
        model.append(b"before")
        model.journal.flush()
    disk.fail_sync_at(nth)
    while not model.journal.failed:
        model.append(b"x" * 1000)
        model.journal.flush()
    synced, operations = model.journal.synced, disk.operations
    assert "cannot" in model.journal.error
    assert model.append(b"after") == 0
    model.journal.flush()
    model.journal.sync_now()
    assert not model.journal.wait_synced()
    assert (model.journal.synced, disk.operations) == (synced, operations)
    model.check(recovered(disk.image(Loss.all)), synced)


def fill(model: Model, size: int = 500) -> int:
    """Appends until refused; returns how many records went in."""
    for n in range(10_000):
        if not model.append(b"f" * size):
            assert not model.journal.failed, model.journal.error
            return n
        model.journal.flush()
    raise AssertionError("never full")


@pytest.mark.parametrize("limit", ["disk", "bytes_max"])
def test_a_full_disk_leaves_the_reserve(limit: str) -> None:
    disk = SimDisk(5)
    if limit == "disk":
        disk.set_capacity(5 * FILE_BYTES + 100)
    model = Model(open_journal(disk))
    model.journal.recover()
    assert fill(model) > 10
    assert model.journal.full
    reserved = 0
    while model.append(b"purge", reserve=True):
        model.journal.flush()
        reserved += record_bytes(5)
    assert reserved >= ROOM // 2
    assert model.append(b"f" * 500) == 0
    assert model.journal.synced == model.journal.position
    assert recovered(disk.image(Loss.all)) == model.appended
    model.release(model.journal.synced)
    assert not model.journal.full
    assert fill(model) > 10
    assert journal_bytes(disk) <= FILES_MAX * FILE_BYTES


def test_a_full_disk_that_gets_room_is_used_again() -> None:
    disk = SimDisk(5)
    disk.set_capacity(4 * FILE_BYTES)
    model = Model(open_journal(disk))
    model.journal.recover()
    fill(model)
    assert model.journal.full
    disk.set_capacity(0)
    model.journal.flush()
    assert not model.journal.full
    assert fill(model) > 5


def test_restarts_on_a_full_disk_do_not_eat_the_reserve() -> None:
    disk = SimDisk(5)
    disk.set_capacity(4 * FILE_BYTES)
    model = Model(open_journal(disk))
    model.journal.recover()
    fill(model)
    every = model.appended
    for _ in range(10):
        model.journal.close()
        model = Model(open_journal(disk), index=len(every))
        assert model.journal.recover() == every
        assert model.append(b"purge", reserve=True)
        model.journal.flush()
        every = every + model.appended


def test_no_room_for_the_first_file_is_reported() -> None:
    disk = SimDisk(5)
    disk.set_capacity(FILE_BYTES // 2)
    with pytest.raises(StorageError, match="No space left"):
        recovered(disk)


def test_recycling_keeps_at_most_bytes_max_and_hides_old_records() -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk))
    model.journal.recover()
    for n in range(400):
        assert model.append(bytes([n % 256]) * (n % 700), durable=n % 3 == 0)
        model.journal.flush()
        if n % 10 == 0:
            model.release(model.journal.synced)
            assert journal_bytes(disk) <= FILES_MAX * FILE_BYTES
    created = int(max(n for n in disk.list("journal") if n.endswith(".journal"))[:16], 16)
    assert created > 4 * FILES_MAX  # each file has had several lives
    for loss in Loss:
        model.check(recovered(disk.image(loss)), model.journal.synced)


@pytest.mark.parametrize("reserve", [False, True])
def test_a_record_larger_than_a_file(reserve: bool) -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk, bytes_max=2 * FILES_MAX * FILE_BYTES))
    model.journal.recover()
    model.append(b"before")
    for size in (ROOM - MARK_BYTES - 41, ROOM, 3 * ROOM):
        assert model.append(b"L" * size, reserve=reserve), size
        model.append(b"between")
    model.journal.flush()
    model.append(b"behind")
    model.journal.flush()
    assert recovered(disk.image(Loss.all), bytes_max=2 * FILES_MAX * FILE_BYTES) == model.appended
    model.release(model.journal.synced)
    assert journal_bytes(disk) <= 2 * FILES_MAX * FILE_BYTES
    assert model.append(b"M" * 20 * ROOM)  # the bound gives way to a single record
    model.journal.flush()
    model.release(model.journal.synced)
    assert model.append(b"goes on")
    model.journal.flush()
    model.release(model.journal.synced)
    assert journal_bytes(disk) <= 2 * FILES_MAX * FILE_BYTES
    assert not model.journal.failed


def test_a_large_record_on_a_full_disk_is_refused_and_harms_nothing() -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk))
    model.journal.recover()
    model.append(b"before")
    model.journal.flush()
    disk.set_capacity(journal_bytes(disk) + 100)
    assert model.append(b"L" * 2 * ROOM) == 0
    assert model.append(b"behind")
    model.journal.flush()
    assert recovered(disk.image(Loss.all)) == model.appended
    assert not [name for name in disk.list("journal") if name.endswith(".new")]


def test_options_that_cannot_work_are_refused() -> None:
    for options in ({"file_bytes": 5000}, {"file_bytes": 4096}, {"bytes_max": 3 * FILE_BYTES}):
        with pytest.raises(StorageError, match="journal's"):
            open_journal(SimDisk(1), **options)


def test_in_use_is_what_is_not_released() -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk))
    model.journal.recover()
    first = model.append(b"1")
    model.append(b"2")
    model.journal.flush()
    assert model.journal.in_use == model.journal.position
    model.release(first)
    assert model.journal.in_use == model.journal.position - first


# ---------------------------------------------------------------- with its thread


@pytest.fixture
def wake_fd() -> Iterator[int]:
    fd = os.eventfd(0)
    yield fd
    os.close(fd)


def wait_until(fd: int, condition: Callable[[], bool]) -> None:
    """Sleeps until a wake-up of the journal makes the condition true."""
    while not condition():
        ready, _, _ = select.select([fd], [], [], 30)
        assert ready, "no wake-up"
        os.eventfd_read(fd)


def test_the_thread_syncs_and_wakes(tmp_path: Path, wake_fd: int) -> None:
    disk = RealDisk(str(tmp_path))
    journal = open_journal(disk, threaded=True, wake_fd=wake_fd)
    assert journal.recover() == []
    end = journal.append(1, 1, 1, 1, b"x")
    journal.flush()
    assert journal.written == end
    wait_until(wake_fd, lambda: journal.synced == end)
    assert journal.stats["syncs"] == 1


def test_many_files_through_the_thread(tmp_path: Path, wake_fd: int) -> None:
    disk = RealDisk(str(tmp_path))
    model = Model(open_journal(disk, threaded=True, wake_fd=wake_fd))
    journal = model.journal
    journal.recover()
    for n in range(500):
        payload = os.urandom(n % 1500)
        while not model.append(payload, durable=n % 2 == 0):
            assert not journal.failed, journal.error
            journal.flush()
            assert journal.wait_synced()
            model.release(journal.synced)
            if journal.append(0, 0, 0, 1, b"", reserve=True):
                model.appended.append((0, 0, 0, 1, b"", journal.position))
            else:
                wait_until(wake_fd, lambda: True)
        if n % 7 == 0:
            journal.flush()
    assert journal.wait_synced()
    synced = journal.synced
    journal.close()
    model.check(recovered(disk), synced)
    assert journal_bytes(disk) <= FILES_MAX * FILE_BYTES


def test_a_burst_waits_for_files_instead_of_losing_records(tmp_path: Path, wake_fd: int) -> None:
    disk = RealDisk(str(tmp_path))
    journal = open_journal(disk, threaded=True, wake_fd=wake_fd, bytes_max=100 * FILE_BYTES)
    journal.recover()
    assert journal.append_many(2000, 16, b"p" * 87, in_flight_bytes_max=FILE_BYTES) == 2000
    assert journal.wait_synced()
    journal.close()
    found = recovered(disk, bytes_max=100 * FILE_BYTES)
    assert [r[2] for r in found] == list(range(1, 2001))


def test_large_records_through_the_thread(tmp_path: Path, wake_fd: int) -> None:
    disk = RealDisk(str(tmp_path))
    options = {"threaded": True, "wake_fd": wake_fd, "bytes_max": 40 * FILE_BYTES}
    model = Model(open_journal(disk, **options))
    model.journal.recover()
    for size in (10, 3 * ROOM, 20, 2 * ROOM, ROOM, 30):
        wait_until(wake_fd, lambda size=size: model.append(b"L" * size) != 0)
        model.append(b"between")
    assert model.journal.wait_synced()
    model.journal.close()
    assert recovered(disk) == model.appended


def test_images_while_the_thread_runs(wake_fd: int) -> None:
    disk = SimDisk(8)
    model = Model(open_journal(disk, threaded=True, wake_fd=wake_fd, bytes_max=100 * FILE_BYTES))
    journal = model.journal
    journal.recover()
    for n in range(300):
        payload = bytes([n % 256]) * (n * 37 % 900)
        while not model.append(payload):
            assert not journal.full
            journal.flush()
            wait_until(wake_fd, lambda: True)
        journal.flush()
        if n % 10 == 0:
            synced = journal.synced
            image = disk.image(list(Loss)[n // 10 % 4], n)
            model.check(recovered(image), synced)
    assert journal.wait_synced()
    assert recovered(disk.image(Loss.all)) == model.appended


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_failed_sync_in_the_thread_is_final_and_wakes(wake_fd: int, nth: int) -> None:
    disk = SimDisk(5)
    model = Model(open_journal(disk, threaded=True, wake_fd=wake_fd))
    journal = model.journal
    journal.recover()
    disk.fail_sync_at(nth)
    for _ in range(50):
        model.append(b"x" * 300)
        journal.flush()
        journal.wait_synced()
    assert journal.failed
    wait_until(wake_fd, lambda: True)
    assert model.append(b"after") == 0
    assert not journal.wait_synced()


def test_a_killed_process_keeps_what_it_flushed(tmp_path: Path) -> None:
    program = """if True:
        import os, signal, sys
        from slipstream.kernel._kernel import Journal, RealDisk
        journal = Journal(RealDisk(sys.argv[1]), file_bytes=8192, bytes_max=65536)
        journal.recover()
        for index in range(1, 11):
            assert journal.append(1, 1, index, 2, b"k" * 50, durable=False)
        journal.flush()
        assert journal.synced == 0 and journal.written == journal.position
        os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    found = recovered(RealDisk(str(tmp_path)))
    assert [r[:5] for r in found] == [(1, 1, index, 2, b"k" * 50) for index in range(1, 11)]


# ---------------------------------------------------------------- encryption


@pytest.mark.parametrize("loss", list(Loss))
def test_an_encrypted_journal_loses_nothing_synced(loss: Loss) -> None:
    for operation in range(1, operations_of(FIXED) + 2):
        disk, model, synced = crashed_at(FIXED, operation, 1, ring(1))
        check_restart(disk.image(loss, 1), model, synced, ring(1, seed=2))


@settings(max_examples=25, deadline=None)
@given(st.lists(STEPS, max_size=40), st.lists(st.integers(0, 2), min_size=2, max_size=4))
def test_an_encryption_that_changes_between_lives(script: list[Step], lives: list[int]) -> None:
    """Each life writes as it is told to, and reads what all before it wrote."""
    disk = SimDisk(1)
    known: list[Record] = []
    for seed, current in enumerate(lives, 1):
        journal = open_journal(disk, keys=ring(current, seed))
        found = journal.recover()
        assert found == known[len(known) - len(found) :]
        model = Model(journal, appended=list(found))
        model.index = max((record[2] for record in found), default=0)
        model.released = found[0][5] if found else 0
        run(script, disk, model)
        assert not journal.failed, journal.error
        journal.sync_now()
        assert journal.synced == journal.position
        known = model.appended
        journal.close()


@pytest.mark.parametrize("damaged", [False, True])
def test_nothing_readable_is_left_when_encryption_is_turned_on(damaged: bool) -> None:
    """Also in spare files of which nobody can tell what they hold."""
    disk = SimDisk(1)
    journal = open_journal(disk)
    journal.recover()
    model = Model(journal)
    for _ in range(30):
        model.append(b"plain text" * 50)
        journal.sync_now()
    journal.release(journal.synced - 1)
    journal.close()
    assert contains(disk, b"plain text")
    for name in disk.list("journal"):
        if damaged and name.endswith(".spare"):
            disk.flip_bit(f"journal/{name}", 20, 1)
    journal = open_journal(disk, keys=ring(1))
    journal.recover()
    model = Model(journal)
    for _ in range(10):
        assert model.append(b"plain text" * 50)
        journal.sync_now()
    journal.release(journal.synced)
    assert not contains(disk, b"plain text")


def contains(disk: SimDisk, text: bytes) -> bool:
    for name in disk.list("journal"):
        handle = disk.open(f"journal/{name}", OPEN_READ)
        content = disk.pread(handle, disk.size(handle), 0)
        disk.close(handle)
        if text in content:
            return True
    return False


def test_a_journal_whose_key_is_missing_is_refused_untouched() -> None:
    disk = SimDisk(1)
    journal = open_journal(disk, keys=ring(2))
    journal.recover()
    journal.append(1, 1, 1, 1, b"text", durable=True)
    journal.sync_now()
    journal.close()
    with pytest.raises(StorageError, match="encrypted with key 2"):
        recovered(disk)
    assert len(recovered(disk, keys=ring(2, seed=5))) == 1


def test_an_exchanged_record_is_refused() -> None:
    """A valid checksum does not make a record genuine: each is sealed in its place."""
    disk = SimDisk(1)
    journal = open_journal(disk, keys=ring(1))
    journal.recover()
    for index in (1, 2):
        journal.append(1, 1, index, 1, b"payload", durable=True)
    journal.sync_now()
    journal.close()
    name = f"journal/{next(n for n in disk.list('journal') if n.endswith('.journal'))}"
    handle = disk.open(name, OPEN_WRITE)
    size = (41 + 28 + 7 + 7) // 8 * 8
    content = bytearray(disk.pread(handle, HEADER_BYTES + 2 * size, 0))
    first, second = HEADER_BYTES, HEADER_BYTES + size
    content[first + 41 : first + size], content[second + 41 : second + size] = (
        content[second + 41 : second + size],
        content[first + 41 : first + size],
    )
    seed = seed_of(bytes(content[:HEADER_BYTES]))
    for start in (first, second):
        length = int.from_bytes(content[start : start + 4], "little")
        crc = crc32c(bytes(content[start + 8 : start + length]), seed ^ length)
        content[start + 4 : start + 8] = crc.to_bytes(4, "little")
    disk.pwrite(handle, bytes(content), 0)
    disk.close(handle)
    with pytest.raises(StorageError, match="cannot be decrypted"):
        recovered(disk, keys=ring(1))


def seed_of(header: bytes) -> int:
    """Which number the checksums of a file's records begin with."""
    generation = int.from_bytes(header[16:24], "little")
    salt = int.from_bytes(header[40:48], "little")
    product = (generation ^ 0x9E3779B97F4A7C15) * (salt ^ 0xD6E8FEB86659FD93)
    return (product ^ (product >> 64)) & 0xFFFFFFFF
