// Delivery: which message goes out next, to whom, and when. Pull requests, push subjects, heartbeats, redelivery timers. Runs
// on the leader, in the turn; what it did is told to the log as one entry per turn.
#include <algorithm>

#include "consumer/consumer.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr int kMessagesPerRun = 2048;
constexpr size_t kBytesPerRun = 2 << 20;          // then other consumers have their turn
constexpr size_t kCongestedBytes = 4 << 20;       // pending output of the receiver at which delivery waits
constexpr size_t kAckNumbersBytes = 5 * 20 + 4;    // of an acknowledgement's subject: five numbers and the dots between them
constexpr int kExpiredPerTurn = 8192;             // deliveries of a consumer whose ack wait is over
constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kInactiveAgainNs = 10'000'000'000;  // a deletion that the log had no room for is proposed again
constexpr int64_t kPassAgainNs = 1'000'000'000;   // where the log had no room for what settles a delivery
constexpr int64_t kLongestPauseNs = 1'000'000'000'000'000'000;  // of a rate limit near nothing: 31 years

// A header block, which may be empty, with one more line at its end.
std::string with_header(string_view block, string_view name, string_view value) {
  std::string out(block.empty() ? string_view("NATS/1.0\r\n") : block.substr(0, block.size() - 2));
  return out.append(name).append(": ").append(value).append("\r\n\r\n");
}

}  // namespace

void Consumer::wake() { host_.mark_ready(*this); }

bool Consumer::paused() const { return spec.pause_until_ns > kernel().now.wall_ns; }

int64_t Consumer::ack_wait_of(const ConsumerSpec& s, uint32_t deliveries) {
  if (s.backoff_ns.empty()) return s.ack_wait_ns;
  return s.backoff_ns[std::min<size_t>(deliveries ? deliveries - 1 : 0, s.backoff_ns.size() - 1)];
}

int64_t Consumer::wait_ns(uint32_t deliveries) const { return ack_wait_of(spec, deliveries); }

// A consumer that is acknowledged by flow control delivers again after a reset only, never because time has passed.
int64_t Consumer::ack_deadline_ns(int64_t sent_ns, uint32_t deliveries) const {
  return spec.ack_policy == AckPolicy::flow_control ? INT64_MAX : saturated_sum(sent_ns, wait_ns(deliveries));
}

bool Consumer::stalled_by_ack_pending() const {
  return spec.ack_policy != AckPolicy::none && spec.max_ack_pending > 0 && ack_pending() >= (size_t)spec.max_ack_pending;
}

// ------------------------------------------------------------------ receivers

// The number of receivers that `target` has now.
size_t Consumer::resolve(DeliveryTarget& t) {
  SubjectTrie& trie = stream_.account.trie;
  if (t.seen_changes != trie.changes()) {
    trie.match_uncached(t.subject, t.match);
    t.seen_changes = trie.changes();
  }
  return t.match.plain.size() + t.match.queues.size();
}

// A push target is looked up when interest in its subject changes, a pull target before each use.
bool Consumer::congested(DeliveryTarget& t) {
  if (!spec.push()) resolve(t);
  if (t.match.plain.size() != 1) return false;
  Subscription* s = t.match.plain[0];
  if (s->kind == SubscriptionKind::feed) return static_cast<Feed*>(s->target)->behind();
  return s->connection && s->connection->pending() > kCongestedBytes;
}

void Consumer::send(DeliveryTarget& t, const StoredMessage& m, string_view ack_reply) {
  if (t.match.plain.size() == 1 && t.match.queues.empty() && t.match.plain[0]->kind == SubscriptionKind::client)
    return kernel().deliver(t.match.plain[0], m.subject, ack_reply, m.header, m.body);
  kernel().route(stream_.account, t.match, m.subject, ack_reply, m.header, m.body, nullptr);
}

void Consumer::status(string_view to, const std::string& line, const PullRequest* left, string_view reply) {
  std::string header = "NATS/1.0 " + line + "\r\n";
  if (left)
    header += "Nats-Pending-Messages: " + std::to_string(left->batch) +
              "\r\nNats-Pending-Bytes: " + std::to_string(left->max_bytes) + "\r\n";
  header += "\r\n";
  kernel().publish(stream_.account, to, reply, header, {});
}

