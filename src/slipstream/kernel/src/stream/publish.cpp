// Publishing: from the subject that a stream captures into its open entry, and from the committed entry into the store, judged
// message by message in nats-server's order (S-130). What a feature adds stands in a file of its own and is called from here.
#include <algorithm>

#include "bytes/json_text.hpp"
#include "message/get_request.hpp"
#include "message/header_block.hpp"
#include "message/message_headers.hpp"
#include "stream/publish_errors.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr size_t kShortAckHead = 448;
constexpr uint64_t kFileRecordBytesMax = 32 << 20;  // S-010
constexpr string_view kBatchIdHeader = "\r\nNats-Batch-Id:";
constexpr const char* kUndecodable = "has a message that cannot be decoded";
constexpr string_view kRollupLine = "Nats-Rollup: sub\r\n";

}  // namespace

bool equals_ignoring_case(string_view a, string_view lower) {
  if (a.size() != lower.size()) return false;
  for (size_t i = 0; i < a.size(); i++)
    if ((a[i] | 0x20) != lower[i]) return false;
  return true;
}

std::string lower(string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c |= 0x20;
  return out;
}

// ------------------------------------------------------------------ from publishers to the log

void Stream::ingest(string_view subject, string_view reply, string_view header, string_view body, uint32_t flags) {
  std::string stored_on;
  if (transform_) subject = transformed(subject, stored_on);
  if (subject.size() > kSubjectBytesMax) [[unlikely]] return answer_error(reply, kSubjectTooLong);  // a transform made it so
  if (header.size() > kHeaderSizeMask) [[unlikely]] return answer_error(reply, kHeaderTooLarge);  // no entry has room for it
  std::string plain;
  if (!header.empty() && without_server_headers(header, plain)) header = plain;
  if (group.offline) [[unlikely]] return refuse_offline(reply);
  if (group.logged) host.kernel.count_ingested(subject.size() + header.size() + body.size());
  // Each message in flight takes one sequence at most.
  if (store->last_seq() >= kSequenceMax - inflight_messages_ - open_count_) [[unlikely]] return answer_error(reply, kSequencesUsedUp);
  if (reply.ends_with(kFastSuffix)) {
    if (!fast_) fast_ = std::make_unique<FastIngest>(*this);
    return fast_->take(subject, reply, header, body);
  }
  if (spec.no_ack) reply = {};
  if (group.logged && !host.takes_publishes()) return answer_error(reply, host.refusal());
  if (is_full()) return answer_error(reply, kTooManyRequests);
  if (!spec.memory && MessageStore::message_bytes(false, subject.size(), header.size(), body.size()) > kFileRecordBytesMax)
    return answer_error(reply, kRecordTooLarge);
  if (spec.allow_atomic && header.find(kBatchIdHeader) != string_view::npos && !scan_headers(header).batch_id.empty()) {
    if (!staging_) staging_ = std::make_unique<BatchStaging>(*this);
    return staging_->take(subject, reply, header, body);
  }
  LoggedMessage m{.flags = flags, .subject = subject, .header = header, .body = body};
  append(m, reply);
}

bool Stream::is_full() const {
  uint64_t staged = staging_ ? staging_->bytes() : 0;
  return inflight_messages_ + open_count_ >= kStreamInflightMessages || bytes_in_flight() + staged >= kStreamInflightBytes ||
         host.bytes_in_flight >= (host.kernel.in_publish() ? kInflightBytes : kOwnInflightBytes);
}

// Of the entry that was proposed last.
void Stream::begin_flight(uint64_t messages, uint64_t bytes) {
  Proposal& mine = group.inflight.back().proposal;
  mine.messages = messages, mine.bytes = bytes;
  inflight_messages_ += messages;
  inflight_bytes_ += bytes;
  host.bytes_in_flight += bytes;
}

void Stream::end_flight(const Proposal& mine) {
  inflight_messages_ -= mine.messages;
  inflight_bytes_ -= mine.bytes;
  host.bytes_in_flight -= mine.bytes;
}

