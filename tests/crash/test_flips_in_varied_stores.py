"""Goal: one flipped bit, anywhere in a store of 20 streams of all kinds: (1) the start is refused
for the marker and the journal's synced part alone; (2) all streams that the bit does not belong to
are exactly as they were; (3) each sequence that cannot be read is named, by `verify` too;
(4) `repair` keeps everything that verifies, names what it cannot keep, and leaves a sound store.

Method: a random bit of a random file, over whole files; what is there after the start is compared
with what was there before, canonical states and messages. SLIPSTREAM_FLIPS says how many flips of
each of the three stores are tried; SLIPSTREAM_FLIPS_SEED which.
"""

from __future__ import annotations

import os
import random
import re
import traceback
from collections import Counter

import pytest

from disk_files import files
from slipstream.cli.repair import Report, repair
from slipstream.cli.store_folder import Outcome, ranges
from slipstream.cli.verify import verify
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import STORE_MARKER, Loss, SimDisk
from slipstream.testing.simulated_node import SimulatedNode
from small_journals import use_small_journals
from varied_store import (
    IN_JOURNAL,
    KINDS,
    PASSPHRASES,
    STREAMS,
    VARIANTS,
    Content,
    VariedStore,
    content_of,
    varied_store,
)

FLIPS = int(os.environ.get("SLIPSTREAM_FLIPS", "25"))
SEED = os.environ.get("SLIPSTREAM_FLIPS_SEED", "1")
REMOVING = {"max_msgs_per_subject", "max_msgs", "retention", "allow_schedules"}
UNNAMED = "entries of whatever streams, which cannot be named"  # where the journal is damaged
UNDECIDED = "depends on a message that cannot be read"  # an entry in the journal


def owner(path: str) -> int:
    """The stream in whose segment it is."""
    return int(path.split("/")[1], 16) if path.startswith("streams/") else 0


def compare(store: VariedStore, node: SimulatedNode, path: str) -> dict[int, list[int]]:
    """What is damaged, by stream."""
    damaged: dict[int, list[int]] = {}
    assert len(node.recovered) == STREAMS
    for record in node.recovered:
        stream, before = record.stream, store.contents[record.stream]
        if record.offline:
            assert stream == owner(path)
            assert UNDECIDED in record.offline or "the frame at byte" in record.offline
            continue
        now, lost = content_of(node, stream)
        if stream == owner(path):
            damaged |= {stream: lost} if lost else {}
            assert before.messages.keys() <= now.messages.keys() | set(lost)
            check_messages(store, stream, now)
        elif path.startswith("journal/") and now != before:
            # Records of the last sync: nothing proves that it came to its end.
            assert set(before.messages) - set(now.messages) <= {max(before.messages)}
            check_messages(store, stream, now)
        else:
            assert now == before, f"stream {stream}"
    node.kernel.check()
    return damaged


def check_messages(store: VariedStore, stream: int, now: Content) -> None:
    """As they were. A removal that a lost entry of the journal had caused is undone, and so is one
    by a limit per subject, where a message of that subject cannot be read. A schedule takes the
    place of the one before it on its subject.
    """
    assert now.messages.items() <= store.stored[stream].items()
    if now.messages.keys() - store.contents[stream].messages.keys():
        number = int(store.names[stream][1:])
        assert VARIANTS[number % len(VARIANTS)].keys() & REMOVING


def numbers_in(text: str) -> set[int]:
    bounds = [[int(n) for n in part.split("-")] for part in text.split(", ")]
    return {number for b in bounds for number in range(b[0], b[-1] + 1)}


def check_verify(store: VariedStore, disk: SimDisk, damaged: dict[int, list[int]]) -> Outcome:
    report = verify(disk, PASSPHRASES if store.keys else None)
    text = "\n".join(report.lines)
    for stream, sequences in damaged.items():
        assert report.outcome == Outcome.DAMAGED
        assert f"stream {store.names[stream]}: messages {ranges(sequences)} have" in text
    return report.outcome


def check_repair(store: VariedStore, disk: SimDisk, refused: bool) -> Report:
    passphrases = PASSPHRASES if store.keys else None
    before = files(disk)
    dry = repair(disk.image(Loss.none), passphrases)
    assert files(disk) == before
    report = repair(disk, passphrases, apply=True)
    assert report.outcome == dry.outcome
    assert report.lost == dry.lost
    assert not report.remains, report.lines()
    after = verify(disk.image(Loss.none), passphrases)
    assert after.outcome == Outcome.SOUND, after.lines
    node = store.opened(disk)
    text = "\n".join(report.lost)
    for record in node.recovered:
        assert not record.offline
        before_damage = store.contents[record.stream].messages
        now, lost = content_of(node, record.stream)
        assert not lost
        gone = sorted(before_damage.keys() - now.messages.keys())
        check_messages(store, record.stream, now)
        if not gone:
            continue
        name = store.names[record.stream]
        if refused:
            assert f"stream {name}: " in text or UNNAMED in text, text
            assert len(gone) <= IN_JOURNAL
        else:
            named = re.search(rf"stream {name}: messages (\S.*)$", text, re.MULTILINE)
            assert named, text
            assert set(gone) <= numbers_in(named[1])
    node.kernel.check()
    return report


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_anywhere(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    use_small_journals(monkeypatch)
    store = varied_store(kind)
    sizes = files(store.disk)
    rng = random.Random(f"{kind} {SEED}")
    outcomes: Counter[str] = Counter()
    failures = []
    for _ in range(FLIPS):
        path = rng.choice(sorted(sizes))
        offset, bit = rng.randrange(sizes[path]), rng.randrange(8)
        disk = store.disk.image(Loss.none)
        disk.flip_bit(path, offset, bit)
        try:
            outcomes[judge(store, disk, path)] += 1
        except (AssertionError, StoreError):
            failures.append(f"{kind}: bit {bit} of byte {offset} of {path}")
            print(failures[-1], traceback.format_exc(), flush=True)
    print(kind, dict(outcomes))
    assert not failures
    assert sum(outcomes.values()) == FLIPS


def judge(store: VariedStore, disk: SimDisk, path: str) -> str:
    try:
        node = store.opened(disk.image(Loss.none))
    except StoreError:
        assert path == STORE_MARKER or path.startswith("journal/")
        assert check_verify(store, disk.image(Loss.none), {}) == Outcome.DAMAGED
        check_repair(store, disk, refused=True)
        return "refused, then repaired"
    offline = next((record.offline for record in node.recovered if record.offline), "")
    damaged = compare(store, node, path)
    node.kernel.stop()
    if offline:
        assert check_verify(store, disk.image(Loss.none), damaged) == Outcome.DAMAGED
        if UNDECIDED not in offline:
            check_repair(store, disk, refused=False)
            return "offline, then repaired"
        report = repair(disk, PASSPHRASES if store.keys else None, apply=True)
        assert report.remains
        assert any(store.names[owner(path)] in line for line in report.lost)
        return "a counter's total lost"
    outcome = check_verify(store, disk.image(Loss.none), damaged)
    if outcome == Outcome.SOUND:
        return "no harm"
    check_repair(store, disk, refused=False)
    return "messages damaged" if damaged else "damage without harm"
