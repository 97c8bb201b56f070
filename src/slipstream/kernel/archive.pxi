# What archives are packed in: S2, and the message blocks of nats-server before 2.15.
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string_view cimport string_view

from libcpp.string cimport string
from libcpp.vector cimport vector

from slipstream.kernel.values import BlockPiece, S2Error


cdef extern from "bytes/s2_decoder.hpp" namespace "slipstream" nogil:
    cdef cppclass CS2Decoder "slipstream::S2Decoder":
        void feed(string_view) except +
        string_view next() except +
        const char* error()
        cbool between_chunks()
        cbool began()


cdef extern from "bytes/highwayhash.hpp" namespace "slipstream" nogil:
    cdef cppclass CHighwayHash "slipstream::HighwayHash":
        CHighwayHash(const char*)
        void update(string_view)
        uint64_t finish()

cdef extern from "archive/message_block.hpp" namespace "slipstream" nogil:
    cdef cppclass CBlockPiece "slipstream::BlockPiece":
        size_t consumed
        uint64_t last_seq
        vector[uint64_t] removed
        string fault
    CBlockPiece take_block_records(string_view, const char*, uint64_t, uint64_t, size_t, CBuffer&)


def highwayhash(bytes key, bytes data):
    assert len(key) == 32
    cdef CHighwayHash* hash = new CHighwayHash(<const char*>key)
    hash.update(_view(data))
    value = hash.finish()
    del hash
    return value


def read_block(data, bytes key, uint64_t first_seq, uint64_t last_seq, size_t bytes_max):
    assert len(key) == 32
    cdef const char[::1] held = memoryview(data).cast("c")
    cdef size_t size = held.shape[0]
    cdef string_view view = string_view(&held[0] if size else NULL, size)
    cdef const char* k = key
    cdef CBuffer out
    cdef CBlockPiece piece
    with nogil:
        piece = take_block_records(view, k, first_seq, last_seq, bytes_max, out)
    return BlockPiece(
        _view_bytes(out.view()), piece.consumed, piece.last_seq, list(piece.removed), (<bytes>piece.fault).decode()
    )


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
