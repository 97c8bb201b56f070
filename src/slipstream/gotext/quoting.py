"""Text as Go's strconv quotes it (`%q`, `QuoteRune`): in complaints, and in the log, where no
client forges a line by a name or a message.
"""

from __future__ import annotations

_ESCAPES = {"\\": "\\\\"} | dict(zip("\a\b\f\n\r\t\v", ("\\" + c for c in "abfnrtv"), strict=True))
_SURROGATES = 0xDC00  # where Python puts the bytes that are no UTF-8


def quote(text: str) -> str:
    """With the quotes around it."""
    return '"' + "".join(_escaped(c, '"') for c in text) + '"'


def quote_character(character: str) -> str:
    """One character in single quotes."""
    return f"'{_escaped(character, chr(39))}'"


def escaped(shown: bytes) -> str:
    """As `quote`, without the quotes around it; of bytes that need not be UTF-8."""
    return quote(shown.decode("utf-8", "surrogateescape"))[1:-1]


def one_line(text: str) -> str:
    """What is not printable is escaped; quotes and backslashes stay as they are."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escaped(c, '"') for c in text)


def _escaped(character: str, delimiter: str) -> str:
    if character == delimiter:
        return "\\" + character
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    if code < 0x80 or _SURROGATES <= code < _SURROGATES + 0x100:
        return f"\\x{code & 0xFF:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
