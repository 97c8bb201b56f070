"""Conversations that random runs were wrong in once: the server against the model, step by step.

Goal: what a long search found stays found, however the next one draws. Method: each is played with
a World (world.py), which compares every answer, delivery and state after each step.
"""

from __future__ import annotations

from typing import Any

import pytest

import operations as op
from slipstream.kernel._kernel import Loss
from slipstream.testing.simulated_node import PowerLoss
from world import World

MS = 1_000_000
Consumer = dict[str, Any]


def world_with(retention: str, *consumers: Consumer) -> World:
    world = World(1)
    op.create_stream(world, {"name": "A", "subjects": ["A.>"], "retention": retention})
    for fields in consumers:
        op.create_consumer(world, "A", {"ack_policy": "explicit"} | fields, {})
    return world


def pushed(world: World, **fields: object) -> Consumer:
    return {"durable_name": "x", "deliver_subject": world.inbox(0).decode(), **fields}


def create(world: World, fields: Consumer, *, update: bool = False) -> None:
    op.create_consumer(world, "A", {"ack_policy": "explicit"} | fields, {}, update=update)


def publish(world: World, *subjects: str) -> None:
    op.publish(world, "A", [(subject, {}, b"") for subject in subjects])


def kept(world: World) -> list[int]:
    model = world.model("A")
    assert model is not None
    return list(model.messages)


def pending_of(world: World, consumer: str) -> list[int]:
    model = world.model("A")
    assert model is not None
    return sorted(model.consumers[consumer].pending)


def test_an_update_is_answered_before_what_it_delivers() -> None:
    world = world_with("limits")
    consumer = pushed(world)
    create(world, consumer | {"filter_subject": "A.1"})
    publish(world, "A.0")
    create(world, consumer, update=True)
    assert world.deliveries


def test_a_redelivery_that_is_due_when_power_comes_back() -> None:
    world = world_with("limits")
    create(world, pushed(world, ack_wait=333 * MS))
    publish(world, "A.0")
    world.disk.crash_at(world.disk.operations + 1)
    with pytest.raises(PowerLoss):
        world.advance(333 * MS)
    world.recover(world.disk.image(Loss.none))
    assert [got.reply.split(b".")[4] for got in world.deliveries["A"]] == [b"2"]


FROM_FOUR = {"durable_name": "x", "deliver_policy": "by_start_sequence", "opt_start_seq": 4}


def test_interest_of_filters_that_change_before_the_start() -> None:  # C-136
    world = world_with("interest", FROM_FOUR, {"durable_name": "y", "filter_subject": "A.0"})
    publish(world, "A.1")
    create(world, FROM_FOUR | {"filter_subject": "A.0"}, update=True)
    assert kept(world) == [1]
    publish(world, "A.1", "A.0", "A.0", "A.0")
    create(world, FROM_FOUR | {"filter_subject": "A.2"}, update=True)
    op.delete_consumer(world, "A", "x")
    assert kept(world) == [1, 3, 4, 5]


def test_interest_of_a_consumer_that_is_reset() -> None:  # C-138
    world = world_with("interest", FROM_FOUR)
    publish(world, *["A.0"] * 6)
    op.reset(world, "A", "x", 5)
    assert kept(world) == [5, 6]


def test_a_work_queue_whose_consumer_goes_on_beyond_its_end() -> None:  # C-138
    world = world_with("workqueue", {"durable_name": "x"})
    publish(world, "A.0")
    op.reset(world, "A", "x", 4)
    publish(world, "A.0")
    assert kept(world) == [1, 2]  # until a reset comes back to them


LAST_OF_EACH = {"durable_name": "x", "deliver_policy": "last_per_subject"}


