// A consumer: a cursor into its stream, the deliveries that wait for acknowledgement, an ack floor, a redelivery queue,
// and the pull requests (or the push subject) to which it delivers. Its existence, configuration and progress are
// entries of its stream's log; apply_*() are the state machine, the rest runs on the leader. docs/theory.md shows how
// the cursor and the ack floor move.
//
// The room consumer/:
//   consumer.cpp        start position, acknowledgements as they arrive, and what the log applies; the ack floor (ack_floor_after)
//   delivery.cpp        what goes out next, to whom and when: push subjects, heartbeats, rate, redelivery by deadline
//   pulling.cpp         pull requests: which are taken in, how they end, pinned clients
//   pull_request.hpp, pull_request.cpp           the body of a pull request, where its messages go; durations as text
//   waiting_requests.hpp, waiting_requests.cpp   the queue of pull requests, and what priority policies say
//   pending_table.hpp          the deliveries that wait for an acknowledgement, by sequence, order and deadline
//   deliveries_under_way.hpp   first deliveries that the leader has made and the log does not have yet
//   redelivery_queue.hpp       deliveries to repeat, in the order in which they became due
//   filter.cpp          the next message that the filters let through, and how many there are, for a bounded share of a turn
//   flow_control.cpp    the window of push consumers, and acknowledgement by it
//   reset.cpp           a consumer starts again
//   index.hpp, index.cpp       which consumers of a stream a message concerns
#pragma once
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "clock/timers.hpp"
#include "consumer/deliveries_under_way.hpp"
#include "consumer/pending_table.hpp"
#include "consumer/pull_request.hpp"
#include "consumer/redelivery_queue.hpp"
#include "consumer/waiting_requests.hpp"
#include "log/entry_work.hpp"
#include "log/group.hpp"
#include "log/specs.hpp"
#include "store/message_store.hpp"
#include "store/subject_merge.hpp"

namespace slipstream {

class Stream;
class StreamHost;
class Kernel;
struct Subscription;

struct ConsumerView {  // what INFO shows
  uint64_t consumer_seq, stream_seq, floor_consumer_seq, floor_stream_seq, ack_pending, redelivered, waiting, pending;
  int64_t delivered_ns, acked_ns, paused_until_ns;
  bool push_bound;
  std::string pin_id;
  int64_t pinned_ns;
};

class Consumer {
 public:
  Consumer(Stream& stream, uint32_t consumer_id, std::string called, std::string text, ConsumerSpec settings);
  ~Consumer();

  // --- life
  Work find_start(Reader in, bool& found);  // at creation, from the stream as it is
  bool find_start_time(Reader& in, uint64_t& start);
  Work first_filtered(uint64_t& start);
  Work list_last_per_subject(uint64_t& start);
  Work narrow_listed();                  // after a change of the filters
  void attach();                         // subscriptions and timers, on the leader
  void detach(const char* farewell);     // farewell: status for waiting pulls ("409 Consumer Deleted")
  void resign();                         // what only the leader knew is forgotten (leadership.cpp)
  void update(std::string description, ConsumerSpec spec);
  Work follow_update(const ConsumerSpec& old);

  // --- what clients send
  void on_pull(string_view reply, string_view header, string_view body);
  bool hears_acks() const;  // false: who acknowledges with a reply is told that nobody is there
  void on_ack(uint64_t deliveries, uint64_t stream_seq, uint64_t consumer_seq, string_view reply, string_view body);
  void on_flow_reply(string_view subject, string_view header);
  void interest_changed();
  void on_timer();
  void unpin();
  void release_requests(const char* status_line);

  // --- the turn
  bool run();            // delivers; true when it has more to do at once
  void propose_acks();   // the acks of this turn, as one entry
  void propose_delivered();
  bool log_deliveries();         // false: the log does not take them now, so that nothing can be logged that follows from them
  bool propose_reset(uint64_t token, uint64_t seq);  // 0: back to the ack floor
  void expect_reset() { resets_under_way_++; }       // an update that was proposed resets
  void wake();           // run() in this turn

  // --- the log
  void apply_delivered(Reader& in);
  void apply_acks(Reader& in);
  Work apply_ack_all(Reader in, const Proposal* mine);
  void apply_deadline(Reader& in);
  void apply_exceeded(Reader& in);
  Work apply_ack_flow(Reader in, const Proposal* mine);
  Work apply_reset(Reader in, const Proposal* mine);  // its result is the sequence that comes next
  // Of a consumer with the last message of each subject, on streams that keep what is wanted: its list is used up.
  bool has_passed_list() const { return passed_before_.has_value(); }
  Work settle_passed_list(const Proposal* mine);
  size_t remembered() const { return pending_.size(); }

  // --- the stream changed
  void message_removed(uint64_t seq, uint32_t subject);  // before it leaves the store
  void uncount(uint64_t from, uint64_t to);              // the same of many, which only corrects what it has counted;
  Work many_removed();                                   // follows when an expiry or a purge is over
  Work purged(string_view filter, uint64_t first_left, bool untold);

