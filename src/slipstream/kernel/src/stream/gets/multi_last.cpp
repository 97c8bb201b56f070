// Direct gets of the last message of each of many subjects, as of now or as of a sequence in the past (S-168, S-169).
//
// Most subjects have their last message below the bound, and the index knows it. Of the others, quiet ones are walked from their
// first message on; busy ones are met by one scan back from the bound that serves them all.
#include <algorithm>

#include "stream/gets/direct_get.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr size_t kResultsMax = 1024;
constexpr uint32_t kQuietMessages = 64;
constexpr int64_t kStepsMax = 1 << 20;  // of one subject

}  // namespace

DirectGet::Progress DirectGet::find_last() {
  if (next_id_ == 0) {
    if (!up_to_) up_to_ = store_.last_seq();
    scan_floor_ = UINT64_MAX;
    for (const auto& filter : request_.multi_last) {
      uint32_t id = has_wildcard(filter) ? kNoSubject : store_.find_subject(filter);
      if (id != kNoSubject) last_of_subject(id);
    }
  }
  const auto& filters = request_.multi_last;
  const auto wild = std::count_if(filters.begin(), filters.end(), [](const auto& f) { return has_wildcard(f); });
  while (wild && next_id_ < store_.subject_ids()) {
    if (steps_ < 0) return Progress::more;
    steps_ -= (int)std::min<int64_t>(wild, kStepsMax);  // each of them is compared
    uint32_t id = next_id_++;
    string_view name = store_.subject_name(id);
    if (std::any_of(filters.begin(), filters.end(), [&](const auto& f) { return has_wildcard(f) && subject_matches(f, name); }))
      last_of_subject(id);
    if (found_.size() > kResultsMax) {  // some may be there twice
      std::sort(found_.begin(), found_.end());
      found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
      if (found_.size() > kResultsMax) return refuse("413 Too Many Results");
    }
  }
  scan_at_ = store_.previous_live(up_to_);
  return go(Phase::scan_last);
}

void DirectGet::last_of_subject(uint32_t id) {
  SubjectState state = store_.subject_state(id);
  if (!state.count || state.first > up_to_) return;
  if (state.last <= up_to_) return found_.push_back(state.last);
  if (state.count > kQuietMessages) {
    unresolved_.insert(id);
    scan_floor_ = std::min(scan_floor_, state.first);
    return;
  }
  uint64_t last = state.first;
  for (uint64_t seq = last; seq && seq <= up_to_; seq = store_.next_on_subject(id, seq + 1)) last = seq;
  steps_ -= (int)state.count;
  found_.push_back(last);
}

DirectGet::Progress DirectGet::scan_last() {
  while (!unresolved_.empty() && scan_at_ && scan_at_ >= scan_floor_) {
    if (--steps_ < 0) return Progress::more;
    if (unresolved_.erase(store_.subject_of(scan_at_))) found_.push_back(scan_at_);
    scan_at_ = store_.previous_live(scan_at_ - 1);
  }
  std::sort(found_.begin(), found_.end());
  found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
  if (found_.size() > kResultsMax) return refuse("413 Too Many Results");
  if (found_.empty()) return refuse("404 No Results");
  return go(Phase::send_last);
}

DirectGet::Progress DirectGet::send_last() {
  while (next_found_ < found_.size()) {
    uint64_t seq = found_[next_found_];
    pending_ = found_.size() - next_found_ - 1;
    bool was_sent = false;
    if (seq >= request_.seq) {
      Progress p = send_one(seq, was_sent);
      if (p != Progress::done || phase_ == Phase::end) return p;
    }
    next_found_++;
    if (!was_sent) continue;
    sent_++;
    if (sent_bytes_ >= (uint64_t)std::max<int64_t>(request_.max_bytes, 0) || (request_.batch > 0 && sent_ >= request_.batch)) break;
  }
  return end_of_batch();
}

}  // namespace slipstream
