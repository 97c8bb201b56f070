#include "consumer/waiting_requests.hpp"

#include <algorithm>
#include <iterator>

namespace slipstream {
namespace {

// A request whose body is not JSON has no group and comes last.
int64_t rank(const PullRequest& r) { return r.grouped ? r.priority : INT64_MAX; }

}  // namespace

uint64_t WaitingRequests::claimed() const {
  uint64_t n = 0;
  for (const auto& r : items_) n += std::min((uint64_t)std::max<int64_t>(r.batch, 0), UINT64_MAX - n);
  return n;
}

void WaitingRequests::rank_all() {
  items_.sort([](const PullRequest& a, const PullRequest& b) { return rank(a) < rank(b); });
  for (auto r = items_.begin(); r != items_.end(); ++r) first_of_rank_.try_emplace(rank(*r), r);
  ranked_ = true;
}

void WaitingRequests::link(std::list<PullRequest>& one, PriorityPolicy policy) {
  Iterator added = one.begin();
  if (policy != PriorityPolicy::prioritized) {
    unrank();
    return items_.splice(items_.end(), one, added);
  }
  if (!ranked_) rank_all();
  auto behind = first_of_rank_.upper_bound(rank(*added));
  items_.splice(behind == first_of_rank_.end() ? items_.end() : behind->second, one, added);
  first_of_rank_.try_emplace(rank(*added), added);
}

// Before it leaves its place.
void WaitingRequests::forget_place(Iterator r) {
  if (!ranked_) return;
  auto first = first_of_rank_.find(rank(*r));
  if (first->second != r) return;
  Iterator next = std::next(r);
  if (next != items_.end() && rank(*next) == rank(*r)) first->second = next;
  else first_of_rank_.erase(first);
}

void WaitingRequests::add(PullRequest&& request, PriorityPolicy policy) {
  no_waits_ += request.no_wait;
  std::list<PullRequest> one;
  one.push_back(std::move(request));
  link(one, policy);
}

WaitingRequests::Iterator WaitingRequests::erase(Iterator r) {
  no_waits_ -= r->no_wait;
  forget_place(r);
  return items_.erase(r);
}

void WaitingRequests::requeue_first(PriorityPolicy policy) {
  if (items_.size() < 2) return;
  if (policy != PriorityPolicy::prioritized) return pass_over_first();
  std::list<PullRequest> one;
  forget_place(items_.begin());
  one.splice(one.begin(), items_, items_.begin());
  link(one, policy);
}

void WaitingRequests::pass_over_first() {
  unrank();
  items_.splice(items_.end(), items_, items_.begin());
}

WaitingRequests::Fit WaitingRequests::fit(const PullRequest& r, PriorityPolicy policy, const Offer& offer, const ClientPin& pin) {
  if (policy == PriorityPolicy::pinned_client) {
    if (r.pin_id == pin.id) return Fit::takes;  // both may be empty: then it is to be pinned
    return r.pin_id.empty() ? Fit::passes : Fit::wrong_pin;
  }
  if (policy == PriorityPolicy::overflow && (r.min_pending > 0 || r.min_ack_pending > 0)) {
    bool enough = (r.min_pending > 0 && (uint64_t)r.min_pending <= offer.pending) ||
                  (r.min_ack_pending > 0 && (uint64_t)r.min_ack_pending <= offer.ack_pending);
    return enough ? Fit::takes : Fit::passes;
  }
  return Fit::takes;
}

}  // namespace slipstream
