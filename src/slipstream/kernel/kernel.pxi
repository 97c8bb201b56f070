# The Kernel class: calls go in with the GIL released and the kernel's lock held, plain values come out.
import struct as _struct

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.vector cimport vector

from slipstream.kernel import events as _events
from slipstream.kernel.values import (
    BackupPiece,
    ConnectionStats,
    ConsumerProgress,
    ConsumerRecord,
    ConsumerState,
    FeedStatus,
    KernelStats,
    SourcePosition,
    PendingDelivery,
    RestoredBatch,
    StoredMessage,
    StoreError,
    StoreStats,
    StreamRecord,
    StreamState,
    Subscription,
)


cdef extern from "specs.hpp" namespace "slipstream" nogil:
    cpdef enum class Retention "slipstream::Retention"(uint8_t):
        limits
    cdef cppclass CStreamSpec "slipstream::StreamSpec":
        vector[string] subjects
        cbool memory, no_ack, allow_direct, discard_new, discard_new_per_subject, sealed
        cbool deny_delete, deny_purge, allow_rollup, allow_msg_ttl, mirror, mirror_direct, sourced, counter
        cbool allow_atomic, allow_batched, allow_schedules, persist_async, compress, republish_headers_only
        Retention retention
        int64_t max_msgs, max_bytes, max_age_ns, max_msgs_per_subject, max_msg_size, duplicate_window_ns
        int64_t delete_marker_ttl_ns
        uint64_t first_seq
        string transform_source, transform_destination, republish_source, republish_destination, mirror_origin
    cpdef enum class DeliverPolicy "slipstream::DeliverPolicy"(uint8_t):
        all
    cpdef enum class AckPolicy "slipstream::AckPolicy"(uint8_t):
        none
    cpdef enum class PriorityPolicy "slipstream::PriorityPolicy"(uint8_t):
        none
    cdef cppclass CConsumerSpec "slipstream::ConsumerSpec":
        cbool durable, memory, flow_control, headers_only, replay_original, direct, sourcing
        DeliverPolicy deliver_policy
        AckPolicy ack_policy
        PriorityPolicy priority_policy
        uint64_t opt_start_seq
        int64_t opt_start_time_ns, ack_wait_ns, max_deliver, max_ack_pending, max_waiting, max_batch, max_expires_ns, max_bytes
        int64_t idle_heartbeat_ns, rate_limit_bps, inactive_threshold_ns, pause_until_ns, sample_percent, priority_timeout_ns
        vector[int64_t] backoff_ns
        vector[string] filters
        string deliver_subject, deliver_group
        vector[string] priority_groups


