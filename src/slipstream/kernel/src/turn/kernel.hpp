// The kernel: one server's data plane. A turn reads every ready socket, parses whole buffers, routes, lets JetStream
// append, apply and deliver, and flushes every dirty connection with one send. turn() never calls Python: what Python
// must know leaves as events; what Python wants comes in as method calls between turns. docs/theory.md describes the
// states of a connection.
//
// The room turn/:
//   kernel.cpp            the turn; sockets, connections and their timers; limits on pending output
//   connection.hpp        a client connection: its state, its buffers, what it waits for
//   protocol_parser.hpp   bytes to commands; keeps no state: unconsumed bytes stay with the connection
//   subject_trie.hpp, subject_trie.cpp   which subscriptions a literal subject has
//   routing.cpp           what each command does, and the way of a message to its receivers
//   protocol_trace.cpp    the lines of --trace, in both directions
//   kernel_events.hpp     the events for Python, and how many requests and advisories may wait
//   request_queues.cpp    those queues: what belongs in which, what is dropped, how drops are reported
//   fair_requests.hpp     the order in which the requests of many clients are handed out
//   eager_wait.hpp        how long the kernel's thread polls before it sleeps
//   backend.hpp           what the kernel knows of JetStream
//   publish_pace.cpp      clients that publish into streams faster than the journal takes it wait
//
// Locking: the kernel's thread holds `mutex_` for the working part of a turn and gives it up around epoll_wait. Guard
// is what every other caller takes; the thread lets waiting callers in before its next turn, so that a busy kernel
// cannot starve them. One request of Python makes several calls. If each of them waited for a turn of ten milliseconds,
// the request would take fifty, and a hundred requests five seconds. So a caller that had to wait for a long turn may
// call again before the next one.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bytes/saturating.hpp"
#include "clock/time.hpp"
#include "clock/timers.hpp"
#include "turn/backend.hpp"
#include "turn/connection.hpp"
#include "turn/eager_wait.hpp"
#include "turn/fair_requests.hpp"
#include "turn/protocol_parser.hpp"
#include "turn/subject_trie.hpp"

namespace slipstream {

constexpr size_t kFlushBytes = 256 << 10;       // pending output that is sent before the turn ends
constexpr size_t kBehindBytes = 8 << 20;        // publishers to a subscriber with more pending wait
constexpr int64_t kStallNs = 1'000'000'000;     // ... but for no longer than this at once, the write deadline in total,
constexpr int64_t kStallIdleNs = 300'000'000;   // nor longer than this for one that takes nothing at all,
constexpr int64_t kStallForgiven = 10;          // and a tenth of the time in the long run
constexpr uint64_t kIngestShareBytes = 256 << 10;   // publishers into streams that sent more wait while the journal is behind,
constexpr int64_t kIngestWaitNs = 1'000'000'000;    // and not longer than this at once
constexpr size_t kAnswerBytesMax = 256 << 10;   // a client with more answers pending is not read
constexpr size_t kLeavesPerTurn = 1024;         // subscriptions of a closed client that are removed in one turn
constexpr uint64_t kDeliveriesPerTurn = 32768;  // then publishers wait for the next turn
constexpr int64_t kTurnNs = 10'000'000;         // of a turn, for what clients send: those that send share it (and as much again
                                                // for what is left of the last turn; a tenth, while JetStream is behind),
constexpr int64_t kTurnBesideCallersNs = 2'000'000;  // ... while the server's loop works: each of its calls may wait for a turn
constexpr int64_t kShareLeastNs = 100'000;      // but each has so much
constexpr int64_t kLongTurnNs = 500'000;        // behind a longer turn, callers may come in several times,
constexpr int64_t kCallersShare = 4;            // for a quarter of the time that it took
constexpr int64_t kCallersNsMax = 10'000'000;   // and no longer than this,
constexpr int64_t kCallersPauseNs = 100'000;    // as long as one follows soon after the other, or the loop works
constexpr uint32_t kCommandsPerLook = 16;       // at the clock, unless they are slow ones
constexpr int64_t kSlowCommandsNs = 500'000;
constexpr size_t kEventsPerRequest = 4;         // of what Python takes at once: none of them must wait for thousands of others
constexpr int64_t kFirstPingNs = 2'000'000'000;

struct StorageBytes {
  int64_t memory = 0, file = 0;
  int64_t& of(bool in_memory) { return in_memory ? memory : file; }
};

struct Account {
  uint32_t id = 0;
  std::string name;
  std::string hash;            // stands for the name in subjects of acknowledgements (C-111)
  SubjectTrie trie;
  uint64_t ack_listeners = 0;  // client subscriptions that may match $JS.ACK subjects
  StorageBytes stream_bytes;                 // what its streams hold
  StorageBytes stream_bytes_max{-1, -1};     // -1: unlimited
};

struct KernelLimits {
  int64_t max_payload = 1048576;
  int64_t max_control_line = 4096;
  int64_t max_pending = 64 << 20;
  int64_t pending_total_max = 0;  // of all connections, counted where one has more than kFlushBytes; 0: no bound
  int64_t max_connections = 65536;
  int64_t max_subscriptions = 0;
  int64_t ping_interval_ns = 120'000'000'000;
  int64_t ping_max = 2;
  int64_t write_deadline_ns = 10'000'000'000;
  int64_t auth_timeout_ns = 2'000'000'000;
  int64_t api_level = 0;  // of JetStream, which requests may demand
  bool auth_required = false;
  bool headers = true;
  bool trace = false;
  int64_t traced_payload_max = 0;  // 0: all of it
  int64_t api_requests_queued = 10'000, api_info_requests_queued = 10'000;  // as kRequestsQueuedMax, of the JetStream API
  // 0: the defaults of the kind of batch
  int64_t batches_per_stream = 0, batches_total = 0, batch_messages = 0, batch_timeout_ns = 0;
};

struct KernelCounters {
  uint64_t total_connections = 0, in_msgs = 0, in_bytes = 0, out_msgs = 0, out_bytes = 0, slow_consumers = 0,
           stale_connections = 0, stalls = 0, turns = 0, turn_ns_max = 0, turn_ns_total = 0, requests_dropped = 0,
           advisories_dropped = 0;
};

class Kernel {
 public:
  Kernel(const KernelLimits& limits, uint64_t seed);
  ~Kernel();