void Consumer::heartbeat(string_view to) {
  std::string line = "100 Idle Heartbeat\r\nNats-Last-Consumer: " + std::to_string(consumer_seq_) +
                     "\r\nNats-Last-Stream: " + std::to_string(cursor_);
  if (!flow_id_.empty()) line += "\r\nNats-Consumer-Stalled: " + flow_id_;
  status(to, line);
}

// Push: is there somebody to deliver to? That takes a subscription on exactly the deliver subject: a plain one, or, with a
// group, a member of that queue group. Once there is one, everybody else who listens hears what is delivered.
bool Consumer::has_push_receiver() const {
  auto literal = [&](const Subscription* s) { return s->subject == spec.deliver_subject; };
  const MatchResult& m = push_target_.match;
  if (spec.deliver_group.empty()) return std::any_of(m.plain.begin(), m.plain.end(), literal);
  for (auto& members : m.queues)
    if (!members.empty() && members[0]->queue == spec.deliver_group) return std::any_of(members.begin(), members.end(), literal);
  return false;
}

// On the deliver subject; wildcard subscriptions that come and go are noticed before a delivery.
void Consumer::interest_changed() {
  if (!spec.push()) return;
  resolve(push_target_);
  bool now_active = has_push_receiver();
  if (now_active != active_) last_activity_ns_ = kernel().now.wall_ns;
  active_ = now_active;
  inactive_again_ns_ = 0;
  if (active_) {
    stream_.index.listen(*this);
    wake();
  } else {
    rearm();
  }
}

// ------------------------------------------------------------------ the run of a turn

bool Consumer::run() {
  if (stream_.deleted || stream_.group.offline || stream_.working() || held || resets_under_way_ || !pull_subscription_) return false;
  bool by_ack_limit = false;
  size_t bytes = 0;
  bool more = false;
  if (stream_.group.logged && host_.parks_deliveries()) {  // the log has no room for what they would become
    host_.park(*this);
    return false;
  }
  for (int n = 0; !paused(); n++) {
    // Subscriptions may have come or gone with the message before (UNSUB with a maximum, a deleted stream).
    if (spec.push() && push_target_.seen_changes != stream_.account.trie.changes()) interest_changed();
    if (spec.push() ? !active_ || (window_bytes_ > 0 && window_used_ > window_bytes_) : waiting_.empty()) break;
    if (n == kMessagesPerRun || bytes >= kBytesPerRun) {
      more = true;
      break;
    }
    DeliveryTarget& next_target = spec.push() ? push_target_ : waiting_.front().target;
    if (congested(next_target)) {
      host_.park(*this);
      break;
    }
    if (not_before_ns_ > kernel().now.wall_ns) break;
    uint64_t seq = next_redelivery();
    PendingDelivery* again = seq ? pending_.find(seq) : nullptr;
    if (!seq) {
      if ((by_ack_limit = stalled_by_ack_pending())) break;
      seq = next_listed();
      if (!seq) seq = next_to_deliver(more);
      if (!seq) break;
    }
    if ((more = !count_pending(host_.search))) break;  // which each delivery tells
    StoredMessage m;
    ReadStatus read = store().read(seq, m, reader_);
    if (read == ReadStatus::pending) {
      reader_.ready = [this] { wake(); };
      break;
    }
    if (read == ReadStatus::missing) {
      pass_missing(seq, again);
      continue;
    }
    if (read != ReadStatus::ok) {
      pass_damaged(seq, again);
      continue;
    }
    size_t size = m.subject.size() + m.header.size() + m.body.size();
    Outcome outcome = deliver_one(seq, again, m);
    if (outcome == Outcome::wait) break;
    bytes += size;
  }
  int64_t now = kernel().now.wall_ns;
  if (!more && !waiting_.empty() && ((waiting_.no_waits() && !by_ack_limit) || next_request_ns_ <= now))
    serve_requests(!by_ack_limit && wanted_again_.empty());
  if (PendingDelivery* p = pending_.earliest(); p && p->deadline_ns != INT64_MAX)
    kernel().timers.set_earlier(timer_, kernel().monotonic_of(p->deadline_ns));
  if (not_before_ns_ > now) kernel().timers.set_earlier(timer_, kernel().monotonic_of(not_before_ns_));
  return more;
}

