// A stream: which subjects it captures, what it keeps, and the state machine that decides about each message when its
// entry is applied, from the entry and the stream's state alone, in the order of nats-server's checks (duplicate,
// expected sequence, limits).
//
// `ingest` appends a message to the open entry of the turn and remembers whom to answer. It refuses what no entry can
// take, or a full disk forbids, and notes in the message what limits outside the stream say of it. At
// kStreamInflightMessages or kStreamInflightBytes in flight, or kInflightBytes of all streams, further messages are
// answered with error 10167. The rest is judged when the entry is applied. `seal` stamps the time, max(now, last), and
// proposes the entry at the end of the turn.
//
// The room stream/ (below it, with main headers of their own: batches/batch_staging.hpp, schedules/schedule.hpp,
// origins/feed.hpp, gets/direct_get.hpp, backup/stream_restore.hpp):
//   stream.cpp        life and log of a stream: `apply` says which entry does what
//   stream_host.hpp, stream_host.cpp   where streams and consumers live, as they see it; JetStream derives from it
//   offline.cpp       what a stream does that cannot go on
//   publish.cpp       ingest and seal; `apply_one`, the judgement on one message
//   publish_errors.hpp   codes and texts of refused publishes
//   leadership.cpp    lead() and resign(): what only the leader knows begins and ends here, also for the consumers
//   limits.cpp        removal by count, size and age, and by a message's own time to live
//   ttl_index.hpp     which message expires next by its own time to live
//   expiry.cpp        expiry applied, and the marker that replaces the last message of a subject
//   purging.cpp       purges and lowered limits: what may remove millions of messages, over several turns
//   retention.cpp     work-queue and interest retention, where an acknowledgement is applied
//   dedupe.hpp        message ids within the duplicate window, as keyed 128-bit hashes
//   republish.cpp     stored on another subject; published again on yet another
//   counters.hpp, counters.cpp               counter streams: the message that an increment becomes
//   counter_totals.hpp, counter_totals.cpp   the total of each subject, as replicated state
//   lost_subjects.hpp, lost_subjects.cpp     subjects that damage has made unknown decide nothing
//   snapshot.hpp, snapshot.cpp               a stream as it is at one moment, written down over several turns
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "consumer/consumer.hpp"
#include "consumer/index.hpp"
#include "log/entry_work.hpp"
#include "log/group.hpp"
#include "log/specs.hpp"
#include "message/logged_message.hpp"
#include "message/subject_transform.hpp"
#include "store/message_store.hpp"
#include "stream/batches/batch_staging.hpp"
#include "stream/batches/fast_ingest.hpp"
#include "stream/counters.hpp"
#include "stream/dedupe.hpp"
#include "stream/lost_subjects.hpp"
#include "stream/origins/feed.hpp"
#include "stream/schedules/schedule_index.hpp"
#include "stream/ttl_index.hpp"

namespace slipstream {

struct Account;
struct PublishHeaders;

constexpr size_t kEntryBytes = 1 << 20;  // an entry is at most this, or one message
constexpr uint64_t kStreamInflightMessages = 100'000, kStreamInflightBytes = 128 << 20;
constexpr uint64_t kBehindInflightBytes = 32 << 20;  // of all streams: clients that send much are not read (publish_pace.cpp)
constexpr uint64_t kInflightBytes = 128 << 20;       // ... and what comes nevertheless is refused,
constexpr uint64_t kOwnInflightBytes = 64 << 20;     // or, where the server publishes itself (republish, deliveries), dropped
constexpr size_t kHeaderBytesMax = 65535;

struct PublishError {
  int code, err_code;
  const char* description;
};

// What became of a message. `text` replaces the error's description; `ack_fields` go behind the others in the acknowledgement.
struct PublishVerdict {
  uint64_t seq = 0;
  bool duplicate = false;
  const PublishError* error = nullptr;
  std::string text, ack_fields;
};

std::string error_json(const PublishVerdict& verdict);
bool equals_ignoring_case(string_view a, string_view lower);
std::string lower(string_view text);

class StreamHost;
class StreamSnapshot;

class Stream {
 public:
  Stream(StreamHost& of_host, uint64_t id, Account& of_account, std::string called, std::string text, StreamSpec settings);
  ~Stream();

