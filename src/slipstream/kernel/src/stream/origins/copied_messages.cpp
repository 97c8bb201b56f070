// Messages that come from an origin, applied: a mirror keeps their sequences and times, a stream with sources numbers them anew.
//
// Each entry says behind which position of the origin it goes on, and counts only there. So a message is stored once whatever a
// feed has done: what a refused message leaves behind in the log falls through, and the feed that is opened next brings it again.
#include <algorithm>

#include "message/message_headers.hpp"
#include "stream/origins/feed.hpp"
#include "stream/publish_errors.hpp"
#include "stream/stream.hpp"
#include "stream/stream_host.hpp"

namespace slipstream {

uint64_t Stream::bytes_in_flight() const { return inflight_bytes_ + open_.size(); }

int64_t Stream::entry_time_ns() {
  return last_time_ns_ = std::max({last_time_ns_, host.kernel.now.wall_ns, store->last_time_ns()});
}

bool Stream::propose_copies(EntryKind kind, Buffer&& payload, Buffer&& who) {
  uint64_t bytes = payload.size();
  if (!host.propose(group, kind, std::move(payload), true, 0, std::move(who), false, spec.persist_async)) return false;
  begin_flight(0, bytes);
  return true;
}

void Stream::copies_applied(const Proposal* mine, uint64_t count, bool refused) {
  if (mine) {
    end_flight(*mine);
    Reader who(mine->replies.view());
    auto it = feeds.find(who.left() ? who.get32() : 0);
    if (it != feeds.end()) {
      it->second->applied(count, refused);
      if (it->second->closed) forget_feed(it->first);
    }
  }
  wake_after_append();
}

// ------------------------------------------------------------------ feeds, on the leader

bool Stream::open_feed(uint32_t id, FeedSpec feed_spec) {
  if (deleted || feed_under_way(feed_spec.source)) return false;
  auto feed = std::make_unique<Feed>(*this, id, std::move(feed_spec));
  Feed& opened = *feed;
  if (!feeds.emplace(id, std::move(feed)).second) return false;
  opened.open();
  return true;
}

void Stream::close_feed(uint32_t id) {
  auto it = feeds.find(id);
  if (it == feeds.end()) return;
  it->second->close();
  forget_feed(id);
}

// A closed feed stays until its entries are applied: its source's position is not known before.
void Stream::forget_feed(uint32_t id) {
  auto it = feeds.find(id);
  if (it->second->closed && it->second->view().in_flight == 0) feeds.erase(it);
}

bool Stream::feed_under_way(string_view source) const {
  return std::any_of(feeds.begin(), feeds.end(), [&](const auto& f) { return f.second->spec.source == source; });
}

// ------------------------------------------------------------------ applying

Work Stream::apply_mirrored(Reader in, const Proposal* mine) {
  uint64_t after = in.get64(), skip_to = in.get64(), count = 0;
  bool refused = !spec.mirror || store->last_seq() != after;
  if (!refused && skip_to > after) store->skip(skip_to, store->last_time_ns());
  for (; in.left() && in.ok(); count++) {
    uint64_t seq = in.get64();
    int64_t time_ns = (int64_t)in.get64();
    uint16_t subject_size = in.get16();
    uint32_t header_size = in.get32(), body_size = in.get32();
    uint32_t flags = header_size & ~kHeaderSizeMask;
    string_view subject = in.get_bytes(subject_size), header = in.get_bytes(header_size & kHeaderSizeMask), body = in.get_bytes(body_size);
    if (!in.ok()) break;
    Verdict verdict;
    if (!refused) apply_copy(seq, time_ns, subject, header, body, flags, verdict);
    if (group.offline) co_return;
    if (long_work_asked()) co_await do_long_work();
    refused |= verdict.error != nullptr;
  }
  copies_applied(mine, count, refused);
}

Work Stream::apply_sourced(Reader in, const Proposal* mine) {
  uint64_t after = in.get64(), count = 0;
  int64_t time_ns = (int64_t)in.get64();
  bool restart = in.get8();
  string_view source = in.get_text(), identity = in.get_text();
  SourcePosition& position = source_positions.change(source);
  if (restart) position = {};
  bool refused = position.seq != after;
  for (; in.left() && in.ok(); count++) {
    uint64_t origin_seq = in.get64();
    uint16_t subject_size = in.get16();
    uint32_t header_size = in.get32(), body_size = in.get32();
    uint32_t flags = header_size & ~kHeaderSizeMask;
    string_view subject = in.get_bytes(subject_size), header = in.get_bytes(header_size & kHeaderSizeMask), body = in.get_bytes(body_size);
    if (!in.ok()) break;
    Verdict verdict;
    if (!refused) apply_copy(store->last_seq() + 1, time_ns, subject, header, body, flags, verdict);
    if (group.offline) co_return;
    if (long_work_asked()) co_await do_long_work();
    refused |= verdict.error != nullptr;
    if (refused) continue;
    position.seq = origin_seq;
    if (position.identity != identity) position.identity = identity;
  }
  copies_applied(mine, count, refused);
}

// What the origin has judged is not judged again; what this stream's own limits say is.
void Stream::apply_copy(uint64_t seq, int64_t time_ns, string_view subject, string_view header, string_view body, uint32_t flags,
                        Verdict& v) {
  if (spec.sealed) {
    v.error = &kSealed;
    return;
  }
  if (seq <= store->last_seq()) {  // behind the last sequence that there is
    v.error = &kSequencesUsedUp;
    return;
  }
  PublishHeaders h;
  int64_t ttl_s = kTtlNone;
  if (!header.empty()) {
    h = scan_headers(header);
    if (!h.incr.empty() && (v.error = check_increment(h, body, flags | kFromServer))) return;
    bool remembers_ids = !spec.mirror && spec.duplicate_window_ns > 0 && !h.msg_id.empty();
    if (remembers_ids) {
      dedupe_.expire(time_ns, spec.duplicate_window_ns);
      if ((v.seq = dedupe_.find(h.msg_id))) {
        v.duplicate = true;
        return;
      }
    }
    if (!h.rollup.empty() && !equals_ignoring_case(h.rollup, "sub") && !equals_ignoring_case(h.rollup, "all")) {
      v.error = &kRollup;
      return;
    }
    if (!spec.allow_rollup || spec.deny_purge) h.rollup = {};
    if (!h.ttl.empty() && !parse_ttl(h.ttl, ttl_s)) {
      v.error = &kTtlInvalid;
      return;
    }
    if (!spec.allow_msg_ttl) ttl_s = kTtlNone;
  }
  CounterMessage counted;
  if (spec.counter) {
    if ((v.error = count(subject, header, body, h, counted))) return;
    header = counted.header;
    body = counted.body;
  }
  if ((v.error = check_size(header.size(), body.size()))) return;
  if (flags & (kServerFull | kAccountFull)) {
    v.error = flags & kServerFull ? &kServerLimit : &kAccountLimit;
    return;
  }
  if (lost_subjects_.any_open()) [[unlikely]]
    if ((v.error = check_open(subject, MessageStore::message_bytes(spec.memory, subject.size(), header.size(), body.size()),
                              h.removes_from_subject(), 0)))
      return;
  v.seq = seq;
  if (!keeps_for_interest(subject)) return skip_message(seq, time_ns, subject, h);
  std::string rewritten;
  if (spec.delete_marker_ttl_ns > 0) raise_ttl(ttl_s, header, rewritten);
  if ((v.error = check_room(subject, header.size(), body.size(), !h.rollup.empty()))) return;
  bool republishes = republish_ && leads_;
  uint64_t previous = republishes ? last_on_literal(subject) : 0;
  if (!store->append(seq, time_ns, subject, header, body)) return append_failed();
  if (spec.counter) counters_.set(store->appended_subject(), seq, std::move(counted.now));
  ttls_.add(seq, time_ns, ttl_s);
  sweep_indexes();
  stored(subject, h);
  if (!spec.mirror && !h.msg_id.empty() && spec.duplicate_window_ns > 0) dedupe_.insert(h.msg_id, seq, time_ns);
  if (republishes) republish(seq, time_ns, subject, header, body, previous);
}

void Stream::close_feeds() {
  for (auto& [id, feed] : feeds) feed->close();
  feeds.clear();
}

// Of a restored message: where it came from is all that is known of its source's position. <name> <sequence> <filters>
// <destinations> <subject> [<identity>].
void Stream::restore_position(string_view stream_source) {
  string_view words[6];
  size_t count = 0;
  for (size_t start = 0; start <= stream_source.size() && count < 6; count++) {
    size_t end = std::min(stream_source.find(' ', start), stream_source.size());
    words[count] = stream_source.substr(start, end - start);
    start = end + 1;
  }
  int64_t seq = parse_number(words[1]);
  if (count < 5 || seq <= 0) return;
  std::string source = std::string(words[0]) + " " + std::string(words[2]) + " " + std::string(words[3]);
  source_positions.change(source) = {(uint64_t)seq, std::string(words[5])};
}

// ------------------------------------------------------------------ snapshot

void Stream::encode_source(Buffer& out, string_view source, const SourcePosition& position) {
  out.put_text(source);
  out.put64(position.seq);
  out.put_text(position.identity);
}

bool Stream::load_sources(Reader& in) {
  for (uint32_t n = in.get32(); n && in.ok(); n--) {
    std::string source(in.get_text());
    SourcePosition& position = source_positions.change(source);
    position.seq = in.get64();
    position.identity = in.get_text();
  }
  return in.ok();
}

}  // namespace slipstream
