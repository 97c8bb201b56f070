"""Words for whoever started the program, on its standard streams. A stream that cannot be written
(closed, or on a full disk) keeps nothing from running.
"""

from __future__ import annotations

import os
import sys


def say(text: str) -> None:
    """On stdout."""
    try:
        print(text, flush=True)
    except (OSError, ValueError):
        # What is left in its buffer would turn the exit code into an error.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115


def complain(text: str) -> None:
    """On stderr."""
    if sys.stderr is None:  # print would take stdout
        return
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def occupy_standard_descriptors() -> None:
    """A program started without stdin, stdout or stderr would give their numbers to its files, and
    what the C library complains about would end up in them.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            assert opened == descriptor
            os.set_inheritable(opened, True)