bool Stream::too_large(size_t header, size_t body) const {
  return spec.max_msg_size >= 0 && (int64_t)(header + body) > spec.max_msg_size;
}

bool Stream::level_is_met(string_view level) const { return !level_too_high(level, host.kernel.limits.api_level); }

void Stream::append(LoggedMessage& m, string_view reply) {
  m.flags |= limits_verdict(m.subject.size(), m.header.size(), m.body.size());
  mark_schedule(m);
  if (open_count_ && open_.size() + m.size() > kEntryBytes) seal();
  if (open_count_ == 0) {
    open_ = host.buffer();
    open_replies_ = host.buffer();
    open_.put64(0), open_.put32(0);  // time and count, filled in by seal()
    host.mark_dirty(*this);
  }
  m.encode(open_);
  open_replies_.put16((uint16_t)reply.size());
  open_replies_.append(reply);
  open_count_++;
}

// Limits outside the group are the leader's to judge; its verdict rides in the entry.
uint32_t Stream::limits_verdict(size_t subject, size_t header, size_t body) {
  uint32_t verdict = 0;
  if (int64_t max = host.stream_bytes_max.of(spec.memory); max >= 0 && host.stream_bytes.of(spec.memory) > max) verdict |= kServerFull;
  if (int64_t max = account.stream_bytes_max.of(spec.memory); max >= 0) {
    uint64_t coming = inflight_bytes_ + open_.size() + MessageStore::message_bytes(spec.memory, subject, header, body);
    if (account.stream_bytes.of(spec.memory) + (int64_t)coming > max) verdict |= kAccountFull;
  }
  return verdict;
}

void Stream::seal() {
  for (auto& [id, feed] : feeds) feed->seal();
  if (open_count_ == 0) return;
  store64(open_.data(), (uint64_t)entry_time_ns());
  store32(open_.data() + 8, open_count_);
  uint64_t count = std::exchange(open_count_, 0), bytes = open_.size();
  if (host.propose(group, EntryKind::messages, std::move(open_), true, 0, std::move(open_replies_), false, spec.persist_async))
    return begin_flight(count, bytes);
  refuse_messages(open_.view(), open_replies_.view());
}

// Those of an entry that the log does not take.
void Stream::refuse_messages(string_view payload, string_view reply_subjects) {
  const PublishError error = host.refusal();
  Verdict verdict;
  verdict.error = &error;
  Reader in(payload), replies(reply_subjects);
  in.get64();
  uint32_t count = in.get32();
  LoggedMessage m;
  for (uint32_t i = 0; i < count && m.decode(in); i++) {
    string_view reply = replies.get_bytes(replies.get16());
    if (reply.empty()) continue;
    if (!m.in_fast_batch) answer_error(reply, error);
    else if (fast_) fast_->refused(reply, m, verdict);
  }
}

void Stream::withdrawn(const Entry& entry) {
  Reader replies(entry.proposal.replies.view());
  end_flight(entry.proposal);
  switch (entry.kind) {
    case EntryKind::messages:
      refuse_messages(entry.payload.view(), entry.proposal.replies.view());
      break;
    case EntryKind::batch_commit:
      answer_error(replies.get_text(), host.refusal());
      break;
    case EntryKind::mirrored:
    case EntryKind::sourced:
      if (auto feed = feeds.find(replies.get32()); feed != feeds.end()) {
        feed->second->withdrawn(replies.get32());
        if (feed->second->closed) forget_feed(feed->first);
      }
      break;
    default:
      assert(entry.kind == EntryKind::batch_part);
  }
  fired_index_ = std::min(fired_index_, group.last_index);  // schedules that are in no entry any more fire again
}

void Stream::answer(string_view reply, string_view json) {
  if (!reply.empty()) host.kernel.publish(account, reply, {}, {}, json);
}

