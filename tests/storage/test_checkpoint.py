"""Goal: the newest durable round is found whole after any crash, and a round costs what changed.

Method: rounds of random changes against a dictionary; the simulated disk is crashed at each of its
operations and every kind of loss applied: what is loaded then is the last round whose write()
returned true, or the one after it (its rename may have survived). Damage must be refused with the
name of the file. Costs are counted in bytes written.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from encryption_keys import ring
from slipstream.kernel._kernel import (
    OPEN_CREATE,
    OPEN_READ,
    OPEN_WRITE,
    Checkpoints,
    Disk,
    KeyRing,
    Loss,
    RealDisk,
    SimDisk,
    StorageError,
    crc32c,
)

State = dict[int, tuple[int, bytes]]
Round = list[tuple[int, bytes | None]]  # group, payload; None: the group is dropped


@dataclass
class Model:
    checkpoints: Checkpoints
    durable: State = field(default_factory=dict)
    attempted: State = field(default_factory=dict)
    applied: int = 0

    def write(self, changes: Round) -> bool:
        """One round; on success the model moves on."""
        self.checkpoints.begin()
        self.attempted = dict(self.durable)
        for group, payload in changes:
            self.applied += 1
            if payload is None:
                self.checkpoints.drop(group)
                self.attempted.pop(group, None)
            else:
                self.checkpoints.add(group, self.applied, payload)
                self.attempted[group] = (self.applied, payload)
        written = self.checkpoints.write()
        if written:
            self.durable = self.attempted
        return written


ROUNDS = st.lists(
    st.lists(
        st.tuples(st.integers(0, 12), st.one_of(st.none(), st.binary(max_size=60))), max_size=6
    ),
    max_size=12,
)
FIXED: list[Round] = [
    [(group, bytes([n]) * (group * 30 % 700)) for group in range(n % 3, 12, 1 + n % 4)]
    + ([(n % 12, None)] if n % 5 == 0 else [])
    for n in range(16)
]


def crashed_at(
    rounds: list[Round], operation: int, seed: int, keys: KeyRing | None = None
) -> tuple[SimDisk, Model | None]:
    disk = SimDisk(seed)
    disk.crash_at(operation)
    try:
        model = Model(Checkpoints(disk, keys=keys))
    except StorageError:
        return disk, None
    for changes in rounds:
        if not model.write(changes):
            assert disk.crashed
            break
    return disk, model


def check_restart(disk: SimDisk, model: Model | None, keys: KeyRing | None = None) -> None:
    """What is found is the durable round or the one that was being written; and it goes on."""
    checkpoints = Checkpoints(disk, keys=keys)
    found = checkpoints.load()
    if model is None:
        assert found == {}
    else:
        assert found in (model.durable, model.attempted)
    after = Model(checkpoints, durable=found)
    assert after.write([(77, b"after")])
    assert Checkpoints(disk.image(Loss.all), keys=keys).load() == after.durable
    assert not [name for name in disk.list("checkpoints") if name.endswith(".new")]


def operations_of(rounds: list[Round]) -> int:
    disk, model = crashed_at(rounds, 0, 0)
    assert model is not None
    assert not disk.crashed
    return disk.operations


@pytest.mark.parametrize("loss", list(Loss))
@pytest.mark.parametrize("seed", [1, 2])
def test_a_crash_at_every_operation_leaves_a_whole_round(loss: Loss, seed: int) -> None:
    for operation in range(1, operations_of(FIXED) + 2):
        disk, model = crashed_at(FIXED, operation, seed)
        check_restart(disk.image(loss, seed), model)


@settings(max_examples=25, deadline=None)
@given(ROUNDS, st.sampled_from(Loss), st.integers(0, 2**32), st.floats(0, 1))
def test_any_rounds_crashed_anywhere(
    rounds: list[Round], loss: Loss, seed: int, where: float
) -> None:
    disk, model = crashed_at(rounds, 1 + int(where * operations_of(rounds)), seed)
    check_restart(disk.image(loss, seed), model)


def test_the_real_disk_keeps_rounds(tmp_path: Path) -> None:
    model = Model(Checkpoints(RealDisk(str(tmp_path))))
    for changes in FIXED:
        assert model.write(changes)
        assert Checkpoints(RealDisk(str(tmp_path))).load() == model.durable


def test_the_last_change_of_a_group_in_a_round_counts() -> None:
    model = Model(Checkpoints(SimDisk(1)))
    assert model.write([(1, b"a"), (2, b"b"), (1, b"c"), (2, None), (3, None), (3, b"d")])
    assert model.checkpoints.load() == model.durable == {1: (3, b"c"), 3: (6, b"d")}


def written(disk: Disk) -> dict[str, int]:
    sizes = {}
    for name in disk.list("checkpoints"):
        handle = disk.open(f"checkpoints/{name}", OPEN_READ)
        sizes[name] = disk.size(handle)
        disk.close(handle)
    return sizes


@pytest.mark.parametrize("reopened", [False, True])
def test_a_round_costs_what_changed(reopened: bool) -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    groups, size = 500, 1000
    assert model.write([(group, b"s" * size) for group in range(groups)])
    total = 0
    for n in range(200):
        if reopened:
            model = Model(Checkpoints(disk), durable=model.durable, applied=model.applied)
        before = model.checkpoints.bytes_written
        assert model.write([(n * 7 % groups, b"t" * size)])
        total += model.checkpoints.bytes_written - before
    directories = 200 * (2 * (groups * 48 + 60) + 2 * 4096)  # with what fills their pages
    changed = 200 * 2 * (size + 32)  # each snapshot stands there twice
    assert total - directories < 8 * changed
    assert model.checkpoints.load() == model.durable


def test_stale_files_go_and_the_number_of_files_is_bounded() -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    for n in range(300):
        assert model.write([(n, b"x" * (n % 50))])
        assert len(disk.list("checkpoints")) <= 65 + 2
    for n in range(300):
        assert model.write([(n, None)])
    assert model.checkpoints.load() == {}
    assert [name for name in disk.list("checkpoints") if name.endswith(".checkpoint")] == [
        f"{600:016x}.checkpoint"
    ]
    assert len(disk.list("checkpoints")) <= 3


def test_rounds_are_written_over_files_that_are_not_needed_any_more() -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    for n in range(12):
        assert model.write([(1, bytes([n]) * (5000 - 100 * n))])
        names = disk.list("checkpoints")
        # One in use, one that may be written over, one whose name as a spare is not durable yet.
        assert len(names) <= 3
        assert len([name for name in names if name.endswith(".checkpoint")]) == 1
    assert written(disk)[f"{12:016x}.checkpoint"] > 4900  # an older, longer round was there
    assert Checkpoints(disk.image(Loss.all)).load() == model.durable


def test_spares_do_not_outlast_their_use() -> None:
    """Neither a restart, nor much smaller rounds, nor a full disk, nor another key."""
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))

    def spares() -> list[str]:
        return [name for name in disk.list("checkpoints") if name.endswith(".spare")]

    def rounds(size: int) -> None:
        for n in range(4):
            assert model.write([(1, bytes([n]) * size)])

    rounds(3 << 20)
    assert len(spares()) == 2
    rounds(100)
    assert max(written(disk).values()) < 10_000
    assert len(spares()) == 2
    model = Model(Checkpoints(disk), model.durable, model.durable)
    assert model.write([(1, b"again")])
    assert len(spares()) == 1
    rounds(1000)
    disk.set_capacity(1)
    assert not model.write([(1, b"x" * 100_000)])
    assert spares() == []
    disk.set_capacity(0)
    rounds(1000)
    model = Model(Checkpoints(disk, keys=ring(1)), model.durable, model.durable)
    assert model.write([(1, b"secret")])
    assert spares() == []


def test_spares_that_somebody_removed_are_not_missed() -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    for n in range(12):
        assert model.write([(1, bytes([n]) * 1000)])
        for name in disk.list("checkpoints"):
            if n > 6 and name.endswith(".spare"):
                disk.unlink(f"checkpoints/{name}")
    assert Checkpoints(disk.image(Loss.all)).load() == model.durable


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_file_of_an_earlier_version_is_read(version: int) -> None:
    """Lengths and offsets have 32 bits. The end of the first two is the file's; the first one has
    no key either.
    """
    payloads = {7: (70, b"seven"), 8: (80, b"eight and more")}
    disk = SimDisk(1)
    disk.make_folder("checkpoints")
    handle = disk.open(f"checkpoints/{5:016x}.checkpoint", OPEN_WRITE | OPEN_CREATE)
    disk.pwrite(handle, file_of_version(version, 5, payloads), 0)
    disk.close(handle)
    model = Model(Checkpoints(disk), durable=payloads, applied=100)
    assert model.checkpoints.load() == payloads
    assert model.write([(8, b"changed")])  # the other one stays where it is
    for n in range(6):
        assert Checkpoints(disk.image(Loss.none)).load() == model.durable
        assert model.write([(7, b"%d" % n)])
    assert f"{5:016x}.checkpoint" not in disk.list("checkpoints")


def file_of_version(version: int, number: int, payloads: State) -> bytes:
    round_number = struct.pack("<Q", number)
    content = b"SLIPCKPT" + struct.pack("<II", version, crc32c(round_number)) + round_number
    if version >= 2:
        key = struct.pack("<I16x", 0)
        content += key + struct.pack("<I", crc32c(key))
    end_at = len(content)
    if version >= 3:
        content += bytes(16)
    directory = b""
    for group, (applied, payload) in payloads.items():
        entry = (group, applied, number, len(content) // 8, len(payload))
        directory += struct.pack("<QQQII", *entry)
        crc = crc32c(struct.pack("<QQ", group, applied) + payload)
        content += struct.pack("<QQII", group, applied, len(payload), crc) + payload
        content += bytes(-len(content) % 8)
    counts = struct.pack("<QQ", len(content), len(payloads))
    crc = crc32c(directory + counts)
    content += directory + counts + struct.pack("<II", crc, version) + b"SLIPCEND"
    if version < 3:
        return content
    end = struct.pack("<QI", len(content), 0)
    return content[:end_at] + end + struct.pack("<I", crc32c(end)) + content[end_at + 16 :]


def test_a_full_disk_keeps_the_last_round_and_is_tried_again() -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    assert model.write([(1, b"a" * 100), (2, b"b" * 100)])
    disk.set_capacity(500)
    assert not model.write([(1, b"c" * 1000)])
    assert "No space left" in model.checkpoints.error
    assert model.checkpoints.load() == model.durable
    assert len(disk.list("checkpoints")) == 1
    disk.set_capacity(0)
    assert model.write([(1, b"d" * 1000)])
    assert model.checkpoints.error == ""
    assert Checkpoints(disk.image(Loss.all)).load() == model.durable


@pytest.mark.parametrize("nth", [1, 2])
def test_a_failed_sync_keeps_the_last_round(nth: int) -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    assert model.write([(1, b"a")])
    disk.fail_sync_at(nth)
    assert not model.write([(1, b"b"), (2, b"b")])
    assert model.checkpoints.load() == model.durable
    for loss in Loss:
        assert Checkpoints(disk.image(loss)).load() in (model.durable, model.attempted)
    assert model.write([(3, b"c")])
    for loss in Loss:
        assert Checkpoints(disk.image(loss)).load() == model.durable


def test_a_flipped_bit_anywhere_does_no_harm_or_is_named() -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    assert model.write([(group, b"x" * 16) for group in range(4)])  # no padding anywhere
    assert model.write([(0, b"y" * 8)])
    for name, size in written(disk).items():
        newest = name.startswith(f"{2:016x}")
        # Of the older file only the snapshots of groups 1 to 3 are still in use.
        for offset in range(size) if newest else range(64 + 48, 64 + 4 * 48):
            damaged = disk.image(Loss.none)
            damaged.flip_bit(f"checkpoints/{name}", offset, offset % 8)
            operations = damaged.operations
            try:
                assert Checkpoints(damaged).load() == model.durable  # the damage did no harm
            except StorageError as error:
                found = str(error)
                if name not in found:
                    pytest.fail(found)
            assert damaged.operations <= operations + 1  # no more than a sync of the folder


def test_a_missing_file_is_named() -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    assert model.write([(1, b"a"), (2, b"b")])
    assert model.write([(1, b"c")])
    disk.unlink(f"checkpoints/{1:016x}.checkpoint")
    with pytest.raises(StorageError, match=f"{1:016x}"):
        Checkpoints(disk).load()


def test_a_torn_leftover_does_not_disturb() -> None:
    disk = SimDisk(1)
    model = Model(Checkpoints(disk))
    assert model.write([(1, b"a")])
    handle = disk.open(f"checkpoints/{9:016x}.new", 3)
    disk.pwrite(handle, b"garbage", 0)
    again = Checkpoints(disk)
    assert again.load() == model.durable
    assert Model(again, durable=model.durable, applied=5).write([(2, b"b")])
    assert [name for name in disk.list("checkpoints") if name.endswith(".new")] == []


# ---------------------------------------------------------------- encryption


@pytest.mark.parametrize("loss", list(Loss))
def test_encrypted_rounds_survive_crashes(loss: Loss) -> None:
    for operation in range(1, operations_of(FIXED) + 2):
        disk, model = crashed_at(FIXED, operation, 1, ring(2))
        check_restart(disk.image(loss, 1), model, ring(2, seed=2))


def test_the_first_round_after_a_change_encrypts_everything_anew() -> None:
    disk = SimDisk(1)
    text = b"plain text of a snapshot"
    model = Model(Checkpoints(disk))
    assert model.write([(group, text) for group in range(5)])
    for current in (1, 2, 0):
        model = Model(Checkpoints(disk, keys=ring(current, seed=current + 1)))
        model.durable = model.checkpoints.load()
        assert model.write([(7, text)])
        readable = [n for n in disk.list("checkpoints") if text in content_of(disk, n)]
        assert bool(readable) == (current == 0)
        assert Checkpoints(disk, keys=ring(0)).load() == model.durable


def content_of(disk: SimDisk, name: str) -> bytes:
    handle = disk.open(f"checkpoints/{name}", OPEN_READ)
    try:
        return disk.pread(handle, disk.size(handle), 0)
    finally:
        disk.close(handle)


def test_a_missing_key_is_named() -> None:
    disk = SimDisk(1)
    assert Model(Checkpoints(disk, keys=ring(2))).write([(1, b"payload")])
    with pytest.raises(StorageError, match="encrypted with key 2"):
        Checkpoints(disk)
