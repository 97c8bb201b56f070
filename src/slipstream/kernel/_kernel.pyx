# distutils: language=c++
"""The compiled kernel: one module, so that its parts can share C++ objects. See kernel/__init__.py."""

include "storage.pxi"
include "store.pxi"
include "backup.pxi"
include "kernel_calls.pxi"
include "kernel.pxi"
include "parser.pxi"
include "subjects.pxi"
include "schedule.pxi"
include "counters.pxi"
include "verify.pxi"
include "archive.pxi"