cdef extern from "kernel_calls.hpp" namespace "slipstream" nogil:
    cdef cppclass KernelLimits:
        int64_t max_payload, max_control_line, max_pending, max_connections, max_subscriptions, ping_interval_ns, ping_max
        int64_t write_deadline_ns, auth_timeout_ns, api_level
        cbool auth_required, headers
        int64_t batches_per_stream, batches_total, batch_messages, batch_timeout_ns

    cpdef enum class EventType "slipstream::EventType"(uint8_t):
        connect
        closed
        first_ping
        request
        committed
        advisory
        inactive
        feed
        failed
        requests_dropped
        readable
        batch_abandoned

    cdef cppclass EventRecord:
        EventType type
        uint64_t a, b, c, d, e, f, g
        int64_t t0, t1, t2, t3
        string s0, s1, s2, s3

    cdef cppclass KernelCounters:
        uint64_t total_connections, in_msgs, in_bytes, out_msgs, out_bytes, slow_consumers, stale_connections, stalls, turns
        uint64_t turn_ns_max, turn_ns_total, requests_dropped

    cdef cppclass Time:
        int64_t wall_ns, monotonic_ns

    cdef cppclass ConnectOptions:
        cbool verbose, pedantic, echo, headers, no_responders
        int protocol

    cdef cppclass CKernel "slipstream::Kernel":
        CKernel(const KernelLimits&, uint64_t seed) except +
        KernelLimits limits
        void set_info(string)
        void broadcast_info(const string&)
        void send_info(uint64_t, const string&)
        int listen(int)
        void stop_listening()
        void start() except +
        void stop()
        int turn(Time, int)
        cbool wait_events(double, vector[EventRecord]&)
        void wake_waiter()
        cbool accept(uint64_t, uint32_t, const ConnectOptions&)
        void refuse(uint64_t, string_view, const char*)
        void send_error(uint64_t, string_view)

    cdef cppclass Guard "slipstream::Kernel::Guard":
        Guard(CKernel&)

    cdef cppclass OpenOptions:
        string path
        CDisk* disk
        int64_t sync_interval_ns
        cbool threads
        uint64_t journal_file_bytes, journal_bytes_max, segment_bytes_max

    cdef cppclass JetStreamStats:
        uint64_t memory_bytes, file_bytes, journal_bytes, syncs, sync_ns_total, sync_ns_max, checkpoints
        string failed

    cdef cppclass ConnectionRow:
        uint64_t cid, in_msgs, in_bytes, out_msgs, out_bytes, pending, subscriptions
        uint32_t account
        string ip
        int port
        int64_t start_ns, last_activity_ns, rtt_ns

    cdef cppclass SubscriptionRow:
        uint64_t cid, delivered, max
        uint32_t account
        string subject, queue, sid

    cdef cppclass StreamRow:
        uint64_t id
        string account, description

    cdef cppclass ConsumerRow:
        uint32_t id
        string description

    cdef cppclass StreamStateRow:
        cbool found
        uint64_t messages, bytes, first_seq, last_seq, subjects, deleted, consumers
        int64_t first_time_ns, last_time_ns

    cdef cppclass MessageRow:
        cbool found
        uint64_t seq
        int64_t time_ns
        string subject, header, body

    cdef cppclass SubjectRow:
        string subject
        uint64_t count

    cdef cppclass ConsumerView:
        uint64_t consumer_seq, stream_seq, floor_consumer_seq, floor_stream_seq, ack_pending, redelivered, waiting, pending
        int64_t delivered_ns, acked_ns, paused_until_ns, pinned_ns
        cbool push_bound
        string pin_id

    cpdef enum class FeedState "slipstream::FeedState"(uint8_t):
        open
        gap
        refused

    cdef cppclass FeedTransform "std::pair<std::string, std::string>":
        FeedTransform()
        string first, second

    cdef cppclass CFeedSpec "slipstream::FeedSpec":
        string source, identity, deliver_subject, consumer
        uint64_t after, delivered
        cbool restart
        vector[FeedTransform] transforms

    cdef cppclass FeedView:
        FeedState state
        uint64_t origin_seq, consumer_seq, lag, in_flight
        int64_t seen_ns

    cdef cppclass CSourcePosition "slipstream::SourcePosition":
        uint64_t seq
        string identity

    cpdef enum class Select "slipstream::KernelCalls::Select"(uint8_t):
        exact
        last
        next


cdef extern from "bytes.hpp" namespace "slipstream" nogil:
    cdef cppclass CBuffer "slipstream::Buffer":
        string_view view()


cdef extern from "consumer.hpp" namespace "slipstream" nogil:
    cdef cppclass CDelivery "slipstream::Consumer::Progress::Delivery":
        uint64_t stream_seq, consumer_seq
        int64_t sent_ns
        uint32_t deliveries

    cdef cppclass CProgress "slipstream::Consumer::Progress":
        uint64_t consumer_seq, stream_seq, floor_consumer_seq, floor_stream_seq
        int64_t delivered_ns, acked_ns
        vector[CDelivery] pending
        vector[uint64_t] exceeded


cdef extern from "stream_restore.hpp" namespace "slipstream" nogil:
    cdef cppclass CRestoreLimits "slipstream::RestoreLimits":
        uint64_t payload_bytes_max
        int64_t message_bytes_max

    cdef cppclass CRestoredBatch "slipstream::RestoredBatch":
        size_t consumed
        uint64_t last_seq
        uint32_t count
        cbool refused, ended
        string fault


