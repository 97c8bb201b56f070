"""Keys for encrypted stores in tests: number 1 is chacha, 2 is aes where the machine has it."""

from __future__ import annotations

from slipstream.kernel._kernel import KeyRing
from slipstream.kernel.values import StoreCipher, StoreKey, StoreKeys

CHACHA = StoreKey(1, StoreCipher.CHACHA20_POLY1305, b"c" * 32)
AES = StoreKey(2, StoreCipher.AES256_GCM, b"a" * 32)


def _known() -> tuple[StoreKey, ...]:
    try:
        KeyRing(StoreKeys((CHACHA, AES), 2))
    except ValueError:
        return (CHACHA, StoreKey(2, StoreCipher.CHACHA20_POLY1305, b"a" * 32))
    return (CHACHA, AES)


KNOWN = _known()


def ring(current: int, seed: int = 1) -> KeyRing:
    """All keys, and the number of the one for new files (0: none)."""
    return KeyRing(StoreKeys(KNOWN, current), seed)