  // --- what the stream's index of consumers goes by
  bool needs(uint64_t seq);              // interest and work-queue retention (retention.cpp)
  bool listens() const { return active_ || !waiting_.empty(); }
  bool holds() const {
    return !pending_.empty() || !under_way_.empty() || memo_.valid || ahead_.active() || !exceeded_.empty() ||
           !last_per_subject_.empty();
  }
  void begin_arrivals();                 // from now on, saw() is told of every message that matches
  void end_arrivals();
  void saw(uint64_t seq);
  bool follows_arrivals() const { return arrivals_since_ != kNever; }

  // --- backup and restore (stream_restore.cpp)
  struct Progress {
    uint64_t consumer_seq, stream_seq, floor_consumer_seq, floor_stream_seq;
    int64_t delivered_ns, acked_ns;
    struct Delivery { uint64_t stream_seq, consumer_seq; int64_t sent_ns; uint32_t deliveries; };
    std::vector<Delivery> pending;
    std::vector<uint64_t> exceeded;
  };
  Progress progress();
  bool restore(Reader& in);
  void restored();

  void snapshot(Buffer& out) const;
  bool load(Reader& in);
  ConsumerView view();
  bool count_pending(WorkShare& share);  // before view(), which counts what is left in one go; false: there is more
  void check() const;

  const uint32_t id;
  const std::string name;
  std::string description;
  ConsumerSpec spec;
  bool ready = false;    // stands in StreamHost::ready_
  bool acked = false;    // stands in StreamHost::acked_
  bool delivered_dirty = false;
  bool held = false;     // Python answers its creation, update or reset before the next delivery
  bool in_listeners = false, in_holders = false, in_strays = false;  // of the stream's ConsumerIndex

 private:
  friend class Stream;
  friend class StreamSnapshot;
  friend struct CanonicalState;
  void before_change();  // of anything that snapshot() writes
  bool matches(uint32_t subject);
  void take_filters();
  bool few_subjects(uint64_t messages, std::vector<uint32_t>& ids);
  uint64_t next_match(uint64_t from);
  uint64_t step_to_match(uint64_t& from);
  uint64_t next_to_deliver(bool& unfinished);
  uint64_t next_arrival(uint64_t from);
  uint64_t count_arrivals_above(uint64_t seq);
  uint64_t num_pending();
  uint64_t counted_from() const;
  bool count_by_subject(uint64_t& count);
  std::optional<uint64_t> pending_at_once();
  uint64_t settled_upto() const;
  uint64_t next_listed() const;
  size_t listed_left() const;
  void pass_listed();
  size_t ack_pending() const { return pending_.size() + under_way_.size(); }
  void delivered(uint64_t stream_seq, uint64_t consumer_seq, int64_t time_ns, uint32_t deliveries);
  void redeliver_if_wanted(PendingDelivery* p);
  void follow_log();
  uint64_t next_redelivery();
  void queue_redelivery(PendingDelivery* p);
  static int64_t ack_wait_of(const ConsumerSpec& s, uint32_t deliveries);
  int64_t wait_ns(uint32_t deliveries) const;
  Work keep_listed(std::function<bool(uint64_t)> keeps);
  Work shift_deadlines(const ConsumerSpec& old);
  Work redeliver_all_pending();
  int64_t unused_from_ns() const;
  int64_t ack_deadline_ns(int64_t sent_ns, uint32_t deliveries) const;
  Work acknowledge_up_to(uint64_t stream_seq, uint64_t consumer_seq, int64_t time_ns);
  uint64_t reset_to(uint64_t seq);
  void begin_logging();
  bool stalled_by_ack_pending() const;
  enum class Outcome : uint8_t { delivered, wait, again };
  Outcome deliver_one(uint64_t seq, PendingDelivery* again, StoredMessage message);
  std::string complaint_about(const PullBody& asked) const;
  std::string next_subject() const;
  bool turned_away(const PullBody& asked, string_view reply);
  PullRequest* request_for(const Offer& offer);
  void drop_abandoned_requests();
  void pin_client(PullRequest& r);
  void pin_timed_out();
  bool level_is_missing(string_view header) const;
  bool held_back(const StoredMessage& message, size_t bytes);
  void send(DeliveryTarget& target, const StoredMessage& message, string_view ack_reply);
  size_t resolve(DeliveryTarget& target);
  bool congested(DeliveryTarget& target);
  void record_delivery(uint64_t seq, PendingDelivery* again, uint32_t deliveries);
  void status(string_view to, const std::string& line, const PullRequest* left = nullptr, string_view reply = {});
  void heartbeat(string_view to);
  void serve_requests(bool end_of_stream);
  bool has_push_receiver() const;
  void flow_control(size_t bytes);
  void open_window();
  void forget_flow();
  void ask_flow();
  void propose_ack_flow(string_view header);
  bool acquire_rate(size_t bytes);
  void ack_floor_after(uint64_t consumer_seq);
  void forget(PendingDelivery* p);
  void on_nak(uint64_t stream_seq, uint64_t consumer_seq, uint64_t deliveries, string_view body);
  void acks_refused(uint32_t count);
  bool propose_deadline(uint64_t stream_seq, int64_t sent_ns, int64_t deadline_ns);
  void expire_deliveries();
  void pass_damaged(uint64_t seq, PendingDelivery* again);
  void pass_missing(uint64_t seq, PendingDelivery* again);
  void pass_later(PendingDelivery* p);
  bool is_acking(const PendingDelivery& p) const { return p.acking || p.stream_seq <= acking_upto_; }
  bool had_all_deliveries(const PendingDelivery& p) const;
  void give_up(PendingDelivery* p);
  void rearm();
  bool paused() const;
  void advise(const char* kind, uint64_t stream_seq, uint64_t consumer_seq, uint64_t deliveries, int64_t delay_ns, string_view reason,
              string_view group = {});
  Kernel& kernel() const;
  MessageStore& store() const;