cdef extern from "kernel_calls.hpp" namespace "slipstream::KernelCalls" nogil:
    vector[ConnectionRow] kc_connections "slipstream::KernelCalls::connections"(CKernel&)
    vector[SubscriptionRow] kc_subscriptions "slipstream::KernelCalls::subscriptions"(CKernel&, uint64_t)
    KernelCounters kc_counters "slipstream::KernelCalls::counters"(CKernel&, uint64_t&, uint64_t&, uint64_t&, uint64_t&)
    uint32_t kc_account "slipstream::KernelCalls::account"(CKernel&, string_view)
    void kc_serve "slipstream::KernelCalls::serve"(CKernel&, uint32_t, string_view, uint32_t)
    uint64_t kc_publish "slipstream::KernelCalls::publish"(CKernel&, uint32_t, string_view, string_view, string_view, string_view)
    void kc_set_domain "slipstream::KernelCalls::set_domain"(CKernel&, string_view)
    void kc_set_storage_limits "slipstream::KernelCalls::set_storage_limits"(CKernel&, int64_t, int64_t)
    cbool kc_set_account_storage_limits "slipstream::KernelCalls::set_account_storage_limits"(CKernel&, uint32_t, int64_t, int64_t)
    uint64_t kc_interest "slipstream::KernelCalls::interest"(CKernel&, uint32_t, string_view)
    uint64_t kc_literal_interest "slipstream::KernelCalls::literal_interest"(CKernel&, uint32_t, string_view)
    string kc_open_store "slipstream::KernelCalls::open_store"(CKernel&, const OpenOptions&)
    vector[StreamRow] kc_streams "slipstream::KernelCalls::streams"(CKernel&)
    vector[ConsumerRow] kc_consumers "slipstream::KernelCalls::consumers"(CKernel&, uint64_t)
    StreamStateRow kc_stream_state "slipstream::KernelCalls::stream_state"(CKernel&, uint64_t)
    cbool kc_open_feed "slipstream::KernelCalls::open_feed"(CKernel&, uint64_t, uint32_t, const CFeedSpec&)
    void kc_close_feed "slipstream::KernelCalls::close_feed"(CKernel&, uint64_t, uint32_t)
    cbool kc_feed_view "slipstream::KernelCalls::feed_view"(CKernel&, uint64_t, uint32_t, FeedView&)
    cbool kc_source_position "slipstream::KernelCalls::source_position"(CKernel&, uint64_t, string_view, CSourcePosition&)
    vector[uint64_t] kc_stream_deleted "slipstream::KernelCalls::stream_deleted"(CKernel&, uint64_t, uint64_t)
    vector[SubjectRow] kc_stream_subjects "slipstream::KernelCalls::stream_subjects"(CKernel&, uint64_t, string_view)
    void kc_start_consumer "slipstream::KernelCalls::start_consumer"(CKernel&, uint64_t, uint32_t)
    cbool kc_unpin_consumer "slipstream::KernelCalls::unpin_consumer"(CKernel&, uint64_t, uint32_t)
    cbool kc_consumer_state "slipstream::KernelCalls::consumer_state"(CKernel&, uint64_t, uint32_t, ConsumerView&)
    MessageRow kc_get "slipstream::KernelCalls::get"(CKernel&, uint64_t, Select, string_view, uint64_t)
    uint64_t kc_first_at_or_after "slipstream::KernelCalls::first_at_or_after"(CKernel&, uint64_t, int64_t)
    void kc_check_all "slipstream::KernelCalls::check_all"(CKernel&) except +
    JetStreamStats kc_store_stats "slipstream::KernelCalls::store_stats"(CKernel&)
    void kc_checkpoint "slipstream::KernelCalls::checkpoint"(CKernel&)
    uint64_t kc_create_stream "slipstream::KernelCalls::create_stream"(
        CKernel&, uint64_t, uint32_t, string_view, string_view, const CStreamSpec&)
    cbool kc_update_stream "slipstream::KernelCalls::update_stream"(CKernel&, uint64_t, uint64_t, string_view, const CStreamSpec&)
    cbool kc_delete_stream "slipstream::KernelCalls::delete_stream"(CKernel&, uint64_t, uint64_t)
    cbool kc_purge "slipstream::KernelCalls::purge"(CKernel&, uint64_t, uint64_t, string_view, uint64_t, uint64_t)
    cbool kc_remove_message "slipstream::KernelCalls::remove_message"(CKernel&, uint64_t, uint64_t, uint64_t, cbool)
    uint32_t kc_create_consumer "slipstream::KernelCalls::create_consumer"(
        CKernel&, uint64_t, uint64_t, string_view, string_view, const CConsumerSpec&)
    cbool kc_update_consumer "slipstream::KernelCalls::update_consumer"(
        CKernel&, uint64_t, uint64_t, uint32_t, string_view, const CConsumerSpec&)
    uint64_t kc_begin_restore "slipstream::KernelCalls::begin_restore"(
        CKernel&, uint64_t, uint32_t, string_view, string_view, CStreamSpec)
    void kc_unserve "slipstream::KernelCalls::unserve"(CKernel&, uint32_t, string_view)
    uint64_t kc_open_backup "slipstream::KernelCalls::open_backup"(CKernel&, uint64_t, uint64_t)
    void kc_close_backup "slipstream::KernelCalls::close_backup"(CKernel&, uint64_t)
    cpdef enum class BackupOutcome "slipstream::KernelCalls::BackupOutcome"(uint8_t):
        more
        pending
        end
        damaged
        gone
    BackupOutcome kc_read_backup "slipstream::KernelCalls::read_backup"(CKernel&, uint64_t, size_t, CBuffer&, uint64_t&)
    cbool kc_consumer_progress "slipstream::KernelCalls::consumer_progress"(CKernel&, uint64_t, uint32_t, CProgress&)
    CRestoredBatch kc_restore_messages "slipstream::KernelCalls::restore_messages"(
        CKernel&, uint64_t, uint64_t, string_view, uint64_t, const CRestoreLimits&)
    uint32_t kc_restore_consumer "slipstream::KernelCalls::restore_consumer"(
        CKernel&, uint64_t, uint64_t, string_view, string_view, const CConsumerSpec&, string_view)
    cbool kc_restore_end "slipstream::KernelCalls::restore_end"(CKernel&, uint64_t, uint64_t, uint64_t, int64_t)
    cbool kc_delete_consumer "slipstream::KernelCalls::delete_consumer"(CKernel&, uint64_t, uint64_t, uint32_t)
    cbool kc_reset_consumer "slipstream::KernelCalls::reset_consumer"(CKernel&, uint64_t, uint64_t, uint32_t, uint64_t)


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


