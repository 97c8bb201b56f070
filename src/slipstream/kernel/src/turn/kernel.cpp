// Life of the kernel: the turn, sockets, connections and their timers. What a command means stands in routing.cpp.
#include "turn/kernel.hpp"

#include <sys/resource.h>
#include <algorithm>
#include <climits>
#include <utility>
#include <arpa/inet.h>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace slipstream {
namespace {

constexpr rlim_t kStoreDescriptors = 32;
constexpr int64_t kTurnedAwayNs = 10'000'000'000;  // between two events
constexpr size_t kReadBytes = 128 << 10;        // one recv at most per connection and turn
constexpr size_t kKeepOutBytes = 1 << 20;       // output buffers larger than this are given back when empty
constexpr size_t kWriteGoalBytes = 1 << 20;     // what a slow client must take within one write deadline
constexpr size_t kLastReadsMax = 16;            // reads that empty a socket before it is closed

void set_epoll(int ep, int fd, void* p, uint32_t events, int op) {
  epoll_event e{};
  e.events = events;
  e.data.ptr = p;
  epoll_ctl(ep, op, fd, &e);
}

void describe_peer(int fd, std::string& ip, int& port) {
  sockaddr_storage a{};
  socklen_t n = sizeof a;
  if (getpeername(fd, (sockaddr*)&a, &n) != 0) return;
  char text[INET6_ADDRSTRLEN] = "";
  if (a.ss_family == AF_INET) {
    auto* v4 = (sockaddr_in*)&a;
    inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    port = ntohs(v4->sin_port);
  } else if (a.ss_family == AF_INET6) {
    auto* v6 = (sockaddr_in6*)&a;
    port = ntohs(v6->sin6_port);
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) inet_ntop(AF_INET, (char*)&v6->sin6_addr + 12, text, sizeof text);
    else inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  }
  ip = text;
}

bool is_advisory(const EventRecord& e) { return e.type == EventType::advisory || e.type == EventType::batch_abandoned; }

}  // namespace

Kernel::Kernel(const KernelLimits& l, uint64_t seed) : limits(l), random_state_(seed * 2 + 1) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  wake_fd_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  set_epoll(epoll_, wake_fd_, nullptr, EPOLLIN, EPOLL_CTL_ADD);
  spare_fd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
  shared_in_.resize(kReadBytes);
  account("$G");
  now = read_clocks();
}

Kernel::~Kernel() {
  stop();
  backend.reset();
  ::close(epoll_);
  ::close(wake_fd_);
  if (spare_fd_ >= 0) ::close(spare_fd_);
}

uint64_t Kernel::random() {
  uint64_t x = random_state_;  // xorshift64*; one seeded generator, so that a seed repeats a run
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  random_state_ = x;
  return x * 0x2545F4914F6CDD1Dull;
}

std::string Kernel::random_text(int characters) {
  static const char kDigits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::string text;
  for (int i = 0; i < characters; i++) text += kDigits[random() % 62];
  return text;
}

Account& Kernel::account(string_view name) {
  for (auto& a : accounts_)
    if (a->name == name) return *a;
  auto a = std::make_unique<Account>();
  a->id = (uint32_t)accounts_.size();
  a->name = name;
  accounts_.push_back(std::move(a));
  return *accounts_.back();
}

// ------------------------------------------------------------------ the thread and its lock

void Kernel::start() {
  stopping_ = false;
  by_clock_ = true;
  thread_ = std::thread([this] { thread_main(); });
}

void Kernel::thread_main() {
  pthread_setname_np(pthread_self(), "kernel");
  while (!stopping_.load(std::memory_order_relaxed)) {
    int64_t wait_ns;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      wait_ns = !resume_.empty() || !leavers_.empty() || (backend && backend->busy()) ? 0 : timers.next_ns() - read_clocks().monotonic_ns;
    }
    int timeout_ms = wait_ns <= 0 ? 0 : wait_ns > 1'000'000'000 ? 1000 : (int)((wait_ns + 999'999) / 1'000'000);
    epoll_event events[256];
    int n = eager_wait_.wait(epoll_, events, 256, timeout_ms);
    if (n < 0) n = 0;
    let_callers_in();
    std::lock_guard<std::mutex> lock(mutex_);
    ready_ = events;
    process(read_clocks(), n);
  }
}

