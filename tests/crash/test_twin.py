"""A second replica of every stream, which gets the leader's entries and nothing else.

Goal: applying an entry depends on the entry and the group's state alone, so that replicas agree
and a restart finds what was there. Method: twin.py compares the states after every turn; here the
scripted workloads run with a twin, and so do schedules, counters, roll-ups, times to live and
batches; a twin that misses an entry, or whose state is another, must be noticed. The random crashes
and the walks of tests/model have a twin, too.
"""

from __future__ import annotations

import pytest

import workloads
from ledger import Ledger
from slipstream.kernel._kernel import SimDisk
from slipstream.testing.simulated_node import (
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)
from slipstream.testing.twin import ReplicasDiffer, Twin

SECOND = 1_000_000_000
HEADER = b"NATS/1.0\r\n%s\r\n\r\n"


def new_node() -> SimulatedNode:
    return SimulatedNode(SimDisk(1), SimulatedClock(), has_twin=True)


def twin_of(node: SimulatedNode) -> Twin:
    assert node.twin is not None
    return node.twin


def turns(node: SimulatedNode, count: int = 4) -> None:
    for _ in range(count):
        node.turn()


def create(node: SimulatedNode, name: bytes, **fields: object) -> int:
    spec = stream_spec(subjects=[name + b".>"], **fields)
    kernel, account = node.kernel, node.account
    return node.commit(lambda t: kernel.propose_stream_create(t, account, name, name, spec))


@pytest.mark.parametrize("name", sorted(workloads.ALL))
def test_scripted_workloads(name: str) -> None:
    node = new_node()
    ledger = Ledger()
    ledger.attach(node)
    workloads.ALL[name](ledger)
    turns(node)
    live = [s for s in ledger.streams if not s.delete_proposed and not s.spec["memory"]]
    assert twin_of(node).compare() == len(live)


def test_features_of_streams() -> None:
    node = new_node()
    create(node, b"T", allow_msg_ttl=True, delete_marker_ttl_ns=5 * SECOND, allow_rollup=True)
    create(node, b"C", counter=True)
    create(node, b"S", allow_schedules=True, allow_msg_ttl=True)
    create(node, b"A", allow_atomic=True)
    create(node, b"G", max_age_ns=3 * SECOND, max_msgs_per_subject=2)
    for i in range(6):
        node.publish(b"T.%d" % (i % 3), b"x", HEADER % (b"Nats-TTL: %d" % (i + 1)))
        node.publish(b"C.n", b"", HEADER % b"Nats-Incr: +%d" % i)
        node.publish(b"G.%d" % (i % 2), b"x" * i)
        turns(node)
    node.publish(b"T.0", b"only", HEADER % b"Nats-Rollup: sub")
    schedule = b"Nats-Schedule: @every 2s\r\nNats-Schedule-Target: S.target"
    node.publish(b"S.plan", b"tick", HEADER % schedule)
    for part in (1, 2, 3):
        commit = b"\r\nNats-Batch-Commit: 1" if part == 3 else b""
        fields = b"Nats-Batch-Id: b\r\nNats-Batch-Sequence: %d%s" % (part, commit)
        node.publish(b"A.x", b"%d" % part, HEADER % fields)
    for _ in range(40):
        node.clock.advance(SECOND // 4)
        turns(node)
    assert twin_of(node).compare() == 5
    states = node.kernel.canonical_states()
    messages = [sum(line.startswith("message") for line in s.splitlines()) for s in states.values()]
    assert all(messages[1:4]), states  # the counter's, what the schedule published, the batch
    assert messages[4] == 0, "the age limit has removed everything"


def test_missed_entry_is_noticed() -> None:
    node = new_node()
    create(node, b"A")
    turns(node)
    twin = twin_of(node)
    node.twin = None
    node.publish(b"A.1", b"one")
    turns(node)
    with pytest.raises(ReplicasDiffer, match="-message 1 A\\.1"):
        twin.compare()
    twin.follow()
    assert twin.compare() == 1


def test_progress_of_consumers_is_compared() -> None:
    node = new_node()
    stream = create(node, b"A")
    spec = consumer_spec()
    kernel = node.kernel
    consumer = node.commit(lambda t: kernel.propose_consumer_create(t, stream, b"c", b"c", spec))
    kernel.start_consumer(stream, consumer)
    for _ in range(3):
        node.publish(b"A.1", b"one")
    turns(node)
    twin = twin_of(node)
    node.twin = None
    node.pull("A", "c", 2)
    turns(node)
    with pytest.raises(ReplicasDiffer, match="- pending 1 1"):
        twin.compare()
