// Purges, and limits that were lowered: what may remove millions of messages, over several turns (entry_work.hpp).
//
// Messages go one by one or by pieces of a segment, so that the store's numbers hold between two turns. Consumers are told at the
// end: until then they deliver nothing, and keep what they remember.
#include <algorithm>
#include <utility>

#include "store/subject_table.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kPurgeCheckpointMessages = 10'000;
constexpr uint64_t kRemoveStep = 256;        // sequences that go before the clock is looked at
constexpr uint64_t kAtOnceMax = 256;         // messages of a roll-up that go without a work of their own

}  // namespace

Work Stream::apply_purge(std::string filter, uint64_t seq, uint64_t keep, const Proposal* mine) {
  uint64_t before = store->messages();
  if (!filter.empty() && filter != ">" && lost_subjects_.any_open(*store)) {
    stop_undecided("what a purge of " + filter + " removes");
    co_return;
  }
  co_await purge(std::move(filter), seq, keep);
  finish(mine, (int64_t)(before - store->messages()));
}

// That a message asks for: a few messages go at once, more of them before the next message is applied.
void Stream::purge_within_entry(string_view filter, uint64_t keep) {
  uint64_t concerned = store->messages();
  if (!filter.empty()) {
    uint32_t id = store->find_subject(filter);
    concerned = id == kNoSubject ? 0 : store->subject_state(id).count;
  }
  auto remembered = [&](Consumer& c) { concerned += c.remembered(); };
  if (concerned > kAtOnceMax) {
    // not at once anyway
  } else if (filter.empty() || has_wildcard(filter)) {
    for (auto& [id, c] : consumers) remembered(*c);
  } else {
    index.each_wanting(filter, remembered);
  }
  Work work = purge(std::string(filter), 0, keep);
  if (concerned > kAtOnceMax) return long_work_.push_back(std::move(work));
  removed_within_entry_ += concerned;
  WorkShare at_once;
  at_once.unlimited();
  std::swap(at_once, host.share);
  work.go_on(host.share);
  std::swap(at_once, host.share);
}

Work Stream::do_long_work() {
  std::vector<Work> asked;
  asked.swap(long_work_);
  for (size_t i = 0; i < asked.size(); i++) co_await std::move(asked[i]);
  if (host.share.spent(std::exchange(removed_within_entry_, 0))) co_await pause();
}

Work Stream::purge(std::string filter, uint64_t seq, uint64_t keep) {
  uint64_t before = store->messages();
  bool everything = filter.empty() || filter == ">";
  std::vector<uint32_t> ids;
  if (everything) {
    co_await purge_everything(seq, keep);
  } else {
    co_await find_subjects(filter, ids);
    co_await purge_subjects(ids, seq, keep);
  }
  uint64_t removed = before - store->messages();
  if (!consumers.empty()) co_await tell_purged(filter, ids, everything, removed);
  if (!spec.keeps_all()) lingering_upto_ = std::max(lingering_upto_, store->last_seq());  // consumers may have moved past what is left
  arm_age_timer();
  if (removed > kPurgeCheckpointMessages) host.request_checkpoint();  // files go with the next round
}

Work Stream::find_subjects(const std::string& filter, std::vector<uint32_t>& ids) {
  if (!has_wildcard(filter)) {
    if (uint32_t id = store->find_subject(filter); id != kNoSubject) ids.push_back(id);
    co_return;
  }
  SubjectPattern pattern(filter);
  for (uint32_t id = 0; id < store->subject_ids(); id++) {
    if (store->subject_state(id).count && pattern.matches(store->subject_name(id))) ids.push_back(id);
    if (host.share.spent()) co_await pause();
  }
}

Work Stream::purge_everything(uint64_t seq, uint64_t keep) {
  uint64_t below = seq ? seq : store->last_seq() + 1;
  if (keep) {
    if (keep >= store->messages()) co_return;
    below = store->first_seq();
    for (uint64_t skip = store->messages() - keep; skip; skip--) {
      below = store->next_live(below + 1);
      if (host.share.spent()) co_await pause();
    }
  } else if (seq == 1) {
    co_return;
  }
  bool at_the_end = store->last_seq() == UINT64_MAX;  // in an earlier version's log
  if (at_the_end && below == 0) {
    co_await remove_below(UINT64_MAX);
    remove_untold(UINT64_MAX);
  } else if (!at_the_end && (below > store->last_seq() + 1 || store->last_seq() == 0)) {  // a purge tells also a new stream where it begins
    store->remove_below(store->last_seq() + 1);
    store->set_sequences(below, below - 1, store->last_time_ns());
  } else {
    co_await remove_below(below);
  }
}

