// Waiting for sockets without going to sleep, where that is worth it.
//
// What a client sends in answer to what it has just got comes within microseconds, while a thread that sleeps is woken in tens
// of them (a virtual machine's processor may have been given back by then). So the kernel's thread looks for a short time
// before it sleeps, as Go's scheduler does; but only as long as that finds something: short sleeps earn looks, vain looks use
// them up. An idle server, or one that waits for its disk, sleeps.
#pragma once
#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <thread>

namespace slipstream {

class EagerWait {
 public:
  int wait(int epoll, epoll_event* events, int events_max, int timeout_ms) {
    if (timeout_ms == 0) return epoll_wait(epoll, events, events_max, 0);
    auto began = Clock::now();
    if (looks_ > 0) {
      do {
        if (int n = epoll_wait(epoll, events, events_max, 0)) {
          looks_ = kLooksMax;
          return n;
        }
      } while (Clock::now() - began < kLook);
      looks_ -= kLooksMax / 4;
    }
    int n = epoll_wait(epoll, events, events_max, timeout_ms);
    if (several_processors_ && Clock::now() - began < kShortSleep) looks_ = std::min(looks_ + 1, kLooksMax);
    return n;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds kLook{50}, kShortSleep{150};
  static constexpr int kLooksMax = 16;
  const bool several_processors_ = std::thread::hardware_concurrency() > 1;
  int looks_ = 0;
};

}  // namespace slipstream
