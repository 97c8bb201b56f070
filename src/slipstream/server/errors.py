"""What keeps a server from starting, as the text that belongs into the log and on stderr."""

from __future__ import annotations


class StartError(Exception):
    """The server cannot start; everything that was opened is closed again."""
