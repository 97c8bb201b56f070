// What an entry asks for may take several turns: a purge of millions of messages, limits that were lowered, a consumer with many
// pending deliveries that goes. Such work is a coroutine that pauses when it has had its share of a turn. The entry counts as
// applied when its work is done: the group's later entries wait, those of other groups do not, and no checkpoint has the state in
// between. Recovery, and a server that stops, do it in one go.
//
// What is decided does not depend on where it pauses: nothing else changes the group's state meanwhile.
#pragma once
#include <coroutine>
#include <cstdint>
#include <exception>
#include <utility>
#include <vector>

namespace slipstream {

// How much work may be done before the next pause. The kernel has one.
class WorkShare {
 public:
  // Without `by_clock` operations are counted, so that a simulated run repeats.
  void begin(bool by_clock, int64_t ns);
  void unlimited() { limited_ = false; }
  bool spent(uint64_t operations = 1) {
    if (!limited_) return false;
    if (done_ += operations; done_ < look_at_) return false;
    return look();
  }

 private:
  friend class Work;
  bool look();
  bool limited_ = false, by_clock_ = false;
  uint64_t done_ = 0, look_at_ = 0;
  int64_t end_ns_ = 0;
  std::coroutine_handle<> paused_;  // the innermost work of what was resumed last
};

class [[nodiscard]] Work {
 public:
  struct promise_type;
  using Handle = std::coroutine_handle<promise_type>;

  struct promise_type {
    std::coroutine_handle<> awaited_by;
    Work get_return_object() { return Work(Handle::from_promise(*this)); }
    std::suspend_always initial_suspend() noexcept { return {}; }
    struct BackToCaller {
      bool await_ready() noexcept { return false; }
      std::coroutine_handle<> await_suspend(Handle done) noexcept {
        std::coroutine_handle<> caller = done.promise().awaited_by;
        return caller ? caller : std::noop_coroutine();
      }
      void await_resume() noexcept {}
    };
    BackToCaller final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { throw; }
  };

  // co_await Work::Pause{share}: goes on with the next share.
  struct Pause {
    WorkShare& share;
    bool await_ready() noexcept { return false; }
    void await_suspend(std::coroutine_handle<> here) noexcept { share.paused_ = here; }
    void await_resume() noexcept {}
  };

  explicit Work(Handle handle) : handle_(handle) {}
  Work(Work&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)), paused_(std::exchange(other.paused_, nullptr)) {}
  Work& operator=(Work&& other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(paused_, other.paused_);
    return *this;
  }
  ~Work() {
    if (handle_) handle_.destroy();
  }

  // Goes on until it is done, which it answers, or pauses.
  bool go_on(WorkShare& share) {
    share.paused_ = nullptr;
    if (paused_) std::exchange(paused_, nullptr).resume();
    else handle_.resume();
    paused_ = std::exchange(share.paused_, nullptr);
    return handle_.done();
  }

  // One work is part of another: co_await part().
  bool await_ready() noexcept { return false; }
  std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
    handle_.promise().awaited_by = caller;
    return handle_;
  }
  void await_resume() noexcept {}

 private:
  Handle handle_;
  std::coroutine_handle<> paused_;  // where it goes on; null: at the beginning
};

Work sort_in_slices(std::vector<uint64_t>& values, WorkShare& share);  // ascending

}  // namespace slipstream
