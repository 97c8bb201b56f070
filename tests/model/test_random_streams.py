"""Random operations, restarts and power losses: the whole server against the model.

Goal: what a stream and its consumers are after any sequence of operations is what the reference
says. Method: a hypothesis state machine drives a World (world.py): JetStream's API over the kernel
over a simulated disk and clock, with the model beside it. After each step every reply is compared
(acknowledgements and deliveries byte for byte), every field of the INFOs, and the kernel checks
itself. Hypothesis shrinks a failure and prints its steps, and the blob that repeats it
(@reproduce_failure).

More by hand: SLIPSTREAM_MODEL_RUNS=5000 pytest tests/model/test_random_streams.py --timeout 0
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from client_rules import MS, ClientOperations, first_consumers, kinds
from slipstream.kernel import StoreError
from slipstream.kernel._kernel import Loss
from slipstream.testing.simulated_node import PowerLoss
from world import World

RUNS = int(os.environ.get("SLIPSTREAM_MODEL_RUNS", "120"))
STEPS = 40
CRASHES_MAX = 5


class RandomStreams(ClientOperations):
    @initialize(
        seed=st.integers(0, 2**32),
        relaxed=st.booleans(),
        drawn=st.lists(kinds, min_size=1, max_size=2),
        wanted=first_consumers,
    )
    def start(
        self,
        seed: int,
        relaxed: bool,
        drawn: list[dict[str, Any]],
        wanted: list[dict[str, Any]],
    ) -> None:
        self.crashes = 0
        self.begin(World(seed, sync_interval_ns=200 * MS if relaxed else 0), drawn, wanted)

    def do(self, operation: Any, *arguments: Any, **named: Any) -> None:
        """Each may be the one in which the power goes."""
        try:
            operation(self.world, *arguments, **named)
        except PowerLoss:
            self.recover(list(Loss)[self.world.disk.operations % len(Loss)])

    @rule(ms=st.integers(1, 1300))
    def time_goes_on(self, ms: int) -> None:
        self.do(World.advance, ms * MS)

    @rule()
    def checkpoint(self) -> None:
        self.world.node.kernel.checkpoint()
        self.do(World.settle)

    # -- power

    @precondition(lambda self: self.crashes < CRASHES_MAX)
    @rule(operations=st.integers(1, 40))
    def power_goes_soon(self, operations: int) -> None:
        self.world.disk.crash_at(self.world.disk.operations + operations)

    @precondition(lambda self: self.crashes < CRASHES_MAX)
    @rule(loss=st.sampled_from(list(Loss)))
    def power_goes_now(self, loss: Loss) -> None:
        if loss is Loss.none:
            self.world.all_is_written()
        self.recover(loss)

    @rule()
    def clean_restart(self) -> None:
        self.world.node.stop()
        if self.world.disk.crashed:
            self.recover(Loss.torn_last)
            return
        self.world.all_is_written()
        self.world.recover(self.world.disk.image(Loss.none))

    def recover(self, loss: Loss) -> None:
        """The recovery itself may lose its power as well."""
        self.crashes += 1
        interrupted = self.world.disk.image(loss, self.crashes)
        interrupted.crash_at(1 + self.crashes * 7)
        try:
            self.world.try_start(interrupted)
        except StoreError:
            assert interrupted.crashed
            disk = interrupted.image(loss, self.crashes)
        else:
            disk = self.world.disk.image(loss, self.crashes)
        self.world.recover(disk)


RandomStreams.TestCase.settings = settings(
    max_examples=RUNS,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize="SLIPSTREAM_MODEL_RUNS" not in os.environ,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
TestRandomStreams = RandomStreams.TestCase
