# What the Kernel class calls in C++, and how specs and events cross between the two languages.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libcpp cimport bool as cbool
from libcpp.string cimport string
from libcpp.string_view cimport string_view
from libcpp.utility cimport pair
from libcpp.vector cimport vector

from slipstream.kernel import events as _events
from slipstream.protocol.short_hash import short_hash
from slipstream.kernel.values import (
    BackupPiece,
    ConnectionStats,
    ConsumerProgress,
    ConsumerRecord,
    ConsumerState,
    FeedStatus,
    KernelStats,
    LogEntry,
    SourcePosition,
    PendingDelivery,
    RestoredBatch,
    StoredMessage,
    DamagedMessage,
    JournalDamage,
    StoreError,
    StoreStats,
    StreamRecord,
    StreamState,
    Subscription,
)


cdef extern from "log/specs.hpp" namespace "slipstream" nogil:
    cdef enum class Retention "slipstream::Retention"(uint8_t):
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
    cdef enum class DeliverPolicy "slipstream::DeliverPolicy"(uint8_t):
        all
    cdef enum class AckPolicy "slipstream::AckPolicy"(uint8_t):
        none
    cdef enum class PriorityPolicy "slipstream::PriorityPolicy"(uint8_t):
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


cdef extern from "binding/kernel_calls.hpp" namespace "slipstream" nogil:
    cdef cppclass KernelLimits:
        int64_t max_payload, max_control_line, max_pending, max_connections, max_subscriptions, ping_interval_ns, ping_max
        int64_t write_deadline_ns, auth_timeout_ns, api_level, traced_payload_max
        cbool auth_required, headers, trace
        int64_t api_requests_queued, api_info_requests_queued
        int64_t batches_per_stream, batches_total, batch_messages, batch_timeout_ns, pending_total_max

    cdef enum class EventType "slipstream::EventType"(uint8_t):
        connect
        closed
        request
        committed
        advisory
        inactive
        feed
        failed
        requests_dropped
        trace
        readable
        batch_abandoned
        offline
        abandoned
        storage
        turned_away
        damaged

    cdef cppclass EventRecord:
        EventType type
        uint64_t a, b, c, d, e, f, g
        int64_t t0, t1, t2, t3
        string s0, s1, s2, s3

    cdef cppclass KernelCounters:
        uint64_t total_connections, in_msgs, in_bytes, out_msgs, out_bytes, slow_consumers, stale_connections, stalls, turns
        uint64_t turn_ns_max, turn_ns_total, requests_dropped, advisories_dropped

    cdef cppclass Time:
        int64_t wall_ns, monotonic_ns

    cdef cppclass ConnectOptions:
        cbool verbose, pedantic, echo, headers, no_responders
        int protocol

    cdef cppclass CKernel "slipstream::Kernel":
        CKernel(const KernelLimits&, uint64_t seed) except +
        KernelLimits limits
        void set_info(string, string)
        void broadcast_info(const string&)
        int listen(int)
        void stop_listening()
        void start() except +
        void stop()
        int turn(Time, int)
        cbool wait_events(double, size_t, vector[EventRecord]&)
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
        cbool threads, follows
        uint32_t sync_lag
        uint64_t journal_file_bytes, journal_bytes_max, segment_bytes_max

    cdef cppclass JetStreamStats:
        uint64_t memory_bytes, file_bytes, journal_bytes, syncs, sync_ns_total, sync_ns_max, checkpoints
        string failed, no_room
        uint64_t bytes_in_flight

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
        string account, description, offline

    cdef cppclass ConsumerRow:
        uint32_t id
        string description

    cdef cppclass StreamStateRow:
        cbool found
        uint64_t messages, bytes, first_seq, last_seq, subjects, deleted, consumers
        int64_t first_time_ns, last_time_ns

    cdef cppclass MessageRow:
        cbool found, damaged
        uint64_t seq
        int64_t time_ns
        string subject, header, body

    cdef cppclass ConsumerView:
        uint64_t consumer_seq, stream_seq, floor_consumer_seq, floor_stream_seq, ack_pending, redelivered, waiting, pending
        int64_t delivered_ns, acked_ns, paused_until_ns, pinned_ns
        cbool push_bound
        string pin_id

    cdef enum class FeedState "slipstream::FeedState"(uint8_t):
        open
        gap
        refused

    cdef cppclass CanonicalRow "std::pair<uint64_t, std::string>":
        uint64_t first
        string second

    cdef cppclass AppliedEntry "slipstream::JetStream::AppliedEntry":
        uint64_t group, term, index
        uint8_t kind
        string payload

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

    cdef enum class Select "slipstream::KernelCalls::Select"(uint8_t):
        exact
        last
        next


