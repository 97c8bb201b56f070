// Every invariant of a store, asserted by counting everything again. For tests.
#include <algorithm>
#include <map>

#include "store/segment_store.hpp"

namespace slipstream {

void SegmentStore::check() const {
  uint64_t messages = 0, bytes = 0, end = 0, chunk_bytes = 0;
  std::map<uint32_t, SubjectState> states;
  for (size_t i = 0; i < slots_.size(); i++) {
    const Segment& segment = *slots_[i].segment;
    assert(slots_[i].base == segment.base && segment.base >= end);
    end = segment.end();
    assert(end <= last_seq_ + 1);
    assert(segment.sealed ? segment.live() > 0 : i + 1 == slots_.size());
    assert(segment.sealed || segment.live() || segment.size() <= (64u << 10));
    segment.check();
    assert(options_.memory ? segment.file == nullptr
                           : segment.written() == segment.size() || segment.in_memory(segment.written()));
    for (const Chunk& chunk : segment.chunks()) chunk_bytes += chunk.capacity;
    bool resident = std::find(resident_.begin(), resident_.end(), &segment) != resident_.end();
    assert(resident == (!options_.memory && !segment.chunks().empty()));
    for (uint32_t k = 0; k < segment.count(); k++) {
      const IndexEntry& e = segment.entry(k);
      if (!e.live()) continue;
      assert(e.subject < subjects_.ids());
      uint64_t seq = segment.seq_at(k);
      SubjectState& state = states[e.subject];
      if (!state.count++) state.first = seq;
      state.last = seq;
      messages++;
      bytes += message_bytes(e);
    }
  }
  assert(messages == messages_ && bytes == bytes_ && chunk_bytes == chunk_bytes_);
  assert(states.size() == subjects_.with_messages());
  subjects_.check();
  for (const auto& [id, state] : states) {
    const Subject& subject = subjects_[id];
    assert(subject.count == state.count && subject.first == state.first);
    assert(subject.last_stale ? subject.last > state.last : subject.last == state.last);
    // Along the links, every message of the subject and no other.
    uint64_t seq = subject.first;
    for (uint32_t n = 1; n < state.count; n++) {
      uint64_t next = follow(id, seq, subject.last);
      assert(next > seq && next <= state.last);
      seq = next;
    }
    assert(seq == state.last && follow(id, seq, subject.last) == 0);
  }
  if (messages_)
    assert(first_seq() == next_live(1));
  else
    assert(first_seq() == 0 || first_seq() == last_seq_ + 1);
}

}  // namespace slipstream
