"""Long conversations, restarts and power losses: the whole server against the model.

Goal and judge are those of test_random_streams.py; the steps are drawn by walks.py, with weights,
so that there is always something to deliver, to acknowledge and to wait for. A failure prints the
fewest steps that still fail; they go to test_found_conversations.py.

More by hand: SLIPSTREAM_MODEL_RUNS=2000 pytest tests/model/test_long_walks.py --timeout 0, from
another seed with SLIPSTREAM_MODEL_SEED.
"""

from __future__ import annotations

import os

import walks
from test_random_streams import RandomStreams

RUNS = int(os.environ.get("SLIPSTREAM_MODEL_RUNS", "40"))
FIRST_SEED = int(os.environ.get("SLIPSTREAM_MODEL_SEED", "0"))
STEPS = 60


def test_long_walks() -> None:
    seeds = range(FIRST_SEED, FIRST_SEED + RUNS)
    walks.check_walks(RandomStreams, seeds, STEPS, simulated=True)
