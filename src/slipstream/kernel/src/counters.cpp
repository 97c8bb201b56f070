#include "counters.hpp"

#include <map>

#include "decimal.hpp"
#include "header_block.hpp"
#include "jetstream.hpp"
#include "json_reader.hpp"
#include "json_text.hpp"
#include "message_headers.hpp"
#include "publish_errors.hpp"
#include "stream.hpp"

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

std::optional<CounterMessage> next_counter_message(const CounterInput* last, string_view subject, const CounterInput& incoming) {
  Decimal total, increment;
  Sources sources;
  if (last) {
    if (!read_total(last->body, total)) return {};
    string_view known = find_header(last->header, kSources).value;
    if (!known.empty() && !read_sources(known, sources)) return {};
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
  out.total = (total + increment).text();
  out.body = "{\"val\":\"" + out.total + "\"}";
  if (!sources.empty()) out.header = with_header(out.header, kSources, sources_text(sources));
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
  CounterInput last;
  uint64_t seq = last_on_literal(subject);
  if (seq) {
    StoredMessage m{};
    if (store->read_blocking(seq, m, reader_) != ReadStatus::ok) return &kCounterBroken;
    last = {m.header, m.body};
  }
  std::optional<CounterMessage> next = next_counter_message(seq ? &last : nullptr, subject, {header, body});
  if (!next) return &kCounterBroken;
  out = std::move(*next);
  return nullptr;
}

}  // namespace slipstream
