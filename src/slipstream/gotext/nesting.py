"""How deep a client's JSON is nested, and the same text without what is nested too deep.

The decoders recurse, so the client would choose how deep our stack gets. No object of the API is
nested deeper than a few levels: what a text has below NESTING_MAX can only belong to a field that
is unknown or misfits, and emptying it there changes no answer.
"""

from __future__ import annotations

import re

NESTING_MAX = 64
# In Python it takes a microsecond for a few bytes; no request with such nesting needs to be longer.
DEEP_BYTES_MAX = 64 << 10

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def is_deep(text: bytes) -> bool:
    """Whether something is nested deeper than NESTING_MAX; true too if brackets have no partner."""
    if text.count(b"[") + text.count(b"{") <= NESTING_MAX:
        return False
    brackets = _STRING.sub(b"", text).translate(None, _NO_BRACKETS)
    for _ in range(NESTING_MAX):  # each round removes the innermost level
        left = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(left) == len(brackets):
            break
        brackets = left
    return bool(brackets)


def flattened(text: str) -> str:
    """Valid JSON with everything below NESTING_MAX left out."""
    kept: list[str] = []
    depth = start = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            if depth == NESTING_MAX:
                kept.append(text[start : token.end()])
        elif token[0] in "]}":
            if depth == NESTING_MAX:
                start = token.start()
            depth -= 1
    kept.append(text[start:])
    return "".join(kept)
