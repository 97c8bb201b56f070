// See consumer/index.hpp.
#include "consumer/index.hpp"

#include <algorithm>
#include <stdexcept>

#include "consumer/consumer.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr uint32_t kUnknown = 0xffffffff;

bool by_id(const Consumer* a, const Consumer* b) { return a->id < b->id; }

bool contains(const std::vector<Consumer*>& members, const Consumer* c) {
  auto it = std::lower_bound(members.begin(), members.end(), c, by_id);
  return it != members.end() && *it == c;
}

// The order of these lists means nothing.
void take_out(std::vector<Consumer*>& list, size_t i) {
  list[i] = list.back();
  list.pop_back();
}

}  // namespace

// ------------------------------------------------------------------ filters

void ConsumerIndex::add(Consumer& c) {
  if (c.spec.filters.empty()) {
    unfiltered_.push_back(&c);
  } else {
    filtered_++;
    for (const auto& filter : c.spec.filters) {
      if (!has_wildcard(filter)) {
        literals_[filter].push_back(&c);
        continue;
      }
      auto& s = wildcard_filters_[c.id].emplace_back(std::make_unique<Subscription>());
      s->subject = filter;
      s->target = &c;
      wildcards_.insert(s.get());
    }
    forget_sets();
  }
  if (c.listens()) listen(c);
  if (c.holds()) hold(c);
}

void ConsumerIndex::remove(Consumer& c) {
  if (c.spec.filters.empty()) {
    std::erase(unfiltered_, &c);
  } else {
    filtered_--;
    for (const auto& filter : c.spec.filters) {
      auto it = literals_.find(filter);
      if (it == literals_.end()) continue;  // has wildcards
      std::erase(it->second, &c);
      if (it->second.empty()) literals_.erase(it);
    }
    if (auto it = wildcard_filters_.find(c.id); it != wildcard_filters_.end()) {
      for (auto& s : it->second) wildcards_.remove(s.get());
      wildcard_filters_.erase(it);
    }
    forget_sets();
  }
  for (auto* list : {&unfiltered_listeners_, &filtered_listeners_, &holders_, &strays_}) std::erase(*list, &c);
  c.in_listeners = c.in_holders = c.in_strays = false;
  c.end_arrivals();
}

void ConsumerIndex::forget_sets() {
  set_of_.clear();
  sets_.clear();
  sets_by_members_.clear();
}

void ConsumerIndex::subject_renewed(uint32_t subject) {
  if (subject < set_of_.size()) set_of_[subject] = kUnknown;
}

uint32_t ConsumerIndex::set_of(uint32_t subject) {
  if (subject >= set_of_.size()) set_of_.resize(std::max(subject + 1, store_->subject_ids()), kUnknown);
  if (set_of_[subject] == kUnknown) set_of_[subject] = set_named(store_->subject_name(subject));
  return set_of_[subject];
}

uint32_t ConsumerIndex::set_named(string_view subject) {
  std::vector<Consumer*> members;
  if (auto it = literals_.find(subject); it != literals_.end()) members = it->second;
  if (wildcards_.size()) {
    wildcards_.match_uncached(subject, matched_);
    for (Subscription* s : matched_.plain) members.push_back(static_cast<Consumer*>(s->target));
  }
  std::sort(members.begin(), members.end(), by_id);
  members.erase(std::unique(members.begin(), members.end()), members.end());
  std::vector<uint32_t> ids;
  for (Consumer* c : members) ids.push_back(c->id);
  auto [it, fresh] = sets_by_members_.try_emplace(std::move(ids), (uint32_t)sets_.size());
  if (fresh) {
    Set& set = sets_.emplace_back();
    set.members = set.order = std::move(members);
  }
  return it->second;
}

bool ConsumerIndex::wanted(string_view subject) {
  if (!unfiltered_.empty()) return true;
  if (!filtered_) return false;
  if (uint32_t id = store_->find_subject(subject); id != kNoSubject) return !sets_[set_of(id)].members.empty();
  return literals_.find(subject) != literals_.end() || (wildcards_.size() && !wildcards_.match(subject).plain.empty());
}

