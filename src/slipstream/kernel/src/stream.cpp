#include "stream.hpp"

#include <algorithm>
#include <cstdio>

#include "jetstream.hpp"
#include "message_headers.hpp"

namespace slipstream {
namespace {

constexpr size_t kEntryBytes = 1 << 20;               // an entry is at most this, or one message
constexpr uint64_t kInflightMessages = 100'000, kInflightBytes = 128 << 20;
constexpr size_t kHeaderBytesMax = 65535;
constexpr int64_t kAgeGranularityNs = 1'000'000;
constexpr size_t kExpirePerEntry = 10'000;
constexpr uint64_t kPurgeCheckpointMessages = 10'000;

// Texts and codes of nats-server's table; a test holds them against slipstream/protocol/errors.json.
constexpr PublishError
    kSealed{400, 10109, "invalid operation on sealed stream"},
    kWrongStream{400, 10060, "expected stream does not match"},
    kWrongSequence{400, 10071, nullptr},
    kWrongMsgId{400, 10070, nullptr},
    kMsgTooLarge{400, 10054, "message size exceeds maximum allowed"},
    kHeaderTooLarge{400, 10097, "header size exceeds maximum allowed of 64k"},
    kTtlInvalid{400, 10165, "invalid per-message TTL"},
    kTtlDisabled{400, 10166, "per-message TTL is disabled"},
    kNotCounter{400, 10168, "message counters is disabled"},
    kSchedulesDisabled{400, 10188, "message schedules is disabled"},
    kBatchDisabled{400, 10174, "atomic publish is disabled"},
    kSourceHeader{400, 10227, "message stream source header is not allowed"},
    kExpectedSubjectAlone{400, 10193, "missing sequence for expected last sequence per subject"},
    kRollup{500, 10111, nullptr},
    kMaxMessages{503, 10077, "maximum messages exceeded"},
    kMaxBytes{503, 10077, "maximum bytes exceeded"},
    kMaxPerSubject{503, 10077, "maximum messages per subject exceeded"},
    kTooManyRequests{429, 10167, "too many requests"},
    kStoreFailed{503, 10077, "the store of this server has failed"},
    kStorageFull{500, 10047, "insufficient storage resources available"};

void append_json_text(std::string& out, string_view s) {
  for (unsigned char c : s) {
    if (c == '"' || c == '\\') out += '\\', out += (char)c;
    else if (c == '<' || c == '>' || c == '&' || c < 0x20) {
      char t[8];
      snprintf(t, sizeof t, "\\u%04x", c);
      out += t;
    } else out += (char)c;
  }
}

bool equals_ignoring_case(string_view a, string_view lower) {
  if (a.size() != lower.size()) return false;
  for (size_t i = 0; i < a.size(); i++)
    if ((a[i] | 0x20) != lower[i]) return false;
  return true;
}

}  // namespace

Stream::Stream(JetStream& j, uint64_t id, Account& a, std::string n, std::string d, StreamSpec s)
    : js(j), account(a), name(std::move(n)), description(std::move(d)), spec(std::move(s)) {
  group.id = id;
  group.logged = !spec.memory;
  store.reset(js.new_store(id, spec.memory));
  std::string quoted;
  append_json_text(quoted, name);
  ack_head_ = "{\"stream\":\"" + quoted + "\",\"seq\":";
}

Stream::~Stream() { js.kernel.timers.cancel(age_timer_); *reader_.alive = false; }

void Stream::attach() {
  subscribe();
  arm_age_timer();
  for (auto& [id, c] : consumers) c->attach();
}

void Stream::subscribe() {
  for (const auto& subject : spec.subjects)
    subscriptions_.push_back(js.kernel.add_subscription(account, SubscriptionKind::stream, subject, {}, this));
  if (!spec.allow_direct) return;
  for (const char* tail : {"", ".>"})
    subscriptions_.push_back(js.kernel.add_subscription(account, SubscriptionKind::direct_get,
                                                        "$JS.API.DIRECT.GET." + name + tail, "_sys_", this));
}

void Stream::unsubscribe() {
  for (Subscription* s : subscriptions_) js.kernel.remove_subscription(account, s);
  subscriptions_.clear();
}

void Stream::detach() {
  deleted = true;
  unsubscribe();
  js.kernel.timers.cancel(age_timer_);
  for (auto& [id, c] : consumers) c->detach("409 Consumer Deleted");
}

// ------------------------------------------------------------------ from publishers to the log

void Stream::ingest(string_view subject, string_view reply, string_view header, string_view body) {
  if (spec.no_ack) reply = {};
  if (js.failed() || inflight_messages_ + open_count_ >= kInflightMessages || inflight_bytes_ + open_.size() >= kInflightBytes)
    return answer_error(reply, js.failed() ? kStoreFailed : kTooManyRequests);
  size_t size = subject.size() + header.size() + body.size() + 10;
  if (open_count_ && open_.size() + size > kEntryBytes) seal();
  if (open_count_ == 0) {
    open_ = js.buffer();
    open_replies_ = js.buffer();
    open_.put64(0), open_.put32(0);  // time and count, filled in by seal()
    js.mark_dirty(*this);
  }
  // A status on the first line is the server's to give: it is cut before storing (S-128).
  std::string plain;
  if (header.size() > 10 && header[8] != '\r' && header.starts_with("NATS/1.0")) {
    size_t eol = header.find("\r\n");
    plain = "NATS/1.0" + std::string(header.substr(eol == string_view::npos ? header.size() : eol));
    header = plain;
  }
  open_.put16((uint16_t)subject.size());
  open_.put32((uint32_t)header.size());
  open_.put32((uint32_t)body.size());
  open_.append(subject);
  open_.append(header);
  open_.append(body);
  open_replies_.put16((uint16_t)reply.size());
  open_replies_.append(reply);
  open_count_++;
}

void Stream::seal() {
  if (open_count_ == 0) return;
  last_time_ns_ = std::max({last_time_ns_, js.kernel.now.wall_ns, store->last_time_ns()});
  store64(open_.data(), (uint64_t)last_time_ns_);
  store32(open_.data() + 8, open_count_);
  inflight_messages_ += open_count_;
  inflight_bytes_ += open_.size();
  open_count_ = 0;
  uint64_t count = load32(open_.data() + 8), bytes = open_.size();
  if (js.propose(group, EntryKind::messages, std::move(open_), true, 0, std::move(open_replies_))) return;
  inflight_messages_ -= count;
  inflight_bytes_ -= bytes;
  Reader replies(open_replies_.view());
  while (replies.left()) {
    answer_error(replies.get_bytes(replies.get16()), js.failed() ? kStoreFailed : kStorageFull);
  }
}

void Stream::answer(string_view reply, string_view json) {
  if (!reply.empty()) js.kernel.publish(account, reply, {}, {}, json);
}

void Stream::answer_error(string_view reply, const PublishError& e) {
  if (reply.empty()) return;
  std::string text = "{\"error\":{\"code\":" + std::to_string(e.code) + ",\"err_code\":" + std::to_string(e.err_code) +
                     ",\"description\":\"";
  append_json_text(text, e.description);
  text += "\"},\"stream\":\"";
  append_json_text(text, name);
  text += "\",\"seq\":0}";
  if (e.err_code == kTooManyRequests.err_code)
    js.kernel.publish(account, reply, {}, "NATS/1.0 429 Too Many Requests\r\n\r\n", text);
  else
    answer(reply, text);
}

// ------------------------------------------------------------------ applying

void Stream::apply(EntryKind kind, Reader& in, Entry* entry) {
  int64_t result = 0;
  auto consumer_of = [&]() -> Consumer* { return consumer(in.get32()); };
  switch (kind) {
    case EntryKind::messages:
      return apply_messages(in, entry);
    case EntryKind::purge: {
      string_view filter = in.get_text();
      uint64_t seq = in.get64(), keep = in.get64();
      result = (int64_t)apply_purge(filter, seq, keep);
      break;
    }
    case EntryKind::remove: {
      uint64_t seq = in.get64();
      bool erase = in.get8();
      result = store->live(seq);
      if (result) {
        for (auto& [id, c] : consumers) c->message_removed(seq, store->subject_of(seq));
        if (erase) store->erase(seq); else store->remove(seq);
      }
      arm_age_timer();
      break;
    }
    case EntryKind::remove_below: {
      apply_remove_below(in.get64());
      break;
    }
    case EntryKind::expire: {
      std::set<uint64_t> seqs;
      for (uint32_t n = in.get32(); n && in.ok(); n--) seqs.insert(in.get64());
      for (uint64_t seq : seqs)
        if (store->live(seq)) remove(seq);
      ttls_.forget(seqs);
      arm_age_timer();
      break;
    }
    case EntryKind::config: {
      std::string text(in.get_text());
      StreamSpec next;
      if (!next.decode(in)) break;
      if (entry) unsubscribe();
      description = std::move(text);
      spec = std::move(next);
      if (entry) subscribe();
      enforce_limits(kNoSubject);
      arm_age_timer();
      break;
    }
    case EntryKind::consumer_create: {
      uint32_t id = in.get32();
      std::string consumer_name(in.get_text()), text(in.get_text());
      ConsumerSpec cs;
      if (!cs.decode(in)) break;
      auto c = std::make_unique<Consumer>(*this, id, consumer_name, text, std::move(cs));
      c->start_position();
      next_consumer_id = std::max(next_consumer_id, id + 1);
      c->held = entry && entry->token;
      if (entry) c->attach();
      consumers[id] = std::move(c);
      break;
    }
    case EntryKind::consumer_update: {
      Consumer* c = consumer_of();
      std::string text(in.get_text());
      ConsumerSpec cs;
      if (c && cs.decode(in)) c->update(std::move(text), std::move(cs));
      break;
    }
    case EntryKind::consumer_delete: {
      Consumer* c = consumer_of();
      if (!c) break;
      c->detach("409 Consumer Deleted");
      consumers.erase(c->id);
      break;
    }
    case EntryKind::delivered:
      if (Consumer* c = consumer_of(); c && !entry) c->apply_delivered(in);  // the leader did it when it delivered
      break;
    case EntryKind::acks:
      if (Consumer* c = consumer_of()) c->apply_acks(in);
      break;
    case EntryKind::ack_all:
      if (Consumer* c = consumer_of()) c->apply_ack_all(in);
      break;
    case EntryKind::deadline:
      if (Consumer* c = consumer_of()) c->apply_deadline(in);
      break;
    case EntryKind::exceeded:
      if (Consumer* c = consumer_of()) c->apply_exceeded(in);
      break;
    default:
      break;
  }
  if (!entry) return;
  if (entry->token) js.committed(entry->token, result);
  Reader replies(entry->replies.view());
  while (replies.left()) answer(replies.get_bytes(replies.get16()), {});
}

void Stream::apply_messages(Reader& in, Entry* entry) {
  int64_t time_ns = (int64_t)in.get64();
  uint32_t count = in.get32();
  Reader replies(entry ? entry->replies.view() : string_view());
  std::string failure;
  char ack[384];
  size_t head = std::min(ack_head_.size(), sizeof ack - 64);
  memcpy(ack, ack_head_.data(), head);
  for (uint32_t i = 0; i < count && in.ok(); i++) {
    uint16_t subject_size = in.get16();
    uint32_t header_size = in.get32(), body_size = in.get32();
    string_view subject = in.get_bytes(subject_size), header = in.get_bytes(header_size), body = in.get_bytes(body_size);
    if (!in.ok()) break;
    Verdict verdict;
    apply_one(time_ns, subject, header, body, verdict);
    if (!entry) continue;
    string_view reply = replies.get_bytes(replies.get16());
    if (reply.empty()) continue;
    if (verdict.error) {
      PublishError e = *verdict.error;
      if (!verdict.text.empty()) e.description = verdict.text.c_str();
      answer_error(reply, e);
      continue;
    }
    size_t n = head + format_u64(ack + head, verdict.seq);
    string_view tail = verdict.duplicate ? ",\"duplicate\": true}" : "}";
    memcpy(ack + n, tail.data(), tail.size());
    answer(reply, {ack, n + tail.size()});
  }
  if (!entry) return;
  inflight_messages_ -= count;
  inflight_bytes_ -= entry->payload.size();
  if ((spec.max_age_ns > 0 && !age_timer_.armed()) || ttls_.next_end_ns() != armed_end_ns_) arm_age_timer();
  for (auto& [id, c] : consumers)
    if (!c->waiting_.empty() || c->active_) js.mark_ready(*c);
}

void Stream::apply_one(int64_t time_ns, string_view subject, string_view header, string_view body, Verdict& v) {
  if (group.logged && js.failed()) {  // an earlier message of this entry
    v.error = &kStoreFailed;
    return;
  }
  if (spec.sealed) {
    v.error = &kSealed;
    return;
  }
  PublishHeaders h;
  if (!header.empty()) {
    h = scan_headers(header);
    if (h.any && (v.error = check_headers(h, subject, v))) return;
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
      else if (!sub && !all) v.text = "rollup value invalid: \"" + std::string(h.rollup) + "\"";
      if (!v.text.empty()) {
        v.error = &kRollup;
        return;
      }
    }
  }
  if ((v.error = check_size(header.size(), body.size()))) return;
  int64_t ttl_s = kTtlNone;
  if (!h.ttl.empty() && !parse_ttl(h.ttl, ttl_s)) {
    v.error = &kTtlInvalid;
    return;
  }
  if ((v.error = check_room(subject, header.size(), body.size(), !h.rollup.empty()))) return;
  v.seq = store->last_seq() + 1;
  if (!store->append(v.seq, time_ns, subject, header, body)) {
    js.fail(store->error());
    v.error = &kStoreFailed;
    return;
  }
  ttls_.add(v.seq, time_ns, ttl_s);
  stored(v.seq, subject, h);
  if (!h.msg_id.empty() && spec.duplicate_window_ns > 0) dedupe_.insert(h.msg_id, v.seq, time_ns);
}

