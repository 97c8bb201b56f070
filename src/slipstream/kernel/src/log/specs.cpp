#include "log/specs.hpp"

#include <algorithm>

namespace slipstream {
namespace {

constexpr uint16_t kStreamFormat = 2, kConsumerFormat = 2;

void put_texts(Buffer& out, const std::vector<std::string>& texts) {
  out.put32((uint32_t)texts.size());
  for (const auto& t : texts) out.put_text(t);
}

void get_texts(Reader& in, std::vector<std::string>& texts) {
  uint32_t n = in.get32();
  texts.clear();
  for (uint32_t i = 0; i < n && in.ok(); i++) texts.emplace_back(in.get_text());
}

}  // namespace

void StreamSpec::encode(Buffer& out) const {
  out.put16(kStreamFormat);
  put_texts(out, subjects);
  bool flags[] = {memory, no_ack, allow_direct, discard_new, discard_new_per_subject, sealed, deny_delete, deny_purge,
                  allow_rollup, allow_msg_ttl, mirror, mirror_direct, sourced, counter, allow_atomic, allow_batched,
                  allow_schedules, persist_async, compress, republish_headers_only, restoring};
  uint32_t bits = 0;
  for (size_t i = 0; i < sizeof flags; i++) bits |= (uint32_t)flags[i] << i;
  out.put32(bits);
  for (int64_t v : {max_msgs, max_bytes, max_age_ns, max_msgs_per_subject, max_msg_size, duplicate_window_ns})
    out.put64((uint64_t)v);
  out.put64(first_seq);
  out.put8((uint8_t)retention);
  out.put64((uint64_t)delete_marker_ttl_ns);
  for (const auto* t : texts()) out.put_text(*t);
}

bool StreamSpec::decode(Reader& in) {
  uint16_t format = in.get16();
  if (format < 1 || format > kStreamFormat) return false;
  get_texts(in, subjects);
  uint32_t bits = in.get32();
  bool* flags[] = {&memory, &no_ack, &allow_direct, &discard_new, &discard_new_per_subject, &sealed, &deny_delete,
                   &deny_purge, &allow_rollup, &allow_msg_ttl, &mirror, &mirror_direct, &sourced, &counter,
                   &allow_atomic, &allow_batched, &allow_schedules, &persist_async, &compress, &republish_headers_only,
                   &restoring};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) *flags[i] = bits >> i & 1;
  for (int64_t* v : {&max_msgs, &max_bytes, &max_age_ns, &max_msgs_per_subject, &max_msg_size, &duplicate_window_ns})
    *v = (int64_t)in.get64();
  first_seq = in.get64();
  if (format == 1) return in.ok();
  retention = (Retention)in.get8();
  delete_marker_ttl_ns = (int64_t)in.get64();
  for (auto* t : texts()) *t = in.get_text();
  return in.ok() && retention <= Retention::work_queue;
}

void ConsumerSpec::encode(Buffer& out) const {
  out.put16(kConsumerFormat);
  uint32_t bits = (uint32_t)durable | (uint32_t)memory << 1 | (uint32_t)flow_control << 2 | (uint32_t)headers_only << 3 |
                  (uint32_t)replay_original << 4 | (uint32_t)direct << 5 | (uint32_t)sourcing << 6;
  out.put32(bits);
  out.put8((uint8_t)deliver_policy);
  out.put8((uint8_t)ack_policy);
  out.put64(opt_start_seq);
  for (int64_t v : {opt_start_time_ns, ack_wait_ns, max_deliver, max_ack_pending, max_waiting, max_batch, max_expires_ns, max_bytes,
                    idle_heartbeat_ns, rate_limit_bps, inactive_threshold_ns, pause_until_ns, sample_percent})
    out.put64((uint64_t)v);
  out.put32((uint32_t)backoff_ns.size());
  for (int64_t v : backoff_ns) out.put64((uint64_t)v);
  put_texts(out, filters);
  out.put_text(deliver_subject);
  out.put_text(deliver_group);
  out.put8((uint8_t)priority_policy);
  out.put64((uint64_t)priority_timeout_ns);
  put_texts(out, priority_groups);
}

bool ConsumerSpec::decode(Reader& in) {
  uint16_t format = in.get16();
  if (format < 1 || format > kConsumerFormat) return false;
  uint32_t bits = in.get32();
  durable = bits & 1, memory = bits >> 1 & 1, flow_control = bits >> 2 & 1, headers_only = bits >> 3 & 1;
  replay_original = bits >> 4 & 1, direct = bits >> 5 & 1, sourcing = bits >> 6 & 1;
  deliver_policy = (DeliverPolicy)in.get8();
  ack_policy = (AckPolicy)in.get8();
  opt_start_seq = in.get64();
  for (int64_t* v : {&opt_start_time_ns, &ack_wait_ns, &max_deliver, &max_ack_pending, &max_waiting, &max_batch, &max_expires_ns,
                     &max_bytes, &idle_heartbeat_ns, &rate_limit_bps, &inactive_threshold_ns, &pause_until_ns, &sample_percent})
    *v = (int64_t)in.get64();
  backoff_ns.resize(in.left() >= 4 ? std::min<size_t>(in.get32(), in.left() / 8) : 0);
  for (int64_t& v : backoff_ns) v = (int64_t)in.get64();
  get_texts(in, filters);
  deliver_subject = in.get_text();
  deliver_group = in.get_text();
  if (format == 1) return in.ok();
  priority_policy = (PriorityPolicy)in.get8();
  priority_timeout_ns = (int64_t)in.get64();
  get_texts(in, priority_groups);
  return in.ok() && priority_policy <= PriorityPolicy::prioritized;
}

}  // namespace slipstream