// Where nobody waits, or turns are short, this costs nothing, or the time in which one caller gets the lock.
void Kernel::let_callers_in() {
  if (waiters_.load() == 0 && !loop_works_.load()) return;
  uint64_t entered = entered_.load();
  if (last_turn_ns_ < kLongTurnNs) {
    for (int i = 0; i < 1000 && waiters_.load() > 0 && entered_.load() == entered; i++) std::this_thread::yield();
    return;
  }
  int64_t at_ns = read_clocks().monotonic_ns;
  const int64_t end_ns = at_ns + std::min(last_turn_ns_ / kCallersShare, kCallersNsMax);
  for (int64_t quiet_since_ns = at_ns; at_ns < end_ns && at_ns - quiet_since_ns < kCallersPauseNs; at_ns = read_clocks().monotonic_ns) {
    if (waiters_.load() > 0 || entered_.load() != entered || loop_works_.load()) quiet_since_ns = at_ns;
    entered = entered_.load();
    std::this_thread::yield();
  }
}

int Kernel::turn(Time t, int timeout_ms) {
  epoll_event events[256];
  int n = epoll_wait(epoll_, events, 256, timeout_ms);
  if (n < 0) n = 0;
  Guard guard(*this);
  ready_ = events;
  process(t, n);
  return n;
}

int Kernel::process(Time t, int n) {
  auto* events = (epoll_event*)ready_;
  now = t;
  int64_t began = read_clocks().monotonic_ns;
  turn_out_msgs_ = counters_.out_msgs;
  const int64_t time_ns = backend && backend->behind() ? kTurnNs / 10 : turn_ns();
  share_ns_ = std::max(time_ns / std::max<int64_t>(sharing_, 1), kShareLeastNs);
  sharing_ = 0;
  std::vector<Connection*> again;  // a connection that gives up its share below goes on in the next turn
  again.swap(resume_);
  for (int i = 0; i < n; i++) {
    auto* c = (Connection*)events[i].data.ptr;
    if (!c) {
      uint64_t v;
      while (read(wake_fd_, &v, 8) > 0) {}
      continue;
    }
    if (c->listener) {
      accept_sockets(*c);
      continue;
    }
    if (c->gone()) continue;
    if (events[i].events & EPOLLOUT) flush(*c);
    if (!c->gone() && !c->doomed && (events[i].events & ~(uint32_t)EPOLLOUT)) readable(*c);
  }
  resume_all(again, time_ns);
  while (Timer* timer = timers.pop_due(t.monotonic_ns)) on_timer(*timer);
  settle();
  remove_leaving();
  if (backend) {
    backend->end_of_turn();
    pace_publishers();
  }
  end_turn();
  uint64_t took = (uint64_t)(read_clocks().monotonic_ns - began);
  counters_.turns++;
  counters_.turn_ns_total += took;
  if (took > counters_.turn_ns_max) counters_.turn_ns_max = took;
  last_turn_ns_ = (int64_t)took;
  return n;
}

// As many as there is time for; the others are the first ones of the next turn.
void Kernel::resume_all(const std::vector<Connection*>& connections, int64_t time_ns) {
  const int64_t end_ns = by_clock_ && !connections.empty() ? read_clocks().monotonic_ns + time_ns : INT64_MAX;
  size_t i = 0;
  for (; i < connections.size(); i++) {
    if (i && by_clock_ && read_clocks().monotonic_ns >= end_ns) break;
    Connection& c = *connections[i];
    c.resume = false;
    if (c.gone() || c.doomed || c.unread()) continue;
    size_t used = parse(c, c.in.data() + c.in_start, c.in.size() - c.in_start);
    c.in_start += used;
    if (c.in_start == c.in.size()) c.in.clear(), c.in_start = 0;
  }
  std::vector<Connection*> later;
  for (; i < connections.size(); i++)
    if (!connections[i]->gone()) later.push_back(connections[i]);
  resume_.insert(resume_.begin(), later.begin(), later.end());
}

