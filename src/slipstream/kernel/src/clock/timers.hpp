// Timers as a heap of pointers into their owners: set, move and cancel in O(log n), nothing allocated per timer.
//
// The room clock/ (only time.cpp reads clocks: elsewhere the time comes in as an argument):
//   time.hpp, time.cpp   the two clocks, read together
//   civil_time.hpp   days, dates and times of the Gregorian calendar, from and to unix seconds
//   rfc3339.hpp      times as Go writes and reads them
//   time_zone.hpp, time_zone.cpp   IANA time zones, from the system's files
#pragma once
#include <cstdint>
#include <vector>

namespace slipstream {

enum class TimerKind : uint8_t {
  connection, write_deadline, stall, publishers, stream_age, consumer, journal, batches, fast_batches, schedules,
};

struct Timer {
  TimerKind kind;
  void* owner;
  int64_t at_ns = 0;      // monotonic
  size_t position = SIZE_MAX;
  Timer(TimerKind k, void* o) : kind(k), owner(o) {}
  bool armed() const { return position != SIZE_MAX; }
};

class TimerHeap {
 public:
  void set(Timer& t, int64_t at_ns) {
    if (!t.armed()) {
      t.position = heap_.size();
      heap_.push_back(&t);
    }
    t.at_ns = at_ns;
    up(t.position);
    down(t.position);
  }
  void set_earlier(Timer& t, int64_t at_ns) {
    if (!t.armed() || at_ns < t.at_ns) set(t, at_ns);
  }
  void cancel(Timer& t) {
    if (!t.armed()) return;
    size_t i = t.position;
    Timer* last = heap_.back();
    heap_.pop_back();
    t.position = SIZE_MAX;
    if (last == &t) return;
    place(i, last);
    up(i);
    down(last->position);
  }
  int64_t next_ns() const { return heap_.empty() ? INT64_MAX : heap_[0]->at_ns; }
  Timer* pop_due(int64_t now_ns) {
    if (heap_.empty() || heap_[0]->at_ns > now_ns) return nullptr;
    Timer* t = heap_[0];
    cancel(*t);
    return t;
  }

 private:
  void place(size_t i, Timer* t) { heap_[i] = t; t->position = i; }
  void up(size_t i) {
    Timer* t = heap_[i];
    while (i > 0 && heap_[(i - 1) / 2]->at_ns > t->at_ns) {
      place(i, heap_[(i - 1) / 2]);
      i = (i - 1) / 2;
    }
    place(i, t);
  }
  void down(size_t i) {
    Timer* t = heap_[i];
    for (;;) {
      size_t c = 2 * i + 1;
      if (c >= heap_.size()) break;
      if (c + 1 < heap_.size() && heap_[c + 1]->at_ns < heap_[c]->at_ns) c++;
      if (heap_[c]->at_ns >= t->at_ns) break;
      place(i, heap_[c]);
      i = c;
    }
    place(i, t);
  }
  std::vector<Timer*> heap_;
};

}  // namespace slipstream
