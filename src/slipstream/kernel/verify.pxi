# What `slipstream verify` needs: a disk that keeps changes to itself, and reading a stream back.

cdef extern from "disk/overlay_disk.hpp" namespace "slipstream" nogil:
    cdef cppclass COverlayDisk "slipstream::OverlayDisk"(CDisk):
        @staticmethod
        unique_ptr[COverlayDisk] create(CDisk& base)
        vector[string] changed() const

cdef extern from "binding/verify.hpp" namespace "slipstream" nogil:
    cdef cppclass CReadBack "slipstream::ReadBack":
        uint64_t read
        vector[uint64_t] damaged
    CReadBack c_read_back "slipstream::read_back"(CKernel&, uint64_t stream, uint64_t limit) except +

cdef extern from "log/journal_salvage.hpp" namespace "slipstream" nogil:
    cdef cppclass SalvagedRecord:
        uint64_t group, term, index
        uint8_t kind
        string payload
    cdef cppclass CJournalDamage "slipstream::JournalDamage":
        string text
        bint loses
        uint64_t group, index
        uint8_t kind
    cdef cppclass SalvagedJournal:
        vector[SalvagedRecord] records
        vector[CJournalDamage] damage
    SalvagedJournal c_salvage_journal "slipstream::salvage_journal"(CDisk&, const string&, const CKeyRing*)


def salvage_journal(Disk disk, KeyRing keys=None):
    """All records that are whole, as (group, term, index, kind, payload), and what is damaged."""
    cdef const CKeyRing* ring = &keys.ring if keys is not None else NULL
    cdef string folder = b"journal"
    cdef SalvagedJournal found
    with nogil:
        found = c_salvage_journal(disk.disk[0], folder, ring)
    records = [(r.group, r.term, r.index, r.kind, <bytes>r.payload) for r in found.records]
    damage = [
        JournalDamage((<bytes>d.text).decode("utf-8", "replace"), d.loses, d.group, d.index, d.kind)
        for d in found.damage
    ]
    return records, damage


cdef class OverlayDisk(Disk):
    """Reads through to `base` and keeps every change in memory."""
    cdef unique_ptr[COverlayDisk] overlay
    cdef Disk base

    def __cinit__(self, Disk base):
        self.base = base
        self.overlay = COverlayDisk.create(base.disk[0])
        self.disk = self.overlay.get()

    def changed(self):
        return [(<bytes>path).decode() for path in self.overlay.get().changed()]


def read_back(Kernel kernel, uint64_t stream, uint64_t limit):
    cdef CReadBack found
    with nogil:
        found = c_read_back(kernel.k[0], stream, limit)
    return found.read, list(found.damaged)
