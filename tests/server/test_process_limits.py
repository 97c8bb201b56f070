"""Limits of the process that are lowered while it runs, and a file system that turns read-only.

Goal: too many open files, or a limit of a file's size, cost no acknowledged message and no stream.
What cannot be taken is refused at once with the reason, reads go on, and with the limits back all
goes on without a restart. Method: a real server process whose limits are lowered from outside
(prlimit), publishes to many streams meanwhile, and a kill and a restart at the end. The file system
is a small one in a mount namespace of its own; skipped, with a warning, where none can be mounted.
"""

from __future__ import annotations

import asyncio
import os
import resource
import subprocess
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeoutError

from slipstream.testing.process import ServerProcess
from test_full_disk import (
    BODY,
    SmallDisk,
    api,
    ask,
    connected,
    disk,  # noqa: F401  a fixture
    page,
    publish_when_accepted,
)

STREAMS = [f"S{i}" for i in range(8)]
ROUNDS = 600
ANSWERED_S = 1.5


@contextmanager
def lowered(server: ServerProcess, what: int, limit: int) -> Iterator[None]:
    before = resource.prlimit(server.pid, what)
    resource.prlimit(server.pid, what, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.pid, what, before)


def descriptors(server: ServerProcess) -> list[int]:
    return [int(name) for name in os.listdir(f"/proc/{server.pid}/fd")]


async def make_streams(client: Client) -> None:
    for name in STREAMS:
        await api(client, f"STREAM.CREATE.{name}", {"name": name, "subjects": [name]})


async def publish_meanwhile(
    client: Client, unanswered: list[str] | None = None
) -> tuple[dict[str, int], list[dict[str, object]]]:
    """The last sequence that each stream acknowledged, and the refusals. Into `unanswered` go the
    streams of messages that had no answer, if any may have none.
    """
    last: dict[str, int] = {}
    refusals = []
    for i in range(ROUNDS):
        name = STREAMS[i % len(STREAMS)]
        try:
            answer = await ask(client, name, BODY, timeout=ANSWERED_S)
        except NatsTimeoutError:
            if unanswered is None:
                raise
            unanswered.append(name)
            continue
        if "error" in answer:
            refusals.append(answer["error"])
        else:
            assert answer["seq"] == last.get(name, 0) + 1
            last[name] = answer["seq"]
    return last, refusals


async def all_are_there(client: Client, last: dict[str, int]) -> None:
    for name, seq in last.items():
        state = (await api(client, f"STREAM.INFO.{name}"))["state"]
        assert state["messages"] == state["last_seq"] >= seq
        found = await ask(client, f"$JS.API.STREAM.MSG.GET.{name}", {"seq": seq})
        assert "error" not in found, found


def killed_and_found_again(
    run: Callable[[ServerProcess], Coroutine[Any, Any, dict[str, int]]],
) -> None:
    """What `run` says was acknowledged is there after a kill and another start."""

    async def found_again(server: ServerProcess, last: dict[str, int]) -> None:
        async with connected(server) as client:
            await all_are_there(client, last)

    with ServerProcess(["-js"]) as server:
        last = asyncio.run(run(server))
        server.kill()
        server.start()
        asyncio.run(found_again(server, last))


def test_too_many_open_files() -> None:
    async def run(server: ServerProcess) -> dict[str, int]:
        async with connected(server) as client:
            await make_streams(client)
            with lowered(server, resource.RLIMIT_NOFILE, max(descriptors(server)) + 1):
                last, refusals = await publish_meanwhile(client)
                await all_are_there(client, last)
            for refusal in refusals:
                assert refusal["err_code"] == 10023, refusal
                assert "Too many open files" in str(refusal["description"])
            for name in STREAMS:
                last[name] = await publish_when_accepted(client, name)
            assert page(server, "/healthz")[0] == 200
            return last

    killed_and_found_again(run)


def test_a_limit_of_a_files_size() -> None:
    """It stops the journal in the middle of a file. One message is on its way into it then: it is
    not refused, as a part of it may be there, and answered once there is room.
    """

    async def run(server: ServerProcess) -> dict[str, int]:
        async with connected(server) as client:
            await make_streams(client)
            unanswered: list[str] = []
            with lowered(server, resource.RLIMIT_FSIZE, 1 << 20):
                last, refusals = await publish_meanwhile(client, unanswered)
                assert len(unanswered) == 1
                assert refusals
                for refusal in refusals:
                    assert refusal["err_code"] == 10047, refusal
                    assert "File too large" in str(refusal["description"])
                await all_are_there(client, last)
                assert page(server, "/healthz")[0] == 503
            for name in STREAMS:
                seq = await publish_when_accepted(client, name)
                assert seq == last[name] + 1 + unanswered.count(name)
                last[name] = seq
            assert page(server, "/healthz")[0] == 200
            return last

    killed_and_found_again(run)


def remount(small: SmallDisk, how: str) -> None:
    command = ["nsenter", "-t", str(small.keeper.pid), "--mount"]
    command += [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    done = subprocess.run(
        [*command, "mount", "-o", f"remount,{how}", str(small.folder / "store")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        warnings.warn(f"NOT TESTED: a read-only file system ({done.stderr})", stacklevel=1)
        pytest.skip(f"no file system can be remounted here: {done.stderr}")


def test_a_start_on_a_read_only_file_system(disk: SmallDisk) -> None:  # noqa: F811
    """It is refused with the reason, and changes nothing. While a server runs no file system can be
    remounted, as its files are open; tests/crash covers that.
    """

    async def publish(server: ServerProcess) -> None:
        async with connected(server) as client:
            await make_streams(client)
            for name in STREAMS:
                await ask(client, name, BODY)

    async def found_again(server: ServerProcess) -> None:
        async with connected(server) as client:
            await all_are_there(client, dict.fromkeys(STREAMS, 1))

    with ServerProcess(["-js"], folder=disk.folder, program=disk.program) as server:
        asyncio.run(publish(server))
        server.kill()
        remount(disk, "ro")
        with pytest.raises(RuntimeError, match="Read-only file system"):
            server.start()
        remount(disk, "rw")
        server.start()
        asyncio.run(found_again(server))
