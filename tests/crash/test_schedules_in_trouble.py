"""Message schedules while the disk refuses, and around losses of power.

Goal: each time of a schedule makes one message: none is lost, none is made twice, and no sequence
changes, whatever the disk refuses and whenever the power goes. When there is room again, what is
due is made without a restart. Method: single and repeating schedules beside plain messages, in
plain, encrypted and relaxed stores on the simulated disk. A disk error at each operation in turn,
for a few operations or for the rest; or the power goes there, and again while the store is opened.
What was acknowledged or could be read must be in the store that the next start finds. A failure
names its point.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import pytest

from slipstream.kernel import StoreError
from slipstream.kernel._kernel import SHORT_READ, Loss, SimDisk
from slipstream.kernel.values import StoreCipher, StoreKey, StoreKeys
from slipstream.testing.simulated_node import (
    PowerLoss,
    SimulatedClock,
    SimulatedNode,
    stream_spec,
)

SECONDS = float(os.environ.get("SLIPSTREAM_TROUBLE_SECONDS", "30")) / 4
SECOND_NS = 1_000_000_000
RELAXED_NS = 120 * SECOND_NS
KEYS = StoreKeys((StoreKey(1, StoreCipher.CHACHA20_POLY1305, b"k" * 32),), 1)
PASSING = (errno.ENOSPC, errno.EFBIG, errno.EMFILE)
ERRORS = (*PASSING, errno.EROFS, errno.EIO, SHORT_READ)
BURSTS = (1, 3, 20, 2**62)
ROUNDS = 16
STEPS = 14
DELETED = 8  # of the single schedules the one that is deleted


class Kind(NamedTuple):
    relaxed: bool
    encrypted: bool


def kind_of(point: int) -> Kind:
    return Kind(relaxed=point % 3 == 0, encrypted=point % 4 == 1)


class Content(NamedTuple):
    subject: str
    body: bytes
    header: str = ""

    @property
    def made_by(self) -> str:
        """The subject of its schedule; empty: a client published it."""
        found = re.search(r"^Nats-Scheduler: (\S+)", self.header, re.MULTILINE)
        return found[1] if found else ""

    @property
    def next_time(self) -> str:
        found = re.search(r"^Nats-Schedule-Next: (\S+)", self.header, re.MULTILINE)
        return found[1] if found else ""


class Life:
    """The node, and what its clients were promised: by sequence."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.disk, self.clock = kind, SimDisk(1), SimulatedClock()
        self.promised: dict[int, Content] = {}
        self.deleted: set[str] = set()  # subjects of schedules whose deletion was proposed
        self.waiting: dict[int, Content] = {}
        self.open(self.disk)
        spec = stream_spec(
            subjects=[b"s.>"], allow_schedules=True, allow_rollup=True, allow_msg_ttl=True
        )
        self.stream = self.node.commit(
            lambda token: self.node.kernel.propose_stream_create(
                token, self.node.account, b"S", b"{}", spec
            )
        )

    def open(self, disk: SimDisk) -> None:
        """Raises StoreError."""
        keys = KEYS if self.kind.encrypted else None
        interval_ns = RELAXED_NS if self.kind.relaxed else 0
        self.node = SimulatedNode(disk, self.clock, keys=keys, sync_interval_ns=interval_ns)
        self.disk = disk
        self.waiting = {}

    # -- what clients do

    def publish(self, subject: str, body: bytes, *lines: str) -> None:
        header = "NATS/1.0\r\n" + "".join(f"{line}\r\n" for line in lines) + "\r\n"
        block = header.encode() if lines else b""
        number = self.node.publish(subject.encode(), body, block)
        self.waiting[number] = Content(subject, body)

    def plan(self, subject: str, pattern: str) -> None:
        body = f"of {subject} ".encode() + b"b" * 300
        target = subject.replace("s.", "s.made.", 1)
        self.publish(subject, body, f"Nats-Schedule: {pattern}", f"Nats-Schedule-Target: {target}")

    def turn(self, seconds: float = 0.0, count: int = 1) -> None:
        """Raises PowerLoss, after the answers of the turn have been noted."""
        self.clock.advance(round(seconds * SECOND_NS))
        for _ in range(count):
            try:
                self.node.turn()
            finally:
                self.take_answers()

    def take_answers(self) -> None:
        for number, replies in self.node.replies.items():
            answer = json.loads(replies[0].body)
            content = self.waiting.pop(number)
            if "error" not in answer:
                assert answer["seq"] not in self.promised, "a sequence is acknowledged twice"
                self.promised[answer["seq"]] = content
        self.node.replies.clear()

    def work(self) -> None:
        for i in range(STEPS):
            due = datetime.fromtimestamp(self.clock.now_ns / SECOND_NS + 1 + i % 4 / 2, UTC)
            pattern = f"@at {due.isoformat().replace('+00:00', 'Z')}"
            self.plan(f"s.at.{i}", pattern)
            if i % 5 == 0:
                self.plan(f"s.every.{i}", "@every 1s")
            self.publish("s.plain", b"plain %d " % i + b"p" * 500)
            self.turn(0.3, 2)
            if i == DELETED:
                self.delete(f"s.at.{i}")
            if i % 5 == 4:
                self.node.kernel.checkpoint()
            self.turn(0.0, 2)

    def delete(self, subject: str) -> None:
        for seq in [seq for seq, content in self.promised.items() if content.subject == subject]:
            with contextlib.suppress(StoreError):
                self.deleted.add(subject)
                kernel, token = self.node.kernel, self.node.next_number()
                kernel.propose_delete(token, self.stream, seq, False)

    # -- what is demanded

    def messages(self) -> dict[int, Content]:
        found, seq = {}, 1
        while (m := self.node.kernel.get_next(self.stream, b"", seq)) is not None:
            found[m.seq] = Content(m.subject.decode(), m.body, m.header.decode())
            seq = m.seq + 1
        return found

    def check(self) -> dict[int, Content]:
        """Everything that was promised is there, and nothing was made twice."""
        messages = self.messages()
        made: dict[str, list[Content]] = {}
        for content in messages.values():
            if content.made_by:
                made.setdefault(content.made_by, []).append(content)
        there = {content.subject for content in messages.values()}
        for seq, content in self.promised.items():
            if seq in messages:
                assert messages[seq][:2] == content[:2], f"{seq} has other content"
                continue
            ran = content.subject.startswith("s.at.") and content.subject in made
            assert ran or content.subject in self.deleted, f"{seq} is gone: {content}"
        for subject, results in made.items():
            if subject.startswith("s.at."):
                assert len(results) == 1, f"{subject} ran {len(results)} times"
                assert subject not in there, f"{subject} ran, and is still there"
            times = [content.next_time for content in results]
            assert len(set(times)) == len(times), f"{subject} ran twice for one time: {times}"
        return messages

    def remember(self) -> None:
        """What can be read is promised, too."""
        for seq, content in self.check().items():
            self.promised.setdefault(seq, content)

    def goes_on(self) -> None:
        """What is due is made, and repeating schedules go on."""
        self.publish("s.plain", b"goes on")
        self.turn(0.0, 8)
        assert not self.waiting, self.waiting
        seen = max(self.promised)
        self.turn(12.0, 4)  # a stream that is full tries again after ten seconds
        self.turn(2.0, 4)
        messages = self.check()
        ran = {content.made_by for content in messages.values()}
        again = {content.made_by for seq, content in messages.items() if seq > seen}
        for content in list(self.promised.values()):
            if content.made_by or content.subject in self.deleted:
                continue
            if content.subject.startswith("s.at."):
                assert content.subject in ran, f"{content.subject} never ran"
            elif content.subject.startswith("s.every."):
                assert content.subject in again, f"{content.subject} does not go on"
        self.node.kernel.check()
        self.remember()


