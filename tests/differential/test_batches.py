"""Goal: a client cannot tell our batches and schedules from nats-server's.

Method: as test_consumers.py, with the scenarios of batch_scenarios.py and schedule_scenarios.py.
"""

from __future__ import annotations

import pytest

import batch_scenarios
import schedule_scenarios
from side_by_side import notes_of_both
from targets import LiveTarget

SCENARIOS = batch_scenarios.SCENARIOS | schedule_scenarios.SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_conversation(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    session = schedule_scenarios.ScheduleSession
    got, expected = notes_of_both(ours, oracle, SCENARIOS[name], session)
    assert got == expected