  // --- called between turns, under a Guard (the binding takes it)
  class Guard {
   public:
    explicit Guard(Kernel& k) : k_(k) {
      k_.waiters_.fetch_add(1);
      k_.mutex_.lock();
      k_.waiters_.fetch_sub(1);
      k_.entered_.fetch_add(1);
    }
    ~Guard() { k_.mutex_.unlock(); }

   private:
    Kernel& k_;
  };

  KernelLimits limits;
  void set_info(std::string json, std::string connected);  // connected: the second one, after the first PING; empty: none
  void broadcast_info(const std::string& json);
  int listen(int fd);
  void stop_listening();
  void start();
  void stop();
  int turn(Time now, int timeout_ms);
  // At most `requests_max` requests are among them, as many advisories and inactive consumers, and kEventsPerRequest times as many
  // other events; 0: all.
  bool wait_events(double timeout_s, size_t requests_max, std::vector<EventRecord>& out);
  void wake_waiter();
  void wake();  // makes the kernel's thread start a turn

  bool accept(uint64_t cid, uint32_t account, const ConnectOptions& options);
  void refuse(uint64_t cid, string_view error, const char* reason);
  void disconnect(uint64_t cid, const char* reason);
  void send_error(uint64_t cid, string_view error);
  Connection* find(uint64_t cid);
  const std::unordered_map<uint64_t, std::unique_ptr<Connection>>& connections() const { return connections_; }
  const KernelCounters& counters() const { return counters_; }

  Account& account(string_view name);
  Account* account(uint32_t id) { return id < accounts_.size() ? accounts_[id].get() : nullptr; }
  const std::vector<std::unique_ptr<Account>>& accounts() const { return accounts_; }
  void serve(Account& account, string_view subject, uint32_t service);
  void unserve(Account& account, string_view subject);

