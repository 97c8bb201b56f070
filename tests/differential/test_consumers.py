"""Goal: a client cannot tell our consumers from nats-server's: same messages, statuses, reply
subjects, same numbers in INFO; also where few clients look: acknowledgement by flow control,
resets, priority groups, updates of live consumers, advisories.

Method: every scenario of consumer_scenarios.py, retention_scenarios.py,
consumer_feature_scenarios.py and the modules that add to it runs over a socket against nats-server
and against our server in this process, side by side; the notes of both are compared line by line.
Decided differences are in docs/differences.md.
"""

from __future__ import annotations

import pytest

import consumer_detail_scenarios
import consumer_row_scenarios
import push_scenarios
from consumer_feature_scenarios import FEATURE_SCENARIOS
from consumer_scenarios import SCENARIOS as CONSUMER_SCENARIOS
from consumer_scenarios import Session
from retention_scenarios import SCENARIOS as RETENTION_SCENARIOS
from side_by_side import notes_of_both
from targets import LiveTarget

# Importing them has added their scenarios.
assert consumer_detail_scenarios.__doc__
assert consumer_row_scenarios.__doc__
assert push_scenarios.__doc__
SCENARIOS = CONSUMER_SCENARIOS | RETENTION_SCENARIOS | FEATURE_SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_conversation(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    got, expected = notes_of_both(ours, oracle, SCENARIOS[name], Session)
    assert got == expected
