"""Goal: a page of a stream's subjects is what a sorted list says, however many there are, and no
step towards it takes long.

Method: streams with more subjects than a step looks at; pages by filter, offset and limit against
the list. Steps are held against their bound by what they find.
"""

from __future__ import annotations

import pytest

from slipstream.kernel._kernel import SimDisk
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode, stream_spec

SUBJECTS = 10_000
ROWS_PER_STEP_MAX = 4096
STEPS_MAX = 3 + 4 + SUBJECTS // ROWS_PER_STEP_MAX


Listed = tuple[SimulatedNode, int]  # the stream


def with_stream() -> Listed:
    node = SimulatedNode(SimDisk(1), SimulatedClock())
    spec = stream_spec(subjects=[b"s.>"], memory=True)
    stream = node.commit(
        lambda token: node.kernel.propose_stream_create(token, node.account, b"S", b"S", spec)
    )
    return node, stream


@pytest.fixture(scope="module")
def made() -> Listed:
    node, stream = with_stream()
    for number in range(SUBJECTS):
        # Names come in another order than that of their names.
        node.publish(b"s.%d.%d" % (number * 7919 % SUBJECTS, number % 3), b"")
    for number in range(0, SUBJECTS, 2):
        node.publish(b"s.%d.%d" % (number * 7919 % SUBJECTS, number % 3), b"")
    node.turn()
    return node, stream


def expected() -> dict[bytes, int]:
    return {
        b"s.%d.%d" % (number * 7919 % SUBJECTS, number % 3): 2 - number % 2
        for number in range(SUBJECTS)
    }


def listed(
    made: Listed, subject_filter: bytes, offset: int, limit: int
) -> tuple[int, list[tuple[bytes, int]]]:
    node, stream = made
    listing = node.kernel.list_subjects(stream, subject_filter, offset, limit)
    found, more, steps = [], True, 0
    while more:
        more, rows = listing.step()
        assert len(rows) <= ROWS_PER_STEP_MAX
        found += rows
        steps += 1
    assert steps <= STEPS_MAX
    return listing.total, found


@pytest.mark.parametrize("offset", [0, 1, 4096, 9_999, 10_000, 2**40])
@pytest.mark.parametrize("limit", [0, 1, 5000, 100_000])
@pytest.mark.parametrize("subject_filter", [b"", b">", b"s.*.1"])
def test_a_page(made: Listed, subject_filter: bytes, offset: int, limit: int) -> None:
    ending = b".1" if subject_filter == b"s.*.1" else b""
    rows = sorted(row for row in expected().items() if row[0].endswith(ending))
    total, found = listed(made, subject_filter, offset, limit)
    assert total == len(rows)
    assert found == rows[offset : offset + limit]


def test_a_literal_filter(made: Listed) -> None:
    assert listed(made, b"s.0.0", 0, 10) == (1, [(b"s.0.0", 2)])
    assert listed(made, b"s.0.9", 0, 10) == (0, [])


def test_a_stream_that_goes_meanwhile_ends_the_listing() -> None:
    node, stream = with_stream()
    for number in range(SUBJECTS):
        node.publish(b"s.%d" % number, b"")
    node.turn()
    listing = node.kernel.list_subjects(stream, b">", 0, 100_000)
    assert listing.step() == (True, [])
    node.commit(lambda token: node.kernel.propose_stream_delete(token, stream))
    found, more = 0, True
    while more:
        more, rows = listing.step()
        found += len(rows)
    assert found == listing.total < SUBJECTS
