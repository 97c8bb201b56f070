"""A short real job with nats-py: stream, publish with ids, pull, confirmed ack, KV, object.

Run with the server's address as the only argument; ends with an error at the first surprise.
"""

from __future__ import annotations

import asyncio
import sys

import nats
from nats.js.errors import KeyNotFoundError, KeyWrongLastSequenceError


async def main(address: str) -> None:
    client = await nats.connect(address)
    jetstream = client.jetstream()
    await jetstream.add_stream(name="ORDERS", subjects=["orders.>"])
    for number in range(1, 11):
        message_id = {"Nats-Msg-Id": f"order-{number}"}
        ack = await jetstream.publish(f"orders.{number % 2}", b"coffee", headers=message_id)
        assert (ack.stream, ack.seq, ack.duplicate) == ("ORDERS", number, None)
    ack = await jetstream.publish("orders.0", b"coffee", headers={"Nats-Msg-Id": "order-10"})
    assert (ack.seq, ack.duplicate) == (10, True)

    even = await jetstream.pull_subscribe("orders.0", durable="even")
    messages = await even.fetch(5)
    assert [message.metadata.sequence.stream for message in messages] == [2, 4, 6, 8, 10]
    for message in messages:
        await message.ack_sync()
    state = await even.consumer_info()
    assert (state.num_pending, state.num_ack_pending) == (0, 0)
    assert state.ack_floor is not None
    assert state.ack_floor.stream_seq == 10

    bucket = await jetstream.create_key_value(bucket="settings", history=5)
    first = await bucket.put("color", b"blue")
    await bucket.update("color", b"green", last=first)
    try:
        await bucket.update("color", b"red", last=first)
    except KeyWrongLastSequenceError:
        pass
    else:
        raise AssertionError("a stale revision was taken")
    assert [entry.revision for entry in await bucket.history("color")] == [first, first + 1]
    await bucket.delete("color")
    try:
        await bucket.get("color")
    except KeyNotFoundError:
        pass
    else:
        raise AssertionError("a deleted key is there")

    files = await jetstream.create_object_store("files")
    content = bytes(position % 251 for position in range(300_000))
    await files.put("picture", content)
    assert (await files.get("picture")).data == content
    await client.close()
    print("done")


asyncio.run(main(sys.argv[1]))
