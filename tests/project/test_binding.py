"""Goal: nobody waits for the kernel while holding the interpreter's lock.

The I/O thread takes that lock to compress, and the kernel's thread may wait for the I/O thread. A
call that waits for the kernel's lock with the interpreter's in its hand would close the circle.

Method: every call of the Kernel class into C++ is read in the binding's source.
"""

from __future__ import annotations

import re

from source_tree import PACKAGE

BINDING = PACKAGE / "kernel" / "kernel.pxi"
ENTERS = re.compile(r"\bkc_\w+\(|\bGuard\(")


def test_calls_into_the_kernel_release_the_interpreter() -> None:
    released: int | None = None  # the indentation of the `with nogil` that holds
    entered, held = 0, []
    for number, line in enumerate(BINDING.read_text().splitlines(), 1):
        indentation = len(line) - len(line.lstrip())
        if released is not None and line.strip() and indentation <= released:
            released = None
        if line.strip() == "with nogil:":
            released = indentation
        if ENTERS.search(line):
            entered += 1
            if released is None:
                held.append(f"{BINDING.name}:{number}: {line.strip()}")
    assert not held
    assert entered > 50
