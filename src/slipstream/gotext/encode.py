"""Answers as Go's encoding/json writes them (S-140): compact, HTML-safe, in the order of the
fields.
"""

from __future__ import annotations

from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()
# Valid JSON has these only inside strings, so replacing them in the finished text is safe.
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def encode(value: object) -> bytes:
    """`value` is made of dicts, lists, strings, numbers and `msgspec.Raw` (text that went through
    here before).
    """
    text = _encoder.encode(value)
    for plain, escaped in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def raw(value: object) -> msgspec.Raw:
    """Encodes a part that is used in many answers."""
    return msgspec.Raw(encode(value))


class Parts(list[bytes]):
    """A long array, made and written piece by piece: each part is one or more encoded elements with
    commas between them.
    """

    def add(self, elements: list[Any]) -> None:
        if elements:
            self.append(encode(elements)[1:-1])

    def raw(self) -> msgspec.Raw:
        """The array in one piece."""
        return msgspec.Raw(b"[" + b",".join(self) + b"]")