void Stream::answer_error(string_view reply, const PublishError& e) {
  if (reply.empty()) return;
  PublishVerdict verdict;
  verdict.error = &e;
  std::string text = "{\"error\":" + error_json(verdict) + ",\"stream\":\"";
  append_json_text(text, name);
  text += "\",\"seq\":0}";
  if (e.err_code == kTooManyRequests.err_code)
    host.kernel.publish(account, reply, {}, "NATS/1.0 429 Too Many Requests\r\n\r\n", text);
  else
    answer(reply, text);
}

void Stream::answer_batch_too_large(string_view reply, uint64_t messages_max) {
  PublishError error = kBatchTooLarge;
  std::string text = "atomic publish batch is too large: " + std::to_string(messages_max);
  error.description = text.c_str();
  answer_error(reply, error);
}

void Stream::answer_stored(string_view reply, uint64_t seq, const std::string& fields) {
  answer(reply, ack_head_ + std::to_string(seq) + fields + "}");
}

void Stream::answer_duplicate(string_view reply, uint64_t seq, const std::string& fields) {
  if (!spec.no_ack) answer_stored(reply, seq, ",\"duplicate\": true" + fields);
}

std::string error_json(const PublishVerdict& v) {
  std::string text = "{\"code\":" + std::to_string(v.error->code) + ",\"err_code\":" + std::to_string(v.error->err_code) +
                     ",\"description\":\"";
  append_json_text(text, v.text.empty() ? string_view(v.error->description) : v.text);
  return text + "\"}";
}

// For the listeners of BATCH_ABANDONED (S-252).
void Stream::advise_batch_abandoned(const std::string& batch, const char* reason) {
  MatchResult listeners;  // a scratch one: the caller may be walking the trie's own
  account.trie.match_uncached("$JS.EVENT.ADVISORY.STREAM.BATCH_ABANDONED." + name, listeners);
  if (listeners.empty()) return;
  EventRecord e{EventType::batch_abandoned};
  e.a = group.id;
  e.s0 = batch, e.s1 = reason;
  host.kernel.emit_advisory(std::move(e));
}

// ------------------------------------------------------------------ applying

void Stream::apply_messages(Reader& in, const Proposal* mine) {
  int64_t time_ns = (int64_t)in.get64();
  uint32_t count = in.get32();
  Reader replies(mine ? mine->replies.view() : string_view());
  LoggedMessage m;
  for (uint32_t i = 0; i < count && in.ok(); i++) {
    if (!m.decode(in)) return go_offline_at(kUndecodable);
    bool ended = m.in_fast_batch && ended_fast_batch(m);
    Verdict verdict;
    if (!ended) apply_one(time_ns, m, verdict);
    if (group.offline) return;  // what became of it will be known when this entry can be applied
    if (long_work_asked()) [[unlikely]]
      return work(apply_slowly(time_ns, i, count, in, replies, m, ended, std::move(verdict), mine));
    if (verdict.error && m.in_fast_batch && m.fast.gap_fail) ended_fast_batches_[m.fast.number] = group.applied;
    if (replies.left()) answer_applied(replies, m, ended, verdict);
  }
  messages_applied(mine);
}

// The rest of an entry from its message `at` on, which has asked for work that may take several turns: it is answered behind that.
Work Stream::apply_slowly(int64_t time_ns, uint32_t at, uint32_t count, Reader in, Reader replies, LoggedMessage m, bool ended,
                          PublishVerdict verdict, const Proposal* mine) {
  for (;;) {
    co_await do_long_work();
    if (verdict.error && m.in_fast_batch && m.fast.gap_fail) ended_fast_batches_[m.fast.number] = group.applied;
    if (replies.left()) answer_applied(replies, m, ended, verdict);
    if (++at == count || !in.ok()) break;
    if (!m.decode(in)) {
      go_offline_at(kUndecodable);
      co_return;
    }
    ended = m.in_fast_batch && ended_fast_batch(m);
    verdict = {};
    if (!ended) apply_one(time_ns, m, verdict);
    if (group.offline) co_return;
    if (host.share.spent()) co_await pause();
  }
  messages_applied(mine);
}

