"""How much memory and disk JetStream takes where the configuration does not say.

The disk's room for the server is what is free plus what the store occupies already, so that the
figures are the same at each start, however much the store holds. The journal gets its part of it
first; three quarters of the rest are for streams. The kernel is told the journal's size and looks
at no disk for it: this is the only place that decides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from slipstream.config.options import JetStream
from slipstream.server import process_usage

MEMORY_SHARE = 3 / 4  # of the machine's, for streams in memory
DISK_SHARE = 3 / 4  # of the room behind the journal, for streams in files
JOURNAL_BYTES_MAX = 256 << 20
JOURNAL_BYTES_MIN = 16 << 20
JOURNAL_FILES = 16  # four at least: fewer leave no room beside a running checkpoint
JOURNAL_FILE_BYTES_MAX = 16 << 20  # two of them are filled with zeros ahead of need
JOURNAL_DISK_SHARE = 1 / 8
JOURNAL_LIMIT_SHARE = 1 / 2  # of a configured max_file
_BLOCK_BYTES = 512  # the unit of st_blocks


@dataclass(frozen=True, slots=True)
class StorageSizes:
    max_memory: int
    max_file: int
    journal_bytes_max: int

    @property
    def journal_file_bytes(self) -> int:
        """A power of two."""
        share = max(self.journal_bytes_max, JOURNAL_BYTES_MIN) // JOURNAL_FILES
        return min(1 << share.bit_length() - 1, JOURNAL_FILE_BYTES_MAX)


def storage_sizes(options: JetStream, store_dir: str) -> StorageSizes:
    """The configured limits, and what this machine allows where there are none."""
    max_memory, max_file = options.max_memory, options.max_file
    if max_memory < 0:
        max_memory = int(process_usage.machine_memory_bytes() * MEMORY_SHARE)
    room = process_usage.free_disk_bytes(store_dir)
    if max_file < 0 or room * JOURNAL_DISK_SHARE < JOURNAL_BYTES_MAX:
        room += occupied_bytes(store_dir)
    journal = room * JOURNAL_DISK_SHARE
    if max_file >= 0:
        journal = min(journal, max_file * JOURNAL_LIMIT_SHARE)
    journal_bytes_max = int(min(max(journal, JOURNAL_BYTES_MIN), JOURNAL_BYTES_MAX))
    if max_file < 0:
        max_file = int(max(0, room - journal_bytes_max) * DISK_SHARE)
    return StorageSizes(max_memory, max_file, journal_bytes_max)


def occupied_bytes(store_dir: str) -> int:
    """What the files of a store take of the disk, by blocks."""
    blocks = 0
    for folder, _, names in os.walk(store_dir):
        for name in names:
            try:
                blocks += (Path(folder) / name).lstat().st_blocks
            except FileNotFoundError:
                continue  # gone since the folder was read
    return blocks * _BLOCK_BYTES
