// Pull requests: which are taken in (C-067..C-076), how they end, who gets the next message, and the client to which a
// pinned_client consumer is pinned (C-096, C-097).
#include <algorithm>

#include "consumer/consumer.hpp"
#include "message/get_request.hpp"
#include "message/message_headers.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr int64_t kCleaningPauseNs = 1'000'000'000;  // a full queue is looked through once in this time
constexpr int kPinIdCharacters = 22;

}  // namespace

// What the consumer's configuration says against a request; empty: nothing.
std::string Consumer::complaint_about(const PullBody& asked) const {
  if (spec.max_batch > 0 && asked.batch > spec.max_batch) return "409 Exceeded MaxRequestBatch of " + std::to_string(spec.max_batch);
  if (asked.expires_ns > 0 && spec.max_expires_ns > 0 && asked.expires_ns > spec.max_expires_ns)
    return "409 Exceeded MaxRequestExpires of " + format_duration(spec.max_expires_ns);
  if (asked.max_bytes > 0 && spec.max_bytes > 0 && asked.max_bytes > spec.max_bytes)
    return "409 Exceeded MaxRequestMaxBytes of " + std::to_string(spec.max_bytes);
  if ((asked.min_pending || asked.min_ack_pending) && spec.priority_policy != PriorityPolicy::overflow)
    return "400 Bad Request - Not a Overflow Priority consumer";
  if (!asked.id.empty() && spec.priority_policy != PriorityPolicy::pinned_client)
    return "400 Bad Request - Not a Pinned Client Priority consumer";
  if (asked.priority < 0 || asked.priority > 9) return "400 Bad Request - Priority must be between 0 and 9";
  if (spec.priority_policy == PriorityPolicy::none || !asked.json) return {};
  if (asked.group.empty()) return "400 Bad Request - Priority Group missing";
  if (std::find(spec.priority_groups.begin(), spec.priority_groups.end(), asked.group) == spec.priority_groups.end())
    return "400 Bad Request - Invalid Priority Group";
  if (pin_.held() && !asked.id.empty() && asked.id != pin_.id) return "423 Nats-Pin-Id mismatch";
  return {};
}

std::string Consumer::next_subject() const { return "$JS.API.CONSUMER.MSG.NEXT." + stream_.name + "." + name; }

void Consumer::on_pull(string_view reply, string_view header, string_view body) {
  if (reply.empty()) return;
  int64_t now = kernel().now.wall_ns;
  last_activity_ns_ = now;
  inactive_again_ns_ = 0;
  if (spec.push()) return status(reply, "409 Consumer is push based");
  if (!header.empty() && level_is_missing(header)) return status(reply, "412 Required Api Level");
  PullBody asked;
  std::string error;
  if (!parse_pull_body(body, asked, error)) {
    if (!error.empty()) return status(reply, "400 Bad Request - " + error);
    // What is wrong with the JSON is said in Python, in Go's words.
    return kernel().hand_to_python(kJetStreamService, stream_.account, 0, next_subject(), reply, {}, body);
  }
  if (std::string complaint = complaint_about(asked); !complaint.empty()) return status(reply, complaint);
  if (pin_.held() && asked.id == pin_.id) pin_.until_ns = saturated_sum(now, spec.priority_timeout_ns);
  if (turned_away(asked, reply)) return;
  PullRequest r;
  r.target.subject = reply;
  r.batch = asked.batch;
  r.max_bytes = asked.max_bytes;
  r.limits_bytes = asked.max_bytes > 0;
  r.no_wait = asked.no_wait;
  r.grouped = asked.json;
  r.priority = asked.priority;
  r.min_pending = asked.min_pending, r.min_ack_pending = asked.min_ack_pending;
  r.group = std::move(asked.group), r.pin_id = std::move(asked.id);
  if (asked.expires_ns != 0) r.expires_ns = saturated_sum(now, std::max<int64_t>(asked.expires_ns, 0));
  if (asked.heartbeat_ns > 0) {
    r.heartbeat_ns = asked.heartbeat_ns;
    r.next_heartbeat_ns = saturated_sum(now, asked.heartbeat_ns);
    next_request_ns_ = std::min(next_request_ns_, r.next_heartbeat_ns);
  }
  if (r.expires_ns) next_request_ns_ = std::min(next_request_ns_, r.expires_ns);
  if (next_request_ns_ != INT64_MAX) kernel().timers.set_earlier(timer_, kernel().monotonic_of(next_request_ns_));
  waiting_.add(std::move(r), spec.priority_policy);
  stream_.index.listen(*this);
  wake();
}