# Disconnect reasons are few and live as long as the process: the kernel keeps pointers to them.
cdef dict _reasons = {}


cdef const char* _reason(str reason):
    held = _reasons.setdefault(reason, reason.encode())
    return <const char*><bytes>held


cdef CStreamSpec _stream_spec(spec) except *:
    cdef CStreamSpec s
    for subject in spec["subjects"]:
        s.subjects.push_back(<string>subject)
    s.memory, s.no_ack, s.allow_direct = spec["memory"], spec["no_ack"], spec["allow_direct"]
    s.discard_new, s.discard_new_per_subject = spec["discard_new"], spec["discard_new_per_subject"]
    s.sealed, s.deny_delete, s.deny_purge = spec["sealed"], spec["deny_delete"], spec["deny_purge"]
    s.allow_rollup, s.allow_msg_ttl = spec["allow_rollup"], spec["allow_msg_ttl"]
    s.max_msgs, s.max_bytes, s.max_age_ns = spec["max_msgs"], spec["max_bytes"], spec["max_age_ns"]
    s.max_msgs_per_subject, s.max_msg_size = spec["max_msgs_per_subject"], spec["max_msg_size"]
    s.duplicate_window_ns, s.first_seq = spec["duplicate_window_ns"], spec["first_seq"]
    s.mirror, s.mirror_direct, s.sourced, s.counter = spec["mirror"], spec["mirror_direct"], spec["sourced"], spec["counter"]
    s.allow_atomic, s.allow_batched = spec["allow_atomic"], spec["allow_batched"]
    s.allow_schedules, s.persist_async, s.compress = spec["allow_schedules"], spec["persist_async"], spec["compress"]
    s.retention = <Retention><uint8_t>spec["retention"]
    s.delete_marker_ttl_ns = spec["delete_marker_ttl_ns"]
    s.transform_source, s.transform_destination = spec["transform_source"], spec["transform_destination"]
    s.republish_source, s.republish_destination = spec["republish_source"], spec["republish_destination"]
    s.republish_headers_only, s.mirror_origin = spec["republish_headers_only"], spec["mirror_origin"]
    return s