void Stream::answer_applied(Reader& replies, const LoggedMessage& m, bool ended, const PublishVerdict& verdict) {
  string_view reply = replies.get_bytes(replies.get16());
  if (reply.empty()) return;
  if (!m.in_fast_batch) answer_verdict(reply, verdict);
  else if (fast_) ended ? fast_->ended(reply) : fast_->applied(reply, m, verdict);
}

void Stream::messages_applied(const Proposal* mine) {
  if (mine) end_flight(*mine);
  wake_after_append();
}

// An earlier message of its batch was refused, and the batch allows no gaps. Of batches whose last message was applied nothing
// needs to be known any more.
bool Stream::ended_fast_batch(const LoggedMessage& m) {
  std::erase_if(ended_fast_batches_, [&](const auto& ended) { return ended.second <= m.fast.applied; });
  return ended_fast_batches_.count(m.fast.number) > 0;
}

void Stream::wake_after_append() {
  if (!leads_) return;
  if (schedules_.next_ns() != ScheduleMark::kNever) arm_schedule_timer();
  if ((spec.max_age_ns > 0 && !age_timer_.armed()) || ttls_.next_end_ns() != armed_end_ns_) arm_age_timer();
  wake_consumers();
}

void Stream::wake_consumers() { index.wake_listeners(host); }

// The publish acknowledgement (S-135..S-137).
void Stream::answer_verdict(string_view reply, const Verdict& v) {
  if (v.error) {
    PublishError e = *v.error;
    if (!v.text.empty()) e.description = v.text.c_str();
    return answer_error(reply, e);
  }
  string_view tail = v.duplicate ? ",\"duplicate\": true" : "";
  if (!v.ack_fields.empty() || ack_head_.size() > kShortAckHead)
    return answer(reply, ack_head_ + std::to_string(v.seq) + std::string(tail) + v.ack_fields + "}");
  char ack[kShortAckHead + 64];
  size_t n = ack_head_.size();
  memcpy(ack, ack_head_.data(), n);
  n += format_u64(ack + n, v.seq);
  memcpy(ack + n, tail.data(), tail.size());
  n += tail.size();
  ack[n++] = '}';
  answer(reply, {ack, n});
}

