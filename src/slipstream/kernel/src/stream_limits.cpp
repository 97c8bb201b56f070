// What a stream removes by itself and on request: limits by count, size and age, times to live, purges.
#include <algorithm>

#include "jetstream.hpp"
#include "stream.hpp"

namespace slipstream {
namespace {

constexpr int64_t kAgeGranularityNs = 1'000'000;
constexpr size_t kExpirePerEntry = 10'000;
constexpr uint64_t kPurgeCheckpointMessages = 10'000;

}  // namespace

void Stream::remove(uint64_t seq) {
  if (!consumers.empty()) {
    uint32_t subject = store->subject_of(seq);
    index.each_holder(subject, [&](Consumer& c) { c.message_removed(seq, subject); });
  }
  store->remove(seq);
}

// Evicts the oldest until every limit holds: of the subject first, then by count, then by size. kNoSubject: of all subjects.
// Behind a message that was stored: of its subject first. Behind a change of the limits (no subject): the stream's first, as
// nats-server does. With discard new nothing goes that is there, but for the oldest of a subject.
void Stream::enforce_limits(uint32_t subject) {
  if (subject != kNoSubject) trim_subject(subject);
  if (spec.max_msgs > 0 && !spec.discard_new)
    while (store->messages() > (uint64_t)spec.max_msgs) remove(store->first_seq());
  if (spec.max_bytes > 0 && !spec.discard_new)
    while (store->bytes() > (uint64_t)spec.max_bytes && store->messages()) remove(store->first_seq());
  if (subject == kNoSubject && spec.max_msgs_per_subject > 0)
    for (uint32_t id = 0; id < store->subject_ids(); id++) trim_subject(id);
}

void Stream::trim_subject(uint32_t subject) {
  if (spec.max_msgs_per_subject <= 0) return;
  SubjectState state = store->subject_state(subject);
  while (state.count > (uint64_t)spec.max_msgs_per_subject) {
    remove(state.first);
    state = store->subject_state(subject);
  }
}

uint64_t Stream::apply_purge(string_view filter, uint64_t seq, uint64_t keep) {
  uint64_t before = store->messages();
  bool everything = filter.empty() || filter == ">";
  if (everything) purge_everything(seq, keep);
  else purge_subjects(filter, seq, keep);
  uint64_t removed = before - store->messages();
  if (!consumers.empty()) tell_purged(filter, everything, removed);
  if (!spec.keeps_all()) lingering_upto_ = std::max(lingering_upto_, store->last_seq());  // consumers may have moved past what is left
  arm_age_timer();
  if (removed > kPurgeCheckpointMessages) js.request_checkpoint();  // files go with the next round
  return removed;
}

// Of a single subject (each roll-up is one) only those hear who have to do with it.
void Stream::tell_purged(string_view filter, bool everything, uint64_t removed) {
  uint64_t first_left = everything && store->messages() ? store->first_seq() : 0;
  if (!everything)
    store->match_subjects(filter, [&](uint32_t id) {
      SubjectState state = store->subject_state(id);
      if (state.count && (!first_left || state.first < first_left)) first_left = state.first;
    });
  bool untold = everything || removed > 1;
  if (everything || has_wildcard(filter)) {
    for (auto& [id, c] : consumers) c->purged(filter, first_left, untold);
    return;
  }
  index.each_wanting(filter, [&](Consumer& c) { c.purged(filter, first_left, untold); });
  // The subject may have no message left, and so no number any more: all strays are asked then.
  if (untold) index.each_stray(store->find_subject(filter), [](Consumer& c) { c.many_removed(); });
}

void Stream::purge_everything(uint64_t seq, uint64_t keep) {
  uint64_t below = seq ? seq : store->last_seq() + 1;
  if (keep) {
    if (keep >= store->messages()) return;
    below = store->first_seq();
    for (uint64_t skip = store->messages() - keep; skip; skip--) below = store->next_live(below + 1);
  } else if (seq == 1) {
    return;
  }
  if (below > store->last_seq() + 1 || store->last_seq() == 0) {  // a purge tells also a new stream where it begins
    store->remove_below(store->last_seq() + 1);
    store->set_sequences(below, below - 1, store->last_time_ns());
  } else {
    store->remove_below(below);
  }
}

void Stream::purge_subjects(string_view filter, uint64_t seq, uint64_t keep) {
  std::vector<uint32_t> ids;
  store->match_subjects(filter, [&](uint32_t id) { ids.push_back(id); });
  std::vector<uint64_t> found;
  for (uint32_t id : ids)
    for (uint64_t s = store->subject_state(id).first; s; s = store->next_on_subject(id, s + 1)) found.push_back(s);
  std::sort(found.begin(), found.end());
  if (keep) found.resize(found.size() > keep ? found.size() - keep : 0);
  if (seq) found.erase(std::lower_bound(found.begin(), found.end(), seq), found.end());
  if (found.size() == 1) return remove(found[0]);  // a single one counts as deleted, as in nats-server: consumers are told
  for (uint64_t s : found) store->remove(s);
}

// ------------------------------------------------------------------ age

void Stream::arm_age_timer() {
  int64_t due = armed_end_ns_ = ttls_.next_end_ns();
  if (int64_t oldest_ns = spec.max_age_ns > 0 ? oldest_mortal_ns() : 0) due = std::min(due, oldest_ns + spec.max_age_ns);
  if (due == INT64_MAX || deleted) return js.kernel.timers.cancel(age_timer_);
  js.kernel.timers.set(age_timer_, std::max(js.kernel.monotonic_of(due), js.kernel.now.monotonic_ns + kAgeGranularityNs));
}

void Stream::age_timer_fired() {
  if (deleted || removals_inflight_) return;  // applying them sets the timer again
  propose_expired();
  int64_t oldest_ns = spec.max_age_ns > 0 ? oldest_mortal_ns() : 0;
  if (oldest_ns && oldest_ns + spec.max_age_ns <= js.kernel.now.wall_ns) {
    if (age_seek_ns_ == 0) age_seek_ns_ = js.kernel.now.wall_ns - spec.max_age_ns + 1, age_seek_seq_ = 0;
    uint64_t below = age_seek_seq_;
    if (store->seek_time(age_seek_ns_, below, age_reader_) == ReadStatus::pending) {
      age_seek_seq_ = below;
      age_reader_.ready = [this] { age_timer_fired(); };
      return;
    }
    age_seek_ns_ = 0;
    Buffer markers;
    if (spec.delete_marker_ttl_ns > 0) below = below_with_markers(below, markers);
    else markers.put32(0);
    if (below > store->first_seq()) {
      Buffer payload = js.buffer();
      payload.put64(below);
      propose_removal(EntryKind::remove_below, std::move(payload), markers);
    }
  }
  if (!removals_inflight_) arm_age_timer();
}

// With markers, messages go one by one; the result is below the first one that an entry has no room for, or that has to come from
// the disk first.
uint64_t Stream::below_with_markers(uint64_t below, Buffer& markers) {
  below = std::min(below, oldest_mortal() + kExpirePerEntry);
  std::vector<uint64_t> seqs;
  for (uint64_t seq = store->first_seq(); seq && seq < below; seq = store->next_live(seq + 1))
    if (!ttls_.never_ends(seq)) seqs.push_back(seq);
  size_t asked = seqs.size();
  put_markers(seqs, markers);
  if (seqs.size() == asked) return below;
  return seqs.empty() ? 0 : seqs.back() + 1;
}

// With the time, for markers. Those are messages, so consumers see them only when they cannot be lost any more.
bool Stream::propose_removal(EntryKind kind, Buffer&& payload, const Buffer& markers) {
  last_time_ns_ = std::max({last_time_ns_, js.kernel.now.wall_ns, store->last_time_ns()});
  payload.put64((uint64_t)last_time_ns_);
  payload.append(markers.view());
  if (!js.propose(group, kind, std::move(payload), spec.delete_marker_ttl_ns > 0, 0, {}, true)) return false;
  removals_inflight_++;
  return true;
}

// The oldest message that the age limit concerns; 0 when there is none.
uint64_t Stream::oldest_mortal() {
  uint64_t seq = store->messages() ? store->first_seq() : 0;
  while (seq && ttls_.never_ends(seq)) seq = store->next_live(seq + 1);
  return seq;
}

int64_t Stream::oldest_mortal_ns() {
  uint64_t seq = oldest_mortal();
  if (!seq) return 0;
  if (seq == store->first_seq()) return store->first_time_ns();
  StoredMessage m{};
  store->read_blocking(seq, m, reader_);
  return m.seq == seq ? m.time_ns : 0;
}

void Stream::propose_expired() {
  std::vector<uint64_t> due = ttls_.due(js.kernel.now.wall_ns, kExpirePerEntry);
  Buffer markers;
  if (due.empty() || !put_markers(due, markers)) return;
  Buffer payload = js.buffer();
  payload.put32((uint32_t)due.size());
  for (uint64_t seq : due) payload.put64(seq);
  propose_removal(EntryKind::expire, std::move(payload), markers);
}

}  // namespace slipstream
