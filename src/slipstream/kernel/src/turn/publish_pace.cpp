// Back-pressure for clients that publish into streams faster than the journal's disk takes it. While much is in flight, or the
// journal is nearly full, those that have sent their share are not read: the others' messages then stand behind a bounded number of
// bytes, and memory has a bound. A round begins when there is little in flight, and each connection's share with it; so one that
// sends little never waits. A disk that takes nothing at all begins rounds by time: what comes then fills what streams may hold, and
// is refused.
#include "turn/kernel.hpp"

namespace slipstream {

void Kernel::count_ingested(Connection& c, uint64_t bytes) {
  if (c.ingest_round != ingest_round_) c.ingest_round = ingest_round_, c.ingested_bytes = 0;
  c.ingested_bytes += bytes;
}

void Kernel::hold_publisher(Connection& c) {
  c.paused = true;
  counters_.stalls++;
  if (held_publishers_.empty()) timers.set(publishers_timer_, now.monotonic_ns + kIngestWaitNs);
  held_publishers_.push_back(c.cid);
  watch(c);
}

// At the end of each turn.
void Kernel::pace_publishers() {
  switch (backend->intake()) {
    case Intake::caught_up:
      return release_publishers();
    case Intake::refuses:  // they shall know
      if (!held_publishers_.empty()) release_publishers();
      return;
    case Intake::keeps_up:
    case Intake::behind:
      return;
  }
}

void Kernel::release_publishers() {
  ingest_round_++;
  if (held_publishers_.empty()) return;
  timers.cancel(publishers_timer_);
  std::vector<uint64_t> held;
  held.swap(held_publishers_);
  for (uint64_t cid : held) {
    Connection* c = find(cid);
    if (!c || !c->paused) continue;
    c->paused = false;
    watch(*c);
    if (!c->in.empty()) resume(*c);
  }
}

}  // namespace slipstream
