// An atomic batch in the log and in the stream: the leader proposes its parts and their commit one behind the other; applying the
// commit is one decision. Every message is judged in order, against the stream as it is and what the batch itself writes before it;
// one refusal refuses all of them, otherwise all are stored. Parts whose commit never came (the leader ended in between) are
// dropped with the next batch's first part.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "message/header_block.hpp"
#include "message/message_headers.hpp"
#include "stream/publish_errors.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {

// ------------------------------------------------------------------ proposing

void Stream::propose_batch(string_view messages, uint32_t count, bool end_only, string_view reply, string_view ack_fields) {
  seal();  // what came before the batch is before it in the log
  Buffer part = host.buffer();
  uint32_t parts = 0, left = count;
  uint64_t bytes = 0;
  std::string last_header;
  Reader in(messages);
  part.put8(true);
  LoggedMessage m;
  for (; left && m.decode(in); left--) {
    if (left == 1 && end_only) m.header = last_header = with_header_appended(m.header, "Nats-Batch-Commit", "1");
    mark_schedule(m);
    if (part.size() > 1 && part.size() + m.size() > kEntryBytes) {
      bytes += part.size();
      if (!host.propose(group, EntryKind::batch_part, std::move(part), false))
        return answer_error(reply, host.refusal());
      parts++;
      part = host.buffer();
      part.put8(false);
    }
    m.encode(part);
  }
  Buffer payload = host.buffer(), replies = host.buffer();
  payload.put64((uint64_t)entry_time_ns()), payload.put32(count), payload.put32(parts);
  payload.append(part.view().substr(1));
  bytes += payload.size();
  replies.put_text(reply);
  replies.put_text(ack_fields);
  host.recycle(std::move(part));
  if (host.propose(group, EntryKind::batch_commit, std::move(payload), true, 0, std::move(replies))) return begin_flight(count, bytes);
  answer_error(reply, host.refusal());
}

// ------------------------------------------------------------------ judging

// What the batch has written so far, as the checks of its later messages see it.
class Stream::BatchJudge {
 public:
  explicit BatchJudge(Stream& s) : s_(s) {}

  const PublishError* judge(LoggedMessage& m, int64_t time_ns, Verdict& v) {
    PublishHeaders h;
    if (!m.header.empty()) h = scan_headers(m.header);
    if (!h.expected_last_msg_id.empty()) {
      v.text = "atomic publish unsupported header used: Nats-Expected-Last-Msg-Id";
      return &kBatchUnsupportedHeader;
    }
    if (const PublishError* e = h.any ? headers(h, m, time_ns, v) : nullptr) return e;
    if (s_.spec.counter)
      if (const PublishError* e = counts(h, m)) return e;
    if (m.header.size() > kHeaderBytesMax) return &kHeaderTooLarge;
    size_t header = m.header.size() + (adds_rollup(h) ? kRollupLineBytes : 0);
    uint64_t bytes = MessageStore::message_bytes(s_.spec.memory, m.subject.size(), header, m.body.size());
    Written& w = written_[m.subject];
    w.count++;
    w.schedule = !h.schedule.empty();
    count_++;
    bytes_ += bytes;
    if (s_.lost_subjects_.any_open()) [[unlikely]]
      if (const PublishError* e = s_.check_open(m.subject, bytes_, adds_rollup(h) || h.removes_from_subject(), w.count - 1)) return e;
    return room(m.subject, w.count, !h.rollup.empty() || adds_rollup(h));
  }

