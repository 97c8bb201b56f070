"""The tokens of the NATS configuration grammar: a cursor over the text, and how one bare word
becomes a number, a date, an address, a variable or a string (K-306, K-307).

The grammar has no token for most things: whether `5m30s` is a number or a string shows only at its
end. So a bare word is read whole and then classified, in this order: boolean, variable, integer
with unit, float, address, date, string.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from slipstream.config.source import ConfigError, Position, Scalar

BLANKS = " \t"
NEWLINES = "\r\n"
KEY_SEPARATORS = "=:"
TERMINATORS = NEWLINES + BLANKS + ";,]}"  # what ends a bare word

UNITS: dict[str, int] = {
    **{unit: 1000**power for power, unit in enumerate("kmgtpe", start=1)},
    **{unit + "b": 1024**power for power, unit in enumerate("kmgtpe", start=1)},
    **{unit + "i": 1024**power for power, unit in enumerate("kmgtpe", start=1)},
    **{unit + "ib": 1024**power for power, unit in enumerate("kmgtpe", start=1)},
}
BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
ESCAPES = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}
INT64_MAX = 2**63 - 1

_INTEGER = re.compile(r"(-?\d+)([kmgtpe][bi]*)?", re.ASCII | re.IGNORECASE)
_FLOAT = re.compile(r"-?\d+\.\d+", re.ASCII)
_ADDRESS = re.compile(r"\d+\.\d+\.[\d.:-]*", re.ASCII)
_BEGINS_AS_DATE = re.compile(r"\d+-", re.ASCII)
_BEGINS_AS_FLOAT = re.compile(r"-?\d+\.(?!\d+\.)", re.ASCII)


def syntax_error(position: Position, reason: str) -> ConfigError:
    """The first two words are nats-server's: harnesses look for them."""
    return ConfigError(position, f"Parse error: {reason}")


@dataclass(frozen=True, slots=True)
class Variable:
    """`$name`, to be looked up in the scopes around it and then in the environment."""

    name: str


