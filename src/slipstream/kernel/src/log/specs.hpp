// The compiled decisions of a stream and of a consumer, as Python hands them down (slipstream/kernel/specs.py), and their
// encoding in log entries. Fields are only ever appended; a reader takes what an older writer did not know as its default.
#pragma once
#include <array>
#include <string>
#include <vector>

#include "bytes/bytes.hpp"

namespace slipstream {

enum class Retention : uint8_t { limits, interest, work_queue };

struct StreamSpec {
  std::vector<std::string> subjects;
  bool memory = false, no_ack = false, allow_direct = false, discard_new = false, discard_new_per_subject = false,
       sealed = false, deny_delete = false, deny_purge = false, allow_rollup = false, allow_msg_ttl = false,
       mirror = false, mirror_direct = false, sourced = false, counter = false, allow_atomic = false, allow_batched = false,
       allow_schedules = false, persist_async = false, compress = false, republish_headers_only = false;
  bool restoring = false;  // hidden, until an update shows it (stream_restore.cpp)
  Retention retention = Retention::limits;
  int64_t max_msgs = -1, max_bytes = -1, max_age_ns = 0, max_msgs_per_subject = -1, max_msg_size = -1,
          duplicate_window_ns = 0, delete_marker_ttl_ns = 0;
  uint64_t first_seq = 0;
  std::string transform_source, transform_destination;  // destination empty: subjects stay as they are
  std::string republish_source, republish_destination;  // destination empty: nothing is republished
  std::string mirror_origin;                            // the origin's name; empty: no mirror
  bool keeps_all() const { return retention == Retention::limits; }

  void encode(Buffer& out) const;
  bool decode(Reader& in);

 private:
  std::array<const std::string*, 5> texts() const {
    return {&transform_source, &transform_destination, &republish_source, &republish_destination, &mirror_origin};
  }
  std::array<std::string*, 5> texts() {
    return {&transform_source, &transform_destination, &republish_source, &republish_destination, &mirror_origin};
  }
};

enum class DeliverPolicy : uint8_t { all, last, next, by_start_sequence, by_start_time, last_per_subject };
enum class AckPolicy : uint8_t { none, all, explicit_, flow_control };
enum class PriorityPolicy : uint8_t { none, overflow, pinned_client, prioritized };

struct ConsumerSpec {
  bool durable = false, memory = false, flow_control = false, headers_only = false, replay_original = false, direct = false,
       sourcing = false;
  DeliverPolicy deliver_policy = DeliverPolicy::all;
  AckPolicy ack_policy = AckPolicy::explicit_;
  PriorityPolicy priority_policy = PriorityPolicy::none;
  uint64_t opt_start_seq = 0;
  int64_t opt_start_time_ns = 0, ack_wait_ns = 0, max_deliver = -1, max_ack_pending = -1, max_waiting = 512, max_batch = 0,
          max_expires_ns = 0, max_bytes = 0, idle_heartbeat_ns = 0, rate_limit_bps = 0, inactive_threshold_ns = 0,
          pause_until_ns = 0, sample_percent = 0, priority_timeout_ns = 0;
  std::vector<int64_t> backoff_ns;
  std::vector<std::string> filters;
  std::string deliver_subject, deliver_group;
  std::vector<std::string> priority_groups;

  bool push() const { return !deliver_subject.empty(); }
  void encode(Buffer& out) const;
  bool decode(Reader& in);
};

}  // namespace slipstream
