// First, last and next on a subject. The links between entries are the fast way; they break only where a
// removed message's whole segment is gone, and then a scan of what is left finds the next one and mends the
// link behind which it started.
//
// `last` is looked for only when somebody asks after the last message of a subject was removed out of order.
#include "store/segment_store.hpp"

namespace slipstream {

// `seq` is about to be appended on the subject.
void SegmentStore::link(uint32_t id, uint64_t seq) {
  Subject& subject = subjects_[id];
  if (subject.count) {
    Place last = find(subject.last);
    uint64_t distance = seq - subject.last;
    if (last) last->next = distance < kFar ? (uint32_t)distance : kFar;
    subject.last_stale = 0;
  } else {
    subject.first = seq;
  }
  subject.last = seq;
  subjects_.count_up(subject);
}

// `seq` has just been removed from the subject; its entry is still there.
void SegmentStore::unlink(uint32_t id, uint64_t seq) {
  Subject& subject = subjects_[id];
  assert(subject.count > 0);
  if (--subject.count == 0) {
    subjects_.became_empty(id);
    return;
  }
  if (seq == subject.first) {
    subject.first = follow(id, seq, subject.last);
    assert(subject.first > seq);
  } else if (seq == subject.last) {
    subject.last_stale = 1;
  }
  if (subject.count == 1) {
    subject.last = subject.first;
    subject.last_stale = 0;
  }
}

// The first live message on the subject behind `from`, a message on it, live or not; 0 if there is none up to
// `last`.
uint64_t SegmentStore::follow(uint32_t id, uint64_t from, uint64_t last) const {
  Place start = find(from);
  assert(start && start->subject == id);
  uint64_t at = from;
  Place here = start;
  while (here && here->next && here->next != kFar) {
    at += here->next;
    here = find(at);
    if (!here.live()) continue;
    assert(here->subject == id);
    return at;
  }
  if (at >= last) return 0;
  uint64_t found = scan_forward(id, at + 1, last);
  if (found && found - from < kFar) start->next = (uint32_t)(found - from);
  return found;
}

uint64_t SegmentStore::scan_forward(uint32_t id, uint64_t from, uint64_t last) const {
  size_t slot = slot_of(from);
  if (slot == slots_.size()) slot = 0;
  for (; slot < slots_.size() && slots_[slot].base <= last; slot++) {
    const Segment& segment = *slots_[slot].segment;
    uint32_t end = segment.position(last + 1);
    for (uint32_t i = segment.next_live(segment.position(from)); i < end; i = segment.next_live(i + 1))
      if (segment.entry(i).subject == id) return segment.seq_at(i);
  }
  return 0;
}

// The removed last message's predecessor: backwards through all messages and forwards along the subject, in
// turns, so that it costs about the shorter way: a busy subject is met soon, a quiet one has few messages.
void SegmentStore::resolve_last(uint32_t id) const {
  Subject& subject = const_cast<Subject&>(subjects_[id]);
  assert(subject.count > 1 && subject.last_stale);
  uint64_t back = subject.last, ahead = subject.first;
  bool forward = true;
  for (;;) {
    for (int i = 0; i < 64; i++) {
      back = previous_live(back - 1);
      assert(back >= subject.first);
      if (subject_of(back) != id) continue;
      subject.last = back;
      subject.last_stale = 0;
      return;
    }
    for (int i = 0; i < 8 && forward; i++) {
      Place here = find(ahead);
      if (!here->next || here->next == kFar) {
        forward = false;  // the link is broken, or ends here because the rest is gone
        break;
      }
      uint64_t next = follow(id, ahead, subject.last);
      if (next) {
        ahead = next;
        continue;
      }
      subject.last = ahead;
      subject.last_stale = 0;
      return;
    }
  }
}

uint32_t SegmentStore::find_subject(string_view name) const {
  uint32_t id = subjects_.find(name);
  return id != kNoSubject && subjects_[id].count ? id : kNoSubject;
}

SubjectState SegmentStore::subject_state(uint32_t id) const {
  assert(id < subjects_.ids());
  const Subject& subject = subjects_[id];
  if (!subject.count) return {0, 0, 0};
  if (subject.last_stale) resolve_last(id);
  return {subject.first, subject.last, subject.count};
}

uint64_t SegmentStore::next_on_subject(uint32_t id, uint64_t seq) const {
  assert(id < subjects_.ids());
  const Subject& subject = subjects_[id];
  if (!subject.count || seq == 0) return 0;
  if (seq <= subject.first) return subject.first;
  if (subject.last_stale) resolve_last(id);
  if (seq > subject.last) return 0;
  if (seq == subject.last) return seq;
  // The usual caller has just been at seq - 1. An entry of the subject from its first message on is this
  // subject's own, also if the id had another owner before.
  Place before = find(seq - 1);
  if (before && before->subject == id) return follow(id, seq - 1, subject.last);
  // Otherwise from here forward and along the subject from its start, in turns.
  uint64_t ahead = subject.first, at = seq;
  for (uint64_t window = 256;; window *= 2) {
    uint64_t end = std::min(subject.last, at + window - 1);
    uint64_t found = scan_forward(id, at, end);
    if (found) return found;
    at = end + 1;
    for (uint64_t i = 0; i < window / 8; i++) {
      ahead = follow(id, ahead, subject.last);
      if (ahead >= seq) return ahead;
    }
  }
}

void SegmentStore::match_subjects(string_view filter, const std::function<void(uint32_t)>& each) const {
  subjects_.match(filter, each);
}

}  // namespace slipstream
