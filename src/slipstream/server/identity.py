"""Who a server is, and what it draws for itself: its id (K-014), and random bits."""

from __future__ import annotations

import base64
import binascii
import os
from typing import NamedTuple

SERVER_PREFIX = 13 << 3  # an NKey of kind N


class Identity(NamedTuple):
    server_id: str
    name: str
    start_ns: int


def new_server_id() -> str:
    """A fresh id in the form of a public server NKey: 56 characters that begin with N.

    Nothing is signed with it, so it is random instead of half of a key pair.
    """
    raw = bytes([SERVER_PREFIX]) + os.urandom(32)
    checksum = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + checksum).decode().rstrip("=")


def random_bits(count: int) -> int:
    """As random.SystemRandom().getrandbits, without the cost of importing it at each start."""
    drawn = int.from_bytes(os.urandom((count + 7) // 8), "big")
    return drawn >> (-count % 8)
