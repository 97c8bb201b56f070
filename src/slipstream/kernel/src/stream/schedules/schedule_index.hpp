// Which messages of a stream are schedules, and when each runs next. At most one per subject: a new message takes its place.
// A schedule whose message is gone (deleted, purged, expired) is found so when its time comes, or at the next checkpoint.
#pragma once
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "bytes/bytes.hpp"
#include "bytes/sliced_map.hpp"
#include "message/logged_message.hpp"

namespace slipstream {

class ScheduleIndex {
 public:
  struct Schedule { uint64_t seq; int64_t at_ns; };
  struct Due { string_view subject; uint64_t seq; int64_t at_ns; };  // the subject: until the index changes

  bool empty() const { return by_subject_.empty(); }
  size_t size() const { return by_subject_.size(); }
  int64_t next_ns() const { return by_time_.empty() ? ScheduleMark::kNever : by_time_.begin()->first.first; }

  void set(string_view subject, uint64_t seq, int64_t at_ns) {
    remove(subject);
    by_subject_.change(subject) = {seq, at_ns};
    by_time_.emplace(std::pair(at_ns, seq), by_subject_.stable_name(subject));
  }
  void remove(string_view subject) {
    const Schedule* due = by_subject_.find(subject);
    if (!due) return;
    by_time_.erase({due->at_ns, due->seq});
    by_subject_.erase(subject);
  }
  // The sequence of the schedule on a subject, 0 if there is none.
  uint64_t on_subject(string_view subject) const {
    const Schedule* due = by_subject_.find(subject);
    return due ? due->seq : 0;
  }
  // It stands there, for this time: nobody has run it or changed it since.
  bool waits(string_view subject, uint64_t seq, int64_t at_ns) const {
    const Schedule* due = by_subject_.find(subject);
    return due && due->seq == seq && due->at_ns == at_ns;
  }
  // Up to `limit` whose time has come, in the order of their sequences.
  std::vector<Due> due(int64_t now_ns, size_t limit) const {
    std::vector<Due> out;
    for (auto it = by_time_.begin(); it != by_time_.end() && it->first.first <= now_ns && out.size() < limit; ++it)
      out.push_back({it->second, it->first.second, it->first.first});
    std::sort(out.begin(), out.end(), [](const Due& a, const Due& b) { return a.seq < b.seq; });
    return out;
  }
  template <class F>
  void each(F visit) const {
    by_subject_.each([&](const std::string& subject, const Schedule& s) { visit(subject, s.seq, s.at_ns); });
  }
  // As TtlIndex::sweep().
  template <class Live>
  void sweep(uint64_t messages, Live live) {
    if (by_time_.size() <= messages + kSweepSlack) return;
    for (int n = 0; n < kSweepStep; n++) {
      auto it = by_time_.lower_bound(swept_);
      if (it == by_time_.end()) {
        swept_ = {INT64_MIN, 0};
        continue;
      }
      swept_ = {it->first.first, it->first.second + 1};
      if (live(it->first.second)) continue;
      std::string subject(it->second);
      remove(subject);
    }
  }
  static constexpr uint64_t kSweepSlack = 64;
  static constexpr int kSweepStep = 4;

  // A snapshot in slices (sliced_map.hpp). The schedules whose messages are gone leave on the way.
  void begin_cut(Buffer& out) { by_subject_.begin_cut(out); }
  template <class Live>
  bool write_cut(size_t n, Live live) {
    return by_subject_.write_cut(n, [&](const std::string&, const Schedule& due) {
      if (live(due.seq)) return false;
      by_time_.erase({due.at_ns, due.seq});
      return true;
    });
  }
  void end_cut() { by_subject_.end_cut(); }
  bool load(Reader& in) {
    uint32_t n = in.get32();
    for (uint32_t i = 0; i < n && in.ok(); i++) {
      string_view subject = in.get_text();
      uint64_t seq = in.get64();
      set(subject, seq, (int64_t)in.get64());
    }
    return in.ok();
  }

 private:
  static void encode(Buffer& out, string_view subject, const Schedule& due) {
    out.put_text(subject), out.put64(due.seq), out.put64((uint64_t)due.at_ns);
  }
  SlicedMap<Schedule> by_subject_{encode};
  std::pair<int64_t, uint64_t> swept_{INT64_MIN, 0};  // sweep() goes on there
  std::map<std::pair<int64_t, uint64_t>, string_view> by_time_;
};

}  // namespace slipstream