  const PublishError* headers(const PublishHeaders& h, const LoggedMessage& m, int64_t time_ns, Verdict& v) {
    if (m.header.size() > kHeaderBytesMax) return &kHeaderTooLarge;
    if (!h.incr.empty())
      if (const PublishError* e = s_.check_increment(h, m.body, 0)) return e;
    if (!h.expected_stream.empty() && h.expected_stream != s_.name) return &kWrongStream;
    int64_t ttl_s = kTtlNone;
    bool ttl_valid = parse_ttl(h.ttl, ttl_s);
    if (!h.ttl.empty() && (ttl_s != 0 || !ttl_valid)) {
      if (!s_.spec.allow_msg_ttl) return &kTtlDisabled;
      if (!ttl_valid) return &kTtlInvalid;
    }
    if (!h.msg_id.empty() && s_.spec.duplicate_window_ns > 0) {
      if (!ids_.insert(h.msg_id).second) return &kBatchDuplicate;
      s_.dedupe_.expire(time_ns, s_.spec.duplicate_window_ns);
      if ((v.seq = s_.dedupe_.find(h.msg_id))) return &kBatchDuplicate;
    }
    if (!h.stream_source.empty()) return &kSourceHeader;
    if (s_.spec.counter && h.incr.empty()) return &kIncrementMissing;
    if (const PublishError* e = expected(h, m, v)) return e;
    auto schedule_in_batch = [this](string_view subject) {
      auto it = written_.find(subject);
      return it == written_.end() ? std::optional<bool>() : std::optional<bool>(it->second.schedule);
    };
    if (const PublishError* e = s_.check_schedule(h, m.subject, m.schedule, schedule_in_batch)) return e;
    return rollup(h, m.subject, v);
  }

 private:
  struct Written { uint64_t count = 0; bool schedule = false; };
  static constexpr size_t kRollupLineBytes = sizeof("Nats-Rollup: sub\r\n") - 1;
  bool adds_rollup(const PublishHeaders& h) const { return !h.schedule.empty() && h.rollup.empty(); }

  // The total so far is as good as the one that this batch makes of it: both are numbers, or neither is.
  const PublishError* counts(const PublishHeaders& h, const LoggedMessage& m) {
    CounterMessage counted;
    if (const PublishError* e = s_.count(m.subject, m.header, m.body, h, counted)) return e;
    return s_.too_large(counted.header.size(), counted.body.size()) ? &kMsgTooLarge : nullptr;
  }

  const PublishError* expected(const PublishHeaders& h, const LoggedMessage& m, Verdict& v) {
    auto wrong_sequence = [&](uint64_t actual) {
      v.text = "wrong last sequence: " + std::to_string(actual);
      return &kWrongSequence;
    };
    if (!h.expected_last_seq.empty()) {
      uint64_t last = s_.store->last_seq() + count_;
      if ((uint64_t)parse_number(h.expected_last_seq) != last) return wrong_sequence(last);
      if (count_) return &kBatchWrongSequence;  // only the first message may say so
    }
    if (!h.expected_last_subject_seq.empty()) {
      string_view subject = h.expected_subject.empty() ? m.subject : h.expected_subject;
      if (written_.count(subject)) return &kBatchWrongSequence;
      uint64_t actual = s_.last_on(subject);
      if (s_.expectation_is_open(actual, parse_number(h.expected_last_subject_seq))) [[unlikely]]
        return s_.stop_undecided("the last sequence of subject " + std::string(subject));
      if ((uint64_t)parse_number(h.expected_last_subject_seq) != actual) return wrong_sequence(actual);
    } else if (!h.expected_subject.empty()) {
      return &kExpectedSubjectAlone;
    }
    return nullptr;
  }

  const PublishError* rollup(const PublishHeaders& h, string_view subject, Verdict& v) {
    if (h.rollup.empty() && !adds_rollup(h)) return nullptr;
    bool all = equals_ignoring_case(h.rollup, "all"), sub = adds_rollup(h) || equals_ignoring_case(h.rollup, "sub");
    if (!s_.spec.allow_rollup || s_.spec.deny_purge) v.text = "rollup not permitted";
    else if (sub && written_.count(subject)) v.text = "batch rollup sub invalid";
    else if (all && count_) v.text = "batch rollup all invalid";
    else if (!sub && !all) v.text = "rollup value invalid: \"" + lower(h.rollup) + "\"";
    return v.text.empty() ? nullptr : &kRollup;
  }

