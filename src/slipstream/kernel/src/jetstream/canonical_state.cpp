#include "jetstream/canonical_state.hpp"

#include <algorithm>

#include "jetstream/jetstream.hpp"

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

// Of the newest message of each subject, in their order.
void CanonicalState::put_totals(std::string& out, const Stream& s) {
  for (uint64_t seq = s.spec.counter ? s.store->next_live(1) : 0; seq; seq = s.store->next_live(seq + 1)) {
    uint32_t id = s.store->subject_of(seq);
    if (s.store->subject_state(id).last != seq) continue;
    CounterTotal total;
    CounterTotals::Known known = s.counters_.find(id, seq, total);
    put_line(out, "total", {seq, (uint64_t)known, total.broken}, total.total + " " + total.sources);
  }
}

bool CanonicalState::at_rest(const Stream& s) {
  return !s.working() && !s.deleted;
}

std::string CanonicalState::of(Stream& s) {
  std::string out = "stream " + s.name + "\ndescription " + s.description + "\nlast id " + s.last_msg_id_ + "\n";
  Buffer bytes;
  s.spec.encode(bytes);
  put_line(out, "spec", {s.group.applied, s.next_consumer_id, s.lingering_upto_}, bytes.view());
  put_messages(out, *s.store);
  s.dedupe_.each([&](uint64_t a, uint64_t b, uint64_t seq, int64_t time_ns) { put_line(out, "id", {a, b, seq, (uint64_t)time_ns}); });
  auto live = [&](uint64_t seq) { return s.store->live(seq); };
  s.ttls_.each([&](uint64_t seq, int64_t end_ns) {
    if (live(seq)) put_line(out, "ttl", {seq, (uint64_t)end_ns});
  });
  s.source_positions.each([&](const std::string& source, const SourcePosition& p) {
    put_line(out, "source", {p.seq}, source + " " + p.identity);
  });
  s.schedules_.each([&](string_view subject, uint64_t seq, int64_t at_ns) {
    if (live(seq)) put_line(out, "schedule", {seq, (uint64_t)at_ns}, subject);
  });
  put_line(out, "batch parts", {s.batch_part_count_}, s.batch_parts_ ? s.batch_parts_->view() : string_view());
  for (auto [number, index] : s.ended_fast_batches_) put_line(out, "ended batch", {number, index});
  put_totals(out, s);
  bytes.clear(), s.lost_subjects_.snapshot(*s.store, bytes), put_line(out, "lost subjects", {}, bytes.view());
  for (auto& [id, c] : s.consumers) {
    if (s.forgets(c->spec)) continue;  // its leader's alone
    out += "consumer " + c->name + " " + c->description;
    put_line(out, "", {id, c->applied_cursor_, c->applied_consumer_seq_, c->floor_consumer_seq_, c->floor_stream_seq_,
                       (uint64_t)c->applied_delivered_ns_, (uint64_t)c->acked_ns_, c->resume_after_});
    bytes.clear(), c->spec.encode(bytes), put_line(out, " spec", {}, bytes.view());
    for (PendingDelivery* p = c->pending_.first(); p; p = c->pending_.next(p))
      put_line(out, " pending", {p->stream_seq, p->consumer_seq, (uint64_t)p->sent_ns, (uint64_t)p->deadline_ns, p->deliveries});
    for (uint64_t seq : c->exceeded_) put_line(out, " exceeded", {seq});
    for (uint64_t seq : c->last_per_subject_) put_line(out, " listed", {seq});
  }
  return out;
}

}  // namespace slipstream
