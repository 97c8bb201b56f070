"""Goal: the message store keeps exactly what it should: in memory, on files, and after a restart.

Method: a state machine drives the compiled store and a dict (store_model.py) with the same random
steps and compares every answer; the store asserts its own invariants after each step. Segments,
tail and read-ahead are tiny, so that a few steps cross all their borders.
"""

from __future__ import annotations

import copy

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from encryption_keys import ring
from slipstream.kernel._kernel import OPEN_READ, IoPool, Loss, MessageStore, ReadBuffer, SimDisk
from store_model import Message, StoreModel, subject_matches

TINY = {
    "segment_bytes_min": 1024,
    "segment_bytes_max": 16384,
    "tail_bytes": 8192,
    "read_ahead_bytes": 2048,
}
SUBJECTS = [b"a", b"a.b", b"a.c", b"a.b.c", b"b.b", b"quite.a.long.subject.name", b"x"]
FILTERS = [b"a", b"a.*", b"a.>", b"*", b"*.b", b">", b"*.*.c", b"nothing", b"a.b.c.>"]

subjects = st.sampled_from(SUBJECTS)
positions = st.floats(0, 1)


# How the files of a store are written: compressed, and the number of the key (0: not encrypted).
STYLES = [(False, 0), (False, 0), (True, 0), (False, 1), (True, 2)]