cdef CConsumerSpec _consumer_spec(spec) except *:
    cdef CConsumerSpec s
    s.durable, s.memory, s.flow_control = spec["durable"], spec["memory"], spec["flow_control"]
    s.headers_only, s.replay_original = spec["headers_only"], spec["replay_original"]
    s.deliver_policy = <DeliverPolicy><uint8_t>spec["deliver_policy"]
    s.ack_policy = <AckPolicy><uint8_t>spec["ack_policy"]
    s.opt_start_seq, s.opt_start_time_ns = spec["opt_start_seq"], spec["opt_start_time_ns"]
    s.ack_wait_ns, s.max_deliver, s.max_ack_pending = spec["ack_wait_ns"], spec["max_deliver"], spec["max_ack_pending"]
    s.max_waiting, s.max_batch, s.max_expires_ns = spec["max_waiting"], spec["max_batch"], spec["max_expires_ns"]
    s.max_bytes, s.idle_heartbeat_ns, s.rate_limit_bps = spec["max_bytes"], spec["idle_heartbeat_ns"], spec["rate_limit_bps"]
    s.inactive_threshold_ns, s.pause_until_ns = spec["inactive_threshold_ns"], spec["pause_until_ns"]
    s.sample_percent = spec["sample_percent"]
    for wait in spec["backoff_ns"]:
        s.backoff_ns.push_back(wait)
    for subject in spec["filters"]:
        s.filters.push_back(<string>subject)
    s.deliver_subject, s.deliver_group = spec["deliver_subject"], spec["deliver_group"]
    s.direct, s.sourcing = spec["direct"], spec["sourcing"]
    s.priority_policy = <PriorityPolicy><uint8_t>spec["priority_policy"]
    s.priority_timeout_ns = spec["priority_timeout_ns"]
    for group in spec["priority_groups"]:
        s.priority_groups.push_back(<string>group)
    return s


