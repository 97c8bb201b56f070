"""Goal: the worked example of docs/theory.md is what the kernel does.

Method: the steps in the first column of its table run against a simulated node; after each, the
consumer's state must be the numbers of the row.
"""

from __future__ import annotations

from pathlib import Path

from slipstream.kernel._kernel import SimDisk
from slipstream.testing.simulated_node import (
    Delivery,
    SimulatedClock,
    SimulatedNode,
    consumer_spec,
    stream_spec,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "theory.md"
HEADING = "| step | delivered | ack floor | ack pending | redelivered |"
SECOND_NS = 10**9
TURNS = 5  # more than any step needs


def rows() -> list[list[str]]:
    lines = PAGE.read_text().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(HEADING)) + 2
    table = lines[first : lines.index("", first)]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table]


class Example:
    def __init__(self) -> None:
        self.node = SimulatedNode(SimDisk(1), SimulatedClock())
        kernel = self.node.kernel
        settings = stream_spec(subjects=[b"s"])
        self.stream = self.node.commit(
            lambda token: kernel.propose_stream_create(
                token, self.node.account, b"S", b"S", settings
            )
        )
        for _ in range(5):
            self.node.publish(b"s", b"x")
        self.node.turn()
        self.consumer = self.node.commit(
            lambda token: kernel.propose_consumer_create(
                token, self.stream, b"C", b"C", consumer_spec(ack_wait_ns=30 * SECOND_NS)
            )
        )
        kernel.start_consumer(self.stream, self.consumer)

    def run(self, step: str) -> None:
        verb, *numbers = step.split()
        if verb == "pull":
            self.node.pull("S", "C", int(numbers[0]))
        elif verb == "ack":
            self.node.acknowledge(self._newest(int(numbers[0])).ack_subject, b"+ACK", confirm=False)
        elif verb == "wait":
            self.node.step(int(numbers[0]) * SECOND_NS)
        else:
            assert verb == "created"
        for _ in range(TURNS):
            self.node.turn()

    def _newest(self, stream_seq: int) -> Delivery:
        return [d for d in self.node.deliveries if d.stream_seq == stream_seq][-1]

    def shown(self) -> list[str]:
        state = self.node.kernel.consumer_state(self.stream, self.consumer)
        return [
            f"{state.delivered_consumer_seq}/{state.delivered_stream_seq}",
            f"{state.ack_floor_consumer_seq}/{state.ack_floor_stream_seq}",
            str(state.num_ack_pending),
            str(state.num_redelivered),
        ]


def test_each_step_of_the_example_leaves_what_its_row_says() -> None:
    example = Example()
    table = rows()
    assert len(table) == 7
    for step, *expected, _ in table:
        example.run(step)
        assert example.shown() == expected, step
        example.node.kernel.check()
