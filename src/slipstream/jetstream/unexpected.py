"""Exceptions that no code expected, seen from the core: whoever drives it says where they are
written down.
"""

from __future__ import annotations

from collections.abc import Callable

from slipstream.protocol.errors import ApiError, ErrorCode

# Writes down what a step (named first) raised, and returns the id under which the log has it.
Report = Callable[[str, Exception], str]


def raise_again(what: str, error: Exception) -> str:
    """For those who want to see it: tests."""
    raise error


def unexpected(id_: str) -> ApiError:
    """The answer to a request that met such an exception."""
    text = f"unexpected error {id_}, see the server's log"
    return ApiError(ErrorCode.STREAM_GENERAL_ERROR, err=text)
