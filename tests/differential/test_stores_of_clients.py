"""Goal: key-value buckets and object stores, which clients build from streams, do here what they do
on nats-server.

Method: the official Python client walks through their life (history, watchers, compare and set,
tombstones, times to live and the markers they leave, links, seals) on both servers; what it saw is
compared line by line, without times and random names.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
from collections.abc import Awaitable, Callable

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import DiscardPolicy, ObjectMeta, ObjectMetaOptions, StreamConfig
from nats.js.errors import Error
from nats.js.kv import KeyValue

from api_connection import ANSWER_S_MAX
from side_by_side import held_side_by_side
from targets import LiveTarget

Walk = Callable[[Client, list[str]], Awaitable[None]]
WALKS: dict[str, Walk] = {}


def walk(function: Walk) -> Walk:
    WALKS[function.__name__] = function
    return function


def entry(e: KeyValue.Entry | None) -> str:
    if e is None:
        return "up to date"
    return f"{e.key}={e.value!r} rev {e.revision} {e.operation} delta {e.delta}"


async def attempt(notes: list[str], what: str, awaitable: Awaitable[object]) -> None:
    try:
        result = await awaitable
    except Error as error:
        notes.append(f"{what}: {type(error).__name__} {getattr(error, 'err_code', '')}")
    else:
        shown = entry(result) if isinstance(result, KeyValue.Entry) else repr(result)
        notes.append(f"{what}: {shown}")


async def take(notes: list[str], watcher: object, count: int) -> None:
    for _ in range(count):
        notes.append("watch " + entry(await watcher.updates(timeout=ANSWER_S_MAX)))  # type: ignore[attr-defined]


@walk
async def keys_and_values(client: Client, notes: list[str]) -> None:
    kv = await client.jetstream().create_key_value(bucket="B", history=3)
    for value in (b"1", b"2", b"3", b"4"):
        await attempt(notes, "put", kv.put("a", value))
    await attempt(notes, "put", kv.put("b.c", b""))
    await attempt(notes, "create", kv.create("a", b"x"))
    await attempt(notes, "create", kv.create("new", b"x"))
    await attempt(notes, "update", kv.update("a", b"5", last=4))
    await attempt(notes, "update", kv.update("a", b"6", last=4))
    await attempt(notes, "get", kv.get("a"))
    await attempt(notes, "get", kv.get("a", revision=3))
    await attempt(notes, "get", kv.get("a", revision=5))
    await attempt(notes, "get", kv.get("none"))
    notes.append(f"keys {sorted(await kv.keys())}")
    for e in await kv.history("a"):
        notes.append("history " + entry(e))
    await attempt(notes, "delete", kv.delete("a", last=99))
    await attempt(notes, "delete", kv.delete("a"))
    await attempt(notes, "get", kv.get("a"))
    await attempt(notes, "create", kv.create("a", b"again"))
    await attempt(notes, "purge", kv.purge("a"))
    for e in await kv.history("a"):
        notes.append("history " + entry(e))
    await attempt(notes, "purge deletes", kv.purge_deletes(olderthan=-1))
    status = await kv.status()
    notes.append(f"status {status.values} {status.history} {status.ttl}")
    notes.append(f"keys {sorted(await kv.keys())}")
    await client.jetstream().delete_key_value("B")


@walk
async def watchers(client: Client, notes: list[str]) -> None:
    kv = await client.jetstream().create_key_value(bucket="W", history=5)
    empty = await kv.watchall()
    await take(notes, empty, 1)
    for key, value in (("a", b"1"), ("b.x", b"2"), ("a", b"3"), ("b.y", b"4")):
        await kv.put(key, value)
    await take(notes, empty, 4)
    for options in (
        {},
        {"include_history": True},
        {"ignore_deletes": True},
        {"meta_only": True},
    ):
        watcher = await kv.watchall(**options)
        await take(notes, watcher, 5 if "include_history" in options else 4)
        await watcher.stop()
    some = await kv.watch("b.*")
    await take(notes, some, 3)
    await kv.delete("b.x")
    await kv.purge("b.y")
    await kv.put("a", b"unseen")
    await kv.put("b.z", b"5")
    await take(notes, some, 3)
    await some.stop()
    later = await kv.watchall(ignore_deletes=True)
    await take(notes, later, 3)
    await client.jetstream().delete_key_value("W")


@walk
async def times_to_live(client: Client, notes: list[str]) -> None:  # S-155..S-158
    # As create_key_value() makes it where the server's API level is high enough.
    bucket = StreamConfig(
        name="KV_T",
        subjects=["$KV.T.>"],
        max_msgs_per_subject=2,
        discard=DiscardPolicy.NEW,
        allow_rollup_hdrs=True,
        deny_delete=True,
        allow_direct=True,
        allow_msg_ttl=True,
        subject_delete_marker_ttl=2.0,
    )
    await client.jetstream().add_stream(bucket)
    kv = await client.jetstream().key_value("T")
    status = await kv.status()
    notes.append(f"marker ttl {status.marker_ttl}")
    watcher = await kv.watchall()
    await take(notes, watcher, 1)
    await attempt(notes, "create", kv.create("short", b"1", msg_ttl=1))
    await attempt(notes, "put", kv.put("long", b"2"))
    await attempt(notes, "purge", kv.purge("long", msg_ttl=1))
    await take(notes, watcher, 4)
    await attempt(notes, "get", kv.get("short"))
    await attempt(notes, "get", kv.get("long"))
    raw = await client.jetstream().get_last_msg("KV_T", "$KV.T.short")
    notes.append(f"marker {sorted(raw.headers.items())} {raw.data!r} at {raw.seq}")
    await client.jetstream().delete_key_value("T")


@walk
async def objects(client: Client, notes: list[str]) -> None:
    js = client.jetstream()
    store = await js.create_object_store(bucket="O")
    content = bytes(range(256)) * 1000
    small = ObjectMetaOptions(max_chunk_size=10_000)
    meta = ObjectMeta(name="big", description="d", headers={"A": "b"}, options=small)
    for data in (content[:1000], content):
        put = await store.put("big", io.BytesIO(data), meta=meta)
        notes.append(f"put {put.name} {put.size} {put.chunks} {put.digest}")
    await store.put("empty", b"")
    await store.put("plain", b"text")
    got = await store.get("big")
    notes.append(f"get {got.data == content} {got.info.size} {got.info.chunks}")
    for name in ("empty", "plain"):
        notes.append(f"get {(await store.get(name)).data!r}")
    await attempt(notes, "get", store.get("none"))
    renamed = ObjectMeta(name="renamed", description="new")
    await attempt(notes, "rename", store.update_meta("plain", renamed))
    described = ObjectMeta(name="plain", description="new")
    await attempt(notes, "describe", store.update_meta("plain", described))
    link = {"name": "link", "bucket": "O", "nuid": "x", "size": 0, "chunks": 0}
    link["options"] = {"link": {"bucket": "O", "name": "big"}}
    subject = f"$O.O.M.{base64.urlsafe_b64encode(b'link').decode()}"
    await js.publish(subject, json.dumps(link).encode(), headers={"Nats-Rollup": "sub"})
    linked = await store.get_info("link")
    notes.append(f"link to {linked.options.link.name}")
    notes.append(f"get {(await store.get('link')).data == content}")
    watcher = await store.watch()
    for _ in range(5):
        seen = await watcher.updates(timeout=ANSWER_S_MAX)
        notes.append(f"watch {(seen.name, seen.size, seen.deleted) if seen else 'up to date'}")
    await store.delete("empty")
    seen = await watcher.updates(timeout=ANSWER_S_MAX)
    notes.append(f"watch {seen.name} {seen.deleted}")
    await watcher.stop()
    notes.append(f"list {sorted(o.name for o in await store.list())}")
    status = await store.status()
    notes.append(f"status {status.size} {status.sealed}")
    await store.seal()
    await attempt(notes, "put", store.put("late", b"x"))
    notes.append(f"sealed {(await store.status()).sealed} {(await store.get('plain')).data!r}")
    state = (await js.stream_info("OBJ_O")).state
    notes.append(f"state {state.messages} {state.bytes} {state.last_seq}")
    await js.delete_object_store("O")


@pytest.mark.parametrize("name", WALKS)
def test_same_walk(oracle: LiveTarget, ours: LiveTarget, name: str) -> None:
    def walked(target: LiveTarget) -> list[str]:
        notes: list[str] = []
        asyncio.run(walk_with(target, WALKS[name], notes))
        return [re.sub(r"0x[0-9a-f]+", "ADDRESS", note) for note in notes]

    got, expected = held_side_by_side(ours, oracle, walked)
    assert len(expected) > 5
    assert got == expected


async def walk_with(target: LiveTarget, walk: Walk, notes: list[str]) -> None:
    client = await nats.connect("nats://{}:{}".format(*target.connection.peer))
    try:
        await walk(client, notes)
    finally:
        await client.close()
