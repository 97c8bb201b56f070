// What write jobs have done to a file that is written in order; the I/O thread tells the kernel's thread.
#pragma once
#include <atomic>
#include <cstdint>

namespace slipstream {

struct WriteProgress {
  std::atomic<uint32_t> written{0};  // from the file's start, without a gap
  std::atomic<int> error{0};         // -errno of the first job that failed since the kernel's thread looked
  std::atomic<uint32_t> jobs{0};     // that may be reading the memory that they write
  void advance(uint32_t to) {
    uint32_t now = written.load();
    while (now < to && !written.compare_exchange_weak(now, to)) {}
  }
};

}  // namespace slipstream