void Kernel::end_turn() {
  // Closing a connection may give others something to write, and writing may doom: until nothing is left, so that
  // no list keeps a pointer to what is freed below.
  do {
    settle();
    for (size_t i = 0; i < dirty_.size(); i++) {
      Connection& c = *dirty_[i];
      c.dirty = false;
      if (!c.gone() && !c.want_write) flush(c);
    }
    dirty_.clear();
  } while (!doomed_.empty());
  assert(exhausted_.empty() && walking_ == 0);
  dead_subscriptions_.clear();
  graveyard_.clear();
  report_dropped_requests();
  if (turn_events_.empty() && !requests_came_) return;
  {
    std::lock_guard<std::mutex> lock(events_mutex_);
    for (auto& e : turn_events_) {
      // What a client had asked for is worked off first: its description goes with it.
      if (e.type == EventType::closed && requests_waiting_.holds(e.a)) requests_waiting_.push_behind(e.a, std::move(e));
      else if (is_advisory(e)) advisories_.push_back(std::move(e));
      else if (e.type == EventType::inactive) inactive_.push_back(std::move(e));
      else events_.push_back(std::move(e));
    }
  }
  turn_events_.clear();
  requests_came_ = false;
  events_ready_.notify_one();
}

void Kernel::settle() {
  for (size_t i = 0; i < doomed_.size(); i++)
    if (Connection* c = find(doomed_[i].first)) close(*c, doomed_[i].second);
  doomed_.clear();
}

void Kernel::stop() {
  if (thread_.joinable()) {
    stopping_ = true;
    wake();
    thread_.join();
  }
  Guard guard(*this);
  stop_listening();
  if (backend) backend->stop();
  std::vector<uint64_t> cids;
  for (auto& [cid, c] : connections_) cids.push_back(cid);
  for (uint64_t cid : cids) close(*connections_[cid], "Server Shutdown");
  while (!leavers_.empty()) remove_leaving();
  end_turn();
}

void Kernel::wake() {
  uint64_t one = 1;
  (void)!::write(wake_fd_, &one, 8);
}

void Kernel::emit(EventRecord&& e) { turn_events_.push_back(std::move(e)); }

bool Kernel::wait_events(double timeout_s, size_t requests_max, std::vector<EventRecord>& out) {
  std::unique_lock<std::mutex> lock(events_mutex_);
  auto something = [&] {
    return !events_.empty() || !advisories_.empty() || !inactive_.empty() || !requests_waiting_.empty() || wake_waiter_;
  };
  if (timeout_s > 0 && !something()) {
    loop_works_ = false;
    events_ready_.wait_for(lock, std::chrono::duration<double>(timeout_s), something);
  }
  loop_works_ = true;
  wake_waiter_ = false;
  auto take = [&](std::deque<EventRecord>& from, size_t most) {
    for (size_t n = 0; !from.empty() && (!requests_max || n < most); n++) {
      out.push_back(std::move(from.front()));
      from.pop_front();
    }
  };
  take(events_, requests_max * kEventsPerRequest);
  take(advisories_, requests_max);
  take(inactive_, requests_max);
  for (const EventRecord& e : out) {
    if (is_advisory(e)) took(e);
    if (e.type == EventType::trace) trace_bytes_queued_ -= e.e;
  }
  for (size_t n = 0; !requests_waiting_.empty() && (!requests_max || n < requests_max); n++) {
    EventRecord e = requests_waiting_.take();
    if (e.type == EventType::request) took(e);
    if (e.type == EventType::closed && !events_.empty()) events_.push_back(std::move(e));  // behind its last lines of a trace
    else out.push_back(std::move(e));
  }
  return !out.empty();
}

