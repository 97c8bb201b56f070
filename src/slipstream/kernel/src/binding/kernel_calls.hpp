// What the Python binding calls: each takes the kernel's lock, does one thing, and returns plain values. No Python here.
//
// The room binding/ (what only the Python binding calls):
//   subject_listing.hpp, subject_listing.cpp   the subjects of a stream for the API, in steps
//   verify.hpp, verify.cpp                     reading a whole stream back, for `slipstream verify`
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "jetstream/canonical_state.hpp"
#include "jetstream/jetstream.hpp"
#include "turn/kernel.hpp"

namespace slipstream {

struct ConnectionRow {
  uint64_t cid, in_msgs, in_bytes, out_msgs, out_bytes, pending, subscriptions;
  uint32_t account;
  std::string ip;
  int port;
  int64_t start_ns, last_activity_ns, rtt_ns;
};

struct SubscriptionRow {
  uint64_t cid, delivered, max;
  uint32_t account;
  std::string subject, queue, sid;
};

struct StreamRow { uint64_t id; std::string account, description, offline; };
struct ConsumerRow { uint32_t id; std::string description; };
struct StreamStateRow {
  bool found;
  uint64_t messages, bytes, first_seq, last_seq, subjects, deleted, consumers;
  int64_t first_time_ns, last_time_ns;
};
struct MessageRow { bool found = false, damaged = false; uint64_t seq = 0; int64_t time_ns = 0; std::string subject, header, body; };

struct KernelCalls {
  static int64_t rtt_ns(Kernel& k, uint64_t cid) {
    Kernel::Guard g(k);
    auto it = k.connections().find(cid);
    return it == k.connections().end() ? 0 : it->second->rtt_ns;
  }
  static std::vector<ConnectionRow> connections(Kernel& k) {
    Kernel::Guard g(k);
    std::vector<ConnectionRow> out;
    for (auto& [cid, c] : k.connections())
      out.push_back({cid, c->in_msgs, c->in_bytes, c->out_msgs, c->out_bytes, c->pending(), c->subscriptions.size(), c->account->id, c->ip,
                     c->port, c->start_ns, c->last_activity_ns, c->rtt_ns});
    std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.cid < b.cid; });
    return out;
  }

  static std::vector<SubscriptionRow> subscriptions(Kernel& k, uint64_t cid) {
    Kernel::Guard g(k);
    std::vector<SubscriptionRow> out;
    for (auto& [id, c] : k.connections()) {
      if (cid && id != cid) continue;
      for (auto& [sid, s] : c->subscriptions) out.push_back({id, s->delivered, s->max, c->account->id, s->subject, s->queue, s->sid});
    }
    std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.cid != b.cid ? a.cid < b.cid : a.sid < b.sid; });
    return out;
  }

  static KernelCounters counters(Kernel& k, uint64_t& connections, uint64_t& subscriptions, uint64_t& hits, uint64_t& misses) {
    Kernel::Guard g(k);
    connections = k.connections().size();
    for (auto& a : k.accounts()) subscriptions += a->trie.size(), hits += a->trie.hits, misses += a->trie.misses;
    return k.counters();
  }

  static uint32_t account(Kernel& k, string_view name, string_view hash) {
    Kernel::Guard g(k);
    Account& a = k.account(name);
    a.hash = hash;
    return a.id;
  }
  static void set_long_ack_subjects(Kernel& k, bool wanted) {
    Kernel::Guard g(k);
    k.long_ack_subjects = wanted;
  }
  static void serve(Kernel& k, uint32_t account, string_view subject, uint32_t service) {
    Kernel::Guard g(k);
    if (Account* a = k.account(account)) k.serve(*a, subject, service);
  }
  static uint64_t publish(Kernel& k, uint32_t account, string_view subject, string_view reply, string_view header, string_view body) {
    Kernel::Guard g(k);
    Account* a = k.account(account);
    if (!a) return 0;
    uint64_t n = k.publish(*a, subject, reply, header, body);
    k.wake();
    return n;
  }
  static void set_domain(Kernel& k, string_view name) {
    Kernel::Guard g(k);
    k.set_domain(name);
  }
  static void set_storage_limits(Kernel& k, int64_t memory, int64_t file) {
    Kernel::Guard g(k);
    JetStream::of(k)->stream_bytes_max = {memory, file};
  }
  static bool set_account_storage_limits(Kernel& k, uint32_t account, int64_t memory, int64_t file) {
    Kernel::Guard g(k);
    Account* a = k.account(account);
    if (a) a->stream_bytes_max = {memory, file};
    return a != nullptr;
  }
  static uint64_t interest(Kernel& k, uint32_t account, string_view subject) {
    Kernel::Guard g(k);
    Account* a = k.account(account);
    if (!a) return 0;
    MatchResult m;
    a->trie.match_uncached(subject, m);
    return m.plain.size() + m.queues.size();
  }
  // Plain subscriptions on exactly this subject: a wildcard that covers it does not count.
  static uint64_t literal_interest(Kernel& k, uint32_t account, string_view subject) {
    Kernel::Guard g(k);
    Account* a = k.account(account);
    if (!a) return 0;
    MatchResult m;
    a->trie.match_uncached(subject, m);
    return (uint64_t)std::count_if(m.plain.begin(), m.plain.end(), [&](Subscription* s) { return s->subject == subject; });
  }

  static std::string open_store(Kernel& k, const OpenOptions& options) {
    Kernel::Guard g(k);
    auto js = std::make_unique<JetStream>(k);
    std::string error;
    k.look_at_clock();
    bool ok = js->open(options, error);
    if (ok) k.backend = std::move(js);
    return ok ? "" : error.empty() ? "the store cannot be opened" : error;
  }

  static std::vector<StreamRow> streams(Kernel& k) {
    Kernel::Guard g(k);
    std::vector<StreamRow> out;
    if (JetStream* js = JetStream::of(k))
      for (auto& [id, s] : js->streams())
        if (!s->spec.restoring) out.push_back({id, s->account.name, s->description, s->offline_reason()});
    std::sort(out.begin(), out.end(), [](auto& a, auto& b) { return a.id < b.id; });
    return out;
  }
  static std::vector<ConsumerRow> consumers(Kernel& k, uint64_t stream) {
    Kernel::Guard g(k);
    std::vector<ConsumerRow> out;
    if (Stream* s = find(k, stream))
      for (auto& [id, c] : s->consumers) out.push_back({id, c->description});
    return out;
  }

  static StreamStateRow stream_state(Kernel& k, uint64_t stream) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    if (!s) return {};
    MessageStore& m = *s->store;
    uint64_t span = m.messages() ? m.last_seq() - m.first_seq() + 1 : 0;
    return {true, m.messages(), m.bytes(), m.first_seq(), m.last_seq(), m.subjects(), span - m.messages(), s->consumers.size(),
            m.first_time_ns(), m.last_time_ns()};
  }
  // False: an earlier feed of the same source is not finished, or the stream is gone.
  static bool open_feed(Kernel& k, uint64_t stream, uint32_t feed, const FeedSpec& spec) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    k.look_at_clock();
    bool opened = s && s->open_feed(feed, spec);
    k.wake();
    return opened;
  }
  static void close_feed(Kernel& k, uint64_t stream, uint32_t feed) {
    Kernel::Guard g(k);
    if (Stream* s = find(k, stream)) s->close_feed(feed);
  }
  static bool feed_view(Kernel& k, uint64_t stream, uint32_t feed, FeedView& out) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    auto it = s ? s->feeds.find(feed) : decltype(s->feeds.find(feed))();
    if (!s || it == s->feeds.end()) return false;
    out = it->second->view();
    return true;
  }
  // Where a source stands in the log; false while a feed of it is under way.
  static bool source_position(Kernel& k, uint64_t stream, string_view source, SourcePosition& out) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    if (!s || s->feed_under_way(source)) return false;
    if (source.empty()) out.seq = s->store->last_seq();
    else if (const SourcePosition* known = s->source_positions.find(source)) out = *known;
    return true;
  }

  static std::vector<uint64_t> stream_deleted(Kernel& k, uint64_t stream, uint64_t limit) {
    Kernel::Guard g(k);
    std::vector<uint64_t> out;
    Stream* s = find(k, stream);
    if (!s || !s->store->messages()) return out;
    for (uint64_t seq = s->store->first_seq(); seq < s->store->last_seq() && out.size() < limit;) {
      uint64_t live = s->store->next_live(seq + 1), next = live ? live : s->store->last_seq() + 1;
      for (uint64_t gap = seq + 1; gap < next && out.size() < limit; gap++) out.push_back(gap);
      seq = next;
    }
    return out;
  }
  static void start_consumer(Kernel& k, uint64_t stream, uint32_t consumer) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    Consumer* c = s ? s->consumer(consumer) : nullptr;
    if (!c || !c->held) return;
    c->held = false;
    c->wake();
    k.wake();
  }
  static bool unpin_consumer(Kernel& k, uint64_t stream, uint32_t consumer) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    Consumer* c = s ? s->consumer(consumer) : nullptr;
    if (!c) return false;
    c->unpin();
    k.wake();
    return true;
  }
  // Counts for a part of a millisecond. False: there is more, which whoever needs the number asks for again.
  static bool count_pending(Kernel& k, uint64_t stream, uint32_t consumer) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    Consumer* c = s ? s->consumer(consumer) : nullptr;
    if (!c) return true;
    WorkShare share = JetStream::of(k)->search_share();
    return c->count_pending(share);
  }
  static bool consumer_state(Kernel& k, uint64_t stream, uint32_t consumer, ConsumerView& out) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    Consumer* c = s ? s->consumer(consumer) : nullptr;
    if (!c) return false;
    k.look_at_clock();
    out = c->view();
    k.wake();  // requests that have expired were told so
    return true;
  }

  enum class Select : uint8_t { exact, last, next };
  static MessageRow get(Kernel& k, uint64_t stream, Select select, string_view subject, uint64_t seq) {
    MessageRow out;
    read_aside(k, stream, [&](Stream& s, ReadBuffer& buffer, bool may_block) {
      MessageStore& m = *s.store;
      uint64_t found = seq;
      if (select == Select::last) found = s.last_on(subject.empty() ? string_view(">") : subject);
      if (select == Select::next) found = next_on(m, subject, std::max<uint64_t>(seq, 1));
      if (!found || !m.live(found)) return ReadStatus::missing;
      StoredMessage message{};
      ReadStatus status = may_block ? m.read_blocking(found, message, buffer) : m.read(found, message, buffer);
      out.damaged = status == ReadStatus::damaged;
      if (out.damaged) s.found_damaged(out.seq = found);
      if (status == ReadStatus::ok)
        out = {true, false, message.seq, message.time_ns, std::string(message.subject), std::string(message.header),
               std::string(message.body)};
      return status;
    });
    return out;
  }
  static uint64_t next_on(const MessageStore& m, string_view subject, uint64_t from) {
    from = std::max<uint64_t>(from, 1);
    if (subject.empty() || subject == ">") return m.next_live(from);
    uint64_t found = 0;
    m.match_subjects(subject, [&](uint32_t id) {
      uint64_t n = m.next_on_subject(id, from);
      if (n && (!found || n < found)) found = n;
    });
    return found;
  }
  static uint64_t first_at_or_after(Kernel& k, uint64_t stream, int64_t time_ns) {
    uint64_t seq = 0;
    read_aside(k, stream, [&](Stream& s, ReadBuffer& buffer, bool may_block) {
      if (!may_block) return s.store->seek_time(time_ns, seq, buffer);
      seq = s.store->first_at_or_after(time_ns, buffer);
      return ReadStatus::ok;
    });
    return seq;
  }

  // What is not in memory is read by the I/O pool, without the lock: only the caller waits. A kernel whose turns somebody else
  // drives reads at once.
  template <class Read>
  static void read_aside(Kernel& k, uint64_t stream, Read read) {
    constexpr auto kPatience = std::chrono::seconds(5);
    auto buffer = std::make_unique<ReadBuffer>();
    std::mutex mutex;
    std::condition_variable came;
    bool ended = false, may_block = !k.has_thread();
    const auto patience_ends = std::chrono::steady_clock::now() + kPatience;  // what passes may not pass soon
    for (;;) {
      {
        Kernel::Guard g(k);
        Stream* s = find(k, stream);
        if (!s || read(*s, *buffer, may_block) != ReadStatus::pending) return buffer.reset();  // under the lock: the pool knows it
        ended = false;
        buffer->ready = [&] {
          std::lock_guard<std::mutex> lock(mutex);
          ended = true;
          came.notify_one();
        };
      }
      std::unique_lock<std::mutex> lock(mutex);
      may_block = !came.wait_for(lock, kPatience, [&] { return ended; });  // no turn came: the kernel stops
      may_block |= std::chrono::steady_clock::now() > patience_ends;
    }
  }
  static void check_all(Kernel& k) {
    Kernel::Guard g(k);
    JetStream* js = JetStream::of(k);
    if (!js) return;
    for (auto& [id, s] : js->streams()) {
      if (s->group.offline) continue;
      s->store->check();
      for (auto& [cid, c] : s->consumers) c->check();
      s->check();
    }
  }
  // Messages that a stream's indexes of times to live and of schedules name, for tests.
  static std::pair<uint64_t, uint64_t> index_sizes(Kernel& k, uint64_t stream) {
    Kernel::Guard g(k);
    JetStream* js = JetStream::of(k);
    Stream* s = js ? js->stream(stream) : nullptr;
    return s ? std::pair<uint64_t, uint64_t>(s->ttls_.size(), s->schedules_.size()) : std::pair<uint64_t, uint64_t>();
  }
  // Of all streams in files that are at rest, by id. Slow, for tests.
  static std::vector<std::pair<uint64_t, std::string>> canonical_states(Kernel& k) {
    Kernel::Guard g(k);
    std::vector<std::pair<uint64_t, std::string>> out;
    if (JetStream* js = JetStream::of(k))
      for (auto& [id, s] : js->streams())
        if (s->group.logged && CanonicalState::at_rest(*s)) out.emplace_back(id, CanonicalState::of(*s));
    std::sort(out.begin(), out.end());
    return out;
  }
  // What was applied since the last call; from the first call on it is kept.
  static std::vector<JetStream::AppliedEntry> take_applied(Kernel& k) {
    Kernel::Guard g(k);
    auto next = std::make_unique<std::vector<JetStream::AppliedEntry>>();
    next.swap(JetStream::of(k)->applied_log);
    return next ? std::move(*next) : std::vector<JetStream::AppliedEntry>();
  }
  static std::string follow(Kernel& k, const JetStream::AppliedEntry& entry) {
    Kernel::Guard g(k);
    JetStream& js = *JetStream::of(k);
    js.follow(entry);
    return js.stats().failed;
  }
  static void take_offline(Kernel& k, uint64_t stream, const std::string& reason) {
    Kernel::Guard g(k);
    if (Stream* s = find(k, stream)) s->go_offline(reason);
    k.wake();
  }
  // False: an entry is being applied, or to lead, entries of an earlier reign still wait for it.
  static bool set_leader(Kernel& k, uint64_t stream, bool leads) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    if (!s || s->working() || (leads && !s->group.inflight.empty())) return false;
    if (leads) s->lead();
    else s->resign();
    k.wake();
    return true;
  }
  static JetStreamStats store_stats(Kernel& k) {
    Kernel::Guard g(k);
    JetStream* js = JetStream::of(k);
    return js ? js->stats() : JetStreamStats();
  }
  static void checkpoint(Kernel& k) {
    Kernel::Guard g(k);
    if (JetStream* js = JetStream::of(k)) js->request_checkpoint();
    k.wake();
  }

  // Runs a proposal under the lock with the time of now, and wakes the kernel's thread to take it up.
  template <class F>
  static auto propose(Kernel& k, F f) -> decltype(f(std::declval<JetStream&>())) {
    Kernel::Guard g(k);
    JetStream* js = JetStream::of(k);
    if (!js) return {};
    auto r = f(*js);
    k.wake();
    return r;
  }
  static uint64_t create_stream(Kernel& k, uint64_t token, uint32_t account, string_view name, string_view description,
                                const StreamSpec& spec) {
    return propose(k, [&](JetStream& js) -> uint64_t {
      Account* a = k.account(account);
      return a ? js.create_stream(token, *a, name, description, spec) : 0;
    });
  }
  static uint64_t begin_restore(Kernel& k, uint64_t token, uint32_t account, string_view name, string_view description, StreamSpec spec) {
    spec.restoring = true;
    return create_stream(k, token, account, name, description, spec);
  }
  static bool update_stream(Kernel& k, uint64_t token, uint64_t stream, string_view description, const StreamSpec& spec) {
    return propose(k, [&](JetStream& js) { return js.update_stream(token, stream, description, spec); });
  }
  static bool delete_stream(Kernel& k, uint64_t token, uint64_t stream) {
    return propose(k, [&](JetStream& js) { return js.delete_stream(token, stream); });
  }
  static bool purge(Kernel& k, uint64_t token, uint64_t stream, string_view filter, uint64_t seq, uint64_t keep) {
    return propose(k, [&](JetStream& js) { return js.purge(token, stream, filter, seq, keep); });
  }
  static bool remove_message(Kernel& k, uint64_t token, uint64_t stream, uint64_t seq, bool erase) {
    return propose(k, [&](JetStream& js) { return js.remove_message(token, stream, seq, erase); });
  }
  static uint32_t create_consumer(Kernel& k, uint64_t token, uint64_t stream, string_view name, string_view description,
                                  const ConsumerSpec& spec) {
    return propose(k, [&](JetStream& js) { return js.create_consumer(token, stream, name, description, spec); });
  }
  static bool update_consumer(Kernel& k, uint64_t token, uint64_t stream, uint32_t consumer, string_view description,
                              const ConsumerSpec& spec) {
    return propose(k, [&](JetStream& js) { return js.update_consumer(token, stream, consumer, description, spec); });
  }
  static bool delete_consumer(Kernel& k, uint64_t token, uint64_t stream, uint32_t consumer) {
    return propose(k, [&](JetStream& js) { return js.delete_consumer(token, stream, consumer); });
  }
  static bool reset_consumer(Kernel& k, uint64_t token, uint64_t stream, uint32_t consumer, uint64_t seq) {
    return propose(k, [&](JetStream& js) { return js.reset_consumer(token, stream, consumer, seq); });
  }

  // --- backup and restore
  static void unserve(Kernel& k, uint32_t account, string_view subject) {
    Kernel::Guard g(k);
    if (Account* a = k.account(account)) k.unserve(*a, subject);
  }
  static uint64_t open_backup(Kernel& k, uint64_t stream, uint64_t last_seq) {
    Kernel::Guard g(k);
    JetStream* js = JetStream::of(k);
    return js ? js->open_backup(stream, last_seq) : 0;
  }
  static void close_backup(Kernel& k, uint64_t backup) {
    Kernel::Guard g(k);
    if (JetStream* js = JetStream::of(k)) js->close_backup(backup);
  }
  enum class BackupOutcome : uint8_t { more, pending, end, damaged, gone };
  static BackupOutcome read_backup(Kernel& k, uint64_t backup, size_t bytes_max, Buffer& out, uint64_t& next_seq) {
    Kernel::Guard g(k);
    JetStream* js = JetStream::of(k);
    BackupReader* reader = js ? js->backup(backup) : nullptr;
    Stream* s = reader ? find(k, reader->stream_id) : nullptr;
    if (!s) return BackupOutcome::gone;
    auto outcome = (BackupOutcome)reader->read(*s->store, out, bytes_max);
    next_seq = reader->next_seq();
    if (outcome == BackupOutcome::pending) k.wake();  // its completion runs at the end of a turn
    return outcome;
  }
  static bool consumer_progress(Kernel& k, uint64_t stream, uint32_t consumer, Consumer::Progress& out) {
    Kernel::Guard g(k);
    Stream* s = find(k, stream);
    Consumer* c = s ? s->consumer(consumer) : nullptr;
    if (!c) return false;
    out = c->progress();
    return true;
  }
  static RestoredBatch restore_messages(Kernel& k, uint64_t token, uint64_t stream, string_view records, uint64_t last_seq,
                                        const RestoreLimits& limits) {
    return propose(k, [&](JetStream& js) {
      k.look_at_clock();
      return js.restore_messages(token, stream, records, last_seq, limits);
    });
  }
  static uint32_t restore_consumer(Kernel& k, uint64_t token, uint64_t stream, string_view name, string_view description,
                                   const ConsumerSpec& spec, string_view state) {
    return propose(k, [&](JetStream& js) { return js.restore_consumer(token, stream, name, description, spec, state); });
  }
  static bool restore_end(Kernel& k, uint64_t token, uint64_t stream, uint64_t last_seq, int64_t last_time_ns) {
    return propose(k, [&](JetStream& js) { return js.restore_end(token, stream, last_seq, last_time_ns); });
  }

 private:
  // Null also for a stream that is offline: nothing of it can be asked.
  static Stream* find(Kernel& k, uint64_t stream) {
    JetStream* js = JetStream::of(k);
    Stream* s = js ? js->stream(stream) : nullptr;
    return s && !s->group.offline ? s : nullptr;
  }
};

}  // namespace slipstream
