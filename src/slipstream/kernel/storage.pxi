# Storage for tests and tools: disks, the journal, checkpoints and the message store as Python objects.
# Whatever may block releases the GIL. A negative result of a disk becomes an OSError.
import os as _os

cimport cython

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.memory cimport unique_ptr
from libcpp.string cimport string
from libcpp.utility cimport move
from libcpp.vector cimport vector


cdef extern from "bytes/bytes.hpp" namespace "slipstream" nogil:
    uint32_t c_crc32c "slipstream::crc32c"(uint32_t crc, const void* data, size_t n)


cdef extern from "disk/disk.hpp" namespace "slipstream" nogil:
    cdef cppclass CDisk "slipstream::Disk":
        int open(const string& path, int mode)
        int close(int handle)
        ssize_t pread(int handle, void* to, size_t n, uint64_t offset)
        ssize_t pread_nowait(int handle, void* to, size_t n, uint64_t offset)
        ssize_t pwrite(int handle, const void* data, size_t n, uint64_t offset)
        int sync(int handle)
        int truncate(int handle, uint64_t size)
        int64_t size(int handle)
        int rename(const string& source, const string& target)
        int unlink(const string& path)
        int make_folder(const string& path)
        int remove_folder(const string& path)
        int sync_folder(const string& path)
        int sync_everything()
        int list(const string& path, vector[string]& names)
        int lock(const string& path)
    CDisk* new_real_disk(const string& root)


cdef extern from "disk/sim_disk.hpp" namespace "slipstream" nogil:
    cpdef enum class Loss(uint8_t):
        none
        all
        random_subset
        torn_last

    cdef cppclass CSimDisk "slipstream::SimDisk"(CDisk):
        @staticmethod
        unique_ptr[CSimDisk] create(uint64_t seed)
        uint64_t operations() const
        void crash_at(uint64_t operation)
        cbool crashed() const
        unique_ptr[CSimDisk] image(Loss loss, uint64_t seed) const
        void fail_sync_at(uint64_t nth_sync)
        void set_capacity(uint64_t size)
        void flip_bit(const string& path, uint64_t offset, int bit)
        void set_cold(cbool cold)
        void inject(int error, uint64_t after, uint64_t count, const string& path_part)
        uint64_t eligible() const
        uint64_t injected() const


cdef extern from *:
    """
    #include <sys/eventfd.h>
    #include "log/checkpoint.hpp"
    #include "log/journal.hpp"
    namespace slipstream {
    // Records copied out of a callback, so that Python sees them after the call.
    struct RecordCopy { uint64_t group, term, index, end; uint8_t kind; std::string payload; };
    inline bool recover_into(Journal& journal, std::vector<RecordCopy>& records) {
      return journal.recover([&](const JournalRecord& r) {
        records.push_back({r.group, r.term, r.index, r.end, r.kind, std::string(r.payload)});
      });
    }
    inline void wake_by_eventfd(JournalOptions& options, int fd) {
      options.wake = [fd] { eventfd_write(fd, 1); };
    }
    struct SnapshotCopy { uint64_t group, applied; std::string payload; };
    // Returns what is wrong with the first damaged one.
    inline std::string load_into(Checkpoints& checkpoints, std::vector<SnapshotCopy>& snapshots) {
      std::string first;
      checkpoints.load([&](uint64_t group, uint64_t applied, string_view payload, const std::string& damage) {
        if (first.empty()) first = damage;
        snapshots.push_back({group, applied, std::string(payload)});
      });
      return first;
    }
    // `count` records of the same payload, a flush after every `per_flush`, at most `in_flight_max` bytes not
    // synced: what the journal does without Python around it. Blocks on the eventfd; the number appended is less
    // when refused for good.
    inline uint64_t append_many(Journal& journal, int wake_fd, uint64_t count, uint64_t per_flush,
                                uint64_t in_flight_max, string_view payload, bool durable) {
      for (uint64_t i = 0; i < count; i++) {
        while (!journal.append(1, 1, i + 1, 1, payload, durable)) {
          journal.flush();
          if (journal.failed() || journal.full()) return i;
          eventfd_t wakes;
          eventfd_read(wake_fd, &wakes);
        }
        if ((i + 1) % per_flush != 0 && i + 1 != count) continue;
        journal.flush();
        while (durable && journal.position() - journal.synced() > in_flight_max && !journal.failed()) {
          eventfd_t wakes;
          eventfd_read(wake_fd, &wakes);
        }
      }
      return count;
    }
    }
    """


