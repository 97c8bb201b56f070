"""`slipstream repair FOLDER`: a damaged store that no server starts with, made usable again with
all that is whole in it.

Without --apply nothing is changed: the repair is done over a disk that keeps changes in memory, and
the report says what would be done and what is lost. With it, the same is done in the folder, after
the originals were moved to a folder `repaired-N` beside them. Messages that cannot be read are
removed, each named. A stream whose snapshot is lost stays offline, and its files stay untouched.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from slipstream.cli.store_folder import Outcome, list_or_nothing, marker_text, stream_name, why_not
from slipstream.cli.stream_repair import Files, StreamRepair
from slipstream.config.load import load
from slipstream.config.source import ConfigError
from slipstream.kernel import Kernel, StoreError
from slipstream.kernel._kernel import (
    OPEN_CREATE,
    OPEN_READ,
    OPEN_TRUNCATE,
    OPEN_WRITE,
    STORE_MARKER,
    STORE_MARKER_TEXT,
    Checkpoints,
    Disk,
    EntryKind,
    Journal,
    KeyRing,
    OverlayDisk,
    RealDisk,
    StorageError,
    salvage_journal,
)
from slipstream.kernel.values import JournalDamage, StoreKeys
from slipstream.server.jetstream import passphrases_of
from slipstream.server.store_keys import Passphrases, unlock

META = 0
STORE_GROUP = 2**63 - 1  # what a checkpoint says of the store as a whole: the journal that it needs
JOURNAL_BYTES_MAX = 1 << 40
LOST_ENTRIES_MAX = 1 << 32  # of one group; an index beyond that is damaged itself

Record = tuple[int, int, int, int, bytes]  # group, term, index, kind, payload


@dataclass
class Report:
    outcome: Outcome = Outcome.SOUND
    done: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    found: list[str] = field(default_factory=list)
    remains: bool = False  # a stream that is still offline

    def lines(self) -> list[str]:
        return [
            *(f"REPAIR: {line}" for line in self.done),
            *(f"LOST: {line}" for line in self.lost),
            *self.found,
        ]


def main(folder: str, out: TextIO | None = None, config: str = "", *, apply: bool = False) -> int:
    out = out or sys.stdout
    if not Path(folder).is_dir():
        print(f"{folder}: no such folder", file=out)
        return Outcome.NOT_A_STORE
    try:
        passphrases = passphrases_of(load(config).options.jetstream)
    except (ConfigError, OSError) as error:
        print(f"{config}: {error}", file=out)
        return Outcome.NOT_A_STORE
    report = repair(RealDisk(folder), passphrases, apply=apply)
    verdicts = {
        Outcome.SOUND: "nothing to repair",
        Outcome.DAMAGED: "repaired" if apply else "would be repaired (give --apply to do it)",
        Outcome.NOT_A_STORE: "cannot be repaired; nothing was changed",
    }
    if not report.done and report.remains:
        verdicts[Outcome.DAMAGED] = "damaged, and nothing of it can be repaired"
    print(f"{folder}: {verdicts[report.outcome]}", file=out)
    for line in report.lines():
        print(f"  {line}", file=out)
    repaired = report.outcome == Outcome.DAMAGED and apply and not report.remains
    return Outcome.SOUND if repaired else report.outcome


def repair(disk: Disk, passphrases: Passphrases | None = None, *, apply: bool = False) -> Report:
    """First over a copy in memory, always: only what ends in a store that opens is applied."""
    passphrases = passphrases or Passphrases()
    try:
        report = _Repair(OverlayDisk(disk), passphrases).run()
        if apply and report.done:
            report = _Repair(disk, passphrases).run()
    except (StoreError, StorageError) as error:
        return Report(Outcome.NOT_A_STORE, found=[str(error)])
    return report


class _Repair:
    def __init__(self, disk: Disk, passphrases: Passphrases) -> None:
        self._disk = disk
        self._passphrases = passphrases
        self._report = Report()
        self._aside = ""
        self._lost_messages: dict[int, int] = defaultdict(int)
        self._lost_entries: dict[int, list[int]] = defaultdict(list)

    def run(self) -> Report:
        self._mark()
        keys = unlock(OverlayDisk(self._disk), self._passphrases, os.urandom)
        self._mend_journal(keys)
        streams = StreamRepair(self._disk, keys, Files(self._copy_aside, self._write))
        streams.run()
        self._report.done += streams.done
        self._report.lost += streams.lost
        self._look_at_streams(keys)
        if self._report.done or self._report.lost:
            self._report.outcome = Outcome.DAMAGED
        return self._report

    # -- the marker

    def _mark(self) -> None:
        """A store is known by its folders, when the marker is damaged or gone."""
        names = self._disk.list("")
        if STORE_MARKER in names and marker_text(self._disk) == STORE_MARKER_TEXT:
            if reason := why_not(self._disk):
                raise StoreError(reason)
            return
        if "streams" not in names or not {"journal", "checkpoints"} & set(names):
            raise StoreError("not a store of slipstream")
        if STORE_MARKER in names:
            self._move_aside(STORE_MARKER)
        self._write(STORE_MARKER, STORE_MARKER_TEXT)
        self._report.done.append(f"'{STORE_MARKER}' is written anew")
        if reason := why_not(self._disk):
            raise StoreError(reason)

    # -- the journal

    def _mend_journal(self, keys: StoreKeys | None) -> None:
        reason = self._journal_fault(keys)
        if not reason:
            return
        records, damage = salvage_journal(self._disk, _ring(keys))
        self._report.found += [f"damage: {d.text}" for d in damage] or [f"damage: {reason}"]
        kept, last = self._contiguous(records, self._applied(keys))
        self._name_unreadable(damage, reason, last)
        for folder in ("journal", "checkpoints"):
            for name in list_or_nothing(self._disk, folder):
                (self._move_aside if folder == "journal" else self._copy_aside)(f"{folder}/{name}")
        journal = Journal(self._disk, threaded=False, keys=_ring(keys), bytes_max=JOURNAL_BYTES_MAX)
        try:
            journal.recover()
            for group, term, index, kind, payload in kept:
                if not journal.append(group, term, index, kind, payload, durable=True):
                    raise StorageError("the repaired journal has no room on the disk")
                journal.flush()
        finally:
            journal.close()
        checkpoints = Checkpoints(self._disk, keys=_ring(keys))
        checkpoints.begin()
        checkpoints.drop(STORE_GROUP)
        if not checkpoints.write():
            raise StorageError(checkpoints.error)
        self._report.done.append(
            f"the journal is written anew with the {len(kept)} whole entries that follow on each "
            f"other ({reason})"
        )

    def _journal_fault(self, keys: StoreKeys | None) -> str:
        """Why a start refuses the journal; empty: it does not."""
        overlay = OverlayDisk(self._disk)
        try:
            journal = Journal(overlay, threaded=False, keys=_ring(keys))
            try:
                journal.recover()
            finally:
                journal.close()
            Kernel().open_store(disk=OverlayDisk(self._disk), threads=False, unlock=lambda _: keys)
        except StorageError as error:
            return str(error)
        except StoreError as error:
            if "journal" not in str(error):
                raise
            return str(error)
        return ""

    def _applied(self, keys: StoreKeys | None) -> dict[int, tuple[int, bytes]]:
        """Of each group the index of its snapshot; nothing when some are damaged."""
        try:
            found = Checkpoints(OverlayDisk(self._disk), keys=_ring(keys)).load()
        except StorageError:
            return {}
        return {group: state for group, state in found.items() if group != STORE_GROUP}

    def _contiguous(
        self, records: list[Record], applied: dict[int, tuple[int, bytes]]
    ) -> tuple[list[Record], dict[int, int]]:
        """What follows on the snapshots without a gap, and the last index of each group. Behind a
        gap nothing of its group can be applied, and nothing of a stream whose creation is lost.
        """
        last = {group: index for group, (index, _) in applied.items()}
        known = set(last) | {META}
        next_stream = int.from_bytes(applied[META][1][2:10], "little") if META in applied else 0
        kept = []
        for record in records:
            group, _, index, kind, payload = record
            if group not in last:
                last[group] = 0 if applied else index - 1
            if index <= last[group]:
                continue
            whole = index == last[group] + 1 and not self._lost_entries[group]
            if not whole or (applied and group not in known and group >= next_stream):
                self._lost_entries[group].append(index)
                if kind == EntryKind.messages:
                    self._lost_messages[group] += int.from_bytes(payload[8:12], "little")
                continue
            last[group] = index
            if group == META and kind == EntryKind.stream_create:
                known.add(int.from_bytes(payload[:8], "little"))
            kept.append(record)
        return kept, last

    def _name_unreadable(
        self, damage: list[JournalDamage], reason: str, last: dict[int, int]
    ) -> None:
        """Entries behind which nothing of their stream is left would go unnoticed. Whose they were
        is known where the head of a record is as it should be, apart from its checksum.
        """
        unknown = [] if damage else [reason]
        for found in damage:
            known = last.get(found.group, -LOST_ENTRIES_MAX) if found.kind else -LOST_ENTRIES_MAX
            if found.entry < known + LOST_ENTRIES_MAX:
                if found.loses and found.entry > known:
                    self._lost_entries[found.group].append(found.entry)
                    self._lost_messages[found.group] += found.kind == EntryKind.messages
            elif found.loses:
                unknown.append(found.text)
        self._report.lost += [
            f"{text}: entries of whatever streams, which cannot be named" for text in unknown
        ]

    # -- what is there then

    def _look_at_streams(self, keys: StoreKeys | None) -> None:
        kernel = Kernel()
        records = kernel.open_store(
            disk=OverlayDisk(self._disk), threads=False, unlock=lambda _: keys
        )
        names = {r.stream: stream_name(r.description) or f"number {r.stream}" for r in records}
        for record in sorted(records):
            name = names[record.stream]
            if record.offline:
                self._report.found.append(f"stream {name} is offline: {record.offline}")
                self._report.remains = True
                self._report.lost.append(
                    f"stream {name}: it stays offline, and its files untouched ({record.offline})"
                )
                continue
            state = kernel.stream_state(record.stream)
            if lost := self._lost_messages.pop(record.stream, 0):
                self._report.lost.append(
                    f"stream {name}: {lost} messages or more behind sequence {state.last_seq}"
                )
                self._lost_entries.pop(record.stream, None)
            self._report.found.append(
                f"stream {name}: {state.messages} messages "
                f"({state.first_seq} to {state.last_seq}), {state.consumers} consumers"
            )
        for group, indexes in sorted(self._lost_entries.items()):
            if indexes:
                what = "the list of streams" if group == META else names.get(group, f"{group}")
                self._report.lost.append(f"{what}: entries {min(indexes)} to {max(indexes)}")

    # -- files

    def _aside_folder(self) -> str:
        if not self._aside:
            taken = set(self._disk.list(""))
            number = next(n for n in range(1, len(taken) + 2) if f"repaired-{n}" not in taken)
            self._aside = f"repaired-{number}"
            self._disk.make_folder(self._aside)
            self._report.found.append(f"originals: {self._aside}")
        return self._aside

    def _place_aside(self, path: str) -> str:
        folder = self._aside_folder()
        for part in path.split("/")[:-1]:
            folder += "/" + part
            self._disk.make_folder(folder)
        return f"{folder}/{path.rsplit('/', 1)[-1]}"

    def _move_aside(self, path: str) -> None:
        self._disk.rename(path, self._place_aside(path))

    def _copy_aside(self, path: str) -> None:
        handle = self._disk.open(path, OPEN_READ)
        try:
            content = self._disk.pread(handle, self._disk.size(handle), 0)
        finally:
            self._disk.close(handle)
        self._write(self._place_aside(path), content)

    def _write(self, path: str, content: bytes) -> None:
        handle = self._disk.open(path, OPEN_WRITE | OPEN_CREATE | OPEN_TRUNCATE)
        try:
            self._disk.pwrite(handle, content, 0)
            self._disk.sync(handle)
        finally:
            self._disk.close(handle)
        self._disk.sync_folder(path.rpartition("/")[0])


def _ring(keys: StoreKeys | None) -> KeyRing | None:
    return KeyRing(keys) if keys else None
