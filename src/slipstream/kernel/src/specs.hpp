// The compiled decisions of a stream and of a consumer, as Python hands them down (slipstream/kernel/specs.py), and their
// encoding in log entries. Fields are only ever appended; a reader takes what an older writer did not know as its default.
#pragma once
#include <string>
#include <vector>

#include "bytes.hpp"

namespace slipstream {

struct StreamSpec {
  std::vector<std::string> subjects;
  bool memory = false, no_ack = false, allow_direct = false, discard_new = false, discard_new_per_subject = false,
       sealed = false, deny_delete = false, deny_purge = false, allow_rollup = false, allow_msg_ttl = false;
  int64_t max_msgs = -1, max_bytes = -1, max_age_ns = 0, max_msgs_per_subject = -1, max_msg_size = -1,
          duplicate_window_ns = 0;
  uint64_t first_seq = 0;

  void encode(Buffer& out) const;
  bool decode(Reader& in);
};

enum class DeliverPolicy : uint8_t { all, last, next, by_start_sequence, by_start_time, last_per_subject };
enum class AckPolicy : uint8_t { none, all, explicit_ };

struct ConsumerSpec {
  bool durable = false, memory = false, flow_control = false, headers_only = false, replay_original = false;
  DeliverPolicy deliver_policy = DeliverPolicy::all;
  AckPolicy ack_policy = AckPolicy::explicit_;
  uint64_t opt_start_seq = 0;
  int64_t opt_start_time_ns = 0, ack_wait_ns = 0, max_deliver = -1, max_ack_pending = -1, max_waiting = 512, max_batch = 0,
          max_expires_ns = 0, max_bytes = 0, idle_heartbeat_ns = 0, rate_limit_bps = 0, inactive_threshold_ns = 0,
          pause_until_ns = 0, sample_percent = 0;
  std::vector<int64_t> backoff_ns;
  std::vector<std::string> filters;
  std::string deliver_subject, deliver_group;

  bool push() const { return !deliver_subject.empty(); }
  void encode(Buffer& out) const;
  bool decode(Reader& in);
};

}  // namespace slipstream
