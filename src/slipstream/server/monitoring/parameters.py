"""Query parameters as Go reads them, with its error texts, which client harnesses show to their
users.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from slipstream.gotext.quoting import quote

TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
UINT64_MAX = 2**64 - 1
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_DIGITS_MAX = 20
_INTEGER = re.compile(r"([+-]?)0*([0-9]+)")


class BadParameter(Exception):
    """Answered with status 400 and this text."""


class Parameters:
    """The query of one request; of a repeated parameter the first counts."""

    def __init__(self, query: str) -> None:
        self._values = parse_qs(query, keep_blank_values=True)

    def text(self, name: str) -> str:
        return self._values.get(name, [""])[0]

    def flag(self, name: str) -> bool:
        text = self.text(name)
        if not text or text in FALSE:
            return False
        if text in TRUE:
            return True
        raise BadParameter(
            f"Error decoding boolean for '{name}': "
            f"strconv.ParseBool: parsing {quote(text)}: invalid syntax"
        )

    def integer(self, name: str) -> int:
        text = self.text(name)
        if not text:
            return 0
        number = _number(text)
        if number is not None and INT64_MIN <= number <= INT64_MAX:
            return number
        reason = "invalid syntax" if number is None else "value out of range"
        raise BadParameter(
            f"Error decoding int for '{name}': strconv.Atoi: parsing {quote(text)}: {reason}"
        )

    def unsigned(self, name: str) -> int:
        text = self.text(name)
        if not text:
            return 0
        number = None if text[0] in "+-" else _number(text)
        if number is not None and number <= UINT64_MAX:
            return number
        reason = "invalid syntax" if number is None else "value out of range"
        raise BadParameter(
            f"Error decoding uint64 for '{name}': "
            f"strconv.ParseUint: parsing {quote(text)}: {reason}"
        )


def _number(text: str) -> int | None:
    """As far as it matters: beyond the ranges of Go's integers any number stands for all."""
    found = _INTEGER.fullmatch(text)
    if found is None:
        return None
    number = int(found[2]) if len(found[2]) <= _DIGITS_MAX else 10**_DIGITS_MAX
    return -number if found[1] == "-" else number