def test_a_consumer_of_last_messages_that_is_reset_behind_its_list() -> None:  # C-138
    world = world_with("limits")
    publish(world, "A.0", "A.0", "A.1")
    create(world, LAST_OF_EACH | {"filter_subject": "A.0"})
    op.pull(world, "A", "x", 5)
    assert [got.reply.split(b".")[5] for got in world.deliveries["A"]] == [b"2"]
    op.reset(world, "A", "x", 0)  # goes on with what was not acknowledged, one after the other
    assert [got.reply.split(b".")[5] for got in world.deliveries["A"]] == [b"2", b"2"]


def test_what_had_all_its_deliveries_goes_when_it_is_acknowledged_after_all() -> None:  # S-144
    world = world_with("interest")
    create(
        world,
        pushed(world, ack_policy="all", max_deliver=2, ack_wait=200 * MS, filter_subject="A.*"),
    )
    publish(world, "A.0")
    world.advance(1000 * MS)
    assert kept(world) == [1]
    op.acknowledge(world, "A", world.deliveries["A"][0].reply, b"+ACK", confirm=True)
    assert kept(world) == []


def test_what_lay_before_the_start_of_a_consumer_that_is_deleted() -> None:  # C-140
    world = world_with("interest", FROM_FOUR, {"durable_name": "y", "filter_subject": "A.*"})
    publish(world, "A.x.1", "A.1", "A.1")
    op.delete_consumer(world, "A", "x")
    assert kept(world) == [1, 2, 3]


def test_a_consumer_is_used_for_as_long_as_somebody_waits() -> None:  # C-092, C-108
    world = world_with("limits", {"name": "x", "inactive_threshold": 1000 * MS})
    model = world.model("A")
    op.pull(world, "A", "x", {"batch": 1, "expires": 1900 * MS})
    world.advance(2800 * MS)
    assert model is not None
    assert list(model.consumers) == ["x"]
    world.advance(1200 * MS)
    model = world.model("A")
    assert model is not None
    assert not model.consumers


def test_a_nak_of_the_last_delivery_waits_for_its_own_time() -> None:  # C-119, C-125
    world = world_with("limits", {"durable_name": "x", "max_deliver": 1, "ack_wait": 200 * MS})
    publish(world, "A.0", "A.0", "A.0")
    op.pull(world, "A", "x", 1)
    world.advance(100 * MS)
    op.pull(world, "A", "x", 2)
    for got in world.deliveries["A"][1:]:
        op.acknowledge(world, "A", got.reply, b"-NAK", confirm=False)
    world.advance(150 * MS)  # the wait of the first is over
    assert pending_of(world, "x") == [2, 3]
    world.advance(100 * MS)
    assert pending_of(world, "x") == []


def test_a_nak_of_the_last_delivery_is_given_up_by_a_pull() -> None:  # C-119, C-125
    world = world_with("limits", {"durable_name": "x", "max_deliver": 1, "ack_wait": 200 * MS})
    publish(world, "A.0")
    op.pull(world, "A", "x", 1)
    op.acknowledge(world, "A", world.deliveries["A"][0].reply, b"-NAK", confirm=False)
    assert pending_of(world, "x") == [1]
    op.pull(world, "A", "x", 1)
    assert pending_of(world, "x") == []


def narrowed(world: World, filter_: str = "A.0") -> None:
    """Two messages are delivered that the filter does not let through any more."""
    fields = {"durable_name": "x", "ack_wait": 200 * MS}
    create(world, fields | {"filter_subject": filter_})
    publish(world, "A.0", "A.0")
    op.pull(world, "A", "x", 2)
    create(world, fields | {"filter_subject": "A.1"}, update=True)
    assert pending_of(world, "x") == [1, 2]


def goes_on(world: World) -> None:
    """Nothing is pending, redeliveries fall due, and the next message comes; after a crash too."""
    for _ in range(2):
        assert pending_of(world, "x") == []
        op.pull(world, "A", "x", 5)
        world.advance(300 * MS)
        publish(world, "A.1")
        assert world.deliveries["A"][-1].subject == b"A.1"
        op.acknowledge(world, "A", world.deliveries["A"][-1].reply, b"+ACK", confirm=True)
        world.recover(world.disk.image(Loss.none))


