// A consumer's state: its place in the stream, acknowledgements, and what the log applies. Delivery is in delivery.cpp.
#include "consumer/consumer.hpp"

#include <algorithm>
#include <stdexcept>

#include "stream/snapshot.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {

namespace {

string_view without_blanks(string_view text) {
  constexpr string_view kBlanks = " \t\r\n";
  size_t first = text.find_first_not_of(kBlanks);
  return first == string_view::npos ? string_view() : text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

Consumer::Consumer(Stream& stream, uint32_t consumer_id, std::string called, std::string text, ConsumerSpec settings)
    : id(consumer_id), name(std::move(called)), description(std::move(text)), spec(std::move(settings)), stream_(stream),
      host_(stream.host) {
  std::string place = stream.name + "." + name + ".", outer = std::string(host_.kernel.domain_token()) + "." + stream.account.hash + ".";
  short_flow_prefix_ = "$JS.FC." + place;
  long_flow_prefix_ = "$JS.FC." + outer + place;
  ack_prefix_ = "$JS.ACK." + (host_.kernel.long_ack_subjects ? outer : std::string()) + place;
  if (stream.spec.memory) spec.memory = true;
  take_filters();
  push_target_.subject = spec.deliver_subject;
  last_activity_ns_ = host_.kernel.now.wall_ns;
  snapshots_seen_ = stream.snapshots_;
}

Consumer::~Consumer() {
  *reader_.alive = false;
  host_.kernel.timers.cancel(timer_);
  host_.forget(*this);
}

void Consumer::before_change() {
  if (snapshots_seen_ != stream_.snapshots_) [[unlikely]] stream_.snapshot_under_way_->write_first(*this);
}

Kernel& Consumer::kernel() const { return host_.kernel; }
MessageStore& Consumer::store() const { return *stream_.store; }

// ------------------------------------------------------------------ life

// `in`: where the leader found its start time, if the entry says that. Not found: it cannot be found here.
Work Consumer::find_start(Reader in, bool& found) {
  MessageStore& m = store();
  uint64_t first = std::max<uint64_t>(m.first_seq(), 1), last = m.last_seq();
  uint64_t start = first;
  switch (spec.deliver_policy) {
    case DeliverPolicy::all:
      break;
    case DeliverPolicy::last: {
      std::vector<uint32_t> ids;
      for (const auto& f : spec.filters) co_await stream_.find_subjects(f, ids);
      start = spec.filters.empty() ? last : 0;
      for (uint32_t s : ids) {
        start = std::max(start, m.subject_state(s).last);
        if (host_.share.spent()) co_await stream_.pause();
      }
      start = std::max(start, first);
      break;
    }
    case DeliverPolicy::next:
      start = behind(last);
      break;
    case DeliverPolicy::by_start_sequence:
      start = std::max(spec.opt_start_seq, first);
      break;
    case DeliverPolicy::by_start_time:
      if (!(found = find_start_time(in, start))) co_return;
      co_await first_filtered(start);
      break;
    case DeliverPolicy::last_per_subject:
      if (stream_.spec.max_msgs_per_subject == 1) break;  // there is nothing else
      co_await list_last_per_subject(start);
      break;
  }
  floor_stream_seq_ = applied_cursor_ = cursor_ = std::max<uint64_t>(start, 1) - 1;
}

Work Consumer::list_last_per_subject(uint64_t& start) {
  MessageStore& m = store();
  const std::vector<std::string> all{">"};
  std::vector<uint32_t> ids;
  for (const auto& f : spec.filters.empty() ? all : spec.filters) co_await stream_.find_subjects(f, ids);
  std::vector<uint64_t> newest;
  for (uint32_t s : ids) {
    newest.push_back(m.subject_state(s).last);
    if (host_.share.spent()) co_await stream_.pause();
  }
  co_await sort_in_slices(newest, host_.share);
  for (uint64_t s : newest) {  // one whose subject two filters let through is listed once
    if (last_per_subject_.empty() || last_per_subject_.back() != s) last_per_subject_.push_back(s);
    if (host_.share.spent()) co_await stream_.pause();
  }
  if (newest.empty()) {
    start = std::max(start, m.last_seq());
    co_return;
  }
  resume_after_ = m.last_seq();
  start = newest.front();
}

// The leader has read the times of the messages that were there when it proposed the consumer. Only where all of them are older
// it depends on those that came in between; they are read here.
bool Consumer::find_start_time(Reader& in, uint64_t& start) {
  uint64_t found = 0, upto = 0;
  if (in.left()) found = in.get64(), upto = in.get64();
  MessageStore& m = store();
  if (found && found <= upto) {
    start = m.next_live(found);
    if (!start) start = behind(m.last_seq());
    return true;
  }
  start = found;
  return m.seek_time_blocking(spec.opt_start_time_ns, start, reader_) != ReadStatus::damaged;
}

// Where nats-server begins after it found the time: at the first message of a filter, unless that lies before `start`, even
// if the filter has later ones behind it, or is the newest message.
Work Consumer::first_filtered(uint64_t& start) {
  MessageStore& m = store();
  uint64_t nearest = m.last_seq();
  for (const auto& f : spec.filters) {
    uint64_t first = kNever;
    std::vector<uint32_t> ids;
    co_await stream_.find_subjects(f, ids);
    for (uint32_t s : ids) {
      first = std::min(first, m.subject_state(s).first);
      if (host_.share.spent()) co_await stream_.pause();
    }
    if (first >= start) nearest = std::min(nearest, first);
  }
  if (nearest < m.last_seq()) start = std::max(start, nearest);
}

void Consumer::attach() {
  last_activity_ns_ = kernel().now.wall_ns;
  if (spec.replay_original) replay_upto_ = store().last_seq();
  host_.register_consumer(*this, stream_);
  pull_subscription_ = kernel().add_subscription(stream_.account, SubscriptionKind::pull, next_subject(), {}, this);
  if (spec.flow_control)
    for (const auto& prefix : {short_flow_prefix_, long_flow_prefix_})
      flow_subscriptions_.push_back(
          kernel().add_subscription(stream_.account, SubscriptionKind::flow_reply, prefix + "*", {}, this));
  if (spec.flow_control) open_window();
  interest_changed();
  if (spec.sourcing && consumer_seq_ > 0) propose_reset(0, 0);
  if (spec.idle_heartbeat_ns) next_heartbeat_ns_ = saturated_sum(kernel().now.wall_ns, spec.idle_heartbeat_ns);
  rearm();
}

void Consumer::detach(const char* farewell) {
  if (pull_subscription_) kernel().remove_subscription(stream_.account, pull_subscription_);
  for (Subscription* s : flow_subscriptions_) kernel().remove_subscription(stream_.account, s);
  flow_subscriptions_.clear();
  pull_subscription_ = nullptr;
  if (farewell)
    for (auto& r : waiting_) status(r.target.subject, farewell);
  waiting_.clear();
  kernel().timers.cancel(timer_);
  host_.unregister_consumer(*this, stream_);
  host_.forget(*this);
  active_ = false;
}

void Consumer::update(std::string text, ConsumerSpec next) {
  before_change();
  description = std::move(text);
  if (pull_subscription_) host_.unregister_consumer(*this, stream_);
  const ConsumerSpec old = std::move(spec);
  spec = std::move(next);
  spec.memory = old.memory;
  bool same_filters = spec.filters == old.filters;
  if (spec.rate_limit_bps != old.rate_limit_bps) tokens_at_ns_ = not_before_ns_ = 0;
  if (spec.priority_policy != PriorityPolicy::pinned_client) pin_ = {};
  push_target_ = {};
  push_target_.subject = spec.deliver_subject;
  if (!same_filters) take_filters();
  if (spec.sourcing && resets_under_way_) resets_under_way_--;
  if (spec.sourcing) reset_to(0);  // whoever sources asks anew, and goes on behind what it has stored
  if (!pull_subscription_) return;  // recovering
  host_.register_consumer(*this, stream_);
  interest_changed();
  last_activity_ns_ = kernel().now.wall_ns;
  unused_from_ns_ = 0;
  inactive_again_ns_ = 0;
  rearm();
  wake();
}

// What an update means to the deliveries that wait for their acknowledgement.
Work Consumer::follow_update(const ConsumerSpec& old) {
  if (spec.ack_wait_ns != old.ack_wait_ns || spec.backoff_ns != old.backoff_ns) co_await shift_deadlines(old);
  if (!pull_subscription_) co_return;  // recovering
  if (spec.deliver_subject != old.deliver_subject) co_await redeliver_all_pending();
  rearm();
  wake();
}

// They go by the new times too. A delayed NAK keeps its delay.
Work Consumer::shift_deadlines(const ConsumerSpec& old) {
  if (spec.ack_policy == AckPolicy::flow_control) co_return;
  for (PendingDelivery* p = pending_.first(); p; p = pending_.next(p)) {
    int64_t longer_ns = saturated_difference(ack_wait_of(spec, p->deliveries), ack_wait_of(old, p->deliveries));
    bool never = p->deadline_ns == INT64_MAX;  // its old wait was cut at the end of time: only the new one says when
    pending_.set_deadline(p, never ? ack_deadline_ns(p->sent_ns, p->deliveries) : saturated_sum(p->deadline_ns, longer_ns));
    if (host_.share.spent()) co_await stream_.pause();  // none comes or goes meanwhile
  }
}

// ------------------------------------------------------------------ messages that go

void Consumer::message_removed(uint64_t seq, uint32_t subject) {
  before_change();
  if (memo_.valid && seq > counted_from() && seq <= memo_.upto && matches(subject)) memo_.count--;
  if (PendingDelivery* p = pending_.find(seq)) {
    uint64_t consumer_seq = p->consumer_seq, deliveries = p->deliveries;
    if (pull_subscription_ && stalled_by_ack_pending()) wake();
    forget(p);
    ack_floor_after(consumer_seq);
    acked_ns_ = std::max(acked_ns_, applied_delivered_ns_);  // what the log knows of the time
    advise("terminated", seq, consumer_seq, deliveries, 0, "Unacknowledged message was deleted");
  } else if (DeliveriesUnderWay::First* f = under_way_.find(seq)) {
    if (stalled_by_ack_pending()) wake();
    uint64_t consumer_seq = f->consumer_seq;
    under_way_.forget(seq);
    wanted_again_.erase(seq);
    advise("terminated", seq, consumer_seq, 1, 0, "Unacknowledged message was deleted");
  }
  if (!exceeded_.empty()) exceeded_.erase(seq);
  if (!last_per_subject_.empty()) {
    uint64_t from = counted_from();
    auto it = std::lower_bound(last_per_subject_.begin(), last_per_subject_.end(), seq);
    if (it != last_per_subject_.end() && *it == seq) last_per_subject_.erase(it);
    pass_listed();
    if (counted_from() != from) memo_ = {};
  }
}

// When the list of last messages per subject is used up, the consumer goes on behind the end of the time when it was made.
void Consumer::pass_listed() {
  if (!resume_after_) return;
  if (last_per_subject_.empty()) applied_cursor_ = std::max(applied_cursor_, resume_after_);
  if (!next_listed()) cursor_ = std::max(cursor_, resume_after_);
}

// Of the list, what the leader has not delivered yet; the log takes off what it says was delivered.
uint64_t Consumer::next_listed() const {
  if (last_per_subject_.empty()) return 0;
  if (last_per_subject_.front() > cursor_) return last_per_subject_.front();
  auto it = std::upper_bound(last_per_subject_.begin(), last_per_subject_.end(), cursor_);
  return it == last_per_subject_.end() ? 0 : *it;
}

size_t Consumer::listed_left() const {
  return (size_t)(last_per_subject_.end() - std::upper_bound(last_per_subject_.begin(), last_per_subject_.end(), cursor_));
}

// Of the list of last messages, what the filters do not let through any more.
Work Consumer::narrow_listed() {
  return keep_listed([this](uint64_t s) { return matches(store().subject_of(s)); });
}

Work Consumer::keep_listed(std::function<bool(uint64_t)> keeps) {
  if (last_per_subject_.empty()) co_return;
  std::deque<uint64_t> kept;
  for (uint64_t s : last_per_subject_) {
    if (keeps(s)) kept.push_back(s);
    if (host_.share.spent()) co_await stream_.pause();
  }
  uint64_t from = counted_from();
  last_per_subject_.swap(kept);
  pass_listed();
  if (counted_from() != from) memo_ = {};
}

Work Consumer::many_removed() {
  before_change();
  ahead_.forget();
  MessageStore& m = store();
  if (!m.messages()) memo_ = {};
  if (pull_subscription_ && stalled_by_ack_pending()) wake();
  under_way_.forget_if([&m](uint64_t s) { return !m.live(s); });
  std::erase_if(wanted_again_, [&m](uint64_t s) { return !m.live(s); });
  for (PendingDelivery* p = pending_.first(); p;) {
    PendingDelivery* next = pending_.next(p);
    if (!m.live(p->stream_seq)) {
      uint64_t consumer_seq = p->consumer_seq;
      forget(p);
      ack_floor_after(consumer_seq);
      acked_ns_ = std::max(acked_ns_, applied_delivered_ns_);
    }
    p = next;
    if (host_.share.spent()) co_await stream_.pause();  // no delivery comes or goes meanwhile
  }
  for (auto it = exceeded_.begin(); it != exceeded_.end();) {
    it = m.live(*it) ? std::next(it) : exceeded_.erase(it);
    if (host_.share.spent()) co_await stream_.pause();
  }
  co_await keep_listed([&m](uint64_t s) { return m.live(s); });
}

// A purge of `filter` (empty: of everything) moves on the consumers whose messages it may have removed, as in nats-server: to the
// first message that matches `filter` and was left (0: there is none) where all that they want matches it, else to the
// beginning of the stream. `untold`: they have not heard of each message that went.
Work Consumer::purged(string_view filter, uint64_t first_left, bool untold) {
  uint64_t floor = floor_stream_seq_;
  if (untold) co_await many_removed();
  bool within = false;
  if (!filter.empty() && !spec.filters.empty()) {
    auto is_within = [&](const std::string& f) { return subject_is_subset(f, filter); };
    auto is_concerned = [&](const std::string& f) { return is_within(f) || subject_is_subset(filter, f); };
    within = std::all_of(spec.filters.begin(), spec.filters.end(), is_within);
    if (!within && std::none_of(spec.filters.begin(), spec.filters.end(), is_concerned)) co_return;
  }
  before_change();
  MessageStore& m = store();
  uint64_t start = std::max<uint64_t>(m.first_seq(), 1);
  if (within) start = first_left ? first_left : behind(m.last_seq());
  cursor_ = std::max(cursor_, start - 1);
  applied_cursor_ = std::max(applied_cursor_, start - 1);
  if (pending_.empty()) floor_consumer_seq_ = applied_consumer_seq_, floor_stream_seq_ = applied_cursor_;
  else floor_stream_seq_ = std::max(filter.empty() ? floor : floor_stream_seq_, start - 1);
}

// ------------------------------------------------------------------ acknowledgements as they arrive

bool Consumer::hears_acks() const { return spec.ack_policy != AckPolicy::none && spec.ack_policy != AckPolicy::flow_control; }

void Consumer::on_ack(uint64_t deliveries, uint64_t stream_seq, uint64_t consumer_seq, string_view reply, string_view body) {
  if (stream_seq == 0) return;
  last_activity_ns_ = kernel().now.wall_ns;
  unused_from_ns_ = 0;
  auto answer = [&] {
    if (!reply.empty()) kernel().publish(stream_.account, reply, {}, {}, {});
  };
  if (body.empty() || body == "+ACK" || body == "+OK") {
    // an acknowledgement
  } else if (body.starts_with("-NAK")) {
    on_nak(stream_seq, consumer_seq, deliveries, body.substr(4));
    return answer();
  } else if (body == "+WPI") {
    int64_t now = kernel().now.wall_ns;
    if (PendingDelivery* p = pending_.find(stream_seq))
      propose_deadline(stream_seq, now, saturated_sum(now, wait_ns(p->deliveries + p->under_way)));  // or not
    else if (under_way_.find(stream_seq))
      propose_deadline(stream_seq, now, saturated_sum(now, wait_ns(1)));
    return answer();
  } else if (body.starts_with("+NXT")) {
    on_ack(deliveries, stream_seq, consumer_seq, {}, {});
    if (!reply.empty()) on_pull(reply, {}, body.substr(4));
    return;
  } else if (body.starts_with("+TERM")) {
    advise("terminated", stream_seq, consumer_seq, deliveries, 0, without_blanks(body.substr(5)));
  } else {
    return answer();  // neither: ignored, but the sender hears that it was processed (C-116)
  }
  if (stream_seq > cursor_) return;  // never delivered: no answer (C-115)
  // The same for the number of no delivery, or of one from before a reset: nothing would hold that was confirmed.
  if (spec.ack_policy == AckPolicy::all && (consumer_seq == 0 || consumer_seq > consumer_seq_)) return;
  PendingDelivery* p = pending_.find(stream_seq);
  DeliveriesUnderWay::First* f = p ? nullptr : under_way_.find(stream_seq);
  bool fresh = p ? !p->acking : f && !f->acking;
  if (fresh && spec.sample_percent > 0 && !body.starts_with("+TERM") && (int64_t)(kernel().random() % 100) < spec.sample_percent) {
    int64_t sent_ns = p ? p->sent_ns : f->sent_ns;
    advise("ack_sample", stream_seq, consumer_seq, deliveries, saturated_difference(kernel().now.wall_ns, sent_ns), {});
  }
  if (p) p->acking = true;
  if (f) f->acking = true;
  acks_.put64(stream_seq);
  acks_.put64(consumer_seq);
  ack_count_++;
  if (!reply.empty()) {
    ack_replies_.put16((uint16_t)reply.size());
    ack_replies_.append(reply);
    acks_durable_ = true;  // the sender waits for stable storage
  }
  host_.mark_acked(*this);
}

// The acks of a turn: one entry. Runs of consecutive sequences become ranges.
void Consumer::propose_acks() {
  if (ack_count_ == 0) return;
  bool behind_deliveries = log_deliveries();
  Reader in(acks_.view());
  const uint32_t count_sent = ack_count_;
  Buffer payload = host_.buffer();
  payload.put32(id);
  EntryKind kind = EntryKind::acks;
  uint64_t highest = 0;
  if (spec.ack_policy == AckPolicy::all) {
    kind = EntryKind::ack_all;
    uint64_t consumer_seq = 0;
    highest = floor_stream_seq_;
    for (uint32_t i = 0; i < ack_count_; i++) {
      uint64_t s = in.get64(), d = in.get64();
      if (s > highest) highest = s, consumer_seq = d;
    }
    payload.put64(highest);
    payload.put64(consumer_seq);
  } else {
    uint64_t start = 0, count = 0;
    auto close_range = [&] {
      if (count) payload.put64(start), payload.put32((uint32_t)count);
    };
    for (uint32_t i = 0; i < ack_count_; i++) {
      uint64_t s = in.get64();
      in.get64();
      if (count && s == start + count) { count++; continue; }
      close_range();
      start = s, count = 1;
    }
    close_range();
  }
  payload.put64(0);  // ends the ranges; then when it happened
  payload.put64((uint64_t)kernel().now.wall_ns);
  bool durable = acks_durable_ && !stream_.forgets(spec);
  if (!behind_deliveries || !host_.propose(stream_.group, kind, std::move(payload), durable, 0, std::move(ack_replies_), true))
    acks_refused(count_sent);
  else
    acking_upto_ = std::max(acking_upto_, highest);
  acks_.clear();
  ack_count_ = 0;
  acks_durable_ = false;
  ack_replies_ = Buffer();
}

// The log has no room: the messages stay to be acknowledged, and who asked hears that nobody has taken the acknowledgement.
void Consumer::acks_refused(uint32_t count) {
  Reader in(acks_.view()), replies(ack_replies_.view());
  for (uint32_t i = 0; i < count; i++) {
    uint64_t seq = in.get64();
    in.get64();
    PendingDelivery* p = pending_.find(seq);
    if (DeliveriesUnderWay::First* f = p ? nullptr : under_way_.find(seq)) f->acking = false;
    if (!p || !p->acking) continue;
    p->acking = false;
    pending_.set_deadline(p, p->deadline_ns);
  }
  while (replies.left()) kernel().publish(stream_.account, replies.get_bytes(replies.get16()), {}, "NATS/1.0 503\r\n\r\n", {});
}

void Consumer::on_nak(uint64_t stream_seq, uint64_t consumer_seq, uint64_t deliveries, string_view body) {
  if (consumer_seq <= floor_consumer_seq_ || consumer_seq > consumer_seq_) return;
  PendingDelivery* p = pending_.find(stream_seq);
  DeliveriesUnderWay::First* f = p ? nullptr : under_way_.find(stream_seq);
  if (p ? is_acking(*p) : !f || f->acking || stream_seq <= acking_upto_) return;
  advise("nak", stream_seq, consumer_seq, deliveries, 0, {});
  while (!body.empty() && (body.front() == ' ' || body.front() == '\t')) body.remove_prefix(1);
  int64_t delay = 0;
  if (!body.empty() && parse_nak_delay(body, delay)) {
    int64_t now = kernel().now.wall_ns;
    if (p && p->queued) redelivery_.take_out(p, pending_);
    wanted_again_.erase(stream_seq);
    if (propose_deadline(stream_seq, now, saturated_sum(now, delay))) return;
    p = pending_.find(stream_seq);  // the log takes no delay: it comes at once
  }
  if (p) queue_redelivery(p);
  else wanted_again_.insert(stream_seq);
  wake();
}

bool Consumer::propose_deadline(uint64_t stream_seq, int64_t sent_ns, int64_t deadline_ns) {
  if (!log_deliveries()) return false;
  Buffer payload = host_.buffer();
  payload.put32(id);
  payload.put64(stream_seq);
  payload.put64((uint64_t)sent_ns);
  payload.put64((uint64_t)deadline_ns);
  return host_.propose(stream_.group, EntryKind::deadline, std::move(payload), false, 0, {}, true);
}

// ------------------------------------------------------------------ the log

void Consumer::apply_delivered(Reader& in) {
  before_change();
  bool settles = !stream_.spec.keeps_all(), was_stalled = stalled_by_ack_pending();
  uint64_t before = applied_cursor_;
  int64_t time_ns = (int64_t)in.get64();
  applied_delivered_ns_ = time_ns;
  for (uint32_t ranges = in.get32(); ranges && in.ok(); ranges--) {
    uint64_t first = in.get64(), consumer_seq = in.get64();
    uint32_t count = in.get32(), deliveries = in.get32();
    for (uint32_t i = 0; i < count; i++) delivered(first + i, consumer_seq + i, time_ns, deliveries);
    if (spec.ack_policy == AckPolicy::none && deliveries == 1 && settles)
      for (uint32_t i = 0; i < count; i++) stream_.settle(first + i);
  }
  if (resume_after_ && settles) passed_before_ = before;  // what the list of last messages leaves out has been passed now
  follow_log();
  stream_.index.hold(*this);
  if (!pull_subscription_) return;
  if (PendingDelivery* p = pending_.earliest(); p && p->deadline_ns != INT64_MAX)
    kernel().timers.set_earlier(timer_, kernel().monotonic_of(p->deadline_ns));
  if (was_stalled) wake();
}

// What the log says of one delivery; the leader's own is no more under way then.
void Consumer::delivered(uint64_t stream_seq, uint64_t consumer_seq, int64_t time_ns, uint32_t deliveries) {
  applied_consumer_seq_ = std::max(applied_consumer_seq_, consumer_seq);
  if (deliveries == 1) {
    applied_cursor_ = std::max(applied_cursor_, stream_seq);
    while (!last_per_subject_.empty() && last_per_subject_.front() <= stream_seq) last_per_subject_.pop_front();
  }
  if (spec.ack_policy == AckPolicy::none) {
    floor_consumer_seq_ = consumer_seq;
    floor_stream_seq_ = stream_seq;
    return;
  }
  std::optional<DeliveriesUnderWay::First> mine;
  if (!under_way_.empty() && deliveries == 1) mine = under_way_.take(stream_seq);
  PendingDelivery* p = pending_.find(stream_seq);
  if (p) {
    pending_.set_deliveries(p, deliveries);
    p->sent_ns = time_ns;
    pending_.set_deadline(p, ack_deadline_ns(time_ns, deliveries));
    return redeliver_if_wanted(p);
  }
  uint32_t subject = store().subject_of(stream_seq);
  // Its message went, or was acknowledged with all before another one, before the log had the delivery.
  if (subject == kNoSubject || deliveries > 1) return ack_floor_after(consumer_seq);
  p = pending_.insert(stream_seq, consumer_seq, time_ns, ack_deadline_ns(time_ns, deliveries), deliveries);
  if (!matches(subject)) stream_.index.stray(*this);  // its filters changed before the log had the delivery
  if (!mine) return;
  p->acking = mine->acking;
  redeliver_if_wanted(p);
}

void Consumer::redeliver_if_wanted(PendingDelivery* p) {
  if (wanted_again_.empty() || !wanted_again_.erase(p->stream_seq)) return;
  queue_redelivery(p);
  wake();
}

// The leader's view is never behind the log, and a follower has no other.
void Consumer::follow_log() {
  pass_listed();
  if (applied_cursor_ > cursor_) cursor_ = applied_cursor_, memo_ = {};
  consumer_seq_ = std::max(consumer_seq_, applied_consumer_seq_);
  delivered_ns_ = std::max(delivered_ns_, applied_delivered_ns_);
}

void Consumer::forget(PendingDelivery* p) {
  if (p->queued) redelivery_.take_out(p, pending_);
  if (p->under_way && !wanted_again_.empty()) wanted_again_.erase(p->stream_seq);
  pending_.erase(p);
}

// nats-server's rule: nothing pending -> all that was delivered; the oldest acknowledged -> up to the next pending one.
void Consumer::ack_floor_after(uint64_t consumer_seq) {
  if (PendingDelivery* first = pending_.first()) {
    if (consumer_seq != floor_consumer_seq_ + 1) return;
    floor_consumer_seq_ = first->consumer_seq - 1;
    floor_stream_seq_ = first->stream_seq - 1;
  } else {
    floor_consumer_seq_ = applied_consumer_seq_;
    floor_stream_seq_ = applied_cursor_;
  }
}

void Consumer::apply_acks(Reader& in) {
  before_change();
  bool was_stalled = stalled_by_ack_pending();
  while (in.ok()) {
    uint64_t seq = in.get64();
    if (seq == 0) break;
    for (uint32_t n = in.get32(); n; n--, seq++) {
      if (!exceeded_.empty()) exceeded_.erase(seq);
      if (PendingDelivery* p = pending_.find(seq)) {
        uint64_t consumer_seq = p->consumer_seq;
        forget(p);
        ack_floor_after(consumer_seq);
      }
      stream_.settle(seq);
    }
  }
  acked_ns_ = (int64_t)in.get64();
  if (was_stalled && pull_subscription_) wake();
}

Work Consumer::apply_ack_all(Reader in, const Proposal* mine) {
  uint64_t stream_seq = in.get64(), consumer_seq = in.get64();
  in.get64();
  co_await acknowledge_up_to(stream_seq, consumer_seq, (int64_t)in.get64());
  if (stream_.group.offline) co_return;
  if (PendingDelivery* p = pending_.find(stream_seq); p && p->acking) {  // by the number of no delivery: it was no acknowledgement
    p->acking = false;
    pending_.set_deadline(p, p->deadline_ns);
  }
  if (acking_upto_ <= stream_seq) acking_upto_ = 0;
  stream_.finish(mine, 0);
}

Work Consumer::acknowledge_up_to(uint64_t stream_seq, uint64_t consumer_seq, int64_t time_ns) {
  before_change();
  acked_ns_ = time_ns;
  if (consumer_seq == 0 || stream_seq <= floor_stream_seq_) co_return;
  if (stream_seq > applied_cursor_ || consumer_seq > applied_consumer_seq_) co_return;  // of a delivery from before a reset
  if (!stream_.spec.keeps_all() && stream_.need_is_open(floor_stream_seq_ + 1, stream_seq)) co_return;
  bool was_stalled = stalled_by_ack_pending();
  uint64_t passed = floor_stream_seq_;
  floor_stream_seq_ = stream_seq;
  exceeded_.erase(exceeded_.begin(), exceeded_.upper_bound(stream_seq));
  for (PendingDelivery* p = pending_.first(); p && p->stream_seq <= stream_seq; p = pending_.first()) {
    uint64_t seq = p->stream_seq;  // first deliveries go up in both sequences
    forget(p);
    stream_.settle(seq);
    if (host_.share.spent()) co_await stream_.pause();
  }
  // A redelivery has a higher number than the first deliveries behind it, which are not acknowledged by it.
  if (PendingDelivery* p = pending_.first()) consumer_seq = std::min(consumer_seq, p->consumer_seq - 1);
  floor_consumer_seq_ = std::max(floor_consumer_seq_, consumer_seq);
  if (!stream_.spec.keeps_all())  // also what was passed without a delivery
    for (uint64_t at = passed + 1; at && at <= stream_seq;) {
      if (uint64_t s = step_to_match(at); s && s <= stream_seq) stream_.settle(s);
      if (host_.share.spent()) co_await stream_.pause();
    }
  if (was_stalled && pull_subscription_) wake();
}

void Consumer::apply_deadline(Reader& in) {
  before_change();
  uint64_t stream_seq = in.get64();
  int64_t sent_ns = (int64_t)in.get64(), deadline_ns = (int64_t)in.get64();
  PendingDelivery* p = pending_.find(stream_seq);
  if (!p) return;
  p->sent_ns = sent_ns;
  pending_.set_deadline(p, deadline_ns);
  if (pull_subscription_) rearm();
}

void Consumer::apply_exceeded(Reader& in) {
  before_change();
  uint64_t stream_seq = in.get64();
  PendingDelivery* p = pending_.find(stream_seq);
  if (!p) return;
  bool was_stalled = stalled_by_ack_pending();
  forget(p);
  exceeded_.insert(stream_seq);
  if (was_stalled && pull_subscription_) wake();
}

void Consumer::snapshot(Buffer& out) const {
  out.put32(id);
  out.put_text(name);
  out.put_text(description);
  spec.encode(out);
  for (uint64_t v : {applied_cursor_, applied_consumer_seq_, floor_consumer_seq_, floor_stream_seq_,
                     (uint64_t)applied_delivered_ns_, (uint64_t)acked_ns_, resume_after_})
    out.put64(v);
  auto& table = const_cast<PendingTable&>(pending_);
  out.put32((uint32_t)table.size());
  for (PendingDelivery* p = table.first(); p; p = table.next(p)) {
    out.put64(p->stream_seq), out.put64(p->consumer_seq), out.put64((uint64_t)p->sent_ns), out.put64((uint64_t)p->deadline_ns);
    out.put32(p->deliveries);
  }
  out.put32((uint32_t)exceeded_.size());
  for (uint64_t s : exceeded_) out.put64(s);
  out.put32((uint32_t)last_per_subject_.size());
  for (uint64_t s : last_per_subject_) out.put64(s);
}

bool Consumer::load(Reader& in) {
  for (uint64_t* v : {&applied_cursor_, &applied_consumer_seq_, &floor_consumer_seq_, &floor_stream_seq_}) *v = in.get64();
  applied_delivered_ns_ = (int64_t)in.get64();
  acked_ns_ = (int64_t)in.get64();
  resume_after_ = in.get64();
  uint32_t n = in.get32();
  for (uint32_t i = 0; i < n && in.ok(); i++) {
    uint64_t stream_seq = in.get64(), consumer_seq = in.get64();
    int64_t sent = (int64_t)in.get64(), deadline = (int64_t)in.get64();
    uint32_t deliveries = in.get32();
    if (in.ok()) pending_.insert(stream_seq, consumer_seq, sent, deadline, deliveries);
  }
  n = in.get32();
  for (uint32_t i = 0; i < n && in.ok(); i++) exceeded_.insert(in.get64());
  n = in.get32();
  for (uint32_t i = 0; i < n && in.ok(); i++) last_per_subject_.push_back(in.get64());
  follow_log();
  return in.ok();
}

// ------------------------------------------------------------------ what INFO shows

ConsumerView Consumer::view() {
  ConsumerView v{};
  v.consumer_seq = consumer_seq_;
  v.stream_seq = cursor_;
  bool settled = spec.ack_policy == AckPolicy::none && consumer_seq_ > applied_consumer_seq_;
  v.floor_consumer_seq = settled ? consumer_seq_ : floor_consumer_seq_;
  v.floor_stream_seq = settled ? newest_delivered_ : floor_stream_seq_;
  v.ack_pending = ack_pending();
  v.redelivered = spec.max_deliver == 1 ? 0 : pending_.redelivered() + exceeded_.size();
  serve_requests(false);
  v.waiting = waiting_.size();
  v.pending = num_pending();
  v.delivered_ns = delivered_ns_;
  v.acked_ns = acked_ns_;
  v.push_bound = spec.push() && active_;
  v.paused_until_ns = spec.pause_until_ns;
  v.pin_id = pin_.id;
  v.pinned_ns = pin_.since_ns;
  return v;
}

void Consumer::check() const {
  if (stream_.working()) return;  // what it remembers is settled at the end
  auto& self = const_cast<Consumer&>(*this);
  auto demand = [&](bool ok, const char* what) {
    if (!ok) throw std::runtime_error("consumer " + name + ": " + what);
  };
  demand(floor_consumer_seq_ <= applied_consumer_seq_, "the ack floor is beyond what was delivered");
  demand(applied_cursor_ <= cursor_ && applied_consumer_seq_ <= consumer_seq_, "the log is ahead of the consumer");
  demand(!holds() || in_holders, "it remembers messages, and the stream's index does not know");
  demand(!listens() || in_listeners, "it listens, and the stream's index does not know");
  for (PendingDelivery* p = self.pending_.first(); p; p = self.pending_.next(p)) {
    demand(p->stream_seq <= applied_cursor_ || !last_per_subject_.empty(), "a pending delivery is beyond the cursor");
    demand(store().live(p->stream_seq), "a pending delivery's message is gone");
    demand(self.matches(store().subject_of(p->stream_seq)) || in_strays, "a delivery of before a change of filters is not known as one");
  }
  size_t queued = 0;
  redelivery_.each([&](uint64_t seq) {
    PendingDelivery* p = self.pending_.find(seq);
    demand(p && p->queued, "a message is to be redelivered that is not pending");
    queued++;
  });
  demand(queued == redelivery_.size(), "the queue of redeliveries has lost count");
  for (uint64_t seq : exceeded_) demand(store().live(seq), "a message is gone that had all its deliveries");
  for (uint64_t seq : last_per_subject_) demand(store().live(seq), "a message is gone that was listed as the last of its subject");
  if (memo_.valid) {
    uint64_t n = 0;
    for (uint64_t s = self.next_match(counted_from() + 1); s && s <= memo_.upto; s = self.next_match(s + 1)) n++;
    demand(n == memo_.count, "num_pending differs from a count");
  }
}

}  // namespace slipstream