  void set_dedupe_key(uint64_t a, uint64_t b) { dedupe_.set_key(a, b); }
  void withdrawn(const Entry& entry);  // it was proposed, found no room on the disk, and is not in the log any more
  // From now on this replica takes in, sends, answers and proposes; or does not any more (leadership.cpp).
  void lead();
  void resign();
  // A consumer that lives with the process, so that nobody waits for a sync of what it does. Where its progress decides
  // what is kept, it is in the log like any other, wherever its own storage is.
  bool forgets(const ConsumerSpec& consumer) const { return consumer.memory && spec.keeps_all(); }
  uint32_t take_consumer_id();  // for a consumer that is to be proposed
  std::vector<uint32_t> forget_memory_consumers();  // those that lived with the process and for which nothing is retained
  void detach();
  void ingest(string_view subject, string_view reply, string_view header, string_view body, uint32_t flags = 0);
  void seal();     // what came in since the last seal becomes one entry
  void apply(EntryKind kind, Reader& in, const Proposal* mine);  // mine: null unless this reign has proposed the entry
  // The entry under way needs more turns: nothing else is applied to this stream, and nothing delivered, until it is done.
  bool working() const { return work_.has_value(); }
  void go_on();
  void age_timer_fired();
  void schedule_timer_fired();

  // This stream cannot go on, for this reason; all others can. Safe at any place: what is applied, delivered or taken in next
  // looks at group.offline, and the rest happens at the end of the turn. An apply calls it before the entry has any effect, and
  // returns. The reason is shown to clients. Only a restart brings the stream back, through its snapshot and its log.
  void go_offline(const std::string& reason);
  const std::string& offline_reason() const { return offline_reason_; }
  void found_damaged(uint64_t seq);  // by a read; reported once, and a bounded number of them

  Consumer* find_consumer(string_view consumer_name);
  Consumer* consumer(uint32_t consumer_id);
  void answer(string_view reply, string_view json);
  void answer_error(string_view reply, const PublishError& error);
  void count_bytes();  // keeps the account's and the server's sums; after every change
  static constexpr uint16_t kFormat = 6;  // of snapshots; the newest that load() knows
  bool load(Reader& in, uint16_t format);  // what follows account and name
  void direct_get(string_view subject, string_view reply, string_view header, string_view body);
  void mirror_caught_up();  // from now on direct gets of the origin's messages may be answered here (mirror_direct)
  uint64_t last_on(string_view subject) const;  // 0: none; the subject may have wildcards
  // The subject that a message is stored on, from the one that it came on; `scratch` holds it.
  string_view transformed(string_view subject, std::string& scratch) const;

  // What comes from origins (feed.hpp, copied_messages.cpp).
  std::optional<int64_t> next_run_of_restored(string_view header, int64_t time_ns, int64_t now_ns);
  bool open_feed(uint32_t feed_id, FeedSpec feed_spec);  // false: an earlier one of the same source is not finished
  void close_feed(uint32_t feed_id);
  void close_feeds();
  bool feed_under_way(string_view source) const;
  void put_start(const ConsumerSpec& consumer, Buffer& payload);  // of a new consumer, where it needs one
  void put_removal(uint64_t seq, bool erase, Buffer& payload);  // the entry that removes a message
  bool propose_copies(EntryKind kind, Buffer&& payload, Buffer&& who);
  int64_t entry_time_ns();
  uint64_t bytes_in_flight() const;
  uint32_t limits_verdict(size_t subject, size_t header, size_t body);  // flags of an entry's message
  void check();            // the invariants of retention

  StreamHost& host;
  Account& account;
  const std::string name;
  std::string description;

  StreamSpec spec;
  Group group;
  std::unique_ptr<MessageStore> store;
  std::map<uint32_t, std::unique_ptr<Consumer>> consumers;
  std::map<uint32_t, std::unique_ptr<Feed>> feeds;
  SlicedMap<SourcePosition> source_positions{encode_source};  // by the source's index name
  ConsumerIndex index{store};
  uint32_t next_consumer_id = 1;
  bool dirty = false;      // has an open entry; stands in StreamHost::dirty_streams_
  bool deleted = false;

