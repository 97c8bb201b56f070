"""Goal: a store that an earlier version wrote is read, and goes on.

Method: the files of a small one, as the version before snapshots had totals of counters and tables
in slices left them (snapshot format 3, checkpoint format 3, store snapshots of format 2),
compressed in a JSON file. Its journal has an increment behind the checkpoint.
"""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path

from slipstream.kernel._kernel import OPEN_CREATE, OPEN_WRITE, SimDisk
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode

FILES = Path(__file__).with_name("store_of_snapshot_format_3.json")
COUNTER, PLANS = 1, 2


def opened() -> SimulatedNode:
    disk = SimDisk(1)
    for path, content in json.loads(FILES.read_text()).items():
        folders = path.split("/")[:-1]
        for depth in range(len(folders)):
            disk.make_folder("/".join(folders[: depth + 1]))
        handle = disk.open(path, OPEN_WRITE | OPEN_CREATE)
        disk.pwrite(handle, zlib.decompress(base64.b64decode(content)), 0)
        disk.close(handle)
    return SimulatedNode(disk, SimulatedClock())


def test_counters_go_on() -> None:
    node = opened()
    for restarted in (False, True):
        numbers = {
            subject: node.publish(subject, b"", b"NATS/1.0\r\nNats-Incr: 1\r\n\r\n")
            for subject in (b"c.0", b"c.1", b"c.big")
        }
        for _ in range(6):
            node.turn()
        totals = {s: json.loads(node.replies[n][0].body)["val"] for s, n in numbers.items()}
        more = 1 + restarted
        assert totals == {
            b"c.0": str(6 + more),
            b"c.1": str(109 + more),
            b"c.big": str(int("9" * 30) + more),
        }
        if not restarted:
            node.stop()
            node = SimulatedNode(node.disk, node.clock)


def test_tables_and_removed_messages_are_there() -> None:
    node = opened()
    state = node.kernel.stream_state(PLANS)
    assert (state.messages, state.last_seq) == (124 - 20, 124)
    before = node.kernel.canonical_states()[PLANS].splitlines()
    assert sum(line.startswith("ttl") for line in before) == 3
    assert sum(line.startswith("schedule ") for line in before) == 1
    node.stop()
    again = SimulatedNode(node.disk, node.clock)
    assert again.kernel.canonical_states()[PLANS].splitlines() == before
