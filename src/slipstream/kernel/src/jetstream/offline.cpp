// A stream that cannot go on, while all others do: its files are damaged, its disk refused, or an entry cannot be applied.
//
// Nothing of it is applied, proposed or delivered any more, and no checkpoint describes it: its last good snapshot stays the
// newest, its files stay as they are. Its subjects and names stay taken; publishers are told why.
#include <algorithm>
#include <map>
#include <utility>

#include "disk/disk_trouble.hpp"
#include "jetstream/jetstream.hpp"

namespace slipstream {

void JetStream::went_offline(Stream& s) {
  going_offline_.push_back(s.group.id);
  offline_.push_back(s.group.id);
  kept_upto_ = 0;  // of this one nothing is kept
  busy_ = true;
}

void JetStream::release_offline_streams() {
  while (!going_offline_.empty()) {
    Stream* s = stream(going_offline_.back());
    going_offline_.pop_back();
    if (!s) continue;
    leave_round();
    std::erase(dirty_streams_, s);
    s->dirty = false;
    s->release_offline();
    EventRecord e{EventType::offline};
    e.a = s->group.id;
    e.s0 = s->offline_reason();
    kernel.emit(std::move(e));
  }
}

// A snapshot of it that is not on its way to the disk must not become its newest. Without its snapshot the round must not be
// written either: the journal would be released, and nothing has kept the stream's entries yet.
void JetStream::leave_round() {
  if (phase_ == CheckpointPhase::serializing || (phase_ == CheckpointPhase::writing && !round_leaves_)) abandon_round();
}

// What the round under way will let the journal release. Of a stream that no checkpoint has, its creation as well: also one behind
// the round's position, as the round describes the server's streams as they are now. Where that fails the round is over, and the
// journal keeps everything: also where a record is damaged that may be one of them. One that cannot be does no harm: the entries of
// each stream that is offline are there without a gap.
bool JetStream::keep_offline_entries() {
  std::map<uint64_t, uint64_t> kept_upto;  // by stream: without a gap
  for (uint64_t id : offline_) {
    const Group& g = streams_.at(id)->group;
    kept_upto[id] = g.checkpointed == Group::kNever ? g.kept : std::max(g.kept, g.checkpointed);
  }
  std::map<uint64_t, bool> created;
  auto keep = [&](const JournalRecord& r) {
    uint64_t id = r.group;
    bool creates = !id && r.kind == (uint8_t)EntryKind::stream_create;
    if (creates) id = Reader(r.payload).get64();
    if (!id) return;
    auto it = streams_.find(id);
    if (it == streams_.end() || !it->second->group.offline) return;
    const Group& g = it->second->group;
    bool never = g.checkpointed == Group::kNever;
    if (creates ? !never : !never && r.index <= g.checkpointed) return;
    kept_->add(id, r);
    if (creates) created[id] = true;
    else if (uint64_t& last = kept_upto[id]; r.index == last + 1) last = r.index;
  };
  uint64_t from = std::max(kept_upto_, journal_->released()), upto = journal_->written();
  std::string error, passed;
  bool whole = journal_->read_back(from, upto, keep, passed, error);
  for (const auto& [id, last] : kept_upto) {
    const Group& g = streams_.at(id)->group;
    bool found = last >= g.last_index && (g.checkpointed != Group::kNever || g.kept || created[id]);
    if (whole && !passed.empty() && !found) {
      error = passed + ": it may be an entry of stream " + streams_.at(id)->name + ", which is offline";
      whole = false;
    }
  }
  int failed = whole ? kept_->write(upto, error) : -EIO;
  if (failed < 0) {
    if (!whole) error += ". What it has of streams that are offline cannot be set aside, and no file of the journal is released";
    entries_not_kept(error, failed);
    return false;
  }
  if (!passed.empty()) note_damage(0, passed + ". All that it had of streams that are offline was set aside");
  for (const auto& [id, last] : kept_upto) streams_.at(id)->group.kept = std::max(streams_.at(id)->group.kept, last);
  kept_upto_ = upto;
  not_kept_.clear();
  return true;
}

// Publishes to the others go on until the journal is full.
void JetStream::entries_not_kept(const std::string& why, int error) {
  kept_->forget_added();
  if (trouble_of(error) == DiskTrouble::read_only) fail(why + ". Make it writable and start the server again");
  abandon_round(error);
  if (!passes(error) && why != std::exchange(not_kept_, why)) note_damage(0, why);
}

// The round lets the journal forget the deletion: what is still kept then would make the stream again.
bool JetStream::drop_entries_of_deleted() {
  std::vector<uint64_t> deleted;
  for (const auto& [id, files] : kept_->streams())
    if (!streams_.count(id)) deleted.push_back(id);
  return std::all_of(deleted.begin(), deleted.end(), [this](uint64_t id) { return kept_->drop(id); });
}

void JetStream::erase_when_synced(std::function<void()> erasure) {
  if (!recovering_ && !relaxed()) return erasure();
  erasures_.emplace_back(recovering_ ? 0 : journal_->position(), std::move(erasure));
  if (!recovering_) journal_->sync_now();
}

void JetStream::run_erasures() {
  while (!erasures_.empty() && erasures_.front().first <= journal_->synced()) {
    auto erasure = std::move(erasures_.front().second);
    erasures_.pop_front();
    erasure();
  }
}

void JetStream::abandoned(uint64_t token, const std::string& reason) {
  EventRecord e{EventType::abandoned};
  e.a = token;
  e.s0 = reason;
  kernel.emit(std::move(e));
}

}  // namespace slipstream
