// The way of an origin's messages into the stream's log. See feed.hpp.
#include "stream/origins/feed.hpp"

#include <algorithm>
#include <utility>

#include "message/header_block.hpp"
#include "message/message_headers.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {
namespace {

constexpr uint64_t kFeedBehindBytes = 8 << 20;         // of a stream, in flight: an origin on this server waits
constexpr uint64_t kFeedOverrunBytes = 128 << 20;      // an origin that does not wait is cut off and asked again
constexpr uint64_t kCaughtUpMessages = 10;          // fewer still to come: direct gets may be answered here
constexpr size_t kFlowRepliesMax = 16;             // an origin has one request under way

string_view header_field(string_view header, string_view line_start) {
  size_t at = header.find(line_start);
  if (at == string_view::npos) return {};
  at += line_start.size();
  return header.substr(at, header.find("\r\n", at) - at);
}

}  // namespace

Feed::Feed(Stream& stream, uint32_t i, FeedSpec s)
    : id(i), spec(std::move(s)), stream_(stream), origin_seq_(std::max(spec.after, spec.delivered)), logged_seq_(spec.after),
      restarts_(spec.restart) {
  for (const auto& [source, destination] : spec.transforms)
    if (auto transform = SubjectTransform::compile(source, destination)) transforms_.push_back(std::move(transform));
}

Feed::~Feed() { close(); }

void Feed::open() {
  StreamHost& host = stream_.host;
  seen_ns_ = host.kernel.now.wall_ns;
  skips_ = mirror() && spec.delivered > spec.after;
  if (skips_) begin_entry();
  subscription_ = host.kernel.add_subscription(stream_.account, SubscriptionKind::feed, spec.deliver_subject, {}, this);
}

void Feed::close() {
  closed = true;
  open_.clear();
  taken_ -= open_count_;
  open_count_ = 0;
  flow_replies_.clear();
  if (!subscription_) return;
  stream_.host.kernel.remove_subscription(stream_.account, subscription_);
  subscription_ = nullptr;
}

bool Feed::behind() const { return stream_.bytes_in_flight() + open_.size() >= kFeedBehindBytes; }

// $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>, or with <domain>.<account hash>
// before the stream (C-110, C-111).
bool Feed::parse(string_view reply, Delivery& out) {
  if (!reply.starts_with("$JS.ACK.")) return false;
  string_view tokens[12];
  size_t n = 0, start = 8;
  for (size_t i = 8; i <= reply.size() && n < 12; i++)
    if (i == reply.size() || reply[i] == '.') {
      tokens[n++] = reply.substr(start, i - start);
      start = i + 1;
    }
  size_t first = n == 7 ? 0 : n >= 9 ? 2 : SIZE_MAX;
  if (first == SIZE_MAX) return false;
  int64_t numbers[5];
  for (size_t i = 0; i < 5; i++)
    if ((numbers[i] = parse_number(tokens[first + 2 + i])) < 0) return false;
  out = {tokens[first + 1],      (uint64_t)numbers[0], (uint64_t)numbers[1], (uint64_t)numbers[2], (uint64_t)numbers[4],
         numbers[3]};
  return true;
}

void Feed::take(string_view subject, string_view reply, string_view header, string_view body) {
  if (closed || state_ != FeedState::open) return;
  seen_ns_ = stream_.host.kernel.now.wall_ns;
  if (spec.consumer.empty()) return stop(FeedState::gap);
  if (body.empty() && header.starts_with("NATS/1.0 100 ")) return control(reply, header);
  Delivery d;
  if (!parse(reply, d) || d.consumer != spec.consumer || d.deliveries > 1 || !in_order(d)) return;
  if (stream_.bytes_in_flight() + open_.size() >= kFeedOverrunBytes) return stop(FeedState::gap);
  lag_ = d.pending ? d.pending - 1 : 0;
  if (mirror() && d.pending < kCaughtUpMessages) stream_.mirror_caught_up();
  append(d, subject, header, body);
}

// Does this delivery come next? A gap in the delivery sequence is a lost message; one in the origin's sequence is not.
bool Feed::in_order(const Delivery& d) {
  bool next = d.consumer_seq == consumer_seq_ + 1;
  if (d.origin_seq <= origin_seq_) {
    consumer_seq_ += next;
    return false;
  }
  if (!next && !(mirror() && d.origin_seq == origin_seq_ + 1)) {
    if (mirror() || d.consumer_seq > consumer_seq_) stop(FeedState::gap);
    return false;
  }
  consumer_seq_ = d.consumer_seq;
  origin_seq_ = d.origin_seq;
  return true;
}