void Kernel::wake_waiter() {
  {
    std::lock_guard<std::mutex> lock(events_mutex_);
    wake_waiter_ = true;
  }
  events_ready_.notify_one();
}

// ------------------------------------------------------------------ sockets

int Kernel::listen(int fd) {
  auto c = std::make_unique<Connection>();
  c->fd = fd;
  c->listener = true;
  set_epoll(epoll_, fd, c.get(), EPOLLIN, EPOLL_CTL_ADD);
  listeners_.push_back(std::move(c));
  return 0;
}

void Kernel::stop_listening() {
  for (auto& c : listeners_) {
    epoll_ctl(epoll_, EPOLL_CTL_DEL, c->fd, nullptr);
    ::close(c->fd);
    c->state = ConnectionState::closed;
    graveyard_.push_back(std::move(c));
  }
  listeners_.clear();
}

void Kernel::accept_sockets(Connection& listener) {
  for (int i = 0; i < 64; i++) {
    int fd = accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE) && spare_fd_ >= 0) {
      // Left alone, the socket would stay readable and the thread would spin: this client is turned away.
      ::close(spare_fd_);
      fd = accept4(listener.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) ::close(fd);
      spare_fd_ = open("/dev/null", O_RDONLY | O_CLOEXEC);
      turn_away();
      continue;
    }
    if (fd < 0) return;
    if (fd >= client_descriptors_max_) {
      ::close(fd);
      turn_away();
      continue;
    }
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    std::string ip;
    int port = 0;
    describe_peer(fd, ip, port);
    add_connection(fd, ip, port);
  }
}

// The last descriptors are the store's: its files matter to everybody.
int Kernel::descriptors_for_clients() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > (rlim_t)INT_MAX) return INT_MAX;
  return (int)(limit.rlim_cur - std::min<rlim_t>(kStoreDescriptors, limit.rlim_cur / 8));
}

void Kernel::turn_away() {
  turned_away_++;
  if (turned_away_told_ns_ && now.monotonic_ns - turned_away_told_ns_ < kTurnedAwayNs) return;
  turned_away_told_ns_ = now.monotonic_ns;
  EventRecord e{EventType::turned_away};
  e.a = std::exchange(turned_away_, 0);
  emit(std::move(e));
}

void Kernel::add_connection(int fd, const std::string& ip, int port) {
  auto owned = std::make_unique<Connection>();
  Connection& c = *owned;
  c.cid = ++next_cid_;
  c.fd = fd;
  c.ip = ip;
  c.port = port;
  c.account = accounts_[0].get();
  c.start_ns = c.last_activity_ns = now.wall_ns;
  counters_.total_connections++;
  connections_[c.cid] = std::move(owned);
  set_epoll(epoll_, fd, &c, EPOLLIN, EPOLL_CTL_ADD);
  append_info(c, info_);
  if (limits.max_connections != 0 && (int64_t)connections_.size() > limits.max_connections) {
    write_error(c, "maximum connections exceeded");
    doom(c, "Maximum Connections Exceeded");
    return;
  }
  timers.set(c.timer, saturated_sum(now.monotonic_ns, limits.auth_required ? limits.auth_timeout_ns : limits.ping_interval_ns));
}

void Kernel::watch(Connection& c) {
  uint32_t events = (c.unread() ? 0u : (uint32_t)EPOLLIN) | (c.want_write ? (uint32_t)EPOLLOUT : 0u);
  set_epoll(epoll_, c.fd, &c, events, EPOLL_CTL_MOD);
}