// It stays in the stream, also where retention goes by acknowledgements: nobody has had it. To the consumer it is a message whose
// last delivery is over. Who counts deliveries to notice that one is missing must not: then only the cursor moves.
void Consumer::pass_damaged(uint64_t seq, PendingDelivery* again) {
  stream_.found_damaged(seq);
  bool counted = spec.ack_policy == AckPolicy::none || spec.ack_policy == AckPolicy::flow_control;
  if (!again && counted) return pass_missing(seq, nullptr);
  if (!again) {
    record_delivery(seq, nullptr, 1);
    again = pending_.find(seq);
  }
  DeliveriesUnderWay::First* first = under_way_.find(seq);
  (first ? first->acking : again->acking) = true;
  Buffer payload = host_.buffer();
  payload.put32(id);
  payload.put64(seq);
  // The log has the delivery before what ends it.
  if (log_deliveries() && host_.propose(stream_.group, EntryKind::exceeded, std::move(payload), false, 0, {}, true)) return;
  if (first) first->acking = false;
  else pass_later(again);
}

// The log has no room for what settles a delivery: it is looked at again a second later. Its deadline stays as the log has it.
void Consumer::pass_later(PendingDelivery* p) {
  p->acking = false;
  if (p->queued) redelivery_.take_out(p, pending_);
  pending_.stop_timing(p);
  int64_t when = saturated_sum(kernel().now.wall_ns, kPassAgainNs);
  settle_later_.emplace_back(when, p->stream_seq);
  kernel().timers.set_earlier(timer_, kernel().monotonic_of(when));
}

// Removals settle what waits for a message (message_removed, many_removed), so that no delivery should find one missing. It is no
// damage if one does: the consumer goes on behind it, and the log says that the delivery is settled.
void Consumer::pass_missing(uint64_t seq, PendingDelivery* again) {
  if (again) {
    again->acking = true;
    Buffer payload = host_.buffer();
    payload.put32(id);
    payload.put64(seq), payload.put32(1), payload.put64(0);  // one range, and the end of the ranges
    payload.put64((uint64_t)acked_ns_);
    if (!host_.propose(stream_.group, EntryKind::acks, std::move(payload), false, 0, {}, true)) pass_later(again);
    return;
  }
  uint64_t from = counted_from();
  bool listed = next_listed();
  if (!listed && memo_.valid && seq <= memo_.upto && store().live(seq)) memo_.count--;
  cursor_ = seq;
  pass_listed();
  if (listed && counted_from() != from) memo_ = {};
}

bool Consumer::had_all_deliveries(const PendingDelivery& p) const {
  return spec.max_deliver > 0 && p.deliveries >= (uint64_t)spec.max_deliver;
}

// It has had its last delivery: the log says so.
void Consumer::give_up(PendingDelivery* p) {
  p->acking = true;
  Buffer payload = host_.buffer();
  payload.put32(id);
  payload.put64(p->stream_seq);
  if (host_.propose(stream_.group, EntryKind::exceeded, std::move(payload), false, 0, {}, true))
    return advise("max_deliver", p->stream_seq, p->consumer_seq, p->deliveries, 0, {});
  pass_later(p);
}

uint64_t Consumer::next_redelivery() {
  while (!redelivery_.empty()) {
    uint64_t seq = redelivery_.front();
    PendingDelivery* p = pending_.find(seq);
    if (!is_acking(*p)) {
      if (!had_all_deliveries(*p)) return seq;
      give_up(p);
    }
    if (p->queued) redelivery_.take_out(p, pending_);
  }
  return 0;
}

void Consumer::queue_redelivery(PendingDelivery* p) {
  if (p->queued || is_acking(*p)) return;
  if (p->under_way) wanted_again_.insert(p->stream_seq);
  else redelivery_.push(p);
}

Work Consumer::redeliver_all_pending() {
  std::vector<uint64_t> seqs;
  under_way_.each([this](const DeliveriesUnderWay::First& f) {
    if (!f.acking) wanted_again_.insert(f.stream_seq);
  });
  for (PendingDelivery* p = pending_.first(); p; p = pending_.next(p)) seqs.push_back(p->stream_seq);
  co_await sort_in_slices(seqs, host_.share);
  for (uint64_t seq : seqs) {
    if (PendingDelivery* p = pending_.find(seq)) queue_redelivery(p);
    if (host_.share.spent()) co_await stream_.pause();
  }
}

