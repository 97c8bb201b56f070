// The kernel's side of JetStream: dispatch of what clients send, the log of each group, proposals, the work at the end of a turn.
// Opening, recovery and checkpoints are in jetstream/recovery.cpp.
#include "jetstream/jetstream.hpp"

#include <algorithm>

#include "message/message_headers.hpp"

namespace slipstream {
namespace {

constexpr int64_t kWorkNs = 500'000, kWorkLeastNs = 50'000;  // of a turn, for entries that take several
constexpr int64_t kSearchNs = 500'000;                       // of a turn, for what consumers look for or count

}  // namespace

JetStream::JetStream(Kernel& of_kernel) : StreamHost(of_kernel) { meta_.id = 0; }

JetStream::~JetStream() {
  stop();
  snapshot_.reset();
  for (auto& [id, s] : streams_) s->consumers.clear();
  streams_.clear();
  dropped_.clear();
  checkpoint_io_.reset();
  io_.reset();
  journal_.reset();  // before its disk and its keys
}

// ------------------------------------------------------------------ from the kernel

void JetStream::on_publish(void* target, string_view subject, string_view reply, string_view header, string_view body) {
  static_cast<Stream*>(target)->ingest(subject, reply, header, body);
}

void JetStream::on_request(Subscription& s, string_view subject, string_view reply, string_view header, string_view body) {
  if (s.dead) return;
  switch (s.kind) {
    case SubscriptionKind::pull:
      return static_cast<Consumer*>(s.target)->on_pull(reply, header, body);
    case SubscriptionKind::flow_reply:
      return static_cast<Consumer*>(s.target)->on_flow_reply(subject, header);
    case SubscriptionKind::direct_get:
      return static_cast<Stream*>(s.target)->direct_get(subject, reply, header, body);
    case SubscriptionKind::feed:
      return static_cast<Feed*>(s.target)->take(subject, reply, header, body);
    default:
      return;
  }
}

// $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, or with <domain>.<account hash>
// before the stream (C-110, C-111).
size_t JetStream::on_ack(Account& account, string_view subject, string_view reply, string_view body) {
  string_view tokens[14];
  size_t n = 0, start = 8;
  for (size_t i = 8; i <= subject.size() && n < 14; i++)
    if (i == subject.size() || subject[i] == '.') {
      tokens[n++] = subject.substr(start, i - start);
      start = i + 1;
    }
  size_t first = n == 7 ? 0 : n >= 9 ? 2 : SIZE_MAX;
  if (first == SIZE_MAX || account.id >= by_ack_name_.size()) return 0;
  if (first == 2 && (tokens[0] != kernel.domain_token() || tokens[1] != account.hash)) return 0;
  string_view key(tokens[first].data(), tokens[first].size() + 1 + tokens[first + 1].size());
  auto& names = by_ack_name_[account.id];
  auto it = names.find(key);
  if (it == names.end() || !it->second->hears_acks()) return 0;
  uint64_t v[3];
  for (size_t i = 0; i < 3; i++)
    if (!parse_unsigned(tokens[first + 2 + i], v[i])) v[i] = UINT64_MAX;  // no number: like one that was never delivered
  while (!body.empty() && (body.back() == '\n' || body.back() == '\r')) body.remove_suffix(1);
  it->second->on_ack(v[0], v[1], v[2], reply, body);
  return 1;
}

void JetStream::interest_changed(Account& account, string_view subject) {
  if (account.id >= push_consumers_.size()) return;
  auto& consumers = push_consumers_[account.id];
  if (auto it = consumers.find(subject); it != consumers.end())
    for (Consumer* c : it->second) c->interest_changed();
}

void JetStream::on_timer(Timer& t) {
  switch (t.kind) {
    case TimerKind::stream_age:
      return static_cast<Stream*>(t.owner)->age_timer_fired();
    case TimerKind::consumer:
      return static_cast<Consumer*>(t.owner)->on_timer();
    case TimerKind::batches:
      return static_cast<BatchStaging*>(t.owner)->on_timer();
    case TimerKind::fast_batches:
      return static_cast<FastIngest*>(t.owner)->on_timer();
    case TimerKind::schedules:
      return static_cast<Stream*>(t.owner)->schedule_timer_fired();
    case TimerKind::journal:
      if (journal_) journal_->sync_now();
      if (relaxed()) kernel.timers.set(journal_timer_, saturated_sum(kernel.now.monotonic_ns, options_.sync_interval_ns));
      return;
    default:
      return;
  }
}

void JetStream::end_of_turn() {
  busy_ = behind_ = false;
  if (io_) drain_io();
  if (!erasures_.empty()) run_erasures();
  release_offline_streams();
  for (size_t i = 0; i < dirty_streams_.size(); i++) {
    dirty_streams_[i]->dirty = false;
    dirty_streams_[i]->seal();
  }
  dirty_streams_.clear();
  for (size_t i = 0; i < acked_.size(); i++) {
    acked_[i]->acked = false;
    acked_[i]->propose_acks();
  }
  acked_.clear();
  append_unwritten();
  if (journal_) journal_->flush();
  watch_room();
  apply_committed();
  run_consumers();
  if (!direct_gets.empty() && direct_gets.run()) busy_ = true;
  const size_t delivered = delivered_.size();
  for (size_t i = 0; i < delivered; i++) {
    delivered_[i]->delivered_dirty = false;
    delivered_[i]->propose_delivered();  // where the log refuses it, again in the next turn
  }
  delivered_.erase(delivered_.begin(), delivered_.begin() + (std::ptrdiff_t)delivered);
  apply_committed();
  if (!ready_.empty() || !dirty_streams_.empty()) busy_ = true;
  release_offline_streams();
  if (journal_) {
    journal_->flush();
    if (journal_->failed() && failed_.empty()) fail(journal_->error());
    checkpoint_step();
  }
  if (!failed_.empty() && !reported_) {
    reported_ = true;
    EventRecord e{EventType::failed};
    e.s0 = failed_;
    kernel.emit(std::move(e));
  }
  dropped_.clear();
}

void JetStream::run_consumers() {
  std::vector<Consumer*> now;
  now.swap(ready_);
  for (Consumer* c : parked_) {
    if (c->ready) continue;
    c->ready = true;
    now.push_back(c);
  }
  parked_.clear();
  search = search_share();
  for (Consumer* c : now) {
    c->ready = false;
    if (c->run()) {
      mark_ready(*c);
      busy_ = true;
    }
  }
  if (!dirty_streams_.empty()) busy_ = true;  // a delivery reached a stream
}

// ------------------------------------------------------------------ the log

// In order, but for two things: where there is room for the reserve only, its entries pass those of other groups; and an entry
// that waits for a file of its own size lets the others pass.
void JetStream::append_unwritten() {
  if (unwritten_.empty() || !failed_.empty()) return;
  std::deque<std::pair<uint64_t, uint64_t>> waiting;
  waiting.swap(unwritten_);
  std::vector<uint64_t> blocked;  // groups with an earlier entry that still waits
  std::set<uint64_t> refused;        // there is no room for the file that an entry needs for itself
  bool only_reserve = false;
  while (!waiting.empty()) {
    auto [id, index] = waiting.front();
    waiting.pop_front();
    Stream* s = id ? stream(id) : nullptr;
    Group* g = id ? (s ? &s->group : nullptr) : &meta_;
    if (!g || g->offline) continue;
    Entry& e = g->inflight[index - g->inflight.front().index];
    const bool large = e.payload.size() >= options_.journal_file_bytes / 2;
    if (large && journal_->large_refused()) refused.insert(id);
    bool waits = refused.count(id) || std::find(blocked.begin(), blocked.end(), id) != blocked.end() || (only_reserve && !e.reserve);
    if (!waits && failed_.empty() && append(*g, e)) continue;
    e.end = kUnwritten;
    unwritten_.emplace_back(id, index);
    blocked.push_back(id);
    if (waits) continue;
    if (journal_->full()) checkpoint_wanted_ = true;
    if (!large) only_reserve = true;
  }
  if (!refused.empty()) withdraw_unwritten(refused);
}

bool JetStream::entry_committed(const Entry& e) const {
  if (e.end == kUnwritten) return false;
  if (!e.durable) return true;
  return (relaxed() || e.relaxed ? journal_->written() : journal_->synced()) >= e.end;
}

// A slow sync commits what came meanwhile all at once, which may be 100,000 messages of each stream: groups take turns then.
void JetStream::apply_committed() {
  working_ = 0;
  const bool limited = options_.threads && !recovering_ && !stopping_;
  int64_t end_ns = 0;
  bool spent = false;
  size_t i = 0;
  for (; i < active_.size() && !spent; i++) {
    Group& g = *active_[i];
    // Behind an entry that could not be applied nothing is: recovery will apply them all, in order.
    while (!spent && (failed_.empty() || !g.logged) && !g.offline && !g.inflight.empty() && entry_committed(g.inflight.front())) {
      if (limited && !end_ns) end_ns = read_clocks().monotonic_ns + kernel.turn_ns();
      if (!apply_first(g)) break;
      spent = limited && read_clocks().monotonic_ns >= end_ns;
    }
  }
  if (spent) {
    busy_ = behind_ = true;
    std::rotate(active_.begin(), active_.begin() + (ptrdiff_t)std::min(i, active_.size()), active_.end());
  }
  std::erase_if(active_, [](Group* g) {
    if (g->inflight.empty()) g->active = false;
    return g->inflight.empty();
  });
}

// False: it needs more turns, and stays the first one.
bool JetStream::apply_first(Group& g) {
  Entry& e = g.inflight.front();
  g.applied = e.index;
  note_change(g);
  Reader in(e.payload.view());
  if (g.id == 0) {
    apply_meta(e.kind, in, &e.proposal);
  } else if (Stream* s = stream(g.id)) {
    if (s->working()) s->go_on();
    else s->apply(e.kind, in, e.mine ? &e.proposal : nullptr);
    s->count_bytes();
    if (g.offline) [[unlikely]] s->abandon(e);
    if (s->working()) {
      g.applied = e.index - 1;
      working_++;
      busy_ = true;
      return false;
    }
  }
  if (applied_log && g.logged) [[unlikely]]
    applied_log->push_back({g.id, g.term, e.index, (uint8_t)e.kind, std::string(e.payload.view())});
  recycle(std::move(e.payload));
  recycle(std::move(e.proposal.replies));
  g.inflight.pop_front();
  return true;
}

// All that works in a turn shares one time; each has a little of it.
void JetStream::begin_share() {
  if (recovering_ || stopping_) return share.unlimited();
  share.begin(options_.threads, std::max(kWorkNs / (int64_t)(working_ + 1), kWorkLeastNs));
}

WorkShare JetStream::search_share() const {
  WorkShare fresh;
  fresh.begin(options_.threads, kSearchNs);
  return fresh;
}

void JetStream::apply_meta(EntryKind kind, Reader& in, const Proposal* mine) {
  uint64_t id = in.get64();
  if (kind == EntryKind::stream_create) {
    std::string account(in.get_text()), name(in.get_text()), description(in.get_text());
    uint64_t key_a = in.get64(), key_b = in.get64();
    StreamSpec spec;
    if (!spec.decode(in)) return fail("stream " + name + " has settings that this version cannot read: an entry is never skipped");
    next_stream_id_ = std::max(next_stream_id_, id + 1);
    if (recovering_ && streams_.count(id)) return;  // from what was kept while it was offline, or a round that only freed room
    if (streams_.count(id)) return fail("stream " + name + " would replace the one that has number " + std::to_string(id));
    auto s = std::make_unique<Stream>(*this, id, kernel.account(account), name, description, std::move(spec));
    s->set_dedupe_key(key_a, key_b);
    if (s->spec.first_seq > 0) s->store->set_sequences(s->spec.first_seq, s->spec.first_seq - 1, 0);
    if (leads_groups()) s->lead();
    note_change(s->group);
    streams_[id] = std::move(s);
  } else if (kind == EntryKind::stream_delete) {
    drop_stream(id);
  } else {
    return fail("the log of the server's streams has an entry of kind " + std::to_string((int)kind) +
                ", which this version does not know: an entry is never skipped");
  }
  if (mine && mine->token) committed(mine->token, 0);
}

void JetStream::drop_stream(uint64_t id) {
  auto it = streams_.find(id);
  if (it == streams_.end()) return;
  Stream& s = *it->second;
  if (snapshot_ && &snapshot_->stream() == &s) snapshot_.reset();
  s.detach();
  s.consumers.clear();
  std::erase(active_, &s.group);
  std::erase(dirty_streams_, &s);
  std::erase(going_offline_, id);
  std::erase(offline_, id);
  if (kept_ && kept_->streams().count(id)) erase_when_synced([this, id] { kept_->drop(id); });
  // Whoever waits for an entry of this stream that can no more be applied is answered through its closing.
  for (Entry& e : s.group.inflight)
    if (e.proposal.token) committed(e.proposal.token, 0);
  busy_ = true;  // the caller may be walking active_, which has just moved
  if (in_checkpoint(id)) {
    dropped_stores_.push_back({id, std::move(s.store)});
    checkpoint_wanted_ = true;
  } else {
    s.store->drop();
  }
  dropped_.push_back(std::move(it->second));
  streams_.erase(it);
  if (recovering_) dropped_.clear();
}

void JetStream::committed(uint64_t token, int64_t result) {
  EventRecord e{EventType::committed};
  e.a = token;
  e.t0 = result;
  kernel.emit(std::move(e));
}

// ------------------------------------------------------------------ proposals

Stream* JetStream::stream(uint64_t id) {
  auto it = streams_.find(id);
  return it == streams_.end() ? nullptr : it->second.get();
}

uint64_t JetStream::create_stream(uint64_t token, Account& account, string_view name, string_view description, const StreamSpec& spec) {
  uint64_t id = next_stream_id_++;
  Buffer p = buffer();
  p.put64(id);
  p.put_text(account.name);
  p.put_text(name);
  p.put_text(description);
  p.put64(kernel.random());
  p.put64(kernel.random());
  spec.encode(p);
  if (!spec.memory) return propose(meta_, EntryKind::stream_create, std::move(p), true, token, {}, true) ? id : 0;
  // A memory stream on one node lives as long as the process: nothing about it is logged.
  Reader in(p.view());
  Proposal mine{.token = token};
  apply_meta(EntryKind::stream_create, in, &mine);
  return id;
}

bool JetStream::update_stream(uint64_t token, uint64_t id, string_view description, const StreamSpec& spec) {
  Stream* s = stream(id);
  if (!s) return false;
  Buffer p = buffer();
  p.put_text(description);
  spec.encode(p);
  return propose(s->group, EntryKind::config, std::move(p), true, token, {}, true);
}

bool JetStream::delete_stream(uint64_t token, uint64_t id) {
  Stream* s = stream(id);
  if (s && !s->group.logged) {
    drop_stream(id);
    committed(token, 0);
    return true;
  }
  Buffer p = buffer();
  p.put64(id);
  return propose(meta_, EntryKind::stream_delete, std::move(p), true, token, {}, true);
}

bool JetStream::purge(uint64_t token, uint64_t id, string_view filter, uint64_t seq, uint64_t keep) {
  Stream* s = stream(id);
  if (!s) return false;
  Buffer p = buffer();
  p.put_text(filter);
  p.put64(seq);
  p.put64(keep);
  return propose(s->group, EntryKind::purge, std::move(p), true, token, {}, true);
}

bool JetStream::remove_message(uint64_t token, uint64_t id, uint64_t seq, bool erase) {
  Stream* s = stream(id);
  if (!s) return false;
  Buffer p = buffer();
  s->put_removal(seq, erase, p);
  return propose(s->group, EntryKind::remove, std::move(p), true, token, {}, true);
}

// Not where an update on its way has the stream go by the consumer's progress from now on.
static bool needs_no_sync(const Stream& s, const ConsumerSpec& consumer) {
  auto updates = [](const Entry& e) { return e.kind == EntryKind::config; };
  return s.forgets(consumer) && std::none_of(s.group.inflight.begin(), s.group.inflight.end(), updates);
}

uint32_t JetStream::create_consumer(uint64_t token, uint64_t id, string_view name, string_view description, const ConsumerSpec& spec) {
  Stream* s = stream(id);
  if (!s) return 0;
  uint32_t consumer = s->take_consumer_id();
  Buffer p = buffer();
  p.put32(consumer);
  p.put_text(name);
  p.put_text(description);
  spec.encode(p);
  s->put_start(spec, p);
  return propose(s->group, EntryKind::consumer_create, std::move(p), true, token, {}, true, needs_no_sync(*s, spec)) ? consumer : 0;
}

bool JetStream::update_consumer(uint64_t token, uint64_t id, uint32_t consumer, string_view description, const ConsumerSpec& spec) {
  Stream* s = stream(id);
  if (!s) return false;
  Consumer* c = s->consumer(consumer);
  if (c && spec.sourcing && !c->log_deliveries()) return false;
  Buffer p = buffer();
  p.put32(consumer);
  p.put_text(description);
  spec.encode(p);
  if (!propose(s->group, EntryKind::consumer_update, std::move(p), true, token, {}, true, needs_no_sync(*s, spec))) return false;
  if (c && spec.sourcing) c->expect_reset();
  return true;
}

bool JetStream::reset_consumer(uint64_t token, uint64_t id, uint32_t consumer, uint64_t seq) {
  Stream* s = stream(id);
  Consumer* c = s ? s->consumer(consumer) : nullptr;
  return c && c->propose_reset(token, seq);
}

bool JetStream::delete_consumer(uint64_t token, uint64_t id, uint32_t consumer) {
  Stream* s = stream(id);
  if (!s) return false;
  Buffer p = buffer();
  p.put32(consumer);
  Consumer* c = s->consumer(consumer);
  return propose(s->group, EntryKind::consumer_delete, std::move(p), true, token, {}, true, c && needs_no_sync(*s, c->spec));
}

// ------------------------------------------------------------------ consumers by name

void JetStream::register_consumer(Consumer& c, Stream& s) {
  uint32_t a = s.account.id;
  if (by_ack_name_.size() <= a) by_ack_name_.resize(a + 1);
  if (push_consumers_.size() <= a) push_consumers_.resize(a + 1);
  by_ack_name_[a][s.name + "." + c.name] = &c;
  if (c.spec.push()) push_consumers_[a][c.spec.deliver_subject].push_back(&c);
}

void JetStream::unregister_consumer(Consumer& c, Stream& s) {
  uint32_t a = s.account.id;
  if (by_ack_name_.size() <= a) return;
  auto it = by_ack_name_[a].find(s.name + "." + c.name);
  if (it != by_ack_name_[a].end() && it->second == &c) by_ack_name_[a].erase(it);
  auto of = push_consumers_[a].find(c.spec.deliver_subject);
  if (of == push_consumers_[a].end()) return;
  std::erase(of->second, &c);
  if (of->second.empty()) push_consumers_[a].erase(of);
}

}  // namespace slipstream
