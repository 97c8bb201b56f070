"""The pytest fixture `slipstream_server`: a server with JetStream for one test, on a free port,
with an empty store.

It comes with the package; a test only names it:

    async def test_publish(slipstream_server):
        client = await nats.connect(slipstream_server.url)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from slipstream.testing import EmbeddedServer


@pytest.fixture
def slipstream_server() -> Iterator[EmbeddedServer]:
    """A running server with `url`, `port`, `stop` and `restart`."""
    from slipstream.testing import server  # most test runs never need the kernel

    with server() as running:
        yield running
