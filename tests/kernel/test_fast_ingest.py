"""Goal: fast batches store what they acknowledge, contiguously where gaps are not allowed.

Method: as test_atomic_batch.py. The conversation in step with the server is compared with
nats-server (tests/differential/test_batches.py); here messages are under way when one is refused.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from batch_driver import Publisher, header_block
from slipstream.kernel.events import RequestEvent

START, APPEND, COMMIT, COMMIT_END, PING = range(5)


class Fast:
    """One batch: what was answered to it, in order."""

    def __init__(self, publisher: Publisher, batch: str = "b", gap: str = "fail", flow: int = 10):
        self.publisher, self.batch, self.gap, self.flow = publisher, batch, gap, flow
        self.answers: list[Any] = []
        publisher.node.kernel.serve(publisher.node.account, f"fast.{batch}.>".encode(), 3)

    def send(self, seq: int, operation: int = APPEND, subject: str = "s.a", **headers: object):
        """Without waiting."""
        if seq == 1 and operation == APPEND:
            operation = START
        reply = f"fast.{self.batch}.{self.flow}.{self.gap}.{seq}.{operation}.$FI"
        body = f"{self.batch} {seq}".encode()
        node = self.publisher.node
        node.kernel.publish(
            node.account, subject.encode(), reply.encode(), header_block(**headers), body
        )

    def take(self) -> list[Any]:
        """What was answered since."""
        p = self.publisher
        found = []
        for _ in range(6):
            p.clock.advance(1_000_000)
            p.node.kernel.turn(p.clock.now_ns, p.clock.monotonic_ns)
            for event in p.node.kernel.wait_events(0):
                if isinstance(event, RequestEvent) and event.service == 3:
                    found.append(json.loads(event.body))
        return found


def fast(**spec: object) -> Publisher:
    return Publisher(allow_batched=True, **spec)


def ack(seq: int, messages: int) -> dict[str, object]:
    return {"type": "ack", "seq": seq, "msgs": messages}


def final(seq: int, count: int, batch: str = "b") -> dict[str, object]:
    return {"stream": "S", "seq": seq, "batch": batch, "count": count}


def test_a_stream_of_messages():  # S-222, S-223
    p = fast()
    f = Fast(p, flow=3)
    for seq in range(1, 8):
        f.send(seq)
    assert f.take() == [ack(0, 3), ack(3, 3), ack(6, 3)]
    f.send(8, COMMIT)
    assert f.take() == [final(8, 8)]
    assert p.bodies() == [b"b %d" % seq for seq in range(1, 9)]


def test_the_end_waits_for_what_is_under_way():
    p = fast()
    f = Fast(p)
    for seq in range(1, 5):
        f.send(seq)
    f.send(5, COMMIT_END)
    assert f.take() == [ack(0, 10), final(4, 4)]


def test_a_refusal_without_gaps_keeps_what_is_contiguous():  # S-226
    """Messages behind the refused one are in the log already, and are dropped as they apply."""
    p = fast()
    f = Fast(p)
    f.send(1)
    f.send(2)
    f.send(3, Nats_Expected_Last_Sequence=77)
    f.send(4)
    f.send(5)
    first, error, last, *unknown = f.take()
    assert first == ack(0, 10)
    assert (error["type"], error["seq"], error["error"]["err_code"]) == ("err", 3, 10071)
    assert last == final(2, 2)
    assert [e["error"]["err_code"] for e in unknown] == [10208, 10208]
    assert p.bodies() == [b"b 1", b"b 2"]
    f.send(1)
    f.send(2, COMMIT)
    assert f.take()[-1] == final(4, 2)


def test_a_refusal_stays_one_after_a_restart():
    """The log decides which messages of a batch are dropped, without what the leader knew."""
    p = fast()
    f = Fast(p)
    for seq in range(1, 4):
        f.send(seq, **({"Nats_Expected_Last_Sequence": 77} if seq == 2 else {}))
    f.take()
    assert p.bodies() == [b"b 1"]
    image_bodies = Publisher(p.disk.image(next(iter(_losses())), 1), p.clock).bodies()
    assert image_bodies == [b"b 1"]
    assert p.restarted().bodies() == [b"b 1"]


def _losses():
    from slipstream.kernel._kernel import Loss

    return Loss


@pytest.mark.parametrize("under_way", [False, True])
def test_gaps_that_are_allowed(under_way):  # S-223
    p = fast()
    f = Fast(p, gap="ok")
    found = []
    for seq in (1, 2, 5):
        f.send(seq)
        found += [] if under_way else f.take()
    f.send(6, COMMIT, Nats_Expected_Last_Sequence=77)
    found += f.take()
    kinds = [(a.get("type"), a.get("seq")) for a in found]
    gap = ("gap", 5)
    assert sorted(map(str, kinds)) == sorted(map(str, [("ack", 0), gap, ("err", 6), (None, 3)]))
    assert found[-1] == final(3, 5)


def test_a_gap_without_permission_ends_the_batch():
    p = fast()
    f = Fast(p)
    f.send(1)
    f.send(2)
    f.send(4)
    gap = {"type": "gap", "last_seq": 3, "seq": 4}
    found = f.take()
    assert gap in found
    assert found[-1] == final(2, 2)
    assert p.bodies() == [b"b 1", b"b 2"]


def test_duplicates_are_skipped():  # S-226
    p = fast()
    p.ask("s.a", b"there", Nats_Msg_Id="known")
    f = Fast(p, flow=2)
    f.send(1)
    f.send(2, Nats_Msg_Id="known")
    f.send(3)
    f.send(4, COMMIT_END)
    assert f.take() == [ack(0, 2), ack(2, 2), final(3, 3)]


def test_publishers_share_the_flow():  # S-224
    p = fast()
    one = Fast(p, "one", flow=1000)
    one.send(1)
    assert one.take() == [ack(0, 500)]
    two = Fast(p, "two", flow=1000)
    two.send(1)
    assert two.take() == [ack(0, 1), ack(1, 2)]
    two.send(2)
    two.send(3)
    assert two.take() == [ack(3, 4)]


def test_a_ping_repeats_the_last_acknowledgement():
    p = fast()
    f = Fast(p, flow=2)
    for seq in range(1, 4):
        f.send(seq)
    f.take()
    f.send(3, PING)
    assert f.take() == [ack(2, 2)]
    f.send(5, PING)
    assert f.take() == [{"type": "gap", "last_seq": 4, "seq": 6}, final(3, 3)]


def test_a_batch_that_waits_too_long_is_forgotten():
    p = fast()
    f = Fast(p)
    f.send(1)
    f.take()
    p.wait(11)
    f.send(2)
    assert [a["error"]["err_code"] for a in f.take()] == [10208]
    assert p.bodies() == [b"b 1"]


def test_too_many_batches():  # S-225
    p = fast()
    p.node.kernel.set_limits(batches_per_stream=1)
    one, two = Fast(p, "one"), Fast(p, "two")
    one.send(1)
    two.send(1)
    assert [a["error"]["err_code"] for a in two.take() if "error" in a] == [10211]
