// The thread that may block. Jobs run one after the other in the order of their submission, so that an unlink
// submitted after a read of the same file comes after it.
#include <sys/resource.h>
#include <unistd.h>

#include <cassert>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "store/message_store.hpp"

namespace slipstream {
namespace {

using Task = std::function<void()>;

constexpr int kBackgroundNice = 10;  // Linux has a nice value for each thread

class InlinePool final : public IoPool {
 public:
  explicit InlinePool(Task wake) : wake_(std::move(wake)) {}

  void submit(Task job, Task done) override {
    job();
    done_.push_back(std::move(done));
    if (wake_) wake_();
  }

  void drain() override {
    std::deque<Task> done;
    done.swap(done_);
    for (Task& task : done)
      if (task) task();
  }

  bool idle() const override { return done_.empty(); }

 private:
  Task wake_;
  std::deque<Task> done_;
};

class ThreadPool final : public IoPool {
 public:
  ThreadPool(Task wake, Urgency urgency) : wake_(std::move(wake)), thread_([this, urgency] {
    if (urgency == Urgency::background) setpriority(PRIO_PROCESS, (id_t)gettid(), kBackgroundNice);
    run();
  }) {}

  // Jobs that were submitted still run (unlinks, syncs); their completions do not.
  ~ThreadPool() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopping_ = true;
    }
    submitted_.notify_one();
    thread_.join();
  }

  void submit(Task job, Task done) override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      assert(!stopping_);
      jobs_.push_back({std::move(job), std::move(done)});
      unfinished_++;
    }
    submitted_.notify_one();
  }

  void drain() override {
    std::deque<Task> done;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      done.swap(done_);
      unfinished_ -= done.size();
    }
    for (Task& task : done)
      if (task) task();
  }

  bool idle() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return unfinished_ == 0;
  }

 private:
  struct Job {
    Task job, done;
  };

  void run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      submitted_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
      if (jobs_.empty()) return;
      Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job.job();
      job.job = nullptr;  // what the job held open is let go here, not on the kernel's thread
      lock.lock();
      done_.push_back(std::move(job.done));
      if (wake_ && done_.size() == 1) {  // else it was woken for an earlier one, and has not come yet
        lock.unlock();
        wake_();
        lock.lock();
      }
    }
  }

  Task wake_;
  mutable std::mutex mutex_;
  std::condition_variable submitted_;
  std::deque<Job> jobs_;
  std::deque<Task> done_;
  size_t unfinished_ = 0;  // submitted and not yet drained
  bool stopping_ = false;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

std::unique_ptr<IoPool> IoPool::create(bool threaded, std::function<void()> wake, Urgency urgency) {
  if (threaded) return std::make_unique<ThreadPool>(std::move(wake), urgency);
  return std::make_unique<InlinePool>(std::move(wake));
}

}  // namespace slipstream
