// What waits for Python: requests and advisories. Which of them stand in which queue, how many may, and what is said when more came.
#include <utility>

#include "kernel.hpp"

namespace slipstream {

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

// `e.f` and `e.g` say what becomes free when Python takes it. False: there is no room, and it is counted.
bool Kernel::queue_for_python(RequestQueue which, EventRecord&& e) {
  QueuedRequests& queue = requests_[(size_t)which];
  uint64_t bytes = sizeof e + e.s0.size() + e.s1.size() + e.s2.size() + e.s3.size();
  if (queue.waiting >= requests_queued_max(which) || queue.bytes + bytes > kRequestBytesQueuedMax) {
    queue.dropped++;
    return false;
  }
  queue.waiting++;
  queue.bytes += bytes;
  e.f = (uint64_t)which, e.g = bytes;
  emit(std::move(e));
  return true;
}

void Kernel::emit_advisory(EventRecord&& e) {
  if (!queue_for_python(RequestQueue::advisories, std::move(e))) counters_.advisories_dropped++;
}

// Reports drops once, after the queue has room again.
void Kernel::report_dropped_requests() {
  for (size_t i = 0; i < kRequestQueues; i++) {
    QueuedRequests& queued = requests_[i];
    if (!queued.dropped || queued.waiting >= requests_queued_max((RequestQueue)i) || queued.bytes > kRequestBytesQueuedMax / 2) continue;
    EventRecord e{EventType::requests_dropped};
    e.a = std::exchange(queued.dropped, 0), e.b = i;
    emit(std::move(e));
  }
}

}  // namespace slipstream