cdef extern from "binding/kernel_calls.hpp" namespace "slipstream::KernelCalls" nogil:
    vector[ConnectionRow] kc_connections "slipstream::KernelCalls::connections"(CKernel&)
    int64_t kc_rtt_ns "slipstream::KernelCalls::rtt_ns"(CKernel&, uint64_t)
    vector[SubscriptionRow] kc_subscriptions "slipstream::KernelCalls::subscriptions"(CKernel&, uint64_t)
    KernelCounters kc_counters "slipstream::KernelCalls::counters"(CKernel&, uint64_t&, uint64_t&, uint64_t&, uint64_t&)
    uint32_t kc_account "slipstream::KernelCalls::account"(CKernel&, string_view, string_view)
    void kc_set_long_ack_subjects "slipstream::KernelCalls::set_long_ack_subjects"(CKernel&, cbool)
    void kc_serve "slipstream::KernelCalls::serve"(CKernel&, uint32_t, string_view, uint32_t)
    uint64_t kc_publish "slipstream::KernelCalls::publish"(CKernel&, uint32_t, string_view, string_view, string_view, string_view)
    void kc_set_domain "slipstream::KernelCalls::set_domain"(CKernel&, string_view)
    void kc_set_storage_limits "slipstream::KernelCalls::set_storage_limits"(CKernel&, int64_t, int64_t)
    cbool kc_set_account_storage_limits "slipstream::KernelCalls::set_account_storage_limits"(CKernel&, uint32_t, int64_t, int64_t)
    uint64_t kc_interest "slipstream::KernelCalls::interest"(CKernel&, uint32_t, string_view)
    uint64_t kc_literal_interest "slipstream::KernelCalls::literal_interest"(CKernel&, uint32_t, string_view)
    string kc_open_store "slipstream::KernelCalls::open_store"(CKernel&, const OpenOptions&)
    void kc_take_offline "slipstream::KernelCalls::take_offline"(CKernel&, uint64_t, const string&)
    bint kc_set_leader "slipstream::KernelCalls::set_leader"(CKernel&, uint64_t, bint)
    vector[StreamRow] kc_streams "slipstream::KernelCalls::streams"(CKernel&)
    vector[ConsumerRow] kc_consumers "slipstream::KernelCalls::consumers"(CKernel&, uint64_t)
    StreamStateRow kc_stream_state "slipstream::KernelCalls::stream_state"(CKernel&, uint64_t)
    cbool kc_open_feed "slipstream::KernelCalls::open_feed"(CKernel&, uint64_t, uint32_t, const CFeedSpec&)
    void kc_close_feed "slipstream::KernelCalls::close_feed"(CKernel&, uint64_t, uint32_t)
    cbool kc_feed_view "slipstream::KernelCalls::feed_view"(CKernel&, uint64_t, uint32_t, FeedView&)
    cbool kc_source_position "slipstream::KernelCalls::source_position"(CKernel&, uint64_t, string_view, CSourcePosition&)
    vector[uint64_t] kc_stream_deleted "slipstream::KernelCalls::stream_deleted"(CKernel&, uint64_t, uint64_t)
    void kc_start_consumer "slipstream::KernelCalls::start_consumer"(CKernel&, uint64_t, uint32_t)
    cbool kc_unpin_consumer "slipstream::KernelCalls::unpin_consumer"(CKernel&, uint64_t, uint32_t)
    cbool kc_count_pending "slipstream::KernelCalls::count_pending"(CKernel&, uint64_t, uint32_t)
    cbool kc_consumer_state "slipstream::KernelCalls::consumer_state"(CKernel&, uint64_t, uint32_t, ConsumerView&)
    MessageRow kc_get "slipstream::KernelCalls::get"(CKernel&, uint64_t, Select, string_view, uint64_t)
    uint64_t kc_first_at_or_after "slipstream::KernelCalls::first_at_or_after"(CKernel&, uint64_t, int64_t)
    pair[uint64_t, uint64_t] kc_index_sizes "slipstream::KernelCalls::index_sizes"(CKernel&, uint64_t)
    void kc_check_all "slipstream::KernelCalls::check_all"(CKernel&) except +
    vector[CanonicalRow] kc_canonical_states "slipstream::KernelCalls::canonical_states"(CKernel&)
    vector[AppliedEntry] kc_take_applied "slipstream::KernelCalls::take_applied"(CKernel&)
    string kc_follow "slipstream::KernelCalls::follow"(CKernel&, const AppliedEntry&)
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
    cdef enum class BackupOutcome "slipstream::KernelCalls::BackupOutcome"(uint8_t):
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
    _require_word(spec["deliver_subject"])
    s.deliver_subject, s.deliver_group = spec["deliver_subject"], spec["deliver_group"]
    s.direct, s.sourcing = spec["direct"], spec["sourcing"]
    s.priority_policy = <PriorityPolicy><uint8_t>spec["priority_policy"]
    s.priority_timeout_ns = spec["priority_timeout_ns"]
    for group in spec["priority_groups"]:
        s.priority_groups.push_back(<string>group)
    return s


