#include "stream/batches/fast_ingest.hpp"

#include <algorithm>

#include "bytes/json_text.hpp"
#include "message/header_block.hpp"
#include "message/message_headers.hpp"
#include "stream/batches/batch_staging.hpp"
#include "stream/publish_errors.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kFastBatchesPerStream = 1000, kFastBatchesPerServer = 50'000;
constexpr uint16_t kFlowMax = 500, kFlowDefault = 10;
constexpr int64_t kFastTimeoutNs = 10'000'000'000;

}  // namespace

bool parse_fast_reply(string_view reply, FastReply& out) {
  reply.remove_suffix(kFastSuffix.size());
  string_view tokens[4];  // operation, sequence, gap mode, flow: from the end
  for (string_view& token : tokens) {
    size_t dot = reply.rfind('.');
    if (dot == string_view::npos) return false;
    token = reply.substr(dot + 1);
    reply = reply.substr(0, dot);
  }
  size_t dot = reply.rfind('.');
  if (dot == string_view::npos) return false;
  out.id = reply.substr(dot + 1);
  int64_t operation = parse_number(tokens[0]), flow = parse_number(tokens[3]);
  if (operation < 0 || operation > FastReply::ping) return false;
  out.operation = (FastReply::Operation)operation;
  if (!parse_unsigned(tokens[1], out.seq) || out.seq == 0 || out.seq == UINT64_MAX) return false;
  if (out.operation == FastReply::start && out.seq != 1) return false;
  if (out.seq == 1 && (out.operation == FastReply::append || out.operation == FastReply::commit_end)) return false;
  if (tokens[2] != "ok" && tokens[2] != "fail") return false;
  out.gap_fail = tokens[2] == "fail";
  out.flow = flow <= 0 ? kFlowDefault : (uint16_t)std::min<int64_t>(flow, UINT16_MAX);
  return true;
}

int64_t FastIngest::timeout_ns() const {
  int64_t set = stream_.host.kernel.limits.batch_timeout_ns;
  return set > 0 ? set : kFastTimeoutNs;
}

// ------------------------------------------------------------------ messages that come in

void FastIngest::take(string_view subject, string_view reply, string_view header, string_view body) {
  FastReply r;
  bool valid = parse_fast_reply(reply, r);
  if (refuses(reply, r, valid, header.size(), body.size())) return;
  auto it = open(reply, r);
  if (it == batches_.end()) return;
  std::string plain;
  if (string_view level = header.empty() ? string_view() : scan_headers(header).required_level; !level.empty()) {
    if (!stream_.level_is_met(level)) {
      drop(it);
      return stream_.answer_error(reply, kRequiredLevel);
    }
    plain = without_header(header, "Nats-Required-Api-Level");
    header = plain;
  }
  Batch& b = it->second;
  touch(b);
  if (r.operation == FastReply::ping) return on_ping(it, reply, r);
  if (b.committing) return;  // it ends already; the publisher waits for the acknowledgement
  if (!in_order(it, reply, r)) return;
  if (r.operation == FastReply::commit_end) {
    b.seen--;
    if (b.pending == 0) b.stored = b.seen;
    commit(it, std::string(reply));
    return;
  }
  if (r.operation == FastReply::commit) b.committing = true, b.commit_reply = reply;
  if (r.seq == 1 && !r.commits() && !stream_.spec.no_ack) send_flow(0, b, reply);
  b.pending++;
  LoggedMessage m{.subject = subject, .header = header, .body = body, .in_fast_batch = true};
  m.fast = {b.number, stream_.group.applied, b.gap_fail};
  stream_.append(m, reply);
}

// In nats-server's order. What is refused here does not count as a message of the batch: it leaves a gap.
bool FastIngest::refuses(string_view reply, const FastReply& r, bool valid, size_t header, size_t body) {
  const PublishError* error = nullptr;
  const PublishError refusal = stream_.host.refusal();
  if (stream_.group.logged && !stream_.host.takes_publishes()) error = &refusal;
  else if (stream_.spec.sealed) error = &kSealed;
  else if (stream_.too_large(header, body)) error = &kMsgTooLarge;
  else if (!stream_.spec.allow_batched) error = &kFastDisabled;
  else if (!valid) error = &kFastPatternInvalid;
  else if (r.id.size() > kBatchIdBytesMax) error = &kFastIdInvalid;
  else if (stream_.is_full()) error = &kTooManyRequests;
  if (error && !stream_.spec.no_ack) stream_.answer_error(reply, *error);
  return error;
}