  // --- for JetStream
  bool in_publish() const { return in_publish_; }                           // a client's, not one of the server's own
  void count_ingested(uint64_t bytes) { ingested_bytes_ += bytes; }  // of a publish to a stream on disk
  // Publishes as the server itself. Returns the number of receivers.
  size_t publish(Account& account, string_view subject, string_view reply, string_view header, string_view body);
  // Hands a message to the subscriptions of `match`, showing `subject`; `from` may be null.
  size_t route(Account& account, const MatchResult& match, string_view subject, string_view reply, string_view header,
               string_view body, Connection* from);
  void deliver(Subscription* s, string_view subject, string_view reply, string_view header, string_view body);
  Subscription* add_subscription(Account& account, SubscriptionKind kind, string_view subject, string_view queue, void* target);
  void remove_subscription(Account& account, Subscription* s);  // one that add_subscription made
  void emit(EventRecord&& e);
  void emit_advisory(EventRecord&& e);  // unless too many wait
  // As a request that a service has got; one too many is dropped and counted.
  uint64_t requests_queued_max(RequestQueue queue) const;
  void report_dropped_requests();
  void queue_request(uint64_t cid, RequestQueue queue, EventRecord&& e);
  void hand_to_python(uint32_t service, Account& account, uint64_t cid, string_view subject, string_view reply, string_view header,
                      string_view body);
  TimerHeap timers;
  Time now;
  int64_t monotonic_of(int64_t wall_ns) const {
    return saturated_sum(saturated_difference(wall_ns, now.wall_ns), now.monotonic_ns);
  }
  uint64_t random();
  std::string random_text(int characters);  // letters and digits, as nats-server's ids
  std::unique_ptr<Backend> backend;  // null: no JetStream
  bool long_ack_subjects = false;  // deliveries ask for acknowledgements with domain and account (C-111, C-112)
  // The JetStream domain: `$JS.<domain>.API.` is another name of `$JS.API.`. Before the store is opened.
  void set_domain(string_view name);
  const std::string& domain() const { return domain_; }
  string_view domain_token() const { return domain_.empty() ? string_view("_") : domain_; }  // in subjects of acknowledgements

  // What a turn may take for one kind of work.
  int64_t turn_ns() const { return loop_works_.load(std::memory_order_relaxed) ? kTurnBesideCallersNs : kTurnNs; }

  // Called from outside of a turn. A kernel whose turns somebody else drives (a simulation) goes by the time of its last turn.
  bool has_thread() const { return thread_.joinable(); }
  void look_at_clock() { if (thread_.joinable() || now.wall_ns == 0) now = read_clocks(); }

 private:
  friend class Guard;
  void thread_main();
  void let_callers_in();
  string_view without_domain(string_view subject, std::string& rewritten) const;
  int process(Time now, int ready);
  void accept_sockets(Connection& listener);
  static int descriptors_for_clients();
  void turn_away();
  void add_connection(int fd, const std::string& ip, int port);
  void readable(Connection& c);
  size_t parse(Connection& c, const char* p, size_t n);  // returns the bytes consumed
  void resume(Connection& c);                            // parses what it still holds, in the next turn
  void resume_all(const std::vector<Connection*>& connections, int64_t time_ns);
  bool run(Connection& c, const Command& cmd);           // false: stop parsing (held, closed or paused)
  void on_publish(Connection& c, const Command& cmd);
  void on_subscribe(Connection& c, const Command& cmd);
  void on_unsubscribe(Connection& c, const Command& cmd);
  void on_connect(Connection& c, const Command& cmd);
  void on_ping(Connection& c);
  void on_pong(Connection& c);
  void parse_failed(Connection& c, ParseStatus status);
  void no_responders(Connection& c, string_view subject, string_view reply);
  void unsubscribe(Connection& c, Subscription* s);
  struct Leaver { Connection* connection; std::unique_ptr<Connection> owner; };  // owner: of one that is closed
  void leave(Connection& c);      // all its subscriptions at once, as others see it
  void remove_leaving();
  void admit(Connection& c);      // accepted, and nothing is left of what it was before
  void write(Connection& c, string_view bytes);
  void write_error(Connection& c, string_view error);
  void mark_dirty(Connection& c);
  void flush(Connection& c);
  void set_write_goal(Connection& c);
  void hang_up(int fd);
  void drained(Connection& c);
  void fell_behind(Connection& c);
  void pause(Connection& c);
  bool may_stall(Connection& c);
  void check_pending(Connection& c);
  void count_pending(Connection& c);
  void relieve_memory();
  void answered(Connection& c, size_t sent);
  void close(Connection& c, const char* reason);
  void doom(Connection& c, const char* reason);  // closes at the end of the turn: safe while results of a match are walked
  void watch(Connection& c);
  void on_timer(Timer& t);
  void connection_timer(Connection& c);
  void send_ping(Connection& c);
  void append_info(Connection& c, const std::string& json);
  void trace_command(const Connection& c, const Command& cmd);
  void trace_sent(const Connection& c, string_view line, string_view header = {}, string_view body = {});
  void trace(const Connection& c, const std::string& line, string_view header, string_view body);
  void end_turn();
  void settle();  // closes the doomed
  void drop_exhausted();
  bool had_its_share(const Connection& c) const { return c.ingest_round == ingest_round_ && c.ingested_bytes > kIngestShareBytes; }
  void count_ingested(Connection& c, uint64_t bytes);
  void hold_publisher(Connection& c);
  void pace_publishers();
  void release_publishers();