// All of it goes by segments, without a visit to each message.
Work Stream::remove_below(uint64_t below) {
  if (below > store->last_seq()) {
    store->remove_below(below);
    co_return;
  }
  while (store->messages() && store->first_seq() < below) {
    uint64_t first = store->first_seq(), end = below - first > kRemoveStep ? first + kRemoveStep : below;
    index.each_holder([&](Consumer& c) { c.uncount(first, end); });
    store->remove_below(end);
    if (host.share.spent(kRemoveStep)) co_await pause();
  }
}

// Consumers hear at the end of the work what is left of all that they remember, but their counts hold between two turns.
void Stream::remove_untold(uint64_t seq) {
  index.each_holder(store->subject_of(seq), [seq](Consumer& c) { c.uncount(seq, behind(seq)); });
  store->remove(seq);
}

// The oldest of these subjects' messages, before `seq` if that is not 0, and so that `keep` of them stay.
Work Stream::purge_subjects(const std::vector<uint32_t>& ids, uint64_t seq, uint64_t keep) {
  const uint64_t bound = seq ? seq : behind(store->last_seq());
  uint64_t first = UINT64_MAX, second = UINT64_MAX, left = 0;
  for (uint32_t id : ids) {
    SubjectState state = store->subject_state(id);
    left += state.count;
    uint64_t next = state.count > 1 ? store->next_on_subject(id, state.first + 1) : UINT64_MAX;
    second = std::min({second, std::max(first, state.first), next});
    first = std::min(first, state.first);
    if (host.share.spent()) co_await pause();
  }
  left = left > keep ? left - keep : 0;
  if (!left || first >= bound) co_return;
  if (left == 1 || second >= bound) {  // a single one counts as deleted, as in nats-server: consumers are told
    remove(first);
    co_return;
  }
  // In the order of the stream, if that is asked for or passes few other messages: segments then go from their front.
  if (ids.size() > 1 && (keep || left >= store->messages() / 8)) {
    std::vector<bool> concerned(store->subject_ids());
    for (uint32_t id : ids) concerned[id] = true;
    for (uint64_t s = first; s && s < bound && left; s = store->next_live(s + 1)) {
      if (concerned[store->subject_of(s)]) remove_untold(s), left--;
      if (host.share.spent()) co_await pause();
    }
    co_return;
  }
  for (uint32_t id : ids) {
    for (SubjectState state = store->subject_state(id); state.count && state.first < bound && left; state = store->subject_state(id)) {
      remove_untold(state.first);
      left--;
      if (host.share.spent()) co_await pause();
    }
  }
}

// Of a single subject (each roll-up is one) only those hear who have to do with it.
Work Stream::tell_purged(const std::string& filter, const std::vector<uint32_t>& ids, bool everything, uint64_t removed) {
  uint64_t first_left = everything && store->messages() ? store->first_seq() : 0;
  for (uint32_t id : ids) {
    SubjectState state = store->subject_state(id);
    if (state.count && (!first_left || state.first < first_left)) first_left = state.first;
    if (host.share.spent()) co_await pause();
  }
  bool untold = everything || removed > 1;
  if (everything || has_wildcard(filter)) {
    for (auto& [id, c] : consumers) {
      co_await c->purged(filter, first_left, untold);
      if (host.share.spent()) co_await pause();
    }
    co_return;
  }
  std::vector<Consumer*> told;
  index.each_wanting(filter, [&](Consumer& c) { told.push_back(&c); });
  for (Consumer* c : told) co_await c->purged(filter, first_left, untold);
  if (!untold) co_return;
  told.clear();  // The subject may have no message left, and so no number any more: all strays are asked then.
  index.each_stray(store->find_subject(filter), [&](Consumer& c) { told.push_back(&c); });
  for (Consumer* c : told) co_await c->many_removed();
}

// ------------------------------------------------------------------ limits

Work Stream::enforce_all_limits() {
  while (over_limits()) {
    remove(store->first_seq());
    if (host.share.spent()) co_await pause();
  }
  if (spec.max_msgs_per_subject <= 0) co_return;
  for (uint32_t id = 0; id < store->subject_ids(); id++) {
    while (store->subject_state(id).count > (uint64_t)spec.max_msgs_per_subject) {
      remove(store->subject_state(id).first);
      if (host.share.spent()) co_await pause();
    }
    if (host.share.spent()) co_await pause();
  }
}

}  // namespace slipstream
