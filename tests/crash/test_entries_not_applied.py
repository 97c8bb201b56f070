"""Goal: an entry that this version cannot apply is never skipped: its stream stops before it has
any effect and says why, and all others go on.

Method: entries of an unknown kind, and ones whose settings cannot be read, are appended to the
journal of a node that has stopped; the next node must show that stream as offline with the reason.
"""

from __future__ import annotations

import pytest

from slipstream.kernel._kernel import EntryKind, Journal, Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    stream_spec,
)

EMPTY_TEXT = bytes(4)
UNKNOWN_FORMAT = b"\xff\x7f"
SIZES = StoreSizes()


def stopped_node() -> tuple[SimDisk, SimulatedClock, dict[bytes, int]]:
    disk, clock = SimDisk(1), SimulatedClock()
    node = SimulatedNode(disk, clock)
    streams = {}
    for name in (b"S", b"T"):
        spec = stream_spec(subjects=[name + b".>"])
        streams[name] = node.commit(
            lambda t, n=name, s=spec: node.kernel.propose_stream_create(t, node.account, n, n, s)
        )
        node.publish(name + b".x", b"one")
    for _ in range(6):
        node.turn()
    return node.disk.image(Loss.none), clock, streams


def append(disk: SimDisk, group: int, kind: int, payload: bytes) -> None:
    journal = Journal(
        disk,
        file_bytes=SIZES.journal_file_bytes,
        bytes_max=SIZES.journal_bytes_max,
        threaded=False,
    )
    last = max(record[2] for record in journal.recover() if record[0] == group)
    journal.append(group, 1, last + 1, kind, payload)
    journal.append(group, 1, last + 2, kind, payload)
    assert journal.wait_synced()
    journal.close()


@pytest.mark.parametrize(
    ("kind", "payload", "reason"),
    [
        (200, b"of a later version", "kind 200"),
        (EntryKind.config, EMPTY_TEXT + UNKNOWN_FORMAT, "settings"),
        (EntryKind.consumer_create, bytes(4) + EMPTY_TEXT * 2 + UNKNOWN_FORMAT, "consumer"),
        (EntryKind.consumer_update, bytes(4) + EMPTY_TEXT + UNKNOWN_FORMAT, "consumer"),
    ],
)
def test_stream_stops_with_the_reason(kind: int, payload: bytes, reason: str) -> None:
    disk, clock, streams = stopped_node()
    append(disk, streams[b"S"], kind, payload)
    node = SimulatedNode(disk, clock)
    shown = {record.stream: record.offline for record in node.recovered}
    assert reason in shown[streams[b"S"]]
    assert "never skipped" in shown[streams[b"S"]]
    assert shown[streams[b"T"]] == ""
    number = node.publish(b"T.x", b"two")
    for _ in range(6):
        node.turn()
    assert b'"seq":2' in node.replies[number][0].body
