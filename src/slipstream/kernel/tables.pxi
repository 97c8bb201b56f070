# The kernel's small tables by themselves, for tests: deliveries that wait for an acknowledgement, message ids in their window,
# and the hashes.

cdef extern from "consumer/pending_table.hpp" namespace "slipstream":
    cdef cppclass CPendingDelivery "slipstream::PendingDelivery":
        uint64_t stream_seq, consumer_seq
        int64_t sent_ns, deadline_ns
        uint32_t deliveries

    cdef cppclass CPendingTable "slipstream::PendingTable":
        size_t size()
        CPendingDelivery* find(uint64_t)
        CPendingDelivery* first()
        CPendingDelivery* next(CPendingDelivery*)
        CPendingDelivery* earliest()
        CPendingDelivery* insert(uint64_t, uint64_t, int64_t, int64_t, uint32_t)
        void set_deadline(CPendingDelivery*, int64_t)
        void stop_timing(CPendingDelivery*)
        void set_deliveries(CPendingDelivery*, uint32_t)
        void erase(CPendingDelivery*)
        void clear()
        size_t redelivered()

cdef extern from "stream/dedupe.hpp" namespace "slipstream":
    cdef enum class CIdsFormat "slipstream::DedupeWindow::Format"(uint8_t):
        quick_hashes
        stored_hashes

    cdef cppclass CDedupeWindow "slipstream::DedupeWindow":
        void set_key(uint64_t, uint64_t)
        uint64_t find(string_view)
        void insert(string_view, uint64_t, int64_t)
        void expire(int64_t, int64_t)
        size_t size()
        void begin_cut(CBuffer&)
        cbool write_cut(size_t)
        cbool load(CReader&, CIdsFormat)


cdef extern from "bytes/siphash.hpp" namespace "slipstream":
    cdef struct CHashKey "slipstream::HashKey":
        uint64_t a, b
    cdef struct CHash128 "slipstream::Hash128":
        uint64_t a, b
    uint64_t c_siphash_1_3 "slipstream::SipHash<1, 3>::hash64"(string_view, CHashKey)
    uint64_t c_siphash_2_4 "slipstream::SipHash<2, 4>::hash64"(string_view, CHashKey)
    CHash128 c_stored_hash "slipstream::stored_hash"(string_view, CHashKey)


def siphash_1_3(bytes text not None, uint64_t a, uint64_t b):
    return c_siphash_1_3(_to_view(text), CHashKey(a, b))


def siphash_2_4(bytes text not None, uint64_t a, uint64_t b):
    return c_siphash_2_4(_to_view(text), CHashKey(a, b))


def stored_hash(bytes text not None, uint64_t a, uint64_t b):
    cdef CHash128 h = c_stored_hash(_to_view(text), CHashKey(a, b))
    return h.a, h.b


cdef class PendingTable:
    cdef CPendingTable table

    cdef CPendingDelivery* held(self, uint64_t stream_seq) except NULL:
        cdef CPendingDelivery* found = self.table.find(stream_seq)
        if found == NULL:
            raise KeyError(stream_seq)
        return found

    def insert(self, uint64_t stream_seq, uint64_t consumer_seq, int64_t deadline_ns, uint32_t deliveries):
        assert self.table.find(stream_seq) == NULL, "it is in the table"
        self.table.insert(stream_seq, consumer_seq, 0, deadline_ns, deliveries)

    def set_deadline(self, uint64_t stream_seq, int64_t deadline_ns):
        self.table.set_deadline(self.held(stream_seq), deadline_ns)

    def stop_timing(self, uint64_t stream_seq):
        self.table.stop_timing(self.held(stream_seq))

    def set_deliveries(self, uint64_t stream_seq, uint32_t deliveries):
        self.table.set_deliveries(self.held(stream_seq), deliveries)

    def erase(self, uint64_t stream_seq):
        self.table.erase(self.held(stream_seq))

    def clear(self):
        self.table.clear()

    def find(self, uint64_t stream_seq):
        cdef CPendingDelivery* found = self.table.find(stream_seq)
        return None if found == NULL else (found.consumer_seq, found.deadline_ns, found.deliveries)

    def in_order(self):
        seqs = []
        cdef CPendingDelivery* p = self.table.first()
        while p != NULL:
            seqs.append(p.stream_seq)
            p = self.table.next(p)
        return seqs

    def by_deadline(self):
        seqs = []
        cdef CPendingTable rest = self.table
        cdef CPendingDelivery* p = rest.earliest()
        seqs = []
        while p != NULL:
            seqs.append(p.stream_seq)
            rest.stop_timing(p)
            p = rest.earliest()
        return seqs

    @property
    def redelivered(self):
        return self.table.redelivered()

    def __len__(self):
        return self.table.size()


cdef class DedupeWindow:
    cdef CDedupeWindow window
    cdef CBuffer written

    def __cinit__(self, uint64_t a=1, uint64_t b=2):
        self.window.set_key(a, b)

    def find(self, bytes id not None):
        return self.window.find(_to_view(id))

    def insert(self, bytes id, uint64_t seq, int64_t time_ns):
        self.window.insert(_to_view(id), seq, time_ns)

    def expire(self, int64_t now_ns, int64_t window_ns):
        self.window.expire(now_ns, window_ns)

    def begin_cut(self):
        """Begins to write down the window as it is now."""
        self.written.clear()
        self.window.begin_cut(self.written)

    def write_cut(self, size_t ids):
        """Writes at most so many more; True when nothing is left."""
        return self.window.write_cut(ids)

    @staticmethod
    def of_quick_hashes(bytes snapshot not None):
        """A window made of what versions before snapshots of format 5 wrote."""
        cdef DedupeWindow loaded = DedupeWindow()
        cdef CReader* reader = new CReader(_to_view(snapshot))
        try:
            assert loaded.window.load(reader[0], CIdsFormat.quick_hashes)
        finally:
            del reader
        return loaded

    def written_window(self):
        """A window made of what was written."""
        cdef DedupeWindow loaded = DedupeWindow()
        cdef CReader* reader = new CReader(self.written.view())
        try:
            assert loaded.window.load(reader[0], CIdsFormat.stored_hashes)
        finally:
            del reader
        return loaded

    def __len__(self):
        return self.window.size()
