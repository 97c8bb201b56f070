// A client connection: its socket, what came in and was not yet parsed, what has to go out, its subscriptions.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "subjects.hpp"
#include "timers.hpp"

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
  bool listener = false;   // a listening socket shares the epoll set
  bool accepted = false;   // had a verdict once
  bool pinged = false;     // sent a PING once

  Buffer in;               // unconsumed bytes; empty for a connection between whole commands
  size_t in_start = 0, in_wanted = 0;
  Buffer out;
  size_t out_start = 0;
  bool dirty = false;      // stands in Kernel::dirty_
  bool want_write = false; // the socket is full; epoll tells when it is not
  bool paused = false;     // not read because a subscriber is behind
  bool resume = false;     // stands in Kernel::resume_: has bytes to parse without a readable socket
  bool doomed = false;     // will be closed at the end of the turn
  bool behind = false;     // more than the high-water mark is pending
  bool stall_exempt = false;  // was behind for the stall bound: nobody waits for it until it has caught up
  std::vector<uint64_t> stalled;  // cids of the publishers that wait for this one
  size_t write_goal = 0;   // bytes still to be sent before the write deadline is set anew

  StringMap<std::unique_ptr<Subscription>> subscriptions;
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
