"""What a node must do after a recovery, beside being what the ledger says: refuse duplicates,
deliver again what was not acknowledged and nothing whose AckSync was answered, take new messages,
and stop and start cleanly.
"""

from __future__ import annotations

from ledger import ACK_NONE, ConsumerPromises, Ledger, StreamPromises
from log_operations import Nothing, Operation, Publish
from slipstream.kernel._kernel import Loss, SimDisk
from slipstream.kernel.values import StoreKeys
from slipstream.testing.simulated_node import SimulatedClock, SimulatedNode

ACK_WAIT_NS_MAX = 31_000_000_000
PULL_ROUNDS_MAX = 50
TURNS_MAX = 16  # a full journal needs a checkpoint, which takes some
REPUBLISHES_PER_TURN = 5


def judge(
    image: SimDisk,
    ledger: Ledger,
    clock: SimulatedClock,
    *,
    thorough: bool = True,
    keys: StoreKeys | None = None,
) -> None:
    """Opens the store on `image` and holds it against `ledger`, which goes on from there."""
    ids = {s.description: published_ids(s) for s in ledger.streams}
    node = SimulatedNode(image, clock, keys=keys)
    ledger.reconcile(node)
    republish(ledger, ids)
    goes_on(ledger)
    if not thorough:
        return
    drain(ledger)
    node.kernel.checkpoint()
    ledger.turn(4)
    goes_on(ledger)
    node.kernel.check()
    node.stop()
    for s in ledger.streams:
        s.committed = len(s.operations)
    ledger.reconcile(SimulatedNode(image.image(Loss.none), clock, keys=keys))


def published_ids(s: StreamPromises) -> list[Publish]:
    return [o for o in s.operations if isinstance(o, Publish) and o.message_id]


def republish(ledger: Ledger, ids: dict[bytes, list[Publish]]) -> None:
    """Every id once more, whether it was acknowledged or not; the ledger demands the answer that
    the recovered log implies.
    """
    for s in ledger.streams:
        for i, publish in enumerate(ids.get(s.description, [])):
            ledger.publish(
                s.name, publish.message.subject, publish.message.body, publish.message_id
            )
            if i % REPUBLISHES_PER_TURN == 0:
                ledger.turn()
    ledger.turn(2)


def goes_on(ledger: Ledger) -> None:
    """New messages are stored and answered (or refused, by streams that are full)."""
    for s in ledger.streams:
        if not s.delete_proposed:
            subject = s.model.spec["subjects"][0].replace(b">", b"goes.on")
            ledger.publish(s.name, subject, b"after recovery")
    for _ in range(TURNS_MAX):
        ledger.turn()
        if not any(unanswered(s) for s in ledger.streams):
            break
    assert not ledger.node.failed, ledger.node.failed
    for s in ledger.streams:
        assert not unanswered(s), f"{s.name} did not answer {str(unanswered(s))[:300]}"


def unanswered(s: StreamPromises) -> list[Operation]:
    return [o for o in s.operations[s.committed :] if not isinstance(o, Nothing)]


def drain(ledger: Ledger) -> None:
    """Everything that is pending anywhere comes again once its ack wait is over, and is
    acknowledged for good.
    """
    ledger.node.clock.advance(ACK_WAIT_NS_MAX)
    ledger.turn()
    for s in [s for s in ledger.streams if not s.delete_proposed]:
        for consumer in s.consumers.values():
            arrived = consume_everything(ledger, s, consumer)
            ledger.drop_expired(s)
            check_complete(s, consumer, arrived)
            if consumer.spec["ack_policy"] == ACK_NONE:
                continue
            missing = arrived - consumer.confirmed
            assert not missing, f"AckSync of {sorted(missing)} was not answered"
            state = ledger.node.kernel.consumer_state(
                s.stream, ledger.node.consumer_ids(s.stream)[consumer.description]
            )
            assert state.num_ack_pending == 0, state
            assert state.num_pending == 0, state
    ledger.node.kernel.check()


def consume_everything(ledger: Ledger, s: StreamPromises, consumer: ConsumerPromises) -> set[int]:
    arrived: set[int] = set()
    node, mine = ledger.node, (s.name, consumer.name)
    seen = len(node.deliveries)
    for _ in range(PULL_ROUNDS_MAX):
        ledger.pull(s.name, consumer.name, 100)
        # A request that max_ack_pending held up gets its messages with the acknowledgements.
        deliveries = [d for d in node.deliveries[seen:] if (d.stream, d.consumer) == mine]
        seen = len(node.deliveries)
        if not deliveries:
            return arrived
        arrived.update(d.stream_seq for d in deliveries)
        if consumer.spec["ack_policy"] != ACK_NONE:
            for delivery in deliveries:
                ledger.acknowledge(delivery, confirm=True)
            ledger.turn(2)
    raise AssertionError(f"consumer {consumer.name} delivers without an end: {sorted(arrived)}")


def check_complete(s: StreamPromises, consumer: ConsumerPromises, arrived: set[int]) -> None:
    """At least once: what is there, matches and was never acknowledged has come."""
    settled = consumer.delivered if consumer.spec["ack_policy"] == ACK_NONE else consumer.acked
    missing = [
        seq
        for seq, message in s.model.messages.items()
        if seq >= consumer.start_seq
        and consumer.wants(message)
        and seq not in settled
        and seq not in arrived
        and not exhausted(consumer, seq)
    ]
    assert not missing, f"consumer {consumer.name} of {s.name} never delivers {missing}"


def exhausted(consumer: ConsumerPromises, seq: int) -> bool:
    return 0 < consumer.spec["max_deliver"] <= consumer.delivered.get(seq, 0)