bool ConsumerIndex::matches(const Consumer& c, uint32_t subject) {
  return c.spec.filters.empty() || (subject != kNoSubject && contains(sets_[set_of(subject)].members, &c));
}

// ------------------------------------------------------------------ who listens

// One that stops listening stays in its list until a message comes, or several: it may listen again soon, and then has missed
// nothing.
void ConsumerIndex::listen(Consumer& c) {
  if (c.in_listeners) return;
  c.in_listeners = true;
  bool filtered = !c.spec.filters.empty();
  (filtered ? filtered_listeners_ : unfiltered_listeners_).push_back(&c);
  if (filtered) c.begin_arrivals();
}

void ConsumerIndex::stop_listening(std::vector<Consumer*>& list, size_t i) {
  list[i]->in_listeners = false;
  list[i]->end_arrivals();
  take_out(list, i);
}

void ConsumerIndex::arrived(uint32_t subject, uint64_t seq) {
  any_arrived_ = true;
  if (filtered_listeners_.empty()) return;
  const std::vector<Consumer*>& members = sets_[set_of(subject)].members;
  if (members.size() <= filtered_listeners_.size()) {
    for (Consumer* c : members) {
      if (!c->in_listeners) continue;
      c->saw(seq);
      if (!c->listens() && !c->follows_arrivals())
        stop_listening(filtered_listeners_,
                       (size_t)(std::find(filtered_listeners_.begin(), filtered_listeners_.end(), c) - filtered_listeners_.begin()));
    }
    return;
  }
  for (size_t i = 0; i < filtered_listeners_.size();) {
    Consumer* c = filtered_listeners_[i];
    if (contains(members, c)) c->saw(seq);
    if (c->listens() || c->follows_arrivals()) i++;
    else stop_listening(filtered_listeners_, i);
  }
}

void ConsumerIndex::wake_listeners(StreamHost& host) {
  if (!any_arrived_) return;
  any_arrived_ = false;
  for (size_t i = 0; i < unfiltered_listeners_.size();) {
    if (!unfiltered_listeners_[i]->listens()) {
      stop_listening(unfiltered_listeners_, i);
      continue;
    }
    host.mark_ready(*unfiltered_listeners_[i]);
    i++;
  }
}

// ------------------------------------------------------------------ who remembers

void ConsumerIndex::hold(Consumer& c) {
  if (c.in_holders) return;
  c.in_holders = true;
  holders_.push_back(&c);
}

bool ConsumerIndex::still_holds(Consumer& c) {
  if (c.holds()) return true;
  c.in_holders = false;
  take_out(holders_, (size_t)(std::find(holders_.begin(), holders_.end(), &c) - holders_.begin()));
  return false;
}

void ConsumerIndex::stray(Consumer& c) {
  if (c.in_strays) return;
  c.in_strays = true;
  strays_.push_back(&c);
}

bool ConsumerIndex::still_strays(Consumer& c) {
  if (c.holds()) return true;
  c.in_strays = false;
  std::erase(strays_, &c);
  return false;
}

void ConsumerIndex::check() const {
  auto demand = [](bool ok, const char* what) {
    if (!ok) throw std::runtime_error(std::string("the index of consumers: ") + what);
  };
  auto& self = const_cast<ConsumerIndex&>(*this);
  size_t wildcards = 0;
  auto check_listed = [&](const std::vector<Consumer*>& list, bool Consumer::*flag) {
    for (const Consumer* c : list) demand(c->*flag, "a consumer stands in a list without knowing it");
  };
  check_listed(unfiltered_listeners_, &Consumer::in_listeners);
  check_listed(filtered_listeners_, &Consumer::in_listeners);
  check_listed(holders_, &Consumer::in_holders);
  check_listed(strays_, &Consumer::in_strays);
  for (const auto& [id, filters] : wildcard_filters_) wildcards += filters.size();
  demand(wildcards == wildcards_.size(), "the trie of filters differs from the filters");
  demand(filtered_ || sets_.empty(), "there are sets without filters");
  for (uint32_t id = 0; id < store_->subject_ids() && filtered_; id++) {
    if (!store_->subject_state(id).count) continue;
    demand(self.set_of(id) == self.set_named(store_->subject_name(id)), "a subject has the consumers of another name");
  }
}

}  // namespace slipstream
