"""Single fields of a header block."""

from __future__ import annotations


def header_value(header: bytes, name: bytes) -> bytes:
    """Exact name, first occurrence, without leading spaces (S-129); empty if it is not there."""
    start = header.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    value, _, _ = header[start + len(name) + 3 :].partition(b"\r\n")
    return value.lstrip(b" ")
