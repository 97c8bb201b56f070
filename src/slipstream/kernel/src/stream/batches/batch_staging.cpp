#include "stream/batches/batch_staging.hpp"

#include <algorithm>

#include "bytes/json_text.hpp"
#include "message/header_block.hpp"
#include "message/logged_message.hpp"
#include "message/message_headers.hpp"
#include "stream/publish_errors.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kBatchesPerStream = 50, kBatchesPerServer = 1000, kMessagesPerBatch = 1000;
constexpr int64_t kBatchTimeoutNs = 10'000'000'000;

}  // namespace

int64_t BatchStaging::timeout_ns() const {
  int64_t set = stream_.host.kernel.limits.batch_timeout_ns;
  return set > 0 ? set : kBatchTimeoutNs;
}

uint64_t BatchStaging::messages_max() const {
  int64_t set = stream_.host.kernel.limits.batch_messages;
  return set > 0 ? (uint64_t)set : kMessagesPerBatch;
}

void BatchStaging::take(string_view subject, string_view reply, string_view header, string_view body) {
  PublishHeaders h = scan_headers(header);
  auto refuse = [&](const PublishError& error) { stream_.answer_error(reply, error); };
  if (stream_.spec.sealed) return refuse(kSealed);
  if (stream_.too_large(header.size(), body.size())) return refuse(kMsgTooLarge);
  if (h.batch_id.size() > kBatchIdBytesMax) return refuse(kBatchIdInvalid);
  uint64_t seq = 0;
  if (!parse_unsigned(h.batch_sequence, seq)) return refuse(kBatchSequenceMissing);
  bool commits = h.batch_commit.data() != nullptr, end_only = h.batch_commit == "eob";
  LoggedMessage m{.subject = subject, .header = header, .body = body};
  if (bytes_ + stream_.bytes_in_flight() + m.size() > kStreamInflightBytes || stream_.host.staged_bytes + m.size() > kStagedBytesMax)
    return refuse(kTooManyRequests);

  if (uint32_t full = stream_.limits_verdict(subject.size(), header.size(), body.size()))
    return refuse(full & kServerFull ? kServerLimit : kAccountLimit);

  auto it = open(h.batch_id, seq, end_only, reply);
  if (it == batches_.end()) return;
  if (commits && !end_only && h.batch_commit != "1") {
    drop(it);
    return refuse(kBatchCommitInvalid);
  }
  std::string plain;
  if (!h.required_level.empty()) {
    if (!stream_.level_is_met(h.required_level)) {
      abandon(it, "unsupported");
      return refuse(kRequiredLevel);
    }
    plain = without_header(header, "Nats-Required-Api-Level");
    m.header = plain;
  }
  if (!continues(it, seq, end_only, reply)) return;
  if (!end_only) {
    Batch& b = it->second;
    size_t before = b.messages.size();
    m.encode(b.messages);
    b.count++;
    bytes_ += b.messages.size() - before;
    stream_.host.staged_bytes += b.messages.size() - before;
  }
  if (commits) return commit(it, reply, end_only);
  stream_.answer(reply, {});  // an empty one: received (S-216)
}

// The batch of this name, opened by its first message; end() when the message was refused.
BatchStaging::Batches::iterator BatchStaging::open(string_view id, uint64_t seq, bool end_only, string_view reply) {
  auto it = batches_.find(id);
  if (it != batches_.end()) return it;
  if (seq != 1) {
    if (seq - end_only > messages_max()) stream_.answer_batch_too_large(reply, messages_max());
    else stream_.answer_error(reply, kBatchIncomplete);
    return batches_.end();
  }
  const KernelLimits& limits = stream_.host.kernel.limits;
  uint64_t per_stream = limits.batches_per_stream > 0 ? (uint64_t)limits.batches_per_stream : kBatchesPerStream;
  uint64_t per_server = limits.batches_total > 0 ? (uint64_t)limits.batches_total : kBatchesPerServer;
  if (batches_.size() + 1 > per_stream || stream_.host.open_batches + 1 > per_server) {
    stream_.answer_error(reply, kTooManyBatches);
    return batches_.end();
  }
  stream_.host.open_batches++;
  return batches_.emplace(id, Batch()).first;
}

// Its sequence is the next one and not too high; otherwise the batch is over and the message answered.
bool BatchStaging::continues(Batches::iterator it, uint64_t seq, bool end_only, string_view reply) {
  Batch& b = it->second;
  b.deadline_ns = saturated_sum(stream_.host.kernel.now.monotonic_ns, timeout_ns());
  stream_.host.kernel.timers.set_earlier(timer_, b.deadline_ns);
  if (++b.last_seq != seq || (seq == 1 && end_only)) {
    abandon(it, "incomplete");
    stream_.answer_error(reply, kBatchIncomplete);
    return false;
  }
  if (seq - end_only > messages_max()) {
    abandon(it, "large");
    stream_.answer_batch_too_large(reply, messages_max());
    return false;
  }
  return true;
}

void BatchStaging::commit(Batches::iterator it, string_view reply, bool end_only) {
  std::string fields = ",\"batch\":\"";
  append_json_text(fields, it->first);
  fields += "\",\"count\":" + std::to_string(it->second.count);
  uint32_t count = it->second.count;
  bytes_ -= it->second.messages.size();
  stream_.host.staged_bytes -= it->second.messages.size();
  Buffer messages = std::move(it->second.messages);
  drop(it);
  stream_.propose_batch(messages.view(), count, end_only, reply, fields);
}

void BatchStaging::drop(Batches::iterator it) {
  bytes_ -= it->second.messages.size();
  stream_.host.staged_bytes -= it->second.messages.size();
  stream_.host.open_batches--;
  batches_.erase(it);
  if (batches_.empty()) stream_.host.kernel.timers.cancel(timer_);
}

void BatchStaging::abandon(Batches::iterator it, const char* reason) {
  std::string id = it->first;
  drop(it);
  stream_.advise_batch_abandoned(id, reason);
}

void BatchStaging::drop_all() {
  while (!batches_.empty()) drop(batches_.begin());
}

void BatchStaging::on_timer() {
  int64_t now = stream_.host.kernel.now.monotonic_ns, next = INT64_MAX;
  std::vector<std::string> due;
  for (auto& [id, b] : batches_) {
    if (b.deadline_ns <= now) due.push_back(id);
    else next = std::min(next, b.deadline_ns);
  }
  std::sort(due.begin(), due.end());  // a seed repeats a run
  for (const auto& id : due) abandon(batches_.find(id), "timeout");
  if (next != INT64_MAX) stream_.host.kernel.timers.set(timer_, next);
}

}  // namespace slipstream
