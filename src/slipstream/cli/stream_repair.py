"""The part of `slipstream repair` that looks at each stream: files of segments are made readable
again, and messages that cannot be read are removed, each named. What is removed goes through the
log of its stream, so that consumers, limits and counts agree afterwards.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from slipstream.cli.segment_repair import has_whole_head, repaired_segment
from slipstream.cli.store_folder import DAMAGED_SHOWN_MAX, list_or_nothing, ranges, stream_name
from slipstream.kernel import Kernel, StoreError
from slipstream.kernel._kernel import OPEN_READ, Disk, OverlayDisk, read_back
from slipstream.kernel.events import CommittedEvent, DamageEvent
from slipstream.kernel.values import StoreKeys, StreamRecord

TURN_NS = 1_000_000
TURNS_MAX = 10_000  # until a removal is applied; each turn does what is due at once
SEGMENT = re.compile(r"streams/[0-9a-f]{16}/([0-9a-f]{16})[0-9a-f.]*\.segment")
SIZE = re.compile(r"of (\d+)(?: bytes)?$")


class Files(NamedTuple):
    """What the streams' part asks the whole repair to do with files."""

    copy_aside: Callable[[str], None]
    write: Callable[[str, bytes], None]


@dataclass
class StreamRepair:
    disk: Disk
    keys: StoreKeys | None
    files: Files
    done: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def run(self) -> None:
        tried: set[str] = set()
        while faults := self._segment_faults() - tried:
            for text in sorted(faults):
                self._mend_segment(text)
            tried |= faults
        kernel, records = self._open(OverlayDisk(self.disk))
        damaged = {}
        for record in sorted(records):
            if record.offline:
                continue
            _, sequences = read_back(kernel, record.stream, DAMAGED_SHOWN_MAX)
            if sequences:
                damaged[record.stream] = sequences
                name = stream_name(record.description) or f"number {record.stream}"
                self.lost.append(f"stream {name}: messages {ranges(sequences)}")
                self._copy_segments_aside(record.stream, sequences)
        if mended := self._mended(kernel):
            self.done.append(f"checkpoints are written again ({mended})")
        if damaged:
            count = sum(map(len, damaged.values()))
            self.done.append(f"{count} messages that cannot be read are removed")
        if damaged or mended:
            self._remove(damaged)

    def _open(self, disk: Disk) -> tuple[Kernel, list[StreamRecord]]:
        kernel = Kernel()
        kernel.turn(time.time_ns(), time.monotonic_ns())
        records = kernel.open_store(disk=disk, threads=False, unlock=lambda _: self.keys)
        return kernel, records

    # -- files

    def _segment_faults(self) -> set[str]:
        """What a start says of files of segments, with their names."""
        kernel, records = self._open(OverlayDisk(self.disk))
        texts = {record.offline for record in records if record.offline}
        texts |= set(damage_texts(kernel))
        return {text for text in texts if SEGMENT.search(text)}

    def _mend_segment(self, text: str) -> None:
        found = SEGMENT.search(text)
        assert found
        path, base = found[0], int(found[1], 16)
        size = SIZE.search(text)
        content = self._content(path)
        if "head" in text and has_whole_head(content):
            return
        if content:
            self.files.copy_aside(path)
        mended = repaired_segment(content, base, int(size[1]) if size else 0)
        self.files.write(path, mended)
        self.done.append(f"'{path}' is made readable ({text})")

    def _content(self, path: str) -> bytes:
        try:
            handle = self.disk.open(path, OPEN_READ)
        except OSError:
            return b""
        try:
            return self.disk.pread(handle, self.disk.size(handle), 0)
        finally:
            self.disk.close(handle)

    def _copy_segments_aside(self, stream: int, sequences: Iterable[int]) -> None:
        folder = f"streams/{stream:016x}"
        names = [name for name in list_or_nothing(self.disk, folder) if name.endswith(".segment")]
        bases = sorted({int(name[:16], 16) for name in names})
        wanted = {max((b for b in bases if b <= seq), default=0) for seq in sequences}
        for name in names:
            if int(name[:16], 16) in wanted:
                self.files.copy_aside(f"{folder}/{name}")

    def _mended(self, kernel: Kernel) -> str:
        return "; ".join(text for text in damage_texts(kernel) if "checkpoints/" in text)

    # -- messages

    def _remove(self, damaged: dict[int, list[int]]) -> None:
        kernel, _ = self._open(self.disk)
        token = 0
        for stream, sequences in sorted(damaged.items()):
            for seq in sequences:
                token += 1
                kernel.propose_delete(token, stream, seq, False)
                self._wait_for(kernel, token)
        kernel.stop()  # with a checkpoint

    @staticmethod
    def _wait_for(kernel: Kernel, token: int) -> None:
        for _ in range(TURNS_MAX):
            kernel.turn(time.time_ns(), time.monotonic_ns())
            for event in kernel.wait_events(0):
                if isinstance(event, CommittedEvent) and event.token == token:
                    return
        raise StoreError("a message that cannot be read could not be removed")


def damage_texts(kernel: Kernel) -> list[str]:
    """What a start found damaged and could do without."""
    kernel.turn(time.time_ns(), time.monotonic_ns())  # events come at the end of a turn
    events = kernel.wait_events(0)
    texts = [event.text for event in events if isinstance(event, DamageEvent) and event.text]
    return [part for text in texts for part in text.split("; ")]
