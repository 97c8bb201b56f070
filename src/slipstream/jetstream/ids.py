"""Names and ids that look random to clients, from a source of bits that the caller gives.

The server gives a cryptographic one, the simulator a seeded one; nothing here is random by itself.
"""

from __future__ import annotations

from collections.abc import Callable

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NUID_CHARACTERS = 22
_CONSUMER_NAME_CHARACTERS = 8


class IdSource:
    """`random_bits(n)` returns an integer of n random bits."""

    def __init__(self, random_bits: Callable[[int], int]) -> None:
        self._random_bits = random_bits

    def event_id(self) -> str:
        """22 characters, as in nats-server's events."""
        return self._characters(_NUID_CHARACTERS)

    def consumer_name(self) -> str:
        """8 characters, as nats-server names a consumer that came without a name."""
        return self._characters(_CONSUMER_NAME_CHARACTERS)

    def below(self, bound: int) -> int:
        """A number from 0 to bound - 1."""
        return self._random_bits(64) % bound

    def _characters(self, count: int) -> str:
        number = self._random_bits(count * 6 + 16)
        characters = []
        for _ in range(count):
            number, index = divmod(number, len(_ALPHABET))
            characters.append(_ALPHABET[index])
        return "".join(characters)
