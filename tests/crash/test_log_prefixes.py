"""After any loss of power each stream is what a prefix of its log makes of it.

Goal: no order of checkpoints, streams that go offline, deletions, changed limits and losses of
power, in recoveries as well, makes a state that the log does not (messages, ids, times to live,
schedules, totals, configuration, consumers), nor a shorter one than was confirmed; and neither does
a server that stops leading a stream and leads it again. Method: a second replica notes the state
behind every entry. Random operations run over the simulated disk, mostly with a small journal;
power goes at random operations, and each recovered stream must be in the state that was noted for
its number of entries. A failure names its seed.

More of it: SLIPSTREAM_PREFIX_RUNS=2000 pytest tests/crash/test_log_prefixes.py --timeout 0
"""

from __future__ import annotations

import os
import random
import re

import pytest

from slipstream.kernel import StoreError
from slipstream.kernel._kernel import EntryKind, Loss, SimDisk
from slipstream.kernel.events import RequestEvent
from slipstream.kernel.specs import Retention, StreamSpec
from slipstream.kernel.values import StoreCipher, StoreKey, StoreKeys
from slipstream.testing.simulated_node import (
    ACK_PREFIX,
    TURN_NS,
    PowerLoss,
    SimulatedClock,
    SimulatedNode,
    StoreSizes,
    consumer_spec,
    stream_spec,
)
from slipstream.testing.twin import Twin

RUNS = int(os.environ.get("SLIPSTREAM_PREFIX_RUNS", "40"))
SECOND_NS = 1_000_000_000
META = 0
DURABLE = {
    EntryKind.messages,
    EntryKind.purge,
    EntryKind.remove,
    EntryKind.config,
    EntryKind.consumer_create,
    EntryKind.consumer_update,
    EntryKind.consumer_delete,
}
SIZES = (StoreSizes(8 << 10, 32 << 10, 4 << 10), StoreSizes(), StoreSizes(64 << 10, 256 << 10))
KEYS = StoreKeys((StoreKey(1, StoreCipher.CHACHA20_POLY1305, b"k" * 32),), 1)
KINDS: list[dict[str, object]] = [
    {"max_msgs": 9},
    {"max_bytes": 4000, "compress": True},
    {"max_msgs_per_subject": 2},
    {"max_age_ns": 5 * SECOND_NS},
    {"counter": True},
    {"retention": 1},
    {"retention": 2},
    {"allow_msg_ttl": True, "delete_marker_ttl_ns": 3 * SECOND_NS, "allow_rollup": True},
    {"allow_schedules": True, "allow_msg_ttl": True, "allow_rollup": True},
]
CHANGES: list[dict[str, object]] = [
    {"max_msgs": 5},
    {"max_bytes": 2000},
    {"compress": True},
    {"retention": 0},
    {"retention": 1},
    {"deny_delete": True},
]


class Recorder(Twin):
    """Notes the state of a stream behind each of its entries."""

    def prepare(self, history: History) -> None:
        self.history = history
        for stream, state in self._kernel.canonical_states().items():
            history.note(stream, state)

    def states(self) -> dict[int, str]:
        return self._kernel.canonical_states()

    def follow(self) -> None:
        assert self._leader is not None
        for entry in self._leader.take_applied():
            self._kernel.follow(entry)
            if entry.group == META:
                stream = int.from_bytes(entry.payload[:8], "little")
                (
                    self.history.made
                    if entry.kind == EntryKind.stream_create
                    else self.history.deleted
                ).add(stream)
                continue
            if entry.kind in DURABLE:
                self.history.confirmed[entry.group] = entry.log_index
            states = self._kernel.canonical_states()
            if entry.group in states:
                self.history.note(entry.group, states[entry.group])

    def compare(self) -> int:
        return 0  # only what the log makes of a stream is compared here


class History:
    def __init__(self) -> None:
        self.states: dict[int, dict[int, str]] = {}
        self.confirmed: dict[int, int] = {}
        self.made: set[int] = set()
        self.deleted: set[int] = set()

    def note(self, stream: int, state: str) -> None:
        self.states.setdefault(stream, {})[applied(state)] = state

    def judge(self, found: dict[int, str], deletions_asked: set[int]) -> None:
        """Holds what was recovered against what was noted."""
        assert not self.deleted & found.keys(), "a deleted stream is back"
        lost = self.made - self.deleted - deletions_asked - found.keys()
        assert not lost, f"streams {lost} are gone"
        for stream, state in found.items():
            upto = applied(state)
            assert upto >= self.confirmed.get(stream, 0), f"stream {stream} is too short"
            expected = self.states.get(stream, {}).get(upto)
            assert expected in (None, state), f"stream {stream} at {upto}"