cdef extern from "log/journal.hpp" namespace "slipstream" nogil:
    cdef cppclass string_view:
        string_view(const char* data, size_t n)

    cdef cppclass JournalOptions:
        string folder
        uint64_t file_bytes, bytes_max, salt
        SyncMode mode
        cbool threaded
        const CKeyRing* keys

    cpdef enum class SyncMode(uint8_t):
        durable
        relaxed

    cdef cppclass JournalStats "slipstream::Journal::Stats":
        uint64_t syncs, sync_ns_total, sync_ns_max, bytes_written, writes

    cdef cppclass CJournal "slipstream::Journal":
        @staticmethod
        unique_ptr[CJournal] open(CDisk& disk, JournalOptions options, string& error)
        uint64_t append(uint64_t group, uint64_t term, uint64_t index, uint8_t kind, string_view payload,
                        cbool durable, cbool reserve)
        void flush()
        void sync_now()
        cbool wait_synced()
        uint64_t position() const
        uint64_t written() const
        uint64_t synced() const
        cbool failed() const
        int trouble() const
        void retry()
        cbool full() const
        string error() const
        void release(uint64_t position)
        uint64_t in_use() const
        JournalStats stats() const

    cdef cppclass RecordCopy "slipstream::RecordCopy":
        uint64_t group, term, index, end
        uint8_t kind
        string payload

    cbool recover_into(CJournal& journal, vector[RecordCopy]& records)
    void wake_by_eventfd(JournalOptions& options, int fd)
    uint64_t append_many(CJournal& journal, int wake_fd, uint64_t count, uint64_t per_flush,
                         uint64_t in_flight_max, string_view payload, cbool durable)


cdef extern from "log/checkpoint.hpp" namespace "slipstream" nogil:
    cdef cppclass SnapshotCopy "slipstream::SnapshotCopy":
        uint64_t group, applied
        string payload

    cdef cppclass CCheckpointPace "slipstream::CheckpointPace":
        pass

    cdef cppclass CCheckpoints "slipstream::Checkpoints":
        @staticmethod
        unique_ptr[CCheckpoints] open(
            CDisk& disk, const string& folder, const CKeyRing* keys, CCheckpointPace& pace, string& error
        )
        void begin()
        void add(uint64_t group, uint64_t applied, string_view payload)
        void drop(uint64_t group)
        cbool write()
        string error() const
        uint64_t bytes_written() const

    string load_into(CCheckpoints& checkpoints, vector[SnapshotCopy]& snapshots)


OPEN_READ, OPEN_WRITE, OPEN_CREATE, OPEN_EXCLUSIVE, OPEN_TRUNCATE = 0, 1, 2, 4, 8
SHORT_READ = 1 << 20


class StorageError(Exception):
    """A journal or checkpoints cannot be opened or read; the text says which file, and what is wrong with it."""


def crc32c(const unsigned char[::1] data, uint32_t crc=0):
    """CRC-32C (Castagnoli) of `data`, continuing from `crc`."""
    return c_crc32c(crc, &data[0] if data.shape[0] else NULL, data.shape[0])


cdef int64_t checked(int64_t result) except -1:
    if result < 0:
        raise OSError(-result, _os.strerror(-result))
    return result


cdef str text_of(const string& text):
    return text.decode("utf-8", "backslashreplace")


cdef class Disk:
    """The operations of disk.hpp; a RealDisk or a SimDisk."""
    cdef CDisk* disk  # owned by the subclass, or borrowed

    def open(self, str path, int mode):
        cdef string name = path.encode()
        cdef int r
        with nogil:
            r = self.disk.open(name, mode)
        return checked(r)

    def close(self, int handle):
        checked(self.disk.close(handle))

    def pread(self, int handle, size_t n, uint64_t offset):
        cdef bytearray to = bytearray(n)
        cdef char* start = to
        cdef ssize_t r
        with nogil:
            r = self.disk.pread(handle, start, n, offset)
        return bytes(to[:checked(r)])

    def pread_nowait(self, int handle, size_t n, uint64_t offset):
        cdef bytearray to = bytearray(n)
        cdef char* start = to
        return bytes(to[:checked(self.disk.pread_nowait(handle, start, n, offset))])

    def pwrite(self, int handle, bytes content, uint64_t offset):
        cdef const char* start = content
        cdef size_t n = len(content)
        cdef ssize_t r
        with nogil:
            r = self.disk.pwrite(handle, start, n, offset)
        return checked(r)

    def sync(self, int handle):
        cdef int r
        with nogil:
            r = self.disk.sync(handle)
        checked(r)

    def truncate(self, int handle, uint64_t size):
        checked(self.disk.truncate(handle, size))

    def size(self, int handle):
        return checked(self.disk.size(handle))

    def rename(self, str source, str target):
        checked(self.disk.rename(source.encode(), target.encode()))

    def unlink(self, str path):
        checked(self.disk.unlink(path.encode()))

    def make_folder(self, str path):
        checked(self.disk.make_folder(path.encode()))

    def remove_folder(self, str path):
        checked(self.disk.remove_folder(path.encode()))

    def sync_folder(self, str path):
        cdef string name = path.encode()
        cdef int r
        with nogil:
            r = self.disk.sync_folder(name)
        checked(r)

    def sync_everything(self):
        cdef int r
        with nogil:
            r = self.disk.sync_everything()
        checked(r)

    def list(self, str path):
        cdef vector[string] names
        checked(self.disk.list(path.encode(), names))
        return [text_of(name) for name in names]

    def lock(self, str path):
        return checked(self.disk.lock(path.encode()))