 private:
  friend class Consumer;
  friend class BatchStaging;
  friend class Feed;
  friend class FastIngest;
  friend class StreamSnapshot;
  friend struct KernelCalls;
  friend struct CanonicalState;
  using Verdict = PublishVerdict;
  class BatchJudge;
  friend class JetStream;
  void attach();   // subscriptions and timers
  void release_offline();
  void give_up(Entry& e);
  void abandon(Entry& e);
  void refuse_offline(string_view reply);
  void append(LoggedMessage& m, string_view reply);
  bool is_full() const;
  bool too_large(size_t header, size_t body) const;
  bool level_is_met(string_view level) const;
  void apply_messages(Reader& in, const Proposal* mine);
  int64_t apply_remove(Reader& in);
  Work create_consumer(Reader in, const Proposal* mine);
  void wake_after_append();
  Work apply_mirrored(Reader in, const Proposal* mine);
  Work apply_sourced(Reader in, const Proposal* mine);
  void apply_copy(uint64_t seq, int64_t time_ns, string_view subject, string_view header, string_view body, uint32_t flags,
                  Verdict& verdict);
  void copies_applied(const Proposal* mine, uint64_t count, bool refused);
  void forget_feed(uint32_t feed_id);
  static void encode_source(Buffer& out, string_view source, const SourcePosition& position);
  bool load_sources(Reader& in);
  void apply_one(int64_t time_ns, const LoggedMessage& m, Verdict& verdict);
  void store_one(int64_t time_ns, const LoggedMessage& m, const PublishHeaders& h, string_view header, string_view body,
                 Verdict& verdict);
  bool ended_fast_batch(const LoggedMessage& m);
  void answer_verdict(string_view reply, const Verdict& verdict);
  void answer_stored(string_view reply, uint64_t seq, const std::string& fields);
  void answer_duplicate(string_view reply, uint64_t seq, const std::string& fields);
  void answer_batch_too_large(string_view reply, uint64_t messages_max);
  void advise_batch_abandoned(const std::string& batch, const char* reason);
  const PublishError* check_headers(const PublishHeaders& h, const LoggedMessage& m, Verdict& verdict);
  const PublishError* check_headers_in_fast_batch(const PublishHeaders& h, const LoggedMessage& m, int64_t time_ns, Verdict& verdict);
  const PublishError* check_size(size_t header, size_t body) const;
  void take_spec();  // what is compiled from it
  void republish(uint64_t seq, int64_t time_ns, string_view subject, string_view header, string_view body, uint64_t previous);
  void go_offline_at(const char* what);  // the entry under way is one that this version cannot apply
  void append_failed();
  const PublishError* check_increment(const PublishHeaders& h, string_view body, uint32_t flags) const;
  const PublishError* count(string_view subject, string_view header, string_view body, const PublishHeaders& h, CounterMessage& out);
  void put_total_before(uint64_t seq, Buffer& payload);
  bool put_total(uint64_t seq, Buffer& payload);
  void apply_total(Reader& in);
  void propose_total(uint64_t seq);
  void read_totals();
  void settle_unread_totals();
  void settle_lost_subjects();
  void apply_subjects_lost(Reader& in);
  bool last_is_open(uint64_t last);
  bool expectation_is_open(uint64_t last, int64_t expected);
  const PublishError* stop_undecided(const std::string& what);
  const PublishError* check_open(string_view subject, uint64_t bytes, bool rolls_up, uint64_t before);
  bool size_is_open(const StreamSpec& of, uint64_t bytes) const;
  bool limits_are_open(const StreamSpec& next);
  bool start_is_open(const ConsumerSpec& of);
  bool has_filtered_consumers() const;
  bool need_is_open(uint64_t first, uint64_t last);
  const PublishError* check_room(string_view subject, size_t header, size_t body, bool rollup);
  void stored(string_view subject, const PublishHeaders& h);
  void enforce_limits(uint32_t subject);
  bool over_limits() const;
  void trim_subject(uint32_t subject);
  void remove(uint64_t seq);
  // Entries that may take several turns (entry_work.hpp).
  void work(Work work);
  Work::Pause pause();
  void purge_within_entry(string_view filter, uint64_t keep);
  bool long_work_asked() const { return !long_work_.empty() || removed_within_entry_ > kRemovedWithinEntryMax; }
  Work do_long_work();
  Work apply_purge(std::string filter, uint64_t seq, uint64_t keep, const Proposal* mine);
  Work purge(std::string filter, uint64_t seq, uint64_t keep);
  Work purge_everything(uint64_t seq, uint64_t keep);
  Work purge_subjects(const std::vector<uint32_t>& ids, uint64_t seq, uint64_t keep);
  Work find_subjects(const std::string& filter, std::vector<uint32_t>& ids);
  Work remove_below(uint64_t below);
  void remove_untold(uint64_t seq);
  Work tell_purged(const std::string& filter, const std::vector<uint32_t>& ids, bool everything, uint64_t removed);
  Work configure(std::string text, StreamSpec next, const Proposal* mine);
  Work enforce_all_limits();
  Work apply_slowly(int64_t time_ns, uint32_t at, uint32_t count, Reader in, Reader replies, LoggedMessage m, bool ended,
                    PublishVerdict verdict, const Proposal* mine);
  void answer_applied(Reader& replies, const LoggedMessage& m, bool ended, const PublishVerdict& verdict);
  void messages_applied(const Proposal* mine);
  void finish(const Proposal* mine, int64_t result);
  uint64_t last_on_literal(string_view subject) const;
  void arm_age_timer();
  bool propose_expired();
  ReadStatus seek_age(uint64_t& below);
  uint64_t below_with_markers(uint64_t below, Buffer& markers);
  uint64_t oldest_mortal();
  void sweep_indexes();
  int64_t oldest_mortal_ns();
  Work apply_remove_below(Reader in, const Proposal* mine);
  Work apply_expire(Reader in, const Proposal* mine);
  void removal_done(const Proposal* mine);
  void end_of_life(uint64_t seq, int64_t time_ns, bool is_marker);
  bool put_markers(std::vector<uint64_t>& seqs, Buffer& payload);
  bool take_markers(Reader& in, const std::vector<uint64_t>& seqs, std::set<uint64_t>& markers);
  static bool is_marker(string_view header);
  bool leaves_markers(int64_t time_ns) const;
  bool raise_ttl(int64_t& ttl_s, string_view& header, std::string& rewritten) const;
  bool propose_removal(EntryKind kind, Buffer&& payload, const Buffer& markers);
  void wake_consumers();
  void apply_restored_messages(Reader& in);
  void restore_position(string_view stream_source);
  void restore_end(uint64_t last_seq, int64_t time_ns);
  void apply_restored_consumer(Reader& in);
  void subscribe();
  void answer_direct_gets(const std::string& of);
  void unsubscribe();
  void stop_serving();

