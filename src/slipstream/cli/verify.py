"""`slipstream verify FOLDER`: is a stopped server's store whole?

What the next start would do is done here, by the same code, over a disk that keeps all changes in
memory: the checkpoints are loaded, the journal is replayed, every message is read back with its
checksums. The folder itself is only read.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from slipstream.cli.repair import repair
from slipstream.cli.store_folder import (
    DAMAGED_SHOWN_MAX,
    Outcome,
    list_or_nothing,
    marker_text,
    ranges,
    stream_name,
    total_bytes,
    why_not,
    with_marker,
)
from slipstream.config.load import load
from slipstream.config.source import ConfigError
from slipstream.kernel import Kernel, StoreError
from slipstream.kernel._kernel import (
    STORE_MARKER,
    STORE_MARKER_TEXT,
    Disk,
    Journal,
    KeyRing,
    OverlayDisk,
    RealDisk,
    StorageError,
    read_back,
    salvage_journal,
)
from slipstream.kernel.events import DamageEvent
from slipstream.kernel.values import StoreKeys
from slipstream.server.jetstream import passphrases_of
from slipstream.server.store_keys import Passphrases, unlock


@dataclass
class Report:
    outcome: Outcome = Outcome.SOUND
    lines: list[str] = field(default_factory=list)

    def damage(self, line: str) -> None:
        self.outcome = Outcome.DAMAGED
        self.lines.append(f"DAMAGED: {line}")


def main(folder: str, out: TextIO | None = None, config: str = "") -> int:
    out = out or sys.stdout
    if not Path(folder).is_dir():
        print(f"{folder}: no such folder", file=out)
        return Outcome.NOT_A_STORE
    try:
        passphrases = passphrases_of(load(config).options.jetstream)
    except (ConfigError, OSError) as error:
        print(f"{config}: {error}", file=out)
        return Outcome.NOT_A_STORE
    report = verify(RealDisk(folder), passphrases)
    verdicts = {
        Outcome.SOUND: "sound",
        Outcome.DAMAGED: "damaged; nothing was changed",
        Outcome.NOT_A_STORE: "not checked",
    }
    print(f"{folder}: {verdicts[report.outcome]}", file=out)
    for line in report.lines:
        print(f"  {line}", file=out)
    return report.outcome


def verify(disk: Disk, passphrases: Passphrases | None = None) -> Report:
    report = Report()
    if reason := why_not(disk):
        report.outcome = Outcome.NOT_A_STORE
        report.lines.append(reason)
        return report
    if marker_text(disk) != STORE_MARKER_TEXT:
        report.damage(f"'{STORE_MARKER}' has an unknown format, or is damaged")
        disk = with_marker(disk)
    count_files(disk, report)
    try:
        keys = unlock(OverlayDisk(disk), passphrases or Passphrases(), os.urandom)
    except StoreError as error:
        report.outcome = Outcome.NOT_A_STORE
        report.lines.append(str(error))
        return report
    if not check_journal(disk, keys, report):
        disk = repaired(disk, passphrases, report)
    check_streams(disk, keys, report)
    return report


def repaired(disk: Disk, passphrases: Passphrases | None, report: Report) -> Disk:
    """As `slipstream repair` would leave it: what else is damaged shows there."""
    overlay = OverlayDisk(disk)
    found = repair(overlay, passphrases, apply=True)
    for line in found.lost:
        report.damage(f"lost with the journal: {line}")
    return overlay


def count_files(disk: Disk, report: Report) -> None:
    for folder, suffix in (("journal", ".journal"), ("checkpoints", ".checkpoint")):
        names = [name for name in list_or_nothing(disk, folder) if name.endswith(suffix)]
        report.lines.append(
            f"{folder}: {len(names)} files, {total_bytes(disk, folder, names)} bytes"
        )


def check_journal(disk: Disk, keys: StoreKeys | None, report: Report) -> bool:
    overlay = OverlayDisk(disk)
    journal = None
    try:
        journal = Journal(overlay, threaded=False, keys=KeyRing(keys) if keys else None)
        by_group = Counter(record[0] for record in journal.recover())
    except StorageError as error:
        found = salvage_journal(disk, KeyRing(keys) if keys else None)[1]
        for line in [place.text for place in found] or [str(error)]:
            report.damage(f"journal: {line}")
        return False
    finally:
        if journal is not None:
            journal.close()
    report.lines.append(f"journal: {by_group.total()} records of {len(by_group)} groups, all whole")
    if any(path.endswith(".journal") for path in overlay.changed()):
        report.lines.append(
            "journal: behind the last record lies the torn rest of a write that was never "
            "acknowledged; the next start cuts it"
        )
    return True


def check_streams(disk: Disk, keys: StoreKeys | None, report: Report) -> None:
    overlay = OverlayDisk(disk)
    kernel = Kernel()
    try:
        streams = kernel.open_store(disk=overlay, threads=False, unlock=lambda _: keys)
    except StoreError as error:
        report.damage(str(error))
        return
    for record in sorted(streams):
        name = stream_name(record.description) or f"number {record.stream}"
        if record.offline:
            report.damage(f"stream {name} would be offline: {record.offline}")
            continue
        state = kernel.stream_state(record.stream)
        folder = f"streams/{record.stream:016x}"
        files = [n for n in list_or_nothing(disk, folder) if n.endswith(".segment")]
        read, damaged = read_back(kernel, record.stream, DAMAGED_SHOWN_MAX)
        report.lines.append(
            f"stream {name}: {read} of {state.messages} messages read "
            f"({state.first_seq} to {state.last_seq}), {state.num_subjects} subjects, "
            f"{state.consumers} consumers, {len(files)} segments of "
            f"{total_bytes(disk, folder, files)} bytes"
        )
        if damaged:
            more = " and more" if len(damaged) == DAMAGED_SHOWN_MAX else ""
            report.damage(f"stream {name}: messages {ranges(damaged)}{more} have wrong checksums")
    kernel.turn(time.time_ns(), time.monotonic_ns())  # events come at the end of a turn
    for event in kernel.wait_events(0):
        if isinstance(event, DamageEvent) and event.text:
            report.damage(f"{event.text} (a start mends it in memory)")
