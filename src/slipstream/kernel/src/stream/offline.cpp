// What a stream does that cannot go on: it lets go of all that it holds, and whoever waits for it is told why. Which streams these
// are, and what is kept of their log, is in jetstream/offline.cpp.
#include "stream/publish_errors.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {

void Stream::go_offline(const std::string& reason) {
  if (group.offline || deleted) return;
  group.offline = true;
  offline_reason_ = reason.empty() ? "it failed" : reason;
  host.went_offline(*this);
}

void Stream::refuse_offline(string_view reply) {
  PublishError error = kStreamOffline;
  std::string text = "stream is offline: " + offline_reason_;
  error.description = text.c_str();
  answer_error(reply, error);
}

// Whoever waits for it is told. What became of it is open: the journal may have it, and a restart apply it.
void Stream::give_up(Entry& e) {
  if (e.proposal.token) host.abandoned(e.proposal.token, offline_reason_);
  if (e.kind != EntryKind::messages) return;
  Reader replies(e.proposal.replies.view());
  while (replies.left()) refuse_offline(replies.get_bytes(replies.get16()));
}

// It was to be applied just now. Of its messages nothing is said, as some were answered perhaps, and the log has them all.
void Stream::abandon(Entry& e) {
  work_.reset();
  long_work_.clear();
  e.proposal.replies.clear();
  end_flight(e.proposal);
  e.proposal.messages = e.proposal.bytes = 0;
  give_up(e);
}

// The subscriptions of publishers and direct gets stay: they are refused with the reason.
void Stream::release_offline() {
  Reader replies(open_count_ ? open_replies_.view() : string_view());
  while (replies.left()) refuse_offline(replies.get_bytes(replies.get16()));
  open_count_ = 0;
  open_.clear(), open_replies_.clear();
  for (Entry& e : group.inflight) give_up(e), end_flight(e.proposal);
  group.inflight.clear();
  work_.reset();
  long_work_.clear();
  close_feeds();
  host.direct_gets.forget(*this);
  host.kernel.timers.cancel(age_timer_);
  host.kernel.timers.cancel(schedule_timer_);
  staging_.reset();
  fast_.reset();
  for (auto& [id, c] : consumers) c->detach("503 Stream Is Offline");
}

void Stream::found_damaged(uint64_t seq) {
  constexpr size_t kReportedMax = 1000;
  if (damaged_found_.size() >= kReportedMax || !damaged_found_.insert(seq).second) return;
  EventRecord e{EventType::damaged};
  e.a = group.id, e.b = seq;
  host.kernel.emit(std::move(e));
}

}  // namespace slipstream
