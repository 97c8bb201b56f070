"""Goal: mirrors and sources hold the same messages, with the same headers, as nats-server's, and
INFO says the same of them.

Method: every scenario of origin_scenarios.py runs over a socket against nats-server and against our
server in this process, side by side; the notes of both are compared line by line. Decided
differences are in docs/differences.md.
"""

from __future__ import annotations

import pytest

from origin_scenarios import SCENARIOS, Copies
from side_by_side import notes_of_both
from targets import LiveTarget


@pytest.mark.parametrize("name", SCENARIOS)
def test_same_copies(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    got, expected = notes_of_both(ours, oracle, SCENARIOS[name], Copies)
    assert got == expected
