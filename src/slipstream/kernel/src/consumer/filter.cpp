// Which message comes next, and how many there are: a consumer's filters against its stream, without a visit to messages that
// they do not let through wherever that can be had. A consumer that listens is told what arrives for it; one that catches up
// follows its subjects when they are few among the messages, and looks at every message when they are not.
#include <algorithm>
#include <utility>

#include "consumer/consumer.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr size_t kArrivalsMax = 1 << 16, kArrivalsAsideMax = 256;  // the latter while nobody waits
constexpr uint64_t kVisitsPerSubject = 8;    // following a subject costs about as much as looking at so many messages
constexpr uint64_t kVisitsPerStep = 32;
constexpr size_t kPatternsMax = 4;           // more are matched all at once, by the stream's index
constexpr uint64_t kSubjectsAtOnceMax = 4096;  // that are asked how many messages they have; also messages behind a count

}  // namespace

bool Consumer::matches(uint32_t subject) { return stream_.index.matches(*this, subject); }

void Consumer::take_filters() {
  literal_filters_.clear();
  wildcard_filters_.clear();
  for (const auto& f : spec.filters) (has_wildcard(f) ? wildcard_filters_ : literal_filters_).push_back(f);
  memo_ = {};
  ahead_.forget();
  end_arrivals();
  scanned_ = 0;
}

// Its subjects, when following them is less work than looking at each of so many messages.
bool Consumer::few_subjects(uint64_t messages, std::vector<uint32_t>& ids) {
  if (!wildcard_filters_.empty() || literal_filters_.size() * kVisitsPerSubject >= messages) return false;
  for (const auto& filter : literal_filters_)
    if (uint32_t id = store().find_subject(filter); id != kNoSubject) ids.push_back(id);
  return true;
}

// ------------------------------------------------------------------ what arrives while it listens

void Consumer::begin_arrivals() {
  arrivals_.clear();
  arrivals_since_ = store().last_seq();
}

void Consumer::end_arrivals() {
  arrivals_.clear();
  arrivals_since_ = kNever;
}

void Consumer::saw(uint64_t seq) {
  bool awake = listens();
  if (awake) wake();
  if (!follows_arrivals()) return;
  arrivals_.push_back(seq);
  if (arrivals_.size() > (awake ? kArrivalsMax : kArrivalsAsideMax)) end_arrivals();
}

uint64_t Consumer::next_arrival(uint64_t from) {
  while (!arrivals_.empty() && arrivals_.front() <= cursor_) arrivals_.pop_front();
  auto it = std::lower_bound(arrivals_.begin(), arrivals_.end(), from);
  while (it != arrivals_.end() && !store().live(*it)) it++;
  return it == arrivals_.end() ? 0 : *it;
}

// ------------------------------------------------------------------ the next one

// Smallest live sequence >= from that the filters let through; 0: none.
uint64_t Consumer::next_match(uint64_t from) {
  uint64_t found = 0;
  while (from && !found) found = step_to_match(from);
  return found;
}

// The same in steps, for work of several turns: 0 and `from` not 0 say that nothing was found yet. `from` moves behind what was
// looked at, and becomes 0 at the end.
uint64_t Consumer::step_to_match(uint64_t& from) {
  MessageStore& m = store();
  uint64_t at = std::exchange(from, 0), found = 0;
  if (at == 0) return 0;  // behind the last sequence that there is
  if (spec.filters.empty()) {
    found = m.next_live(at);
  } else if (wildcard_filters_.empty() && literal_filters_.size() == 1) {
    uint32_t subject = m.find_subject(literal_filters_[0]);
    found = subject == kNoSubject ? 0 : m.next_on_subject(subject, at);
  } else {
    // What arrived is forgotten once it has been delivered; retention asks for that too.
    uint64_t upto = std::min(m.last_seq(), std::max(arrivals_since_, cursor_)), visits = 0;
    for (uint64_t s = at <= upto ? m.next_live(at) : 0; s && s <= upto; s = m.next_live(s + 1)) {
      bool match = matches(m.subject_of(s));
      if (!match && ++visits < kVisitsPerStep) continue;
      from = s + 1;
      return match ? s : 0;
    }
    found = next_arrival(std::max(at, upto + 1));
  }
  if (found) from = found + 1;
  return found;
}

