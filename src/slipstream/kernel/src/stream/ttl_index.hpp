// Messages with a time to live of their own (Nats-TTL): when each ends, and those that never do.
#pragma once
#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "bytes/bytes.hpp"
#include "consumer/pull_request.hpp"
#include "message/message_headers.hpp"

namespace slipstream {

constexpr int64_t kTtlNone = 0, kTtlNever = -1;

// A Go duration of at least a second ("0" is one, and too short), whole seconds, or "never" (S-122). Seconds in `ttl_s`.
inline bool parse_ttl(string_view text, int64_t& ttl_s) {
  auto is_never = [](string_view s) {
    return s.size() == 5 && (s[0] | 32) == 'n' && (s[1] | 32) == 'e' && (s[2] | 32) == 'v' && (s[3] | 32) == 'e' && (s[4] | 32) == 'r';
  };
  if (text.empty()) {
    ttl_s = kTtlNone;
    return true;
  }
  if (is_never(text)) {
    ttl_s = kTtlNever;
    return true;
  }
  int64_t ns = 0;
  if (parse_duration(text, ns)) {
    ttl_s = ns / 1'000'000'000;
    return ttl_s > 0;
  }
  uint64_t seconds = 0;
  if (!parse_unsigned(text, seconds)) return false;
  ttl_s = (int64_t)std::min<uint64_t>(seconds, INT64_MAX);
  return true;
}

class TtlIndex {
 public:
  void add(uint64_t seq, int64_t time_ns, int64_t ttl_s) {
    if (ttl_s == kTtlNever) never_.insert(seq);
    else if (ttl_s > 0) {
      int64_t end_ns = saturated_sum(time_ns, saturated_product(ttl_s, 1'000'000'000));
      if (end_ns != INT64_MAX) ends_.emplace(end_ns, seq);  // else beyond the calendar: it stays like one without
    }
  }
  int64_t next_end_ns() const { return ends_.empty() ? INT64_MAX : ends_.begin()->first; }
  bool never_ends(uint64_t seq) const { return never_.count(seq) > 0; }
  bool any_never() const { return !never_.empty(); }
  std::vector<uint64_t> due(int64_t now_ns, size_t limit) const {
    std::vector<uint64_t> out;
    for (auto it = ends_.begin(); it != ends_.end() && it->first <= now_ns && out.size() < limit; ++it) out.push_back(it->second);
    return out;
  }
  // They were removed: called as the entry is applied. They are among the earliest.
  void forget(const std::set<uint64_t>& seqs) {
    size_t left = seqs.size();
    for (auto it = ends_.begin(); left && it != ends_.end();) {
      bool gone = seqs.count(it->second) > 0;
      left -= gone;
      if (gone) before_removal(*it);
      it = gone ? ends_.erase(it) : std::next(it);
    }
  }

  template <class F>
  void each(F visit) const {  // kTtlNever for those that never end
    for (const auto& [end_ns, seq] : ends_) visit(seq, end_ns);
    for (uint64_t seq : never_) visit(seq, kTtlNever);
  }

  // Looks at a few entries when there are more of them than messages, and drops those whose messages are gone: as messages come, the
  // index stays within about twice their number, without a look at all of it at once.
  template <class Live>
  void sweep(uint64_t messages, Live live) {
    if (ends_.size() + never_.size() <= messages + kSweepSlack || cut_.ends) return;
    for (int n = 0; n < kSweepStep; n++) {
      if (auto end = ends_.lower_bound(swept_end_); end != ends_.end()) {
        swept_end_ = {end->first, end->second + 1};
        if (!live(end->second)) ends_.erase(end);
      } else if (auto never = never_.lower_bound(swept_never_); never != never_.end()) {
        swept_never_ = *never + 1;
        if (!live(*never)) never_.erase(never);
      } else {
        swept_end_ = {INT64_MIN, 0};
        swept_never_ = 0;
      }
    }
  }
  size_t size() const { return ends_.size() + never_.size(); }
  static constexpr uint64_t kSweepSlack = 64;
  static constexpr int kSweepStep = 4;

  // A snapshot of the index as it is now, written in slices to buffers that stay where they are until everything is written, or
  // end_cut(). What came behind `last_seq` is left out, and what leaves meanwhile is written before it does. What was gone already
  // leaves on the way.
  void begin_cut(Buffer& ends, Buffer& nevers, uint64_t last_seq) {
    cut_ = {&ends, &nevers, last_seq};
    ends.put32(0);
    nevers.put32(0);
  }
  template <class Live>
  bool write_cut(size_t n, Live live) {
    if (!cut_.ends_written) {
      auto it = ends_.lower_bound(cut_.next_end);
      for (; n && it != ends_.end(); n--) {
        if (it->second <= cut_.last_seq) write(*it);
        it = live(it->second) ? std::next(it) : ends_.erase(it);
      }
      cut_.ends_written = it == ends_.end();
      if (!cut_.ends_written) cut_.next_end = *it;
    }
    if (!cut_.ends_written) return false;
    auto it = never_.lower_bound(cut_.next_never);
    for (; n && it != never_.end() && *it <= cut_.last_seq; n--) {
      cut_.nevers->put64(*it);
      cut_.nevers_count++;
      it = live(*it) ? std::next(it) : never_.erase(it);
    }
    bool written = it == never_.end() || *it > cut_.last_seq;
    cut_.next_never = written ? UINT64_MAX : *it;
    return written;
  }
  void end_cut() {
    if (!cut_.ends) return;
    store32(cut_.ends->data(), cut_.ends_count);
    store32(cut_.nevers->data(), cut_.nevers_count);
    cut_ = {};
  }

  bool load(Reader& in) {
    uint32_t n = in.get32();
    for (uint32_t i = 0; i < n && in.ok(); i++) {
      int64_t end = (int64_t)in.get64();
      ends_.emplace(end, in.get64());
    }
    n = in.get32();
    for (uint32_t i = 0; i < n && in.ok(); i++) never_.insert(in.get64());
    return in.ok();
  }

 private:
  using End = std::pair<int64_t, uint64_t>;
  struct Cut {
    Buffer *ends = nullptr, *nevers = nullptr;
    uint64_t last_seq = 0;
    uint32_t ends_count = 0, nevers_count = 0;
    bool ends_written = false;
    End next_end{INT64_MIN, 0};  // the first that was not visited
    uint64_t next_never = 0;
  };
  void before_removal(const End& end) {
    if (cut_.ends && !cut_.ends_written && end >= cut_.next_end && end.second <= cut_.last_seq) write(end);
  }
  void write(const End& end) {
    cut_.ends->put64((uint64_t)end.first), cut_.ends->put64(end.second);
    cut_.ends_count++;
  }

  Cut cut_;
  End swept_end_{INT64_MIN, 0};  // sweep() goes on there
  uint64_t swept_never_ = 0;
  std::set<std::pair<int64_t, uint64_t>> ends_;
  std::set<uint64_t> never_;
};

}  // namespace slipstream