FastIngest::Batches::iterator FastIngest::open(string_view reply, const FastReply& r) {
  auto it = batches_.find(r.id);
  if (it != batches_.end()) return it;
  const KernelLimits& limits = stream_.host.kernel.limits;
  uint64_t per_stream = limits.batches_per_stream > 0 ? (uint64_t)limits.batches_per_stream : kFastBatchesPerStream;
  uint64_t per_server = limits.batches_total > 0 ? (uint64_t)limits.batches_total : kFastBatchesPerServer;
  const PublishError* error = nullptr;
  if (r.seq != 1 || r.operation == FastReply::ping) error = &kFastIdUnknown;
  else if (batches_.size() + 1 > per_stream || stream_.host.open_fast_batches + 1 > per_server) error = &kTooManyFastBatches;
  if (error) {
    if (!stream_.spec.no_ack) stream_.answer_error(reply, *error);
    return batches_.end();
  }
  stream_.host.open_fast_batches++;
  it = batches_.emplace(r.id, Batch()).first;
  Batch& b = it->second;
  b.number = stream_.host.kernel.random();
  b.gap_fail = r.gap_fail;
  b.flow_max = r.flow;
  b.flow = batches_.size() > 1 ? 1 : std::min(kFlowMax, r.flow);
  return it;
}

// "Have you got everything up to here?" Repeats the acknowledgement that the publisher waits for.
void FastIngest::on_ping(Batches::iterator it, string_view reply, const FastReply& r) {
  Batch& b = it->second;
  bool acknowledge = true;
  if (r.seq > b.seen) {
    send_gap(b.seen + 1, r.seq + 1, reply);
    if (!b.gap_fail) {
      b.seen = r.seq;
      if (b.pending == 0) b.stored = b.seen;
      acknowledge = !acknowledge_flow(b, reply);
    } else if (commit(it, std::string(reply))) {
      return;
    }
  }
  if (acknowledge) send_flow(b.told, b, reply);
}

// A message behind a gap goes on where gaps are allowed; otherwise the batch ends with what came before it.
bool FastIngest::in_order(Batches::iterator it, string_view reply, const FastReply& r) {
  Batch& b = it->second;
  uint64_t expected = b.seen + 1;
  if (r.seq != expected) send_gap(expected, r.seq, reply);
  if (r.seq == expected || (!b.gap_fail && r.seq > expected)) {
    b.seen = r.seq;
    return true;
  }
  commit(it, std::string(reply));
  return false;
}

// True: everything was applied, the publisher has its acknowledgement and the batch is gone. Otherwise that comes later.
bool FastIngest::commit(Batches::iterator it, std::string reply) {
  Batch& b = it->second;
  b.committing = true;
  b.commit_reply = std::move(reply);
  if (b.pending || b.seen != b.stored) return false;
  std::string id = it->first;
  Batch done = std::move(b);
  drop(it);
  send_ack(id, done, done.commit_reply);
  return true;
}

// ------------------------------------------------------------------ messages that were applied

void FastIngest::applied(string_view reply, const LoggedMessage& m, const PublishVerdict& v) {
  FastReply r;
  if (!parse_fast_reply(reply, r)) return;
  auto it = batches_.find(r.id);
  if (it == batches_.end() || it->second.number != m.fast.number) return;  // it timed out
  Batch& b = it->second;
  if (b.pending) b.pending--;
  if (v.error) return failed(it, reply, r, v);
  if (v.duplicate && r.operation == FastReply::commit && b.gap_fail && r.seq == 1) {
    std::string fields = ",\"batch\":\"";
    append_json_text(fields, it->first);
    drop(it);
    return stream_.answer_duplicate(reply, v.seq, fields + "\",\"count\":1");
  }
  if (!v.duplicate) b.stream_seq = v.seq;
  b.stored = b.pending == 0 ? b.seen : r.seq;  // between the pending ones lie only duplicates and gaps
  bool done = b.committing && b.pending == 0;
  if (v.duplicate || !done) acknowledge_flow(b, reply);
  if (done) commit(it, b.commit_reply);
}

void FastIngest::failed(Batches::iterator it, string_view reply, const FastReply& r, const PublishVerdict& v) {
  Batch& b = it->second;
  if (b.gap_fail && r.seq == 1) {  // as a publish of its own
    drop(it);
    if (!stream_.spec.no_ack) stream_.answer_verdict(reply, v);
    return;
  }
  stream_.answer(reply, "{\"type\":\"err\",\"seq\":" + std::to_string(r.seq) + ",\"error\":" + error_json(v) + "}");
  if (b.gap_fail) {  // what follows of this batch is dropped as it is applied
    b.seen = b.stored = r.seq - 1;
    b.pending = 0;
    commit(it, std::string(reply));
  } else {
    if (r.operation == FastReply::commit) b.seen--;
    if (!b.committing || b.pending) return;
    b.stored = b.seen;
    commit(it, b.commit_reply);
  }
}

