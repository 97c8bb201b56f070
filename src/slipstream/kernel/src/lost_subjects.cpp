#include "lost_subjects.hpp"

#include <algorithm>

#include "jetstream.hpp"
#include "publish_errors.hpp"
#include "stream.hpp"

namespace slipstream {

void LostSubjects::found(const Sequences& damaged) {
  open_ = damaged;
  close_settled();
}

void LostSubjects::close_settled() {
  std::erase_if(open_, [this](uint64_t seq) { return std::binary_search(settled_.begin(), settled_.end(), seq); });
}

bool LostSubjects::is_open(uint64_t seq) const { return std::binary_search(open_.begin(), open_.end(), seq); }

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
  Buffer payload = js.buffer();
  if (lost_subjects_.put_lost(store->damaged(), *store, payload))
    js.propose(group, EntryKind::subjects_lost, std::move(payload), false, 0, {}, true);
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

const PublishError* Stream::stop_undecided(const std::string& what) {
  go_offline(what + " is perhaps that of a message that cannot be read");
  return &kStreamOffline;
}

}  // namespace slipstream
