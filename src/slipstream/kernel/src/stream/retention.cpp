// Work-queue and interest retention: a message goes when nobody needs it any more. That is decided where an acknowledgement, a
// delivery without acknowledgement, or a change of consumers is applied, from what has been applied: no entry of its own says so.
//
// As nats-server does, nothing goes without such a cause: a work queue keeps what has no consumer yet, and a message that
// was delivered for the last time (max_deliver) stays until it is acknowledged after all.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "message/message_headers.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kVisitEachMax = 100'000;  // beyond, a deleted consumer's own messages are visited alone

}  // namespace

// ------------------------------------------------------------------ what is needed

// Of a message that the filters let through. What the leader delivered counts when the log says so, as in recovery.
bool Consumer::needs(uint64_t seq) {
  if (!exceeded_.empty() && exceeded_.count(seq)) return true;
  switch (spec.ack_policy) {
    case AckPolicy::none:
      return seq > applied_cursor_;
    case AckPolicy::explicit_:
      return seq > applied_cursor_ || pending_.find(seq);
    case AckPolicy::all:
    case AckPolicy::flow_control:
      return seq > floor_stream_seq_;
  }
  return true;
}

// Nothing at or below it has been needed by this consumer since it was settled last.
uint64_t Consumer::settled_upto() const {
  return spec.ack_policy == AckPolicy::none ? applied_cursor_ : std::min(floor_stream_seq_, applied_cursor_);
}

// The entry under way has passed what lies behind `passed_before_`.
Work Consumer::settle_passed_list(const Proposal* mine) {
  uint64_t before = *std::exchange(passed_before_, {});
  if (stream_.need_is_open(before + 1, applied_cursor_)) co_return;
  for (uint64_t at = before + 1; at && at <= applied_cursor_;) {
    if (uint64_t s = step_to_match(at); s && s <= applied_cursor_) stream_.settle(s);
    if (host_.share.spent()) co_await stream_.pause();
  }
  stream_.finish(mine, 0);
}

bool Stream::needed(uint64_t seq, uint32_t subject) {
  return index.any_of(subject, [seq](Consumer& c) { return c.needs(seq); });
}

// ------------------------------------------------------------------ what is kept

bool Stream::keeps_for_interest(string_view subject) {
  return spec.retention != Retention::interest || index.wanted(subject);
}

// Where nobody is interested nothing is stored; a schedule goes on all the same.
bool Stream::skipped(int64_t time_ns, const LoggedMessage& m, const PublishHeaders& h, Verdict& v) {
  if (keeps_for_interest(m.subject)) return false;
  v.seq = store->last_seq() + 1;
  skip_message(v.seq, time_ns, m.subject, h);
  if (m.schedule.seq) schedule_stored(v.seq, m, h);
  return true;
}

// Nobody is interested: the message has a sequence, is acknowledged and known as a duplicate, but is not there.
void Stream::skip_message(uint64_t seq, int64_t time_ns, string_view subject, const PublishHeaders& h) {
  store->skip(seq, time_ns);
  last_msg_id_ = h.msg_id;
  if (!h.rollup.empty()) purge_within_entry((h.rollup[0] | 0x20) == 'a' ? string_view() : subject, 0);
  if (!spec.mirror && !h.msg_id.empty() && spec.duplicate_window_ns > 0) dedupe_.insert(h.msg_id, seq, time_ns);
}

// A consumer is done with a message. Who else needs it where its subject is lost is not known: it stays.
void Stream::settle(uint64_t seq) {
  if (spec.keeps_all()) return;
  if (lost_subjects_.any()) [[unlikely]]
    if (need_is_open(seq, seq) || (lost_subjects_.is_settled(seq) && has_filtered_consumers())) return;
  uint32_t subject = store->subject_of(seq);
  if (subject == kNoSubject || needed(seq, subject)) return;
  // Nobody who matches knows of it any more; deliveries from before a change of filters may still be pending.
  index.each_stray(subject, [&](Consumer& c) { c.message_removed(seq, subject); });
  store->remove(seq);
}

Work Stream::settle_from(uint64_t seq) {
  for (seq = store->next_live(seq); seq; seq = store->next_live(seq + 1)) {
    settle(seq);
    if (group.offline) co_return;
    if (host.share.spent()) co_await pause();
  }
}