void Kernel::readable(Connection& c) {
  // Not watched for input: it can only have hung up.
  if (c.unread()) return close(c, "Client Closed");
  if (c.resume) return;  // what came before has its turn first
  bool fresh = c.in.empty();
  char* to = shared_in_.data();
  size_t room = kReadBytes;
  if (!fresh) {
    if (c.in_start) {
      memmove(c.in.data(), c.in.data() + c.in_start, c.in.size() - c.in_start);
      c.in.resize(c.in.size() - c.in_start);
      c.in_start = 0;
    }
    to = c.in.room(kReadBytes);
  }
  ssize_t r = recv(c.fd, to, room, 0);
  if (r <= 0) {
    if (r < 0 && (errno == EAGAIN || errno == EINTR)) return;
    close(c, r == 0 ? "Client Closed" : "Read Error");
    return;
  }
  c.last_activity_ns = now.wall_ns;
  if (!fresh) {
    c.in.grow((size_t)r);
    if (c.in.size() < c.in_wanted) return;
    size_t used = parse(c, c.in.data(), c.in.size());
    if (c.gone()) return;
    c.in_start = used;
    if (used == c.in.size()) {
      c.in_start = 0;
      if (c.in.capacity() > kReadBytes * 2) c.in.release();
      else c.in.clear();
    }
    return;
  }
  size_t used = parse(c, to, (size_t)r);
  if (!c.gone() && used < (size_t)r) c.in.append(to + used, (size_t)r - used);
}

void Kernel::write(Connection& c, string_view bytes) {
  if (limits.trace && !bytes.starts_with("INFO")) [[unlikely]] trace_sent(c, bytes);
  memcpy(c.room(bytes.size()), bytes.data(), bytes.size());
  c.out.grow(bytes.size());
  c.answer_bytes += bytes.size();
  mark_dirty(c);
  if (c.pending() > kFlushBytes) check_pending(c);
}

void Kernel::write_error(Connection& c, string_view error) {
  std::string line = "-ERR '" + std::string(error) + "'\r\n";
  write(c, line);
}

void Kernel::mark_dirty(Connection& c) {
  if (c.dirty) return;
  c.dirty = true;
  dirty_.push_back(&c);
}

void Kernel::flush(Connection& c) {
  while (c.pending()) {
    ssize_t r = send(c.fd, c.out.data() + c.out_start, c.pending(), MSG_NOSIGNAL);
    if (r < 0) {
      if (errno == EINTR) continue;
      if (errno != EAGAIN) {
        c.out_start = c.out.size();
        doom(c, "Write Error");
        return;
      }
      if (!c.want_write) {
        c.want_write = true;
        watch(c);
        set_write_goal(c);
      }
      if (c.behind && c.pending() < kBehindBytes / 2) drained(c);
      if (c.pending_counted) count_pending(c);
      return;
    }
    c.out_start += (size_t)r;
    c.took_bytes = true;
    if (c.answer_bytes) answered(c, (size_t)r);
    if (!c.want_write) continue;
    c.write_goal -= std::min(c.write_goal, (size_t)r);
    if (c.write_goal == 0) set_write_goal(c);
  }
  c.out_start = 0;
  if (c.out.capacity() > kKeepOutBytes) c.out.release();
  else c.out.clear();
  if (c.pending_counted) count_pending(c);
  if (c.behind) drained(c);
  if (c.want_write) {
    c.want_write = false;
    timers.cancel(c.write_timer);
    watch(c);
  }
}

// Every byte for a connection counts, whatever it is: a client that does not read is cut off where its subscriptions would do it.
void Kernel::check_pending(Connection& c) {
  if (c.doomed || c.gone()) return;
  if (!c.want_write) flush(c);
  size_t pending = c.pending();
  if (pending > kBehindBytes) fell_behind(c);
  count_pending(c);
  if (limits.pending_total_max && pending_total_ > (uint64_t)limits.pending_total_max) [[unlikely]] relieve_memory();
  if ((int64_t)pending <= limits.max_pending || c.doomed) return;
  counters_.slow_consumers++;
  c.out_start = c.out.size();
  doom(c, "Slow Consumer (Pending Bytes)");
}

