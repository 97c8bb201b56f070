// A table by name of which a snapshot is written over several turns, while it changes.
//
// The snapshot has the table as it was when that began: an entry that is about to change is written before it does, and what came
// later is left out. Entries come in no particular order.
#pragma once
#include <cassert>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "bytes/bytes.hpp"

namespace slipstream {

template <class Value>
class SlicedMap {
 public:
  using Encode = void (*)(Buffer& out, string_view name, const Value& value);
  explicit SlicedMap(Encode encode) : encode_(encode) {}

  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  const Value* find(string_view name) const {
    auto it = entries_.find(name);
    return it == entries_.end() ? nullptr : &it->second.value;
  }
  template <class F>
  void each(F visit) const {
    for (const auto& [name, entry] : entries_) visit(name, entry.value);
  }
  // A name that stays where it is as long as its entry does.
  string_view stable_name(string_view name) const { return entries_.find(name)->first; }
  // The entry of that name, made if there is none, to be changed at once.
  Value& change(string_view name) {
    auto it = entries_.lower_bound(name);
    if (it == entries_.end() || it->first != name) it = entries_.emplace_hint(it, std::string(name), Entry{{}, cuts_});
    else before_change(it);
    return it->second.value;
  }
  void erase(string_view name) {
    auto it = entries_.find(name);
    if (it == entries_.end()) return;
    before_change(it);
    entries_.erase(it);
  }

  // `out` gets a count and the entries; it stays where it is until write_cut() has written all, or end_cut().
  void begin_cut(Buffer& out) {
    cut_ = &out;
    count_at_ = out.size();
    out.put32(0);
    count_ = 0;
    cuts_++;
    next_.clear();
    left_ = !entries_.empty();
  }
  // At most `n` more; true when nothing is left. `gone` says of each whether it goes, now that it is written.
  template <class Gone>
  bool write_cut(size_t n, Gone gone) {
    auto it = left_ ? entries_.lower_bound(next_) : entries_.end();
    for (; n && it != entries_.end(); n--) {
      if (it->second.seen != cuts_) write(it);
      it = gone(it->first, it->second.value) ? entries_.erase(it) : std::next(it);
    }
    left_ = it != entries_.end();
    if (left_) next_ = it->first;
    return !left_;
  }
  void end_cut() {
    if (cut_) store32(cut_->data() + count_at_, count_);
    cut_ = nullptr;
    left_ = false;
  }

 private:
  struct Entry {
    Value value;
    uint64_t seen;  // the newest snapshot that need not write it any more
  };
  using Entries = std::map<std::string, Entry, std::less<>>;
  void before_change(typename Entries::iterator it) {
    if (cut_ && it->second.seen != cuts_) write(it);
  }
  void write(typename Entries::iterator it) {
    it->second.seen = cuts_;
    encode_(*cut_, it->first, it->second.value);
    count_++;
  }

  const Encode encode_;
  Entries entries_;
  Buffer* cut_ = nullptr;
  size_t count_at_ = 0;
  uint32_t count_ = 0;
  uint64_t cuts_ = 0;
  std::string next_;  // the first name that has not been visited
  bool left_ = false;
};

}  // namespace slipstream