class StoreMachine(RuleBasedStateMachine):
    memory = False
    threaded = False
    style = (False, 0)
    lives = 0

    @initialize(cold=st.booleans(), style=st.sampled_from(STYLES))
    def start(self, cold: bool, style: tuple[bool, int]) -> None:
        self.style = style
        self.disk = SimDisk(1)
        self.disk.set_cold(cold)
        self.pool = IoPool(self.disk, threaded=self.threaded)
        self.store = self.new_store()
        self.model = StoreModel(self.memory)
        self.buffer = ReadBuffer()
        self.durable: tuple[bytes, StoreModel] | None = None
        self.erased: set[int] = set()

    def new_store(self) -> MessageStore:
        compressed, key = self.style
        self.lives += 1
        keys = ring(key, seed=self.lives)
        return MessageStore(self.pool, memory=self.memory, compressed=compressed, keys=keys, **TINY)

    def at(self, position: float) -> int:
        """A sequence from just before the first to just behind the last."""
        first, last = max(self.model.first_seq - 2, 0), self.model.last_seq + 2
        return first + round(position * (last - first))

    def append_one(self, gap: int, message: Message) -> None:
        seq = self.model.last_seq + 1 + gap
        message.time_ns += self.model.last_time_ns
        assert self.store.append(
            seq, message.time_ns, message.subject, message.header, message.body
        ), self.store.error
        self.model.append(seq, message)

    @rule(
        gap=st.sampled_from([0, 0, 0, 0, 1, 5, 70, 5000]),
        subject=subjects,
        header=st.sampled_from([b"", b"", b"NATS/1.0\r\nA: b\r\n\r\n"]),
        size=st.sampled_from([0, 10, 100, 700, 5000, 20000]),
        time_ns=st.integers(0, 3),
    )
    def append(self, gap: int, subject: bytes, header: bytes, size: int, time_ns: int) -> None:
        body = bytes([65 + self.model.last_seq % 26]) * size
        self.append_one(gap, Message(time_ns, subject, header, body))

    @rule(
        n=st.sampled_from([3, 20, 150]), subject=subjects, other=subjects, size=st.integers(0, 40)
    )
    def append_many(self, n: int, subject: bytes, other: bytes, size: int) -> None:
        for i in range(n):
            chosen = other if i % 5 == 2 else subject
            self.append_one(0, Message(i % 2, chosen, b"", b"%d" % i * size))

    @rule(n=st.integers(10, 60))
    def append_unique_subjects(self, n: int) -> None:
        for i in range(n):
            subject = b"unique.%d.%d" % (self.model.last_seq, i)
            self.append_one(0, Message(0, subject, b"", b""))

    @rule(position=positions)
    def remove(self, position: float) -> None:
        seq = self.at(position)
        assert self.store.remove(seq) == self.model.remove(seq)

    @rule(position=positions, n=st.integers(1, 100), step=st.sampled_from([-2, -1, 1, 2, 7]))
    def remove_run(self, position: float, n: int, step: int) -> None:
        """Towards either end, so that firsts and lasts of subjects and whole segments go."""
        seq = self.at(position)
        for i in range(n):
            if seq + i * step >= 0:
                target = seq + i * step
                assert self.store.remove(target) == self.model.remove(target)

    @rule(subject=subjects, keep=st.integers(0, 3))
    def remove_subject(self, subject: bytes, keep: int) -> None:
        seqs = self.model.on_subject(subject)
        for seq in seqs[: len(seqs) - keep]:
            assert self.store.remove(seq)
            assert self.model.remove(seq)

    @rule(position=positions)
    def remove_below(self, position: float) -> None:
        seq = self.at(position)
        assert self.store.remove_below(seq) == self.model.remove_below(seq)

    @rule(position=positions)
    def erase(self, position: float) -> None:
        seq = self.at(position)
        assert self.store.erase(seq) == self.model.remove(seq)
        self.erased.add(seq)

    @rule(skip=st.sampled_from([0, 1, 100]))
    def purge_beyond_the_end(self, skip: int) -> None:
        last = self.model.last_seq + skip
        assert self.store.remove_below(last + 1) == self.model.remove_below(last + 1)
        self.store.set_sequences(last + 1, last, self.model.last_time_ns)
        self.model.set_sequences(last + 1, last, self.model.last_time_ns)

    @rule(position=positions, blocking=st.booleans(), n=st.integers(1, 30))
    def read_in_order(self, position: float, blocking: bool, n: int) -> None:
        seq = self.at(position)
        for _ in range(n):
            seq += 1
            self.check_read(seq, blocking)

    def check_read(self, seq: int, blocking: bool) -> None:
        status, message = self.store.read(seq, self.buffer, blocking)
        if status == "pending":
            assert self.buffer.waiting
            assert not blocking
            ready = self.buffer.ready
            self.pool.finish()
            assert self.buffer.ready == ready + 1
            assert not self.buffer.waiting
            status, message = self.store.read(seq, self.buffer)
        wanted = self.model.live.get(seq)
        # An erasure is not undone by the restart from an older checkpoint, and may be half done
        # after a power loss: the journal repeats it.
        if status != "ok":
            assert seq in self.erased or (wanted is None and status == "missing")
            return
        assert wanted is not None
        assert status == "ok"
        assert message == (seq, wanted.time_ns, wanted.subject, wanted.header, wanted.body)

    @rule(position=positions)
    def compare_the_index(self, position: float) -> None:
        seq = self.at(position)
        store, model = self.store, self.model
        assert store.live(seq) == (seq in model.live)
        assert store.next_live(seq) == model.next_live(seq)
        assert store.previous_live(seq) == model.previous_live(seq)
        assert store.live_above(seq) == model.live_above(seq)
        wanted = model.live.get(seq)
        assert store.size_of(seq) == (model.size(wanted) if wanted else 0)
        identity = store.subject_of(seq)
        assert (identity is None) == (wanted is None)
        if wanted is not None:
            assert store.subject_name(identity) == wanted.subject

    @rule(position=positions)
    def compare_subjects(self, position: float) -> None:
        seq = self.at(position)
        for subject in SUBJECTS:
            identity = self.store.find_subject(subject)
            seqs = self.model.on_subject(subject)
            assert (identity is None) == (not seqs)
            if identity is None:
                continue
            after = self.model.next_on_subject(subject, seq)
            assert self.store.next_on_subject(identity, seq) == after
            assert self.store.subject_state(identity) == (seqs[0], seqs[-1], len(seqs))
            walked, here = [], self.store.next_on_subject(identity, 1)
            while here:
                walked.append(here)
                here = self.store.next_on_subject(identity, here + 1)
            assert walked == seqs

    @rule(pattern=st.sampled_from(FILTERS))
    def match(self, pattern: bytes) -> None:
        found = [self.store.subject_name(i) for i in self.store.match_subjects(pattern)]
        assert len(set(found)) == len(found)
        assert set(found) == {s for s in self.model.subjects() if subject_matches(pattern, s)}

    @rule(position=positions)
    def look_up_a_time(self, position: float) -> None:
        time_ns = round(position * (self.model.last_time_ns + 1))
        wanted = self.model.first_at_or_after(time_ns)
        assert self.store.first_at_or_after(time_ns, self.buffer) == wanted

    @rule()
    def write_tail(self) -> None:
        assert self.store.write_tail()

    @rule()
    def finish_jobs(self) -> None:
        self.pool.finish()

    @invariant()
    def totals(self) -> None:
        store, model = self.store, self.model
        store.check()
        assert store.messages == len(model.live)
        assert store.bytes == model.bytes()
        assert store.first_seq == model.first_seq
        assert store.last_seq == model.last_seq
        assert store.last_time_ns == model.last_time_ns
        assert store.subjects == len(model.subjects())
        first = model.live.get(model.first_seq)
        assert store.first_time_ns == (first.time_ns if first else 0)