  const PublishError* room(string_view subject, uint64_t count_on_subject, bool rollup) {
    const StreamSpec& spec = s_.spec;
    if (!spec.discard_new) return nullptr;
    if (spec.max_msgs > 0 && s_.store->messages() + count_ > (uint64_t)spec.max_msgs) return &kMaxMessages;
    if (spec.max_bytes > 0 && s_.store->bytes() + bytes_ > (uint64_t)spec.max_bytes) return &kMaxBytes;
    if (!spec.discard_new_per_subject || spec.max_msgs_per_subject <= 0 || rollup) return nullptr;
    uint32_t id = s_.store->find_subject(subject);
    uint64_t stored = id == kNoSubject ? 0 : s_.store->subject_state(id).count;
    return stored + count_on_subject > (uint64_t)spec.max_msgs_per_subject ? &kMaxPerSubject : nullptr;
  }

  Stream& s_;
  std::unordered_set<string_view, StringHash> ids_;
  std::unordered_map<string_view, Written, StringHash> written_;
  uint64_t count_ = 0, bytes_ = 0;
};

// A message of a fast batch is stored by itself, but its headers are looked at in the order that batches have.
const PublishError* Stream::check_headers_in_fast_batch(const PublishHeaders& h, const LoggedMessage& m, int64_t time_ns, Verdict& v) {
  const PublishError* error = BatchJudge(*this).headers(h, m, time_ns, v);
  v.duplicate = error == &kBatchDuplicate;
  return v.duplicate ? nullptr : error;
}

// ------------------------------------------------------------------ applying

void Stream::apply_batch_part(Reader& in) {
  if (in.get8() || !batch_parts_) batch_parts_ = std::make_shared<Buffer>(), batch_part_count_ = 0;
  batch_parts_->append(in.get_bytes(in.left()));
  batch_part_count_++;
}

Work Stream::apply_batch_commit(Reader in, const Proposal* mine) {
  int64_t time_ns = (int64_t)in.get64();
  uint32_t count = in.get32(), parts = in.get32();
  string_view last_part = in.get_bytes(in.left());
  Verdict verdict;
  bool whole = in.ok() && (parts == 0 || parts == batch_part_count_);
  if (parts && whole) batch_parts_->append(last_part);
  string_view messages = parts && whole ? batch_parts_->view() : last_part;
  if (!whole) verdict.error = &kBatchIncomplete;
  else if (spec.sealed) verdict.error = &kSealed;
  else if (count > UINT64_MAX - store->last_seq()) verdict.error = &kSequencesUsedUp;
  else judge_batch(messages, count, time_ns, verdict);
  if (!verdict.error) co_await store_batch(messages, count, time_ns, verdict);
  if (group.offline) co_return;
  batch_parts_.reset();
  batch_part_count_ = 0;
  if (mine) {
    end_flight(*mine);
    Reader replies(mine->replies.view());
    string_view reply = replies.get_text();
    if (!verdict.error) verdict.ack_fields = replies.get_text();
    if (!reply.empty()) answer_verdict(reply, verdict);
  }
  wake_after_append();
}

Work Stream::store_batch(string_view messages, uint32_t messages_count, int64_t time_ns, Verdict& verdict) {
  LoggedMessage m;
  Reader in(messages);
  for (uint32_t i = 0; i < messages_count && !verdict.error && m.decode(in); i++) {
    PublishHeaders h = scan_headers(m.header);
    CounterMessage counted;
    if (spec.counter) {
      if ((verdict.error = count(m.subject, m.header, m.body, h, counted))) co_return;
      m.header = counted.header, m.body = counted.body;
    }
    if (!skipped(time_ns, m, h, verdict)) {
      store_one(time_ns, m, h, m.header, m.body, verdict);
      if (group.offline) co_return;
      if (spec.counter && !verdict.error) counters_.set(store->appended_subject(), verdict.seq, std::move(counted.now));
    }
    if (long_work_asked()) co_await do_long_work();
  }
}

void Stream::judge_batch(string_view messages, uint32_t count, int64_t time_ns, Verdict& verdict) {
  BatchJudge judge(*this);
  Reader in(messages);
  LoggedMessage m;
  for (uint32_t i = 0; i < count && !verdict.error; i++)
    verdict.error = m.decode(in) ? judge.judge(m, time_ns, verdict) : &kBatchIncomplete;
}

}  // namespace slipstream
