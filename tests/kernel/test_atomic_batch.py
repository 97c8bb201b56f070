"""Goal: an atomic batch is stored whole or not at all, with the errors that nats-server gives.

Method: one node over the simulated disk, driven turn by turn. The answers are also compared with
nats-server (tests/differential/test_batches.py); here are what has to be counted, timed or broken.
"""

from __future__ import annotations

import pytest

from batch_driver import Publisher, error, header_block
from slipstream.kernel._kernel import Loss
from slipstream.testing.simulated_node import StoreSizes


def atomic(**spec: object) -> Publisher:
    return Publisher(allow_atomic=True, **spec)


def test_nothing_is_visible_before_the_commit():  # S-173, S-214, S-216
    p = atomic()
    assert p.staged("b", 1) == ""
    assert p.staged("b", 2) == ""
    assert p.bodies() == []
    assert p.ask("s.plain", b"between") == {"stream": "S", "seq": 1}
    answer = p.staged("b", 3, commit=1)
    assert answer == {"stream": "S", "seq": 4, "batch": "b", "count": 3}
    assert p.bodies() == [b"between", b"b 1", b"b 2", b"b 3"]


def test_the_end_of_a_batch_is_no_message_of_it():  # S-214, S-220
    p = atomic()
    p.staged("b", 1)
    p.staged("b", 2)
    answer = p.staged("b", 3, commit="eob")
    assert answer == {"stream": "S", "seq": 2, "batch": "b", "count": 2}
    assert b"Nats-Batch-Commit: 1\r\n\r\n" in p.messages()[-1][1]
    assert b"Commit" not in p.messages()[0][1]


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_one_refusal_refuses_all(storage):  # S-218
    p = atomic(memory=storage == "memory")
    p.ask("s.a", b"there", Nats_Msg_Id="known")
    p.staged("b", 1)
    p.staged("b", 2, Nats_Msg_Id="known")
    assert error(p.staged("b", 3, commit=1)) == 10201
    assert p.bodies() == [b"there"]
    assert error(p.staged("b", 4)) == 10176  # it is over
    assert p.staged("c", 1, commit=1)["seq"] == 2


def test_large_batches_go_through_the_log_in_parts():
    p = atomic(sizes=StoreSizes(4 << 20, 64 << 20, 4 << 20))
    for seq in range(1, 6):
        body = bytes([64 + seq]) * 400_000
        headers = {"Nats_Batch_Id": "big", "Nats_Batch_Sequence": seq}
        answer = p.ask("s.a", body, **headers, Nats_Batch_Commit=1 if seq == 5 else None)
    assert answer == {"stream": "S", "seq": 5, "batch": "big", "count": 5}
    expected = [bytes([64 + seq]) for seq in range(1, 6)]
    assert [body[:1] for body in p.bodies()] == expected
    again = p.restarted()
    assert [body[:1] for body in again.bodies()] == expected


@pytest.mark.parametrize("loss", list(Loss))
def test_recovery_finds_all_of_a_batch_or_nothing(loss):
    """The power goes at every disk operation between the first message and the answer."""
    answered = 0
    for operation in range(1, 200):
        p = Publisher(allow_atomic=True)
        for seq in range(1, 5):
            p.staged("b", seq)
        start = p.disk.operations
        p.disk.crash_at(start + operation)
        headers = {"Nats_Batch_Id": "b", "Nats_Batch_Sequence": 5, "Nats_Batch_Commit": 1}
        answer = p.ask("s.a", b"b 5", **headers)
        if not p.disk.crashed:
            break
        found = Publisher(p.disk.image(loss, operation), p.clock).bodies()
        assert found in ([], [b"b %d" % seq for seq in range(1, 6)])
        if answer is not None:
            assert found, f"crash at operation {operation}: acknowledged, and gone"
        answered += answer is not None
    assert answered or operation > 1