class FileMachine(StoreMachine):
    @rule(durable=st.booleans())
    def checkpoint(self, durable: bool) -> None:
        snapshot = self.store.snapshot()
        assert snapshot is not None, self.store.error
        if durable or self.durable is None:
            self.store.checkpoint_durable()
            self.pool.finish()
            self.durable = snapshot, copy.deepcopy(self.model)

    @rule(style=st.sampled_from(STYLES))
    def restart(self, style: tuple[bool, int]) -> None:
        """From the last durable checkpoint; bringing back what came later is the journal's part."""
        if self.durable is None:
            return
        snapshot, self.model = self.durable[0], copy.deepcopy(self.durable[1])
        del self.store
        self.pool.finish()
        self.style = style
        self.store = self.new_store()
        assert self.store.load(snapshot), self.store.error
        assert not self.store.error

    @rule(loss=st.sampled_from(list(Loss)), seed=st.integers(0, 9))
    def power_loss(self, loss: Loss, seed: int) -> None:
        """Whatever the disk loses of what was not synced, the durable checkpoint is whole."""
        if self.durable is None:
            return
        self.pool.finish()
        self.disk = self.disk.image(loss, seed)
        self.pool = IoPool(self.disk, threaded=self.threaded)
        self.buffer = ReadBuffer()
        self.store = self.new_store()
        self.model = copy.deepcopy(self.durable[1])
        assert self.store.load(self.durable[0]), self.store.error
        for seq in self.model.live:
            self.check_read(seq, blocking=True)

    @rule()
    def leave_no_file_behind(self) -> None:
        self.checkpoint(durable=True)
        self.checkpoint(durable=True)  # files that a rewriting replaced behind the first one
        if not self.model.live:
            return  # there may be no folder yet
        names = self.disk.list("streams/1")
        assert len(names) <= len(self.model.live) + 1
        self.store.check()

    @rule()
    def write_anew_what_must_not_stay(self) -> None:
        """Some checkpoints later every file is encrypted as new ones are."""
        for _ in range(9):
            self.checkpoint(durable=True)
            if not self.store.wants_rewrite:
                break
        assert not self.store.wants_rewrite
        self.checkpoint(durable=True)
        if not self.model.live:
            return
        for name in self.disk.list("streams/1"):
            handle = self.disk.open(f"streams/1/{name}", OPEN_READ)
            head = self.disk.pread(handle, 64, 0)
            self.disk.close(handle)
            assert int.from_bytes(head[24:28], "little") == self.style[1]


class ThreadedFileMachine(FileMachine):
    threaded = True


class MemoryMachine(StoreMachine):
    memory = True


quick = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestFileStore = FileMachine.TestCase
TestFileStore.settings = quick
TestThreadedFileStore = ThreadedFileMachine.TestCase
TestThreadedFileStore.settings = settings(quick, max_examples=20)
TestMemoryStore = MemoryMachine.TestCase
TestMemoryStore.settings = quick


def test_long_gaps_do_not_take_a_file_each() -> None:
    """Of a mirror of some subjects, or a stream whose messages mostly interest nobody."""
    disk = SimDisk(1)
    pool = IoPool(disk, threaded=False)
    store = MessageStore(pool, **TINY)
    sequences = range(1000, 400_000, 199)
    for seq in sequences:
        assert store.append(seq, seq, b"a.b", b"", b"0123456789")
    snapshot = store.snapshot()
    assert snapshot is not None
    assert len(disk.list("streams/1")) < 20
    assert store.memory()["index"] < 100 * len(sequences)
    store.checkpoint_durable()
    store.check()
    again = MessageStore(pool, **TINY)
    assert again.load(snapshot)
    again.check()
    last = sequences[-1]
    assert again.append(last + 1, last + 1, b"a.b", b"", b"")  # into the same segment
    assert again.append(last + (1 << 33), last + 2, b"a.b", b"", b"")  # no segment reaches so far
    again.check()
    found = []
    seq = again.next_live(1)
    while seq:
        found.append(seq)
        seq = again.next_live(seq + 1)
    assert found == [*sequences, last + 1, last + (1 << 33)]
