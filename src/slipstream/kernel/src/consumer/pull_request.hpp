// A pull request (MSG.NEXT): its body, and its place in a consumer's waiting queue.
#pragma once
#include <memory>
#include <string>

#include "bytes/bytes.hpp"
#include "bytes/saturating.hpp"
#include "turn/subject_trie.hpp"

namespace slipstream {

// Where deliveries go: the subscriptions of a reply or deliver subject, looked up again only when the account's
// subscriptions have changed.
struct DeliveryTarget {
  std::string subject;
  MatchResult match;
  uint64_t seen_changes = UINT64_MAX;
};

struct PullRequest {
  DeliveryTarget target;
  int64_t batch = 1, max_bytes = 0;  // what is left of both
  int64_t expires_ns = 0;            // unix time, 0: never
  int64_t heartbeat_ns = 0, next_heartbeat_ns = 0;
  uint64_t delivered = 0;
  int64_t min_pending = 0, min_ack_pending = 0, priority = 0;
  std::string group, pin_id;
  bool no_wait = false, limits_bytes = false;
  bool grouped = false;              // its body could name a priority group
};

struct PullBody {
  int64_t batch = 1, max_bytes = 0, expires_ns = 0, heartbeat_ns = 0, min_pending = 0, min_ack_pending = 0, priority = 0;
  bool no_wait = false, json = false;
  std::string group, id;
};

// Empty: one message. A number: a batch. JSON: all fields. Other text: one message (C-067). False with `error` (the text
// behind "Bad Request - "), or without one for JSON that does not fit.
bool parse_pull_body(string_view body, PullBody& out, std::string& error);

// What follows "-NAK": {"delay": nanoseconds} or a duration. False when it is neither.
bool parse_nak_delay(string_view body, int64_t& delay_ns);

// Go's duration text ("1h2m3.5s"), signed; false if it is none.
bool parse_duration(string_view text, int64_t& ns);
std::string format_duration(int64_t ns);

}  // namespace slipstream
