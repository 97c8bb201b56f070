"""Goal: a client cannot tell our consumers from nats-server's, also where few clients look:
acknowledgement by flow control, resets, priority groups, updates of live consumers, advisories.

Method: every scenario of consumer_feature_scenarios.py and of the modules that add to it runs
over a socket against nats-server and against our server in this process, side by side; the
notes of both are compared line by line.
Decided differences are in docs/differences.md.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import consumer_detail_scenarios
import consumer_row_scenarios
import push_scenarios
from consumer_feature_scenarios import FEATURE_SCENARIOS
from targets import LiveTarget
from test_consumers import notes, oracle, ours

__all__ = ["oracle", "ours"]  # fixtures
# Importing them has added their scenarios.
assert consumer_detail_scenarios.__doc__
assert consumer_row_scenarios.__doc__
assert push_scenarios.__doc__


@pytest.mark.parametrize("name", FEATURE_SCENARIOS)
def test_same_conversation(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    play = FEATURE_SCENARIOS[name]
    with ThreadPoolExecutor(2) as threads:
        got, expected = threads.map(notes, (ours, oracle), (play, play))
    assert got == expected