cdef object _event(EventRecord& e):
    if e.type == EventType.request:
        return _events.RequestEvent(e.a, e.b, e.c, <bytes>e.s0, <bytes>e.s1, <bytes>e.s2, <bytes>e.s3)
    if e.type == EventType.committed:
        return _events.CommittedEvent(e.a, e.t0)
    if e.type == EventType.connect:
        return _events.ConnectEvent(e.a, <bytes>e.s0, (<bytes>e.s1).decode(), e.b, e.c != 0)
    if e.type == EventType.first_ping:
        return _events.FirstPingEvent(e.a)
    if e.type == EventType.closed:
        return _events.ClosedEvent(
            e.a, (<bytes>e.s0).decode(), e.t0, e.t1, e.t2, e.b, e.c, e.d, e.e, e.f, (<bytes>e.s1).decode(), e.g, e.t3
        )
    if e.type == EventType.advisory:
        return _events.AdvisoryEvent((<bytes>e.s0).decode(), e.a, e.b, e.c, e.d, e.e, e.t0, <bytes>e.s1,
                                     <bytes>e.s2)
    if e.type == EventType.feed:
        return _events.FeedEvent(e.a, e.b)
    if e.type == EventType.inactive:
        return _events.InactiveEvent(e.a, e.b)
    if e.type == EventType.requests_dropped:
        return _events.RequestsDroppedEvent(e.a)
    if e.type == EventType.readable:
        return _events.BackupReadableEvent(e.a)
    if e.type == EventType.batch_abandoned:
        return _events.BatchAbandonedEvent(e.a, <bytes>e.s0, (<bytes>e.s1).decode())
    return _events.FailedEvent((<bytes>e.s0).decode())


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
            elif name == "api_level": l.api_level = value
            elif name == "batches_per_stream": l.batches_per_stream = value
            elif name == "batches_total": l.batches_total = value
            elif name == "batch_messages": l.batch_messages = value
            elif name == "batch_timeout_ns": l.batch_timeout_ns = value
            else: raise TypeError(f"unknown limit {name!r}")
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.limits = l
            del guard

    def set_info(self, bytes info_json):
        cdef string text = info_json
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.set_info(text)
            del guard

    def broadcast_info(self, bytes info_json):
        cdef string text = info_json
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.broadcast_info(text)
            del guard

    def send_info(self, uint64_t cid, bytes info_json):
        cdef string text = info_json
        cdef Guard* guard
        with nogil:
            guard = new Guard(self.k[0])
            self.k.send_info(cid, text)
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

    def wait_events(self, double timeout_s):
        cdef vector[EventRecord] records
        with nogil:
            self.k.wait_events(timeout_s, records)
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
            c.requests_dropped,
        )

    # -- subjects

    def account(self, bytes name):
        return kc_account(self.k[0], _view(name))

    def serve(self, uint32_t account, bytes subject, uint32_t service):
        kc_serve(self.k[0], account, _view(subject), service)

    def unserve(self, uint32_t account, bytes subject):
        kc_unserve(self.k[0], account, _view(subject))

    def publish(self, uint32_t account, bytes subject, bytes reply, bytes header, bytes body):
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
                   uint64_t segment_bytes_max=16777216):
        cdef OpenOptions o
        cdef string error
        o.path = path.encode()
        o.disk = disk.disk if disk is not None else NULL
        o.sync_interval_ns, o.threads = sync_interval_ns, threads
        o.journal_file_bytes, o.journal_bytes_max, o.segment_bytes_max = journal_file_bytes, journal_bytes_max, segment_bytes_max
        self._disk = disk
        with nogil:
            error = kc_open_store(self.k[0], o)
        if error.size():
            raise StoreError((<bytes>error).decode())
        cdef vector[StreamRow] rows
        with nogil:
            rows = kc_streams(self.k[0])
        return [StreamRecord(r.id, <bytes>r.account, <bytes>r.description) for r in rows]

    def consumers(self, uint64_t stream):
        cdef vector[ConsumerRow] rows
        with nogil:
            rows = kc_consumers(self.k[0], stream)
        return [ConsumerRecord(r.id, <bytes>r.description) for r in rows]

    def store_stats(self):
        cdef JetStreamStats s
        with nogil:
            s = kc_store_stats(self.k[0])
        return StoreStats(s.memory_bytes, s.file_bytes, s.journal_bytes, s.syncs, s.sync_ns_total, s.sync_ns_max,
                          s.checkpoints, (<bytes>s.failed).decode())

    def checkpoint(self):
        with nogil:
            kc_checkpoint(self.k[0])

    def check(self):
        """Asserts the invariants of every stream and consumer; slow, for tests."""
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
        return RestoredBatch(b.consumed, b.count, b.last_seq, b.ended, (<bytes>b.fault).decode())

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

    def stream_subjects(self, uint64_t stream, bytes filter, size_t offset, size_t limit):
        cdef vector[SubjectRow] rows
        cdef string_view f = _view(filter)
        with nogil:
            rows = kc_stream_subjects(self.k[0], stream, f)
        found = sorted((<bytes>r.subject, r.count) for r in rows)
        return len(found), found[offset : offset + limit]

    def consumer_state(self, uint64_t stream, uint32_t consumer):
        cdef ConsumerView v
        cdef cbool found
        with nogil:
            found = kc_consumer_state(self.k[0], stream, consumer, v)
        if not found:
            raise KeyError((stream, consumer))
        return ConsumerState(v.consumer_seq, v.stream_seq, v.delivered_ns, v.floor_consumer_seq, v.floor_stream_seq,
                             v.acked_ns, v.ack_pending, v.redelivered, v.waiting, v.pending, v.push_bound, v.paused_until_ns,
                             (<bytes>v.pin_id).decode(), v.pinned_ns)

    cdef object _get(self, uint64_t stream, Select select, bytes subject, uint64_t seq):
        cdef string_view s = _view(subject)
        cdef MessageRow m
        with nogil:
            m = kc_get(self.k[0], stream, select, s, seq)
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


cdef object _accepted(value):
    """A proposal that was not taken up left nothing behind; 0 is what the kernel answers then."""
    if not value:
        raise StoreError("the proposal was refused: the store has failed or is full, or the asset is gone")
    return value