class Scanner:
    """A cursor over one file's text. Every method leaves it behind what it consumed."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.offset = 0
        self._line = 1
        self._line_start = 0
        self._counted = 0  # lines are counted up to here

    def position(self) -> Position:
        """Where the cursor stands."""
        newlines = self.text.count("\n", self._counted, self.offset)
        if newlines:
            self._line += newlines
            self._line_start = self.text.rindex("\n", self._counted, self.offset) + 1
        self._counted = self.offset
        return Position(self.file, self._line, self.offset - self._line_start + 1)

    def error(self, reason: str) -> ConfigError:
        return syntax_error(self.position(), reason)

    def peek(self) -> str:
        """The next character; empty at the end."""
        return self.text[self.offset : self.offset + 1]

    def looking_at(self, text: str) -> bool:
        return self.text.startswith(text, self.offset)

    def take(self, characters: str) -> str:
        """Consumes one character if it is among these."""
        char = self.peek()
        if char and char in characters:
            self.offset += 1
            return char
        return ""

    def shown(self) -> str:
        """The next character for a message."""
        char = self.peek()
        return repr(char) if char else "the end of the file"

    def skip_blanks(self) -> None:
        while self.take(BLANKS):
            pass

    def skip_space(self) -> None:
        """Blanks and newlines."""
        while self.peek().isspace():
            self.offset += 1

    def skip_comment(self) -> bool:
        """A `#` or `//` comment up to, but not with, its newline."""
        if not (self.looking_at("#") or self.looking_at("//")):
            return False
        while self.peek() and self.peek() not in NEWLINES:
            self.offset += 1
        return True

    def skip_space_and_comments(self) -> None:
        self.skip_space()
        while self.skip_comment():
            self.skip_space()

    def key(self) -> str:
        """A quoted key, or everything up to a space or a separator."""
        start = self.offset
        if quote := self.take("\"'"):
            return self._until_quote(quote, start)
        while (char := self.peek()) and char not in KEY_SEPARATORS and not char.isspace():
            self.offset += 1
        return self.text[start : self.offset]

    def quoted(self) -> str:
        """A string in quotes: single ones keep everything, double ones know escapes."""
        start = self.offset
        quote = self.take("\"'")
        assert quote
        if quote == "'":
            return self._until_quote(quote, start)
        parts = bytearray()
        while True:
            char = self.peek()
            if not char:
                self.offset = start
                raise self.error("this string has no closing quote")
            self.offset += 1
            if char == '"':
                return _decoded(parts)
            parts += self._escape() if char == "\\" else _encoded(char)

    def _until_quote(self, quote: str, start: int) -> str:
        end = self.text.find(quote, self.offset)
        if end < 0:
            self.offset = start
            raise self.error("this string has no closing quote")
        content = self.text[self.offset : end]
        self.offset = end + 1
        return content

    def _escape(self) -> bytes:
        char = self.peek()
        if char == "x":
            digits = self.text[self.offset + 1 : self.offset + 3]
            if not re.fullmatch("[0-9a-fA-F]{2}", digits):
                raise self.error(f"expected two hexadecimal digits after '\\x', got {digits!r}")
            self.offset += 3
            return bytes.fromhex(digits)
        if char not in ESCAPES or not char:
            raise self.error(
                f'invalid escape {self.shown()}: only \\xHH, \\t, \\n, \\r, \\" and \\\\ exist'
            )
        self.offset += 1
        return _encoded(ESCAPES[char])

    def block(self) -> str:
        """Raw text between `(` and a line that holds nothing but `)`."""
        start = self.offset
        assert self.take("(")
        end = self.offset
        while True:
            end = self.text.find("\n)", end)
            if end < 0:
                self.offset = start
                raise self.error("this block has no ')' on a line of its own")
            after = self.text[end + 2 : end + 4]
            if not after or after[0] == "\n" or after == "\r\n":
                content = self.text[start + 1 : end + 1]
                self.offset = end + 2
                return content
            end += 1

    def word(self) -> tuple[Scalar | Variable, str]:
        """A bare word and how it was written."""
        start = self.offset
        escaped = False
        parts = bytearray()
        while (char := self.peek()) and char not in TERMINATORS and char != "'":
            self.offset += 1
            if char == "\\":
                escaped = True
                parts += self._escape()
            else:
                parts += _encoded(char)
        text = _decoded(parts)
        if not text and not escaped:
            raise self.error(f"expected a value, got {self.shown()}")
        if escaped:
            return text, text
        end, self.offset = self.offset, start  # errors point to the word's beginning
        scalar = self._classified(text)
        self.offset = end
        return scalar, text

    def _classified(self, text: str) -> Scalar | Variable:
        if text.lower() in BOOLEANS:
            return BOOLEANS[text.lower()]
        if text[0] == "$":
            return Variable(text[1:])
        if text[0].isdigit() or text[0] == "-":
            return self._number_like(text)
        if text[0] == ".":
            raise self.error("a number must start with a digit")
        return text

    def _number_like(self, text: str) -> Scalar:
        if match := _INTEGER.fullmatch(text):
            return self._integer(text, match[1], (match[2] or "").lower())
        if _FLOAT.fullmatch(text):
            return float(text)
        if _ADDRESS.fullmatch(text):
            return text
        if text[0] == "-":
            raise self.error(f"expected a number, got {text!r}")
        if _BEGINS_AS_DATE.match(text):
            try:
                return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
            except ValueError:
                raise self.error(
                    f"expected a date in the form 2006-01-02T15:04:05Z, got {text!r} "
                    "(put it in quotes if it is a string)"
                ) from None
        if _BEGINS_AS_FLOAT.match(text):
            raise self.error(
                f"expected a number, got {text!r} (put it in quotes if it is a string)"
            )
        return text

    def _integer(self, text: str, digits: str, unit: str) -> int:
        if unit and unit not in UNITS:
            raise self.error(
                f"unknown unit {unit!r} in {text!r}: use K, M, G, ... or KB, MB, GB, ..."
            )
        number = int(digits) * UNITS.get(unit, 1)
        if not -INT64_MAX - 1 <= number <= INT64_MAX:
            raise self.error(f"integer {text!r} is out of the range")
        return number


# A file may hold any bytes, and `\xHH` makes any: both survive as surrogates.
def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _decoded(parts: bytearray) -> str:
    return parts.decode("utf-8", "surrogateescape")
