# The message store for tests, tools and benchmarks. The kernel itself uses the C++ classes.
cimport cython
from libcpp.string_view cimport string_view as bytes_view


cdef extern from "store/message_store.hpp" namespace "slipstream" nogil:
    cdef cppclass CBuffer "slipstream::Buffer":
        bytes_view view()
        void clear()
    cdef cppclass CReader "slipstream::Reader":
        CReader(bytes_view)
    cdef cppclass CReadBuffer "slipstream::ReadBuffer":
        cbool waiting
        void reset()
    cdef cppclass CStoredMessage "slipstream::StoredMessage":
        uint64_t seq
        int64_t time_ns
        bytes_view subject, header, body
    cdef enum CReadStatus "slipstream::ReadStatus":
        CReadOk "slipstream::ReadStatus::ok"
        CReadMissing "slipstream::ReadStatus::missing"
        CReadPending "slipstream::ReadStatus::pending"
        CReadDamaged "slipstream::ReadStatus::damaged"
    cdef cppclass CSubjectState "slipstream::SubjectState":
        uint64_t first, last
        uint32_t count
    cdef cppclass CIoPool "slipstream::IoPool":
        void drain()
        cbool idle()
    cdef cppclass CStoreOptions "slipstream::StoreOptions":
        string folder
        cbool memory
        uint64_t segment_bytes_min, segment_bytes_max, tail_bytes, read_ahead_bytes
        cbool compressed
        const CKeyRing* keys
    cdef cppclass CCheckpointSyncs "slipstream::CheckpointSyncs":
        pass
    cdef cppclass CStoreMemory "slipstream::MessageStore::Memory":
        uint64_t index, subjects, tails
    cdef cppclass CMessageStore "slipstream::MessageStore":
        @staticmethod
        unique_ptr[CMessageStore] create(CDisk*, CIoPool*, CStoreOptions)
        @staticmethod
        uint64_t message_bytes(cbool memory, size_t subject, size_t header, size_t body)
        cbool append(uint64_t, int64_t, bytes_view, bytes_view, bytes_view)
        cbool remove(uint64_t)
        cbool erase(uint64_t)
        uint64_t remove_below(uint64_t)
        void set_sequences(uint64_t, uint64_t, int64_t)
        uint64_t first_seq()
        uint64_t last_seq()
        int64_t first_time_ns()
        int64_t last_time_ns()
        uint64_t messages()
        uint64_t bytes()
        uint64_t subjects()
        cbool live(uint64_t)
        uint64_t next_live(uint64_t)
        uint64_t previous_live(uint64_t)
        uint64_t live_above(uint64_t)
        uint32_t subject_of(uint64_t)
        uint64_t size_of(uint64_t)
        uint32_t find_subject(bytes_view)
        bytes_view subject_name(uint32_t)
        uint32_t subject_ids()
        CSubjectState subject_state(uint32_t)
        uint64_t next_on_subject(uint32_t, uint64_t)
        CReadStatus read(uint64_t, CStoredMessage&, CReadBuffer&)
        CReadStatus read_blocking(uint64_t, CStoredMessage&, CReadBuffer&)
        uint64_t first_at_or_after(int64_t, CReadBuffer&)
        cbool wants_rewrite()
        cbool write_tail()
        cbool snapshot(CBuffer&, CCheckpointSyncs&)
        cbool write_dead(CBuffer&, size_t)
        void end_dead()
        void checkpoint_durable()
        cbool load(CReader&)
        void drop()
        string error()
        void check()
        CStoreMemory memory()


