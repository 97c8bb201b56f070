# Decoding of S2, and the archive's records for the tests that hold them against their twin
# (slipstream/jetstream/archive/records.py).
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string_view cimport string_view

from slipstream.kernel.values import S2Error


cdef extern from "s2_decoder.hpp" namespace "slipstream" nogil:
    cdef cppclass CS2Decoder "slipstream::S2Decoder":
        void feed(string_view) except +
        string_view next() except +
        const char* error()
        cbool between_chunks()
        cbool began()


cdef class S2Decoder:
    cdef CS2Decoder decoder

    def feed(self, bytes data):
        cdef string_view d = _view(data)
        with nogil:
            self.decoder.feed(d)

    def next(self):
        cdef string_view block
        with nogil:
            block = self.decoder.next()
        if self.decoder.error() is not NULL:
            raise S2Error((<bytes>self.decoder.error()).decode())
        return block.data()[:block.size()] if block.size() else b""

    @property
    def complete(self):
        return self.decoder.began() and self.decoder.between_chunks()
