"""The 8 characters with which nats-server stands for an account in subjects of acknowledgements
(C-111), and for a stream's creation (S-196).
"""

from __future__ import annotations

import hashlib

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHARACTERS = 8


def short_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:_CHARACTERS])
