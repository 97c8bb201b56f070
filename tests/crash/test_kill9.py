"""SIGKILL in the midst of a load of durable publishes and confirmed acknowledgements, again and
again on one store.

Goal: what a client was told holds after the restart, with a real server process, real sockets and
nats-py: every acknowledged publish is there under its sequence, with its content, in each
publisher's order; no message id is stored twice; a repeated id is answered as a duplicate with
its old sequence; a message whose AckSync was answered never comes again; and everything else
does. Method: several publishers with many publishes in flight, and a consumer that acknowledges
with AckSync; the process is killed when a random number of promises has been made (the seed is
printed), started on the same store, and the whole stream is read and judged before the next round.

nats-server 2.15.1 does not pass: its consumer state is written by a timer, so acknowledgements
that it confirmed are lost with the process and their messages are delivered again; by default its
publishes are not synced either, which SIGKILL alone does not show. To see it:
SLIPSTREAM_KILL_PROGRAM=nats-server pytest tests/crash/test_kill9.py By hand, the fifty rounds of
the issue: SLIPSTREAM_KILLS=50 pytest tests/crash/test_kill9.py
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from dataclasses import dataclass, field

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    StoreCompression,
    StreamConfig,
)

from slipstream.testing.process import PROGRAM, ServerProcess

ROUNDS = int(os.environ.get("SLIPSTREAM_KILLS", "5"))
SEED = int(os.environ.get("SLIPSTREAM_KILL_SEED", "1")) or random.SystemRandom().getrandbits(32)
GIVEN_PROGRAM = os.environ.get("SLIPSTREAM_KILL_PROGRAM", "")
PUBLISHERS = 3
IN_FLIGHT_MAX = 40
PROMISES = (1, 1500)  # acknowledged or confirmed before SIGKILL, and one confirmed at least
ACK_WAIT_S = 1
ANSWER_S = 60
STREAM, CONSUMER = "KILL", "worker"


@dataclass
class Promises:
    """What the clients were told, over all rounds."""

    sent: dict[str, bytes] = field(default_factory=dict)  # id -> body
    acked: dict[str, int] = field(default_factory=dict)  # id -> sequence
    delivered: set[int] = field(default_factory=set)
    confirmed: set[int] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    grown: asyncio.Event = field(default_factory=asyncio.Event)

    def take_ack(self, message_id: str, answer: dict[str, object]) -> None:
        if "error" in answer:
            self.violations.append(f"{message_id} was refused: {answer}")
            return
        seq = answer["seq"]
        assert isinstance(seq, int)
        if self.acked.setdefault(message_id, seq) != seq:
            self.violations.append(f"{message_id} was at {self.acked[message_id]}, is at {seq}")
        self.grown.set()

    def take_delivery(self, seq: int) -> None:
        self.delivered.add(seq)
        if seq in self.confirmed:
            self.violations.append(f"{seq} was delivered again after its AckSync was answered")

    def take_confirmation(self, seq: int) -> None:
        self.confirmed.add(seq)
        self.grown.set()

    async def more(self, count: int) -> None:
        """Waits for so many promises, at least one of them a confirmation."""
        confirmed = len(self.confirmed)
        enough = len(self.acked) + confirmed + count
        while len(self.acked) + len(self.confirmed) < enough or len(self.confirmed) == confirmed:
            self.grown.clear()
            await self.grown.wait()


class Publisher:
    """Publishes with ids, many in flight; acknowledgements come to one inbox."""

    def __init__(self, number: int, client: Client, promises: Promises) -> None:
        self.number = number
        self.client = client
        self.promises = promises
        self.inbox = client.new_inbox()
        self.room = asyncio.Semaphore(IN_FLIGHT_MAX)
        self.open: set[str] = set()

    async def run(self, ids: list[str], random_: random.Random) -> None:
        await self.client.subscribe(f"{self.inbox}.*", cb=self._on_ack)
        for id_ in ids:
            await self.room.acquire()
            body = self.promises.sent.setdefault(
                id_, id_.encode() + b" " + random_.randbytes(random_.choice((8, 200, 3000)))
            )
            self.open.add(id_)
            await self.client.publish(
                f"kill.{self.number}", body, f"{self.inbox}.{id_}", headers={"Nats-Msg-Id": id_}
            )

    async def _on_ack(self, message: Msg) -> None:
        id_ = message.subject.rsplit(".", 1)[1]
        self.promises.take_ack(id_, json.loads(message.data))
        self.open.discard(id_)
        self.room.release()


async def connect(server: ServerProcess) -> Client:
    async def ignore(_: Exception) -> None:
        """The connection is meant to break."""

    return await nats.connect(server.url, allow_reconnect=False, error_cb=ignore)


async def consume(client: Client, promises: Promises) -> None:
    """Until the connection breaks; every acknowledgement waits for its confirmation."""
    pull = await client.jetstream().pull_subscribe_bind(CONSUMER, STREAM)

    async def confirm(message: Msg) -> None:
        seq = message.metadata.sequence.stream
        await message.ack_sync(timeout=ANSWER_S)
        promises.take_confirmation(seq)

    while client.is_connected:
        try:
            messages = await pull.fetch(20, timeout=0.5)
        except (TimeoutError, NatsTimeoutError):
            continue
        for message in messages:
            promises.take_delivery(message.metadata.sequence.stream)
        # Every third stays open: it has to come again.
        chosen = [
            m for m in messages if m.metadata.sequence.stream % 3 or m.metadata.num_delivered > 1
        ]
        await asyncio.gather(*(confirm(m) for m in chosen))


async def load_until_killed(
    server: ServerProcess, promises: Promises, round_: int, random_: random.Random
) -> None:
    clients = [await connect(server) for _ in range(PUBLISHERS + 1)]
    publishers = [Publisher(i, clients[i], promises) for i in range(PUBLISHERS)]
    tasks = [
        asyncio.ensure_future(p.run([f"{round_}-{p.number}-{n}" for n in range(100_000)], random_))
        for p in publishers
    ]
    tasks.append(asyncio.ensure_future(consume(clients[-1], promises)))
    async with asyncio.timeout(ANSWER_S):
        await promises.more(random_.randint(*PROMISES))
    await asyncio.to_thread(server.kill)
    for client in clients:
        await client.close()
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        expected = (asyncio.CancelledError, NatsError, OSError, asyncio.TimeoutError)
        if isinstance(outcome, BaseException) and not isinstance(outcome, expected):
            raise outcome


async def read_stream(client: Client, start: int) -> list[tuple[int, str, bytes]]:
    """(sequence, id, body) of everything from `start` on."""
    js = client.jetstream()
    info = await js.stream_info(STREAM)
    pull = await js.pull_subscribe(
        "kill.>",
        stream=STREAM,
        config=ConsumerConfig(
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=start,
            inactive_threshold=30,
        ),
    )
    found: list[tuple[int, str, bytes]] = []
    while not found or found[-1][0] < info.state.last_seq:
        for message in await pull.fetch(500, timeout=ANSWER_S):
            assert message.headers is not None
            seq = message.metadata.sequence.stream
            found.append((seq, message.headers["Nats-Msg-Id"], message.data))
    await pull.unsubscribe()
    return found


def judge_stream(found: list[tuple[int, str, bytes]], start: int, promises: Promises) -> None:
    complain = promises.violations.append
    seqs = [seq for seq, _, _ in found]
    if seqs != list(range(start, start + len(seqs))):
        complain("the stream has gaps")
    at = {id_: seq for seq, id_, _ in found}
    if len(at) < len(found):
        complain(f"{len(found) - len(at)} messages are stored twice")
    for id_, seq in promises.acked.items():
        if seq >= start and at.get(id_) != seq:
            complain(f"{id_} was acknowledged at {seq}, and is at {at.get(id_)}")
    newest: dict[str, int] = {}
    for seq, id_, body in found:
        if promises.sent.get(id_) != body:
            complain(f"{id_} at {seq} has other content than was sent")
        publisher, number = id_.rsplit("-", 1)
        if int(number) <= newest.get(publisher, -1):
            complain(f"{id_} at {seq} is behind {newest[publisher]} of its publisher")
        newest[publisher] = int(number)


async def repeat_ids(client: Client, promises: Promises, round_: int) -> None:
    """All ids of the round once more, those without an answer too: the same sequence where there
    was one.
    """
    ids: dict[int, list[str]] = {number: [] for number in range(PUBLISHERS)}
    for id_ in promises.sent:
        sent_in, publisher, _ = id_.split("-")
        if int(sent_in) == round_:
            ids[int(publisher)].append(id_)
    publishers = [Publisher(number, client, promises) for number in range(PUBLISHERS)]
    await asyncio.gather(*(p.run(ids[p.number], random.Random(0)) for p in publishers))
    async with asyncio.timeout(ANSWER_S):
        while any(p.open for p in publishers):
            await client.flush()


async def finish_consuming(client: Client, promises: Promises) -> None:
    """What is left comes, and then nothing."""
    js = client.jetstream()
    pull = await js.pull_subscribe_bind(CONSUMER, STREAM)
    async with asyncio.timeout(ANSWER_S):
        while True:
            info = await js.consumer_info(STREAM, CONSUMER)
            if info.num_pending == 0 and info.num_ack_pending == 0:
                break
            try:
                messages = await pull.fetch(500, timeout=ACK_WAIT_S)
            except (TimeoutError, NatsTimeoutError):
                continue
            for message in messages:
                promises.take_delivery(message.metadata.sequence.stream)
            await asyncio.gather(*(m.ack_sync(timeout=ANSWER_S) for m in messages))
            promises.confirmed.update(m.metadata.sequence.stream for m in messages)
    assert info.ack_floor is not None
    last = (await js.stream_info(STREAM)).state.last_seq
    if info.ack_floor.stream_seq != last:
        promises.violations.append(f"the ack floor is {info.ack_floor.stream_seq}, not {last}")
    if promises.delivered != set(range(1, last + 1)):
        promises.violations.append("some messages were never delivered")


async def rounds(server: ServerProcess, promises: Promises, compression: StoreCompression) -> None:
    random_ = random.Random(SEED)
    client = await connect(server)
    js = client.jetstream()
    await js.add_stream(
        StreamConfig(
            name=STREAM, subjects=["kill.>"], duplicate_window=120, compression=compression
        )
    )
    await js.add_consumer(
        STREAM,
        ConsumerConfig(
            durable_name=CONSUMER,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_S,
            max_ack_pending=100_000,
        ),
    )
    await client.close()
    start = 1
    for round_ in range(ROUNDS):
        await load_until_killed(server, promises, round_, random_)
        await asyncio.to_thread(server.start)
        client = await connect(server)
        await repeat_ids(client, promises, round_)
        found = await read_stream(client, start)
        judge_stream(found, start, promises)
        start = found[-1][0] + 1
        await client.close()
        print(
            f"round {round_ + 1}: {len(promises.acked)} publishes acknowledged, "
            f"{len(promises.confirmed)} confirmed, {len(promises.violations)} broken"
        )
    client = await connect(server)
    judge_stream(await read_stream(client, 1), 1, promises)
    await finish_consuming(client, promises)
    await client.close()


@pytest.mark.timeout(180 + 60 * ROUNDS)
@pytest.mark.parametrize(
    ("config", "compression"),
    [("", StoreCompression.NONE), ("jetstream { key: kill9 }", StoreCompression.S2)],
    ids=["plain", "encrypted"],
)
def test_nothing_promised_is_lost(config: str, compression: StoreCompression) -> None:
    print(f"seed {SEED}")
    program = (GIVEN_PROGRAM,) if GIVEN_PROGRAM else PROGRAM
    promises = Promises()
    with ServerProcess(["-js"], program=program, config=config) as server:
        asyncio.run(rounds(server, promises, compression))
    assert not promises.violations, "\n".join([f"seed {SEED}", *promises.violations[:20]])
    assert len(promises.acked) > ROUNDS
    assert len(promises.confirmed) > ROUNDS
