#include "binding/subject_listing.hpp"

#include <algorithm>

#include "jetstream/jetstream.hpp"
#include "stream/stream.hpp"
#include "turn/kernel.hpp"

namespace slipstream {
namespace {

constexpr uint32_t kIdsPerStep = 4096;
constexpr size_t kRowsPerStep = 4096;

}  // namespace

SubjectListing::SubjectListing(uint64_t stream, string_view filter, size_t offset, size_t limit)
    : stream_(stream), filter_(filter.empty() ? ">" : filter), skipped_left_(offset), rows_left_(limit) {}

bool SubjectListing::step(Kernel& k, std::vector<SubjectRow>& page) {
  if (scanned_) return merge(page);
  Run run;
  scanned_ = !scan(k, run);
  std::sort(run.rows.begin(), run.rows.end(), [&](const Row& x, const Row& y) {
    return string_view(run.names).substr(x.at, x.length) < string_view(run.names).substr(y.at, y.length);
  });
  total_ += run.rows.size();
  if (!run.rows.empty()) runs_.push_back(std::move(run));
  if (!scanned_) return true;
  for (size_t i = 0; i < runs_.size(); i++) heap_.push_back(i);
  std::make_heap(heap_.begin(), heap_.end(), [this](size_t x, size_t y) { return later(x, y); });
  return skipped_left_ < total_ && rows_left_ > 0;
}

bool SubjectListing::scan(Kernel& k, Run& run) {
  Kernel::Guard guard(k);
  JetStream* jetstream = JetStream::of(k);
  Stream* s = jetstream ? jetstream->stream(stream_) : nullptr;
  if (!s) return false;
  MessageStore& store = *s->store;
  auto take = [&](uint32_t id) {
    uint32_t count = (uint32_t)store.subject_state(id).count;
    if (!count) return;
    string_view name = store.subject_name(id);
    run.rows.push_back({(uint32_t)run.names.size(), (uint32_t)name.size(), count});
    run.names += name;
  };
  if (!has_wildcard(filter_)) {
    uint32_t id = store.find_subject(filter_);
    if (id != kNoSubject) take(id);
    return false;
  }
  uint32_t end = std::min(store.subject_ids(), next_id_ + kIdsPerStep);
  for (; next_id_ < end; next_id_++)
    if (subject_matches(filter_, store.subject_name(next_id_))) take(next_id_);
  return next_id_ < store.subject_ids();
}

bool SubjectListing::merge(std::vector<SubjectRow>& page) {
  auto order = [this](size_t x, size_t y) { return later(x, y); };
  for (size_t n = 0; n < kRowsPerStep && !heap_.empty() && rows_left_; n++) {
    std::pop_heap(heap_.begin(), heap_.end(), order);
    Run& run = runs_[heap_.back()];
    if (skipped_left_) {
      skipped_left_--;
    } else {
      page.push_back({std::string(run.name(run.next)), run.rows[run.next].count});
      rows_left_--;
    }
    if (++run.next == run.rows.size()) {
      heap_.pop_back();
      run = Run();
    } else {
      std::push_heap(heap_.begin(), heap_.end(), order);
    }
  }
  return !heap_.empty() && rows_left_;
}

}  // namespace slipstream