def test_a_batch_that_waits_too_long_is_given_up():  # S-217, S-252
    p = atomic()
    p.staged("idle", 1)
    p.wait(9)
    p.staged("busy", 1)
    assert p.staged("idle", 2) == ""
    p.wait(9)
    assert p.staged("idle", 3) == ""
    p.wait(2)
    assert p.abandoned == [(b"busy", "timeout")]
    assert p.staged("idle", 4, commit=1)["count"] == 4
    assert error(p.staged("busy", 2)) == 10176


def test_limits():  # S-215
    p = atomic()
    p.node.kernel.set_limits(batches_per_stream=2, batch_messages=3)
    p.staged("a", 1)
    p.staged("b", 1)
    assert error(p.staged("c", 1)) == 10210
    p.staged("b", 2)
    p.staged("b", 3)
    answer = p.staged("b", 4)
    assert answer["error"]["description"] == "atomic publish batch is too large: 3"
    assert p.abandoned == [(b"b", "large")]
    for seq in (2, 3):
        p.staged("a", seq)
    assert p.staged("a", 4, commit="eob")["count"] == 3
    assert p.staged("c", 1) == ""


def test_disabling_drops_what_is_open():  # S-044
    p = atomic()
    p.staged("b", 1)
    p.update()
    assert error(p.staged("b", 2)) == 10174
    p.update(allow_atomic=True)
    assert error(p.staged("b", 2, commit=1)) == 10176
    assert p.abandoned == [(b"b", "incomplete")] or p.abandoned == []
    assert p.bodies() == []


def test_a_restart_forgets_what_was_not_committed():  # S-221, decided otherwise
    p = atomic()
    p.staged("b", 1)
    again = p.restarted()
    assert error(again.staged("b", 2, commit=1)) == 10176
    assert again.bodies() == []


def test_staged_bytes_are_bounded():
    p = atomic()
    body = b"x" * 8_000_000
    for n in range(15):
        headers = {"Nats_Batch_Id": f"b{n}", "Nats_Batch_Sequence": 1}
        assert p.ask("s.a", body, **headers) == ""
    for n in range(15, 20):
        headers = {"Nats_Batch_Id": f"b{n}", "Nats_Batch_Sequence": 1}
        last = p.ask("s.a", body, **headers)
    assert error(last) == 10167
    p.wait(11)
    assert p.ask("s.a", body, **headers) == ""


def test_limits_evict_after_a_batch():
    p = atomic(max_msgs=2)
    for seq in range(1, 4):
        p.staged("b", seq)
    assert p.staged("b", 4, commit=1)["seq"] == 4
    assert p.bodies() == [b"b 3", b"b 4"]


def publish_large(p: Publisher, parts: int = 12) -> int:
    """About 400 KB each; the number under which the commit will be answered."""
    for seq in range(1, parts + 1):
        block = header_block(
            Nats_Batch_Id="large",
            Nats_Batch_Sequence=seq,
            Nats_Batch_Commit=1 if seq == parts else None,
        )
        number = p.node.publish(b"s.a", b"%02d" % seq * 200_000, block)
    return number


@pytest.mark.parametrize("operation", [0, *range(1, 80, 7)])
def test_a_checkpoint_between_the_parts_and_their_commit(operation: int):
    """The journal has no room for all of the batch: its first parts live in a checkpoint."""
    sizes = StoreSizes(3 << 19, 6 << 20, 2 << 20)
    p = atomic(sizes=sizes)
    filler = p.node.publish(b"s.a", b"x" * 1_000_000)
    p.turn()
    assert p.answer(filler)["seq"] == 1
    number = publish_large(p)
    if operation:
        p.disk.crash_at(p.disk.operations + operation)
    p.turn(30)
    answer = p.answer(number)
    expected = [b"%02d" % seq for seq in range(1, 13)]
    if not p.disk.crashed:
        assert answer is not None
        assert p.node.kernel.store_stats().checkpoints > 0
    survivor = Publisher(p.disk.image(Loss.all, 1), p.clock, sizes)
    survivor.node.kernel.check()
    found = [body[:2] for body in survivor.bodies()[1:]]
    stored = answer is not None and "error" not in answer  # a failing disk may refuse it
    assert found == (expected if stored or found else [])