cdef extern from *:
    """
    #include <time.h>
    #include <condition_variable>
    #include <mutex>
    #include "store/message_store.hpp"
    #include "disk/sim_disk.hpp"
    namespace slipstream {
    // Lets a Python thread wait for the I/O pool.
    class PoolWaker {
     public:
      void wake() { { std::lock_guard<std::mutex> lock(mutex_); woken_ = true; } changed_.notify_one(); }
      void wait() { std::unique_lock<std::mutex> lock(mutex_); changed_.wait(lock, [this] { return woken_; }); woken_ = false; }
     private:
      std::mutex mutex_;
      std::condition_variable changed_;
      bool woken_ = false;
    };
    static std::unique_ptr<IoPool> new_io_pool(bool threaded, PoolWaker* waker) {
      return IoPool::create(threaded, [waker] { waker->wake(); });
    }
    static void count_ready(ReadBuffer* buffer, uint64_t* counter) { buffer->ready = [counter] { ++*counter; }; }
    // In one job, as a checkpoint does; waits for it.
    static int run_syncs(Disk* disk, IoPool* io, PoolWaker* waker, const CheckpointSyncs& syncs) {
      CheckpointSyncs::Result result;
      bool finished = false;
      io->submit([&result, &syncs, disk] { result = syncs.run(*disk, syncs.size()); }, [&finished] { finished = true; });
      for (io->drain(); !finished; io->drain()) waker->wait();
      return result.synced() ? 0 : -1;
    }
    static void collect_matches(const MessageStore* store, std::string_view filter, std::vector<uint32_t>& ids) {
      store->match_subjects(filter, [&](uint32_t id) { ids.push_back(id); });
    }
    // Processor time, so that what else runs on the machine disturbs a measurement less.
    static uint64_t thread_cpu_ns() {
      timespec t;
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
      return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    }
    // One append per message with nothing of Python in between; the nanoseconds that all took, 0 on failure.
    // `ahead`: how many messages before its append a subject is announced (a batch is known before it is applied).
    static uint64_t timed_appends(MessageStore* store, uint64_t messages, const std::string& prefix, bool unique, uint64_t body,
                                  uint64_t ahead) {
      std::string payload(body, 'x');
      std::vector<std::string> subjects(ahead + 1, prefix);
      auto name = [&](uint64_t i) {
        std::string& subject = subjects[i % (ahead + 1)];
        char digits[20];
        subject.resize(prefix.size());
        subject.append(digits, format_u64(digits, 10000000 + i));
        if (ahead) store->expect(subject);
      };
      uint64_t seq = store->last_seq();
      uint64_t start = thread_cpu_ns();
      for (uint64_t i = 0; unique && i < ahead; i++) name(i);
      for (uint64_t i = 0; i < messages; i++) {
        if (unique) name(i + ahead);
        if (!store->append(seq + 1 + i, (int64_t)(seq + 1 + i), subjects[i % (ahead + 1)], {}, payload)) return 0;
      }
      return thread_cpu_ns() - start;
    }
    static uint64_t timed_reads(MessageStore* store, IoPool* io, PoolWaker* waker) {
      ReadBuffer buffer;
      StoredMessage message;
      uint64_t start = thread_cpu_ns();
      for (uint64_t seq = store->next_live(1); seq; seq = store->next_live(seq + 1)) {
        ReadStatus status;
        while ((status = store->read(seq, message, buffer)) == ReadStatus::pending) { waker->wait(); io->drain(); }
        if (status != ReadStatus::ok || message.seq != seq) return 0;
      }
      return thread_cpu_ns() - start;
    }
    static uint64_t timed_removes(MessageStore* store, uint64_t first, uint64_t last, uint64_t stride) {
      uint64_t start = thread_cpu_ns();
      for (uint64_t seq = first; seq <= last; seq += stride) store->remove(seq);
      return thread_cpu_ns() - start;
    }
    }
    """
    cdef cppclass PoolWaker "slipstream::PoolWaker":
        void wait() nogil
    unique_ptr[CIoPool] new_io_pool "slipstream::new_io_pool"(cbool threaded, PoolWaker* waker) nogil
    void count_ready "slipstream::count_ready"(CReadBuffer* buffer, uint64_t* counter) nogil
    int run_syncs "slipstream::run_syncs"(CDisk*, CIoPool*, PoolWaker*, const CCheckpointSyncs&) nogil
    void collect_matches "slipstream::collect_matches"(const CMessageStore*, bytes_view, vector[uint32_t]&) nogil
    uint64_t timed_appends "slipstream::timed_appends"(CMessageStore*, uint64_t, const string&, cbool, uint64_t, uint64_t) nogil
    uint64_t timed_reads "slipstream::timed_reads"(CMessageStore*, CIoPool*, PoolWaker*) nogil
    uint64_t timed_removes "slipstream::timed_removes"(CMessageStore*, uint64_t, uint64_t, uint64_t) nogil


