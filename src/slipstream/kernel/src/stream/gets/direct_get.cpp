#include "stream/gets/direct_get.hpp"

#include <algorithm>

#include "clock/rfc3339.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr int kStepsPerTurn = 16 << 10;
constexpr size_t kBytesPerTurn = 1 << 20;
constexpr size_t kCongestedBytes = 4 << 20;  // pending output of the receiver at which a batch waits
constexpr size_t kCostPerTurn = 8 << 20;
constexpr size_t kRunCost = 4 << 10, kStepCost = 64;  // in bytes sent, about

}  // namespace

std::string positioned_header(string_view stream, const StoredMessage& m) {
  std::string header(m.header.size() > 2 ? m.header.substr(0, m.header.size() - 2) : string_view("NATS/1.0\r\n"));
  header.append("Nats-Stream: ").append(stream).append("\r\nNats-Subject: ").append(m.subject);
  header += "\r\nNats-Sequence: " + std::to_string(m.seq) + "\r\nNats-Time-Stamp: " + rfc3339(m.time_ns) + "\r\n";
  return header;
}

// The request: most are for one message that is in memory, and end here.
void Stream::direct_get(string_view subject, string_view reply, string_view header, string_view body) {
  if (reply.empty()) return;
  auto refuse = [&](const char* status) {
    host.kernel.publish(account, reply, {}, "NATS/1.0 " + std::string(status) + "\r\n\r\n", {});
  };
  if (group.offline) return refuse("503 Stream Is Offline");
  if (needs_higher_level(header, host.kernel.limits.api_level)) return refuse("412 Required Api Level");
  size_t prefix = subject.find('.', sizeof("$JS.API.DIRECT.GET.") - 1);
  bool by_subject = prefix != string_view::npos;
  GetRequest request;
  if (const char* status = read_get_request(body, by_subject, by_subject ? subject.substr(prefix + 1) : string_view(), request))
    return refuse(status);
  bool simple = !request.is_batch() && !request.is_multi() && !request.start_time_ns && !has_wildcard(request.next_by_subject);
  bool crowded = host.direct_gets.crowded();
  if (simple && !crowded) {
    uint64_t seq = request.seq;
    if (!request.last_by_subject.empty()) seq = last_on(request.last_by_subject);
    if (!request.next_by_subject.empty()) {
      uint32_t id = store->find_subject(request.next_by_subject);
      seq = id == kNoSubject ? 0 : store->next_on_subject(id, std::max<uint64_t>(seq, 1));
    }
    if (!seq || !store->live(seq)) return refuse("404 Message Not Found");
    StoredMessage m{};
    ReadStatus status = store->read(seq, m, *get_reader_);
    if (status == ReadStatus::ok) {
      if (request.no_header) return (void)host.kernel.publish(account, reply, {}, {}, m.body);
      return (void)host.kernel.publish(account, reply, {}, positioned_header(name, m) + "\r\n", m.body);
    }
    if (status == ReadStatus::missing) return refuse("404 Message Not Found");
    if (status == ReadStatus::damaged) return found_damaged(seq), refuse("500 message is damaged");
  }
  if (host.direct_gets.full(request.bytes)) return refuse("429 Too Many Requests");
  // The reader may be under way to what is asked for.
  auto get = std::make_unique<DirectGet>(*this, reply, std::move(request), std::exchange(get_reader_, std::make_unique<ReadBuffer>()));
  if (crowded || get->run() != DirectGet::Progress::done) host.direct_gets.add(std::move(get));
}

DirectGet::DirectGet(Stream& stream, string_view reply, GetRequest request, std::unique_ptr<ReadBuffer> reader)
    : stream_(stream), host_(stream.host), store_(*stream.store), request_(std::move(request)), reader_(std::move(reader)) {
  target_.subject = reply;
  at_ = request_.seq;
  up_to_ = request_.up_to_seq;
  if (!request_.last_by_subject.empty()) at_ = stream_.last_on(request_.last_by_subject);
  if (!request_.max_bytes) request_.max_bytes = host_.kernel.limits.max_pending;
  if (request_.is_multi()) phase_ = request_.up_to_time_ns ? Phase::seek_time : Phase::find_last;
  else if (request_.start_time_ns) phase_ = Phase::seek_time;
  else if (request_.is_batch()) phase_ = Phase::count;
  count_at_ = at_;
  counted_to_ = store_.last_seq();
}