const PublishError* Stream::check_headers(const PublishHeaders& h, string_view subject, Verdict& v) {
  auto wrong_sequence = [&](uint64_t actual) {
    v.text = "wrong last sequence: " + std::to_string(actual);
    return &kWrongSequence;
  };
  if (!h.incr.empty()) return &kNotCounter;
  if (!h.expected_stream.empty() && h.expected_stream != name) return &kWrongStream;
  if (!h.ttl.empty() && !spec.allow_msg_ttl) return &kTtlDisabled;
  if (!h.batch_id.empty()) return &kBatchDisabled;
  if (!h.expected_last_subject_seq.empty()) {
    int64_t expected = parse_number(h.expected_last_subject_seq);
    uint64_t actual = last_on(h.expected_subject.empty() ? subject : h.expected_subject);
    if (expected < 0 || (uint64_t)expected != actual) return wrong_sequence(actual);
  } else if (!h.expected_subject.empty()) {
    return &kExpectedSubjectAlone;
  }
  if (!h.expected_last_seq.empty()) {
    int64_t expected = parse_number(h.expected_last_seq);
    if (expected < 0 || (uint64_t)expected != store->last_seq()) return wrong_sequence(store->last_seq());
  }
  if (!h.schedule.empty()) return &kSchedulesDisabled;
  if (!h.stream_source.empty()) return &kSourceHeader;
  return nullptr;
}