  // batch_apply.cpp
  void propose_batch(string_view messages, uint32_t count, bool end_only, string_view reply, string_view ack_fields);
  void apply_batch_part(Reader& in);
  Work apply_batch_commit(Reader in, const Proposal* mine);
  void judge_batch(string_view messages, uint32_t count, int64_t time_ns, Verdict& verdict);
  Work store_batch(string_view messages, uint32_t messages_count, int64_t time_ns, Verdict& verdict);

  // scheduled_publish.cpp
  void mark_schedule(LoggedMessage& m);
  const PublishError* check_schedule(const PublishHeaders& h, string_view subject, const ScheduleMark& mark,
                                     const std::function<std::optional<bool>(string_view)>& written);
  const PublishError* check_schedule_fields(const PublishHeaders& h, string_view subject);
  void schedule_stored(uint64_t seq, const LoggedMessage& m, const PublishHeaders& h);
  bool schedule_waits(const LoggedMessage& m, const PublishHeaders& h) const;
  void schedule_refused(const LoggedMessage& m, const PublishHeaders& h, int64_t time_ns);
  void arm_schedule_timer();
  bool fire(const ScheduleIndex::Due& due);
  bool forget_schedule(const ScheduleIndex::Due& due);
  bool pass_unreadable(const ScheduleIndex::Due& due, uint64_t seq);
  void apply_schedule_forgotten(Reader& in);
  int64_t next_run_ns(const PublishHeaders& h, int64_t time_ns, int64_t now_ns);
  void schedule_restored(uint64_t seq, string_view subject, const PublishHeaders& h, int64_t next_ns);

  // stream/snapshot.cpp
  enum class Section : uint16_t { batch_parts = 1, ended_fast_batches = 2, schedules = 3, counter_totals = 4, lost_subjects = 5 };
  void snapshot_head(Buffer& out) const;
  StreamSnapshot* snapshot_under_way_ = nullptr;
  uint64_t snapshots_ = 0;  // begun; a consumer that has not seen the newest one has yet to be written