void Stream::apply_one(int64_t time_ns, const LoggedMessage& m, Verdict& v) {
  if (store->last_seq() == UINT64_MAX) {  // of an earlier version's log
    v.error = &kSequencesUsedUp;
    return;
  }
  uint64_t record_bytes = MessageStore::message_bytes(spec.memory, m.subject.size(), m.header.size(), m.body.size());
  if (!spec.memory && record_bytes > kFileRecordBytesMax) {
    v.error = &kRecordTooLarge;
    return;
  }
  if (spec.sealed) {
    v.error = &kSealed;
    return;
  }
  if ((v.error = check_size(m.header.size(), m.body.size()))) return;
  PublishHeaders h;
  if (!m.header.empty()) {
    h = scan_headers(m.header);
    if (m.schedule.seq && !schedule_waits(m, h)) return;  // somebody else has run it
    if (!h.batch_id.empty() && !spec.allow_atomic && !m.in_fast_batch) {
      v.error = too_large(m.header.size(), m.body.size()) ? &kMsgTooLarge : &kBatchDisabled;
      return;
    }
    if (!h.incr.empty() && (v.error = check_increment(h, m.body, m.flags))) return;
    if (h.any) v.error = m.in_fast_batch ? check_headers_in_fast_batch(h, m, time_ns, v) : check_headers(h, m, v);
    if (v.error || v.duplicate) return;
    if (!h.msg_id.empty() && spec.duplicate_window_ns > 0) {
      dedupe_.expire(time_ns, spec.duplicate_window_ns);
      if ((v.seq = dedupe_.find(h.msg_id))) {
        v.duplicate = true;
        return;
      }
    }
    if (!h.expected_last_msg_id.empty() && h.expected_last_msg_id != last_msg_id_) {
      v.error = &kWrongMsgId;
      v.text = "wrong last msg ID: " + last_msg_id_;
      return;
    }
    if (!h.rollup.empty()) {
      bool sub = equals_ignoring_case(h.rollup, "sub"), all = equals_ignoring_case(h.rollup, "all");
      if (!spec.allow_rollup || spec.deny_purge) v.text = "rollup not permitted";
      else if (!sub && !all) v.text = "rollup value invalid: \"" + lower(h.rollup) + "\"";
      if (!v.text.empty()) {
        v.error = &kRollup;
        return;
      }
    }
  }
  std::optional<CounterMessage> counted;
  string_view header = m.header, body = m.body;  // what is stored
  if (spec.counter) {
    counted.emplace();
    if ((v.error = count(m.subject, m.header, m.body, h, *counted))) return;
    header = counted->header, body = counted->body;
    v.error = check_size(header.size(), body.size());  // counting may have made it larger
  }
  int64_t ttl_s = kTtlNone;
  bool adds_rollup = m.is_schedule() && !h.schedule.empty() && h.rollup.empty();
  size_t header_size = header.size() + (adds_rollup ? kRollupLine.size() : 0);  // as it will be stored
  if (!v.error && adds_rollup) v.error = check_size(header_size, body.size());
  if (!v.error && m.flags & kServerFull) v.error = &kServerLimit;
  if (!v.error && lost_subjects_.any_open()) [[unlikely]]
    v.error = check_open(m.subject, MessageStore::message_bytes(spec.memory, m.subject.size(), header_size, body.size()),
                         adds_rollup || h.removes_from_subject(), 0);
  if (!v.error && skipped(time_ns, m, h, v)) return;
  if (!v.error && m.flags & kAccountFull) v.error = &kAccountLimit;
  if (!v.error && !h.ttl.empty() && !parse_ttl(h.ttl, ttl_s)) v.error = &kTtlInvalid;
  if (!v.error) v.error = check_room(m.subject, header_size, body.size(), !h.rollup.empty());
  if (!v.error) store_one(time_ns, m, h, header, body, v);
  if (group.offline) return;
  if (!v.error && counted) {
    v.ack_fields = ",\"val\":\"" + counted->now.total + "\"";
    counters_.set(store->appended_subject(), v.seq, std::move(counted->now));
  }
  if (v.error && m.schedule.seq) schedule_refused(m, h, time_ns);
}

// Nothing is wrong with it any more: it goes into the store with this header and body, and what its headers ask for is done.
void Stream::store_one(int64_t time_ns, const LoggedMessage& m, const PublishHeaders& h, string_view header, string_view body,
                       Verdict& v) {
  bool is_schedule = m.is_schedule() && !h.schedule.empty();
  std::string with_rollup, with_ttl;
  if (is_schedule && h.rollup.empty()) header = with_rollup = with_header_appended(header, "Nats-Rollup", "sub");  // S-208
  int64_t ttl_s = kTtlNone;
  if (!h.ttl.empty()) parse_ttl(h.ttl, ttl_s);
  if (spec.delete_marker_ttl_ns > 0) raise_ttl(ttl_s, header, with_ttl);
  bool republishes = republish_ && leads_;
  uint64_t previous = republishes ? last_on_literal(m.subject) : 0;
  v.seq = store->last_seq() + 1;
  if (!store->append(v.seq, time_ns, m.subject, header, body)) return append_failed();
  ttls_.add(v.seq, time_ns, ttl_s);
  sweep_indexes();
  if (with_rollup.empty()) {
    stored(m.subject, h);
  } else {
    PublishHeaders rolls_up = h;
    rolls_up.rollup = "sub";
    stored(m.subject, rolls_up);
  }
  if (spec.allow_schedules) schedule_stored(v.seq, m, h);
  if (!h.msg_id.empty() && spec.duplicate_window_ns > 0) dedupe_.insert(h.msg_id, v.seq, time_ns);
  if (republishes) republish(v.seq, time_ns, m.subject, header, body, previous);
}

