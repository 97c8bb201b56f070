"""The kernel's small tables against dictionaries: deliveries that wait for an acknowledgement
(pending_table.hpp) and message ids in their window (dedupe.hpp).

Both are hash tables that close their gaps when something goes, beside lists that run through the
same records. Method: random operations on a table and on a model of a few lines, and every answer
of the two compared after each step, the orders included. Few keys, so that they collide and come
again; many operations, so that the tables grow and wrap.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from slipstream.kernel._kernel import DedupeWindow, PendingTable

sequences = st.integers(1, 60)
deadlines = st.integers(0, 30)


class Pending:
    """Insertions are numbered: what is equal stands in the order in which it came."""

    def __init__(self, consumer_seq: int, deadline_ns: int, deliveries: int, number: int) -> None:
        self.consumer_seq = consumer_seq
        self.deadline_ns = deadline_ns
        self.deliveries = deliveries
        self.inserted = number
        self.timed = True


class PendingTableMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.table = PendingTable()
        self.model: dict[int, Pending] = {}
        self.number = 0

    def next_number(self) -> int:
        self.number += 1
        return self.number

    @rule(
        first=sequences,
        count=st.integers(1, 20),
        consumer_seq=sequences,
        deadline_ns=deadlines,
        deliveries=st.integers(1, 3),
    )
    def insert(
        self, first: int, count: int, consumer_seq: int, deadline_ns: int, deliveries: int
    ) -> None:
        for seq in range(first, first + count):
            if seq not in self.model:
                self.table.insert(seq, consumer_seq, deadline_ns, deliveries)
                number = self.next_number()
                self.model[seq] = Pending(consumer_seq, deadline_ns, deliveries, number)

    @precondition(lambda self: self.model)
    @rule(draw=st.data(), deadline_ns=deadlines)
    def set_deadline(self, draw: st.DataObject, deadline_ns: int) -> None:
        seq = draw.draw(st.sampled_from(sorted(self.model)))
        self.table.set_deadline(seq, deadline_ns)
        self.model[seq].deadline_ns, self.model[seq].timed = deadline_ns, True

    @precondition(lambda self: self.model)
    @rule(draw=st.data())
    def stop_timing(self, draw: st.DataObject) -> None:
        seq = draw.draw(st.sampled_from(sorted(self.model)))
        self.table.stop_timing(seq)
        self.model[seq].timed = False

    @precondition(lambda self: self.model)
    @rule(draw=st.data(), deliveries=st.integers(1, 4))
    def set_deliveries(self, draw: st.DataObject, deliveries: int) -> None:
        seq = draw.draw(st.sampled_from(sorted(self.model)))
        self.table.set_deliveries(seq, deliveries)
        self.model[seq].deliveries = deliveries

    @precondition(lambda self: self.model)
    @rule(draw=st.data())
    def erase(self, draw: st.DataObject) -> None:
        for seq in draw.draw(st.lists(st.sampled_from(sorted(self.model)), unique=True)):
            self.table.erase(seq)
            del self.model[seq]

    @rule()
    def clear(self) -> None:
        self.table.clear()
        self.model.clear()

    @invariant()
    def same(self) -> None:
        model = self.model
        assert len(self.table) == len(model)
        assert self.table.redelivered == sum(p.deliveries > 1 for p in model.values())
        in_order = sorted(model, key=lambda s: (model[s].consumer_seq, model[s].inserted))
        assert self.table.in_order() == in_order
        timed = [seq for seq in model if model[seq].timed]
        by_deadline = self.table.by_deadline()  # equal ones in any order
        assert sorted(by_deadline) == sorted(timed)
        assert by_deadline == sorted(by_deadline, key=lambda s: model[s].deadline_ns)
        for seq in range(1, 82):
            p = model.get(seq)
            expected = p and (p.consumer_seq, p.deadline_ns, p.deliveries)
            assert self.table.find(seq) == expected


class DedupeMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.window = DedupeWindow()
        self.model: dict[bytes, tuple[int, int]] = {}  # id -> (sequence, time)
        self.cut: dict[bytes, tuple[int, int]] | None = None  # what is being written down
        self.now_ns = self.seq = 0

    @rule(first=st.integers(0, 150), count=st.integers(1, 90))
    def insert(self, first: int, count: int) -> None:
        """As publishing does: an id that is known is not stored again."""
        for number in range(first, first + count):
            id_ = b"id-%d" % number
            self.seq += 1
            if id_ not in self.model:
                self.window.insert(id_, self.seq, self.now_ns)
                self.model[id_] = (self.seq, self.now_ns)

    @rule(passed_ns=st.integers(0, 10), window_ns=st.integers(1, 20))
    def expire(self, passed_ns: int, window_ns: int) -> None:
        self.now_ns += passed_ns
        self.window.expire(self.now_ns, window_ns)
        self.model = {
            id_: (seq, time_ns)
            for id_, (seq, time_ns) in self.model.items()
            if self.now_ns - time_ns < window_ns
        }

    @precondition(lambda self: self.cut is None)
    @rule()
    def begin_cut(self) -> None:
        self.window.begin_cut()
        self.cut = dict(self.model)

    @precondition(lambda self: self.cut is not None)
    @rule(ids=st.integers(0, 60))
    def write_cut(self, ids: int) -> None:
        """A snapshot is the window as it was when it began, whatever has come and gone since."""
        if self.window.write_cut(ids):
            assert self.cut is not None
            written = self.window.written_window()
            self.same_as(written, self.cut)
            if self.cut == self.model:
                self.window = written  # a loaded one goes on like any other
            self.cut = None

    @invariant()
    def same(self) -> None:
        self.same_as(self.window, self.model)

    def same_as(self, window: DedupeWindow, model: dict[bytes, tuple[int, int]]) -> None:
        assert len(window) == len(model)
        for number in range(240):
            id_ = b"id-%d" % number
            assert window.find(id_) == model.get(id_, (0, 0))[0]


for machine in (PendingTableMachine, DedupeMachine):
    machine.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPendingTable = PendingTableMachine.TestCase
TestDedupeWindow = DedupeMachine.TestCase