def applied(state: str) -> int:
    line = re.search(r"^spec (\d+) ", state, re.MULTILINE)
    assert line
    return int(line[1])


class World:
    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.disk, self.clock = SimDisk(seed), SimulatedClock()
        self.sizes = self.draw.choice(SIZES)
        self.keys = KEYS if self.draw.random() < 0.2 else None
        self.boot()

    def open(self, disk: SimDisk) -> SimulatedNode:
        lag = self.draw.choice((0, 0, 3, 9))
        return SimulatedNode(disk, self.clock, sizes=self.sizes, keys=self.keys, sync_lag=lag)

    def boot(self) -> None:
        twin = Recorder(self.disk, self.clock.now_ns, self.keys)
        self.node = self.open(self.disk)
        twin.begin(self.node.kernel)
        self.history = History()
        twin.prepare(self.history)
        self.node.twin, self.twin = twin, twin
        self.kinds = {record.stream: record.description for record in self.node.recovered}
        self.history.made = set(self.kinds)
        self.deletions_asked: set[int] = set()
        self.offline: set[int] = set()
        for stream in self.kinds:
            for record in self.node.kernel.consumers(stream):
                self.node.kernel.start_consumer(stream, record.consumer)

    def turns(self, most: int) -> None:
        for _ in range(self.draw.randrange(most)):
            self.node.step(self.draw.choice((TURN_NS, TURN_NS, SECOND_NS)))
            if self.disk.crashed:
                self.twin.follow()
                raise PowerLoss

    # -- operations

    def act(self) -> None:
        gone = self.history.deleted | self.deletions_asked | self.offline
        streams = sorted(self.history.made - gone)
        actions = [self.publish] * 5 + [self.remove] * 2 + [self.change, self.consume, self.upset]
        actions.append(self.change_leader)
        if len(streams) < 4:
            actions += [self.create] * 3
        action = self.draw.choice(actions)
        try:
            if action == self.create:
                self.create(META)
            elif streams:
                action(self.draw.choice(streams))
        except StoreError:
            assert not self.node.kernel.store_stats().failed  # the stream is offline
        self.turns(4)

    def create(self, stream: int) -> None:
        assert stream == META, "it gets its number here"
        kind = self.draw.randrange(len(KINDS))
        number = self.node.next_number()
        name = b"S%d.%d" % (self.clock.now_ns, number)
        self.node.kernel.propose_stream_create(
            number, self.node.account, name.replace(b".", b"-"), b"%d" % kind, self.spec(name, kind)
        )
        self.turns(6)

    @staticmethod
    def spec(name: bytes, kind: int, **changes: object) -> StreamSpec:
        return stream_spec(**{"subjects": [name + b".>"], "max_msgs": 50, **KINDS[kind], **changes})

    def name_and_kind(self, stream: int) -> tuple[bytes, int]:
        state = self.twin.states()[stream]
        name, description = (line.split(" ")[1] for line in state.splitlines()[:2])
        return name.replace("-", ".").encode(), int(description)

    def publish(self, stream: int) -> None:
        name, kind = self.name_and_kind(stream)
        for _ in range(self.draw.randrange(1, 9)):
            body, lines = b"x" * self.draw.choice((1, 30, 900, 3000)), []
            if KINDS[kind].get("counter"):
                body, lines = b"", [b"Nats-Incr: %d" % self.draw.randrange(-9, 99)]
            elif self.draw.random() < 0.3:
                lines.append(b"Nats-Msg-Id: %d" % self.draw.randrange(20))
            if KINDS[kind].get("allow_msg_ttl") and self.draw.random() < 0.4:
                lines.append(self.draw.choice((b"Nats-TTL: 2", b"Nats-TTL: never")))
            elif KINDS[kind].get("allow_rollup") and self.draw.random() < 0.2:
                lines.append(b"Nats-Rollup: sub")
            elif KINDS[kind].get("allow_schedules") and self.draw.random() < 0.4:
                lines += [b"Nats-Schedule: @every 1s", b"Nats-Schedule-Target: " + name + b".t"]
            header = b"NATS/1.0\r\n" + b"".join(x + b"\r\n" for x in lines) + b"\r\n"
            subject = name + b".%d" % self.draw.randrange(4)
            self.node.publish(subject, body, header if lines else b"")

    def remove(self, stream: int) -> None:
        kernel, last = self.node.kernel, self.node.kernel.stream_state(stream).last_seq
        for _ in range(self.draw.randrange(1, 6)):
            seq = max(1, last - self.draw.randrange(20))
            kernel.propose_delete(self.node.next_number(), stream, seq, self.draw.random() < 0.5)
        if self.draw.random() < 0.3:
            keep = self.draw.randrange(4)
            kernel.propose_purge(self.node.next_number(), stream, b"", 0 if keep else last, keep)

    def change(self, stream: int) -> None:
        name, kind = self.name_and_kind(stream)
        changes = self.draw.choice(CHANGES)
        if KINDS[kind].get("retention") == Retention.WORK_QUEUE and "retention" in changes:
            return  # it stays one
        spec = self.spec(name, kind, **changes)
        token = self.node.next_number()
        self.node.kernel.propose_stream_update(token, stream, b"%d" % kind, spec)

    def consume(self, stream: int) -> None:
        name, _ = self.name_and_kind(stream)
        kernel, token = self.node.kernel, self.node.next_number()
        if not kernel.consumers(stream):
            kernel.propose_consumer_create(token, stream, b"C", b"C", consumer_spec())
            return
        self.node.pull(name.replace(b".", b"-").decode(), "C", 9)
        for event in self.node.step(TURN_NS):
            if isinstance(event, RequestEvent) and event.reply.startswith(ACK_PREFIX):
                self.node.acknowledge(event.reply, confirm=self.draw.random() < 0.5)
        if self.disk.crashed:
            self.twin.follow()
            raise PowerLoss

    def change_leader(self, stream: int) -> None:
        """It has then what a start finds, and goes on with that."""
        kernel = self.node.kernel
        while not kernel.set_leader(stream, False):
            self.turns(4)
            if stream not in kernel.canonical_states():
                return
        before = kernel.canonical_states().get(stream)
        self.turns(4)
        while not kernel.set_leader(stream, True):
            self.turns(4)
            if stream not in kernel.canonical_states():
                return  # it was deleted, or went offline
        assert before is None or applied(kernel.canonical_states()[stream]) >= applied(before)
        kernel.check()
        for record in kernel.consumers(stream):
            kernel.start_consumer(stream, record.consumer)

    def upset(self, stream: int) -> None:
        what = self.draw.randrange(4)
        if what < 2:
            self.node.kernel.checkpoint()
            self.turns(12)
        elif what == 2:
            self.offline.add(stream)
            self.node.kernel.take_offline(stream, "as the test asks")
        else:
            self.deletions_asked.add(stream)
            self.node.kernel.propose_stream_delete(self.node.next_number(), stream)

    # -- power

    def lose_power(self) -> None:
        self.disk.crash_at(self.disk.operations + self.draw.randrange(1, 150))
        try:
            for _ in range(60):
                self.act()
        except PowerLoss:
            pass
        loss = self.draw.choice(list(Loss))
        image = self.disk.image(loss, self.draw.randrange(1 << 30))
        self.history.judge(self.recovered(image), self.deletions_asked)
        for _ in range(self.draw.randrange(3)):  # the recovery loses its power, too
            expected = self.recovered(image)
            image.crash_at(self.draw.randrange(1, 30))
            try:
                self.open(image)
            except StoreError:
                assert image.crashed
            image = image.image(self.draw.choice(list(Loss)), self.draw.randrange(1 << 30))
            assert self.recovered(image) == expected
        self.disk = image
        self.boot()

    def recovered(self, image: SimDisk) -> dict[int, str]:
        node = self.open(image.image(Loss.none))
        node.kernel.check()
        offline = [record for record in node.recovered if record.offline]
        assert not offline, offline
        return node.kernel.canonical_states()


@pytest.mark.parametrize("seed", range(RUNS))
def test_each_stream_is_a_prefix_of_its_log(seed: int) -> None:
    world = World(seed)
    for _ in range(4):
        for _ in range(world.draw.randrange(30)):
            try:
                world.act()
            except PowerLoss:
                break
        world.lose_power()
    assert world.history.states.keys() == world.kinds.keys()
