"""Answers as Go's encoding/json writes them (S-140): compact, HTML-safe, in the order of the
fields.
"""

from __future__ import annotations

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
