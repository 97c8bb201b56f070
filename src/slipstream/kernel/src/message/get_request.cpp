#include "message/get_request.hpp"

#include "bytes/json_reader.hpp"
#include "clock/rfc3339.hpp"
#include "message/header_block.hpp"
#include "message/message_headers.hpp"

namespace slipstream {
namespace {

bool read_time(JsonObjectReader& in, std::optional<int64_t>& out) {
  std::string text;
  return in.text(text) && parse_rfc3339(text, out.emplace());
}

bool read_fields(string_view body, GetRequest& out) {
  JsonObjectReader in(body);
  return in.read([&](const std::string& key) {
    if (in.null()) return true;
    if (same_key(key, "seq")) return in.number(out.seq);
    if (same_key(key, "last_by_subj")) return in.text(out.last_by_subject = {});
    if (same_key(key, "next_by_subj")) return in.text(out.next_by_subject = {});
    if (same_key(key, "batch")) return in.number(out.batch);
    if (same_key(key, "max_bytes")) return in.number(out.max_bytes);
    if (same_key(key, "start_time")) return read_time(in, out.start_time_ns);
    if (same_key(key, "multi_last")) return out.multi_last.clear(), in.texts(out.multi_last);
    if (same_key(key, "up_to_seq")) return in.number(out.up_to_seq);
    if (same_key(key, "up_to_time")) return read_time(in, out.up_to_time_ns);
    if (same_key(key, "no_hdr")) return in.boolean(out.no_header);
    return in.skip();
  });
}

bool contradictory(const GetRequest& r) {  // S-170
  bool last = !r.last_by_subject.empty(), next = !r.next_by_subject.empty(), start = r.start_time_ns.has_value();
  return (r.seq && (last || start)) || (start && last) || (last && (next || r.batch > 0 || r.is_multi())) ||
         (next && r.is_multi()) || (r.up_to_seq && r.up_to_time_ns);
}

}  // namespace

const char* read_get_request(string_view body, bool by_subject, string_view subject, GetRequest& out) {
  out.bytes = body.size();
  if (body.empty() && !by_subject) return "408 Empty Request";
  if (!body.empty() && !read_fields(body, out)) return "408 Malformed Request";
  bool selects = out.seq || !out.last_by_subject.empty() || !out.next_by_subject.empty() || out.is_multi() || out.start_time_ns;
  if (by_subject) {
    if (subject.empty() || selects || out.is_batch() || out.up_to_seq || out.up_to_time_ns) return "408 Bad Request";
    out.last_by_subject = subject;
    return nullptr;
  }
  if (!selects) return "408 Empty Request";
  return contradictory(out) ? "408 Bad Request" : nullptr;
}

bool level_too_high(string_view wanted, int64_t level) {
  bool has_sign = !wanted.empty() && (wanted[0] == '+' || wanted[0] == '-');
  int64_t number = parse_number(wanted.substr(has_sign));
  return number < 0 || (wanted[0] != '-' && number > level);
}

bool needs_higher_level(string_view header, int64_t level) {
  string_view wanted = header.empty() ? header : find_header(header, "Nats-Required-Api-Level").value;
  return !wanted.empty() && level_too_high(wanted, level);
}

}  // namespace slipstream