// A status: a flow control request has a reply subject, an idle heartbeat has none.
void Feed::control(string_view reply, string_view header) {
  if (!reply.empty()) {
    return reply_when_applied(reply, "NATS/1.0\r\nNats-Last-Consumer: " + std::to_string(consumer_seq_) +
                                         "\r\nNats-Last-Stream: " + std::to_string(origin_seq_) + "\r\n\r\n");
  }
  int64_t last = parse_number(header_field(header, "\r\nNats-Last-Consumer: "));
  if (last > 0 && (uint64_t)last != consumer_seq_) return stop(FeedState::gap);
  string_view stalled = header_field(header, "\r\nNats-Consumer-Stalled: ");
  if (stalled.empty()) return;
  for (const FlowReply& waiting : flow_replies_)
    if (waiting.reply == stalled) return;
  reply_when_applied(stalled, {});
}

void Feed::reply_when_applied(string_view reply, std::string header) {
  if (flow_replies_.size() == kFlowRepliesMax) flow_replies_.pop_front();
  flow_replies_.push_back({taken_, std::string(reply), std::move(header)});
  applied(0, false);
}

// ------------------------------------------------------------------ into the log

void Feed::begin_entry() {
  StreamHost& host = stream_.host;
  open_ = host.buffer();
  if (mirror()) {
    open_.put64(logged_seq_);
    open_.put64(skips_ ? spec.delivered : 0);
    if (skips_) logged_seq_ = spec.delivered;
  } else {
    open_.put64(restarts_ ? 0 : logged_seq_);
    open_.put64(0);  // the time, filled in by seal()
    open_.put8(restarts_);
    open_.put_text(spec.source);
    open_.put_text(spec.identity);
  }
  skips_ = restarts_ = false;
  host.mark_dirty(stream_);
}

void Feed::append(const Delivery& d, string_view subject, string_view header, string_view body) {
  if (open_.size() && open_.size() + subject.size() + header.size() + body.size() > kEntryBytes) seal();
  if (state_ != FeedState::open) return;
  string_view stored_on = transformed(subject);
  if (stored_on.size() > kSubjectBytesMax) return stop(FeedState::refused);
  if (open_.empty()) begin_entry();
  edited_.clear();
  if (!header.empty()) append_without_publish_checks(edited_, header, !mirror());
  if (!mirror()) source_header(edited_, d.origin_seq, subject);
  subject = stored_on;
  open_.put64(d.origin_seq);
  if (mirror()) open_.put64((uint64_t)d.time_ns);
  open_.put16((uint16_t)subject.size());
  open_.put32((uint32_t)edited_.size() | stream_.limits_verdict(subject.size(), edited_.size(), body.size()));
  open_.put32((uint32_t)body.size());
  open_.append(subject);
  open_.append(edited_);
  open_.append(body);
  logged_seq_ = d.origin_seq;
  open_count_++;
  taken_++;
}

// The source's own transform, the first that matches; then the stream's.
string_view Feed::transformed(string_view subject) {
  auto draw = [this] { return (uint32_t)(stream_.host.kernel.random() >> 33); };
  for (const auto& transform : transforms_) {
    if (!transform->transform(subject, draw, copied_on_)) continue;
    if (!copied_on_.empty() && copied_on_.size() <= UINT16_MAX) subject = copied_on_;
    break;
  }
  return stream_.transformed(subject, stored_on_);
}

// Nats-Stream-Source: <name> <sequence> <filters> <destinations> <subject> [<identity>] (S-184).
void Feed::source_header(std::string& out, uint64_t origin_seq, string_view subject) const {
  size_t space = spec.source.find(' ');
  std::string value = spec.source.substr(0, space) + " " + std::to_string(origin_seq) + spec.source.substr(space) + " " +
                      std::string(subject);
  if (!spec.identity.empty()) value += " " + spec.identity;
  append_header(out, "Nats-Stream-Source", value);
}

void Feed::seal() {
  if (open_.empty()) return;
  if (!mirror()) store64(open_.data() + 8, (uint64_t)stream_.entry_time_ns());
  Buffer who = stream_.host.buffer();
  who.put32(id);
  const uint32_t count = std::exchange(open_count_, 0);
  who.put32(count);
  EntryKind kind = mirror() ? EntryKind::mirrored : EntryKind::sourced;
  bool proposed = stream_.propose_copies(kind, std::move(open_), std::move(who));
  open_ = Buffer();
  if (!proposed) withdrawn(count);
}

// These messages are in no entry any more. Those of earlier entries are still applied, and counted then.
void Feed::withdrawn(uint64_t count) {
  taken_ -= count;
  stop(FeedState::refused);
}

void Feed::applied(uint64_t count, bool refused) {
  applied_ += count;
  if (refused) stop(FeedState::refused);
  while (!flow_replies_.empty() && flow_replies_.front().taken <= applied_) {
    FlowReply due = std::move(flow_replies_.front());
    flow_replies_.pop_front();
    stream_.host.kernel.publish(stream_.account, due.reply, {}, due.header, {});
  }
}

void Feed::stop(FeedState why) {
  if (closed || state_ != FeedState::open) return;
  state_ = why;
  if (why == FeedState::refused) flow_replies_.clear();
  EventRecord e{EventType::feed};
  e.a = stream_.group.id, e.b = id;
  stream_.host.kernel.emit(std::move(e));
}

}  // namespace slipstream