Work Stream::remove_consumer(uint32_t consumer_id, const Proposal* mine) {
  Consumer* c = consumer(consumer_id);
  if (!c) {
    finish(mine, 0);
    co_return;
  }
  bool interest = spec.retention == Retention::interest;
  uint64_t from = std::max<uint64_t>(c->settled_upto(), 1);  // as nats-server, which looks at the message at the floor as well
  std::vector<uint64_t> own;
  bool visit_each = c->spec.filters.empty() || store->live_above(from) <= kVisitEachMax;
  if (interest && !visit_each && need_is_open(from, store->last_seq())) co_return;
  if (interest && !visit_each)
    for (uint64_t at = from; at;) {
      if (uint64_t s = c->step_to_match(at)) own.push_back(s);
      if (host.share.spent()) co_await pause();
    }
  if (interest && c->spec.opt_start_seq > 0)  // what lies before its start stays
    lingering_upto_ = std::max(lingering_upto_, std::min<uint64_t>(c->spec.opt_start_seq - 1, store->last_seq()));
  c->before_change();
  c->detach("409 Consumer Deleted");
  index.remove(*c);
  consumers.erase(consumer_id);
  if (interest && consumers.empty()) {
    co_await purge({}, 0, 0);
  } else if (interest && visit_each) {
    co_await settle_from(from);
  } else if (interest) {
    for (uint64_t s : own) {
      settle(s);
      if (host.share.spent()) co_await pause();
    }
  }
  if (group.offline) co_return;
  finish(mine, 0);
}

Work Stream::update_consumer(uint32_t consumer_id, std::string text, ConsumerSpec next, const Proposal* mine) {
  if (Consumer* c = consumer(consumer_id)) {
    bool same_filters = next.filters == c->spec.filters;
    uint64_t from = std::max<uint64_t>(c->settled_upto(), 1);
    const ConsumerSpec old = c->spec;
    if (!same_filters) index.remove(*c);
    c->update(std::move(text), std::move(next));
    if (!same_filters) {
      index.add(*c);
      co_await c->narrow_listed();
      if (c->holds()) index.stray(*c);
      if (spec.retention == Retention::interest) co_await settle_from(from);
      if (group.offline) co_return;
      lingering_upto_ = std::max(lingering_upto_, store->last_seq());  // what a wider filter lets through was passed already
    }
    co_await c->follow_update(old);
    c->held = mine && mine->token;
  }
  finish(mine, 0);
}

// A consumer goes on at `seq`: it has passed what its filters let through before.
Work Stream::settle_behind_reset(Consumer& c, uint64_t seq) {
  if (spec.retention == Retention::interest && need_is_open(1, seq - 1)) co_return;
  if (spec.retention == Retention::interest)
    for (uint64_t at = 1; at && at < seq;) {
      if (uint64_t s = c.step_to_match(at); s && s < seq) settle(s);
      if (host.share.spent()) co_await pause();
    }
  lingering_upto_ = std::max({lingering_upto_, store->last_seq(), seq - 1});  // which may lie beyond the end
}

// Limits before: what its consumers are done with goes; what none of them ever wanted stays, unless there are none at all.
Work Stream::begin_interest() {
  if (consumers.empty() && store->messages()) co_await purge({}, 0, 0);
  if (need_is_open(1, store->last_seq())) co_return;
  for (uint64_t seq = store->next_live(1); seq; seq = store->next_live(seq + 1)) {
    if (index.anybody(store->subject_of(seq))) settle(seq);
    if (host.share.spent()) co_await pause();
  }
  lingering_upto_ = std::max(lingering_upto_, store->last_seq());
}

// ------------------------------------------------------------------ snapshot and check

constexpr uint16_t kRetentionFormat = 1;

// Behind it follow the number of consumers, their ids and applied cursors.
void Stream::snapshot_retention(Buffer& out) {
  out.put16(kRetentionFormat);
  out.put64(lingering_upto_);
}

bool Stream::load_retention(Reader& in) {
  if (!in.left()) return true;  // written by a version that knew limits alone
  if (in.get16() != kRetentionFormat) return false;
  lingering_upto_ = in.get64();
  for (uint32_t n = in.get32(); n && in.ok(); n--) {
    Consumer* c = consumer(in.get32());
    uint64_t cursor = in.get64();
    if (c) c->applied_cursor_ = cursor;
  }
  return in.ok();
}

void Stream::check() {
  if (working() || spec.restoring) return;  // what its consumers remember is settled at the end
  index.check();
  if (spec.keeps_all()) return;
  for (uint64_t seq = store->next_live(lingering_upto_ + 1); seq; seq = store->next_live(seq + 1)) {
    uint32_t subject = store->subject_of(seq);
    if (spec.retention == Retention::work_queue && !index.anybody(subject)) continue;
    if (store->subject_name(subject) == kDamagedSubject) continue;
    bool kept = index.any_of(subject, [&](Consumer& c) {
      return c.needs(seq) || c.spec.opt_start_seq > seq || c.resume_after_ >= seq;  // or it will never want it
    });
    if (!kept) throw std::runtime_error("stream " + name + " keeps " + std::to_string(seq) + ", which nobody needs");
  }
}

}  // namespace slipstream
