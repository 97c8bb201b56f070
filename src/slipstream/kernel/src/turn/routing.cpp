// What a client's commands do: connect, subscribe, publish. And the way of a message to its receivers.
#include <algorithm>

#include "turn/kernel.hpp"

namespace slipstream {
namespace {

// May a subscription on `filter` match subjects below $JS.ACK? Then acks must also go through the trie.
bool hears_acks(string_view filter) {
  return filter[0] == '*' || filter[0] == '>' || filter.starts_with("$JS.ACK") || filter.starts_with("$JS.*") ||
         filter.starts_with("$JS.>");
}

// Parts of the API that the kernel serves itself: Python's subscription on $JS.API.> does not count as a responder for them.
bool served_by_kernel(string_view subject) {
  return subject.starts_with("$JS.API.CONSUMER.MSG.NEXT.") || subject.starts_with("$JS.API.DIRECT.GET.");
}

bool is_ack_subject(string_view subject) { return subject.size() > 8 && memcmp(subject.data(), "$JS.ACK.", 8) == 0; }
// What other parts of a NATS system talk about, and clients must not (K-083).
bool reserved_subject(string_view s) {
  return s.starts_with("$NRG.") || (s.starts_with("_GR_.") && s.size() > 5);
}

// Replies that would make the receiver's answer count as somebody else's (K-073).
bool reserved_reply(string_view s) {
  return (s.starts_with("$JS.ACK.") && s.size() > 8) || (s.starts_with("_GR_.") && s.size() > 5) ||
         s.starts_with("_R_.");
}

// Reached the maximum that its UNSUB set (K-093).
bool exhausted(const Subscription& s) { return s.max && s.delivered >= s.max; }

char* put(char* o, string_view s) {
  memcpy(o, s.data(), s.size());
  return o + s.size();
}

}  // namespace

// ------------------------------------------------------------------ from bytes to commands

size_t Kernel::parse(Connection& c, const char* p, size_t n) {
  if (limits.auth_required && !c.accepted && n && (p[0] | 0x20) != 'c') {
    // Nothing of a stranger's is kept until a whole command has come (K-001).
    write_error(c, "Authorization Violation");
    doom(c, "Authentication Failure");
    return n;
  }
  ProtocolParser parser;
  parser.limits = {(size_t)limits.max_control_line, limits.max_payload, limits.headers && c.options.headers};
  size_t used = 0;
  c.in_wanted = 0;
  blocked_by_ = nullptr;  // what JetStream delivered since is nothing to this connection
  begin_share();
  Command cmd;
  while (used < n) {
    ParseStatus status = parser.next(p + used, n - used, cmd);
    if (status == ParseStatus::need_more) {
      c.in_wanted = parser.wanted;
      break;
    }
    if (status != ParseStatus::command) {
      parse_failed(c, status);
      return n;
    }
    used += parser.consumed;
    bool go_on = run(c, cmd);
    if (c.doomed) return n;
    if (!go_on) break;
    if (c.answer_bytes > kAnswerBytesMax) [[unlikely]] {
      if (!c.want_write) flush(c);
      if (c.answer_bytes > kAnswerBytesMax) {  // it asks faster than it reads
        c.overfull = true;
        watch(c);
        break;
      }
    }
    if (blocked_by_) {
      Connection* by = blocked_by_;
      if (by != &c && !by->doomed) {
        pause(c);
        blocked_by_ = nullptr;
        break;
      }
      blocked_by_ = nullptr;
    }
    if (had_its_share(c) && backend->intake() == Intake::behind) [[unlikely]] {
      hold_publisher(c);
      break;
    }
    // Neither a burst to many subscribers nor commands that take long must hold up everybody else: the rest comes in the next turn.
    if (counters_.out_msgs - turn_out_msgs_ >= kDeliveriesPerTurn || (--commands_to_look_ == 0 && share_spent())) {
      if (used < n) resume(c);
      break;
    }
  }
  return used;
}

// By the clock, where the kernel has a thread of its own: a simulated run must repeat.
void Kernel::begin_share() {
  commands_to_look_ = std::max(commands_to_look_, 1u);
  if (!by_clock_) return;
  sharing_++;
  looked_ns_ = read_clocks().monotonic_ns;
  share_end_ns_ = looked_ns_ + share_ns_;
}

bool Kernel::share_spent() {
  commands_to_look_ = kCommandsPerLook;
  if (!by_clock_) return false;
  int64_t at_ns = read_clocks().monotonic_ns;
  if (at_ns - looked_ns_ > kSlowCommandsNs) commands_to_look_ = 1;
  looked_ns_ = at_ns;
  return at_ns >= share_end_ns_;
}

void Kernel::resume(Connection& c) {
  if (c.resume) return;
  c.resume = true;
  resume_.push_back(&c);
}

void Kernel::parse_failed(Connection& c, ParseStatus status) {
  switch (status) {
    case ParseStatus::line_long:
      write_error(c, "maximum control line exceeded");
      return doom(c, "Maximum Control Line Exceeded");
    case ParseStatus::payload_big:
      write_error(c, "Maximum Payload Violation");
      return doom(c, "Maximum Message Payload Exceeded");
    case ParseStatus::unknown:
      write_error(c, "Unknown Protocol Operation");
      [[fallthrough]];
    default:
      return doom(c, "Protocol Violation");
  }
}

bool Kernel::run(Connection& c, const Command& cmd) {
  if (limits.trace) [[unlikely]] trace_command(c, cmd);
  if (limits.auth_required && !c.accepted && cmd.verb != Verb::connect) {
    write_error(c, "Authorization Violation");
    doom(c, "Authentication Failure");
    return false;
  }
  switch (cmd.verb) {
    case Verb::pub:
    case Verb::hpub:
      on_publish(c, cmd);
      return true;
    case Verb::sub:
      on_subscribe(c, cmd);
      break;
    case Verb::unsub:
      on_unsubscribe(c, cmd);
      break;
    case Verb::ping:
      on_ping(c);
      return true;
    case Verb::pong:
      on_pong(c);
      return true;
    case Verb::connect:
      on_connect(c, cmd);
      return false;
    case Verb::err:
      doom(c, "Parse Error");
      return false;
    case Verb::none:
    case Verb::info:
    case Verb::ok:
      return true;
  }
  return !c.doomed;
}

void Kernel::on_connect(Connection& c, const Command& cmd) {
  c.state = ConnectionState::held;
  c.rtt_ns = std::max<int64_t>(1, now.wall_ns - c.start_ns);  // a first estimate, until a PING is answered
  watch(c);
  EventRecord e{EventType::connect};
  e.a = c.cid, e.b = (uint64_t)c.port, e.c = c.accepted;
  e.s0 = cmd.text, e.s1 = c.ip;
  emit(std::move(e));
}

void Kernel::on_ping(Connection& c) {
  c.pings_out = 0;
  write(c, "PONG\r\n");
  if (c.pinged || c.state != ConnectionState::open) return;
  c.pinged = true;
  if (c.options.protocol < 1) return;
  // In one piece with the PONG, so that a client has read it before it goes on.
  if (!connected_info_.empty()) append_info(c, connected_info_);
}

void Kernel::on_pong(Connection& c) {
  c.pings_out = 0;
  if (c.ping_sent_ns) c.rtt_ns = std::max<int64_t>(1, now.wall_ns - c.ping_sent_ns);
}

// ------------------------------------------------------------------ subscriptions

// In the order in which nats-server checks. A sid that lives keeps its first subscription (K-004).
void Kernel::on_subscribe(Connection& c, const Command& cmd) {
  if (cmd.queue == "_sys_")  // the server's own group (K-084)
    return write_error(c, "Permissions Violation for Subscription to \"" + std::string(cmd.subject) +
                              "\" using queue \"" + std::string(cmd.queue) + "\"");
  if (limits.max_subscriptions > 0 && (int64_t)c.subscriptions.size() >= limits.max_subscriptions)
    return write_error(c, "maximum subscriptions exceeded");
  if (c.subscriptions.find(cmd.sid) == c.subscriptions.end()) {
    if (!valid_subject(cmd.subject)) return write_error(c, "Invalid Subject");
    auto owned = std::make_unique<Subscription>();
    Subscription* s = owned.get();
    s->connection = &c;
    s->subject = cmd.subject;
    s->queue = cmd.queue;
    s->sid = cmd.sid;
    s->earlier = c.last_subscription;
    (s->earlier ? s->earlier->later : c.first_subscription) = s;
    c.last_subscription = s;
    c.subscriptions.emplace(s->sid, std::move(owned));
    c.account->trie.insert(s);
    if (hears_acks(s->subject)) c.account->ack_listeners++;
    if (backend) backend->interest_changed(*c.account, s->subject);
  }
  if (c.options.verbose) write(c, "+OK\r\n");
}

void Kernel::on_unsubscribe(Connection& c, const Command& cmd) {
  auto it = c.subscriptions.find(cmd.sid);
  if (it != c.subscriptions.end()) {
    Subscription* s = it->second.get();
    s->max = cmd.max;
    if (cmd.max == 0 || s->delivered >= cmd.max) unsubscribe(c, s);
  }
  if (c.options.verbose) write(c, "+OK\r\n");
}

void Kernel::unsubscribe(Connection& c, Subscription* s) {
  c.account->trie.remove(s);
  s->dead = true;
  if (hears_acks(s->subject)) c.account->ack_listeners--;
  (s->earlier ? s->earlier->later : c.first_subscription) = s->later;
  (s->later ? s->later->earlier : c.last_subscription) = s->earlier;
  auto it = c.subscriptions.find(s->sid);
  dead_subscriptions_.push_back(std::move(it->second));
  c.subscriptions.erase(it);
  if (backend) backend->interest_changed(*c.account, s->subject);
}

// In the order in which they came, so that a seed repeats a run. Those of a client with very many fall silent now and leave the trie
// over the next turns: nobody else waits for that.
void Kernel::leave(Connection& c) {
  if (c.leaving) return;
  if (c.subscriptions.size() <= kLeavesPerTurn) {
    while (c.first_subscription) unsubscribe(c, c.first_subscription);
    return;
  }
  c.leaving = true;
  c.account->trie.forget_results();
  leavers_.push_back({&c, nullptr});
}

void Kernel::remove_leaving() {
  for (size_t n = 0; n < kLeavesPerTurn && !leavers_.empty();) {
    Connection& c = *leavers_.front().connection;
    for (; n < kLeavesPerTurn && c.first_subscription; n++) unsubscribe(c, c.first_subscription);
    if (c.first_subscription) return;
    c.leaving = false;
    if (c.gone()) graveyard_.push_back(std::move(leavers_.front().owner));
    else admit(c);
    leavers_.pop_front();
  }
}

Subscription* Kernel::add_subscription(Account& a, SubscriptionKind kind, string_view subject, string_view queue,
                                       void* target) {
  auto owned = std::make_unique<Subscription>();
  Subscription* s = owned.get();
  s->kind = kind;
  s->subject = subject;
  s->queue = queue;
  s->target = target;
  own_subscriptions_[s] = std::move(owned);
  a.trie.insert(s);
  if (backend) backend->interest_changed(a, s->subject);
  return s;
}

void Kernel::remove_subscription(Account& a, Subscription* s) {
  a.trie.remove(s);
  s->dead = true;
  auto it = own_subscriptions_.find(s);
  dead_subscriptions_.push_back(std::move(it->second));
  own_subscriptions_.erase(it);
  if (backend) backend->interest_changed(a, s->subject);
}

void Kernel::serve(Account& a, string_view subject, uint32_t service) {
  Subscription* s = add_subscription(a, SubscriptionKind::service, subject, {}, nullptr);
  s->service = service;
  served_[{a.id, std::string(subject)}] = s;
}

void Kernel::unserve(Account& a, string_view subject) {
  auto it = served_.find({a.id, std::string(subject)});
  if (it == served_.end()) return;
  remove_subscription(a, it->second);
  served_.erase(it);
}

// ------------------------------------------------------------------ messages

void Kernel::set_domain(string_view name) {
  domain_ = name;
  domain_prefix_ = name.empty() ? std::string() : "$JS." + domain_ + ".API.";
}

// What nats-server's subject mappings of a domain do: the API, and the subjects of buckets behind the API's prefix.
string_view Kernel::without_domain(string_view subject, std::string& rewritten) const {
  if (domain_prefix_.empty() || !subject.starts_with(domain_prefix_)) return subject;
  string_view rest = subject.substr(domain_prefix_.size());
  if (rest.starts_with("$KV.") || rest.starts_with("$OBJ.")) return rest;
  rewritten = "$JS.API.";
  return rewritten += rest;
}

void Kernel::on_publish(Connection& c, const Command& cmd) {
  c.in_msgs++;
  c.in_bytes += cmd.header.size() + cmd.body.size();
  counters_.in_msgs++;
  counters_.in_bytes += cmd.header.size() + cmd.body.size();
  if (c.options.pedantic && !valid_literal(cmd.subject)) write_error(c, "Invalid Publish Subject");
  if (reserved_subject(cmd.subject))
    return write_error(c, "Permissions Violation for Publish to \"" + std::string(cmd.subject) + "\"");
  if (reserved_reply(cmd.reply))
    return write_error(c, "Permissions Violation for Publish with Reply of \"" + std::string(cmd.reply) + "\"");
  if (c.options.verbose) write(c, "+OK\r\n");
  Account& a = *c.account;
  size_t receivers = 0;
  std::string rewritten;
  string_view subject = without_domain(cmd.subject, rewritten);
  bool is_ack = backend && is_ack_subject(subject);
  const uint64_t ingested_before = ingested_bytes_;
  in_publish_ = true;
  if (is_ack) receivers = backend->on_ack(a, subject, cmd.reply, cmd.body);
  if (!is_ack || a.ack_listeners)
    receivers += route(a, a.trie.match(subject), subject, cmd.reply, cmd.header, cmd.body, &c);
  in_publish_ = false;
  if (ingested_bytes_ != ingested_before) count_ingested(c, ingested_bytes_ - ingested_before);
  if (receivers == 0 && !cmd.reply.empty() && c.options.no_responders) no_responders(c, cmd.subject, cmd.reply);
}

size_t Kernel::publish(Account& a, string_view subject, string_view reply, string_view header, string_view body) {
  size_t receivers = 0;
  std::string rewritten;
  subject = without_domain(subject, rewritten);
  bool is_ack = backend && is_ack_subject(subject);
  if (is_ack) receivers = backend->on_ack(a, subject, reply, body);
  if (!is_ack || a.ack_listeners) receivers += route(a, a.trie.match(subject), subject, reply, header, body, nullptr);
  return receivers;
}

size_t Kernel::route(Account& account, const MatchResult& match, string_view subject, string_view reply, string_view header,
                     string_view body, Connection* from) {
  if (match.plain.size() == 1 && match.queues.empty() && match.plain[0]->kind == SubscriptionKind::client) {
    Subscription* only = match.plain[0];
    bool echo = only->connection != from || from->options.echo;
    if (only->dead || exhausted(*only) || only->connection->doomed || !only->connection->hears() || !echo) return 0;
    deliver(only, subject, reply, header, body);
    return 1;
  }
  // Receivers that may answer at once would match again and so overwrite `match`: they come last, from a list of
  // their own. And no subscription leaves the trie (nor a vector of `match`) while it is walked.
  Subscription* few[8];
  std::vector<Subscription*> many;
  size_t few_count = 0, receivers = 0;
  auto willing = [&](const Subscription* s) {
    if (s->dead || exhausted(*s)) return false;
    if (!s->connection) return s->kind != SubscriptionKind::service || !served_by_kernel(subject);
    return !s->connection->doomed && s->connection->hears() && (s->connection != from || from->options.echo);
  };
  auto hand_to = [&](Subscription* s) {
    receivers++;
    if (s->kind == SubscriptionKind::client) deliver(s, subject, reply, header, body);
    else if (few_count < 8) few[few_count++] = s;
    else many.push_back(s);
  };
  walking_++;
  for (Subscription* s : match.plain)
    if (willing(s)) hand_to(s);
  for (const auto& members : match.queues) {
    size_t n = members.size(), start = n > 1 ? (size_t)(random() % n) : 0;
    for (size_t i = 0; i < n; i++) {
      Subscription* s = members[start + i < n ? start + i : start + i - n];
      if (!willing(s)) continue;
      hand_to(s);
      break;
    }
  }
  walking_--;
  auto answer = [&](Subscription* s) {
    if (s->kind == SubscriptionKind::service) {
      hand_to_python(s->service, account, from ? from->cid : 0, subject, reply, header, body);
    } else if (s->kind == SubscriptionKind::stream) {
      backend->on_publish(s->target, subject, reply, header, body);
    } else {
      backend->on_request(*s, subject, reply, header, body);
    }
  };
  for (size_t i = 0; i < few_count; i++)
    if (!few[i]->dead) answer(few[i]);
  for (Subscription* s : many)
    if (!s->dead) answer(s);
  if (!walking_ && !exhausted_.empty()) drop_exhausted();
  return receivers;
}

void Kernel::hand_to_python(uint32_t service, Account& account, uint64_t cid, string_view subject, string_view reply,
                            string_view header, string_view body) {
  RequestQueue queue = request_queue(service, subject);
  EventRecord e{EventType::request};
  e.a = service, e.b = account.id, e.c = cid;
  e.s0 = subject, e.s1 = reply, e.s2 = header, e.s3 = body;
  queue_request(cid, queue, std::move(e));
}

// Subscriptions that had their last message go at once: the same sid may be used again by the next command.
void Kernel::drop_exhausted() {
  for (size_t i = 0; i < exhausted_.size(); i++) {
    Subscription* s = exhausted_[i];
    if (!s->dead) unsubscribe(*s->connection, s);
  }
  exhausted_.clear();
}

void Kernel::deliver(Subscription* s, string_view subject, string_view reply, string_view header, string_view body) {
  Connection& c = *s->connection;
  if (s->dead || c.doomed || !c.hears() || exhausted(*s)) return;
  if (!c.options.headers) header = {};
  char* start = c.room(subject.size() + reply.size() + s->sid.size() + header.size() + body.size() + 64);
  char* o = put(start, header.empty() ? string_view("MSG ") : string_view("HMSG "));
  o = put(o, subject);
  *o++ = ' ';
  o = put(o, s->sid);
  *o++ = ' ';
  if (!reply.empty()) {
    o = put(o, reply);
    *o++ = ' ';
  }
  if (!header.empty()) {
    o += format_u64(o, header.size());
    *o++ = ' ';
  }
  o += format_u64(o, header.size() + body.size());
  o = put(o, "\r\n");
  if (limits.trace) [[unlikely]] trace_sent(c, {start, (size_t)(o - start)}, header, body);
  if (!header.empty()) o = put(o, header);
  if (!body.empty()) o = put(o, body);
  o = put(o, "\r\n");
  c.out.grow((size_t)(o - start));
  mark_dirty(c);
  s->delivered++;
  size_t payload = header.size() + body.size();
  c.out_msgs++;
  c.out_bytes += payload;
  counters_.out_msgs++;
  counters_.out_bytes += payload;
  if (exhausted(*s)) {
    exhausted_.push_back(s);
    if (!walking_) drop_exhausted();
  }
  if (c.pending() > kFlushBytes) check_pending(c);
}

// To a plain subscription of the requester itself; one in a queue group does not count, as in nats-server.
void Kernel::no_responders(Connection& c, string_view subject, string_view reply) {
  const MatchResult& match = c.account->trie.match(reply);
  auto own = std::find_if(match.plain.begin(), match.plain.end(),
                          [&](const Subscription* s) { return s->connection == &c; });
  if (own == match.plain.end()) return;
  std::string header = "NATS/1.0 503\r\nNats-Subject: " + std::string(subject) + "\r\n\r\n";
  deliver(*own, reply, {}, header, {});
}

// ------------------------------------------------------------------ what Python says about connections

Connection* Kernel::find(uint64_t cid) {
  auto it = connections_.find(cid);
  return it == connections_.end() ? nullptr : it->second.get();
}

bool Kernel::accept(uint64_t cid, uint32_t account_id, const ConnectOptions& options) {
  Connection* c = find(cid);
  Account* a = account(account_id);
  if (!c || c->doomed || !a) return false;
  if (c->state != ConnectionState::held || c->leaving) return false;
  if (c->accepted || c->account != a) leave(*c);  // a second CONNECT starts anew, as somebody else perhaps (K-001)
  c->options = options;
  if (!c->accepted) {  // the first PING comes early, to measure the round trip
    int64_t first_ns = std::min(kFirstPingNs, limits.ping_interval_ns);
    timers.set(c->timer, now.monotonic_ns + first_ns + (int64_t)(random() % (uint64_t)(first_ns / 5 + 1)));
  }
  c->accepted = true;
  c->next_account = a;
  if (!c->leaving) admit(*c);
  wake();
  return true;
}

void Kernel::admit(Connection& c) {
  c.account = c.next_account;
  c.state = ConnectionState::open;
  if (c.options.verbose) write(c, "+OK\r\n");
  watch(c);
  if (!c.in.empty()) resume(c);
}

void Kernel::refuse(uint64_t cid, string_view error, const char* reason) {
  Connection* c = find(cid);
  if (!c) return;
  if (!error.empty()) write_error(*c, error);
  doom(*c, reason);
  wake();
}

void Kernel::disconnect(uint64_t cid, const char* reason) { refuse(cid, {}, reason); }

void Kernel::send_error(uint64_t cid, string_view error) {
  if (Connection* c = find(cid)) write_error(*c, error), wake();
}

void Kernel::set_info(std::string json, std::string connected) {
  info_ = std::move(json);
  connected_info_ = std::move(connected);
}

void Kernel::append_info(Connection& c, const std::string& json) {
  std::string line = "INFO " + json.substr(0, json.rfind('}'));
  if (line.back() != '{') line += ',';
  line += "\"client_id\":" + std::to_string(c.cid) + ",\"client_ip\":\"" + c.ip + "\"} \r\n";
  write(c, line);
}

void Kernel::broadcast_info(const std::string& json) {
  for (auto& [cid, c] : connections_)
    if (c->options.protocol >= 1 && c->pinged && !c->doomed) append_info(*c, json);
  wake();
}

}  // namespace slipstream
