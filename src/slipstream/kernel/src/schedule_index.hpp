// Which messages of a stream are schedules, and when each runs next. At most one per subject: a new message takes its place.
// A schedule whose message is gone (deleted, purged, expired) is found so when its time comes, or at the next checkpoint.
#pragma once
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "bytes.hpp"
#include "logged_message.hpp"

namespace slipstream {

class ScheduleIndex {
 public:
  struct Due { uint64_t seq; int64_t at_ns; };

  bool empty() const { return by_subject_.empty(); }
  size_t size() const { return by_subject_.size(); }
  int64_t next_ns() const { return by_time_.empty() ? ScheduleMark::kNever : by_time_.begin()->first; }

  void set(string_view subject, uint64_t seq, int64_t at_ns) {
    remove(subject);
    by_subject_.emplace(std::string(subject), Due{seq, at_ns});
    by_time_.emplace(at_ns, seq);
  }
  void remove(string_view subject) {
    auto it = by_subject_.find(subject);
    if (it == by_subject_.end()) return;
    by_time_.erase({it->second.at_ns, it->second.seq});
    by_subject_.erase(it);
  }
  // The sequence of the schedule on a subject, 0 if there is none.
  uint64_t on_subject(string_view subject) const {
    auto it = by_subject_.find(subject);
    return it == by_subject_.end() ? 0 : it->second.seq;
  }
  // It stands there, for this time: nobody has run it or changed it since.
  bool waits(string_view subject, uint64_t seq, int64_t at_ns) const {
    auto it = by_subject_.find(subject);
    return it != by_subject_.end() && it->second.seq == seq && it->second.at_ns == at_ns;
  }
  // Up to `limit` whose time has come, in the order of their sequences.
  std::vector<Due> due(int64_t now_ns, size_t limit) const {
    std::vector<Due> out;
    for (auto it = by_time_.begin(); it != by_time_.end() && it->first <= now_ns && out.size() < limit; ++it)
      out.push_back({it->second, it->first});
    std::sort(out.begin(), out.end(), [](const Due& a, const Due& b) { return a.seq < b.seq; });
    return out;
  }
  void snapshot(Buffer& out) const {
    out.put32((uint32_t)by_subject_.size());
    for (const auto& [subject, s] : by_subject_) out.put_text(subject), out.put64(s.seq), out.put64((uint64_t)s.at_ns);
  }
  bool load(Reader& in) {
    uint32_t n = in.get32();
    for (uint32_t i = 0; i < n && in.ok(); i++) {
      string_view subject = in.get_text();
      uint64_t seq = in.get64();
      set(subject, seq, (int64_t)in.get64());
    }
    return in.ok();
  }
  template <class Live>
  void prune(Live live) {
    for (auto it = by_subject_.begin(); it != by_subject_.end();) {
      if (live(it->second.seq)) {
        ++it;
        continue;
      }
      by_time_.erase({it->second.at_ns, it->second.seq});
      it = by_subject_.erase(it);
    }
  }
  void clear() { by_subject_.clear(), by_time_.clear(); }

 private:
  std::map<std::string, Due, std::less<>> by_subject_;
  std::set<std::pair<int64_t, uint64_t>> by_time_;
};

}  // namespace slipstream
