"""A real disk that fills up: a small file system in memory, in a mount namespace of its own.

Goal: a full disk is a state. Publishes are refused at once and say why; what frees room works;
/healthz, /jsz, the log and an advisory say so; a restart on the full disk finds everything; with
room again the server goes on by itself. Method: a server process inside the namespace, which a
sleeping process keeps alive over the server's kills; the disk is filled through
/proc/<pid>/root. Skipped where no namespace or no mount is allowed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from slipstream.testing.process import PROGRAM, ServerProcess

MEGABYTES = 96
BODY = b"x" * 8000
REFUSED_AT_ONCE_S = 1.5
ROOM_AGAIN_S = 20
ADVISORY = "$JS.EVENT.ADVISORY.SERVER.OUT_OF_STORAGE"


@dataclass
class SmallDisk:
    keeper: subprocess.Popen[str]
    folder: Path

    @property
    def program(self) -> list[str]:
        """The server's, inside the namespace."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", "-t", str(self.keeper.pid), "--mount", *user, *PROGRAM]

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def inside(self, *command: str) -> None:
        """Runs a command in the namespace. Raises CalledProcessError."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        enter = ["nsenter", "-t", str(self.keeper.pid), "--mount", *user]
        subprocess.run([*enter, *command], check=True, capture_output=True, text=True)

    @property
    def filler(self) -> Path:
        return Path(f"/proc/{self.keeper.pid}/root{self.folder}/store/filler")

    def fill(self) -> None:
        with self.filler.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(b"z" * size) == size:
                        pass


@contextlib.contextmanager
def small_disk(folder: Path, mount: str, what: str) -> Iterator[SmallDisk]:
    """`mount` is the command, for a shell whose $0 is the store's folder. Where it fails the test
    is skipped, with a warning that says that `what` is not tested.
    """
    new = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
    script = f"{mount} && echo mounted && exec sleep 600"
    store = folder / "store"
    store.mkdir()
    try:
        keeper = subprocess.Popen(
            ["unshare", *new, "sh", "-c", script, str(store)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    except OSError as error:
        warnings.warn(f"NOT TESTED: {what} ({error})", stacklevel=1)
        pytest.skip(f"no mount namespace: {error}")
    assert keeper.stdout is not None
    try:
        said = keeper.stdout.readline().strip()
        if said != "mounted":
            warnings.warn(f"NOT TESTED: {what} ({said})", stacklevel=1)
            pytest.skip(f"no file system can be mounted here: {said}")
        yield SmallDisk(keeper, folder)
    finally:
        keeper.kill()
        keeper.wait()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    mount = f'mount -t tmpfs -o size={MEGABYTES}m tmpfs "$0"'
    with small_disk(tmp_path, mount, "a real full disk") as found:
        yield found


@contextlib.asynccontextmanager
async def connected(server: ServerProcess) -> AsyncIterator[Client]:
    client = await nats.connect(server.url, allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


async def ask(client: Client, subject: str, body: Any = None, timeout: float = 10) -> Any:
    raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return json.loads((await client.request(subject, raw, timeout=timeout)).data)


async def api(client: Client, verb: str, body: Any = None) -> Any:
    answer = await ask(client, f"$JS.API.{verb}", body)
    assert "error" not in answer, (verb, answer)
    return answer


async def publish_until_refused(client: Client, subject: str) -> tuple[int, Any]:
    """The last sequence that was acknowledged, and the first refusal."""
    last = 0
    for _ in range(3 * MEGABYTES * 1_000_000 // len(BODY)):
        began = time.monotonic()
        answer = await ask(client, subject, BODY)
        if "error" in answer:
            assert time.monotonic() - began < REFUSED_AT_ONCE_S
            return last, answer["error"]
        last = answer["seq"]
    raise AssertionError("the disk never fills up")


async def publish_when_accepted(client: Client, subject: str) -> int:
    deadline = time.monotonic() + ROOM_AGAIN_S
    while True:
        answer = await ask(client, subject, BODY)
        if "error" not in answer:
            return int(answer["seq"])
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.1)


def page(server: ServerProcess, path: str) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(server.monitoring_url + path) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def on_the_full_disk(client: Client, server: ServerProcess) -> None:
    """What is looked at, and what frees room."""
    code, health = page(server, "/healthz")
    assert code == 503
    assert "out of storage" in health["error"]
    assert "free on the disk" in page(server, "/jsz")[1]["out_of_storage"]
    assert "JetStream out of storage, messages are refused" in server.log
    pulled = await client.subscribe("got")
    batch = json.dumps({"batch": 3, "expires": 5_000_000_000}).encode()
    await client.publish("$JS.API.CONSUMER.MSG.NEXT.WORK.W", batch, reply="got")
    for _ in range(3):
        message = await pulled.next_msg(timeout=5)
        confirmed = await client.request(message.reply, b"+ACK", timeout=5)
        assert not confirmed.headers, "a refusal has a status"
    await api(client, "CONSUMER.DELETE.WORK.SPARE")
    last = (await api(client, "STREAM.INFO.FULL"))["state"]["last_seq"]
    await api(client, "STREAM.MSG.DELETE.FULL", {"seq": last})  # erased; its tail is not written
    refused = await ask(client, "$JS.API.STREAM.CREATE.MORE", {"name": "MORE"})
    assert refused["error"]["err_code"] == 10047
    await api(client, "STREAM.DELETE.GONE")


def test_something_else_fills_the_disk(disk: SmallDisk) -> None:
    async def fill_and_free(server: ServerProcess) -> int:
        async with connected(server) as client:
            advisories = await client.subscribe(ADVISORY)
            await api(client, "STREAM.CREATE.FULL", {"name": "FULL", "subjects": ["full"]})
            await api(client, "STREAM.CREATE.GONE", {"name": "GONE", "subjects": ["gone"]})
            work = {"name": "WORK", "subjects": ["work"], "retention": "workqueue"}
            await api(client, "STREAM.CREATE.WORK", work)
            for name, filters in (("W", ["work"]), ("SPARE", ["other"])):
                config = {
                    "durable_name": name,
                    "ack_policy": "explicit",
                    "filter_subjects": filters,
                }
                asked = {"stream_name": "WORK", "config": config}
                await api(client, f"CONSUMER.DURABLE.CREATE.WORK.{name}", asked)
            for _ in range(20):
                await ask(client, "work", b"w")
                await ask(client, "gone", BODY)
            disk.fill()
            last, error = await publish_until_refused(client, "full")
            assert error["err_code"] == 10047
            assert "No space left on device: " in error["description"]
            advisory = json.loads((await advisories.next_msg(timeout=5)).data)
            assert advisory["type"] == "io.nats.jetstream.advisory.v1.server_out_of_space"
            await on_the_full_disk(client, server)
            return last

    async def found_again(server: ServerProcess, last: int) -> None:
        async with connected(server) as client:
            state = (await api(client, "STREAM.INFO.FULL"))["state"]
            assert state["last_seq"] >= last
            assert (await api(client, "STREAM.INFO.WORK"))["state"]["messages"] == 17
            await api(client, "STREAM.PURGE.FULL")
            disk.filler.unlink()
            assert await publish_when_accepted(client, "full") > last
            assert page(server, "/healthz")[0] == 200

    with ServerProcess(["-js"], folder=disk.folder, program=disk.program) as server:
        last = asyncio.run(fill_and_free(server))
        server.kill()
        server.start()
        asyncio.run(found_again(server, last))


def test_room_again_without_a_restart(disk: SmallDisk) -> None:
    async def run(server: ServerProcess) -> None:
        async with connected(server) as client:
            await api(client, "STREAM.CREATE.FULL", {"name": "FULL", "subjects": ["full"]})
            for _ in range(2):
                disk.fill()
                last, _ = await publish_until_refused(client, "full")
                disk.filler.unlink()
                assert await publish_when_accepted(client, "full") == last + 1
            assert "JetStream has storage again" in server.log

    with ServerProcess(["-js"], folder=disk.folder, program=disk.program) as server:
        asyncio.run(run(server))


def test_a_store_that_filled_its_own_disk_can_be_purged(disk: SmallDisk) -> None:
    async def run(server: ServerProcess) -> None:
        async with connected(server) as client:
            await api(client, "STREAM.CREATE.FULL", {"name": "FULL", "subjects": ["full"]})
            for _ in range(2):
                last, error = await publish_until_refused(client, "full")
                assert error["err_code"] == 10047
                with contextlib.suppress(NatsError):
                    await client.flush(timeout=5)
                assert (await api(client, "STREAM.PURGE.FULL"))["purged"] > 0
                assert await publish_when_accepted(client, "full") == last + 1

    config = "jetstream { max_file: 1GB }\n"
    with ServerProcess(["-js"], folder=disk.folder, program=disk.program, config=config) as server:
        asyncio.run(run(server))
