// What comes to its end by age or by its own time to live, and the marker that the last message of a subject leaves behind, so that
// whoever follows the subject learns of its end (ADR-43, S-155..S-158).
//
// The marker is stored as the entry that removes is applied, with the time that the entry has: its sequence and its bytes follow
// from the log alone. Which of the messages are markers themselves, and leave none, the leader has read: the entry says it.
#include "message/header_block.hpp"
#include "message/message_headers.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

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

// Whether it is known of the first messages of `seqs`, up to the limit of an entry; what is not known yet is taken off its end. The
// markers among them go into `payload`. With nothing left the disk is asked, and the timer fires again.
bool Stream::put_markers(std::vector<uint64_t>& seqs, Buffer& payload) {
  std::vector<uint64_t> markers;
  for (size_t i = 0; spec.delete_marker_ttl_ns > 0 && i < seqs.size(); i++) {
    uint32_t subject = store->subject_of(seqs[i]);
    if (subject == kNoSubject || store->subject_state(subject).last != seqs[i]) continue;
    StoredMessage m{};
    ReadStatus status = store->read(seqs[i], m, marker_reader_);
    if (status == ReadStatus::pending) {
      marker_reader_.ready = [this] { age_timer_fired(); };
      seqs.resize(i);
      break;
    }
    if (status == ReadStatus::ok && is_marker(m.header)) markers.push_back(seqs[i]);
  }
  payload.put32((uint32_t)markers.size());
  for (uint64_t seq : markers) payload.put64(seq);
  return !seqs.empty();
}

bool Stream::is_marker(string_view header) {
  return !find_header(header, "Nats-Marker-Reason").value.empty() || find_header(header, "KV-Operation").value == "PURGE";
}

// What the entry says of them. An older version's says nothing: then they are read here; false if that fails.
bool Stream::take_markers(Reader& in, const std::vector<uint64_t>& seqs, std::set<uint64_t>& markers) {
  if (in.left()) {
    for (uint32_t n = in.get32(); n && in.ok(); n--) markers.insert(in.get64());
    return true;
  }
  for (uint64_t seq : seqs) {
    uint32_t subject = store->subject_of(seq);
    if (spec.delete_marker_ttl_ns <= 0 || subject == kNoSubject || store->subject_state(subject).last != seq) continue;
    StoredMessage m{};
    store->read_blocking(seq, m, reader_);
    if (m.seq != seq) {
      go_offline("message " + std::to_string(seq) + " cannot be read: whether it leaves a marker is not known");
      return false;
    }
    if (is_marker(m.header)) markers.insert(seq);
  }
  return true;
}

Work Stream::apply_expire(Reader in, const Proposal* mine) {
  std::set<uint64_t> seqs, markers;
  for (uint32_t n = in.get32(); n && in.ok(); n--) seqs.insert(in.get64());
  int64_t time_ns = in.left() ? (int64_t)in.get64() : 0;
  if (!take_markers(in, {seqs.begin(), seqs.end()}, markers)) co_return;
  for (uint64_t seq : seqs) {
    if (store->live(seq)) end_of_life(seq, time_ns, markers.count(seq));
    if (group.offline) co_return;
    if (host.share.spent()) co_await pause();
  }
  ttls_.forget(seqs);
  removal_done(mine);
  finish(mine, 0);
}

// The age limit; messages that are to stay for ever stay.
Work Stream::apply_remove_below(Reader in, const Proposal* mine) {
  uint64_t below = in.get64();
  int64_t time_ns = in.left() ? (int64_t)in.get64() : 0;
  std::vector<uint64_t> seqs;
  std::set<uint64_t> markers;
  if (leaves_markers(time_ns) && !in.left())
    for (uint64_t seq = store->next_live(1); seq && seq < below; seq = store->next_live(seq + 1)) seqs.push_back(seq);
  if (!take_markers(in, seqs, markers)) co_return;
  if (!ttls_.any_never() && !leaves_markers(time_ns)) {
    co_await remove_below(below);
    std::vector<Consumer*> holders;
    index.each_holder([&](Consumer& c) { holders.push_back(&c); });
    for (Consumer* c : holders) co_await c->many_removed();
  } else {
    for (uint64_t seq = oldest_mortal(); seq && seq < below; seq = store->next_live(seq + 1)) {
      if (!ttls_.never_ends(seq) && store->live(seq)) end_of_life(seq, time_ns, markers.count(seq));
      if (group.offline) co_return;
      if (host.share.spent()) co_await pause();
    }
  }
  removal_done(mine);
  finish(mine, 0);
}

void Stream::removal_done(const Proposal* mine) {
  if (mine && removals_inflight_) removals_inflight_--;
  arm_age_timer();
}

bool Stream::leaves_markers(int64_t time_ns) const { return spec.delete_marker_ttl_ns > 0 && time_ns > 0; }

// A message whose subject is lost leaves none.
void Stream::end_of_life(uint64_t seq, int64_t time_ns, bool is_marker) {
  bool leaves_marker = leaves_markers(time_ns) && !is_marker && !lost_subjects_.is_settled(seq);
  leaves_marker = leaves_marker && (lost_subjects_.is_open(seq) || store->subject_state(store->subject_of(seq)).count == 1);
  if (leaves_marker && lost_subjects_.any_open(*store))
    return void(stop_undecided("whether message " + std::to_string(seq) + " leaves a marker"));
  if (leaves_marker) {
    std::string subject(store->subject_name(store->subject_of(seq)));
    std::string header = "NATS/1.0\r\nNats-Marker-Reason: MaxAge\r\nNats-TTL: " +
                         format_duration(spec.delete_marker_ttl_ns / kSecondNs * kSecondNs) + "\r\nNats-Rollup: sub\r\n\r\n";
    Verdict verdict;
    apply_one(time_ns, {.flags = kFromServer, .subject = subject, .header = header}, verdict);
    wake_consumers();
  }
  if (store->live(seq)) remove(seq);  // the marker rolls it up, if the stream took one
}

}  // namespace slipstream
