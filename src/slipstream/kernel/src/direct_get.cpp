// $JS.API.DIRECT.GET: a message straight from the store to the asker, without Python (S-161..S-172).
#include "jetstream.hpp"
#include "json_reader.hpp"
#include "rfc3339.hpp"

namespace slipstream {
namespace {

struct GetRequest {
  int64_t seq = 0, batch = 0, max_bytes = 0, up_to_seq = 0;
  std::string last_by_subject, next_by_subject, start_time, up_to_time;
  bool no_header = false, multi = false;
};

bool read_request(string_view body, GetRequest& out) {
  JsonObjectReader in(body);
  return in.read([&](const std::string& key) {
    if (in.null()) return true;
    if (key == "seq") return in.number(out.seq);
    if (key == "last_by_subj") return in.text(out.last_by_subject);
    if (key == "next_by_subj") return in.text(out.next_by_subject);
    if (key == "start_time") return in.text(out.start_time);
    if (key == "no_hdr") return in.boolean(out.no_header);
    if (key == "batch") return in.number(out.batch);
    if (key == "max_bytes") return in.number(out.max_bytes);
    if (key == "up_to_seq") return in.number(out.up_to_seq);
    if (key == "up_to_time") return in.text(out.up_to_time);
    if (key == "multi_last") out.multi = true;
    return in.skip();
  });
}

}  // namespace

void Stream::direct_get(string_view subject, string_view reply, string_view body) {
  if (reply.empty()) return;
  auto refuse = [&](const char* status) {
    js.kernel.publish(account, reply, {}, "NATS/1.0 " + std::string(status) + "\r\n\r\n", {});
  };
  size_t prefix = sizeof("$JS.API.DIRECT.GET.") - 1 + name.size();
  bool by_subject = subject.size() > prefix;
  GetRequest r;
  if (body.empty() && !by_subject) return refuse("408 Empty Request");
  if (!body.empty() && !read_request(body, r)) return refuse("408 Malformed Request");
  bool selected = r.seq || !r.last_by_subject.empty() || !r.next_by_subject.empty() || !r.start_time.empty() || r.multi;
  if (by_subject) {
    if (selected || r.batch || r.max_bytes || r.up_to_seq || !r.up_to_time.empty()) return refuse("408 Bad Request");
    r.last_by_subject = subject.substr(prefix + 1);
  } else {
    bool conflict = (r.seq && !r.last_by_subject.empty()) || (r.seq && !r.start_time.empty()) ||
                    (!r.last_by_subject.empty() && !r.next_by_subject.empty()) || r.batch || r.multi || r.max_bytes;
    if (!selected) return refuse("408 Empty Request");
    if (conflict) return refuse("408 Bad Request");
  }
  uint64_t seq = (uint64_t)r.seq;
  if (!r.start_time.empty()) {
    int64_t from = 0;
    if (!parse_rfc3339(r.start_time, from)) return refuse("408 Malformed Request");
    seq = store->messages() ? store->first_at_or_after(from, reader_) : 0;
    if (seq) seq = store->next_live(seq);
  }
  if (!r.last_by_subject.empty()) seq = last_on(r.last_by_subject);
  if (!r.next_by_subject.empty()) {
    uint64_t from = std::max<uint64_t>(seq, 1), best = 0;
    store->match_subjects(r.next_by_subject, [&](uint32_t id) {
      uint64_t s = store->next_on_subject(id, from);
      if (s && (!best || s < best)) best = s;
    });
    seq = best;
  }
  StoredMessage m;
  if (!seq || !store->live(seq)) return refuse("404 Message Not Found");
  if (store->read_blocking(seq, m, reader_) != ReadStatus::ok) return refuse("500 message is damaged");
  if (r.no_header) return (void)js.kernel.publish(account, reply, {}, {}, m.body);
  std::string header = m.header.empty() ? std::string("NATS/1.0\r\n") : std::string(m.header.substr(0, m.header.size() - 2));
  header += "Nats-Stream: " + name + "\r\nNats-Subject: " + std::string(m.subject) + "\r\nNats-Sequence: " +
            std::to_string(m.seq) + "\r\nNats-Time-Stamp: " + rfc3339(m.time_ns) + "\r\n\r\n";
  js.kernel.publish(account, reply, {}, header, m.body);
}

}  // namespace slipstream