  std::unordered_map<uint64_t, std::unique_ptr<Connection>> connections_;
  std::vector<std::unique_ptr<Connection>> listeners_, graveyard_;
  std::vector<std::unique_ptr<Subscription>> dead_subscriptions_;
  std::vector<std::unique_ptr<Account>> accounts_;
  std::vector<Connection*> dirty_, resume_;
  std::deque<Leaver> leavers_;
  std::vector<std::pair<uint64_t, const char*>> doomed_;
  std::vector<Subscription*> exhausted_;  // reached their maximum while results of a match were walked
  std::unordered_map<Subscription*, std::unique_ptr<Subscription>> own_subscriptions_;
  std::map<std::pair<uint32_t, std::string>, Subscription*> served_;  // account, subject
  KernelCounters counters_;
  std::string info_, connected_info_;
  std::string domain_, domain_prefix_;
  Buffer shared_in_;
  bool in_publish_ = false;
  void* ready_ = nullptr;  // the epoll events of this turn
  int walking_ = 0;  // results of a match are being walked: nothing may leave the trie
  Connection* blocked_by_ = nullptr;  // a subscriber fell behind while the current connection was parsed
  uint64_t ingested_bytes_ = 0, ingest_round_ = 1;  // see publish_pace.cpp
  std::vector<uint64_t> held_publishers_;     // their cids
  Timer publishers_timer_{TimerKind::publishers, this};
  uint64_t next_cid_ = 0, turn_out_msgs_ = 0;
  uint64_t pending_total_ = 0;  // the sum of what count_pending() noted
  void begin_share();
  bool share_spent();
  int64_t share_ns_ = kTurnNs, share_end_ns_ = INT64_MAX, looked_ns_ = 0;
  bool by_clock_ = false;  // the kernel has a thread of its own
  uint32_t sharing_ = 0, commands_to_look_ = kCommandsPerLook;
  uint64_t random_state_;
  EagerWait eager_wait_;   // of the kernel's thread
  int epoll_ = -1, wake_fd_ = -1;
  int spare_fd_ = -1;  // given up for a moment to turn a connection away when descriptors run out
  const int client_descriptors_max_ = descriptors_for_clients();  // what is above it is the store's
  uint64_t turned_away_ = 0;                                      // clients since the last event about them
  int64_t turned_away_told_ns_ = 0;

  std::mutex mutex_;
  std::atomic<int> waiters_{0};
  std::atomic<uint64_t> entered_{0};
  std::atomic<bool> loop_works_{false};  // on what wait_events gave it
  std::atomic<bool> stopping_{false};
  int64_t last_turn_ns_ = 0;  // how long it took
  std::thread thread_;

  std::mutex events_mutex_;
  std::condition_variable events_ready_;
  std::deque<EventRecord> events_;
  std::deque<EventRecord> advisories_, inactive_;  // thousands of these must not delay a connect
  std::vector<EventRecord> turn_events_;
  FairRequests requests_waiting_;  // as events_
  bool wake_waiter_ = false;
  struct QueuedRequests {
    std::atomic<uint64_t> waiting{0}, bytes{0};  // of events that Python has not taken yet
    uint64_t dropped = 0;                        // and not reported
    int64_t reported_ns = 0;                     // when drops were reported last
  };
  QueuedRequests requests_[kRequestQueues];
  void took(const EventRecord& e);
  bool requests_came_ = false;  // in this turn
  std::atomic<uint64_t> trace_bytes_queued_{0};  // likewise
  uint64_t traces_dropped_ = 0;
};

}  // namespace slipstream
