// What waits for Python: requests and advisories. Which of them stand in which queue, how many may, and what is said when more came.
#include <utility>

#include "turn/kernel.hpp"

namespace slipstream {
namespace {

constexpr int64_t kReportsApartNs = 1'000'000'000;

uint64_t bytes_of(const EventRecord& e) { return sizeof e + e.s0.size() + e.s1.size() + e.s2.size() + e.s3.size(); }

}  // namespace

// Questions to the JetStream API wait apart from what changes something.
RequestQueue request_queue(uint32_t service, string_view subject) {
  constexpr string_view kApi = "$JS.API.";
  if (service != kJetStreamService || !subject.starts_with(kApi)) return RequestQueue::other;
  string_view verb = subject.substr(kApi.size());
  if (verb == "INFO") return RequestQueue::api_info;
  for (string_view question : {"STREAM.INFO.", "CONSUMER.INFO.", "STREAM.NAMES", "STREAM.LIST", "CONSUMER.NAMES.", "CONSUMER.LIST."})
    if (verb.starts_with(question)) return RequestQueue::api_info;
  return RequestQueue::api;
}

uint64_t Kernel::requests_queued_max(RequestQueue queue) const {
  switch (queue) {
    case RequestQueue::api:
      return (uint64_t)limits.api_requests_queued;
    case RequestQueue::api_info:
      return (uint64_t)limits.api_info_requests_queued;
    case RequestQueue::other:
    case RequestQueue::advisories:
      break;
  }
  return kRequestsQueuedMax;
}

// Of two bounds, a count and bytes, a client uses up more of one or of the other: its cost counts both.
void Kernel::queue_request(uint64_t cid, RequestQueue which, EventRecord&& e) {
  QueuedRequests& queue = requests_[(size_t)which];
  uint64_t bytes = bytes_of(e), cost = bytes + kRequestBytesQueuedMax / kRequestsQueuedMax;
  e.f = (uint64_t)which, e.g = bytes;
  std::lock_guard<std::mutex> lock(events_mutex_);
  while (queue.waiting >= requests_queued_max(which) || queue.bytes + bytes > kRequestBytesQueuedMax) {
    EventRecord dropped{EventType::request};
    bool made_room = requests_waiting_.drop_for(cid, which, cost, dropped);
    queue.dropped++;
    counters_.requests_dropped++;
    if (!made_room) return;
    took(dropped);
  }
  queue.waiting++;
  queue.bytes += bytes;
  requests_came_ = true;
  requests_waiting_.push(cid, which, cost, std::move(e));
}

// `e.f` and `e.g` say what becomes free.
void Kernel::took(const EventRecord& e) {
  requests_[e.f].waiting--;
  requests_[e.f].bytes -= e.g;
}

void Kernel::emit_advisory(EventRecord&& e) {
  QueuedRequests& queue = requests_[(size_t)RequestQueue::advisories];
  uint64_t bytes = bytes_of(e);
  if (queue.waiting >= kRequestsQueuedMax || queue.bytes + bytes > kRequestBytesQueuedMax) {
    queue.dropped++;
    counters_.advisories_dropped++;
    return;
  }
  queue.waiting++;
  queue.bytes += bytes;
  e.f = (uint64_t)RequestQueue::advisories, e.g = bytes;
  emit(std::move(e));
}

// Reports drops after the queue has room again, and not more often than once a second: a flood must not fill the log.
void Kernel::report_dropped_requests() {
  for (size_t i = 0; i < kRequestQueues; i++) {
    QueuedRequests& queued = requests_[i];
    if (!queued.dropped || queued.waiting >= requests_queued_max((RequestQueue)i) || queued.bytes > kRequestBytesQueuedMax / 2) continue;
    if (queued.reported_ns && now.monotonic_ns - queued.reported_ns < kReportsApartNs) continue;
    queued.reported_ns = now.monotonic_ns;
    EventRecord e{EventType::requests_dropped};
    e.a = std::exchange(queued.dropped, 0), e.b = i;
    emit(std::move(e));
  }
}

}  // namespace slipstream
