"""The options in force: what was configured, completed with what the machine gives."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slipstream.config.options import Options
from slipstream.server.storage_sizes import StorageSizes, storage_sizes

TEMPORARY_STORE = "slipstream"  # below the system's temporary folder, when none was given


class RunningOptions:
    """Written before the start and on the server's loop; any thread may read it."""

    def __init__(self, options: Options, flags: Mapping[str, Any]) -> None:
        """`flags` are the command line's settings, which a reload lays over the file again."""
        self.current = options
        self.flags = dict(flags)
        self.loaded_ns = time.time_ns()
        self.finds_max_file = options.jetstream.max_file < 0
        self.sizes = StorageSizes(0, 0, 0)
        if options.jetstream.enabled:
            self._complete()

    def _complete(self) -> None:
        """The store's folder, and its default sizes."""
        store_dir = self.current.store_dir or _temporary_store()
        self.sizes = storage_sizes(self.current.jetstream, store_dir)
        self.current = dataclasses.replace(self.current, store_dir=store_dir)
        self.set_storage_limits(self.sizes.max_memory, self.sizes.max_file)

    def set_storage_limits(self, max_memory: int, max_file: int) -> None:
        jetstream = dataclasses.replace(
            self.current.jetstream, max_memory=max_memory, max_file=max_file
        )
        self.current = dataclasses.replace(self.current, jetstream=jetstream)

    def replace(self, options: Options) -> None:
        """After a reload."""
        self.current = options
        self.loaded_ns = time.time_ns()

    @property
    def store_path(self) -> Path:
        return Path(self.current.store_dir)

    @property
    def store_is_temporary(self) -> bool:
        return self.store_path == Path(_temporary_store())


def _temporary_store() -> str:
    """Without a look for a folder that can be written, because most servers have a store of their
    own and need none.
    """
    return str(Path(os.environ.get("TMPDIR") or "/tmp") / TEMPORARY_STORE)
