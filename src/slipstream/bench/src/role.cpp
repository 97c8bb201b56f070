#include "role.hpp"

#include <cerrno>
#include <ctime>
#include <stdexcept>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <system_error>
#include <sys/timerfd.h>
#include <unistd.h>

namespace slipstream::load {

namespace {

constexpr size_t kReadBytes = 256 << 10;
constexpr int kEventsMax = 128;
constexpr int kStallCheckMs = 1000;
constexpr uint64_t kWakeTag = UINT64_MAX, kTimerTag = UINT64_MAX - 1;

void require(bool good, const char* what) {
  if (!good) throw std::runtime_error(std::string(what) + ": " + std::system_category().message(errno));
}

}  // namespace

int64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

RunState::RunState() {
  wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  require(wake_fd >= 0, "eventfd");
}

RunState::~RunState() { close(wake_fd); }

void RunState::stop() {
  stopping.store(true);
  const uint64_t one = 1;
  if (write(wake_fd, &one, sizeof one) < 0 && errno != EAGAIN)
    abort();  // an eventfd takes a 1 or is readable already
}

void RunState::fail(const std::string& sentence) {
  {
    std::lock_guard<std::mutex> lock(mutex);
    if (failure.empty()) failure = sentence;
  }
  stop();
}

Role::Role(std::string name, size_t clients, bool background)
    : name_(std::move(name)), client_count_(clients), background_(background) {
  if (clients == 0) throw std::invalid_argument(name_ + ": at least one client is needed");
}

void Role::open(const ServerAddress& server, RunState& run) {
  run_ = &run;
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  require(epoll_fd_ >= 0, "epoll_create1");
  timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  require(timer_fd_ >= 0, "timerfd_create");
  watch(run.wake_fd, kWakeTag);
  watch(timer_fd_, kTimerTag);
  for (size_t i = 0; i < client_count_; i++) {
    auto client = make_client();
    client->number = i;
    client->connection.open(server, subscriptions(*client));
    watch(client->connection.fd(), i);
    clients_.push_back(std::move(client));
  }
}

void Role::watch(int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  require(epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl");
}

void Role::want_writable(Client& client, bool wanted) {
  if (client.writable_wanted == wanted) return;
  client.writable_wanted = wanted;
  epoll_event event{};
  event.events = EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0);
  event.data.u64 = client.number;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, client.connection.fd(), &event) != 0) fail("epoll_ctl failed");
}

bool Role::over() const {
  return run_->stopping.load(std::memory_order_relaxed) || (!background_ && finished_ == clients_.size());
}

void Role::drive() {
  start_ns_ = now_ns_ = last_progress_ns_ = monotonic_ns();
  for (auto& client : clients_) pump(*client);
  epoll_event events[kEventsMax];
  while (!over()) {
    arm_timer();
    const int n = epoll_wait(epoll_fd_, events, kEventsMax, kStallCheckMs);
    now_ns_ = monotonic_ns();
    for (int i = 0; i < n && !over(); i++) {
      const uint64_t tag = events[i].data.u64;
      if (tag == kWakeTag) break;
      if (tag == kTimerTag) {
        uint64_t expirations;
        if (read(timer_fd_, &expirations, sizeof expirations) < 0 && errno != EAGAIN) fail("timerfd failed");
        for (auto& client : clients_) pump(*client);
        continue;
      }
      Client& client = *clients_[tag];
      if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(client);
      if (!over()) pump(client);
    }
    progress_.store(messages_, std::memory_order_relaxed);
    check_progress();
  }
  if (!background_ && run_->foreground_left.fetch_sub(1) == 1) run_->stop();
  close(epoll_fd_);
  close(timer_fd_);
}

void Role::arm_timer() {
  const int64_t due = next_due_ns();
  if (due == 0 || due == armed_ns_) return;
  armed_ns_ = due;
  itimerspec when{};
  when.it_value.tv_sec = due / 1'000'000'000;
  when.it_value.tv_nsec = due % 1'000'000'000;
  if (timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &when, nullptr) != 0) fail("timerfd_settime failed");
}

void Role::check_progress() {
  if (messages_ != last_progress_ || background_) {
    last_progress_ = messages_;
    last_progress_ns_ = now_ns_;
  } else if (now_ns_ - last_progress_ns_ > run_->stall_ns) {
    fail("nothing came for " + std::to_string(run_->stall_ns / 1'000'000'000) + " s after " +
         std::to_string(messages_) + " of " + std::to_string(target()));
  }
}

void Role::receive(Client& client) {
  char* room = client.connection.splitter.room(scratch_, kReadBytes);
  const ssize_t n = recv(client.connection.fd(), room, scratch_.capacity() - scratch_.size(), 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0)
    return fail("the server closed the connection after " + std::to_string(messages_) + " messages");
  if (!client.connection.splitter.received(scratch_, (size_t)n,
                                           [&](const Frame& frame) { handle(client, frame); }))
    fail("malformed frame from the server");
}

void Role::handle(Client& client, const Frame& frame) {
  switch (frame.kind) {
    case FrameKind::message:
      if (client.completed && !background_)
        return fail("a message more than was asked for, on " + std::string(frame.subject));
      return on_message(client, frame);
    case FrameKind::ping: return client.connection.out.append("PONG\r\n");
    case FrameKind::pong:
      if (!client.completed || client.finished) return fail("a PONG without PING");
      client.finished = true;
      finished_++;
      if (ends_with_pong()) end_ns_ = monotonic_ns();
      return;
    case FrameKind::error: return fail("-ERR" + std::string(frame.text));
    case FrameKind::ok:
    case FrameKind::info: return;
    case FrameKind::malformed: return fail("malformed frame from the server");
  }
}

void Role::pump(Client& client) {
  const bool more = !client.completed && refill(client);
  const Connection::Sent sent = client.connection.flush();
  if (sent == Connection::Sent::closed) return fail("the server closed the connection");
  want_writable(client, sent == Connection::Sent::blocked || more);
}

void Role::complete(Client& client) {
  client.completed = true;
  end_ns_ = monotonic_ns();
  client.connection.out.append("PING\r\n");
}

void Role::complete_all() {
  for (auto& client : clients_) complete(*client);
  for (auto& client : clients_) pump(*client);
}

RoleResult Role::take_result() { return {messages_, bytes_, end_ns_, std::move(latencies_ns_)}; }

}  // namespace slipstream::load
