// The requests that wait for Python, by the client that sent them. Clients take turns, and a request's turn comes the later the
// more it costs: one that sends ten thousand delays the others by one request, not by ten thousand, and a thousand that send a
// megabyte each do not delay one that sends a hundred bytes. (Weighted fair queueing: time passes as if all clients that wait were
// served at once, each at its share, and a request is due when it would be done then.)
// Each request belongs to one of the bounded queues of request_queues.cpp; a full queue makes room for a client by dropping the
// newest request of the client that occupies most of it.
#pragma once
#include <algorithm>
#include <deque>
#include <set>
#include <unordered_map>
#include <utility>

#include "turn/kernel_events.hpp"

namespace slipstream {

class FairRequests {
 public:
  bool empty() const { return turns_.empty(); }
  bool holds(uint64_t client) const { return clients_.count(client) > 0; }

  void push(uint64_t client, RequestQueue queue, uint64_t cost, EventRecord&& e) {
    Client& c = clients_[client];
    c.cost[(size_t)queue] += cost;
    c.waiting.push_back({std::move(e), queue, cost});
    if (c.waiting.size() == 1) line_up(client, c);
  }

  // An event that must not pass what the client has sent before.
  void push_behind(uint64_t client, EventRecord&& e) { push(client, RequestQueue::other, 0, std::move(e)); }

  // The oldest of the client whose turn it is. Not when empty.
  EventRecord take() {
    uint64_t client = turns_.begin()->client;
    auto it = clients_.find(client);
    Waiting first = std::move(it->second.waiting.front());
    time_ += first.cost / turns_.size();
    turns_.erase(turns_.begin());
    it->second.waiting.pop_front();
    it->second.cost[(size_t)first.queue] -= first.cost;
    if (it->second.waiting.empty()) clients_.erase(it);
    else line_up(client, it->second);
    return std::move(first.event);
  }

  // Gives up the newest request in `queue` of the client that has most there. False where nobody would have more than `client`
  // with `cost` more.
  bool drop_for(uint64_t client, RequestQueue queue, uint64_t cost, EventRecord& dropped) {
    uint64_t own = cost_of(client, queue) + cost;
    if (cost_of(largest_, queue) <= own && vain_++ % kDropsPerSearch == 0) largest_ = find_largest(queue);
    if (cost_of(largest_, queue) <= own) return false;
    auto it = clients_.find(largest_);
    auto& waiting = it->second.waiting;
    size_t at = waiting.size() - 1;
    while (waiting[at].queue != queue || !waiting[at].cost) at--;
    dropped = std::move(waiting[at].event);
    it->second.cost[(size_t)queue] -= waiting[at].cost;
    waiting.erase(waiting.begin() + (ptrdiff_t)at);
    if (waiting.empty()) {
      turns_.erase(it->second.turn);
      clients_.erase(it);
    }
    return true;
  }

 private:
  static constexpr uint64_t kDropsPerSearch = 32;  // a search looks at all clients
  struct Waiting { EventRecord event; RequestQueue queue; uint64_t cost; };
  struct Turn {
    uint64_t due, arrival, client;
    bool operator<(const Turn& other) const { return due != other.due ? due < other.due : arrival < other.arrival; }
  };
  struct Client {
    std::deque<Waiting> waiting;
    Turn turn{};  // of the first one
    uint64_t cost[kRequestQueues] = {};
  };

  // The client's first request has become another one.
  void line_up(uint64_t client, Client& c) {
    c.turn = {std::max(time_, c.turn.due) + c.waiting.front().cost, arrivals_++, client};
    turns_.insert(c.turn);
  }

  uint64_t cost_of(uint64_t client, RequestQueue queue) const {
    auto it = clients_.find(client);
    return it == clients_.end() ? 0 : it->second.cost[(size_t)queue];
  }

  uint64_t find_largest(RequestQueue queue) const {
    uint64_t largest = 0, most = 0;
    for (const auto& [client, c] : clients_)
      if (uint64_t cost = c.cost[(size_t)queue]; cost > most || (cost == most && cost && client < largest)) most = cost, largest = client;
    return largest;
  }

  std::unordered_map<uint64_t, Client> clients_;
  std::set<Turn> turns_;  // of clients that have something
  uint64_t time_ = 0, arrivals_ = 0;
  uint64_t largest_ = 0;        // found by the last search; spares most of them
  uint64_t vain_ = 0;           // drops for which it was not large enough
};

}  // namespace slipstream
