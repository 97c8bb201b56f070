#include "stream/counter_totals.hpp"

#include <algorithm>
#include <charconv>

namespace slipstream {
namespace {

enum Encoding : uint8_t { kValue = 1, kText = 2, kBroken = 3 };

// Totals are canonical texts, so that a value gives its text back.
bool is_value(const CounterTotal& t, int64_t& value) {
  const char* end = t.total.data() + t.total.size();
  auto [at, error] = std::from_chars(t.total.data(), end, value);
  return !t.broken && t.sources.empty() && error == std::errc() && at == end;
}

}  // namespace

CounterTotals::Known CounterTotals::find(uint32_t subject, uint64_t last_seq, CounterTotal& out) const {
  if (subject >= totals_.size() || totals_[subject].seq != last_seq || !last_seq) return Known::no;
  const Total& t = totals_[subject];
  if (!t.exact) out = {std::to_string(t.value), {}, false};
  else if (t.exact->unread) return Known::unread;
  else out = t.exact->total;
  return Known::yes;
}

// What the snapshot under way has yet to write is written before it goes.
CounterTotals::Total& CounterTotals::replace(uint32_t subject, uint64_t seq) {
  if (subject >= totals_.size()) totals_.resize(subject + 1);
  Total& t = totals_[subject];
  if (cut_ && subject >= cut_at_ && t.seq && t.seq <= cut_last_seq_) write(t);
  if (t.exact && t.exact->unread) unread_--;
  t.seq = seq;
  t.exact.reset();
  return t;
}

void CounterTotals::set(uint32_t subject, uint64_t seq, CounterTotal total) {
  Total& t = replace(subject, seq);
  if (!is_value(total, t.value)) t.exact = std::make_unique<Exact>(Exact{std::move(total), false});
}

void CounterTotals::set_unread(uint32_t subject, uint64_t seq) {
  replace(subject, seq).exact = std::make_unique<Exact>(Exact{{}, true});
  unread_++;
}

void CounterTotals::begin_cut(Buffer& out, uint64_t last_seq) {
  cut_ = &out;
  cut_last_seq_ = last_seq;
  cut_at_ = 0;
}

bool CounterTotals::write_cut(size_t totals) {
  for (; totals && cut_at_ < totals_.size(); totals--, cut_at_++)
    if (const Total& t = totals_[cut_at_]; t.seq && t.seq <= cut_last_seq_) write(t);
  return cut_at_ >= totals_.size();
}

void CounterTotals::write(const Total& t) {
  if (t.exact && t.exact->unread) return;  // whoever loads it does not know it either
  cut_->put64(t.seq);
  if (!t.exact) {
    cut_->put8(kValue);
    cut_->put64((uint64_t)t.value);
    return;
  }
  const CounterTotal& total = t.exact->total;
  cut_->put8(total.broken ? kBroken : kText);
  if (!total.broken) cut_->put_text(total.total), cut_->put_text(total.sources);
}

bool CounterTotals::load(Reader& in, const MessageStore& store) {
  while (in.ok() && in.left()) {
    uint64_t seq = in.get64();
    uint8_t encoding = in.get8();
    CounterTotal total;
    if (encoding == kValue) {
      total.total = std::to_string((int64_t)in.get64());
    } else if (encoding == kText) {
      total.total = in.get_text();
      total.sources = in.get_text();
    } else {
      total.broken = true;
    }
    if (encoding < kValue || encoding > kBroken || !in.ok()) return false;
    uint32_t subject = store.subject_of(seq);
    if (subject != kNoSubject && store.subject_state(subject).last == seq) set(subject, seq, std::move(total));
  }
  return in.ok();
}

}  // namespace slipstream
