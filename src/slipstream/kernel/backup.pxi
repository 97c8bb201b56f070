# Values of backup and restore that cross between Python and the kernel.
import struct as _struct

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector


cdef extern from "bytes/bytes.hpp" namespace "slipstream" nogil:
    cdef cppclass CBuffer "slipstream::Buffer":
        string_view view()


cdef extern from "consumer/consumer.hpp" namespace "slipstream" nogil:
    cdef cppclass CDelivery "slipstream::Consumer::Progress::Delivery":
        uint64_t stream_seq, consumer_seq
        int64_t sent_ns
        uint32_t deliveries

    cdef cppclass CProgress "slipstream::Consumer::Progress":
        uint64_t consumer_seq, stream_seq, floor_consumer_seq, floor_stream_seq
        int64_t delivered_ns, acked_ns
        vector[CDelivery] pending
        vector[uint64_t] exceeded


cdef extern from "stream/backup/stream_restore.hpp" namespace "slipstream" nogil:
    cdef cppclass CRestoreLimits "slipstream::RestoreLimits":
        uint64_t payload_bytes_max
        int64_t message_bytes_max

    cdef cppclass CRestoredBatch "slipstream::RestoredBatch":
        size_t consumed
        uint64_t last_seq
        uint32_t count
        cbool refused, ended
        string fault


# In the order of the C++ enumeration.
_BACKUP_OUTCOMES = ("more", "pending", "end", "damaged", "gone")


# As Consumer::restore reads it.
cdef bytes _encode_progress(p):
    return _struct.pack(
        f"<4Q2qI{'QQqI' * len(p.pending)}I{len(p.exceeded)}Q",
        p.delivered_consumer_seq, p.delivered_stream_seq, p.ack_floor_consumer_seq, p.ack_floor_stream_seq,
        p.delivered_last_ns, p.ack_floor_last_ns,
        len(p.pending), *[value for delivery in p.pending for value in delivery], len(p.exceeded), *p.exceeded,
    )
