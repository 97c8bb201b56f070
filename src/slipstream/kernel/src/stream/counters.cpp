#include "stream/counters.hpp"

#include <map>

#include "bytes/decimal.hpp"
#include "bytes/json_reader.hpp"
#include "bytes/json_text.hpp"
#include "message/header_block.hpp"
#include "message/message_headers.hpp"
#include "stream/publish_errors.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr string_view kIncrement = "Nats-Incr", kSources = "Nats-Counter-Sources", kSourcedFrom = "Nats-Stream-Source";

using Sources = std::map<std::string, std::map<std::string, std::string>>;  // origin stream -> its subject -> total last seen

// {"val":"12"}; what is no number counts as 0, as in nats-server.
bool read_total(string_view body, Decimal& out) {
  std::string text;
  JsonObjectReader in(body);
  if (!in.read([&](const std::string& key) { return in.null() || (key == "val" ? in.text(text) : in.skip()); })) return false;
  if (!Decimal::parse(text, out)) out = {};
  return true;
}

bool read_sources(string_view text, Sources& out) {
  JsonObjectReader in(text);
  return in.read([&](const std::string& stream) {
    auto& subjects = out[stream];
    return in.null() || in.object([&](const std::string& subject) { return in.null() || in.text(subjects[subject] = {}); });
  });
}

std::string sources_text(const Sources& sources) {
  std::string out = "{";
  for (const auto& [stream, subjects] : sources) {
    if (out.size() > 1) out += ',';
    out += '"';
    append_json_text(out, stream);
    out += "\":{";
    bool first = true;
    for (const auto& [subject, total] : subjects) {
      out += first ? "\"" : ",\"";
      first = false;
      append_json_text(out, subject);
      out += "\":\"";
      append_json_text(out, total);
      out += '"';
    }
    out += '}';
  }
  return out + "}";
}

// <stream> <sequence> <filter> <destination> <subject there> [<identity>] (S-184)
string_view word(string_view text, size_t number) {
  for (; number; number--) {
    size_t blank = text.find(' ');
    if (blank == string_view::npos) return {};
    text.remove_prefix(blank + 1);
  }
  return text.substr(0, text.find(' '));
}

}  // namespace

CounterTotal counter_total_of(const CounterInput& stored) {
  Decimal total;
  Sources sources;
  string_view known = find_header(stored.header, kSources).value;
  if (!read_total(stored.body, total) || (!known.empty() && !read_sources(known, sources))) return {{}, {}, true};
  return {total.text(), sources.empty() ? std::string() : sources_text(sources), false};
}

std::optional<CounterMessage> next_counter_message(const CounterTotal* last, string_view subject, const CounterInput& incoming) {
  Decimal total, increment;
  Sources sources;
  if (last) {
    if (last->broken || !Decimal::parse(last->total, total)) return {};
    if (!last->sources.empty() && !read_sources(last->sources, sources)) return {};
  }
  CounterMessage out;
  out.header = incoming.header;
  if (string_view source = find_header(incoming.header, kSourcedFrom).value; !source.empty()) {
    string_view there = word(source, 4);
    Decimal now, before;
    if (!read_total(incoming.body, now)) return {};
    std::string& seen = sources[std::string(word(source, 0))][std::string(there.empty() ? subject : there)];
    if (!Decimal::parse(seen, before)) before = {};
    seen = now.text();
    increment = now - before;
    out.header = with_header(out.header, kIncrement, increment.text());
  } else if (!Decimal::parse(find_header(incoming.header, kIncrement).value, increment)) {
    return {};
  }
  out.now.total = (total + increment).text();
  out.body = "{\"val\":\"" + out.now.total + "\"}";
  if (!sources.empty()) {
    out.now.sources = sources_text(sources);
    out.header = with_header(out.header, kSources, out.now.sources);
  }
  return out;
}

// The first of all checks (S-123, S-130).
const PublishError* Stream::check_increment(const PublishHeaders& h, string_view body, uint32_t flags) const {
  Decimal increment;
  if (!Decimal::parse(h.incr, increment)) return &kIncrementInvalid;
  if (flags & kFromServer) return nullptr;
  if (!spec.counter) return &kNotCounter;
  if (!body.empty()) return &kIncrementWithPayload;
  for (string_view other : {h.rollup, h.expected_stream, h.expected_last_msg_id, h.expected_subject, h.expected_last_seq,
                            h.expected_last_subject_seq})
    if (!other.empty()) return &kIncrementInvalid;
  return nullptr;
}

