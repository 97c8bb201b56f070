# Names that tools need too: the kinds of entries in a log, and the files that make a folder a store.
from libc.stdint cimport uint8_t


cdef extern from "log/group.hpp" namespace "slipstream" nogil:
    cpdef enum class EntryKind "slipstream::EntryKind"(uint8_t):
        stream_create
        stream_delete
        messages
        purge
        remove
        remove_below
        config
        consumer_create
        consumer_update
        consumer_delete
        delivered
        acks
        ack_all
        deadline
        exceeded
        expire
        mirrored
        sourced
        restored_messages
        restored_consumer
        batch_part
        batch_commit
        consumer_reset
        ack_flow
        schedule_forgotten
        counter_total
        subjects_lost

cdef extern from "jetstream/store_marker.hpp" namespace "slipstream" nogil:
    const char* kStoreMarker
    const char* kStoreMarkerText
    const char* kStoreLock


STORE_MARKER = kStoreMarker.decode()
STORE_MARKER_TEXT = <bytes>kStoreMarkerText
STORE_LOCK = kStoreLock.decode()
