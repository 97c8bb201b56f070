// A consumer starts again: from where it was acknowledged, or from a given sequence (C-138). What it delivered is forgotten
// and its own sequence begins anew.
#include <algorithm>

#include "consumer/consumer.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {

// Nothing is delivered between the proposal and its application: in the log such a delivery would stand behind the reset, and
// recovery would take it for one that came after.
bool Consumer::propose_reset(uint64_t token, uint64_t seq) {
  if (!log_deliveries()) return false;
  Buffer payload = host_.buffer();
  payload.put32(id);
  payload.put64(seq);
  bool proposed = host_.propose(stream_.group, EntryKind::consumer_reset, std::move(payload), token != 0, token, {}, true);
  resets_under_way_ += proposed;
  return proposed;
}

Work Consumer::apply_reset(Reader in, const Proposal* mine) {
  if (resets_under_way_) resets_under_way_--;
  uint64_t seq = reset_to(in.get64());
  co_await stream_.settle_behind_reset(*this, seq);
  if (pull_subscription_) {
    last_activity_ns_ = kernel().now.wall_ns;
    unused_from_ns_ = 0;
    rearm();
    wake();
  }
  held = mine && mine->token;
  stream_.finish(mine, (int64_t)seq);
}

uint64_t Consumer::reset_to(uint64_t seq) {
  before_change();
  if (seq == 0) seq = floor_stream_seq_ + 1;
  // Of the newest messages of each subject, those that were delivered and not acknowledged come again. Behind the last of them
  // it is a consumer like others: nothing more is passed over.
  if (last_per_subject_.empty()) {
    resume_after_ = 0;
  } else {
    for (PendingDelivery* p = pending_.first(); p; p = pending_.next(p)) last_per_subject_.push_back(p->stream_seq);
    std::sort(last_per_subject_.begin(), last_per_subject_.end());
  }
  pending_.clear();
  under_way_.clear();
  wanted_again_.clear();
  settle_later_.clear();
  acking_upto_ = 0;
  exceeded_.clear();
  redelivery_.clear();
  cursor_ = applied_cursor_ = floor_stream_seq_ = seq - 1;
  newest_delivered_ = 0;
  consumer_seq_ = applied_consumer_seq_ = floor_consumer_seq_ = 0;
  delivered_ns_ = applied_delivered_ns_ = acked_ns_ = 0;
  scanned_ = 0;
  memo_ = {};
  ahead_.forget();
  end_arrivals();
  forget_flow();
  if (holds()) stream_.index.hold(*this);
  return seq;
}

// Its progress decides from now on what the stream keeps, and the log has nothing of what it did before: it starts again at the
// first message, so that the leader and a replay go on from the same state. What it has acknowledged is delivered again.
void Consumer::begin_logging() {
  before_change();
  uint64_t start = std::max<uint64_t>(store().first_seq(), 1);
  if (spec.deliver_policy == DeliverPolicy::by_start_sequence) start = std::max(start, spec.opt_start_seq);
  last_per_subject_.clear();
  reset_to(start);
  delivered_.clear();
  if (!pull_subscription_) return;
  rearm();
  wake();
}

}  // namespace slipstream