const PublishError* Stream::check_size(size_t header, size_t body) const {
  if (spec.max_msg_size >= 0 && (int64_t)(header + body) > spec.max_msg_size) return &kMsgTooLarge;
  if (header > kHeaderBytesMax) return &kHeaderTooLarge;
  return nullptr;
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

void Stream::stored(uint64_t seq, string_view, const PublishHeaders& h) {
  if (!h.any || h.msg_id.empty()) {
    if (!last_msg_id_.empty()) last_msg_id_.clear();
  } else {
    last_msg_id_ = h.msg_id;
  }
  uint32_t subject = store->subject_of(seq);
  if (!consumers.empty() && store->subject_state(subject).count == 1)
    for (auto& [id, c] : consumers) c->subject_renewed(subject);
  if (!h.rollup.empty()) apply_purge(equals_ignoring_case(h.rollup, "all") ? string_view() : store->subject_name(subject), 0, 1);
  enforce_limits(subject);
}

void Stream::remove(uint64_t seq) {
  if (!consumers.empty()) {
    uint32_t subject = store->subject_of(seq);
    for (auto& [id, c] : consumers) c->message_removed(seq, subject);
  }
  store->remove(seq);
}

// Evicts the oldest until every limit holds: of the subject first, then by count, then by size. kNoSubject: of all subjects.
void Stream::enforce_limits(uint32_t subject) {
  if (spec.max_msgs_per_subject > 0) {
    auto trim = [&](uint32_t id) {
      SubjectState state = store->subject_state(id);
      while (state.count > (uint64_t)spec.max_msgs_per_subject) {
        remove(state.first);
        state = store->subject_state(id);
      }
    };
    if (subject != kNoSubject) trim(subject);
    else
      for (uint32_t id = 0; id < store->subject_ids(); id++) trim(id);
  }
  if (spec.max_msgs > 0)
    while (store->messages() > (uint64_t)spec.max_msgs) remove(store->first_seq());
  if (spec.max_bytes > 0)
    while (store->bytes() > (uint64_t)spec.max_bytes && store->messages()) remove(store->first_seq());
}

uint64_t Stream::apply_purge(string_view filter, uint64_t seq, uint64_t keep) {
  uint64_t before = store->messages();
  bool everything = filter.empty() || filter == ">";
  if (everything) {
    uint64_t below = seq ? seq : store->last_seq() + 1;
    if (keep) {
      if (keep >= before) return 0;
      below = store->first_seq();
      for (uint64_t skip = before - keep; skip; skip--) below = store->next_live(below + 1);
    }
    if (seq <= 1 && !keep && seq != 0) return 0;
    if (below > store->last_seq() + 1 || store->last_seq() == 0) {  // a purge tells also a new stream where it begins
      store->remove_below(store->last_seq() + 1);
      store->set_sequences(below, below - 1, store->last_time_ns());
    } else {
      store->remove_below(below);
    }
  } else {
    std::vector<uint32_t> ids;
    store->match_subjects(filter, [&](uint32_t id) { ids.push_back(id); });
    std::vector<uint64_t> found;
    for (uint32_t id : ids)
      for (uint64_t s = store->subject_state(id).first; s; s = store->next_on_subject(id, s + 1)) found.push_back(s);
    std::sort(found.begin(), found.end());
    if (keep) found.resize(found.size() > keep ? found.size() - keep : 0);
    for (uint64_t s : found) {
      if (seq && s >= seq) break;
      store->remove(s);
    }
  }
  for (auto& [id, c] : consumers) c->many_removed();
  arm_age_timer();
  if (before - store->messages() > kPurgeCheckpointMessages) js.request_checkpoint();  // files go with the next round
  return before - store->messages();
}

uint64_t Stream::last_on(string_view subject) const {
  if (!has_wildcard(subject)) {
    uint32_t id = store->find_subject(subject);
    return id == kNoSubject ? 0 : store->subject_state(id).last;
  }
  uint64_t last = 0;
  store->match_subjects(subject, [&](uint32_t id) { last = std::max(last, store->subject_state(id).last); });
  return last;
}

// ------------------------------------------------------------------ age

void Stream::arm_age_timer() {
  int64_t due = armed_end_ns_ = ttls_.next_end_ns();
  if (int64_t oldest_ns = spec.max_age_ns > 0 ? oldest_mortal_ns() : 0) due = std::min(due, oldest_ns + spec.max_age_ns);
  if (due == INT64_MAX || deleted) return js.kernel.timers.cancel(age_timer_);
  js.kernel.timers.set(age_timer_, std::max(js.kernel.monotonic_of(due), js.kernel.now.monotonic_ns + kAgeGranularityNs));
}

void Stream::age_timer_fired() {
  propose_expired();
  int64_t oldest_ns = spec.max_age_ns > 0 ? oldest_mortal_ns() : 0;
  if (oldest_ns && oldest_ns + spec.max_age_ns <= js.kernel.now.wall_ns) {
    uint64_t below = store->first_at_or_after(js.kernel.now.wall_ns - spec.max_age_ns + 1, reader_);
    if (below > store->first_seq()) {
      Buffer payload = js.buffer();
      payload.put64(below);
      js.propose(group, EntryKind::remove_below, std::move(payload), false, 0, {}, true);
    }
  }
  arm_age_timer();
}

// When the oldest message that the age limit concerns was stored; 0 when there is none.
int64_t Stream::oldest_mortal_ns() {
  uint64_t first = store->messages() ? store->first_seq() : 0, seq = first;
  while (seq && ttls_.never_ends(seq)) seq = store->next_live(seq + 1);
  if (seq == first) return seq ? store->first_time_ns() : 0;
  StoredMessage m;
  return seq && store->read_blocking(seq, m, reader_) == ReadStatus::ok ? m.time_ns : 0;
}

void Stream::propose_expired() {
  std::vector<uint64_t> due = ttls_.due(js.kernel.now.wall_ns, kExpirePerEntry);
  if (due.empty()) return;
  Buffer payload = js.buffer();
  payload.put32((uint32_t)due.size());
  for (uint64_t seq : due) payload.put64(seq);
  js.propose(group, EntryKind::expire, std::move(payload), false, 0, {}, true);
}

// The age limit; messages that are to stay for ever stay.
void Stream::apply_remove_below(uint64_t below) {
  if (!ttls_.any_never()) {
    store->remove_below(below);
    for (auto& [id, c] : consumers) c->many_removed();
  } else {
    for (uint64_t seq = store->first_seq(); seq && seq < below; seq = store->next_live(seq + 1))
      if (!ttls_.never_ends(seq) && store->live(seq)) remove(seq);
  }
  arm_age_timer();
}

// ------------------------------------------------------------------ small things

Consumer* Stream::consumer(uint32_t id) {
  auto it = consumers.find(id);
  return it == consumers.end() ? nullptr : it->second.get();
}

bool Stream::snapshot(Buffer& out, std::vector<SyncStep>& sync) {
  out.put16(1);
  out.put_text(account.name);
  out.put_text(name);
  out.put_text(description);
  spec.encode(out);
  out.put_text(last_msg_id_);
  dedupe_.snapshot(out);
  ttls_.prune([this](uint64_t seq) { return store->live(seq); });
  ttls_.snapshot(out);
  out.put32(next_consumer_id);
  uint32_t logged = 0;
  for (auto& [id, c] : consumers) logged += !c->spec.memory;
  out.put32(logged);
  for (auto& [id, c] : consumers)
    if (!c->spec.memory) c->snapshot(out);
  return store->snapshot(out, sync);
}

bool Stream::load(Reader& in) {
  last_msg_id_ = in.get_text();
  if (!dedupe_.load(in) || !ttls_.load(in)) return false;
  next_consumer_id = in.get32();
  uint32_t n = in.get32();
  for (uint32_t i = 0; i < n && in.ok(); i++) {
    uint32_t id = in.get32();
    std::string consumer_name(in.get_text()), text(in.get_text());
    ConsumerSpec cs;
    if (!cs.decode(in)) return false;
    auto c = std::make_unique<Consumer>(*this, id, std::move(consumer_name), std::move(text), std::move(cs));
    if (!c->load(in)) return false;
    consumers[id] = std::move(c);
  }
  return in.ok() && store->load(in);
}

}  // namespace slipstream
