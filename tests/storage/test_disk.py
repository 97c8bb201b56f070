"""Goal: the two disks answer alike, and the simulated one loses exactly what a power loss may lose.

Method: the same operations, drawn by hypothesis, run on the real disk and on the simulated one, and
every answer is compared; then what each kind of loss leaves is checked on small scripts and seeds.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipstream.kernel._kernel import (
    OPEN_CREATE,
    OPEN_EXCLUSIVE,
    OPEN_READ,
    OPEN_TRUNCATE,
    OPEN_WRITE,
    Disk,
    Loss,
    RealDisk,
    SimDisk,
)

NEW = OPEN_WRITE | OPEN_CREATE


@pytest.fixture(params=["real", "simulated"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    return RealDisk(str(tmp_path)) if request.param == "real" else SimDisk(1)


def content(disk: Disk, path: str) -> bytes:
    handle = disk.open(path, OPEN_READ)
    try:
        return disk.pread(handle, disk.size(handle), 0)
    finally:
        disk.close(handle)


def make(disk: Disk, path: str, text: bytes, *, synced: bool = False) -> int:
    handle = disk.open(path, NEW)
    disk.pwrite(handle, text, 0)
    if synced:
        disk.sync(handle)
        disk.sync_folder(path.rpartition("/")[0])
    return handle


def error_of(call: Callable[[], object]) -> int | None:
    try:
        call()
    except OSError as error:
        return error.errno
    return None


def test_reading_is_short_only_at_the_end_of_the_file(disk: Disk) -> None:
    handle = make(disk, "a", b"0123456789")
    assert disk.pread(handle, 4, 3) == b"3456"
    assert disk.pread(handle, 100, 8) == b"89"
    assert disk.pread(handle, 100, 10) == b""
    assert disk.pread_nowait(handle, 100, 2) == b"23456789"


def test_a_write_behind_the_end_leaves_zeros(disk: Disk) -> None:
    handle = disk.open("a", NEW)
    assert disk.pwrite(handle, b"x", 5) == 1
    assert content(disk, "a") == b"\0\0\0\0\0x"
    disk.truncate(handle, 2)
    assert disk.size(handle) == 2


def test_a_handle_outlives_the_name(disk: Disk) -> None:
    handle = make(disk, "a", b"text")
    disk.rename("a", "b")
    assert disk.list("") == ["b"]
    disk.unlink("b")
    assert disk.pread(handle, 4, 0) == b"text"
    assert disk.list("") == []


def test_names_are_listed_sorted_and_by_folder(disk: Disk) -> None:
    disk.make_folder("x")
    disk.make_folder("x")
    disk.make_folder("x/y")
    for name in ("x/b", "x/a", "x/y/c", "z"):
        disk.close(make(disk, name, b""))
    assert disk.list("x") == ["a", "b", "y"]
    assert disk.list("") == ["x", "z"]
    assert error_of(lambda: disk.remove_folder("x/y")) == errno.ENOTEMPTY
    disk.unlink("x/y/c")
    disk.remove_folder("x/y")
    assert disk.list("x") == ["a", "b"]


def test_wrong_requests_are_told_apart(disk: Disk) -> None:
    disk.close(make(disk, "a", b"1"))
    assert error_of(lambda: disk.open("none", OPEN_READ)) == errno.ENOENT
    assert error_of(lambda: disk.open("none/a", NEW)) == errno.ENOENT
    assert error_of(lambda: disk.open("a", NEW | OPEN_EXCLUSIVE)) == errno.EEXIST
    assert error_of(lambda: disk.unlink("none")) == errno.ENOENT
    assert error_of(lambda: disk.rename("none", "b")) == errno.ENOENT
    assert error_of(lambda: disk.make_folder("a")) == errno.ENOTDIR
    assert error_of(lambda: disk.close(2**30)) == errno.EBADF
    disk.close(disk.open("a", OPEN_WRITE | OPEN_TRUNCATE))
    assert content(disk, "a") == b""


def test_a_lock_is_held_until_it_is_closed(disk: Disk) -> None:
    held = disk.lock("lock")
    assert error_of(lambda: disk.lock("lock")) == errno.EWOULDBLOCK
    disk.close(held)
    disk.close(disk.lock("lock"))


def test_a_lock_holds_against_another_process(tmp_path: Path) -> None:
    program = (
        "import sys; from slipstream.kernel._kernel import RealDisk\n"
        "try: RealDisk(sys.argv[1]).lock('lock'); print('taken')\n"
        "except BlockingIOError: print('held')"
    )
    disk = RealDisk(str(tmp_path))

    def other() -> str:
        command = [sys.executable, "-c", program, str(tmp_path)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    handle = disk.lock("lock")
    assert other() == "held"
    disk.close(handle)
    assert other() == "taken"


def test_a_root_that_is_missing_is_reported_by_every_operation(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path / "none"))
    assert error_of(lambda: disk.open("a", NEW)) == errno.ENOENT
    assert error_of(lambda: disk.list("")) == errno.ENOENT


Step = tuple[Any, ...]
NAMES = st.sampled_from(["a", "b", "f/a", "f/b", "g/a"])
STEPS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.binary(max_size=8), st.integers(0, 12)),
    st.tuples(st.just("truncate"), NAMES, st.integers(0, 16)),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("unlink"), NAMES),
    st.tuples(st.just("exclusive"), NAMES),
    st.tuples(st.just("make_folder"), st.sampled_from(["f", "g", "f/h"])),
    st.tuples(st.just("remove_folder"), st.sampled_from(["f", "g", "f/h"])),
    st.tuples(st.just("list"), st.sampled_from(["", "f", "g"])),
    st.tuples(st.just("content"), NAMES),
)


def answer(disk: Disk, step: Step) -> object:
    kind, *rest = step
    try:
        if kind == "write":
            handle = disk.open(rest[0], NEW)
            result: object = disk.pwrite(handle, rest[1], rest[2])
            disk.close(handle)
            return result
        if kind == "truncate":
            handle = disk.open(rest[0], OPEN_WRITE)
            disk.truncate(handle, rest[1])
            result = disk.size(handle)
            disk.close(handle)
            return result
        if kind == "exclusive":
            disk.close(disk.open(rest[0], NEW | OPEN_EXCLUSIVE))
            return None
        if kind == "content":
            return content(disk, rest[0])
        return getattr(disk, kind)(*rest)
    except OSError as error:
        return error.errno


@settings(max_examples=60, deadline=None)
@given(st.lists(STEPS, max_size=30))
def test_the_simulated_disk_answers_as_the_real_one(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as root:
        real, simulated = RealDisk(root), SimDisk(7)
        for step in steps:
            assert answer(simulated, step) == answer(real, step), step


def test_what_was_synced_survives_every_loss() -> None:
    disk = SimDisk(3)
    disk.make_folder("f")
    disk.sync_folder("")
    make(disk, "f/a", b"stable", synced=True)
    for loss in Loss:
        for seed in range(10):
            assert content(disk.image(loss, seed), "f/a") == b"stable"


def test_unsynced_writes_are_lost_with_all_and_kept_with_none() -> None:
    disk = SimDisk(3)
    handle = make(disk, "a", b"before", synced=True)
    disk.pwrite(handle, b"AFTER!", 0)
    disk.pwrite(handle, b"more", 6)
    assert content(disk.image(Loss.all), "a") == b"before"
    assert content(disk.image(Loss.none), "a") == b"AFTER!more"


def test_names_are_lost_with_their_folder_unsynced() -> None:
    disk = SimDisk(3)
    make(disk, "old", b"1", synced=True)
    handle = make(disk, "new", b"2")
    disk.sync(handle)
    disk.rename("old", "renamed")
    assert disk.image(Loss.all).list("") == ["old"]
    assert disk.image(Loss.none).list("") == ["new", "renamed"]
    seen = {tuple(disk.image(Loss.random_subset, seed).list("")) for seed in range(40)}
    assert seen == {("old",), ("new", "old"), ("renamed",), ("new", "renamed")}
    disk.sync_folder("")
    assert disk.image(Loss.all).list("") == ["new", "renamed"]


def test_a_random_subset_keeps_drops_and_mixes_writes() -> None:
    disk = SimDisk(3)
    handle = make(disk, "a", b"-" * 2048, synced=True)
    for sector in range(2):
        disk.pwrite(handle, bytes([65 + sector]) * 1024, sector * 1024)
    seen = {content(disk.image(Loss.random_subset, seed), "a") for seed in range(2000)}
    assert len(seen) == 16  # each of the four sectors is old or new
    assert all(set(text[i : i + 512]) <= {45, 65, 66} for text in seen for i in range(0, 2048, 512))


def test_a_torn_write_is_the_last_one_and_is_cut() -> None:
    disk = SimDisk(3)
    handle = make(disk, "a", b"." * 3000, synced=True)
    disk.pwrite(handle, b"1" * 1000, 0)
    disk.pwrite(handle, b"2" * 2000, 1000)
    cuts = set()
    for seed in range(100):
        text = content(disk.image(Loss.torn_last, seed), "a")
        assert text[:1000] == b"1" * 1000
        assert set(text[1000:]) <= {ord("2"), ord(".")}
        cuts.add(text[1000:].find(b"."))
    assert len(cuts) > 20


def test_an_image_is_repeated_by_its_seed() -> None:
    def run(seed: int) -> list[bytes]:
        disk = SimDisk(seed)
        handle = make(disk, "a", b"x" * 5000, synced=True)
        disk.pwrite(handle, b"y" * 5000, 100)
        return [content(disk.image(loss, 5), "a") for loss in Loss]

    assert run(11) == run(11)
    assert run(11) != run(12)


def test_after_a_crash_nothing_happens_any_more() -> None:
    disk = SimDisk(3)
    handle = make(disk, "a", b"1", synced=True)
    disk.crash_at(disk.operations + 2)
    disk.pwrite(handle, b"2", 0)
    assert error_of(lambda: disk.pwrite(handle, b"3", 0)) == errno.EIO
    assert disk.crashed
    for call in (lambda: disk.sync(handle), lambda: disk.unlink("a"), lambda: disk.open("b", NEW)):
        assert error_of(call) == errno.EIO
    assert content(disk.image(Loss.none), "a") == b"2"


def test_a_failed_sync_loses_its_writes_for_good() -> None:
    disk = SimDisk(3)
    handle = make(disk, "a", b"before", synced=True)
    disk.pwrite(handle, b"during", 0)
    disk.fail_sync_at(1)
    assert error_of(lambda: disk.sync(handle)) == errno.EIO
    disk.sync(handle)  # the system no longer knows that there is something to write
    assert content(disk, "a") == b"during"
    assert content(disk.image(Loss.all), "a") == b"before"


def test_everything_is_synced_at_once_or_nothing(disk: Disk) -> None:
    disk.make_folder("f")
    handle = make(disk, "f/a", b"before")
    make(disk, "b", b"b")
    disk.sync_everything()
    assert content(disk, "f/a") == b"before"
    if not isinstance(disk, SimDisk):
        return
    for loss in Loss:
        assert content(disk.image(loss, 1), "f/a") == b"before"
        assert disk.image(loss, 1).list("") == ["b", "f"]
    disk.pwrite(handle, b"during", 0)
    disk.fail_sync_at(1)
    assert error_of(disk.sync_everything) == errno.EIO
    disk.sync_everything()
    assert content(disk.image(Loss.all), "f/a") == b"before"


def test_a_full_disk_refuses_growth_only() -> None:
    disk = SimDisk(3)
    handle = make(disk, "a", b"12345678")
    disk.set_capacity(10)
    assert error_of(lambda: disk.pwrite(handle, b"abc", 8)) == errno.ENOSPC
    assert disk.pwrite(handle, b"abc", 7) == 3
    assert error_of(lambda: disk.truncate(handle, 11)) == errno.ENOSPC
    disk.truncate(handle, 0)
    assert disk.pwrite(handle, b"0123456789", 0) == 10


def test_a_flipped_bit_and_a_cold_cache() -> None:
    disk = SimDisk(3)
    handle = make(disk, "a", b"\0\0", synced=True)
    disk.flip_bit("a", 1, 3)
    assert content(disk, "a") == content(disk.image(Loss.all), "a") == b"\0\x08"
    disk.set_cold(True)
    assert error_of(lambda: disk.pread_nowait(handle, 1, 0)) == errno.EAGAIN
    assert disk.pread(handle, 2, 0) == b"\0\x08"


def test_the_real_disk_reads_without_waiting_what_was_just_written(tmp_path: Path) -> None:
    disk = RealDisk(str(tmp_path))
    text = os.urandom(100_000)
    handle = make(disk, "a", text)
    assert disk.pread_nowait(handle, 200_000, 0) == text
    assert disk.pread_nowait(handle, 10, 100_000) == b""
