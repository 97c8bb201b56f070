// The pull requests that wait for messages, in the order in which they are served, and what a priority policy says about who
// may have the next message (C-086, C-093..C-098).
#pragma once
#include <list>
#include <map>
#include <string>

#include "consumer/pull_request.hpp"
#include "log/specs.hpp"

namespace slipstream {

// The message at hand: its size as a request counts it, and the numbers to which thresholds refer.
struct Offer {
  size_t bytes = 0;
  uint64_t pending = 0, ack_pending = 0;  // pending: with this message, even if it comes again
};

// The client that alone gets the messages of a pinned_client consumer. State of the leader: another one pins anew.
struct ClientPin {
  std::string id, group;
  int64_t since_ns = 0, until_ns = 0;
  bool held() const { return !id.empty(); }
};

class WaitingRequests {
 public:
  using Iterator = std::list<PullRequest>::iterator;
  enum class Fit : uint8_t { takes, passes, wrong_pin };

  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  Iterator begin() { return items_.begin(); }
  Iterator end() { return items_.end(); }
  PullRequest& front() { return items_.front(); }
  size_t no_waits() const { return no_waits_; }
  uint64_t claimed() const;  // messages for which all of them ask

  void add(PullRequest&& request, PriorityPolicy policy);
  Iterator erase(Iterator r);
  void clear() { items_.clear(), no_waits_ = 0, unrank(); }
  // The first one had a message and wants more: it goes behind those with which it takes turns.
  void requeue_first(PriorityPolicy policy);
  // The first one leaves this message to the others.
  void pass_over_first();

  static Fit fit(const PullRequest& r, PriorityPolicy policy, const Offer& offer, const ClientPin& pin);

 private:
  void link(std::list<PullRequest>& one, PriorityPolicy policy);
  void rank_all();
  void forget_place(Iterator r);
  void unrank() { ranked_ = false, first_of_rank_.clear(); }
  std::list<PullRequest> items_;
  size_t no_waits_ = 0;
  // While they are in the order of their ranks: where each rank begins. A client may ask for a queue of a million requests, and
  // each finds its place without a walk past the others.
  bool ranked_ = false;
  std::map<int64_t, Iterator> first_of_rank_;
};

}  // namespace slipstream