// The same behind the cursor, for delivery. 0 with `unfinished` set: nothing yet, there is more to look at.
uint64_t Consumer::next_to_deliver(bool& unfinished) {
  MessageStore& m = store();
  uint64_t from = std::max(cursor_, scanned_) + 1;
  if (from == 0) return 0;
  if (spec.filters.empty() || (wildcard_filters_.empty() && literal_filters_.size() == 1)) {
    uint64_t seq = next_match(from);
    if (!seq) scanned_ = m.last_seq();
    return seq;
  }
  uint64_t upto = std::min(m.last_seq(), arrivals_since_);
  if (from <= upto && !ahead_.covers(from)) {
    std::vector<uint32_t> subjects;
    ahead_.forget();
    if (few_subjects(m.live_above(from - 1), subjects)) ahead_.begin(m, subjects, from);
    stream_.index.hold(*this);
  }
  if (from <= upto && ahead_.covers(from)) {
    if (uint64_t seq = ahead_.next(m, from)) return seq;
    scanned_ = ahead_.upto();
    ahead_.forget();
    from = scanned_ + 1;
  }
  for (uint64_t s = from <= upto ? m.next_live(from) : 0; s && s <= upto; s = m.next_live(s + 1)) {
    if (matches(m.subject_of(s))) return s;
    scanned_ = s;
    if (!host_.search.spent()) continue;
    unfinished = true;
    return 0;
  }
  if (uint64_t seq = next_arrival(std::max(from, upto + 1))) return seq;
  scanned_ = m.last_seq();
  if (!follows_arrivals() && in_listeners) begin_arrivals();
  return 0;
}

// ------------------------------------------------------------------ how many

// Of a consumer that has passed nothing yet: the sum of what its subjects count, if they are few. False: they are not.
bool Consumer::count_by_subject(uint64_t& count) {
  MessageStore& m = store();
  if (literal_filters_.size() + (wildcard_filters_.empty() ? 0 : m.subject_ids()) > kSubjectsAtOnceMax) return false;
  std::vector<uint32_t> ids;
  if (wildcard_filters_.size() <= kPatternsMax) {
    for (const auto* filters : {&literal_filters_, &wildcard_filters_})
      for (const auto& f : *filters) m.match_subjects(f, [&](uint32_t s) { ids.push_back(s); });
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  } else {
    for (uint32_t s = 0; s < m.subject_ids(); s++)
      if (m.subject_state(s).count && matches(s)) ids.push_back(s);
  }
  for (uint32_t s : ids) count += m.subject_state(s).count;
  return true;
}

// Messages that match and were not delivered yet. The count is remembered with how far it reaches: new messages extend it,
// deliveries and removals correct it, so that it is exact at all times and costs nothing to idle consumers.
//
// Where it has to begin, it may have millions of messages before it. It then reaches a little farther in each turn, and whoever
// needs it waits: the consumer's next delivery, and the answer to an INFO. False: there is more to count.
bool Consumer::count_pending(WorkShare& share) {
  if (spec.filters.empty()) return true;
  MessageStore& m = store();
  uint64_t last = m.last_seq();
  if (memo_.valid && memo_.upto >= last) return true;
  uint64_t from = counted_from();
  if (!memo_.valid) {
    memo_ = {true, from, 0};
    stream_.index.hold(*this);
    if (from < m.first_seq() && count_by_subject(memo_.count)) {
      memo_.upto = last;
      return true;
    }
  }
  from = std::max(memo_.upto, from);
  uint64_t upto = std::min(last, arrivals_since_);
  bool chain = wildcard_filters_.empty() && literal_filters_.size() == 1;
  uint32_t subject = chain && from < upto ? m.find_subject(literal_filters_[0]) : kNoSubject;
  auto next = [&](uint64_t s) { return chain ? subject == kNoSubject ? 0 : m.next_on_subject(subject, s) : m.next_live(s); };
  for (uint64_t s = from < upto ? next(from + 1) : 0; s && s <= upto; s = next(s + 1)) {
    memo_.count += chain || matches(m.subject_of(s));
    memo_.upto = s;
    if (share.spent()) return false;
  }
  memo_.count += count_arrivals_above(std::max(from, upto));
  memo_.upto = last;
  return true;
}

// Where num_pending begins to count messages that are not listed.
uint64_t Consumer::counted_from() const { return next_listed() ? resume_after_ : cursor_; }

uint64_t Consumer::num_pending() {
  uint64_t listed = listed_left();
  if (spec.filters.empty()) return listed + store().live_above(counted_from());
  WorkShare all;
  count_pending(all);
  return listed + memo_.count;
}

// What a request that does not wait finds. Where the count has only begun that is not known: the request waits for it.
std::optional<uint64_t> Consumer::pending_at_once() {
  bool begun = memo_.valid && store().last_seq() - std::min(memo_.upto, store().last_seq()) <= kSubjectsAtOnceMax;
  bool few = store().live_above(counted_from()) <= kSubjectsAtOnceMax;
  if (!spec.filters.empty() && !begun && !few) return {};
  return num_pending();
}

// Messages below `to`, from `from` on, go without a word to each consumer that wants them.
void Consumer::uncount(uint64_t from, uint64_t to) {
  if (!memo_.valid) return;
  MessageStore& m = store();
  from = std::max(from, counted_from() + 1);
  for (uint64_t s = from < to ? m.next_live(from) : 0; s && s < to && s <= memo_.upto; s = m.next_live(s + 1))
    memo_.count -= matches(m.subject_of(s));
}

uint64_t Consumer::count_arrivals_above(uint64_t seq) {
  uint64_t n = 0;
  for (auto it = std::upper_bound(arrivals_.begin(), arrivals_.end(), seq); it != arrivals_.end(); it++) n += store().live(*it);
  return n;
}

}  // namespace slipstream
