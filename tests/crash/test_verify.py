"""`slipstream verify`: what it says about sound, damaged, foreign and busy folders, and that it
changes none of them.

Method: a workload makes a store on the simulated disk, or a server one in a folder; bits are
flipped and files cut; the report's outcome is the exit code. That damage is refused by a start as
well, with nothing removed, is shown beside it.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from ledger import Ledger
from slipstream.cli import verify
from slipstream.cli.store_folder import Outcome
from slipstream.kernel import Kernel, StoreError
from slipstream.kernel._kernel import OPEN_CREATE, OPEN_READ, OPEN_WRITE, Loss, RealDisk, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    consumer_spec,
    stream_spec,
)

SEGMENT_HEAD_BYTES = 64
FOLDERS = ("journal", "checkpoints", "streams")


def contents(disk: SimDisk) -> dict[str, bytes]:
    """Every file of a simulated disk."""
    found: dict[str, bytes] = {}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for name in disk.list(folder):
            path = f"{folder}/{name}" if folder else name
            try:
                handle = disk.open(path, OPEN_READ)
            except IsADirectoryError:
                waiting.append(path)
                continue
            found[path] = disk.pread(handle, disk.size(handle), 0)
            disk.close(handle)
    return found


@pytest.fixture
def store() -> SimDisk:
    """Messages in segments (30), and in the journal alone (5); a consumer."""
    disk = SimDisk(7)
    ledger = Ledger()
    ledger.attach(SimulatedNode(disk, SimulatedClock()))
    ledger.create_stream("S", stream_spec(subjects=[b"S.>"]))
    ledger.turn()
    ledger.create_consumer("S", "c", consumer_spec())
    for i in range(30):
        ledger.publish("S", b"S.%d" % (i % 5), b"body %d " % i + b"x" * 500)
        ledger.turn()
    ledger.node.kernel.checkpoint()
    ledger.turn(4)
    ledger.create_stream("T", stream_spec(subjects=[b"T.>"]))
    for i in range(5):
        ledger.publish("S", b"S.tail", b"tail %d" % i)
        ledger.turn()
    return disk.image(Loss.all)


def only(paths: dict[str, bytes], suffix: str) -> str:
    """The last file of a kind (of journals, the one in use holds the records)."""
    return sorted(path for path in paths if path.endswith(suffix))[-1]


def refused(disk: SimDisk) -> str:
    """What a start says; it must leave everything that holds something as it is."""
    image = disk.image(Loss.none)
    before = contents(image)
    with pytest.raises(StoreError) as error:
        SimulatedNode(image, SimulatedClock())
    after = contents(image)
    for path, content in before.items():
        empty = path.startswith("journal/") and not any(content[4096:])  # may be prepared anew
        assert empty or after.get(path) == content, f"a refused store was changed: {path}"
    return str(error.value)


def offline(disk: SimDisk) -> str:
    """Why the damaged stream is; a start leaves everything that is there as it is."""
    image = disk.image(Loss.none)
    before = contents(image)
    recovered = SimulatedNode(image, SimulatedClock()).recovered
    after = contents(image)
    for path, content in before.items():
        spared = path.startswith(FOLDERS[1:]) and "/reserve" not in path  # which holds nothing
        assert not spared or after.get(path) == content, f"a damaged store was changed: {path}"
    damaged, other = sorted(recovered)
    assert not other.offline
    return str(damaged.offline)


def test_a_sound_store(store: SimDisk) -> None:
    before = contents(store)
    report = verify.verify(store)
    assert report.outcome == Outcome.SOUND, report.lines
    text = "\n".join(report.lines)
    assert "35 of 35 messages read (1 to 35)" in text
    assert "1 consumers" in text
    assert contents(store) == before


@pytest.mark.parametrize(
    ("suffix", "offset"),
    [
        pytest.param(".segment", 20, id="segment head"),
        pytest.param(".segment", 64 + 12, id="length of a record"),
        pytest.param(".segment", 1000, id="body or head of a message"),
        pytest.param(".checkpoint", 10, id="version of a checkpoint"),
        pytest.param(".checkpoint", 50, id="snapshot"),
        pytest.param(".checkpoint", -10, id="footer"),
        pytest.param(".checkpoint", -50, id="directory"),
        pytest.param("slipstream.store", 3, id="marker"),
    ],
)
def test_a_flipped_bit(store: SimDisk, suffix: str, offset: int) -> None:
    files = contents(store)
    path = sorted(p for p in files if p.endswith(suffix))[0]
    store.flip_bit(path, offset if offset >= 0 else len(files[path]) + offset, 3)
    damaged = contents(store)
    report = verify.verify(store)
    assert report.outcome == Outcome.DAMAGED, report.lines
    assert contents(store) == damaged


def journal_in_use(files: dict[str, bytes]) -> str:
    return next(p for p in sorted(files) if p.endswith(".journal") and any(files[p][4096:4100]))


@pytest.mark.parametrize("offset", [2, 20, 4096 + 4, 4096 + 30, 4096 + 60])
def test_a_flipped_bit_in_the_journal(store: SimDisk, offset: int) -> None:
    """Also in records that a checkpoint covers: what lies behind them proves that they were
    synced.
    """
    store.flip_bit(journal_in_use(contents(store)), offset, 1)
    report = verify.verify(store)
    assert report.outcome == Outcome.DAMAGED, report.lines
    assert "journal" in "\n".join(report.lines)
    assert "journal" in refused(store)


def test_a_flipped_bit_in_a_record_head_costs_its_message(store: SimDisk) -> None:
    path = only(contents(store), ".segment")
    store.flip_bit(path, SEGMENT_HEAD_BYTES + 16, 1)  # its sequence
    report = verify.verify(store)
    assert report.outcome == Outcome.DAMAGED
    text = "\n".join(report.lines)
    assert "34 of 35 messages read" in text
    assert "messages 29 have wrong checksums" in text


@pytest.mark.parametrize("suffix", [".segment", ".checkpoint", ".journal"])
def test_a_truncated_file(store: SimDisk, suffix: str) -> None:
    path = (
        journal_in_use(contents(store)) if suffix == ".journal" else only(contents(store), suffix)
    )
    handle = store.open(path, OPEN_WRITE)
    store.truncate(handle, store.size(handle) - 100)
    store.close(handle)
    report = verify.verify(store)
    assert report.outcome == Outcome.DAMAGED, report.lines
    if suffix == ".journal":
        assert path in refused(store)
    elif suffix == ".segment":
        assert path in offline(store)


def test_a_missing_checkpoint(store: SimDisk) -> None:
    store.unlink(only(contents(store), ".checkpoint"))
    assert verify.verify(store).outcome == Outcome.DAMAGED
    refused(store)


def test_a_missing_segment(store: SimDisk) -> None:
    path = only(contents(store), ".segment")
    store.unlink(path)
    report = verify.verify(store)
    assert report.outcome == Outcome.DAMAGED
    assert path in offline(store)


def test_a_torn_tail_is_sound(store: SimDisk) -> None:
    """Half of a record behind the end, as a power loss leaves it: it was never acknowledged."""
    files = contents(store)
    path = journal_in_use(files)
    end = len(files[path].rstrip(b"\0")) + 8
    end -= end % 8
    handle = store.open(path, OPEN_WRITE)
    store.pwrite(handle, b"\x80\0\0\0torn", end)
    store.close(handle)
    torn = contents(store)
    report = verify.verify(store)
    assert report.outcome == Outcome.SOUND, report.lines
    assert "torn rest" in "\n".join(report.lines)
    assert contents(store) == torn
    SimulatedNode(store.image(Loss.none), SimulatedClock())


def test_a_store_in_use(tmp_path: Path) -> None:
    kernel = Kernel()
    kernel.open_store(path=str(tmp_path))
    out = io.StringIO()
    assert verify.main(str(tmp_path), out) == Outcome.NOT_A_STORE
    assert "in use by a server" in out.getvalue()
    kernel.stop()


def test_folders_that_are_no_store(tmp_path: Path) -> None:
    out = io.StringIO()
    assert verify.main(str(tmp_path / "missing"), out) == Outcome.NOT_A_STORE
    assert verify.main(str(tmp_path), out) == Outcome.NOT_A_STORE
    (tmp_path / "jetstream").mkdir()
    assert verify.main(str(tmp_path), out) == Outcome.NOT_A_STORE
    assert "nats-server" in out.getvalue()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["jetstream"]


def hashes(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_folder_is_only_read(store: SimDisk, tmp_path: Path) -> None:
    """The same store in a real folder, as the command sees it."""
    real = RealDisk(str(tmp_path))
    for folder in (*FOLDERS, "streams/0000000000000001"):
        real.make_folder(folder)
    for path, content in contents(store).items():
        handle = real.open(path, OPEN_WRITE | OPEN_CREATE)
        real.pwrite(handle, content, 0)
        real.close(handle)
    before = hashes(tmp_path)
    out = io.StringIO()
    assert verify.main(str(tmp_path), out) == Outcome.SOUND, out.getvalue()
    assert "35 of 35 messages read" in out.getvalue()
    assert hashes(tmp_path) == before


def test_sizes_do_not_matter(store: SimDisk) -> None:
    """The journal's files may be of another size than this program would make them."""
    node = SimulatedNode(
        store.image(Loss.none), SimulatedClock(), sizes=StoreSizes(journal_file_bytes=32 << 10)
    )
    assert len(node.recovered) == 2
