"""S2, the compression of archives.

Written is Snappy's framed format, which every S2 reader takes; cramjam, the binding of Rust's
compressors on which pandas' and Dask's Parquet readers rest, does that. Read is all of S2, with the
kernel's own decoder: no library for Python reads what klauspost/compress writes (blocks above 64
KiB, repeated offsets).
"""

from __future__ import annotations

import cramjam

from slipstream.jetstream.archive.records import ArchiveError
from slipstream.kernel.archive import S2Decoder
from slipstream.kernel.values import S2Error


class Compressor:
    def __init__(self) -> None:
        self._compressor = cramjam.snappy.Compressor()

    def compress(self, plain: bytes) -> bytes:
        """What is ready to be sent: all of it."""
        self._compressor.compress(plain)
        return bytes(self._compressor.flush())


class Decompressor:
    """Feed it, then take blocks until there is none, then feed it again."""

    def __init__(self) -> None:
        self._decoder = S2Decoder()

    def feed(self, compressed: bytes) -> None:
        self._decoder.feed(compressed)

    def next(self) -> bytes:
        """A block of at most 4 MiB; empty: more input is needed. Raises ArchiveError."""
        try:
            return self._decoder.next()
        except S2Error as error:
            raise ArchiveError(str(error)) from None

    @property
    def complete(self) -> bool:
        """Nothing is left of a chunk that did not arrive whole."""
        return self._decoder.complete