cdef class RealDisk(Disk):
    """The real disk, rooted at a folder that exists."""

    def __cinit__(self, str root):
        self.disk = new_real_disk(_os.fsencode(root))

    def __dealloc__(self):
        del self.disk


cdef class SimDisk(Disk):
    """The simulated disk of sim_disk.hpp; `seed` repeats a run."""
    cdef unique_ptr[CSimDisk] sim

    def __cinit__(self, uint64_t seed=0):
        self.sim = CSimDisk.create(seed)
        self.disk = self.sim.get()

    @property
    def operations(self):
        return self.sim.get().operations()

    @property
    def crashed(self):
        return self.sim.get().crashed()

    def crash_at(self, uint64_t operation):
        self.sim.get().crash_at(operation)

    def image(self, Loss loss, uint64_t seed=0):
        cdef SimDisk found = SimDisk.__new__(SimDisk)
        found.sim = self.sim.get().image(loss, seed)
        found.disk = found.sim.get()
        return found

    def fail_sync_at(self, uint64_t nth_sync):
        self.sim.get().fail_sync_at(nth_sync)

    def set_capacity(self, uint64_t size):
        self.sim.get().set_capacity(size)

    def flip_bit(self, str path, uint64_t offset, int bit):
        self.sim.get().flip_bit(path.encode(), offset, bit)

    def set_cold(self, cbool cold):
        self.sim.get().set_cold(cold)

    def inject(self, int error, uint64_t after=0, uint64_t count=0, str path_part=""):
        self.sim.get().inject(error, after, count, path_part.encode())

    @property
    def eligible(self):
        return self.sim.get().eligible()

    @property
    def injected(self):
        return self.sim.get().injected()


