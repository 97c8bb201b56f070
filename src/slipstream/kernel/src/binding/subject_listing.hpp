// A page of the subjects of a stream that match a filter, sorted by name, found in many small steps: a question about a million
// subjects holds up neither the kernel nor its caller for longer than one of them. Names are copied under the kernel's lock, some
// thousand at a time; each such run is sorted by itself, and when all are there the runs are merged.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace slipstream {

class Kernel;

struct SubjectRow { std::string subject; uint64_t count; };

class SubjectListing {
 public:
  SubjectListing(uint64_t stream, std::string_view filter, size_t offset, size_t limit);
  // One step; it appends the rows of the page that it found, in order. False: it was the last one.
  bool step(Kernel& k, std::vector<SubjectRow>& page);
  size_t total() const { return total_; }  // of what matches: final when there are rows, or nothing is left to do

 private:
  struct Row { uint32_t at, length, count; };
  struct Run {
    std::string names;
    std::vector<Row> rows;
    size_t next = 0;
    std::string_view name(size_t i) const { return std::string_view(names).substr(rows[i].at, rows[i].length); }
  };
  bool scan(Kernel& k, Run& run);  // false: no subject is left
  bool merge(std::vector<SubjectRow>& page);
  bool later(size_t run, size_t other) const { return runs_[run].name(runs_[run].next) > runs_[other].name(runs_[other].next); }

  const uint64_t stream_;
  const std::string filter_;
  size_t skipped_left_, rows_left_, total_ = 0;
  uint32_t next_id_ = 0;
  bool scanned_ = false;
  std::vector<Run> runs_;
  std::vector<size_t> heap_;  // of runs that have rows left, the one with the first name on top
};

}  // namespace slipstream
