// What leaves the kernel for Python: events, and the queues in which requests and advisories wait.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace slipstream {

using std::string_view;

// What may wait for Python; more is dropped and counted: who sent a request times out. Those of the JetStream API wait in two
// queues, as in nats-server: a flood of questions does not keep others from changing something. Advisories have one of their own.
constexpr uint64_t kRequestsQueuedMax = 10'000, kRequestBytesQueuedMax = 64 << 20;
enum class RequestQueue : uint8_t { api, api_info, other, advisories };
constexpr size_t kRequestQueues = 4;
constexpr uint32_t kJetStreamService = 1;  // under which Python serves $JS.API
RequestQueue request_queue(uint32_t service, string_view subject);

enum class EventType : uint8_t {
  connect, closed, request, committed, advisory, inactive,
  feed, failed, requests_dropped, trace, readable, batch_abandoned, offline, abandoned, storage, turned_away, damaged,
};

// One event of any type; the binding turns it into the NamedTuple of events.py.
struct EventRecord {
  explicit EventRecord(EventType t) : type(t) {}
  EventType type;
  uint64_t a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0;
  int64_t t0 = 0, t1 = 0, t2 = 0, t3 = 0;
  std::string s0, s1, s2, s3;
};

}  // namespace slipstream