// Rate limit and replay at the original pace: true when this message is not due yet.
bool Consumer::held_back(const StoredMessage& m, size_t bytes) {
  int64_t now = kernel().now.wall_ns;
  if (spec.replay_original && replay_last_ns_ && m.seq <= replay_upto_) {
    int64_t apart_ns = saturated_difference(m.time_ns, replay_last_ns_), due = saturated_sum(replay_sent_ns_, apart_ns);
    if (apart_ns > kMillisecond && due > now) {
      not_before_ns_ = due;
      return true;
    }
  }
  if (spec.rate_limit_bps > 0 && !acquire_rate(bytes)) return true;
  replay_last_ns_ = m.time_ns;
  replay_sent_ns_ = now;
  return false;
}

// A bucket that holds the largest message (C-105). One that is larger still goes when the bucket is full.
bool Consumer::acquire_rate(size_t bytes) {
  int64_t now = kernel().now.wall_ns;
  int64_t largest = stream_.spec.max_msg_size > 0 ? stream_.spec.max_msg_size : kernel().limits.max_payload;
  double rate = (double)spec.rate_limit_bps / 8, burst = (double)largest;
  if (tokens_at_ns_ == 0) tokens_ = burst;
  else tokens_ = std::min(burst, tokens_ + rate * (double)(now - tokens_at_ns_) / 1e9);
  tokens_at_ns_ = now;
  double missing = std::min((double)bytes, burst) - tokens_;
  if (missing > 0) {
    double wait_ns = std::min(missing / rate * 1e9, (double)kLongestPauseNs);
    not_before_ns_ = saturated_sum(now, (int64_t)wait_ns + kMillisecond);
    return false;
  }
  tokens_ -= (double)bytes;
  return true;
}

Consumer::Outcome Consumer::deliver_one(uint64_t seq, PendingDelivery* again, StoredMessage m) {
  uint32_t deliveries = again ? again->deliveries + 1 : 1;
  uint64_t left = num_pending();
  if (!again && left) left--;
  char short_ack[600];
  std::string long_ack;  // names of 255 bytes, and a domain of any length
  size_t n = ack_prefix_.size();
  if (n + kAckNumbersBytes > sizeof short_ack) [[unlikely]] long_ack.resize(n + kAckNumbersBytes);
  char* ack = long_ack.empty() ? short_ack : long_ack.data();
  memcpy(ack, ack_prefix_.data(), n);
  for (uint64_t v : {(uint64_t)deliveries, seq, consumer_seq_ + 1, (uint64_t)m.time_ns}) {
    n += format_u64(ack + n, v);
    ack[n++] = '.';
  }
  n += format_u64(ack + n, left);
  string_view ack_reply(ack, n);
  std::string sized;
  if (spec.headers_only) {
    sized = with_header(m.header, "Nats-Msg-Size", std::to_string(m.body.size()));
    m.header = sized;
    m.body = {};
  }
  size_t size = m.subject.size() + n + m.header.size() + m.body.size();
  if ((spec.replay_original || spec.rate_limit_bps > 0) && held_back(m, size)) return Outcome::wait;
  if (spec.push()) {
    record_delivery(seq, again, deliveries);
    send(push_target_, m, ack_reply);
    if (spec.flow_control) flow_control(size);
    if (spec.idle_heartbeat_ns) next_heartbeat_ns_ = saturated_sum(kernel().now.wall_ns, spec.idle_heartbeat_ns);
    return Outcome::delivered;
  }
  PullRequest* r = request_for({size, left + 1, ack_pending()});
  if (!r) return Outcome::wait;
  record_delivery(seq, again, deliveries);
  r->delivered++;
  r->batch--;
  if (r->limits_bytes) r->max_bytes -= (int64_t)size;
  bool bytes_used_up = r->limits_bytes && r->max_bytes == 0;
  std::string pinned;
  if (spec.priority_policy == PriorityPolicy::pinned_client) m.header = pinned = with_header(m.header, "Nats-Pin-Id", pin_.id);
  send(r->target, m, ack_reply);
  if (r->batch <= 0 || bytes_used_up) {
    if (r->limits_bytes && !bytes_used_up) {
      r->batch = 0;
      status(r->target.subject, "409 Batch Completed", r);
    }
    waiting_.erase(waiting_.begin());
  } else {
    if (r->heartbeat_ns) r->next_heartbeat_ns = saturated_sum(kernel().now.wall_ns, r->heartbeat_ns);
    waiting_.requeue_first(spec.priority_policy);
  }
  return Outcome::delivered;
}

