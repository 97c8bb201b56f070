"""Servers for other people's tests: the context manager, the fixture, and the process that can be
killed.

Method: each is used as its documentation says; what was acknowledged has to be there after a
restart and after a kill.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
from importlib.metadata import entry_points
from pathlib import Path

import nats
import pytest

from slipstream.config.source import ConfigError
from slipstream.server.errors import StartError
from slipstream.testing import EmbeddedServer, ServerProcess, server

DESCRIPTORS_OF_A_KERNEL = 5  # what it waits on, and the folder of its store


async def publish(url: str, count: int) -> None:
    client = await nats.connect(url)
    stream = client.jetstream()
    await stream.add_stream(name="S", subjects=["s"])
    for number in range(count):
        await stream.publish("s", str(number).encode())
    await client.close()


async def stored(url: str) -> list[bytes]:
    client = await nats.connect(url)
    stream = client.jetstream()
    count = (await stream.stream_info("S")).state.last_seq
    bodies = [(await stream.get_msg("S", sequence)).data for sequence in range(1, count + 1)]
    await client.close()
    return [body or b"" for body in bodies]


async def test_a_restart_keeps_port_and_store() -> None:
    with server() as running:
        url = running.url
        await publish(url, 5)
        running.restart()
        assert running.url == url
        assert await stored(url) == [b"0", b"1", b"2", b"3", b"4"]


async def test_a_kill_keeps_what_was_acknowledged() -> None:
    with ServerProcess() as process:
        await publish(process.url, 5)
        process.kill()
        process.start()
        assert await stored(process.url) == [b"0", b"1", b"2", b"3", b"4"]


async def test_configuration_and_settings() -> None:
    with server("authorization { user: a, password: b }", max_payload=100) as running:
        client = await nats.connect(running.url, user="a", password="b")
        assert client.max_payload == 100
        await client.close()
    with pytest.raises(ConfigError, match="config:1:1: unknown field"), server("foo: 1"):
        pass


async def test_several_servers_at_once() -> None:
    with server() as first, server() as second:
        assert first.port != second.port
        await publish(first.url, 1)
        await publish(second.url, 2)
        assert await stored(first.url) == [b"0"]


def test_nothing_is_left_behind() -> None:
    before = set(threading.enumerate())
    with server(http_port=-1) as running:
        folder = Path(running.server.options.store_dir)
        assert folder.exists()
    assert not folder.exists()
    assert set(threading.enumerate()) <= before
    assert running.log_lines[-1].endswith("Server Exiting..\n")


def test_a_stopped_server_gives_its_files_back() -> None:
    """Before the garbage collector finds its objects: a process may start and stop many."""
    gc.collect()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with server() as running:
                asyncio.run(publish(running.url, 5))
        assert len(os.listdir("/proc/self/fd")) - before <= 3 * DESCRIPTORS_OF_A_KERNEL
    finally:
        gc.enable()


def test_a_port_in_use_is_an_error_not_a_hang() -> None:
    with server() as running:
        taken = running.port
        with pytest.raises(StartError, match="address already in use"), server(port=taken):
            pass


def test_a_process_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(RuntimeError, match='"cluster" is not supported yet'),
        ServerProcess(config="cluster {}"),
    ):
        pass


def test_the_fixture(tmp_path: Path) -> None:
    """In a pytest of its own, as a user would have it."""
    (tmp_path / "test_user.py").write_text(
        "import asyncio, nats\n"
        "async def talk(url):\n"
        "    client = await nats.connect(url)\n"
        "    stream = client.jetstream()\n"
        "    await stream.add_stream(name='S', subjects=['s'])\n"
        "    assert (await stream.publish('s', b'x')).seq == 1\n"
        "    await client.close()\n"
        "def test_one(slipstream_server):\n"
        "    asyncio.run(talk(slipstream_server.url))\n"
        "def test_two(slipstream_server):\n"
        "    asyncio.run(talk(slipstream_server.url))\n"
    )
    # Installed, the package brings its plugin along, and naming it again would be refused.
    installed = any(e.name == "slipstream" for e in entry_points(group="pytest11"))
    plugin = [] if installed else ["-p", "slipstream.testing.fixture"]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *plugin, str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout


def test_the_fixture_gives_an_embedded_server() -> None:
    from slipstream.testing.fixture import slipstream_server

    generator = slipstream_server.__wrapped__()  # the function behind pytest's wrapper
    running = next(generator)
    assert isinstance(running, EmbeddedServer)
    generator.close()
