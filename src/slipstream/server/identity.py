"""Names that a server makes for itself: its id, and the short hash that stands for a name (K-014,
K-182).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os

SERVER_PREFIX = 13 << 3  # an NKey of kind N
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NODE_HASH_LENGTH = 8


def new_server_id() -> str:
    """A fresh id in the form of a public server NKey: 56 characters that begin with N.

    Nothing is signed with it, so it is random instead of half of a key pair.
    """
    raw = bytes([SERVER_PREFIX]) + os.urandom(32)
    checksum = binascii.crc_hqx(raw, 0).to_bytes(2, "little")
    return base64.b32encode(raw + checksum).decode().rstrip("=")


def name_hash(name: str) -> str:
    """Eight base-62 digits."""
    digest = hashlib.sha256(name.encode()).digest()
    return "".join(_DIGITS[byte % len(_DIGITS)] for byte in digest[:NODE_HASH_LENGTH])


def random_bits(count: int) -> int:
    """As random.SystemRandom().getrandbits, without the cost of importing it at each start."""
    drawn = int.from_bytes(os.urandom((count + 7) // 8), "big")
    return drawn >> (-count % 8)
