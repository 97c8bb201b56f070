// Fast batches (ADR-50): a publisher that streams messages without waiting for each, and is told now and then how far they are
// stored. What a message is to its batch stands in its reply subject: <prefix>.<id>.<flow>.<gap mode>.<sequence>.<operation>.$FI
//
// The leader keeps this state and forgets it with its reign; the log has what applying needs (FastBatchMark). A message is stored
// like any other one. Sequences are looked at when it comes in, acknowledgements leave when it was applied.
#pragma once
#include <cstdint>
#include <string>

#include "clock/timers.hpp"
#include "message/logged_message.hpp"
#include "message/subjects.hpp"

namespace slipstream {

class Stream;
struct PublishVerdict;

constexpr string_view kFastSuffix = ".$FI";

struct FastReply {
  enum Operation : uint8_t { start, append, commit, commit_end, ping };
  string_view id;
  uint64_t seq = 0;
  uint16_t flow = 0;
  Operation operation = start;
  bool gap_fail = false;
  bool commits() const { return operation == commit || operation == commit_end; }
};

bool parse_fast_reply(string_view reply, FastReply& out);  // one that ends in kFastSuffix; false: against the grammar

class FastIngest {
 public:
  explicit FastIngest(Stream& stream) : stream_(stream) {}
  ~FastIngest() { drop_all(); }
  FastIngest(const FastIngest&) = delete;

  void take(string_view subject, string_view reply, string_view header, string_view body);
  void applied(string_view reply, const LoggedMessage& m, const PublishVerdict& verdict);
  void refused(string_view reply, const LoggedMessage& m, const PublishVerdict& verdict);  // it is not in the log
  void ended(string_view reply);  // the batch of this message had ended before it
  void drop_all();
  void on_timer();

 private:
  struct Batch {
    uint64_t number = 0;
    uint64_t seen = 0;      // highest sequence of the batch
    uint64_t stored = 0;    // highest sequence of the batch of which all is applied
    uint64_t told = 0;      // ... that the last flow acknowledgement named
    uint64_t stream_seq = 0;
    uint64_t pending = 0;   // on their way through the log
    uint16_t flow = 0, flow_max = 0;  // an acknowledgement each so many messages
    bool gap_fail = false, committing = false;
    bool cut_short = false;  // the log refused one of its messages, and so all behind it
    std::string commit_reply;
    int64_t deadline_ns = 0;
  };
  using Batches = StringMap<Batch>;

  bool refuses(string_view reply, const FastReply& r, bool valid, size_t header, size_t body);
  Batches::iterator open(string_view reply, const FastReply& r);
  void on_ping(Batches::iterator it, string_view reply, const FastReply& r);
  bool in_order(Batches::iterator it, string_view reply, const FastReply& r);
  bool commit(Batches::iterator it, std::string reply);
  void failed(Batches::iterator it, string_view reply, const FastReply& r, const PublishVerdict& verdict);
  bool acknowledge_flow(Batch& b, string_view reply);
  void send_flow(uint64_t seq, const Batch& b, string_view reply);
  void send_gap(uint64_t expected, uint64_t seq, string_view reply);
  void send_ack(const std::string& id, const Batch& b, string_view reply);
  void touch(Batch& b);
  void drop(Batches::iterator it);
  int64_t timeout_ns() const;

  Stream& stream_;
  Batches batches_;
  Timer timer_{TimerKind::fast_batches, this};
};

}  // namespace slipstream
