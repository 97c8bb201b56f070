#include "stream/lost_subjects.hpp"

#include <algorithm>

#include "stream/publish_errors.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kHeaderLengthBytes = 4;  // of a message's size, where it has a header: of a lost one that is not known

}  // namespace

void LostSubjects::found(const Sequences& damaged) {
  open_ = damaged;
  close_settled();
}

void LostSubjects::close_settled() {
  std::erase_if(open_, [this](uint64_t seq) { return std::binary_search(settled_.begin(), settled_.end(), seq); });
}

bool LostSubjects::is_open(uint64_t seq) const { return std::binary_search(open_.begin(), open_.end(), seq); }

bool LostSubjects::is_settled(uint64_t seq) const { return std::binary_search(settled_.begin(), settled_.end(), seq); }

uint64_t LostSubjects::open_within(uint64_t first, uint64_t last, const MessageStore& store) const {
  for (auto it = std::lower_bound(open_.begin(), open_.end(), first); it != open_.end() && *it <= last; ++it)
    if (store.live(*it)) return *it;
  return 0;
}

// What was removed is forgotten from the back.
uint64_t LostSubjects::newest(Sequences& seqs, const MessageStore& store) {
  while (!seqs.empty() && !store.live(seqs.back())) seqs.pop_back();
  return seqs.empty() ? 0 : seqs.back();
}

LostSubjects::Sequences LostSubjects::live_of(const Sequences& seqs, const MessageStore& store) {
  Sequences out;
  for (uint64_t seq : seqs)
    if (store.live(seq)) out.push_back(seq);
  return out;
}

// Damage concerns neighbours: numbers that follow each other are one range.
void LostSubjects::put_ranges(const Sequences& seqs, Buffer& out) {
  for (size_t i = 0, end; i < seqs.size(); i = end) {
    for (end = i + 1; end < seqs.size() && seqs[end] == seqs[end - 1] + 1; end++) {}
    out.put64(seqs[i]);
    out.put64(seqs[end - 1]);
  }
}

bool LostSubjects::put_lost(const Sequences& damaged, const MessageStore& store, Buffer& payload) const {
  Sequences lost = live_of(damaged, store);
  if (lost == live_of(settled_, store)) return false;
  put_ranges(lost, payload);
  return true;
}

bool LostSubjects::settle(Reader& in, const MessageStore& store) {
  Sequences lost;
  while (in.ok() && in.left()) {
    uint64_t first = in.get64(), last = in.get64();
    for (uint64_t seq = in.ok() ? store.next_live(first) : 0; seq && seq <= last; seq = store.next_live(seq + 1)) lost.push_back(seq);
  }
  if (!in.ok()) return false;
  settled_ = std::move(lost);
  close_settled();
  return true;
}

void LostSubjects::snapshot(const MessageStore& store, Buffer& out) const { put_ranges(live_of(settled_, store), out); }

// ------------------------------------------------------------------ of a stream

// What is proposed from now on rests on it.
void Stream::settle_lost_subjects() {
  Buffer payload = host.buffer();
  if (lost_subjects_.put_lost(store->damaged(), *store, payload))
    host.propose(group, EntryKind::subjects_lost, std::move(payload), false, 0, {}, true);
}

void Stream::apply_subjects_lost(Reader& in) {
  if (!lost_subjects_.settle(in, *store)) go_offline_at("cannot be decoded");
}

// The last message of a subject is known to be `last`, unless a newer one is open.
bool Stream::last_is_open(uint64_t last) { return lost_subjects_.newest_open(*store) > last; }

// Whether a publisher's expectation holds cannot be said. Where it names a known message that is not the last one, it can.
bool Stream::expectation_is_open(uint64_t last, int64_t expected) {
  return last_is_open(last) && ((uint64_t)expected == last || lost_subjects_.is_open((uint64_t)expected));
}

// Before a message is stored: what its roll-up removes, and whether it reaches a limit of its subject or of the size. `before` are
// those that its batch stores on the subject first. No subject had more messages than its limit allows: one that has as many is known
// whole. The size of the lost messages is at most what the store counts, but for the lengths of their headers.
const PublishError* Stream::check_open(string_view subject, uint64_t bytes, bool rolls_up, uint64_t before) {
  if (!lost_subjects_.any_open(*store)) return nullptr;
  if (rolls_up) return stop_undecided("what a message on subject " + std::string(subject) + " removes");
  uint32_t id = store->find_subject(subject);
  uint64_t known = id == kNoSubject ? 0 : store->subject_state(id).count, open = lost_subjects_.open_count();
  uint64_t max = (uint64_t)std::max<int64_t>(spec.max_msgs_per_subject, 0);
  if (known < max && known + before + open >= max) return stop_undecided("the number of messages on subject " + std::string(subject));
  return size_is_open(spec, bytes) ? stop_undecided("the size of the stream") : nullptr;
}

bool Stream::size_is_open(const StreamSpec& of, uint64_t bytes) const {
  return of.max_bytes > 0 && store->bytes() + bytes + kHeaderLengthBytes * lost_subjects_.open_count() > (uint64_t)of.max_bytes;
}

// What new limits remove.
bool Stream::limits_are_open(const StreamSpec& next) {
  if (!lost_subjects_.any_open(*store)) return false;
  int64_t before = spec.max_msgs_per_subject, now = next.max_msgs_per_subject;
  return (now > 0 && (before <= 0 || now < before)) || size_is_open(next, 0);
}

bool Stream::start_is_open(const ConsumerSpec& of) {
  if (!lost_subjects_.any_open(*store)) return false;
  if (of.deliver_policy == DeliverPolicy::last_per_subject) return spec.max_msgs_per_subject != 1;
  return !of.filters.empty() && (of.deliver_policy == DeliverPolicy::last || of.deliver_policy == DeliverPolicy::by_start_time);
}

bool Stream::has_filtered_consumers() const {
  return std::any_of(consumers.begin(), consumers.end(), [](const auto& c) { return !c.second->spec.filters.empty(); });
}

// Whether a consumer needs one of these messages. The stream stops if that cannot be said, or has stopped already.
bool Stream::need_is_open(uint64_t first, uint64_t last) {
  if (!lost_subjects_.any_open()) return false;
  if (group.offline) return true;
  uint64_t seq = lost_subjects_.open_within(first, last, *store);
  if (!seq || !has_filtered_consumers()) return false;
  stop_undecided("who needs message " + std::to_string(seq));
  return true;
}

const PublishError* Stream::stop_undecided(const std::string& what) {
  go_offline(what + " depends on a message that cannot be read");
  return &kStreamOffline;
}

}  // namespace slipstream
