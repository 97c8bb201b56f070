"""Goal: whatever is done to an origin and to its copies, in any order and with power losses in
between, a mirror has what the origin has, and a source has brought each message once.

Method: random operations on a server over a simulated disk and clock; a ledger remembers what the
origin acknowledged and what was removed from the copies. A failure prints the seed that repeats it.

More of them: SLIPSTREAM_COPIES_SECONDS=600 pytest tests/crash/test_random_copies.py --timeout 0
"""

from __future__ import annotations

import json
import os
import random
import time

from simulated_server import SECOND, SimulatedServer
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.testing.simulated_node import SimulatedClock

SECONDS = float(os.environ.get("SLIPSTREAM_COPIES_SECONDS", "2"))
STEPS = 40


class World:
    """An origin O, its mirror M, a stream S that has it as its source."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = SimulatedClock()
        self.server = SimulatedServer(SimDisk(seed), self.clock)
        self.published: dict[int, bytes] = {}
        self.unwanted: dict[str, set[int]] = {"M": set(), "S": set()}  # origin's sequences
        self.server.stream("O", subjects=["o.>"])
        self.server.stream("M", mirror={"name": "O"})
        self.server.stream("S", sources=[{"name": "O"}])

    def run(self) -> None:
        actions = [
            (self.publish, 10),
            (self.delete, 3),
            (self.purge, 1),
            (self.pass_time, 4),
            (self.restart, 2),
            (self.lose_power, 3),
            (self.checkpoint, 2),
        ]
        choices, weights = zip(*actions, strict=True)
        for _ in range(STEPS):
            self.random.choices(choices, weights)[0]()
        self.publish()
        self.server.after(30 * SECOND)
        self.judge()

    # -- what is done

    def publish(self) -> None:
        replies = {}
        for _ in range(self.random.randint(1, 12)):
            body = b"%d " % self.random.getrandbits(32) + b"x" * self.random.choice((0, 50, 3000))
            replies[self.server.send(f"o.{self.random.randint(0, 2)}", body)] = body
        if self.random.random() < 0.3:
            return self.lose_power()  # perhaps nothing of it is there
        self.server.settle()
        for event in self.server.received:
            if event.subject in replies:
                self.published[json.loads(event.body)["seq"]] = replies[event.subject]
        return None

    def delete(self) -> None:
        name = self.random.choice("OMS")
        messages = self.server.content(name)
        if not messages:
            return
        message = self.random.choice(messages)
        if name != "O":
            self.unwanted[name].add(self.origin_seq(name, message))
        self.server.ok(f"STREAM.MSG.DELETE.{name}", {"seq": message.seq})

    def purge(self) -> None:
        name = self.random.choice("OMS")
        if name != "O":
            for message in self.server.content(name):
                self.unwanted[name].add(self.origin_seq(name, message))
        self.server.ok(f"STREAM.PURGE.{name}")

    def pass_time(self) -> None:
        self.server.after(self.random.choice((SECOND // 10, SECOND, 15 * SECOND)))

    def checkpoint(self) -> None:
        self.server.kernel.checkpoint()

    def restart(self) -> None:
        self.server.stop()
        self.server = SimulatedServer(self.server.disk, self.clock)

    def lose_power(self) -> None:
        image = self.server.disk.image(self.random.choice(list(Loss)), self.random.getrandbits(16))
        self.server = SimulatedServer(image, self.clock)

    # -- what must be

    def origin_seq(self, name: str, message: object) -> int:
        if name == "M":
            return message.seq  # type: ignore[attr-defined, no-any-return]
        header: bytes = message.header  # type: ignore[attr-defined]
        return int(header.partition(b"Nats-Stream-Source: O ")[2].split(b" ")[0])

    def judge(self) -> None:
        origin = {m.seq: m for m in self.server.content("O")}
        for seq, message in origin.items():
            assert self.published.get(seq, message.body) == message.body
        for name in "MS":
            copies = self.server.content(name)
            seqs = [self.origin_seq(name, m) for m in copies]
            assert seqs == sorted(set(seqs)), f"{name} has something twice, or out of order"
            for seq, copy in zip(seqs, copies, strict=True):
                if seq in self.published:
                    assert copy.body == self.published[seq]
                if seq in origin:
                    assert (copy.subject, copy.body) == (origin[seq].subject, origin[seq].body)
                    assert name == "S" or copy.time_ns == origin[seq].time_ns
            missing = origin.keys() - set(seqs) - self.unwanted[name]
            assert not missing, f"{name} has not all"
        self.server.kernel.check()


def test_random_copies() -> None:
    end, seed = time.monotonic() + SECONDS, 0
    while seed == 0 or time.monotonic() < end:
        seed += 1
        try:
            World(seed).run()
        except Exception as error:
            error.add_note(f"World({seed}).run()")
            raise
    print(f"{seed} worlds")
    assert seed > 0