cdef inline bytes_view _view(bytes b):
    return bytes_view(<const char*>b, len(b))


cdef inline bytes _bytes(bytes_view v):
    return v.data()[:v.size()]


@cython.no_gc_clear  # the garbage collector must not take the disk from under the thread
cdef class IoPool:
    """The thread for what may block; `threaded=False` runs jobs when they are submitted."""
    cdef PoolWaker waker
    cdef unique_ptr[CIoPool] pool
    cdef readonly Disk disk  # jobs use it: it must live longer than the pool

    def __cinit__(self, Disk disk not None, bint threaded=False):
        self.disk = disk
        self.pool = new_io_pool(threaded, &self.waker)

    def __dealloc__(self):
        with nogil:
            self.pool.reset()

    def drain(self):
        self.pool.get().drain()

    def finish(self):
        """Waits until no job is under way and no completion is left."""
        while not self.pool.get().idle():
            with nogil:
                self.waker.wait()
            self.pool.get().drain()


cdef class ReadBuffer:
    cdef CReadBuffer buffer
    cdef readonly uint64_t ready  # how often a cold read ended

    def __cinit__(self):
        count_ready(&self.buffer, &self.ready)

    @property
    def waiting(self):
        return self.buffer.waiting

    def reset(self):
        self.buffer.reset()