// Is there a place in the queue, and for a request that will not wait, something that earlier ones leave to it?
bool Consumer::turned_away(const PullBody& asked, string_view reply) {
  auto full = [&] { return spec.max_waiting > 0 && (int64_t)waiting_.size() >= spec.max_waiting; };
  if (full() && kernel().now.wall_ns - served_ns_ > kCleaningPauseNs) serve_requests(false);
  std::optional<uint64_t> pending = asked.no_wait ? pending_at_once() : std::nullopt;
  if (pending) {
    uint64_t available = *pending + redelivery_.size() + wanted_again_.size();
    if (available == 0 && asked.expires_ns == 0) {
      status(reply, "404 No Messages");
      return true;
    }
    if (available > 0) {
      serve_requests(false);
      if (available < waiting_.claimed()) {
        status(reply, "408 Requests Pending");
        return true;
      }
    }
  }
  if (!full()) return false;
  // With heartbeats the client notices by their absence; an answer would have it ask again at once, and again.
  if (asked.heartbeat_ns == 0) status(reply, "409 Exceeded MaxWaiting");
  return true;
}

// Ends what has expired or can get nothing more, drops those whose requester is gone, sends due heartbeats.
void Consumer::serve_requests(bool end_of_stream) {
  int64_t now = served_ns_ = kernel().now.wall_ns;
  next_request_ns_ = INT64_MAX;
  for (auto r = waiting_.begin(); r != waiting_.end();) {
    bool expired = r->expires_ns && r->expires_ns <= now;
    bool nothing_more = end_of_stream && r->no_wait && (r->expires_ns == 0 || r->delivered > 0);
    if (expired) status(r->target.subject, "408 Request Timeout", &*r);
    else if (nothing_more) status(r->target.subject, "404 No Messages");
    bool alive = resolve(r->target) > 0;
    if (alive) last_activity_ns_ = now;  // it is used for as long as somebody waits
    if (expired || nothing_more || !alive) {
      r = waiting_.erase(r);
      continue;
    }
    if (r->heartbeat_ns) {
      if (r->next_heartbeat_ns <= now) {
        heartbeat(r->target.subject);
        r->next_heartbeat_ns = saturated_sum(now, r->heartbeat_ns);
      }
      next_request_ns_ = std::min(next_request_ns_, r->next_heartbeat_ns);
    }
    if (r->expires_ns) next_request_ns_ = std::min(next_request_ns_, r->expires_ns);
    ++r;
  }
}

void Consumer::drop_abandoned_requests() {
  for (auto r = waiting_.begin(); r != waiting_.end();) r = resolve(r->target) == 0 ? waiting_.erase(r) : std::next(r);
}

// The request that gets this message: the first that is alive, has room, and to which the policy gives it.
PullRequest* Consumer::request_for(const Offer& offer) {
  int64_t now = kernel().now.wall_ns;
  size_t passed = 0;
  while (!waiting_.empty()) {
    auto r = waiting_.begin();
    if (r->expires_ns && r->expires_ns <= now) {
      status(r->target.subject, "408 Request Timeout", &*r);
    } else if (resolve(r->target) > 0) {
      last_activity_ns_ = now;
      auto fit = WaitingRequests::fit(*r, spec.priority_policy, offer, pin_);
      if (fit == WaitingRequests::Fit::passes) {
        waiting_.pass_over_first();
        if (++passed >= waiting_.size()) return nullptr;
        continue;
      }
      if (fit == WaitingRequests::Fit::wrong_pin) {
        status(r->target.subject, "423 Nats-Wrong-Pin-Id", &*r);
      } else if (r->limits_bytes && (int64_t)offer.bytes > r->max_bytes) {
        status(r->target.subject, "409 Message Size Exceeds MaxBytes", &*r);
      } else {
        if (spec.priority_policy == PriorityPolicy::pinned_client && !pin_.held()) pin_client(*r);
        return &*r;
      }
    }
    waiting_.erase(r);
  }
  return nullptr;
}

void Consumer::release_requests(const char* status_line) {
  for (auto& r : waiting_) status(r.target.subject, status_line, &r);
  waiting_.clear();
}

void Consumer::pin_client(PullRequest& r) {
  if (r.group.empty()) return;
  int64_t now = kernel().now.wall_ns;
  pin_ = {kernel().random_text(kPinIdCharacters), r.group, now, saturated_sum(now, spec.priority_timeout_ns)};
  r.pin_id = pin_.id;
  kernel().timers.set_earlier(timer_, kernel().monotonic_of(pin_.until_ns));
  advise("pinned", 0, 0, 0, 0, pin_.id, pin_.group);
}

void Consumer::pin_timed_out() {
  advise("unpinned", 0, 0, 0, 0, "timeout", pin_.group);
  pin_ = {};
}

void Consumer::unpin() {
  pin_ = {};
  wake();
}

bool Consumer::level_is_missing(string_view header) const {
  return needs_higher_level(header, kernel().limits.api_level);
}

}  // namespace slipstream