DirectGet::Progress DirectGet::run() {
  steps_ = kStepsPerTurn;
  bytes_left_ = kBytesPerTurn;
  for (;;) {
    Progress p = Progress::done;
    switch (phase_) {
      case Phase::seek_time: p = seek_time(); break;
      case Phase::count:
      case Phase::count_again: p = count(); break;
      case Phase::send: p = send(); break;
      case Phase::find_last: p = find_last(); break;
      case Phase::scan_last: p = scan_last(); break;
      case Phase::send_last: p = send_last(); break;
      case Phase::end: return Progress::done;
    }
    if (p != Progress::done) return p;
  }
}

size_t DirectGet::cost() const {
  return kRunCost + (kBytesPerTurn - bytes_left_) + (size_t)(kStepsPerTurn - std::max(steps_, 0)) * kStepCost;
}

// Here `done` means that a phase is over.
DirectGet::Progress DirectGet::go(Phase next) {
  phase_ = next;
  return Progress::done;
}

DirectGet::Progress DirectGet::refuse(const char* status) {
  answer("NATS/1.0 " + std::string(status) + "\r\n\r\n", {});
  return go(Phase::end);
}

// ------------------------------------------------------------------ where to begin

DirectGet::Progress DirectGet::seek_time() {
  bool multi = request_.is_multi();
  uint64_t seq = at_;
  if (multi) seq = scan_at_;
  ReadStatus status = store_.seek_time(multi ? *request_.up_to_time_ns : *request_.start_time_ns, seq, *reader_);
  (multi ? scan_at_ : at_) = seq;
  if (status == ReadStatus::pending) return Progress::waiting;
  if (multi) {
    if (seq <= store_.first_seq()) return refuse("404 No Results");
    up_to_ = seq - 1;
    return go(Phase::find_last);
  }
  count_at_ = at_;
  return go(request_.is_batch() ? Phase::count : Phase::send);
}

// The smallest live sequence >= from on a subject that is asked for. `later`: this turn has searched enough; it goes on at `from`.
DirectGet::Found DirectGet::next_match(uint64_t& from, uint64_t& found) {
  const std::string& filter = request_.next_by_subject;
  if (--steps_ < 0) return Found::later;
  from = std::max<uint64_t>(from, 1);
  if (filter.empty()) {
    found = store_.next_live(from);
  } else if (!has_wildcard(filter)) {
    uint32_t id = store_.find_subject(filter);
    found = id == kNoSubject ? 0 : store_.next_on_subject(id, from);
  } else {
    while ((found = store_.next_live(from)) && !subject_matches(filter, store_.subject_name(store_.subject_of(found)))) {
      from = found + 1;
      if (--steps_ < 0) return Found::later;
    }
  }
  return found ? Found::yes : Found::no;
}

// How many there are from where the batch begins, or goes on, up to the newest message.
DirectGet::Progress DirectGet::count() {
  if (request_.next_by_subject.empty()) {
    pending_ = store_.live_above(count_at_ ? count_at_ - 1 : 0) - store_.live_above(std::max(counted_to_, count_at_ ? count_at_ - 1 : 0));
  } else {
    for (uint64_t seq = 0;;) {
      Found f = next_match(count_at_, seq);
      if (f == Found::later) return Progress::more;
      if (f == Found::no || seq > counted_to_) break;
      pending_++;
      count_at_ = seq + 1;
    }
  }
  return phase_ == Phase::count ? go(Phase::send) : end_of_batch();
}

// ------------------------------------------------------------------ one message, or a batch of those that follow

DirectGet::Progress DirectGet::send() {
  bool batch = request_.is_batch();
  int64_t wanted = batch ? request_.batch : 1;
  while (sent_ < wanted) {
    uint64_t seq = at_;
    if (batch || !request_.next_by_subject.empty()) {
      Found f = next_match(at_, seq);
      if (f == Found::later) return Progress::more;
    }
    if (!seq || !store_.live(seq)) {
      if (wanted > 1 && sent_) break;
      return refuse("404 Message Not Found");
    }
    bool was_sent = false;
    Progress p = send_one(seq, was_sent);
    if (p != Progress::done || phase_ == Phase::end) return p;
    at_ = seq + 1;
    if (!was_sent) continue;
    sent_++;
    if (sent_bytes_ >= (uint64_t)std::max<int64_t>(request_.max_bytes, 0)) break;
  }
  if (!batch) return go(Phase::end);
  if (store_.last_seq() <= counted_to_) return end_of_batch();
  count_at_ = at_;
  counted_to_ = store_.last_seq();
  pending_ = 0;
  return go(Phase::count_again);
}