@cython.no_gc_clear  # nor the pool from under the store
cdef class MessageStore:
    """One stream's messages. Subjects, headers and bodies are bytes; see message_store.hpp for what each call means."""
    cdef unique_ptr[CMessageStore] store
    cdef readonly IoPool pool
    cdef KeyRing keys

    def __cinit__(self, IoPool pool not None, str folder="streams/1", bint memory=False, uint64_t segment_bytes_min=65536,
                  uint64_t segment_bytes_max=16 << 20, uint64_t tail_bytes=1 << 20, uint64_t read_ahead_bytes=256 << 10,
                  bint compressed=False, KeyRing keys=None):
        cdef CStoreOptions options
        options.folder = folder.encode()
        options.memory = memory
        options.segment_bytes_min = segment_bytes_min
        options.segment_bytes_max = segment_bytes_max
        options.tail_bytes = tail_bytes
        options.read_ahead_bytes = read_ahead_bytes
        options.compressed = compressed
        if keys is not None:
            options.keys = &keys.ring
        self.pool, self.keys = pool, keys
        self.store = CMessageStore.create(pool.disk.disk, pool.pool.get(), options)

    @staticmethod
    def message_bytes(bint memory, size_t subject, size_t header, size_t body):
        return CMessageStore.message_bytes(memory, subject, header, body)

    def append(self, uint64_t seq, int64_t time_ns, bytes subject not None, bytes header not None, bytes body not None):
        cdef bytes_view s = _view(subject), h = _view(header), b = _view(body)
        cdef cbool taken
        with nogil:  # it may wait for the I/O thread, whose compressor takes the GIL
            taken = self.store.get().append(seq, time_ns, s, h, b)
        return taken

    def remove(self, uint64_t seq):
        return self.store.get().remove(seq)

    def erase(self, uint64_t seq):
        return self.store.get().erase(seq)

    def remove_below(self, uint64_t seq):
        return self.store.get().remove_below(seq)

    def set_sequences(self, uint64_t first_seq, uint64_t last_seq, int64_t last_time_ns):
        self.store.get().set_sequences(first_seq, last_seq, last_time_ns)

    @property
    def first_seq(self):
        return self.store.get().first_seq()

    @property
    def last_seq(self):
        return self.store.get().last_seq()

    @property
    def first_time_ns(self):
        return self.store.get().first_time_ns()

    @property
    def last_time_ns(self):
        return self.store.get().last_time_ns()

    @property
    def messages(self):
        return self.store.get().messages()

    @property
    def bytes(self):
        return self.store.get().bytes()

    @property
    def subjects(self):
        return self.store.get().subjects()

    @property
    def error(self):
        return self.store.get().error().decode()

    def live(self, uint64_t seq):
        return self.store.get().live(seq)

    def next_live(self, uint64_t seq):
        return self.store.get().next_live(seq)

    def previous_live(self, uint64_t seq):
        return self.store.get().previous_live(seq)

    def live_above(self, uint64_t seq):
        return self.store.get().live_above(seq)

    def subject_of(self, uint64_t seq):
        """The id of its subject, or None if the message is not there."""
        cdef uint32_t id = self.store.get().subject_of(seq)
        return None if id == 0xffffffff else id

    def size_of(self, uint64_t seq):
        return self.store.get().size_of(seq)

    def find_subject(self, bytes subject not None):
        cdef uint32_t id = self.store.get().find_subject(_view(subject))
        return None if id == 0xffffffff else id

    def subject_name(self, uint32_t id):
        return _bytes(self.store.get().subject_name(id))

    @property
    def subject_ids(self):
        return self.store.get().subject_ids()

    def subject_state(self, uint32_t id):
        """(first, last, count)"""
        cdef CSubjectState state = self.store.get().subject_state(id)
        return state.first, state.last, state.count

    def next_on_subject(self, uint32_t id, uint64_t seq):
        return self.store.get().next_on_subject(id, seq)

    def match_subjects(self, bytes filter not None):
        cdef vector[uint32_t] ids
        collect_matches(self.store.get(), _view(filter), ids)
        return list(ids)

    def read(self, uint64_t seq, ReadBuffer buffer not None, bint blocking=False):
        """("ok", (seq, time_ns, subject, header, body)), or ("missing" | "pending" | "damaged", None)."""
        cdef CStoredMessage out
        cdef CReadStatus status
        if blocking:
            status = self.store.get().read_blocking(seq, out, buffer.buffer)
        else:
            status = self.store.get().read(seq, out, buffer.buffer)
        if status == CReadOk:
            return "ok", (out.seq, out.time_ns, _bytes(out.subject), _bytes(out.header), _bytes(out.body))
        return ("missing" if status == CReadMissing else "pending" if status == CReadPending else "damaged"), None

    def first_at_or_after(self, int64_t time_ns, ReadBuffer buffer not None):
        return self.store.get().first_at_or_after(time_ns, buffer.buffer)

    @property
    def wants_rewrite(self):
        return self.store.get().wants_rewrite()

    def write_tail(self):
        cdef cbool taken
        with nogil:
            taken = self.store.get().write_tail()
        return taken

    def snapshot(self, before_sync=None):
        """The snapshot once all that it needs is synced, or None if the device refused.

        `before_sync` is called in between, as a kernel goes on with its turns then.
        """
        cdef CBuffer out
        cdef CCheckpointSyncs syncs
        cdef int error = 0
        cdef cbool taken
        with nogil:
            taken = self.store.get().snapshot(out, syncs)
        if not taken:
            return None
        if before_sync is not None:
            before_sync()
        self.store.get().write_dead(out, <size_t>-1 >> 8)
        self.store.get().end_dead()
        with nogil:
            error = run_syncs(self.pool.disk.disk, self.pool.pool.get(), &self.pool.waker, syncs)
        if error < 0:
            return None
        return _bytes(out.view())

    def checkpoint_durable(self):
        self.store.get().checkpoint_durable()

    def load(self, bytes snapshot not None):
        cdef CReader* reader = new CReader(_view(snapshot))
        try:
            return self.store.get().load(reader[0])
        finally:
            del reader

    def drop(self):
        self.store.get().drop()

    def check(self):
        self.store.get().check()

    def memory(self):
        """Bytes of memory: {"index", "subjects", "tails"}."""
        cdef CStoreMemory memory = self.store.get().memory()
        return {"index": memory.index, "subjects": memory.subjects, "tails": memory.tails}

    # For bench/store.py: loops without Python; they answer the processor time of all calls together.
    def bench_append(self, uint64_t messages, str prefix, bint unique, uint64_t body, uint64_t ahead=0):
        cdef uint64_t ns = timed_appends(self.store.get(), messages, prefix.encode(), unique, body, ahead)
        if not ns:
            raise OSError(self.error)
        return ns

    def bench_read(self):
        cdef uint64_t ns = timed_reads(self.store.get(), self.pool.pool.get(), &self.pool.waker)
        if not ns:
            raise OSError("a message could not be read")
        return ns

    def bench_remove(self, uint64_t first, uint64_t last, uint64_t stride):
        return timed_removes(self.store.get(), first, last, stride)
