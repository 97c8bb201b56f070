"""The compiled kernel: sockets, parsing, subjects, streams, consumers, journal. No policy lives
here.

`_kernel` is one extension module (Cython over C++20 in `src/`); `_kernel.pyi` is its typed face,
with the order of use. events.py, values.py and specs.py are its vocabulary; archive.py is what it
does for archives. Nothing in Cython decides: it declares C++ classes and copies plain values
across.

    _kernel.pyx                     the module, which includes the parts
    kernel.pxi, kernel_calls.pxi    the class Kernel; most calls are in binding/kernel_calls.hpp
    storage.pxi, store.pxi          disks, journal, checkpoints and the store, for tests and tools
    store_files.pxi                 names that tools need: kinds of entries, a store's marker files
    backup.pxi, verify.pxi, subject_listing.pxi   backups, `slipstream verify`, subjects in steps
    archive.pxi, at_rest.pxi        S2, libsodium's ciphers and cramjam's compression for the kernel
    parser.pxi, subjects.pxi, schedule.pxi, counters.pxi, tables.pxi   parts alone, for tests

Proposals: Python hands in a token; a `CommittedEvent` with that token follows when the entry is
committed and applied.

Specs (specs.py, src/log/specs.hpp): Python compiles a configuration into a flat *spec* that the
kernel enforces. The log entry carries the spec beside an opaque *description*, the configuration
as clients see it in JSON. So the kernel needs no JSON and no defaults for it, every replica applies
the same decision whatever version of Python wrote it, and the API shows exactly what was asked for,
unknown fields included.

Events: a turn collects them and appends them to queues at its end; `wait_events` blocks on these
without the GIL and hands out some of each kind, so that a connect never waits behind thousands of
advisories.
"""

from slipstream.kernel._kernel import Kernel
from slipstream.kernel.values import StoreError

__all__ = ["Kernel", "StoreError"]
