"""Random flows of messages and requests, held with nats-server and with ours at the same time.

After each operation both must have said the same. What one says a little later than the other is
waited for; what one says and the other does not is a difference. A flow with a difference is made
shorter, as long as the difference stays, and printed as the operations that repeat it.

As a program:

    PYTHONPATH=src:tests/jetstream:tests/kernel python tests/differential/flow_comparison.py
        [--seed N] [--flows N] [--operations N] [--seconds N] [--repeat FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from flow_client import FlowClient, Operation
from flow_draw import FlowDraw
from flow_known import known_reason
from slipstream.testing.process import ServerProcess
from targets import find_oracle, running_oracle

OPERATIONS = 60
QUIET_S = 0.002
SETTLE_S = 1.5
SETTLE_COPIES_S = 6.0  # nats-server asks an origin again after some seconds
PATIENCE_S = 0.05  # between two looks at a state that differs


class Difference(NamedTuple):
    operations: list[Operation]  # up to the one at which it showed
    channel: str
    theirs: list[str]
    ours: list[str]
    streams: dict[str, dict[str, Any]]  # nats-server's, by name: what INFO shows of them then

    def has_gaps(self, stream: str) -> bool:
        """Whether messages of it are gone."""
        if stream not in self.streams:
            return True
        state, config = self.streams[stream]["state"], self.streams[stream]["config"]
        began = max(config.get("first_seq", 1), 1)
        return bool(state["messages"] < state["last_seq"] + 1 - began)

    def limits_pending(self, stream: str) -> bool:
        """Whether it gives its consumers a `max_ack_pending`."""
        config = self.streams.get(stream, {}).get("config", {})
        return bool(config.get("consumer_limits", {}).get("max_ack_pending"))

    def __str__(self) -> str:
        before = "\n".join(json.dumps(op) for op in self.operations[:-1])
        return f"{before}\n{self.last()}"

    def last(self) -> str:
        shown = json.dumps(self.operations[-1])
        theirs, ours = "\n    ".join(self.theirs), "\n    ".join(self.ours)
        return f"{shown}\n{self.channel}\n  nats-server:\n    {theirs}\n  ours:\n    {ours}"


class Pair:
    """Both servers, and the flows that were held with them."""

    def __init__(self, theirs: tuple[str, int], ours: tuple[str, int]) -> None:
        self._addresses = theirs, ours
        self._numbers = itertools.count(1)
        self.operations = 0
        self.answers: list[tuple[str, bytes]] = []  # ours, of the newest flow

    def hold(
        self, next_operation: Callable[[], Operation | None], draw: FlowDraw | None = None
    ) -> Difference | None:
        number = next(self._numbers)
        theirs, ours = (FlowClient(address, number, QUIET_S) for address in self._addresses)
        if draw is not None:
            draw.numbered(number)
        done: list[Operation] = []
        self.answers.clear()
        try:
            while (operation := next_operation()) is not None:
                done.append(operation)
                self.operations += 1
                ours.perform(operation)
                theirs.perform(operation)
                self.answers += ours.answers
                if difference := self._settled(done, theirs, ours):
                    return difference
                for verb, answer in theirs.answers if draw else ():
                    draw.learn(verb, answer)  # type: ignore[union-attr]
            return None
        finally:
            theirs.close()
            ours.close()

    def _settled(
        self, done: list[Operation], theirs: FlowClient, ours: FlowClient
    ) -> Difference | None:
        begun = time.monotonic()
        looks = _is_reading(done[-1])
        while (expected := theirs.heard) != (got := ours.heard):
            patience_s = SETTLE_COPIES_S if looks and _copies(done) else SETTLE_S
            if time.monotonic() > begun + patience_s:
                channel = next(
                    name
                    for name in sorted(expected.keys() | got.keys())
                    if expected.get(name) != got.get(name)
                )
                notes = (list(heard.get(channel, ())) for heard in (expected, got))
                return Difference(list(done), channel, *notes, theirs.streams())
            theirs.hear()
            ours.hear()
            if looks and theirs.heard != ours.heard:
                time.sleep(PATIENCE_S)  # nothing tells when numbers have caught up
                for client in (theirs, ours):
                    client.forget()
                    client.perform(done[-1])
        theirs.forget()
        ours.forget()
        return None

    def drawn(self, seed: int, operations: int = OPERATIONS) -> Difference | None:
        draw = FlowDraw(seed)
        count = itertools.count()
        last: Operation = {"do": "look"}

        def next_operation() -> Operation | None:
            done = next(count)
            if done > operations:
                return None
            return last if done == operations else draw.next()

        return self.hold(next_operation, draw)

    def repeated(self, operations: list[Operation]) -> Difference | None:
        rest = iter(operations)
        return self.hold(lambda: next(rest, None))

    def shortest(self, difference: Difference, seconds: float = 30.0) -> Difference:
        """As few operations as still make a difference in the same kind of place."""
        kind = difference.operations[-1]["do"]
        size = max(len(difference.operations) // 2, 1)
        end = time.monotonic() + seconds
        while size and time.monotonic() < end:
            begin = len(difference.operations) - 1 - size
            while begin > -size and time.monotonic() < end:
                cut = max(begin, 0)
                rest = difference.operations[:cut] + difference.operations[begin + size :]
                found = self.repeated(rest)
                if found is not None and found.operations[-1]["do"] == kind:
                    difference = found
                begin = min(begin, len(difference.operations) - 1) - size
            size //= 2
        return difference


def _copies(operations: list[Operation]) -> bool:
    bodies = (op.get("body") for op in operations if op["do"] == "api")
    return any(isinstance(b, dict) and {"mirror", "sources"} & b.keys() for b in bodies)


def _is_reading(operation: Operation) -> bool:
    if operation["do"] == "look":
        return True
    verb = operation.get("verb", "")
    return verb == "INFO" or verb.endswith("NAMES") or ".INFO." in verb or ".LIST" in verb


@contextmanager
def running_pair(folder: Path) -> Iterator[Pair]:
    executable = find_oracle()
    if executable is None:
        raise FileNotFoundError("nats-server is not installed")
    theirs_folder, ours_folder = folder / "theirs", folder / "ours"
    theirs_folder.mkdir()
    ours_folder.mkdir()
    with (
        running_oracle(executable, theirs_folder) as oracle,
        ServerProcess(["-js", "-n", "ORACLE"], folder=ours_folder) as ours,
    ):
        yield Pair(oracle.connection.peer, ("127.0.0.1", ours.port))


def main() -> int:
    parser = argparse.ArgumentParser(description="random flows with nats-server and with ours")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--flows", type=int, default=100)
    parser.add_argument("--operations", type=int, default=OPERATIONS, help="of each flow")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no new flow after it")
    parser.add_argument("--repeat", type=Path, help="operations, one on each line")
    asked = parser.parse_args()
    end = time.monotonic() + asked.seconds
    found, once, known = 0, 0, Counter[str]()
    with tempfile.TemporaryDirectory() as folder, running_pair(Path(folder)) as pair:
        if asked.repeat:
            lines = asked.repeat.read_text().splitlines()
            difference = pair.repeated([json.loads(line) for line in lines if line.startswith("{")])
            print(difference or "no difference")
            return 1 if difference else 0
        seed = asked.seed
        while seed < asked.seed + asked.flows and time.monotonic() < end:
            if (difference := pair.drawn(seed, asked.operations)) is not None:
                again = pair.repeated(difference.operations)
                if reason := known_reason(difference):
                    known[reason] += 1
                elif again is not None:
                    found += 1
                    print(f"== seed {seed}\n{pair.shortest(again)}", flush=True)
                else:
                    once += 1
                    print(f"== seed {seed}, once only: {difference.last()}", flush=True)
            seed += 1
        print(f"{pair.operations} operations, seeds up to {seed - 1}")
        print(f"{found} differences, and {once} that came once only")
        for reason, count in known.items():
            print(f"{count} flows ended: {reason}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
