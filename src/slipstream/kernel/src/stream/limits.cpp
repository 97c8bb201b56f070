// What a stream removes by itself: limits by count, size and age, times to live. Purges are in purging.cpp.
#include <algorithm>

#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr int64_t kAgeGranularityNs = 1'000'000;
constexpr int64_t kAgeRetryNs = 250'000'000;  // where the log takes no removal, or the disk is asked
constexpr size_t kExpirePerEntry = 10'000;

}  // namespace

void Stream::remove(uint64_t seq) {
  if (!consumers.empty()) {
    uint32_t subject = store->subject_of(seq);
    index.each_holder(subject, [&](Consumer& c) { c.message_removed(seq, subject); });
  }
  store->remove(seq);
}

// Behind a message that was stored: evicts the oldest until every limit holds, of its subject first, then by count, then by size.
// Behind a change of the limits enforce_all_limits() does it, the stream's first, as nats-server does. With discard new nothing goes
// that is there, but for the oldest of a subject.
void Stream::enforce_limits(uint32_t subject) {
  trim_subject(subject);
  while (over_limits()) remove(store->first_seq());
}

bool Stream::over_limits() const {
  return (spec.max_msgs > 0 && store->messages() > (uint64_t)spec.max_msgs && !spec.discard_new) ||
         (spec.max_bytes > 0 && store->bytes() > (uint64_t)spec.max_bytes && !spec.discard_new && store->messages());
}

void Stream::trim_subject(uint32_t subject) {
  if (spec.max_msgs_per_subject <= 0) return;
  SubjectState state = store->subject_state(subject);
  while (state.count > (uint64_t)spec.max_msgs_per_subject) {
    remove(state.first);
    state = store->subject_state(subject);
  }
}

// ------------------------------------------------------------------ age

void Stream::arm_age_timer() {
  if (!leads_) return;
  int64_t due = armed_end_ns_ = ttls_.next_end_ns();
  if (int64_t oldest_ns = spec.max_age_ns > 0 ? oldest_mortal_ns() : 0) due = std::min(due, saturated_sum(oldest_ns, spec.max_age_ns));
  if (due == INT64_MAX || deleted) return host.kernel.timers.cancel(age_timer_);
  host.kernel.timers.set(age_timer_, std::max(host.kernel.monotonic_of(due), host.kernel.now.monotonic_ns + kAgeGranularityNs));
}

void Stream::age_timer_fired() {
  if (!leads_ || deleted || group.offline || removals_inflight_) return;  // applying them sets the timer again
  bool later = !propose_expired();
  int64_t oldest_ns = spec.max_age_ns > 0 ? oldest_mortal_ns() : 0;
  if (oldest_ns && saturated_sum(oldest_ns, spec.max_age_ns) <= host.kernel.now.wall_ns) {
    if (age_seek_ns_ == 0) age_seek_ns_ = saturated_difference(host.kernel.now.wall_ns, spec.max_age_ns) + 1, age_seek_seq_ = 0;
    uint64_t below = age_seek_seq_;
    if (seek_age(below) == ReadStatus::pending) {
      age_seek_seq_ = below;
      age_reader_.ready = [this] { age_timer_fired(); };
      return;
    }
    age_seek_ns_ = 0;
    Buffer markers;
    if (spec.delete_marker_ttl_ns > 0) below = below_with_markers(below, markers);
    else markers.put32(0);
    Buffer payload = host.buffer();
    payload.put64(below);
    later = below <= oldest_mortal() || !propose_removal(EntryKind::remove_below, std::move(payload), markers) || later;
  }
  if (removals_inflight_) return;
  arm_age_timer();
  if (later && age_timer_.armed()) host.kernel.timers.set(age_timer_, host.kernel.now.monotonic_ns + kAgeRetryNs);
}

// The first message that the age limit leaves. One whose time cannot be read is as old as its neighbours: it goes when the next one
// goes.
ReadStatus Stream::seek_age(uint64_t& below) {
  for (;;) {
    ReadStatus status = store->seek_time(age_seek_ns_, below, age_reader_);
    if (status == ReadStatus::pending) return status;
    uint64_t next = status == ReadStatus::damaged ? store->next_live(below + 1) : 0;
    if (!next) {
      if (below == age_behind_damage_) below = age_damaged_seq_;
      age_behind_damage_ = 0;
      return status;
    }
    if (below != age_behind_damage_) age_damaged_seq_ = below;
    age_behind_damage_ = below = next;
  }
}

// With markers, messages go one by one; the result is below the first one that an entry has no room for, or that has to come from
// the disk first.
uint64_t Stream::below_with_markers(uint64_t below, Buffer& markers) {
  if (uint64_t oldest = oldest_mortal(); below > oldest && below - oldest > kExpirePerEntry) below = oldest + kExpirePerEntry;
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
  last_time_ns_ = std::max({last_time_ns_, host.kernel.now.wall_ns, store->last_time_ns()});
  payload.put64((uint64_t)last_time_ns_);
  payload.append(markers.view());
  if (!host.propose(group, kind, std::move(payload), spec.delete_marker_ttl_ns > 0, 0, {}, true)) return false;
  removals_inflight_++;
  return true;
}

// Of messages that are gone. A checkpoint does it too; a stream in memory has none.
void Stream::sweep_indexes() {
  auto live = [this](uint64_t seq) { return store->live(seq); };
  ttls_.sweep(store->messages(), live);
  schedules_.sweep(store->messages(), live);
}

// The oldest message that the age limit concerns; 0 when there is none. What is found to stay for ever is passed once: no message
// comes before it later.
uint64_t Stream::oldest_mortal() {
  uint64_t seq = store->messages() ? store->next_live(immortal_upto_ + 1) : 0;
  while (seq && ttls_.never_ends(seq)) {
    immortal_upto_ = seq;
    seq = store->next_live(seq + 1);
  }
  return seq;
}

int64_t Stream::oldest_mortal_ns() {
  uint64_t seq = oldest_mortal();
  if (!seq) return 0;
  // One whose time cannot be read is due at once: seek_age() finds out whether it goes.
  if (seq == store->first_seq()) return std::max<int64_t>(store->first_time_ns(), 1);
  StoredMessage m{};
  store->read_blocking(seq, m, reader_);
  return m.seq == seq ? m.time_ns : 1;
}

// False: what is due has to wait.
bool Stream::propose_expired() {
  std::vector<uint64_t> due = ttls_.due(host.kernel.now.wall_ns, kExpirePerEntry);
  Buffer markers;
  if (due.empty()) return true;
  if (!put_markers(due, markers)) return false;
  Buffer payload = host.buffer();
  payload.put32((uint32_t)due.size());
  for (uint64_t seq : due) payload.put64(seq);
  return propose_removal(EntryKind::expire, std::move(payload), markers);
}

}  // namespace slipstream