# An event whose text cannot be read would take those behind it along.
cdef str _text(const string& s):
    cdef bytes held = s
    return held.decode("utf-8", "replace")


cdef object _event(EventRecord& e):
    if e.type == EventType.request:
        return _events.RequestEvent(e.a, e.b, e.c, <bytes>e.s0, <bytes>e.s1, <bytes>e.s2, <bytes>e.s3)
    if e.type == EventType.committed:
        return _events.CommittedEvent(e.a, e.t0)
    if e.type == EventType.connect:
        return _events.ConnectEvent(e.a, <bytes>e.s0, _text(e.s1), e.b, e.c != 0)
    if e.type == EventType.closed:
        return _events.ClosedEvent(
            e.a, _text(e.s0), e.t0, e.t1, e.t2, e.b, e.c, e.d, e.e, e.f, _text(e.s1), e.g, e.t3
        )
    if e.type == EventType.advisory:
        return _events.AdvisoryEvent(_text(e.s0), e.a, e.b, e.c, e.d, e.e, e.t0, <bytes>e.s1,
                                     <bytes>e.s2)
    if e.type == EventType.feed:
        return _events.FeedEvent(e.a, e.b)
    if e.type == EventType.inactive:
        return _events.InactiveEvent(e.a, e.b)
    if e.type == EventType.requests_dropped:
        return _events.RequestsDroppedEvent(e.a, _events.RequestQueue(e.b))
    if e.type == EventType.trace:
        return _events.TraceEvent(
            e.a, _text(e.s1), e.b, <bytes>e.s0, <bytes>e.s2, e.d != 0, e.c
        )
    if e.type == EventType.readable:
        return _events.BackupReadableEvent(e.a)
    if e.type == EventType.batch_abandoned:
        return _events.BatchAbandonedEvent(e.a, <bytes>e.s0, _text(e.s1))
    if e.type == EventType.offline:
        return _events.StreamOfflineEvent(e.a, _text(e.s0))
    if e.type == EventType.damaged:
        return _events.DamageEvent(e.a, e.b, _text(e.s0))
    if e.type == EventType.abandoned:
        return _events.AbandonedEvent(e.a, _text(e.s0))
    if e.type == EventType.storage:
        return _events.StorageEvent(e.a != 0, _text(e.s0))
    if e.type == EventType.turned_away:
        return _events.TurnedAwayEvent(e.a)
    return _events.FailedEvent(_text(e.s0))
