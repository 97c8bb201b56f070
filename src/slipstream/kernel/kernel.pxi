# The Kernel class: calls go in with the GIL released and the kernel's lock held, plain values come out.


cdef extern from *:
    """
    #include "jetstream/jetstream.hpp"
    namespace slipstream {
    using UnlockCall = bool (*)(void*, Disk*, KeyRing*, std::string*);
    static void call_to_unlock(OpenOptions& options, UnlockCall call, void* context) {
      options.unlock = [call, context](Disk& disk, KeyRing& ring, std::string& error) { return call(context, &disk, &ring, &error); };
    }
    }
    """
    ctypedef cbool (*UnlockCall)(void*, CDisk*, CKeyRing*, string*)
    void call_to_unlock "slipstream::call_to_unlock"(OpenOptions&, UnlockCall, void*)


# Asks Python for the keys of the store that was just locked.
cdef cbool _unlock(void* context, CDisk* disk, CKeyRing* ring, string* error) noexcept with gil:
    cdef Disk store = Disk.__new__(Disk)
    store.disk = disk
    try:
        keys = (<object>context)(store)
        if keys is not None:
            _fill_ring(ring, keys)
        return True
    except Exception as problem:
        error[0] = str(problem).encode("utf-8", "replace")
        return False


# The disk outlives the kernel that uses it, also when the garbage collector takes both.
@cython.no_gc_clear
cdef class Kernel:
    cdef CKernel* k
    cdef object _disk  # keeps a simulated disk alive

    def __cinit__(self, *, uint64_t seed=1, **limits):
        cdef KernelLimits l
        self.k = new CKernel(l, seed)
        self.set_limits(**limits)

    def __dealloc__(self):
        cdef CKernel* k = self.k
        self.k = NULL
        if k is not NULL:
            with nogil:
                del k

    def set_limits(self, **limits):
        cdef KernelLimits l = self.k.limits
        for name, value in limits.items():
            if name == "max_payload": l.max_payload = value
            elif name == "max_control_line": l.max_control_line = value
            elif name == "max_pending": l.max_pending = value
            elif name == "max_connections": l.max_connections = value
            elif name == "max_subscriptions": l.max_subscriptions = value
            elif name == "ping_interval_ns": l.ping_interval_ns = value
            elif name == "ping_max": l.ping_max = value
            elif name == "write_deadline_ns": l.write_deadline_ns = value
            elif name == "auth_timeout_ns": l.auth_timeout_ns = value
            elif name == "auth_required": l.auth_required = value
            elif name == "headers": l.headers = value
            elif name == "trace": l.trace = value
            elif name == "traced_payload_max": l.traced_payload_max = value
            elif name == "api_level": l.api_level = value
            elif name == "api_requests_queued": l.api_requests_queued = value
            elif name == "api_info_requests_queued": l.api_info_requests_queued = value
            elif name == "batches_per_stream": l.batches_per_stream = value
            elif name == "batches_total": l.batches_total = value
            elif name == "batch_messages": l.batch_messages = value
            elif name == "batch_timeout_ns": l.batch_timeout_ns = value
            elif name == "pending_total_max": l.pending_total_max = value
            else: raise TypeError(f"unknown limit {name!r}")
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.limits = l
            del guard

    def set_info(self, bytes info_json, bytes connected_json=b""):
        cdef string text = info_json
        cdef string connected = connected_json
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.set_info(text, connected)
            del guard

    def broadcast_info(self, bytes info_json):
        cdef string text = info_json
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.broadcast_info(text)
            del guard

    def listen(self, int fd):
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.listen(fd)
            del guard

    def stop_listening(self):
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.stop_listening()
            del guard

    def start(self):
        self.k.start()

    def stop(self):
        with nogil:
            self.k.stop()

    def turn(self, int64_t now_ns, int64_t monotonic_ns, int timeout_ms=0):
        cdef Time t
        cdef int n
        t.wall_ns, t.monotonic_ns = now_ns, monotonic_ns
        with nogil:
            n = self.k.turn(t, timeout_ms)
        return n

    def wait_events(self, double timeout_s, size_t requests_max=0):
        cdef vector[EventRecord] records
        with nogil:
            self.k.wait_events(timeout_s, requests_max, records)
        return [_event(records[i]) for i in range(records.size())]

    def wake(self):
        self.k.wake_waiter()

    # -- connections

    def accept(self, uint64_t cid, uint32_t account, *, bint verbose, bint pedantic, bint echo, bint headers,
               bint no_responders, int protocol):
        cdef ConnectOptions o
        o.verbose, o.pedantic, o.echo, o.headers, o.no_responders = verbose, pedantic, echo, headers, no_responders
        o.protocol = protocol
        cdef Guard* guard
        cdef cbool ok
        with nogil:
            guard = new Guard(self.k[0])
            ok = self.k.accept(cid, account, o)
            del guard
        return ok

    def refuse(self, uint64_t cid, bytes error, str reason):
        cdef const char* why = _reason(reason)
        cdef string_view text = _view(error)
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.refuse(cid, text, why)
            del guard

    def disconnect(self, uint64_t cid, str reason):
        self.refuse(cid, b"", reason)

    def send_error(self, uint64_t cid, bytes error):
        cdef string_view text = _view(error)
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.send_error(cid, text)
            del guard

    def connections(self):
        cdef vector[ConnectionRow] rows
        with nogil:
            rows = kc_connections(self.k[0])
        return [
            ConnectionStats(r.cid, r.account, (<bytes>r.ip).decode(), r.port, r.start_ns, r.last_activity_ns, r.in_msgs,
                            r.in_bytes, r.out_msgs, r.out_bytes, r.pending, r.subscriptions, r.rtt_ns)
            for r in rows
        ]

    def rtt_ns(self, uint64_t cid):
        cdef int64_t found
        with nogil:
            found = kc_rtt_ns(self.k[0], cid)
        return found

    def subscriptions(self, uint64_t cid=0):
        cdef vector[SubscriptionRow] rows
        with nogil:
            rows = kc_subscriptions(self.k[0], cid)
        return [
            Subscription(r.cid, r.account, <bytes>r.subject, <bytes>r.queue, <bytes>r.sid, r.delivered, r.max) for r in rows
        ]

    def stats(self):
        cdef uint64_t connections = 0, subscriptions = 0, hits = 0, misses = 0
        cdef KernelCounters c
        with nogil:
            c = kc_counters(self.k[0], connections, subscriptions, hits, misses)
        return KernelStats(
            connections, c.total_connections, subscriptions, c.in_msgs, c.in_bytes, c.out_msgs, c.out_bytes,
            c.slow_consumers, c.stale_connections, c.stalls, c.turns, c.turn_ns_max, c.turn_ns_total, hits, misses,
            c.requests_dropped, c.advisories_dropped,
        )

    # -- subjects

    def account(self, bytes name):
        cdef bytes hashed = short_hash(name.decode()).encode()
        cdef string_view n = _view(name), h = _view(hashed)
        cdef uint32_t number
        with nogil:
            number = kc_account(self.k[0], n, h)
        return number

    def set_long_ack_subjects(self, bint wanted):
        with nogil:
            kc_set_long_ack_subjects(self.k[0], wanted)

    def serve(self, uint32_t account, bytes subject, uint32_t service):
        cdef string_view s = _view(subject)
        with nogil:
            kc_serve(self.k[0], account, s, service)

    def unserve(self, uint32_t account, bytes subject):
        cdef string_view s = _view(subject)
        with nogil:
            kc_unserve(self.k[0], account, s)

    def publish(self, uint32_t account, bytes subject, bytes reply, bytes header, bytes body):
        if not subject:
            raise ValueError("a message needs a subject")
        _require_word(subject)
        _require_word(reply)
        cdef string_view s = _view(subject), r = _view(reply), h = _view(header), b = _view(body)
        cdef uint64_t n
        with nogil:
            n = kc_publish(self.k[0], account, s, r, h, b)
        return n

    def interest(self, uint32_t account, bytes subject):
        cdef string_view s = _view(subject)
        cdef uint64_t n
        with nogil:
            n = kc_interest(self.k[0], account, s)
        return n

    def literal_interest(self, uint32_t account, bytes subject):
        cdef string_view s = _view(subject)
        cdef uint64_t n
        with nogil:
            n = kc_literal_interest(self.k[0], account, s)
        return n

    # -- JetStream

    def set_domain(self, bytes name):
        cdef string_view v = _view(name)
        with nogil:
            kc_set_domain(self.k[0], v)

    def set_storage_limits(self, int64_t memory, int64_t file):
        with nogil:
            kc_set_storage_limits(self.k[0], memory, file)

    def set_account_storage_limits(self, uint32_t account, int64_t memory, int64_t file):
        cdef bint known
        with nogil:
            known = kc_set_account_storage_limits(self.k[0], account, memory, file)
        if not known:
            raise KeyError(account)

    def open_store(self, *, str path="", Disk disk=None, int64_t sync_interval_ns=0, bint threads=True,
                   uint64_t journal_file_bytes=16777216, uint64_t journal_bytes_max=268435456,
                   uint64_t segment_bytes_max=16777216, unlock=None, bint follows=False, uint32_t sync_lag=0):
        cdef OpenOptions o
        cdef string error
        o.path = path.encode()
        o.disk = disk.disk if disk is not None else NULL
        o.sync_interval_ns, o.threads, o.follows, o.sync_lag = sync_interval_ns, threads, follows, sync_lag
        o.journal_file_bytes, o.journal_bytes_max, o.segment_bytes_max = journal_file_bytes, journal_bytes_max, segment_bytes_max
        if unlock is not None:
            call_to_unlock(o, _unlock, <void*>unlock)
        self._disk = disk
        with nogil:
            error = kc_open_store(self.k[0], o)
        if error.size():
            raise StoreError(_text(error))
        cdef vector[StreamRow] rows
        with nogil:
            rows = kc_streams(self.k[0])
        return [StreamRecord(r.id, <bytes>r.account, <bytes>r.description, (<bytes>r.offline).decode("utf-8", "replace")) for r in rows]

    def consumers(self, uint64_t stream):
        cdef vector[ConsumerRow] rows
        with nogil:
            rows = kc_consumers(self.k[0], stream)
        return [ConsumerRecord(r.id, <bytes>r.description) for r in rows]

    def take_offline(self, uint64_t stream, str reason):
        """As if something of this stream had failed; for tests."""
        cdef string text = reason.encode()
        with nogil:
            kc_take_offline(self.k[0], stream, text)

    def set_leader(self, uint64_t stream, bint leads):
        """Begins or ends this server's reign over a stream; for tests. False: an entry is being
        applied, or, to begin, entries of an earlier reign wait for it.
        """
        cdef bint done
        with nogil:
            done = kc_set_leader(self.k[0], stream, leads)
        return done

    def store_stats(self):
        cdef JetStreamStats s
        with nogil:
            s = kc_store_stats(self.k[0])
        return StoreStats(s.memory_bytes, s.file_bytes, s.journal_bytes, s.syncs, s.sync_ns_total, s.sync_ns_max,
                          s.checkpoints, _text(s.failed), _text(s.no_room), s.bytes_in_flight)

    def index_sizes(self, uint64_t stream):
        cdef pair[uint64_t, uint64_t] sizes
        with nogil:
            sizes = kc_index_sizes(self.k[0], stream)
        return sizes.first, sizes.second

    def checkpoint(self):
        with nogil:
            kc_checkpoint(self.k[0])

    def canonical_states(self):
        cdef vector[CanonicalRow] rows
        with nogil:
            rows = kc_canonical_states(self.k[0])
        return {row.first: (<bytes>row.second).decode("utf-8", "backslashreplace") for row in rows}

    def take_applied(self):
        cdef vector[AppliedEntry] entries
        with nogil:
            entries = kc_take_applied(self.k[0])
        return [LogEntry(e.group, e.term, e.index, e.kind, <bytes>e.payload) for e in entries]

    def follow(self, entry):
        cdef AppliedEntry e
        cdef string error
        e.group, e.term, e.index, e.kind, e.payload = entry
        with nogil:
            error = kc_follow(self.k[0], e)
        if error.size():
            raise StoreError(_text(error))

    def check(self):
        """Asserts the invariants of every stream and consumer; slow, for tests."""
        with nogil:
            kc_check_all(self.k[0])

    def propose_stream_create(self, uint64_t token, uint32_t account, bytes name, bytes description, spec):
        cdef CStreamSpec s = _stream_spec(spec)
        cdef string_view n = _view(name), d = _view(description)
        cdef uint64_t id
        with nogil:
            id = kc_create_stream(self.k[0], token, account, n, d, s)
        return _accepted(id)

    def propose_stream_update(self, uint64_t token, uint64_t stream, bytes description, spec):
        cdef CStreamSpec s = _stream_spec(spec)
        cdef string_view d = _view(description)
        cdef cbool ok
        with nogil:
            ok = kc_update_stream(self.k[0], token, stream, d, s)
        _accepted(ok)

    def propose_stream_delete(self, uint64_t token, uint64_t stream):
        cdef cbool ok
        with nogil:
            ok = kc_delete_stream(self.k[0], token, stream)
        _accepted(ok)

    def propose_purge(self, uint64_t token, uint64_t stream, bytes filter, uint64_t seq, uint64_t keep):
        cdef string_view f = _view(filter)
        cdef cbool ok
        with nogil:
            ok = kc_purge(self.k[0], token, stream, f, seq, keep)
        _accepted(ok)

    def propose_delete(self, uint64_t token, uint64_t stream, uint64_t seq, bint erase):
        cdef cbool ok
        with nogil:
            ok = kc_remove_message(self.k[0], token, stream, seq, erase)
        _accepted(ok)

    def propose_consumer_create(self, uint64_t token, uint64_t stream, bytes name, bytes description, spec):
        cdef CConsumerSpec s = _consumer_spec(spec)
        cdef string_view n = _view(name), d = _view(description)
        cdef uint32_t id
        with nogil:
            id = kc_create_consumer(self.k[0], token, stream, n, d, s)
        return _accepted(id)

    def propose_consumer_update(self, uint64_t token, uint64_t stream, uint32_t consumer, bytes description, spec):
        cdef CConsumerSpec s = _consumer_spec(spec)
        cdef string_view d = _view(description)
        cdef cbool ok
        with nogil:
            ok = kc_update_consumer(self.k[0], token, stream, consumer, d, s)
        _accepted(ok)

    def propose_consumer_delete(self, uint64_t token, uint64_t stream, uint32_t consumer):
        cdef cbool ok
        with nogil:
            ok = kc_delete_consumer(self.k[0], token, stream, consumer)
        _accepted(ok)

    def propose_consumer_reset(self, uint64_t token, uint64_t stream, uint32_t consumer, uint64_t seq):
        cdef cbool ok
        with nogil:
            ok = kc_reset_consumer(self.k[0], token, stream, consumer, seq)
        _accepted(ok)

    # -- what comes from origins

    def open_feed(self, uint64_t stream, uint32_t feed, spec):
        cdef CFeedSpec s
        cdef FeedTransform transform
        s.source, s.identity = spec["source"], spec["identity"]
        s.deliver_subject, s.consumer = spec["deliver_subject"], spec["consumer"]
        s.after, s.delivered, s.restart = spec["after"], spec["delivered"], spec["restart"]
        for source, destination in spec["transforms"]:
            transform.first, transform.second = source, destination
            s.transforms.push_back(transform)
        cdef cbool opened
        with nogil:
            opened = kc_open_feed(self.k[0], stream, feed, s)
        return opened

    def close_feed(self, uint64_t stream, uint32_t feed):
        with nogil:
            kc_close_feed(self.k[0], stream, feed)

    def feed_status(self, uint64_t stream, uint32_t feed):
        cdef FeedView v
        cdef cbool found
        with nogil:
            found = kc_feed_view(self.k[0], stream, feed, v)
        if not found:
            return None
        return FeedStatus(v.state == FeedState.open, v.origin_seq, v.consumer_seq, v.lag, v.in_flight, v.seen_ns)

    def source_position(self, uint64_t stream, bytes source):
        cdef string_view s = _view(source)
        cdef CSourcePosition p
        cdef cbool found
        with nogil:
            found = kc_source_position(self.k[0], stream, s, p)
        return SourcePosition(p.seq, <bytes>p.identity) if found else None

    def start_consumer(self, uint64_t stream, uint32_t consumer):
        with nogil:
            kc_start_consumer(self.k[0], stream, consumer)

    # -- backup and restore

    def open_backup(self, uint64_t stream, uint64_t last_seq):
        cdef uint64_t backup
        with nogil:
            backup = kc_open_backup(self.k[0], stream, last_seq)
        if not backup:
            raise KeyError(stream)
        return backup

    def close_backup(self, uint64_t backup):
        with nogil:
            kc_close_backup(self.k[0], backup)

    def read_backup(self, uint64_t backup, size_t bytes_max):
        cdef CBuffer records
        cdef uint64_t seq = 0
        cdef BackupOutcome outcome
        with nogil:
            outcome = kc_read_backup(self.k[0], backup, bytes_max, records, seq)
        return BackupPiece(_view_bytes(records.view()), _BACKUP_OUTCOMES[<uint8_t>outcome], seq)

    def consumer_progress(self, uint64_t stream, uint32_t consumer):
        cdef CProgress p
        cdef cbool found
        with nogil:
            found = kc_consumer_progress(self.k[0], stream, consumer, p)
        if not found:
            raise KeyError((stream, consumer))
        return ConsumerProgress(
            p.consumer_seq, p.stream_seq, p.floor_consumer_seq, p.floor_stream_seq, p.delivered_ns, p.acked_ns,
            [PendingDelivery(d.stream_seq, d.consumer_seq, d.sent_ns, d.deliveries) for d in p.pending], list(p.exceeded),
        )

    def propose_restore_begin(self, uint64_t token, uint32_t account, bytes name, bytes description, spec):
        cdef CStreamSpec s = _stream_spec(spec)
        cdef string_view n = _view(name), d = _view(description)
        cdef uint64_t id
        with nogil:
            id = kc_begin_restore(self.k[0], token, account, n, d, s)
        return _accepted(id)

    def propose_restored_messages(self, uint64_t token, uint64_t stream, records, uint64_t last_seq,
                                  uint64_t payload_bytes_max, int64_t message_bytes_max):
        cdef const char[::1] held = memoryview(records).cast("c")
        cdef size_t size = held.shape[0]
        cdef string_view r = string_view(&held[0] if size else NULL, size)
        cdef CRestoreLimits limits
        cdef CRestoredBatch b
        limits.payload_bytes_max, limits.message_bytes_max = payload_bytes_max, message_bytes_max
        with nogil:
            b = kc_restore_messages(self.k[0], token, stream, r, last_seq, limits)
        if b.refused:
            _accepted(False)
        return RestoredBatch(b.consumed, b.count, b.last_seq, b.ended, _text(b.fault))

    def propose_restored_consumer(self, uint64_t token, uint64_t stream, bytes name, bytes description, spec, state):
        cdef CConsumerSpec s = _consumer_spec(spec)
        cdef string_view n = _view(name), d = _view(description)
        cdef bytes encoded = _encode_progress(state)
        cdef string_view e = _view(encoded)
        cdef uint32_t id
        with nogil:
            id = kc_restore_consumer(self.k[0], token, stream, n, d, s, e)
        return _accepted(id)

    def propose_restored_end(self, uint64_t token, uint64_t stream, uint64_t last_seq, int64_t last_time_ns):
        cdef cbool ok
        with nogil:
            ok = kc_restore_end(self.k[0], token, stream, last_seq, last_time_ns)
        _accepted(ok)

    def unpin_consumer(self, uint64_t stream, uint32_t consumer):
        cdef cbool found
        with nogil:
            found = kc_unpin_consumer(self.k[0], stream, consumer)
        if not found:
            raise KeyError((stream, consumer))

    # -- reading

    def stream_state(self, uint64_t stream):
        cdef StreamStateRow r
        with nogil:
            r = kc_stream_state(self.k[0], stream)
        if not r.found:
            raise KeyError(stream)
        return StreamState(r.messages, r.bytes, r.first_seq, r.first_time_ns, r.last_seq, r.last_time_ns, r.subjects,
                           r.deleted, r.consumers)

    def stream_deleted(self, uint64_t stream, uint64_t limit):
        cdef vector[uint64_t] seqs
        with nogil:
            seqs = kc_stream_deleted(self.k[0], stream, limit)
        return list(seqs)

    def list_subjects(self, uint64_t stream, bytes filter, size_t offset, size_t limit):
        return SubjectListing(self, stream, filter, offset, limit)

    def count_pending(self, uint64_t stream, uint32_t consumer):
        cdef cbool counted
        with nogil:
            counted = kc_count_pending(self.k[0], stream, consumer)
        return counted

    def consumer_state(self, uint64_t stream, uint32_t consumer):
        cdef ConsumerView v
        cdef cbool found
        with nogil:
            found = kc_consumer_state(self.k[0], stream, consumer, v)
        if not found:
            raise KeyError((stream, consumer))
        return ConsumerState(v.consumer_seq, v.stream_seq, v.delivered_ns, v.floor_consumer_seq, v.floor_stream_seq,
                             v.acked_ns, v.ack_pending, v.redelivered, v.waiting, v.pending, v.push_bound, v.paused_until_ns,
                             _text(v.pin_id), v.pinned_ns)

    cdef object _get(self, uint64_t stream, Select select, bytes subject, uint64_t seq):
        cdef string_view s = _view(subject)
        cdef MessageRow m
        with nogil:
            m = kc_get(self.k[0], stream, select, s, seq)
        if m.damaged:
            raise DamagedMessage(m.seq)
        return StoredMessage(<bytes>m.subject, m.seq, <bytes>m.header, <bytes>m.body, m.time_ns) if m.found else None

    def get_message(self, uint64_t stream, uint64_t seq):
        return self._get(stream, Select.exact, b"", seq)

    def get_last(self, uint64_t stream, bytes subject):
        return self._get(stream, Select.last, subject, 0)

    def get_next(self, uint64_t stream, bytes subject, uint64_t seq):
        return self._get(stream, Select.next, subject, seq)

    def first_at_or_after(self, uint64_t stream, int64_t time_ns):
        cdef uint64_t seq
        with nogil:
            seq = kc_first_at_or_after(self.k[0], stream, time_ns)
        return seq


# The last line of defence, behind the checks where a text enters: what stands in a line of the protocol neither ends the line
# nor its own place in it.
cdef void _require_word(bytes word) except *:
    cdef unsigned char c
    for c in word:
        if c == 32 or c == 9 or c == 10 or c == 13:
            raise ValueError(f"no text for a line of the protocol: {word[:100]!r}")


cdef object _accepted(value):
    """A proposal that was not taken up left nothing behind; 0 is what the kernel answers then."""
    if not value:
        raise StoreError("the proposal was refused: the store has failed or is full, or the asset is gone")
    return value