def restart(life: Life, loss: Loss, seed: int = 1) -> None:
    life.open(life.disk.image(loss, seed))
    assert not life.node.recovered[0].offline, life.node.recovered[0].offline
    life.check()
    life.goes_on()


def trouble(error: int, after: int, burst: int) -> bool:
    """One point. False when the workload is over before."""
    life = Life(kind_of(after))
    life.disk.inject(error, after, burst)
    with contextlib.suppress(StoreError):  # the stream is offline, or the store has failed
        life.work()
    injected = life.disk.injected > 0
    life.disk.inject(0)
    served = not life.node.failed and not life.node.offline
    if error in PASSING:
        assert served, life.node.failed or life.node.offline
        for _ in range(ROUNDS):
            life.turn(1.1)
        assert not life.node.kernel.store_stats().no_room
        life.goes_on()
    if served and not life.node.damaged:
        life.remember()
    for loss in (Loss.none,) if life.kind.relaxed else (Loss.none, Loss.all):
        twin = copy_of(life)
        restart(twin, loss)
    return injected


def copy_of(life: Life) -> Life:
    """For one of several restarts from the same disk."""
    twin = object.__new__(Life)
    twin.__dict__.update(life.__dict__)
    twin.clock = SimulatedClock()
    twin.clock.advance(life.clock.now_ns - twin.clock.now_ns)
    twin.promised, twin.deleted = dict(life.promised), set(life.deleted)
    return twin