void Kernel::count_pending(Connection& c) {
  size_t pending = c.pending() > kFlushBytes && !c.gone() ? c.pending() : 0;
  pending_total_ += pending - c.pending_counted;
  c.pending_counted = pending;
}

// Each connection is within max_pending, but all together hold more memory than they may: the slowest one goes.
void Kernel::relieve_memory() {
  Connection* slowest = nullptr;
  for (auto& [cid, c] : connections_) {
    if (!c->pending_counted || c->doomed) continue;
    bool more = !slowest || c->pending_counted > slowest->pending_counted;
    if (more || (c->pending_counted == slowest->pending_counted && cid < slowest->cid)) slowest = c.get();
  }
  if (!slowest) return;
  counters_.slow_consumers++;
  slowest->out.release();
  slowest->out_start = 0;
  count_pending(*slowest);
  doom(*slowest, "Slow Consumer (Pending Bytes)");
}

void Kernel::answered(Connection& c, size_t sent) {
  c.answer_bytes -= std::min(c.answer_bytes, sent);
  if (!c.overfull || c.answer_bytes > kAnswerBytesMax / 2) return;
  c.overfull = false;
  watch(c);
  if (!c.in.empty()) resume(c);
}

// A client that takes a byte now and then must not live for ever: what counts is a share of what waits for it.
void Kernel::set_write_goal(Connection& c) {
  c.write_goal = std::min(c.pending(), kWriteGoalBytes);
  timers.set(c.write_timer, saturated_sum(now.monotonic_ns, limits.write_deadline_ns));
}

// ------------------------------------------------------------------ back-pressure

void Kernel::fell_behind(Connection& c) {
  if (!c.behind) {
    c.behind = true;
    c.took_bytes = false;
    c.stall_end_ns = now.monotonic_ns + kStallNs;
    timers.set(c.stall_timer, now.monotonic_ns + kStallIdleNs);
  }
  if (!c.stall_exempt && c.stalled.empty() && !may_stall(c)) c.stall_exempt = true;
  if (!c.stall_exempt) blocked_by_ = &c;
}

// A subscriber that reads all the time, but too slowly, would else set everybody's pace for ever. Once publishers have waited for it
// for a write deadline in total, they do not any more: it catches up, or it gets to max_pending and is cut off.
bool Kernel::may_stall(Connection& c) {
  int64_t since_ns = saturated_difference(now.monotonic_ns, c.stall_reckoned_ns);
  c.stall_spent_ns = std::max<int64_t>(0, c.stall_spent_ns - since_ns / kStallForgiven);
  c.stall_reckoned_ns = now.monotonic_ns;
  return c.stall_spent_ns < limits.write_deadline_ns;
}

void Kernel::pause(Connection& c) {
  c.paused = true;
  counters_.stalls++;
  if (blocked_by_->stalled.empty()) blocked_by_->stall_began_ns = now.monotonic_ns;
  blocked_by_->stalled.push_back(c.cid);
  watch(c);
}

// A subscriber has caught up, was given up, or is gone: those that waited for it go on.
void Kernel::drained(Connection& c) {
  if (c.pending() < kBehindBytes / 2) {
    c.behind = false;
    c.stall_exempt = false;
    timers.cancel(c.stall_timer);
  }
  std::vector<uint64_t> stalled;
  stalled.swap(c.stalled);
  if (!stalled.empty())
    c.stall_spent_ns = saturated_sum(c.stall_spent_ns, saturated_difference(now.monotonic_ns, c.stall_began_ns));
  for (uint64_t cid : stalled) {
    Connection* p = find(cid);
    if (!p || !p->paused) continue;
    p->paused = false;
    watch(*p);
    if (!p->in.empty()) resume(*p);
  }
}

// ------------------------------------------------------------------ closing and timers

void Kernel::doom(Connection& c, const char* reason) {
  if (c.doomed || c.gone()) return;
  c.doomed = true;
  doomed_.emplace_back(c.cid, reason);
}

