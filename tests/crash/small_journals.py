"""`slipstream verify` and `slipstream repair` with small journals and with keys that are derived
once: tests that call them a thousand times need neither 32 MiB of zeros nor Argon2id each time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from slipstream.cli import repair, stream_repair, verify
from slipstream.kernel import Kernel
from slipstream.kernel._kernel import Disk, Journal
from slipstream.kernel.values import StreamRecord
from slipstream.server import store_keys

FILE_BYTES, BYTES_MAX = 64 << 10, 512 << 10


class SmallKernel(Kernel):
    def open_store(self, **arguments: Any) -> list[StreamRecord]:
        sizes = {"journal_file_bytes": FILE_BYTES, "journal_bytes_max": BYTES_MAX}
        return super().open_store(**sizes, **arguments)


def small_journal(disk: Disk, **arguments: Any) -> Journal:
    return Journal(disk, file_bytes=FILE_BYTES, **{"bytes_max": BYTES_MAX, **arguments})


def use_small_journals(patch: pytest.MonkeyPatch) -> None:
    for module in (repair, stream_repair, verify):
        patch.setattr(module, "Kernel", SmallKernel)
    for module in (repair, verify):
        patch.setattr(module, "Journal", small_journal)
    derive, derived = store_keys._sealing_key, {}

    def sealing_key(passphrase: str, derivation: Mapping[str, Any]) -> bytes:
        place = passphrase, json.dumps(derivation, sort_keys=True)
        if place not in derived:
            derived[place] = derive(passphrase, derivation)
        return derived[place]

    patch.setattr(store_keys, "_sealing_key", sealing_key)