def sample(count: int, seed: str, budget_s: float) -> Iterator[int]:
    """Every point if there is time, in an order that spreads over the run."""
    order = list(range(count))
    random.Random(seed).shuffle(order)
    end = time.monotonic() + budget_s
    for point in order:
        yield point
        if time.monotonic() > end:
            return


def each(points: Iterator[int], name: str, run: Callable[[int], object]) -> list[object]:
    results = []
    for point in points:
        try:
            results.append(run(point))
        except BaseException as failure:
            failure.add_note(f"{name} at {point}")
            raise
    return results


@pytest.mark.parametrize("error", ERRORS, ids=lambda e: errno.errorcode.get(e, "short"))
def test_a_disk_that_refuses(error: int) -> None:
    life = Life(Kind(relaxed=False, encrypted=False))
    life.disk.inject(error, 2**62, 0)
    life.work()
    count = life.disk.eligible * len(BURSTS)
    points = sample(count, f"{error}", SECONDS / len(ERRORS))
    tried = each(
        points,
        f"{error}",
        lambda point: trouble(error, point // len(BURSTS), BURSTS[point % len(BURSTS)]),
    )
    assert any(tried) or error == SHORT_READ


def crash(operation: int) -> None:
    life = Life(kind_of(operation))
    begun = life.disk.operations
    life.disk.crash_at(begun + 1 + operation)
    with contextlib.suppress(PowerLoss, StoreError):
        life.work()
    losses = (Loss.none,) if life.kind.relaxed else tuple(Loss)
    for loss in losses:
        restart(copy_of(life), loss, operation)
        image = life.disk.image(loss, operation)
        image.crash_at(1 + operation % 20)  # the power goes again while the store is opened
        twin = copy_of(life)
        with contextlib.suppress(PowerLoss, StoreError):
            twin.open(image)
            twin.turn(0.3, 3)
        if image.crashed:
            twin.disk = image
            restart(twin, loss, operation)


def test_losses_of_power() -> None:
    life = Life(Kind(relaxed=False, encrypted=False))
    begun = life.disk.operations
    life.work()
    points = sample(life.disk.operations - begun, "power", SECONDS / 2)
    assert each(points, "crash", crash)


def start(error: int, after: int, burst: int) -> bool:
    """The disk refuses while the store is opened."""
    life = Life(kind_of(after))
    life.work()
    life.remember()
    twin, disk = copy_of(life), life.disk.image(Loss.none)
    disk.inject(error, after, burst)
    try:
        twin.open(disk)
    except StoreError:
        assert disk.injected
        twin.disk = disk
    else:
        hurt = twin.node.recovered[0].offline or twin.node.damaged
        disk.inject(0)
        if not hurt:
            twin.turn(0.3, 4)
    injected = disk.injected > 0
    disk.inject(0)
    restart(twin, Loss.none)
    return injected


@pytest.mark.parametrize("error", [errno.EIO, SHORT_READ, errno.EMFILE, errno.ENOSPC])
def test_a_disk_that_refuses_at_the_start(error: int) -> None:
    points = sample(60 * 2, f"start {error}", SECONDS / 8)
    name = f"start {error}"
    assert any(each(points, name, lambda p: start(error, p // 2, (1, 2**62)[p % 2])))
