// Atomic batches that clients are still sending (ADR-50): kept by the leader, in memory, until their commit. Nothing of
// them is in the log before; with the commit the whole batch is proposed, and applying decides about all of it at once
// (batch_apply.cpp).
//
// The room stream/batches/:
//   batch_staging.cpp   what clients are still sending: bounds, timeouts, the checks of each part
//   batch_apply.cpp     the batch in the log: its parts and its commit proposed, judged and stored all or none
//   fast_ingest.hpp, fast_ingest.cpp   fast batches: sequences checked ahead of the log, progress told to the publisher
#pragma once
#include <cstdint>
#include <string>

#include "bytes/bytes.hpp"
#include "clock/timers.hpp"
#include "message/subjects.hpp"

namespace slipstream {

class Stream;
struct PublishHeaders;

constexpr size_t kBatchIdBytesMax = 64;
constexpr uint64_t kStagedBytesMax = 256 << 20;  // of all batches of this server; of one stream, its bytes in flight are the bound

class BatchStaging {
 public:
  explicit BatchStaging(Stream& stream) : stream_(stream) {}
  ~BatchStaging() { drop_all(); }
  BatchStaging(const BatchStaging&) = delete;

  // A message with a batch id. It is answered here, or when the commit that it carries was applied.
  void take(string_view subject, string_view reply, string_view header, string_view body);
  void drop_all();   // without a word: the stream went, or its batches were switched off
  void on_timer();
  uint64_t bytes() const { return bytes_; }

 private:
  struct Batch {
    Buffer messages;  // LoggedMessage
    uint64_t last_seq = 0;
    uint32_t count = 0;
    int64_t deadline_ns = 0;  // monotonic
  };
  using Batches = StringMap<Batch>;

  Batches::iterator open(string_view id, uint64_t seq, bool end_only, string_view reply);
  bool continues(Batches::iterator it, uint64_t seq, bool end_only, string_view reply);
  void commit(Batches::iterator it, string_view reply, bool end_only);
  void drop(Batches::iterator it);
  void abandon(Batches::iterator it, const char* reason);
  int64_t timeout_ns() const;
  uint64_t messages_max() const;

  Stream& stream_;
  Batches batches_;
  uint64_t bytes_ = 0;
  Timer timer_{TimerKind::batches, this};
};

}  // namespace slipstream
