"""What clients send, made fit for one line of the log, as Go's %q does: nobody forges a line by a
name or a message.
"""

from __future__ import annotations

_ESCAPES = {
    "\a": "\\a",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\v": "\\v",
    "\f": "\\f",
    "\r": "\\r",
    '"': '\\"',
    "\\": "\\\\",
}
_SURROGATES = 0xDC00  # where Python puts the bytes that are no UTF-8


def quoted(shown: bytes) -> str:
    """Without the quotes around it."""
    return "".join(map(_escaped, shown.decode("utf-8", "surrogateescape")))


def one_line(text: str) -> str:
    """What is not printable is escaped; quotes stay as they are."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(character: str) -> str:
    return character if character.isprintable() else _escaped(character)


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80 or _SURROGATES <= code < _SURROGATES + 0x100:
        return f"\\x{code & 0xFF:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
