"""Query parameters as Go reads them, with its error texts, which client harnesses show to their
users.
"""

from __future__ import annotations

from urllib.parse import parse_qs

TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
UINT64_MAX = 2**64 - 1


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
            f"strconv.ParseBool: parsing {_quoted(text)}: invalid syntax"
        )

    def integer(self, name: str) -> int:
        text = self.text(name)
        if not text:
            return 0
        try:
            return int(text)
        except ValueError:
            raise BadParameter(
                f"Error decoding int for '{name}': "
                f"strconv.Atoi: parsing {_quoted(text)}: invalid syntax"
            ) from None

    def unsigned(self, name: str) -> int:
        text = self.text(name)
        if not text:
            return 0
        if text.isascii() and text.isdigit() and int(text) <= UINT64_MAX:
            return int(text)
        raise BadParameter(
            f"Error decoding uint64 for '{name}': "
            f"strconv.ParseUint: parsing {_quoted(text)}: invalid syntax"
        )


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
