"""Scripted workloads, short and dense: every kind of log entry, with checkpoints at awkward
moments. A test crashes them at every disk operation.
"""

from __future__ import annotations

from collections.abc import Callable

from batch_promises import AtomicBatch, FastBatch
from ledger import Ledger
from slipstream.testing.simulated_node import consumer_spec, stream_spec

SECOND_NS = 1_000_000_000
Workload = Callable[[Ledger], None]


def publishes(ledger: Ledger) -> None:
    """Three streams side by side, with and without ids, duplicates, wrong expectations; the
    journal rolls and is recycled.
    """
    for name in ("A", "B", "C"):
        ledger.create_stream(name, stream_spec(subjects=[f"{name}.>".encode()]))
    ledger.turn()
    for i in range(24):
        ledger.publish("A", b"A.plain", b"plain %d " % i + b"x" * 700)
        ledger.publish(
            "B", b"B.%d" % (i % 3), b"with id %d " % i + b"y" * 300, message_id=f"id-{i}"
        )
        if i % 3 == 0:
            ledger.publish("B", b"B.again", b"never stored", message_id=f"id-{i // 2}")
            ledger.publish("C", b"C.one", b"expected %d" % i, expected_last_seq=i // 3)
            ledger.publish("C", b"C.one", b"unexpected", expected_last_seq=i // 3)
        if i % 7 == 6:
            ledger.node.kernel.checkpoint()
        ledger.turn()
    ledger.turn(2)


def limits(ledger: Ledger) -> None:
    """Evictions of each kind, purges, deletions, a limit that shrinks."""
    ledger.create_stream("OLD", stream_spec(subjects=[b"OLD.>"], max_msgs=8))
    ledger.create_stream("BYTES", stream_spec(subjects=[b"BYTES.>"], max_bytes=4000))
    ledger.create_stream("SUBJECT", stream_spec(subjects=[b"SUBJECT.>"], max_msgs_per_subject=2))
    ledger.create_stream("NEW", stream_spec(subjects=[b"NEW.>"], max_msgs=5, discard_new=True))
    ledger.turn()
    for i in range(18):
        for name in ("OLD", "BYTES", "SUBJECT", "NEW"):
            subject = f"{name}.{i % 4}".encode()
            ledger.publish(name, subject, b"%d " % i + b"z" * (i * 40), message_id=f"{name}-{i}")
        if i == 5:
            ledger.delete_message("OLD", 3)
            ledger.delete_message("SUBJECT", 5, erase=True)
        if i == 8:
            ledger.purge("NEW", keep=1)
            ledger.purge("SUBJECT", subject=b"SUBJECT.1")
            ledger.node.kernel.checkpoint()
        if i == 11:
            ledger.delete_message("BYTES", ledger.stream("BYTES").model.last_seq, erase=True)
            ledger.purge("OLD", seq=ledger.stream("OLD").model.last_seq - 2)
        if i == 13:
            ledger.update_stream("OLD", stream_spec(subjects=[b"OLD.>"], max_msgs=3))
            ledger.node.kernel.checkpoint()
        if i == 15:
            ledger.purge("BYTES")
            ledger.purge("NEW", seq=100)
        ledger.turn()
    ledger.node.kernel.checkpoint()
    ledger.turn(4)


def consumers(ledger: Ledger) -> None:
    """Deliveries, acknowledgements of each kind, consumers that come, change and go."""
    ledger.create_stream("S", stream_spec(subjects=[b"S.>"]))
    ledger.turn()
    ledger.create_consumer("S", "each", consumer_spec())
    ledger.create_consumer("S", "all", consumer_spec(ack_policy=1))
    ledger.create_consumer("S", "none", consumer_spec(ack_policy=0))
    ledger.create_consumer("S", "some", consumer_spec(filters=[b"S.1"]))
    for i in range(12):
        ledger.publish("S", b"S.%d" % (i % 3), b"message %d" % i)
    ledger.turn()
    for round_ in range(4):
        for name in ("each", "all", "none", "some"):
            arrived = ledger.pull("S", name, 3)
            if name == "none" or not arrived:
                continue
            ledger.acknowledge(arrived[0], confirm=round_ % 2 == 0)
            if len(arrived) > 2:
                kinds = (b"+ACK", b"-NAK", b'-NAK {"delay": 5000000}', b"+TERM")
                ledger.acknowledge(arrived[2], kinds[round_], confirm=True)
        if round_ == 1:
            ledger.node.kernel.checkpoint()
            ledger.create_consumer("S", "late", consumer_spec(deliver_policy=2))
        if round_ == 2:
            ledger.update_consumer("S", "each", consumer_spec(ack_wait_ns=20 * SECOND_NS))
            ledger.delete_consumer("S", "all")
            ledger.publish("S", b"S.1", b"more %d" % round_)
            ledger.delete_message("S", 2)
        ledger.turn()
    ledger.create_consumer("S", "all", consumer_spec(ack_policy=1))  # a new life
    ledger.publish("S", b"S.1", b"the last")
    ledger.turn()
    for name in ("all", "late", "each"):
        for delivery in ledger.pull("S", name, 20):
            ledger.acknowledge(delivery, confirm=delivery.stream_seq % 2 == 0)
    ledger.node.kernel.checkpoint()
    ledger.turn(2)
    ledger.purge("S", seq=8)
    ledger.turn(2)


def lives(ledger: Ledger) -> None:
    """Streams come and go while checkpoints run; some are never written to."""
    ledger.create_stream("EMPTY", stream_spec(subjects=[b"EMPTY.>"]))
    ledger.create_stream("MEMORY", stream_spec(subjects=[b"MEMORY.>"], memory=True))
    ledger.create_stream("FIRST", stream_spec(subjects=[b"FIRST.>"], first_seq=50))
    ledger.create_stream("AGE", stream_spec(subjects=[b"AGE.>"], max_age_ns=SECOND_NS // 20))
    ledger.turn()
    ledger.node.kernel.checkpoint()
    ledger.turn(3)
    for i in range(10):
        ledger.create_stream("T", stream_spec(subjects=[b"T.>"]))
        ledger.node.kernel.checkpoint()
        if i % 2:
            ledger.turn()
        ledger.turn()
        for k in range(i):
            ledger.publish("T", b"T.t", b"life %d message %d" % (i, k))
        ledger.publish("FIRST", b"FIRST.f", b"%d" % i)
        ledger.publish("AGE", b"AGE.a", b"%d" % i)
        ledger.turn(1 + i % 3)
        if i % 3 == 1:
            ledger.node.kernel.checkpoint()
            ledger.turn(1 + i % 4)
        ledger.delete_stream("T")
        ledger.turn()
        ledger.node.clock.advance(SECOND_NS // 100)
    ledger.node.clock.advance(SECOND_NS // 25)
    ledger.node.kernel.checkpoint()
    ledger.turn(4)


def at_rest(ledger: Ledger) -> None:
    """Compressed streams, one for a while only, and erasures that rewrite files."""
    ledger.create_stream("C", stream_spec(subjects=[b"C.>"], compress=True, max_msgs=20))
    ledger.create_stream("LATER", stream_spec(subjects=[b"LATER.>"]))
    ledger.turn()
    for i in range(26):
        ledger.publish("C", b"C.%d" % (i % 3), b"compressible " * (i % 9 * 8))
        ledger.publish("LATER", b"LATER.a", b"%d " % i * 100, message_id=f"later-{i}")
        if i == 8:
            ledger.update_stream("LATER", stream_spec(subjects=[b"LATER.>"], compress=True))
        if i % 6 == 5:
            ledger.node.kernel.checkpoint()
            ledger.turn(2)
            ledger.delete_message("C", i - 3, erase=True)
            ledger.delete_message("LATER", i - 4, erase=True)
        if i == 20:
            ledger.update_stream("LATER", stream_spec(subjects=[b"LATER.>"]))
        ledger.turn()
    for _ in range(4):
        ledger.node.kernel.checkpoint()
        ledger.turn(3)


def headers(ledger: Ledger) -> None:
    """Times to live, roll-ups, and counters whose newest messages are erased."""
    ledger.create_stream(
        "TTL", stream_spec(subjects=[b"TTL.>"], allow_msg_ttl=True, allow_rollup=True)
    )
    ledger.create_stream("COUNT", stream_spec(subjects=[b"COUNT.>"], counter=True))
    ledger.turn()
    for i in range(20):
        lives_s = ("1", "9", "never", "2")[i % 4]
        ledger.publish("TTL", b"TTL.%d" % (i % 5), b"%d" % i, headers=(f"Nats-TTL: {lives_s}",))
        if i % 6 == 4:
            ledger.publish("TTL", b"TTL.%d" % (i % 3), b"all", headers=("Nats-Rollup: sub",))
        if i == 13:
            ledger.publish("TTL", b"TTL.only", b"this", headers=("Nats-Rollup: all",))
        for k in range(2):
            increment = f"Nats-Incr: {(-1) ** i * 10 ** (i + k)}"
            ledger.publish("COUNT", b"COUNT.%d" % (i % 3), b"", headers=(increment,))
        ledger.turn()
        if i % 4 == 3:
            ledger.delete_message("COUNT", ledger.stream("COUNT").model.last_seq, erase=True)
        if i % 7 == 5:
            ledger.node.kernel.checkpoint()
        ledger.turn()
    ledger.node.clock.advance(SECOND_NS)
    ledger.node.kernel.checkpoint()
    ledger.turn(4)
    increment = "Nats-Incr: +1"
    ledger.publish("COUNT", b"COUNT.0", b"", headers=(increment,))
    ledger.publish("TTL", b"TTL.0", b"last", headers=("Nats-Rollup: sub",))
    ledger.turn(3)


def batches(ledger: Ledger) -> None:
    """Atomic batches, one of several parts, and fast ones, side by side with plain messages."""
    ledger.create_stream("B", stream_spec(subjects=[b"B.>"], allow_atomic=True, max_msgs=30))
    fast = stream_spec(subjects=[b"F.>"], allow_batched=True, max_msgs_per_subject=9)
    ledger.create_stream("F", fast)
    ledger.turn()
    open_ = FastBatch(ledger, "F")
    for i in range(16):
        ledger.publish("B", b"B.plain", b"%d " % i + b"p" * 200)
        contents = [(b"B.%d" % k, b"batch %d message %d" % (i, k) + b"a" * 90) for k in range(4)]
        if i == 9:
            contents = [(b"B.large", b"%d " % k + b"l" * 400_000) for k in range(3)]
        if ledger.stream("B").created:
            AtomicBatch(ledger, "B", contents)
        for k in range(3):
            open_.send(b"F.%d" % k, b"round %d message %d " % (i, k) + b"f" * 300)
            ledger.publish("F", b"F.plain", b"between")
            ledger.turn(k % 2)
        if i % 5 == 4:
            open_.send(b"F.end", b"end", last=True)
            ledger.turn()
            open_ = FastBatch(ledger, "F")
            ledger.node.kernel.checkpoint()
        if i == 7:
            ledger.delete_message("B", max(ledger.stream("B").model.last_seq - 1, 1), erase=True)
        ledger.turn()
    ledger.turn(4)


def reads(ledger: Ledger) -> None:
    """Old messages: consumers come late, bodies are erased in files, files are compacted."""
    ledger.create_stream("OLD", stream_spec(subjects=[b"OLD.>"]))
    ledger.create_stream("C", stream_spec(subjects=[b"C.>"], compress=True))
    ledger.turn()
    for i in range(30):
        ledger.publish("OLD", b"OLD.%d" % (i % 3), b"old %d " % i + b"o" * 900)
        ledger.publish("C", b"C.%d" % (i % 3), b"compressed %d " % i * 60)
        ledger.turn()
    for _ in range(2):  # the second one finds all at rest, and gives the memory of their tails back
        ledger.node.kernel.checkpoint()
        ledger.turn(5)
    for name in ("OLD", "C"):
        ledger.create_consumer(name, "late", consumer_spec())
        ledger.create_consumer(name, "few", consumer_spec(filters=[name.encode() + b".1"]))
    ledger.turn()
    for round_ in range(4):
        for name in ("OLD", "C"):
            for consumer in ("late", "few"):
                for delivery in ledger.pull(name, consumer, 4):
                    ledger.acknowledge(delivery, confirm=delivery.stream_seq % 2 == 0)
            ledger.delete_message(name, 20 + round_, erase=True)
            if round_ == 2:
                ledger.purge(name, subject=name.encode() + b".2")
        ledger.node.kernel.checkpoint()
        ledger.turn(3)
    ledger.turn(3)


ALL: dict[str, Workload] = {
    f.__name__: f for f in (publishes, limits, consumers, lives, at_rest, headers, batches, reads)
}
