// How fast a checkpoint goes. Its syncs share the device with those that publishers wait for, so it works in small parts and
// rests three times as long as each took: nobody waits for its end, as long as the journal has room. When that gets short, or the
// server stops, it hurries. (PostgreSQL's checkpoint_completion_target, for the same reason.)
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>

namespace slipstream {

class CheckpointPace {
 public:
  CheckpointPace() = default;
  CheckpointPace(const CheckpointPace&) = delete;

  void hurry(bool on) {
    std::lock_guard<std::mutex> lock(mutex_);
    hurried_ = on;
    if (on) changed_.notify_all();
  }
  bool hurried() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return hurried_;
  }

  // Works, then rests. Blocks: not for the kernel's thread.
  template <class Work>
  auto run(const Work& work) {
    auto began = Clock::now();
    auto result = work();
    auto rest = std::min<Clock::duration>(kRest * (Clock::now() - began), kRestMax);
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, rest, [this] { return hurried_; });
    return result;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr int kRest = 3;
  static constexpr std::chrono::seconds kRestMax{1};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool hurried_ = true;
};

}  // namespace slipstream
