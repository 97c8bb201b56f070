// A client connection: its socket, what came in and was not yet parsed, what has to go out, its subscriptions.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bytes/bytes.hpp"
#include "clock/timers.hpp"
#include "turn/subject_trie.hpp"

namespace slipstream {

struct Account;

enum class ConnectionState : uint8_t {
  fresh,   // no CONNECT yet
  held,    // CONNECT was handed to Python; nothing more is parsed until its verdict
  open,
  closed,
};

struct ConnectOptions {
  bool verbose = true, pedantic = true, echo = true, headers = false, no_responders = false;
  int protocol = 0;
};

struct Connection {
  uint64_t cid = 0;
  int fd = -1;
  ConnectionState state = ConnectionState::fresh;
  ConnectOptions options;
  Account* account = nullptr;
  Account* next_account = nullptr;  // accepted for it
  bool listener = false;   // a listening socket shares the epoll set
  bool accepted = false;   // had a verdict once
  bool pinged = false;     // sent a PING once

  Buffer in;               // unconsumed bytes; empty for a connection between whole commands
  size_t in_start = 0, in_wanted = 0;
  Buffer out;
  size_t out_start = 0;
  bool dirty = false;      // stands in Kernel::dirty_
  bool want_write = false; // the socket is full; epoll tells when it is not
  bool paused = false;     // not read because a subscriber is behind, or the journal
  bool resume = false;     // stands in Kernel::resume_: has bytes to parse without a readable socket
  bool overfull = false;   // not read because answers to its own commands wait to be sent
  bool doomed = false;     // will be closed at the end of the turn
  bool leaving = false;    // its subscriptions are being removed, over several turns; they hear nothing any more
  bool behind = false;     // more than the high-water mark is pending
  bool stall_exempt = false;  // was behind for the stall bound: nobody waits for it until it has caught up
  std::vector<uint64_t> stalled;  // cids of the publishers that wait for this one
  bool took_bytes = false;         // since stall_timer was set
  int64_t stall_end_ns = 0;        // nobody waits for it any longer
  int64_t stall_began_ns = 0;      // since when they wait
  int64_t stall_spent_ns = 0, stall_reckoned_ns = 0;  // how long publishers waited for it in total, less what time has forgiven
  uint64_t ingest_round = 0, ingested_bytes = 0;  // what streams got from it since that round began (publish_pace.cpp)
  size_t answer_bytes = 0; // at most so many of the pending bytes are answers to its own commands
  size_t pending_counted = 0;  // in the sum of all connections
  size_t write_goal = 0;   // bytes still to be sent before the write deadline is set anew

  StringMap<std::unique_ptr<Subscription>> subscriptions;
  Subscription *first_subscription = nullptr, *last_subscription = nullptr;  // in the order of their SUBs
  std::string ip;
  int port = 0;
  int64_t start_ns = 0, last_activity_ns = 0, ping_sent_ns = 0, rtt_ns = 0;
  int pings_out = 0;
  uint64_t in_msgs = 0, in_bytes = 0, out_msgs = 0, out_bytes = 0;

  Timer timer{TimerKind::connection, this};  // authentication timeout, then pings
  Timer write_timer{TimerKind::write_deadline, this};
  Timer stall_timer{TimerKind::stall, this};

  size_t pending() const { return out.size() - out_start; }
  bool gone() const { return state == ConnectionState::closed; }
  bool hears() const { return !gone() && !leaving; }
  bool unread() const { return paused || overfull || state == ConnectionState::held; }

  // Room for n bytes at the end of the output; then out.grow(). What was sent is cut off only when that is worth the
  // move: a client that reads a little at a time would make the server move megabytes for each little.
  char* room(size_t n) {
    if (out.size() + n > out.capacity() && out_start > pending() / 4) {
      memmove(out.data(), out.data() + out_start, pending());
      out.resize(pending());
      out_start = 0;
    }
    return out.room(n);
  }
};

}  // namespace slipstream