@pytest.mark.parametrize("purged", ["A.0", "A.*", ""])
def test_a_purge_of_what_was_delivered_before_the_filter_changed(purged: str) -> None:
    world = world_with("limits")
    narrowed(world)
    op.purge(world, "A", filter_=purged)
    goes_on(world)


def test_a_rollup_of_what_was_delivered_before_the_filter_changed() -> None:
    world = World(1)
    op.create_stream(world, {"name": "A", "subjects": ["A.>"], "allow_rollup_hdrs": True})
    narrowed(world, "A.*")
    op.publish(world, "A", [("A.0", {"Nats-Rollup": "sub"}, b"")])
    goes_on(world)


def test_a_rollup_without_interest_of_what_was_delivered_before_the_filter_changed() -> None:
    world = World(1)
    op.create_stream(world, {"name": "A", "subjects": ["A.>"], "allow_rollup_hdrs": True})
    narrowed(world)
    model = world.model("A")
    assert model is not None
    op.update_stream(world, {**model.description, "retention": "interest"})
    op.publish(world, "A", [("A.0", {"Nats-Rollup": "sub"}, b"")])
    goes_on(world)


def acknowledged_all(world: World, *which: int, **made_up: int) -> None:
    """Deliveries by their place, in one turn; the last one with another number, if one is given."""
    replies = [world.deliveries["A"][i].reply for i in which]
    if made_up:
        tokens = replies[-1].split(b".")
        for place, number in made_up.items():
            tokens[{"stream_seq": 5, "consumer_seq": 6}[place]] = b"%d" % number
        replies[-1] = b".".join(tokens)
    op.acknowledge_together(world, "A", replies, confirm=True)


def all_of(world: World, count: int) -> None:
    create(world, {"durable_name": "x", "ack_policy": "all", "ack_wait": 200 * MS})
    publish(world, *["A.0"] * count)
    op.pull(world, "A", "x", count)


def test_acknowledgements_of_a_turn_with_one_that_names_no_delivery() -> None:
    for made_up in ({"consumer_seq": 99}, {"consumer_seq": 0}, {"stream_seq": 99}):
        world = world_with("limits")
        all_of(world, 3)
        acknowledged_all(world, 0, 1, 2, **made_up)
        assert pending_of(world, "x") == [3]
        world.recover(world.disk.image(Loss.all))
        assert pending_of(world, "x") == [3]


def test_acknowledgements_of_a_turn_in_any_order() -> None:
    world = world_with("limits")
    all_of(world, 5)
    acknowledged_all(world, 3, 0, 2)
    assert pending_of(world, "x") == [5]


def test_an_acknowledged_redelivery_leaves_first_deliveries_behind_it_alone() -> None:
    world = world_with("interest")
    all_of(world, 4)
    op.acknowledge(world, "A", world.deliveries["A"][0].reply, b"-NAK", confirm=False)
    op.pull(world, "A", "x", 1)
    acknowledged_all(world, 4)  # the redelivery of the first, which has the highest number of all
    assert pending_of(world, "x") == [2, 3, 4]
    acknowledged_all(world, 2)
    assert pending_of(world, "x") == [4]
    assert kept(world) == [4]
    op.acknowledge(world, "A", world.deliveries["A"][3].reply, b"-NAK", confirm=False)
    op.pull(world, "A", "x", 1)
    assert [got.reply.split(b".")[5] for got in world.deliveries["A"]][-1] == b"4"


def test_numbers_of_before_a_reset_confirm_nothing() -> None:
    world = world_with("limits")
    all_of(world, 3)
    op.reset(world, "A", "x", 0)
    op.pull(world, "A", "x", 1)
    acknowledged_all(world, 0, consumer_seq=3)
    assert pending_of(world, "x") == [1]