void Kernel::close(Connection& c, const char* reason) {
  if (c.gone()) return;
  if (c.pending() && !c.want_write) (void)!send(c.fd, c.out.data() + c.out_start, c.pending(), MSG_NOSIGNAL);
  size_t subscriptions = c.subscriptions.size();
  leave(c);
  c.state = ConnectionState::closed;
  count_pending(c);
  if (c.behind || !c.stalled.empty()) c.out_start = c.out.size(), drained(c);
  timers.cancel(c.timer);
  timers.cancel(c.write_timer);
  timers.cancel(c.stall_timer);
  epoll_ctl(epoll_, EPOLL_CTL_DEL, c.fd, nullptr);
  hang_up(c.fd);
  EventRecord e{EventType::closed};
  e.a = c.cid;
  e.b = c.in_msgs, e.c = c.in_bytes, e.d = c.out_msgs, e.e = c.out_bytes, e.f = subscriptions, e.g = (uint64_t)c.port;
  e.t0 = c.start_ns, e.t1 = now.wall_ns, e.t2 = c.last_activity_ns, e.t3 = c.rtt_ns;
  e.s0 = reason, e.s1 = c.ip;
  emit(std::move(e));
  if (blocked_by_ == &c) blocked_by_ = nullptr;
  if (c.resume) std::erase(resume_, &c);
  auto it = connections_.find(c.cid);
  auto leaver = std::find_if(leavers_.begin(), leavers_.end(), [&](const Leaver& l) { return l.connection == &c; });
  if (leaver == leavers_.end()) graveyard_.push_back(std::move(it->second));
  else leaver->owner = std::move(it->second);
  connections_.erase(it);
}

// A socket closed with unread bytes is reset, and the reset may overtake the -ERR that says why.
void Kernel::hang_up(int fd) {
  shutdown(fd, SHUT_WR);
  for (size_t i = 0; i < kLastReadsMax && recv(fd, shared_in_.data(), kReadBytes, MSG_DONTWAIT) > 0;) i++;
  ::close(fd);
}

void Kernel::on_timer(Timer& t) {
  switch (t.kind) {
    case TimerKind::connection:
      return connection_timer(*(Connection*)t.owner);
    case TimerKind::write_deadline: {
      auto& c = *(Connection*)t.owner;
      counters_.slow_consumers++;
      return doom(c, "Slow Consumer (Write Deadline)");
    }
    case TimerKind::stall: {
      auto& c = *(Connection*)t.owner;
      if (std::exchange(c.took_bytes, false) && now.monotonic_ns < c.stall_end_ns)
        return timers.set(t, std::min(now.monotonic_ns + kStallIdleNs, c.stall_end_ns));
      c.stall_exempt = true;
      return drained(c);
    }
    case TimerKind::publishers:
      return release_publishers();
    case TimerKind::stream_age:
    case TimerKind::consumer:
    case TimerKind::journal:
    case TimerKind::batches:
    case TimerKind::fast_batches:
    case TimerKind::schedules:
      backend->on_timer(t);
  }
}

void Kernel::connection_timer(Connection& c) {
  if (limits.auth_required && !c.accepted && c.state == ConnectionState::fresh) {
    write_error(c, "Authentication Timeout");
    return doom(c, "Authentication Timeout");
  }
  bool first = c.accepted && c.ping_sent_ns == 0;
  if (first || now.wall_ns - c.last_activity_ns >= limits.ping_interval_ns) {
    if (c.pings_out + 1 > limits.ping_max) {
      counters_.stale_connections++;
      write_error(c, "Stale Connection");
      return doom(c, "Stale Connection");
    }
    send_ping(c);
    if (c.in.empty()) c.in.release();  // an idle client holds no buffers
  }
  timers.set(c.timer, saturated_sum(now.monotonic_ns, limits.ping_interval_ns));
}

void Kernel::send_ping(Connection& c) {
  c.pings_out++;
  c.ping_sent_ns = now.wall_ns;
  write(c, "PING\r\n");
}

}  // namespace slipstream
