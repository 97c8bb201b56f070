// The beginning and the end of a leader's reign over a stream. Whoever leads takes in, sends, answers and proposes, and knows things
// that no log has. When the reign ends they are forgotten, and the stream and its consumers are what a start would find.
#include <cassert>

#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr const char* kReignIsOver = "this server does not lead the stream any more";

}  // namespace

// Everything that was proposed before has to be applied.
void Stream::lead() {
  leads_ = true;
  if (!spec.restoring) attach();
}

void Stream::attach() {
  settle_lost_subjects();
  if (counters_.any_unread()) settle_unread_totals();
  subscribe();
  arm_age_timer();
  arm_schedule_timer();
  for (auto& [id, c] : consumers) c->attach();
}

// What is in the log already may still be committed: it is applied then, and nobody is answered. Not in the midst of an entry, whose
// work holds on to what this drops.
void Stream::resign() {
  assert(!working());
  leads_ = false;
  stop_serving();
  open_count_ = 0;
  open_.clear(), open_replies_.clear();
  for (Entry& e : group.inflight) {
    if (e.proposal.token) host.abandoned(e.proposal.token, kReignIsOver);
    end_flight(e.proposal);
    e.proposal = {};
    e.mine = false;
  }
  removals_inflight_ = consumer_ids_taken_ = 0;
  totals_asked_.clear();
  fired_index_ = age_seek_ns_ = age_seek_seq_ = age_damaged_seq_ = age_behind_damage_ = 0;
  armed_end_ns_ = INT64_MAX;
  mirror_caught_up_ = false;
  for (auto& [id, c] : consumers) c->resign();
  forget_memory_consumers();
}

void Stream::stop_serving() {
  unsubscribe();
  close_feeds();
  host.direct_gets.forget(*this);
  host.kernel.timers.cancel(age_timer_);
  host.kernel.timers.cancel(schedule_timer_);
  staging_.reset();
  fast_.reset();
}

void Consumer::resign() {
  detach("409 Leadership Change");
  cursor_ = applied_cursor_, consumer_seq_ = applied_consumer_seq_, delivered_ns_ = applied_delivered_ns_;
  under_way_.clear();
  wanted_again_.clear();
  settle_later_.clear();
  delivered_.clear();
  redelivery_.clear();
  for (PendingDelivery* p = pending_.first(); p; p = pending_.next(p)) {
    p->queued = p->acking = false;
    pending_.set_deliveries(p, p->deliveries);
    pending_.set_deadline(p, p->deadline_ns);
  }
  acks_.clear();
  ack_replies_ = Buffer();
  ack_count_ = resets_under_way_ = 0;
  acks_durable_ = held = false;
  scanned_ = newest_delivered_ = acking_upto_ = 0;
  memo_ = {};
  ahead_.forget();
  end_arrivals();
  pin_ = {};
  forget_flow();
  tokens_at_ns_ = not_before_ns_ = replay_last_ns_ = unused_from_ns_ = inactive_again_ns_ = 0;
  next_request_ns_ = INT64_MAX;
}

}  // namespace slipstream
