// Two threads that count together without telling each other: what a sanitizer of threads has to report. `make sanitize-threads`
// runs it first, in the same way as the kernel, to show that reports would come.
#include <cstdint>
#include <thread>

namespace {

uint64_t counted = 0;

void count() {
  for (int i = 0; i < 100'000; i++) counted++;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) uint64_t race() {
  std::thread one(count), other(count);
  one.join();
  other.join();
  return counted;
}
