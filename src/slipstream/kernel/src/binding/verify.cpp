#include "binding/verify.hpp"

#include "jetstream/jetstream.hpp"

namespace slipstream {

ReadBack read_back(Kernel& kernel, uint64_t stream, uint64_t limit) {
  Kernel::Guard guard(kernel);
  ReadBack out;
  JetStream* jetstream = JetStream::of(kernel);
  Stream* s = jetstream ? jetstream->stream(stream) : nullptr;
  if (!s) return out;
  ReadBuffer buffer;
  for (uint64_t seq = s->store->next_live(1); seq && out.damaged.size() < limit; seq = s->store->next_live(seq + 1)) {
    StoredMessage message;
    if (s->store->read_blocking(seq, message, buffer) == ReadStatus::ok) out.read++;
    else out.damaged.push_back(seq);
  }
  return out;
}

}  // namespace slipstream