const PublishError* Stream::count(string_view subject, string_view header, string_view body, const PublishHeaders& h,
                                  CounterMessage& out) {
  if (h.incr.empty()) return &kIncrementMissing;
  CounterTotal last;
  uint32_t id = store->find_subject(subject);
  uint64_t seq = id == kNoSubject ? 0 : store->subject_state(id).last;
  CounterTotals::Known known = seq ? counters_.find(id, seq, last) : CounterTotals::Known::no;
  if (known == CounterTotals::Known::no) {
    if (last_is_open(seq)) [[unlikely]] return stop_undecided("the total of counter " + std::string(subject));
    if (lost_subjects_.newest_settled(*store) > seq) return &kCounterBroken;
  }
  if (seq) {
    if (known == CounterTotals::Known::unread)
      go_offline("the total of counter " + std::string(subject) + " cannot be read from message " + std::to_string(seq));
    else if (known == CounterTotals::Known::no && leads_)
      propose_total(seq);
    if (known != CounterTotals::Known::yes) return &kCounterBroken;
  }
  std::optional<CounterMessage> next = next_counter_message(seq ? &last : nullptr, subject, {header, body});
  if (!next) return &kCounterBroken;
  out = std::move(*next);
  return nullptr;
}

// ------------------------------------------------------------------ totals that are not known

void Stream::put_removal(uint64_t seq, bool erase, Buffer& payload) {
  payload.put64(seq);
  payload.put8(erase);
  if (spec.counter) put_total_before(seq, payload);
}

// The total that a removal of a subject's newest message leaves is read by the leader and rides in the entry. It is that of `seq`,
// and counts where `seq` is the newest one then: other removals may come in between, and then a later entry says it.
void Stream::put_total_before(uint64_t seq, Buffer& payload) {
  uint32_t id = store->subject_of(seq);
  if (id == kNoSubject) return;
  SubjectState state = store->subject_state(id);
  if (state.last != seq || state.count < 2) return;
  uint64_t before = store->previous_live(seq - 1);
  while (store->subject_of(before) != id) before = store->previous_live(before - 1);
  put_total(before, payload);
}

bool Stream::put_total(uint64_t seq, Buffer& payload) {
  StoredMessage m{};
  if (store->read_blocking(seq, m, reader_) != ReadStatus::ok) return false;
  CounterTotal total = counter_total_of({m.header, m.body});
  payload.put64(seq);
  payload.put8(total.broken);
  payload.put_text(total.total);
  payload.put_text(total.sources);
  return true;
}

void Stream::apply_total(Reader& in) {
  uint64_t seq = in.get64();
  CounterTotal total;
  total.broken = in.get8();
  total.total = in.get_text();
  total.sources = in.get_text();
  totals_asked_.erase(seq);
  uint32_t id = store->subject_of(seq);
  if (in.ok() && id != kNoSubject && store->subject_state(id).last == seq) counters_.set(id, seq, std::move(total));
}

// Until it is applied, increments of its subject are refused.
void Stream::propose_total(uint64_t seq) {
  if (!totals_asked_.insert(seq).second) return;
  Buffer payload = host.buffer();
  if (!put_total(seq, payload)) return;  // it cannot be made here
  if (!host.propose(group, EntryKind::counter_total, std::move(payload), false, 0, {}, true)) totals_asked_.erase(seq);
}

// An older version's snapshot has no totals: they are read from the newest messages. What increments are in the log behind it
// can be applied only where that succeeds.
void Stream::read_totals() {
  for (uint32_t id = 0; id < store->subject_ids(); id++) {
    SubjectState state = store->subject_state(id);
    if (!state.count) continue;
    StoredMessage m{};
    if (!last_is_open(state.last) && store->read_blocking(state.last, m, reader_) == ReadStatus::ok)
      counters_.set(id, state.last, counter_total_of({m.header, m.body}));
    else
      counters_.set_unread(id, state.last);
  }
}

// The log is applied to its end, and nothing has counted on the totals that could not be read: from here on they are broken, on
// every replica.
void Stream::settle_unread_totals() {
  std::vector<uint64_t> seqs;
  counters_.each_unread([&](uint32_t id, uint64_t seq) {
    if (store->subject_of(seq) == id) seqs.push_back(seq);
  });
  for (uint64_t seq : seqs) {
    Buffer payload = host.buffer();
    payload.put64(seq);
    payload.put8(true);
    payload.put_text({}), payload.put_text({});
    host.propose(group, EntryKind::counter_total, std::move(payload), false, 0, {}, true);
  }
}

}  // namespace slipstream
