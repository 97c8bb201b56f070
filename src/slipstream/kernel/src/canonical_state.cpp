#include "canonical_state.hpp"

#include <algorithm>

#include "jetstream.hpp"

namespace slipstream {
namespace {

void put_hex(std::string& out, string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (unsigned char c : bytes) out += kDigits[c >> 4], out += kDigits[c & 15];
}

void put_line(std::string& out, const char* what, std::initializer_list<uint64_t> numbers, string_view bytes = {}) {
  out += what;
  for (uint64_t n : numbers) out += ' ', out += std::to_string(n);
  if (!bytes.empty()) out += ' ', put_hex(out, bytes);
  out += '\n';
}

void put_messages(std::string& out, MessageStore& store) {
  put_line(out, "sequences", {store.first_seq(), store.last_seq(), (uint64_t)store.last_time_ns()});
  ReadBuffer buffer;
  for (uint64_t seq = store.next_live(1); seq; seq = store.next_live(seq + 1)) {
    StoredMessage m;
    if (store.read_blocking(seq, m, buffer) != ReadStatus::ok) {
      put_line(out, "unreadable", {seq});
      continue;
    }
    out += "message " + std::to_string(seq) + ' ' + std::string(m.subject);
    put_line(out, "", {(uint64_t)m.time_ns, crc32c(0, m.header.data(), m.header.size()), crc32c(0, m.body.data(), m.body.size())});
  }
}

}  // namespace

bool CanonicalState::at_rest(const Stream& s) {
  if (!s.group.inflight.empty() || s.open_count_ || s.deleted) return false;
  return std::all_of(s.consumers.begin(), s.consumers.end(), [](const auto& of) {
    const Consumer& c = *of.second;
    return c.delivered_.empty() && !c.ack_count_ && !c.resets_under_way_;
  });
}

std::string CanonicalState::of(Stream& s) {
  std::string out = "stream " + s.name + "\ndescription " + s.description + "\nlast id " + s.last_msg_id_ + "\n";
  Buffer bytes;
  s.spec.encode(bytes);
  put_line(out, "spec", {s.group.applied, s.next_consumer_id, s.lingering_upto_}, bytes.view());
  put_messages(out, *s.store);
  s.dedupe_.each([&](uint64_t a, uint64_t b, uint64_t seq, int64_t time_ns) { put_line(out, "id", {a, b, seq, (uint64_t)time_ns}); });
  auto live = [&](uint64_t seq) { return s.store->live(seq); };
  s.ttls_.prune(live);
  s.schedules_.prune(live);
  bytes.clear(), s.ttls_.snapshot(bytes), put_line(out, "ttls", {}, bytes.view());
  bytes.clear(), s.snapshot_sources(bytes), put_line(out, "sources", {}, bytes.view());
  bytes.clear(), s.snapshot_sections(bytes), put_line(out, "sections", {}, bytes.view());
  for (auto& [id, c] : s.consumers) {
    if (s.forgets(c->spec)) continue;  // its leader's alone
    out += "consumer " + c->name + " " + c->description;
    put_line(out, "", {id, c->cursor_, c->applied_cursor_, c->consumer_seq_, c->floor_consumer_seq_, c->floor_stream_seq_,
                       (uint64_t)c->delivered_ns_, (uint64_t)c->acked_ns_, c->resume_after_});
    bytes.clear(), c->spec.encode(bytes), put_line(out, " spec", {}, bytes.view());
    for (PendingDelivery* p = c->pending_.first(); p; p = c->pending_.next(p))
      put_line(out, " pending", {p->stream_seq, p->consumer_seq, (uint64_t)p->sent_ns, (uint64_t)p->deadline_ns, p->deliveries});
    for (uint64_t seq : c->exceeded_) put_line(out, " exceeded", {seq});
    for (uint64_t seq : c->last_per_subject_) put_line(out, " listed", {seq});
  }
  return out;
}

}  // namespace slipstream
