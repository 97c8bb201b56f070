"""A short real job with natsrpy, the Rust client (async-nats) behind a Python face: stream, publish
with ids, pull, confirmed ack, KV, object.

Run with the server's address as the only argument; ends with an error at the first surprise.
"""

from __future__ import annotations

import asyncio
import io
import sys

from natsrpy import Nats
from natsrpy.js import (
    AckPolicy,
    KVConfig,
    ObjectStoreConfig,
    PullConsumerConfig,
    StreamConfig,
)


async def main(address: str) -> None:
    client = Nats([address])
    await client.startup()
    jetstream = await client.jetstream()
    stream = await jetstream.streams.create(StreamConfig("ORDERS", ["orders.>"]))
    for number in range(1, 11):
        message_id = {"Nats-Msg-Id": f"order-{number}"}
        subject, body = f"orders.{number % 2}", f"coffee {number}"
        ack = await jetstream.publish(subject, body, headers=message_id, wait=True)
        assert (ack.stream, ack.sequence, ack.duplicate) == ("ORDERS", number, False)
    ack = await jetstream.publish(
        "orders.0", "coffee 10", headers={"Nats-Msg-Id": "order-10"}, wait=True
    )
    assert (ack.sequence, ack.duplicate) == (10, True)

    even = await stream.consumers.create(
        PullConsumerConfig(
            name="even",
            durable_name="even",
            ack_policy=AckPolicy.EXPLICIT,
            filter_subject="orders.0",
        )
    )
    messages = await even.fetch(max_messages=5, expires=5)
    assert [message.stream_sequence for message in messages] == [2, 4, 6, 8, 10]
    for message in messages:
        await message.ack(double=True)
    assert (await stream.get_info()).state.messages == 10

    bucket = await jetstream.kv.create(KVConfig("settings", history=5))
    first = await bucket.put("color", "blue")
    await bucket.update("color", "green", first)
    assert await bucket.get("color") == b"green"
    history = [entry.revision async for entry in await bucket.history("color")]
    assert history == [first, first + 1]
    await bucket.delete("color")

    files = await jetstream.object_store.create(ObjectStoreConfig("files"))
    content = bytes(position % 251 for position in range(300_000))
    await files.put("picture", content, chunk_size=100_000)
    copy = io.BytesIO()
    await files.get("picture", copy)
    assert copy.getvalue() == content
    await client.shutdown()
    print("done")


asyncio.run(main(sys.argv[1]))
