// A role is a group of like clients (publishers, subscribers, requesters, ...) driven by one thread and one
// epoll set. A run starts all its roles at once; foreground roles end when their work is done and verified,
// background roles when no foreground role is left.
//
// The first thing that is not as it must be (an -ERR, a lost connection, a wrong sequence) fails the whole
// run with a sentence.
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "connection.hpp"

namespace slipstream::load {

int64_t monotonic_ns();

struct RunState {
  RunState();
  ~RunState();
  void fail(const std::string& sentence);
  void stop();

  std::atomic<bool> stopping{false};
  std::atomic<int> foreground_left{0};
  int wake_fd = -1;  // becomes readable for good when the run stops
  int64_t stall_ns = 30'000'000'000;
  std::mutex mutex;
  std::string failure;  // under the mutex while threads run
};

struct Client {
  virtual ~Client() = default;
  Connection connection;
  size_t number = 0;       // within its role
  bool completed = false;  // its work is done; the last PING is on its way
  bool finished = false;   // and answered
  bool writable_wanted = false;
};

struct RoleResult {
  uint64_t messages = 0, bytes = 0;
  int64_t end_ns = 0;
  std::vector<uint64_t> latencies_ns;
};

class Role {
 public:
  Role(std::string name, size_t clients, bool background);
  virtual ~Role() = default;
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  void open(const ServerAddress& server, RunState& run);
  void drive();  // the thread's body

  const std::string& name() const { return name_; }
  bool background() const { return background_; }
  uint64_t progress() const { return progress_.load(std::memory_order_relaxed); }
  virtual uint64_t target() const = 0;  // what progress() reaches; 0: not known
  RoleResult take_result();

 protected:
  virtual std::unique_ptr<Client> make_client() = 0;
  virtual std::string subscriptions(Client& client) = 0;
  virtual void on_message(Client& client, const Frame& frame) = 0;
  // Adds what this client may send now to its output. Called at the start, after every read, when the socket
  // takes more, and when due. True: there is more to send as soon as the socket has taken this.
  virtual bool refill(Client& client) = 0;
  virtual int64_t next_due_ns() const { return 0; }  // monotonic; 0: nothing is paced
  virtual bool ends_with_pong() const {
    return false;
  }  // the clock stops when the server has answered the last PING

  void complete(Client& client);  // stops the clock and asks the server for a last PONG: whatever comes
                                  // before it is one too many
  void complete_all();
  void fail(const std::string& sentence) { run_->fail(name_ + ": " + sentence); }
  void count(uint64_t bytes) {
    messages_++;
    bytes_ += bytes;
  }
  void add_latency(int64_t ns) { latencies_ns_.push_back(ns > 0 ? (uint64_t)ns : 0); }
  size_t clients() const { return clients_.size(); }
  Client& client(size_t number) const { return *clients_[number]; }

  int64_t now_ns_ = 0;  // when the current batch of frames was read
  int64_t start_ns_ = 0;
  uint64_t messages_ = 0, bytes_ = 0;
  std::vector<uint64_t> latencies_ns_;

 private:
  void receive(Client& client);
  void handle(Client& client, const Frame& frame);
  void pump(Client& client);
  void want_writable(Client& client, bool wanted);
  void arm_timer();
  bool over() const;
  void watch(int fd, uint64_t tag);
  void check_progress();

  const std::string name_;
  const size_t client_count_;
  const bool background_;
  RunState* run_ = nullptr;
  std::vector<std::unique_ptr<Client>> clients_;
  size_t finished_ = 0;
  int epoll_fd_ = -1, timer_fd_ = -1;
  int64_t end_ns_ = 0, last_progress_ns_ = 0, armed_ns_ = 0;
  uint64_t last_progress_ = 0;
  std::atomic<uint64_t> progress_{0};
  Buffer scratch_;
};

}  // namespace slipstream::load
