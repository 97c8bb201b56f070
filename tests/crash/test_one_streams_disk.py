"""The disk refuses what concerns the files of one stream, for good.

Goal: it costs that stream alone. The stream goes on or is offline with the reason, never something
between; every publish to the others is answered and can be read back; checkpoints go on, and
release nothing of the journal that the stream still needs. A restart on a disk that is well finds
all that was acknowledged, also where everything is gone that was never synced. Method: several
streams, and EIO at each operation in turn on the folder of one of them, once or from there on:
opens, reads, writes, syncs, truncations and changes of names. So many streams that a batch of syncs
is one sync of all files, which does not say whose failed; and so few that each is synced alone.
"""

from __future__ import annotations

import contextlib
import copy
import errno

import pytest

from aftermath import judge, unanswered
from ledger import Ledger
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

FOR_GOOD = 2**62
ROUND_NS = 1_100_000_000
LOSSES = (Loss.none, Loss.all, Loss.random_subset)


def folder_of(stream: int) -> str:
    return f"streams/{stream:016x}"


class Run:
    """Streams side by side; the files of one of them, HURT, fail."""

    def __init__(self, seed: int, others: int, compress: bool = False) -> None:
        self.disk, self.clock, self.ledger = SimDisk(seed), SimulatedClock(), Ledger()
        self.node = SimulatedNode(self.disk, self.clock)
        self.ledger.attach(self.node)
        self.names = [f"S{i}" for i in range(others)]
        for name in [*self.names[: others // 2], "HURT", *self.names[others // 2 :]]:
            subject = name.encode() + b".>"
            spec = stream_spec(subjects=[subject], compress=compress, max_msgs_per_subject=9)
            self.ledger.create_stream(name, spec)
            self.ledger.turn()
        self.ledger.create_consumer("HURT", "C", consumer_spec())
        self.ledger.turn()
        self.hurt = self.ledger.stream("HURT").stream

    def inject(self, after: int, count: int, error: int = errno.EIO) -> None:
        self.disk.inject(error, after, count, folder_of(self.hurt))

    @property
    def offline(self) -> str:
        return self.node.offline.get(self.hurt, "")

    def work(self, turns: int = 26) -> None:
        for i in range(turns):
            for name in [*self.names, "HURT"]:
                body = b"%s %d " % (name.encode(), i) + b"b" * (500 if name == "HURT" else 90)
                self.ledger.publish(name, b"%s.%d" % (name.encode(), i % 3), body)
            if i % 6 == 5:
                self.node.kernel.checkpoint()
            if i in (9, 17) and not self.offline:
                self.remove(i - 3)
            self.ledger.turn()
            self.clock.advance(ROUND_NS if i % 8 == 7 else 0)
        for _ in range(4):
            self.clock.advance(ROUND_NS)
            self.node.kernel.checkpoint()
            self.ledger.turn(8)

    def remove(self, seq: int) -> None:
        with contextlib.suppress(StoreError):  # it went offline in this turn
            self.ledger.delete_message("HURT", seq, erase=True)
        for delivery in self.ledger.pull("HURT", "C", 2):
            self.ledger.acknowledge(delivery, confirm=True)

    def check_others(self) -> None:
        assert not self.node.failed, self.node.failed
        self.node.kernel.check()
        for name in self.names:
            s = self.ledger.stream(name)
            assert not unanswered(s), (name, unanswered(s))
            seen = self.node.kernel.stream_state(s.stream)
            assert (seen.messages, seen.last_seq) == (len(s.model.messages), s.model.last_seq)
            for seq, message in s.model.messages.items():
                found = self.node.kernel.get_message(s.stream, seq)
                assert found is not None
                assert (found.subject, found.header, found.body) == message.content

    def restart(self, loss: Loss, seed: int = 1) -> None:
        clock, twin = SimulatedClock(), copy.deepcopy(self.ledger)
        clock.advance(self.clock.now_ns - clock.now_ns)
        for stream, seq in self.node.damaged:  # consumers pass it
            for s in twin.streams:
                for consumer in s.consumers.values() if s.stream == stream else ():
                    consumer.acked.add(seq)
        judge(self.disk.image(loss, seed), twin, clock, thorough=loss is Loss.all)


@pytest.mark.parametrize("others", [1, 7], ids=["each-synced", "all-synced-at-once"])
@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
@pytest.mark.parametrize("count", [1, FOR_GOOD], ids=["once", "for-good"])
def test_at_every_operation_on_its_files(others: int, compress: bool, count: int) -> None:
    after, fates = 0, set()
    while True:
        run = Run(after, others, compress)
        run.inject(after, count)
        try:
            run.work()
            if not run.disk.injected:
                break
            run.disk.inject(0)
            run.check_others()
            fates.add(bool(run.offline))
            if run.offline:
                assert "Input/output error" in run.offline, run.offline
                assert run.node.kernel.store_stats().checkpoints >= 3, "rounds go on without it"
            run.restart(LOSSES[after % 3], after)
        except BaseException as failure:
            failure.add_note(f"at operation {after}")
            raise
        after += 1
    assert after > 20
    assert True in fates, "no operation cost the stream"


def test_a_failed_sync_takes_its_stream_offline_and_loses_nothing() -> None:
    """Its entries leave the journal, which many rounds release, for a file of their own; a second
    stream that fails later has its entries from before kept, too.
    """
    run = Run(1, 3)
    run.work(6)
    second = run.ledger.stream("S1").stream
    run.disk.inject(errno.EIO, 0, FOR_GOOD, folder_of(run.hurt))
    run.work(40)
    assert "synced" in run.offline or "written" in run.offline, run.offline
    run.disk.inject(errno.EIO, 0, FOR_GOOD, folder_of(second))
    run.work(40)
    run.disk.inject(0)
    assert run.node.offline.keys() == {run.hurt, second}
    assert not run.node.failed
    run.names.remove("S1")
    run.check_others()
    assert run.node.kernel.store_stats().journal_bytes < 128 << 10
    assert len(run.disk.list("offline")) >= 2
    for loss in LOSSES:
        run.restart(loss)


def test_a_second_stream_that_fails_in_a_round_that_kept_the_entries_of_the_first() -> None:
    """The round was given up, so the journal still has what the second one needs; the next round
    keeps it before the journal is released.
    """
    for nth in range(1, 6):
        run = Run(nth, 6)
        run.work(6)
        run.inject(0, FOR_GOOD)
        run.work(7)
        assert run.offline
        second = run.ledger.stream("S2").stream
        for i in range(5):
            for name in run.names:
                run.ledger.publish(name, name.encode() + b".x", b"%d " % i + b"x" * 300)
            run.ledger.turn()
        # Only what the sync of a round does with the file: of opens, writes and syncs the nth.
        run.disk.inject(errno.EIO, nth, FOR_GOOD, folder_of(second))
        run.work(20)
        run.disk.inject(0)
        assert second in run.node.offline
        run.names.remove("S2")
        run.check_others()
        for loss in LOSSES:
            run.restart(loss, nth)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_entries_of_an_offline_stream_that_cannot_be_kept_stay_in_the_journal(error: int) -> None:
    """The journal is not released then, and is what refuses further publishes when it is full. When
    they can be kept again everything goes on.
    """
    run = Run(3, 2)
    run.work(6)
    before = run.node.kernel.store_stats().checkpoints
    for i in range(4):
        run.ledger.publish("HURT", b"HURT.x", b"not in a checkpoint %d" % i)
        run.ledger.turn()
    run.node.kernel.take_offline(run.hurt, "its disk refused")
    run.disk.inject(error, 0, FOR_GOOD, "offline")
    run.work(400)
    assert run.offline
    assert run.node.kernel.store_stats().checkpoints == before
    assert not run.node.failed, run.node.failed
    assert run.ledger.turned_away, "the journal never got full"
    assert run.node.kernel.store_stats().no_room
    run.restart(Loss.all)
    run.disk.inject(0)
    run.work(20)
    assert run.node.kernel.store_stats().checkpoints > before
    assert not run.node.kernel.store_stats().no_room
    run.check_others()
    assert not [name for name in run.disk.list("offline") if name.endswith(".new")]
    for loss in LOSSES:
        run.restart(loss)


def test_a_read_only_disk_is_the_stores_trouble() -> None:
    """All streams lie on it: none is taken for damaged."""
    run = Run(4, 2)
    run.work(6)
    run.disk.inject(errno.EROFS, 0, FOR_GOOD)
    with contextlib.suppress(StoreError):
        run.work(20)
    assert run.node.failed
    run.disk.inject(0)
    run.restart(Loss.all)