// `sent` stays false if the message has gone in the meantime.
DirectGet::Progress DirectGet::send_one(uint64_t seq, bool& sent) {
  if (bytes_left_ == 0) return Progress::more;
  bool several = request_.is_batch() || request_.is_multi();
  if (several && gone()) return go(Phase::end);
  if (several && congested()) {
    if (!reader_->waiting) reader_->reset();
    return Progress::waiting;
  }
  StoredMessage m{};
  ReadStatus status = store_.read(seq, m, *reader_);
  if (status == ReadStatus::pending) return Progress::waiting;
  if (status == ReadStatus::damaged) {
    stream_.found_damaged(seq);
    return refuse("500 message is damaged");
  }
  if (status == ReadStatus::missing) return several ? Progress::done : refuse("404 Message Not Found");
  if (request_.no_header && !request_.is_multi()) {
    answer({}, m.body);
  } else {
    std::string header = positioned_header(stream_.name, m);
    if (several) {
      if (request_.is_batch() && !request_.is_multi() && pending_) pending_--;
      header += "Nats-Num-Pending: " + std::to_string(pending_) + "\r\nNats-Last-Sequence: " + std::to_string(last_sent_) + "\r\n";
    }
    answer(header + "\r\n", m.body);
  }
  size_t size = m.subject.size() + m.header.size() + m.body.size();
  bytes_left_ -= std::min(bytes_left_, size + 64);
  sent_bytes_ += size;
  last_sent_ = seq;
  sent = true;
  return Progress::done;
}

DirectGet::Progress DirectGet::end_of_batch() {
  std::string header = "NATS/1.0 204 EOB\r\nNats-Num-Pending: " + std::to_string(pending_) +
                       "\r\nNats-Last-Sequence: " + std::to_string(last_sent_) + "\r\n";
  if (request_.is_multi()) header += "Nats-UpTo-Sequence: " + std::to_string(up_to_) + "\r\n";
  answer(header + "\r\n", {});
  return go(Phase::end);
}

// ------------------------------------------------------------------ the receiver

bool DirectGet::gone() {
  SubjectTrie& trie = stream_.account.trie;
  if (target_.seen_changes != trie.changes()) {
    trie.match_uncached(target_.subject, target_.match);
    target_.seen_changes = trie.changes();
  }
  return target_.match.empty();
}

bool DirectGet::congested() {
  if (target_.match.plain.size() != 1) return false;
  const Connection* receiver = target_.match.plain[0]->connection;
  return receiver && receiver->pending() > kCongestedBytes;
}

void DirectGet::answer(string_view header, string_view body) {
  host_.kernel.publish(stream_.account, target_.subject, {}, header, body);
}

// ------------------------------------------------------------------ all that wait

template <class Which>
void DirectGets::erase(Which which) {
  std::erase_if(gets_, [&](const auto& get) {
    bool goes = which(*get);
    if (goes) bytes_ -= get->request_bytes();
    return goes;
  });
}

void DirectGets::forget(const Stream& stream) {
  erase([&](const DirectGet& get) { return &get.stream() == &stream; });
}

// Those first whose bytes have come, so that few hold any. The others take turns.
bool DirectGets::run() {
  Turn turn;
  for (const auto& get : gets_) turn.holding += get->holds_bytes();
  size_t all = gets_.size();
  for (size_t i = 0; i < all; i++)
    if (gets_[i]->holds_bytes() && !gets_[i]->reading()) run_one(*gets_[i], turn);
  for (size_t i = 0; i < all; i++) {
    size_t at = (next_ + i) % all;
    DirectGet& get = *gets_[at];
    if (get.is_done() || get.holds_bytes()) continue;
    if (turn.holding >= kReadsAtOnce) break;
    if (turn.cost >= kCostPerTurn) {
      turn.more = true;
      next_ = at;
      break;
    }
    run_one(get, turn);
  }
  erase([](const DirectGet& get) { return get.is_done(); });
  return turn.more;
}

void DirectGets::run_one(DirectGet& get, Turn& turn) {
  size_t before = get.holds_bytes();
  turn.more |= get.run() == DirectGet::Progress::more;
  size_t holds = !get.is_done() && get.holds_bytes();
  turn.holding = turn.holding + holds - before;
  turn.cost += get.cost();
}

}  // namespace slipstream
