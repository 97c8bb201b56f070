"""The compiled kernel: sockets, parsing, subjects, streams, consumers, journal. No policy lives
here.

`_kernel` is one extension module (Cython over C++20 in `src/`); `events`, `values` and `specs` are
its vocabulary.
"""

from slipstream.kernel._kernel import Kernel
from slipstream.kernel.values import StoreError

__all__ = ["Kernel", "StoreError"]
