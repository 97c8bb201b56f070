"""The digest of a configuration (K-312): equal to nats-server's for the same file, so that tools
can compare servers.

It is the sha256 of the values as Go's encoding/json writes them: keys sorted, no blanks, `<`, `>`
and `&` escaped, a newline behind.
"""

from __future__ import annotations

import hashlib
import json
import math
from datetime import datetime
from decimal import Decimal

from slipstream.config.source import Document, Plain
from slipstream.gotext.encode import encode


def config_digest(document: Document) -> str:
    return "sha256:" + hashlib.sha256(_go_json(document.plain()).encode() + b"\n").hexdigest()


def _go_json(value: Plain) -> str:
    if isinstance(value, dict):
        pairs = (f"{_string(key)}:{_go_json(entry)}" for key, entry in sorted(value.items()))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_go_json(entry) for entry in value) + "]"
    if isinstance(value, datetime):
        return _string(value.strftime("%Y-%m-%dT%H:%M:%SZ"))
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, float):
        return _float(value)
    return json.dumps(value)


def _string(text: str) -> str:
    valid = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return encode(valid).decode()


def _float(number: float) -> str:
    """The shortest digits that read back; an exponent only where Go writes one."""
    if number == 0:
        return "-0" if math.copysign(1, number) < 0 else "0"
    if 1e-6 <= abs(number) < 1e21:
        plain = format(Decimal(repr(number)), "f")
        return plain.removesuffix(".0")
    return repr(number).replace("e-0", "e-")
