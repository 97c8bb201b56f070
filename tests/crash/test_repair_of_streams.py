"""Goal: `slipstream repair` makes a stream usable again whose segments are damaged, cut or missing,
plain, compressed or encrypted: what verifies is kept, what is lost is named by stream and
sequences, the originals are kept aside, and without --apply nothing is changed. `slipstream verify`
names several damages of different files in one run.

Method: a store of 20 streams of all kinds is damaged in one or more files; what it holds after the
repair is compared with what it held before.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from disk_files import files
from slipstream.cli import repair as command
from slipstream.cli.repair import repair
from slipstream.cli.store_folder import Outcome
from slipstream.cli.verify import verify
from slipstream.kernel._kernel import (
    OPEN_CREATE,
    OPEN_READ,
    OPEN_WRITE,
    Loss,
    RealDisk,
    SimDisk,
)
from slipstream.server.store_keys import Passphrases
from varied_store import KINDS, PASSPHRASES, VariedStore, content_of, varied_store

LIMITS = "S0"  # keeps all of its messages, in two segments


def passphrases_of(store: VariedStore) -> Passphrases | None:
    return PASSPHRASES if store.keys else None


def segments(store: VariedStore, name: str) -> list[str]:
    stream = next(number for number, found in store.names.items() if found == name)
    return sorted(p for p in files(store.disk) if p.startswith(f"streams/{stream:016x}/"))


def check_repaired(store: VariedStore, disk: SimDisk, damaged: set[str]) -> dict[str, list[int]]:
    """What is gone, by stream: of others than the damaged ones nothing."""
    before = files(disk)
    dry = repair(disk, passphrases_of(store))
    assert dry.outcome == Outcome.DAMAGED
    assert files(disk) == before
    report = repair(disk, passphrases_of(store), apply=True)
    assert report.lost == dry.lost
    assert not report.remains, report.lines()
    assert any(path.startswith("repaired-1/streams/") for path in files(disk))
    checked = verify(disk.image(Loss.none), passphrases_of(store))
    assert checked.outcome == Outcome.SOUND, checked.lines
    node = store.opened(disk)
    node.kernel.check()
    gone = {}
    for stream, name in store.names.items():
        now, lost = content_of(node, stream)
        assert not lost
        if name not in damaged:
            assert now == store.contents[stream]
            continue
        expected = store.contents[stream].messages
        assert now.messages.items() <= expected.items()
        gone[name] = sorted(expected.keys() - now.messages.keys())
        named = any(f"stream {name}: messages " in line for line in report.lost)
        assert named == bool(gone[name])
    return gone


@pytest.mark.parametrize("kind", KINDS)
def test_a_segment_that_is_cut(kind: str) -> None:
    store = varied_store(kind)
    path = segments(store, LIMITS)[0]
    disk = store.disk.image(Loss.none)
    handle = disk.open(path, OPEN_WRITE)
    disk.truncate(handle, disk.size(handle) * 2 // 3)
    disk.sync(handle)
    disk.close(handle)
    gone = check_repaired(store, disk, {LIMITS})[LIMITS]
    assert gone
    assert len(gone) < 37
    assert gone == list(range(gone[0], gone[-1] + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_a_segment_that_is_missing(kind: str) -> None:
    store = varied_store(kind)
    first, *others = segments(store, LIMITS)
    disk = store.disk.image(Loss.none)
    disk.unlink(first)
    assert others, "the messages of this stream are to fill more than one segment"
    before = repair(disk, passphrases_of(store))
    assert any(f"stream {LIMITS}: messages 1-" in line for line in before.lost)
    report = repair(disk, passphrases_of(store), apply=True)
    assert report.lost == before.lost
    assert verify(disk.image(Loss.none), passphrases_of(store)).outcome == Outcome.SOUND
    node = store.opened(disk)
    for stream, name in store.names.items():
        now, lost = content_of(node, stream)
        assert not lost
        if name == LIMITS:
            assert now.messages.keys() == {
                seq for seq in store.contents[stream].messages if seq in now.messages
            }
            assert max(now.messages) == max(store.contents[stream].messages)
        else:
            assert now == store.contents[stream]


@pytest.mark.parametrize("kind", KINDS)
def test_several_damages_are_named_in_one_run_and_repaired_in_one(kind: str) -> None:
    store = varied_store(kind)
    disk = store.disk.image(Loss.none)
    for name, at in (("S0", 700), ("S3", 400), ("S8", 900)):
        disk.flip_bit(segments(store, name)[0], at, 3)
    checkpoint = next(path for path in sorted(files(disk)) if path.endswith(".checkpoint"))
    disk.flip_bit(checkpoint, files(disk)[checkpoint] - 4, 1)
    report = verify(disk, passphrases_of(store))
    text = "\n".join(report.lines)
    assert report.outcome == Outcome.DAMAGED
    for name in ("S0", "S3", "S8"):
        assert f"stream {name}: messages " in text
        assert f"DAMAGED: stream {name}: messages " in text
    assert checkpoint in text
    gone = check_repaired(store, disk, {"S0", "S3", "S8"})
    assert all(gone.values())


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_a_head_costs_nothing(kind: str) -> None:
    store = varied_store(kind)
    path = segments(store, LIMITS)[0]
    for at in (3, 10, 20, 46, 62):
        disk = store.disk.image(Loss.none)
        disk.flip_bit(path, at, 2)
        size = files(disk)[path]
        assert check_repaired(store, disk, set()) == {}
        assert files(disk)[path] == size


@pytest.mark.parametrize("kind", ["plain", "encrypted"])
def test_the_command(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit codes and texts, over a real folder."""
    store = varied_store(kind)
    disk = store.disk.image(Loss.none)
    disk.flip_bit(segments(store, LIMITS)[0], 700, 3)
    folder = tmp_path / "store"
    folder.mkdir()
    real = RealDisk(str(folder))
    for path in files(disk):
        for depth in range(1, path.count("/") + 1):
            real.make_folder("/".join(path.split("/")[:depth]))
        source, target = disk.open(path, OPEN_READ), real.open(path, OPEN_WRITE | OPEN_CREATE)
        real.pwrite(target, disk.pread(source, disk.size(source), 0), 0)
        disk.close(source)
        real.close(target)
    config = tmp_path / "server.conf"
    key = f'key: "{PASSPHRASES.key}", cipher: chacha' if kind == "encrypted" else ""
    config.write_text(f'jetstream {{ store_dir: "{folder}", {key} }}')
    assert command.main(str(folder), config=str(config)) == Outcome.DAMAGED
    text = capsys.readouterr().out
    assert "would be repaired (give --apply to do it)" in text
    assert f"LOST: stream {LIMITS}: messages " in text
    assert command.main(str(folder), config=str(config), apply=True) == Outcome.SOUND
    assert "originals: repaired-1" in capsys.readouterr().out
    assert command.main(str(folder), config=str(config)) == Outcome.SOUND
    assert "nothing to repair" in capsys.readouterr().out
