"""Goal: the short hash is nats-server's, for names and for times.

Method: what nats-server 2.15.1 showed for them.
"""

from __future__ import annotations

import pytest

from slipstream.protocol.short_hash import short_hash


@pytest.mark.parametrize(
    ("text", "hashed"),
    [
        ("zed", "oJI4dA36"),  # K-182: the node of a server of this name
        ("2026-11-23T05:20:04.2380702Z", "lgFTCk7S"),  # S-196: the identity of a stream
    ],
)
def test_short_hash(text: str, hashed: str) -> None:
    assert short_hash(text) == hashed
