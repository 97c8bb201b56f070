"""Goal: `slipstream repair` of a damaged journal loses nothing that can be read, and says of which
streams it lost entries, even where nothing behind them is left of that stream.

Method: a store of 20 streams of all kinds. Bits of a journal file's header are flipped; the header,
the last entry of one stream, and the mark that another file follows are destroyed; a file is
removed. What the store holds after the repair is compared with what it held before.
"""

from __future__ import annotations

import pytest

from disk_files import files
from slipstream.cli.repair import Report, repair
from slipstream.cli.store_folder import Outcome
from slipstream.cli.verify import verify
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import (
    OPEN_READ,
    OPEN_WRITE,
    EntryKind,
    KeyRing,
    Loss,
    SimDisk,
    salvage_journal,
)
from small_journals import use_small_journals
from varied_store import KINDS, PASSPHRASES, VariedStore, content_of, varied_store

HEADER_USED, HEADER, RECORD_HEAD, MARK = 52, 4096, 41, 48
NEXT_FILE = 0xFF  # what has the place of a kind where a file ends
UNNAMED = "entries of whatever streams, which cannot be named"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_journals(monkeypatch)


def journals(disk: SimDisk) -> list[str]:
    return sorted(path for path in files(disk) if path.endswith(".journal"))


def content(disk: SimDisk, path: str) -> bytes:
    handle = disk.open(path, OPEN_READ)
    try:
        return disk.pread(handle, disk.size(handle), 0)
    finally:
        disk.close(handle)


def overwrite(disk: SimDisk, path: str, at: int, text: bytes) -> None:
    handle = disk.open(path, OPEN_WRITE)
    disk.pwrite(handle, text, at)
    disk.sync(handle)
    disk.close(handle)


def repaired(store: VariedStore, disk: SimDisk) -> Report:
    with pytest.raises(StoreError, match="journal"):
        store.opened(disk.image(Loss.none))
    passphrases = PASSPHRASES if store.keys else None
    assert verify(disk.image(Loss.none), passphrases).outcome == Outcome.DAMAGED
    report = repair(disk, passphrases, apply=True)
    assert not report.remains, report.lines()
    assert verify(disk.image(Loss.none), passphrases).outcome == Outcome.SOUND
    return report


def gone(store: VariedStore, disk: SimDisk) -> dict[str, set[int]]:
    """What is lost, by stream; nothing is there that was never stored."""
    node = store.opened(disk)
    node.kernel.check()
    lost = {}
    for stream, name in store.names.items():
        now, damaged = content_of(node, stream)
        assert not damaged
        assert now.messages.items() <= store.stored[stream].items()
        if missing := store.contents[stream].messages.keys() - now.messages.keys():
            lost[name] = set(missing)
    return lost


def mark_at(text: bytes) -> int:
    """Where a journal file says that another one follows; its earlier life left what is behind."""
    return next(
        at
        for at in range(HEADER, len(text) - MARK, 8)
        if text[at : at + 4] == RECORD_HEAD.to_bytes(4, "little") and text[at + 40] == NEXT_FILE
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_in_a_header_costs_nothing(kind: str) -> None:
    store = varied_store(kind)
    for number, byte in enumerate(range(0, HEADER_USED, 3)):
        path = journals(store.disk)[number % len(journals(store.disk))]
        disk = store.disk.image(Loss.none)
        disk.flip_bit(path, byte, number % 8)
        report = repaired(store, disk)
        assert report.lost == []
        assert any(path in line and "its records are read" in line for line in report.found)
        assert gone(store, disk) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_whose_header_is_lost_is_named(kind: str) -> None:
    store = varied_store(kind)
    path = journals(store.disk)[2]
    disk = store.disk.image(Loss.none)
    overwrite(disk, path, 0, bytes(HEADER))
    report = repaired(store, disk)
    assert gone(store, disk)
    assert any(path in line and UNNAMED in line for line in report.lost)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_missing_is_named(kind: str) -> None:
    store = varied_store(kind)
    path = journals(store.disk)[2]
    disk = store.disk.image(Loss.none)
    disk.unlink(path)
    report = repaired(store, disk)
    assert gone(store, disk)
    assert any("is missing" in line and UNNAMED in line for line in report.lost)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_mark_costs_nothing(kind: str) -> None:
    """That another file follows is known from the files themselves."""
    store = varied_store(kind)
    path = journals(store.disk)[1]
    disk = store.disk.image(Loss.none)
    disk.flip_bit(path, mark_at(content(disk, path)) + 9, 3)
    report = repaired(store, disk)
    assert report.lost == []
    assert gone(store, disk) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_entry_of_a_stream_is_named(kind: str) -> None:
    """Nothing of its stream is behind it that could tell."""
    store = varied_store(kind)
    disk = store.disk.image(Loss.none)
    node = store.opened(disk)
    for _ in range(3):  # so that it is known that what was before was synced
        node.publish(b"s19.1", b"behind it")
        for _ in range(4):
            node.turn()
    ring = KeyRing(store.keys) if store.keys else None
    records, _ = salvage_journal(disk, ring)
    last = {record[0]: record for record in records}
    group, term, index, entry_kind, _ = last[min(last)]
    assert entry_kind == EntryKind.messages
    head = b"".join(n.to_bytes(8, "little") for n in (group, term, index))
    [(path, at)] = [
        (path, found)
        for path in journals(disk)
        if (found := content(disk, path).find(head, HEADER)) > 0
    ]
    disk = disk.image(Loss.none)
    disk.flip_bit(path, at - 8 + RECORD_HEAD + 20, 2)
    _, damage = salvage_journal(disk, ring)
    assert [(d.group, d.entry, d.kind) for d in damage] == [(group, index, EntryKind.messages)]
    report = repaired(store, disk)
    name, last_seq = store.names[group], max(store.contents[group].messages)
    assert report.lost == [f"stream {name}: 1 messages or more behind sequence {last_seq - 1}"]
    node = store.opened(disk)
    for stream, content_before in store.contents.items():
        now, damaged = content_of(node, stream)
        missing = content_before.messages.keys() - now.messages.keys()
        assert missing == ({last_seq} if stream == group else set())
        assert not damaged
