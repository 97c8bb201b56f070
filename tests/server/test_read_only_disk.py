"""A real file system that turns read-only under a running server.

Goal: all changes are refused from then on, until a restart, and the health page and the log say
why; reads and core messages go on; a restart on the file system, writable again, finds everything
that was acknowledged. Method: an ext4 image in a mount namespace of its own, which is told of an
error, and then behaves as after a failed device: no write succeeds, also not to files that are
open. Skipped, with a warning, where no image can be mounted.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError

from slipstream.testing.process import ServerProcess
from test_full_disk import BODY, MEGABYTES, SmallDisk, api, ask, connected, page, small_disk

STREAMS = ("A", "B", "C")
ANSWERED_S = 1.5
FAILS_WITHIN_S = 10
NOT_TESTED = "a file system that turns read-only"


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[SmallDisk]:
    image = tmp_path / "image"
    with image.open("wb") as file:
        file.truncate(MEGABYTES << 20)
    with contextlib.suppress(OSError):
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=False, capture_output=True)
    mount = f'mount -t ext4 -o loop,errors=remount-ro {image} "$0"'
    with small_disk(tmp_path, mount, NOT_TESTED) as found:
        yield found


def turn_read_only(ext4: SmallDisk) -> None:
    mounts = Path(f"/proc/{ext4.keeper.pid}/mounts").read_text().splitlines()
    device = next(line.split()[0] for line in mounts if line.split()[1] == str(ext4.store))
    trigger = Path("/sys/fs/ext4") / Path(device).name / "trigger_fs_error"
    try:
        trigger.write_text("as a test asks\n")
    except OSError as error:
        warnings.warn(f"NOT TESTED: {NOT_TESTED} ({error})", stacklevel=1)
        pytest.skip(f"no file system can be told of an error here: {error}")


def mount_again(ext4: SmallDisk) -> None:
    ext4.inside("umount", str(ext4.store))
    image = str(ext4.folder / "image")
    ext4.inside("mount", "-t", "ext4", "-o", "loop,errors=remount-ro", image, str(ext4.store))


async def publish(client: Client, name: str) -> Any:
    return await ask(client, name, BODY, timeout=ANSWERED_S)


async def publish_until_refused(client: Client) -> dict[str, Any]:
    """The first refusal. A message that was on its way into the journal has no answer."""
    deadline = time.monotonic() + FAILS_WITHIN_S
    while time.monotonic() < deadline:
        with contextlib.suppress(NatsTimeoutError):
            answer = await publish(client, "A")
            if "error" in answer:
                return dict(answer["error"])
    raise AssertionError("publishes are neither stored nor refused")


async def reads_go_on(client: Client) -> None:
    for name in STREAMS:
        state = (await api(client, f"STREAM.INFO.{name}"))["state"]
        assert state["messages"] >= 40
        for seq in (1, 40):
            found = await api(client, f"STREAM.MSG.GET.{name}", {"seq": seq})
            assert found["message"]["seq"] == seq
    listener = await client.subscribe("plain")
    await client.publish("plain", b"core")
    assert (await listener.next_msg(timeout=ANSWERED_S)).data == b"core"


def test_changes_are_refused_until_a_restart(ext4: SmallDisk) -> None:
    async def run(server: ServerProcess) -> None:
        async with connected(server) as client:
            for name in STREAMS:
                await api(client, f"STREAM.CREATE.{name}", {"name": name, "subjects": [name]})
            for i in range(40):
                for name in STREAMS:
                    assert (await publish(client, name))["seq"] == i + 1
            turn_read_only(ext4)
            refusal = await publish_until_refused(client)
            assert refusal["code"] == 503, refusal
            for name in STREAMS:
                for subject in (f"STREAM.PURGE.{name}", f"STREAM.DELETE.{name}"):
                    answer = await ask(client, f"$JS.API.{subject}", timeout=ANSWERED_S)
                    assert answer["error"]["code"] in (500, 503), (subject, answer)
                assert (await publish(client, name))["error"] == refusal
            code, health = page(server, "/healthz")
            assert code == 503
            assert "Read-only file system" in health["error"], health
            assert "Read-only file system" in server.log
            await reads_go_on(client)

    async def found_again(server: ServerProcess) -> None:
        async with connected(server) as client:
            assert page(server, "/healthz")[0] == 200
            await reads_go_on(client)
            for name in STREAMS:
                assert (await publish(client, name))["seq"] > 40

    with ServerProcess(["-js"], folder=ext4.folder, program=ext4.program) as server:
        asyncio.run(run(server))
        server.kill()
        mount_again(ext4)
        server.start()
        asyncio.run(found_again(server))
