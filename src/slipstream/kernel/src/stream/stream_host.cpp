#include "stream/stream_host.hpp"

#include "stream/stream.hpp"

namespace slipstream {

void StreamHost::mark_dirty(Stream& s) {
  if (s.dirty) return;
  s.dirty = true;
  dirty_streams_.push_back(&s);
}

void StreamHost::mark_ready(Consumer& c) {
  if (c.ready) return;
  c.ready = true;
  ready_.push_back(&c);
}

void StreamHost::mark_acked(Consumer& c) {
  if (c.acked) return;
  c.acked = true;
  acked_.push_back(&c);
}

void StreamHost::mark_delivered(Consumer& c) {
  if (c.delivered_dirty) return;
  c.delivered_dirty = true;
  delivered_.push_back(&c);
}

void StreamHost::park(Consumer& c) { parked_.push_back(&c); }

void StreamHost::forget(Consumer& c) {
  for (auto* list : {&ready_, &acked_, &delivered_, &parked_})
    if (!list->empty()) std::erase(*list, &c);
}

}  // namespace slipstream