@cython.no_gc_clear
cdef class Journal:
    """The journal on a disk. `wake_fd` is an eventfd that its thread writes to; it must outlive the journal."""
    cdef unique_ptr[CJournal] journal
    cdef Disk disk
    cdef KeyRing keys
    cdef int wake_fd

    def __cinit__(self, Disk disk, *, str folder="journal", uint64_t file_bytes=16 << 20,
                  uint64_t bytes_max=256 << 20, SyncMode mode=SyncMode.durable, cbool threaded=True,
                  uint64_t salt=0, int wake_fd=-1, KeyRing keys=None):
        cdef JournalOptions options
        cdef string error
        options.folder = folder.encode()
        options.file_bytes = file_bytes
        options.bytes_max = bytes_max
        options.mode = mode
        options.threaded = threaded
        options.salt = salt
        if keys is not None:
            options.keys = &keys.ring
            self.keys = keys
        if wake_fd >= 0:
            wake_by_eventfd(options, wake_fd)
        self.disk = disk
        self.wake_fd = wake_fd
        with nogil:
            self.journal = CJournal.open(self.disk.disk[0], options, error)
        if not self.journal:
            raise StorageError(text_of(error))

    def __dealloc__(self):
        with nogil:
            self.journal.reset()

    cdef CJournal* opened(self) except NULL:
        if not self.journal:
            raise ValueError("the journal is closed")
        return self.journal.get()

    def close(self):
        """Ends the thread and closes the files; what was not synced stays as it is."""
        with nogil:
            self.journal.reset()

    def recover(self):
        """Every valid record, oldest first, as (group, term, index, kind, payload, end).

        Raises:
            StorageError: the journal is damaged where it was known to be synced.
        """
        cdef CJournal* journal = self.opened()
        cdef vector[RecordCopy] records
        cdef cbool ok
        with nogil:
            ok = recover_into(journal[0], records)
        if not ok:
            raise StorageError(text_of(journal.error()))
        return [(r.group, r.term, r.index, r.kind, <bytes>r.payload, r.end) for r in records]

    def append(self, uint64_t group, uint64_t term, uint64_t index, uint8_t kind, bytes payload, *,
               cbool durable=True, cbool reserve=False):
        """The position behind the record; 0 when it was refused."""
        cdef CJournal* journal = self.opened()
        cdef const char* start = payload
        cdef size_t n = len(payload)
        cdef uint64_t end
        with nogil:
            end = journal.append(group, term, index, kind, string_view(start, n), durable, reserve)
        return end

    def append_many(self, uint64_t count, uint64_t per_flush, bytes payload, *,
                    uint64_t in_flight_bytes_max=4 << 20, cbool durable=True):
        """Appends `count` equal records, with a flush after every `per_flush`, and returns how many.

        For measuring. Needs `wake_fd`, on which it blocks while too much is in flight.
        """
        cdef CJournal* journal = self.opened()
        cdef const char* start = payload
        cdef size_t n = len(payload)
        cdef uint64_t appended
        if self.wake_fd < 0 or per_flush == 0:
            raise ValueError("append_many needs a wake_fd and per_flush > 0")
        with nogil:
            appended = append_many(journal[0], self.wake_fd, count, per_flush, in_flight_bytes_max,
                                   string_view(start, n), durable)
        return appended

    def flush(self):
        cdef CJournal* journal = self.opened()
        with nogil:
            journal.flush()

    def sync_now(self):
        cdef CJournal* journal = self.opened()
        with nogil:
            journal.sync_now()

    def retry(self):
        cdef CJournal* journal = self.opened()
        with nogil:
            journal.retry()

    @property
    def trouble(self):
        return self.opened().trouble()

    def wait_synced(self):
        cdef CJournal* journal = self.opened()
        cdef cbool ok
        with nogil:
            ok = journal.wait_synced()
        return ok

    def release(self, uint64_t position):
        cdef CJournal* journal = self.opened()
        with nogil:
            journal.release(position)

    @property
    def position(self):
        return self.opened().position()

    @property
    def written(self):
        return self.opened().written()

    @property
    def synced(self):
        return self.opened().synced()

    @property
    def failed(self):
        return self.opened().failed()

    @property
    def full(self):
        return self.opened().full()

    @property
    def error(self):
        return text_of(self.opened().error())

    @property
    def in_use(self):
        return self.opened().in_use()

    @property
    def stats(self):
        cdef JournalStats s = self.opened().stats()
        return {"syncs": s.syncs, "sync_ns_total": s.sync_ns_total, "sync_ns_max": s.sync_ns_max,
                "bytes_written": s.bytes_written, "writes": s.writes}


@cython.no_gc_clear
cdef class Checkpoints:
    """Checkpoints in a folder of a disk: begin, add and drop, then write."""
    cdef CCheckpointPace pace
    cdef unique_ptr[CCheckpoints] checkpoints
    cdef Disk disk
    cdef KeyRing keys

    def __cinit__(self, Disk disk, str folder="checkpoints", KeyRing keys=None):
        cdef string name = folder.encode()
        cdef string error
        cdef const CKeyRing* ring = &keys.ring if keys is not None else NULL
        self.disk, self.keys = disk, keys
        with nogil:
            self.checkpoints = CCheckpoints.open(self.disk.disk[0], name, ring, self.pace, error)
        if not self.checkpoints:
            raise StorageError(text_of(error))

    def load(self):
        """The newest durable snapshot of each group: {group: (applied, payload)}."""
        cdef vector[SnapshotCopy] snapshots
        cdef string damage
        with nogil:
            damage = load_into(self.checkpoints.get()[0], snapshots)
        if damage.size():
            raise StorageError(text_of(damage))
        return {s.group: (s.applied, <bytes>s.payload) for s in snapshots}

    def begin(self):
        self.checkpoints.get().begin()

    def add(self, uint64_t group, uint64_t applied, bytes payload):
        cdef const char* start = payload
        self.checkpoints.get().add(group, applied, string_view(start, <size_t>len(payload)))

    def drop(self, uint64_t group):
        self.checkpoints.get().drop(group)

    def write(self):
        cdef cbool ok
        with nogil:
            ok = self.checkpoints.get().write()
        return ok

    @property
    def error(self):
        return text_of(self.checkpoints.get().error())

    @property
    def bytes_written(self):
        return self.checkpoints.get().bytes_written()
