// The replicated state of a stream as text: what every replica that has applied the same entries must agree on.
//
// It holds the messages, the message ids, times to live, schedules, batches, positions of sources, and the consumers with
// what the log knows of them. It leaves out what only a leader has (waiting pulls, timers, redelivery queues) and how the
// bytes are placed in files. A line each, so that a difference between two replicas reads like a diff.
#pragma once
#include <string>

namespace slipstream {

class Stream;

struct CanonicalState {
  // Nothing is under way: whatever the leader did is in the log and applied. Only then the states can be compared.
  static bool at_rest(const Stream& stream);
  static std::string of(Stream& stream);  // reads every message; slow, for tests

 private:
  static void put_totals(std::string& out, const Stream& stream);
};

}  // namespace slipstream
