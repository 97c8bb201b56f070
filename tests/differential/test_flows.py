r"""Random flows of messages: whatever clients do, over all features at once, they cannot tell our
server from nats-server.

Goal: every reply, delivery, status and state is the same. Method: flow_draw.py draws operations
from a seed, flow_comparison.py does each with both servers and compares what they said (times,
random parts, and what a server may do a moment later aside); answers must also have the shape of
the JSON schemas, where those are present. What was found stays as a flow in flows/.

More by hand, with the shortest flow for each difference:

    PYTHONPATH=src:tests/jetstream:tests/kernel \
        python tests/differential/flow_comparison.py --seed 1000 --flows 500
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from answer_schemas import SCHEMAS, faults
from flow_comparison import OPERATIONS, Difference, Pair, running_pair
from flow_known import known_reason
from targets import find_oracle

RUNS = int(os.environ.get("SLIPSTREAM_FLOW_RUNS", "4"))
SEED = int(os.environ.get("SLIPSTREAM_FLOW_SEED", "1"))
FOUND = sorted((Path(__file__).parent / "flows").glob("*.jsonl"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    if find_oracle() is None:
        pytest.skip("nats-server is not installed: flows were NOT compared with it")
    with running_pair(tmp_path_factory.mktemp("flows")) as running:
        yield running


def shapes_are_right(pair: Pair) -> None:
    if SCHEMAS.is_dir():
        shown = (json.loads(answer) for _, answer in pair.answers if answer.startswith(b"{"))
        wrong = [fault for answer in shown if "type" in answer for fault in faults(answer)]
        assert not wrong, "\n".join(sorted(set(wrong)))


@pytest.mark.parametrize("seed", range(SEED, SEED + RUNS))
def test_drawn(pair: Pair, seed: int) -> None:
    difference = pair.drawn(seed, OPERATIONS)
    if difference is not None and not known_reason(difference):
        again = pair.repeated(difference.operations)  # or it was a matter of the moment
        assert again is None, f"seed {seed}\n{pair.shortest(again)}"
    shapes_are_right(pair)


@pytest.mark.parametrize("found", FOUND, ids=lambda path: path.stem)
def test_found_earlier(pair: Pair, found: Path) -> None:
    operations = [json.loads(line) for line in found.read_text().splitlines()]
    difference: Difference | None = pair.repeated(operations)
    assert difference is None, str(difference)
    shapes_are_right(pair)
