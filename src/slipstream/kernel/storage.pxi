# Storage for tests and tools: the simulated disk, the journal and the message store as Python objects.
from libc.stdint cimport uint32_t


cdef extern from "bytes.hpp" namespace "slipstream" nogil:
    uint32_t c_crc32c "slipstream::crc32c"(uint32_t crc, const void* data, size_t n)


def crc32c(const unsigned char[::1] data, uint32_t crc=0):
    """CRC-32C (Castagnoli) of `data`, continuing from `crc`."""
    return c_crc32c(crc, &data[0] if data.shape[0] else NULL, data.shape[0])
