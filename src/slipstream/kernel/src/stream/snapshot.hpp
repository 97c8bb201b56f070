// A stream as it is at one moment, written down over several turns, so that ten thousand consumers or a million message ids
// do not hold up everybody else.
//
// The constructor takes what is small: configuration, positions, which segments there are. The rest is written in slices by
// write(), while the stream goes on: a consumer that is about to change is written before it does (Consumer::before_change),
// and so is what leaves or changes in the tables: message ids, times to live, schedules, sources, totals of counters, removed
// messages. So the result is what it would be if it were made at once, whatever happens meanwhile.
#pragma once
#include <memory>
#include <vector>

#include "bytes/bytes.hpp"
#include "disk/checkpoint_syncs.hpp"

namespace slipstream {

class Consumer;
class Stream;

class StreamSnapshot {
 public:
  StreamSnapshot(Stream& stream, CheckpointSyncs& syncs);
  StreamSnapshot(const StreamSnapshot&) = delete;
  ~StreamSnapshot();
  bool refused() const { return refused_; }  // by the device, before anything was changed
  Stream& stream() const { return stream_; }
  uint64_t applied() const { return applied_; }
  // At most so many more consumers, and entries of one of the tables; true when nothing is left.
  bool write(size_t consumers, size_t entries);
  void write_first(Consumer& consumer);      // it is about to change, and was not written yet
  std::vector<Buffer> take();                // when everything is written

 private:
  enum Piece : size_t {
    kHead, kIds, kEnds, kNevers, kSources, kMiddle, kConsumers, kSections, kParts, kFastBatchesHead, kFastBatches,
    kSchedulesHead, kSchedules, kTotalsHead, kTotals, kLostSubjectsHead, kLostSubjects, kStore, kRetention, kPieces
  };
  bool write_tables(size_t entries);
  bool write_parts(size_t bytes);
  void end_cuts();
  void put_section_heads();

  Stream& stream_;
  const uint64_t applied_;
  std::vector<Buffer> pieces_{kPieces};
  size_t logged_count_at_ = 0, count_at_ = 0;  // where the numbers of consumers go, in kMiddle and kRetention
  uint32_t logged_count_ = 0, count_ = 0, next_consumer_ = 0;
  std::shared_ptr<Buffer> parts_;  // of a batch that waits for its commit: so many bytes of them
  size_t parts_bytes_ = 0, parts_at_ = 0;
  bool refused_ = false, written_ = false;
};

}  // namespace slipstream