// It is under way now, and becomes a part of the consumer's state when the log says so. Nothing logs the deliveries of a consumer
// that lives with the process: to it they happen at once.
void Consumer::record_delivery(uint64_t seq, PendingDelivery* again, uint32_t deliveries) {
  int64_t now = kernel().now.wall_ns;
  consumer_seq_++;
  delivered_ns_ = last_activity_ns_ = now;
  if (again) {
    redelivery_.take_out(again, pending_);
    pending_.begin_redelivery(again);
  } else {
    bool listed = next_listed();
    cursor_ = newest_delivered_ = seq;
    if (listed) {
      if (!next_listed()) cursor_ = std::max(seq, resume_after_);
      if (counted_from() != resume_after_) memo_ = {};
    } else if (memo_.valid && seq <= memo_.upto && memo_.count) {
      memo_.count--;
    }
  }
  if (stream_.forgets(spec)) {
    before_change();
    applied_delivered_ns_ = now;
    delivered(seq, consumer_seq_, now, deliveries);
    pass_listed();
    return stream_.index.hold(*this);
  }
  if (!again && spec.ack_policy != AckPolicy::none) {
    under_way_.add(seq, consumer_seq_, now);
    stream_.index.hold(*this);
  }
  if (!delivered_.empty()) {
    Range& r = delivered_.back();
    if (r.deliveries == 1 && deliveries == 1 && r.stream_seq + r.count == seq && r.consumer_seq + r.count == consumer_seq_) {
      r.count++;
      return;
    }
  }
  delivered_.push_back({seq, consumer_seq_, 1, deliveries});
  host_.mark_delivered(*this);
}

bool Consumer::log_deliveries() {
  propose_delivered();
  return delivered_.empty();
}

void Consumer::propose_delivered() {
  if (delivered_.empty()) return;
  Buffer payload = host_.buffer();
  payload.put32(id);
  payload.put64((uint64_t)kernel().now.wall_ns);
  payload.put32((uint32_t)delivered_.size());
  for (const Range& r : delivered_) {
    payload.put64(r.stream_seq), payload.put64(r.consumer_seq);
    payload.put32(r.count), payload.put32(r.deliveries);
  }
  if (host_.propose(stream_.group, EntryKind::delivered, std::move(payload), false, 0, {}, true)) return delivered_.clear();
  if (!stream_.group.offline && !host_.failed()) host_.mark_delivered(*this);  // the log has no room now
}

// ------------------------------------------------------------------ time

// A message whose last ack wait is over is given up now, and not when somebody next pulls: also one that was negatively acknowledged
// and has waited for a pull since. The others that wait for one have time left.
void Consumer::expire_deliveries() {
  before_change();
  int64_t now = kernel().now.wall_ns;
  for (; !settle_later_.empty() && settle_later_.front().first <= now; settle_later_.pop_front())
    if (PendingDelivery* p = pending_.find(settle_later_.front().second); p && !p->under_way) pending_.set_deadline(p, p->deadline_ns);
  std::vector<uint64_t> due;
  int left = kExpiredPerTurn;  // those behind them are due still, and so is the timer
  for (PendingDelivery* p = pending_.earliest(); p && p->deadline_ns <= now && left; p = pending_.earliest(), left--) {
    if (!is_acking(*p) && !p->under_way && (!p->queued || had_all_deliveries(*p))) due.push_back(p->stream_seq);
    pending_.stop_timing(p);
  }
  std::sort(due.begin(), due.end());
  for (uint64_t seq : due) {
    PendingDelivery* p = pending_.find(seq);
    if (had_all_deliveries(*p)) give_up(p);
    else queue_redelivery(p);
  }
  if (!due.empty()) wake();
}