  Stream& stream_;
  StreamHost& host_;
  std::string ack_prefix_, short_flow_prefix_, long_flow_prefix_;

  // Replicated state: what the log says, and nothing but apply changes. Of a pending delivery the place in queues is the leader's.
  uint64_t applied_cursor_ = 0;        // last stream sequence considered
  uint64_t applied_consumer_seq_ = 0;  // last delivered
  uint64_t floor_consumer_seq_ = 0, floor_stream_seq_ = 0;
  int64_t applied_delivered_ns_ = 0, acked_ns_ = 0;
  PendingTable pending_;
  std::set<uint64_t> exceeded_; // max_deliver reached; counted as redelivered while the message lives
  std::deque<uint64_t> last_per_subject_;
  uint64_t resume_after_ = 0;   // where the cursor goes when last_per_subject_ is used up
  std::optional<uint64_t> passed_before_;  // by the entry that is being applied
  uint64_t snapshots_seen_;     // of the stream's: it was written in so many, or came later

  // The leader's view: ahead of the log by the deliveries that are under way, never behind it.
  uint64_t cursor_ = 0, consumer_seq_ = 0;
  int64_t delivered_ns_ = 0;
  DeliveriesUnderWay under_way_;
  std::set<uint64_t> wanted_again_;  // deliveries under way that were refused: redelivered once the log has them
  uint64_t acking_upto_ = 0;         // an acknowledgement of everything up to here is on its way
  std::deque<std::pair<int64_t, uint64_t>> settle_later_;  // when, and what the log had no room to settle
  uint64_t newest_delivered_ = 0;
  uint64_t scanned_ = 0;        // nothing that matches lies in (cursor_, scanned_]; spares a second search

  // Derived, and of the leader alone.
  RedeliveryQueue redelivery_;
  WaitingRequests waiting_;
  ClientPin pin_;
  int64_t served_ns_ = 0;       // when serve_requests() last ran
  DeliveryTarget push_target_;
  bool active_ = false;         // push: somebody listens
  int64_t unused_from_ns_ = 0;  // as last reckoned
  int64_t last_activity_ns_ = 0, next_heartbeat_ns_ = 0, next_request_ns_ = INT64_MAX;
  Timer timer_{TimerKind::consumer, this};
  Subscription* pull_subscription_ = nullptr;
  std::vector<Subscription*> flow_subscriptions_;
  ReadBuffer reader_;
  std::vector<std::string> literal_filters_, wildcard_filters_;
  SubjectMerge ahead_;              // of literal filters, while it catches up
  static constexpr uint64_t kNever = UINT64_MAX;
  std::deque<uint64_t> arrivals_;   // messages behind arrivals_since_ that match
  uint64_t arrivals_since_ = kNever;
  struct Memo { bool valid = false; uint64_t upto = 0, count = 0; } memo_;  // matches in (counted_from(), upto]
  struct Range { uint64_t stream_seq, consumer_seq; uint32_t count, deliveries; };
  std::vector<Range> delivered_;    // under way, and not proposed yet
  Buffer acks_, ack_replies_;
  uint32_t ack_count_ = 0;
  bool acks_durable_ = false;
  std::string flow_id_;
  int64_t window_bytes_ = 0, window_used_ = 0, window_asked_ = 0;
  double tokens_ = 0;
  int64_t tokens_at_ns_ = 0, not_before_ns_ = 0;
  int64_t replay_last_ns_ = 0, replay_sent_ns_ = 0;
  uint64_t replay_upto_ = 0;
  int64_t inactive_again_ns_ = 0;  // it was reported that nobody uses it; until then its deletion may be on its way
  uint32_t resets_under_way_ = 0;  // proposed; nothing goes out before they are applied
};

}  // namespace slipstream
