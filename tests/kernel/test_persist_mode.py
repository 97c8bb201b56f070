"""Goal: a stream with persist_mode async is acknowledged when its message is written, without a
sync; what it wrote is synced along with others and after two minutes (S-046, S-236).

Method: a kernel driven by hand over a real folder; the journal counts its syncs.
"""

from __future__ import annotations

from pathlib import Path

from slipstream.kernel import Kernel
from slipstream.testing.simulated_node import START_NS, STREAM_DEFAULTS

TWO_MINUTES_NS = 120_000_000_000


class Node:
    def __init__(self, folder: Path) -> None:
        self.kernel = Kernel()
        self.kernel.open_store(path=str(folder), threads=False)
        self.account = self.kernel.account(b"$G")
        self.kernel.serve(self.account, b"_INBOX.>", 99)
        self.now_ns = START_NS

    def turns(self, count: int = 4) -> int:
        """How many replies came."""
        replies = 0
        for _ in range(count):
            self.now_ns += 1_000_000
            self.kernel.turn(self.now_ns, self.now_ns)
            replies += sum(hasattr(event, "service") for event in self.kernel.wait_events(0))
        return replies

    def create(self, name: bytes, *, persist_async: bool) -> None:
        spec = STREAM_DEFAULTS | {"subjects": [name], "persist_async": persist_async}
        self.kernel.propose_stream_create(1, self.account, name, b"{}", spec)
        self.turns()

    def publish(self, name: bytes) -> int:
        self.kernel.publish(self.account, name, b"_INBOX.1", b"", b"x")
        return self.turns()

    def syncs(self) -> int:
        return self.kernel.store_stats().syncs


def test_async_streams_do_not_wait_for_the_disk(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.create(b"fast", persist_async=True)
    node.create(b"safe", persist_async=False)
    before = node.syncs()
    assert node.publish(b"fast") == 1
    assert node.syncs() == before
    assert node.publish(b"safe") == 1
    assert node.syncs() == before + 1  # which covers the other one too

    assert node.publish(b"fast") == 1
    node.now_ns += TWO_MINUTES_NS
    node.turns()
    assert node.syncs() == before + 2
    node.kernel.stop()
