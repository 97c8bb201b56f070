// What comes to its end by age or by its own time to live, and the marker that the last message of a subject leaves behind, so that
// whoever follows the subject learns of its end (ADR-43, S-155..S-158).
//
// The marker is stored as the entry that removes is applied, with the time that the entry has: its sequence and its bytes follow
// from the log alone.
#include "header_block.hpp"
#include "jetstream.hpp"
#include "message_headers.hpp"
#include "stream.hpp"

namespace slipstream {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;

}  // namespace

// A marker must outlive every message that it could hide, unless there is only ever one message (S-155).
bool Stream::raise_ttl(int64_t& ttl_s, string_view& header, std::string& rewritten) const {
  int64_t least_s = spec.delete_marker_ttl_ns / kSecondNs;
  if (ttl_s <= 0 || ttl_s >= least_s || spec.max_msgs_per_subject == 1) return false;
  ttl_s = least_s;
  rewritten = without_header(header, "Nats-TTL");
  append_header(rewritten, "Nats-TTL", std::to_string(ttl_s));
  header = rewritten;
  return true;
}

void Stream::apply_expire(Reader& in) {
  std::set<uint64_t> seqs;
  for (uint32_t n = in.get32(); n && in.ok(); n--) seqs.insert(in.get64());
  int64_t time_ns = in.left() ? (int64_t)in.get64() : 0;
  for (uint64_t seq : seqs)
    if (store->live(seq)) end_of_life(seq, time_ns);
  ttls_.forget(seqs);
  removal_done();
}

// The age limit; messages that are to stay for ever stay.
void Stream::apply_remove_below(Reader& in) {
  uint64_t below = in.get64();
  int64_t time_ns = in.left() ? (int64_t)in.get64() : 0;
  if (!ttls_.any_never() && !leaves_markers(time_ns)) {
    store->remove_below(below);
    index.each_holder([](Consumer& c) { c.many_removed(); });
  } else {
    for (uint64_t seq = store->first_seq(); seq && seq < below; seq = store->next_live(seq + 1))
      if (!ttls_.never_ends(seq) && store->live(seq)) end_of_life(seq, time_ns);
  }
  removal_done();
}

void Stream::removal_done() {
  if (leading_ && removals_inflight_) removals_inflight_--;
  arm_age_timer();
}

bool Stream::leaves_markers(int64_t time_ns) const { return spec.delete_marker_ttl_ns > 0 && time_ns > 0; }

void Stream::end_of_life(uint64_t seq, int64_t time_ns) {
  if (leaves_markers(time_ns) && is_last_and_no_marker(seq)) {
    std::string subject(store->subject_name(store->subject_of(seq)));
    std::string header = "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: " +
                         format_duration(spec.delete_marker_ttl_ns / kSecondNs * kSecondNs) + "\r\nNats-Rollup: sub\r\n\r\n";
    Verdict verdict;
    apply_one(time_ns, {.flags = kFromServer, .subject = subject, .header = header}, verdict);
    wake_consumers();
  }
  if (store->live(seq)) remove(seq);  // the marker rolls it up, if the stream took one
}

bool Stream::is_last_and_no_marker(uint64_t seq) {
  if (store->subject_state(store->subject_of(seq)).count != 1) return false;
  StoredMessage m{};
  store->read_blocking(seq, m, reader_);
  if (m.seq != seq) return true;  // its headers cannot be read
  return find_header(m.header, "Nats-Marker-Reason").value.empty() && find_header(m.header, "KV-Operation").value != "PURGE";
}

}  // namespace slipstream
