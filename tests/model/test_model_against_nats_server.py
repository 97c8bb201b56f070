"""The model is judged: nats-server must be what it says.

Goal: the model, by which our own server is judged, is no invention. Method: the operations of
client_rules.py, without what depends on time, sent to a nats-server over a socket (nats_world.py).

More by hand: SLIPSTREAM_JUDGE_RUNS=200, with pytest --timeout 0, and SLIPSTREAM_MODEL_SEED.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, run_state_machine_as_test

import targets
import walks
from client_rules import ClientOperations, kinds
from nats_world import NatsWorld

RUNS = int(os.environ.get("SLIPSTREAM_JUDGE_RUNS", "2"))
FIRST_SEED = int(os.environ.get("SLIPSTREAM_MODEL_SEED", "0"))
STEPS = 30
WALK_STEPS = 40


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[targets.LiveTarget]:
    executable = targets.find_oracle()
    if executable is None:
        pytest.skip("there is no nats-server")
    store: Path = tmp_path_factory.mktemp("oracle")
    with targets.running_oracle(executable, store) as target:
        yield target


def test_the_model_is_like_nats_server(oracle: targets.LiveTarget) -> None:
    class Judged(ClientOperations):
        timed = False
        connected: NatsWorld | None = None

        @initialize(drawn=st.lists(kinds, min_size=1, max_size=2))
        def start(self, drawn: list[dict[str, Any]]) -> None:
            self.connected = NatsWorld(oracle.connection.peer[1])
            self.begin(self.connected, drawn, [])

        def teardown(self) -> None:
            if self.connected is not None:
                self.connected.close()
            oracle.remove_everything()

    run_state_machine_as_test(
        Judged,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize="SLIPSTREAM_JUDGE_RUNS" not in os.environ,
            print_blob=True,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_the_model_is_like_nats_server_on_long_walks(oracle: targets.LiveTarget) -> None:
    class Judged(ClientOperations):
        timed = False

        def start(self, drawn: list[dict[str, Any]], wanted: list[Any], **_: object) -> None:
            self.connected = NatsWorld(oracle.connection.peer[1])
            self.begin(self.connected, drawn, wanted)

        def teardown(self) -> None:
            self.connected.close()
            oracle.remove_everything()

    seeds = range(FIRST_SEED, FIRST_SEED + RUNS)
    walks.check_walks(Judged, seeds, WALK_STEPS, simulated=False)
