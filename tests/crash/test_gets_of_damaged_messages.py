"""Goal: a message that cannot be read is never passed silently by those who ask for messages:
direct gets, alone, in batches and of the last of many subjects, answer with an error of their
own, and what the API asks for raises one with the sequence.

Method: a store in which one message's body has a flipped bit, with nothing of it in memory; each
kind of direct get asks for a range that includes it.
"""

from __future__ import annotations

import pytest

from disk_files import flip_in_only_segment
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.kernel.values import DamagedMessage
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode, stream_spec

MESSAGES, DAMAGED = 6, 3
GET = b"$JS.API.DIRECT.GET.S"


def damaged_node() -> SimulatedNode:
    disk = SimDisk(1)
    node = SimulatedNode(disk, SimulatedClock())
    spec = stream_spec(subjects=[b"s.>"], allow_direct=True)
    node.commit(
        lambda token: node.kernel.propose_stream_create(token, node.account, b"S", b"S", spec)
    )
    for number in range(1, MESSAGES + 1):
        node.publish(b"s.%d" % number, b"body of message %d" % number)
        node.turn()
    node.kernel.checkpoint()
    for _ in range(20):
        node.turn()
    node.kernel.stop()
    flip_in_only_segment(disk, b"body of message %d" % DAMAGED, 3, 1)
    return SimulatedNode(disk.image(Loss.none), SimulatedClock())


@pytest.mark.parametrize(
    ("request_body", "whole_before"),
    [
        pytest.param(b'{"seq":3}', 0, id="one"),
        pytest.param(b'{"last_by_subj":"s.3"}', 0, id="last by subject"),
        pytest.param(b'{"seq":3,"next_by_subj":"s.>"}', 0, id="next by subject"),
        pytest.param(b'{"batch":6,"seq":1}', 2, id="batch"),
        pytest.param(b'{"multi_last":["s.>"]}', 2, id="last of many"),
    ],
)
def test_a_direct_get_says_that_the_message_is_damaged(
    request_body: bytes, whole_before: int
) -> None:
    node = damaged_node()
    number = node.next_number()
    inbox = b"_SIM.%d" % number
    node.kernel.publish(node.account, GET, inbox, b"", request_body)
    for _ in range(12):
        node.turn()
    answers = node.replies[number]
    bodies = [answer.body for answer in answers if answer.body]
    assert bodies == [b"body of message %d" % n for n in range(1, whole_before + 1)]
    assert b"500 message is damaged" in answers[-1].header
    assert (1, DAMAGED) in node.damaged
    node.kernel.check()


def test_the_api_is_told_which_message_is_damaged() -> None:
    node = damaged_node()
    for find in (
        lambda: node.kernel.get_message(1, DAMAGED),
        lambda: node.kernel.get_next(1, b"s.>", DAMAGED),
        lambda: node.kernel.get_last(1, b"s.3"),
    ):
        with pytest.raises(DamagedMessage, match=str(DAMAGED)):
            find()
    assert node.kernel.get_message(1, DAMAGED + 1).body == b"body of message 4"