const PublishError* Stream::check_headers(const PublishHeaders& h, const LoggedMessage& m, Verdict& v) {
  string_view subject = m.subject;
  auto wrong_sequence = [&](uint64_t actual) {
    v.text = "wrong last sequence: " + std::to_string(actual);
    return &kWrongSequence;
  };
  if (!h.expected_stream.empty() && h.expected_stream != name) return &kWrongStream;
  if (!h.ttl.empty() && !spec.allow_msg_ttl && !(m.flags & kFromServer)) {
    int64_t ttl_s = kTtlNone;  // what is no time to live is refused later, for what it is
    if (parse_ttl(h.ttl, ttl_s) && ttl_s != kTtlNone) return &kTtlDisabled;
  }
  if (!h.expected_last_subject_seq.empty()) {
    int64_t expected = parse_number(h.expected_last_subject_seq);
    uint64_t actual = last_on(h.expected_subject.empty() ? subject : h.expected_subject);
    if (expectation_is_open(actual, expected)) [[unlikely]] return stop_undecided("the last sequence of subject " + std::string(subject));
    if (expected < 0 || (uint64_t)expected != actual) return wrong_sequence(actual);
  } else if (!h.expected_subject.empty()) {
    return &kExpectedSubjectAlone;
  }
  if (!h.expected_last_seq.empty()) {
    int64_t expected = parse_number(h.expected_last_seq);
    if (expected < 0 || (uint64_t)expected != store->last_seq()) return wrong_sequence(store->last_seq());
  }
  if (m.flags & kFromServer) return nullptr;
  if (const PublishError* e = check_schedule(h, subject, m.schedule, [](string_view) { return std::optional<bool>(); })) return e;
  if (!h.stream_source.empty()) return &kSourceHeader;
  return nullptr;
}

const PublishError* Stream::check_size(size_t header, size_t body) const {
  if (too_large(header, body)) return &kMsgTooLarge;
  return header > kHeaderBytesMax ? &kHeaderTooLarge : nullptr;
}

const PublishError* Stream::check_room(string_view subject, size_t header, size_t body, bool rollup) {
  if (!spec.discard_new) return nullptr;
  bool replaces = false;
  uint64_t size = MessageStore::message_bytes(spec.memory, subject.size(), header, body);
  uint64_t replaced_bytes = 0;
  if (spec.max_msgs_per_subject > 0) {
    uint32_t id = store->find_subject(subject);
    if (id != kNoSubject) {
      SubjectState state = store->subject_state(id);
      replaces = state.count >= (uint64_t)spec.max_msgs_per_subject;
      if (replaces && spec.discard_new_per_subject && !rollup) return &kMaxPerSubject;
      if (replaces) replaced_bytes = store->size_of(state.first);
    }
  }
  if (spec.max_msgs > 0 && store->messages() >= (uint64_t)spec.max_msgs && !replaces) return &kMaxMessages;
  if (spec.max_bytes > 0 && store->bytes() + size > (uint64_t)spec.max_bytes && !(replaces && size <= replaced_bytes))
    return &kMaxBytes;
  return nullptr;
}

// The message that was appended last.
void Stream::stored(string_view name, const PublishHeaders& h) {
  if (!h.any || h.msg_id.empty()) {
    if (!last_msg_id_.empty()) last_msg_id_.clear();
  } else {
    last_msg_id_ = h.msg_id;
  }
  uint32_t subject = store->appended_subject();
  if (!index.empty()) {
    if (store->subject_state(subject).count == 1) index.subject_renewed(subject);
    index.arrived(subject, store->last_seq());
  }
  enforce_limits(subject);
  if (!h.rollup.empty()) purge_within_entry(h.rolls_up_all() ? string_view() : name, 1);
}

uint64_t Stream::last_on_literal(string_view subject) const {
  uint32_t id = store->find_subject(subject);
  return id == kNoSubject ? 0 : store->subject_state(id).last;
}

uint64_t Stream::last_on(string_view subject) const {
  if (!has_wildcard(subject)) return last_on_literal(subject);
  uint64_t last = 0;
  store->match_subjects(subject, [&](uint32_t id) { last = std::max(last, store->subject_state(id).last); });
  return last;
}

}  // namespace slipstream
