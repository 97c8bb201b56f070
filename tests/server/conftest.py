"""Both servers under test: ours inside this process, and the real nats-server beside it as the
oracle. Tests may be coroutines.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from slipstream.testing import ServerProcess, server
from wire import NATS_SERVER, Place, StartBoth


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a coroutine test to its end."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture
def both(tmp_path: Path) -> Iterator[StartBoth]:
    """Starts ours and theirs with the same configuration text."""
    if NATS_SERVER is None:
        pytest.skip("the nats-server wheel is not installed")
    with ExitStack() as stack:

        def start(config: str) -> tuple[Place, Place]:
            ours = stack.enter_context(server(config, http_port=-1))
            theirs = stack.enter_context(
                ServerProcess(["-js"], folder=tmp_path, program=[NATS_SERVER], config=config)
            )
            return (
                Place(ours.url, ours.monitoring_url),
                Place(theirs.url, theirs.monitoring_url),
            )

        yield start