void Consumer::on_timer() {
  int64_t now = kernel().now.wall_ns;
  expire_deliveries();
  if (next_request_ns_ <= now) serve_requests(wanted_again_.empty());
  if (pin_.held() && pin_.until_ns <= now) pin_timed_out();
  if (spec.push() && spec.idle_heartbeat_ns && now >= next_heartbeat_ns_) {
    if (active_) {
      heartbeat(spec.deliver_subject);
      if (spec.ack_policy == AckPolicy::flow_control && ack_pending() && flow_id_.empty()) ask_flow();
    }
    next_heartbeat_ns_ = saturated_sum(now, spec.idle_heartbeat_ns);
  }
  if (spec.inactive_threshold_ns > 0) {
    drop_abandoned_requests();
    bool in_use = spec.push() ? active_ : !waiting_.empty();
    if (in_use) last_activity_ns_ = now;
    unused_from_ns_ = saturated_sum(last_activity_ns_, spec.inactive_threshold_ns);
    if (now >= unused_from_ns_) unused_from_ns_ = unused_from_ns();
    if (now >= unused_from_ns_ && now >= inactive_again_ns_) {
      inactive_again_ns_ = saturated_sum(now, kInactiveAgainNs);
      EventRecord e{EventType::inactive};
      e.a = stream_.group.id, e.b = id;
      kernel().emit(std::move(e));
    }
  }
  wake();
  rearm();
}

// When it counts as unused. Of a pull consumer also what waits for an acknowledgement matters, and what came back unacknowledged
// for as long again: somebody may be at work on it (C-109).
int64_t Consumer::unused_from_ns() const {
  int64_t since_ns = last_activity_ns_;
  auto& table = const_cast<PendingTable&>(pending_);
  if (!spec.push())
    for (PendingDelivery* p = table.first(); p; p = table.next(p))
      since_ns = std::max(since_ns, p->queued ? saturated_sum(p->sent_ns, saturated_product(2, wait_ns(p->deliveries))) : p->deadline_ns);
  return saturated_sum(since_ns, spec.inactive_threshold_ns);
}

// Sets the timer to whatever comes first of all that a consumer waits for.
void Consumer::rearm() {
  int64_t at = next_request_ns_, now = kernel().now.wall_ns;
  if (PendingDelivery* p = pending_.earliest()) at = std::min(at, p->deadline_ns);
  if (!settle_later_.empty()) at = std::min(at, settle_later_.front().first);
  if (spec.push() && spec.idle_heartbeat_ns) at = std::min(at, next_heartbeat_ns_);
  if (paused()) at = std::min(at, spec.pause_until_ns);
  if (not_before_ns_ > now) at = std::min(at, not_before_ns_);
  if (pin_.held()) at = std::min(at, pin_.until_ns);
  if (spec.inactive_threshold_ns > 0)
    at = std::min(at, std::max({now + 100 * kMillisecond, saturated_sum(last_activity_ns_, spec.inactive_threshold_ns), unused_from_ns_,
                                inactive_again_ns_}));
  if (at == INT64_MAX) kernel().timers.cancel(timer_);
  else kernel().timers.set(timer_, std::max(kernel().monotonic_of(at), kernel().now.monotonic_ns + kMillisecond / 10));
}

void Consumer::advise(const char* kind, uint64_t stream_seq, uint64_t consumer_seq, uint64_t deliveries, int64_t delay_ns,
                      string_view reason, string_view group) {
  if (!pull_subscription_) return;  // recovering: nobody is told twice
  string_view word = kind;
  std::string subject = word == "nak"           ? "$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED."
                        : word == "terminated"  ? "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."
                        : word == "max_deliver" ? "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."
                        : word == "pinned"      ? "$JS.EVENT.ADVISORY.CONSUMER.PINNED."
                        : word == "unpinned"    ? "$JS.EVENT.ADVISORY.CONSUMER.UNPINNED."
                                                : "$JS.EVENT.METRIC.CONSUMER.ACK.";
  MatchResult listeners;  // a scratch one: the caller may be walking the trie's own
  stream_.account.trie.match_uncached(subject + stream_.name + "." + name, listeners);
  if (listeners.empty()) return;
  EventRecord e{EventType::advisory};
  e.a = stream_.group.id, e.b = id, e.c = stream_seq, e.d = consumer_seq, e.e = deliveries;
  e.t0 = delay_ns;
  e.s0 = kind, e.s1 = reason, e.s2 = group;
  kernel().emit_advisory(std::move(e));
}

}  // namespace slipstream