  // Of messages that the store has to know first.
  struct LaterSections {
    string_view totals, lost_subjects;
  };
  bool load_sections(Reader& in, uint16_t format, LaterSections& later);

  bool mirror_caught_up_ = false;
  bool leads_ = false;
  std::unique_ptr<SubjectTransform> transform_, republish_;
  // --- interest and work-queue retention (retention.cpp)
  bool keeps_for_interest(string_view subject);
  bool skipped(int64_t time_ns, const LoggedMessage& m, const PublishHeaders& h, Verdict& verdict);
  void skip_message(uint64_t seq, int64_t time_ns, string_view subject, const PublishHeaders& h);
  bool needed(uint64_t seq, uint32_t subject);
  void settle(uint64_t seq);
  Work settle_from(uint64_t seq);
  Work remove_consumer(uint32_t consumer_id, const Proposal* mine);
  Work update_consumer(uint32_t consumer_id, std::string description, ConsumerSpec next, const Proposal* mine);
  Work settle_behind_reset(Consumer& c, uint64_t seq);
  Work begin_interest();
  void snapshot_retention(Buffer& out);
  bool load_retention(Reader& in);

  std::optional<Work> work_;       // of the entry under way, when it needs more turns
  std::vector<Work> long_work_;    // that the message under way asks for: done before the next one is applied
  uint64_t removed_within_entry_ = 0;
  static constexpr uint64_t kRemovedWithinEntryMax = 4096;
  Buffer open_, open_replies_;
  uint32_t open_count_ = 0;
  uint32_t consumer_ids_taken_ = 0;  // by the leader: below it are those of consumers that are proposed
  uint32_t removals_inflight_ = 0;  // entries of kind expire and remove_below that are not applied yet
  void begin_flight(uint64_t messages, uint64_t bytes);
  void end_flight(const Proposal& mine);
  void refuse_messages(string_view payload, string_view replies);
  uint64_t inflight_messages_ = 0, inflight_bytes_ = 0;
  int64_t counted_bytes_ = 0;  // of this stream, in the sums
  DedupeWindow dedupe_;
  std::string last_msg_id_;
  int64_t last_time_ns_ = 0;
  std::string offline_reason_;
  CounterTotals counters_;
  LostSubjects lost_subjects_;
  std::set<uint64_t> totals_asked_;  // of the leader: these entries are under way, or cannot be made here
  std::set<uint64_t> damaged_found_;
  uint64_t lingering_upto_ = 0;  // what lies up to here may stay though nobody needs it, until its last consumer goes
  std::vector<Subscription*> subscriptions_;
  TtlIndex ttls_;
  uint64_t immortal_upto_ = 0;  // whatever is there up to here never ends
  int64_t age_seek_ns_ = 0;  // the age limit looks for the first message from then on; 0: it does not
  uint64_t age_seek_seq_ = 0;
  uint64_t age_damaged_seq_ = 0, age_behind_damage_ = 0;  // on its way: one whose time cannot be read, and the next
  ReadBuffer age_reader_, marker_reader_;
  int64_t armed_end_ns_ = INT64_MAX;  // the end for which the timer was last set
  Timer age_timer_{TimerKind::stream_age, this};
  std::string ack_head_;   // {"stream":"NAME","seq":
  ReadBuffer reader_;
  std::unique_ptr<ReadBuffer> get_reader_ = std::make_unique<ReadBuffer>();

  std::unique_ptr<BatchStaging> staging_;  // of the leader, while there are batches
  std::unique_ptr<FastIngest> fast_;
  std::shared_ptr<Buffer> batch_parts_;  // shared with a snapshot under way, which has what was there when it began
  uint32_t batch_part_count_ = 0;
  std::map<uint64_t, uint64_t> ended_fast_batches_;  // by number: the index of the entry with the message that was refused
  ScheduleIndex schedules_;
  uint64_t fired_index_ = 0;  // of the last entry with messages of schedules
  std::unique_ptr<ReadBuffer[]> schedule_readers_;
  std::set<uint64_t> unreadable_schedules_;  // they, or their sources: not tried again before
  int64_t unreadable_until_ns_ = 0;
  Timer schedule_timer_{TimerKind::schedules, this};
};

}  // namespace slipstream