// The log takes neither this message nor those behind it. Messages before it may still be on their way: the acknowledgement of a
// batch without gaps waits for them.
void FastIngest::refused(string_view reply, const LoggedMessage& m, const PublishVerdict& v) {
  FastReply r;
  if (!parse_fast_reply(reply, r)) return;
  auto it = batches_.find(r.id);
  if (it == batches_.end() || it->second.number != m.fast.number) {
    if (!stream_.spec.no_ack) stream_.answer_verdict(reply, v);
    return;
  }
  Batch& b = it->second;
  if (b.pending) b.pending--;
  if (!b.gap_fail || r.seq == 1) return failed(it, reply, r, v);
  if (!b.cut_short) {
    b.cut_short = b.committing = true;
    b.seen = r.seq - 1;
    b.commit_reply = reply;
    stream_.answer(reply, "{\"type\":\"err\",\"seq\":" + std::to_string(r.seq) + ",\"error\":" + error_json(v) + "}");
  }
  if (b.pending) return;
  b.stored = b.seen;
  commit(it, b.commit_reply);
}

void FastIngest::ended(string_view reply) {
  if (!stream_.spec.no_ack) stream_.answer_error(reply, kFastIdUnknown);
}

// ------------------------------------------------------------------ what the publisher is told

// The publishers of a stream share its flow: who has less than its share gets more by and by, who has more gets less.
bool FastIngest::acknowledge_flow(Batch& b, string_view reply) {
  if (b.stored < b.told + b.flow) return false;
  b.told += (b.stored - b.told) / b.flow * b.flow;
  uint16_t share = (uint16_t)std::max<size_t>(kFlowMax / batches_.size(), 1);
  share = std::min(share, b.flow_max);
  if (b.flow < share) b.flow = (uint16_t)std::min<uint32_t>(b.flow * 2u, share);
  else if (b.flow > share) b.flow = (uint16_t)std::max<uint32_t>(b.flow / 2u, share);
  send_flow(b.told, b, reply);
  return true;
}

void FastIngest::send_flow(uint64_t seq, const Batch& b, string_view reply) {
  char text[80];
  int n = snprintf(text, sizeof text, "{\"type\":\"ack\",\"seq\":%llu,\"msgs\":%u}", (unsigned long long)seq, b.flow);
  stream_.answer(reply, {text, (size_t)n});
}

void FastIngest::send_gap(uint64_t expected, uint64_t seq, string_view reply) {
  stream_.answer(reply, "{\"type\":\"gap\",\"last_seq\":" + std::to_string(expected) + ",\"seq\":" + std::to_string(seq) + "}");
}

void FastIngest::send_ack(const std::string& id, const Batch& b, string_view reply) {
  if (stream_.spec.no_ack) return;
  std::string fields = ",\"batch\":\"";
  append_json_text(fields, id);
  stream_.answer_stored(reply, b.stream_seq, fields + "\",\"count\":" + std::to_string(b.seen));
}

// ------------------------------------------------------------------ batches that end

void FastIngest::touch(Batch& b) {
  b.deadline_ns = saturated_sum(stream_.host.kernel.now.monotonic_ns, timeout_ns());
  stream_.host.kernel.timers.set_earlier(timer_, b.deadline_ns);
}

void FastIngest::drop(Batches::iterator it) {
  stream_.host.open_fast_batches--;
  batches_.erase(it);
  if (batches_.empty()) stream_.host.kernel.timers.cancel(timer_);
}

void FastIngest::drop_all() {
  while (!batches_.empty()) drop(batches_.begin());
}

void FastIngest::on_timer() {
  int64_t now = stream_.host.kernel.now.monotonic_ns, next = INT64_MAX;
  std::vector<std::string> due;
  for (auto& [id, b] : batches_) {
    if (b.pending) b.deadline_ns = std::max(b.deadline_ns, saturated_sum(now, timeout_ns()));  // the log is slow, not the publisher
    if (b.deadline_ns <= now) due.push_back(id);
    else next = std::min(next, b.deadline_ns);
  }
  for (const auto& id : due) drop(batches_.find(id));
  if (next != INT64_MAX) stream_.host.kernel.timers.set(timer_, next);
}

}  // namespace slipstream
