// A feed: what a mirror, or one source of a stream, takes in from its origin.
//
// Python asks the origin for a push consumer and opens a feed with the answer. From then on no message visits Python:
// deliveries arrive on the feed's subscription, are checked for gaps by their delivery sequence, and become entries of
// the stream's log with their origin sequence (copied_messages.cpp). A flow control request is answered when everything
// before it is applied: that paces the origin, and is the acknowledgement where its consumer wants one. A feed that
// misses something, or whose messages the stream refuses, stops and reports it; Python opens another one behind the
// position that the log has.
//
// The room stream/origins/:
//   feed.cpp              from the deliver subject into the log: gaps, flow control, pace
//   copied_messages.cpp   apply: each message of an origin is stored once, whatever a feed has done
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bytes/bytes.hpp"
#include "message/subject_transform.hpp"

namespace slipstream {

class Stream;
struct Subscription;

// A place in an origin's sequence, and which life of that origin it belongs to.
struct SourcePosition {
  uint64_t seq = 0;
  std::string identity;
};

struct FeedSpec {
  std::string source;           // the source's index name (S-184); empty: a mirror
  std::string identity;         // of the origin, if it said so
  std::string deliver_subject, consumer;  // no consumer: it takes nothing in, and stops at the first sign of one
  uint64_t after = 0;           // the position in the log behind which this feed goes on
  uint64_t delivered = 0;       // the origin has nothing to deliver up to here
  bool restart = false;         // the origin was made anew: the recorded position is void
  std::vector<std::pair<std::string, std::string>> transforms;  // source, destination
};

enum class FeedState : uint8_t { open, gap, refused };

struct FeedView {
  FeedState state;
  uint64_t origin_seq, consumer_seq, lag, in_flight;
  int64_t seen_ns;
};

class Feed {
 public:
  Feed(Stream& stream, uint32_t id, FeedSpec spec);
  ~Feed();
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  void open();
  void close();    // what is in the log already is still applied
  void take(string_view subject, string_view reply, string_view header, string_view body);
  void seal();     // what came in since the last seal becomes one entry
  void applied(uint64_t count, bool refused);
  void withdrawn(uint64_t count);  // the log did not take them, or took them back
  bool behind() const;  // its stream cannot keep up: the origin's consumer waits
  bool mirror() const { return spec.source.empty(); }
  FeedView view() const { return {state_, origin_seq_, consumer_seq_, lag_, taken_ - applied_, seen_ns_}; }

  const uint32_t id;
  const FeedSpec spec;
  bool closed = false;

 private:
  struct Delivery {
    string_view consumer;
    uint64_t deliveries, origin_seq, consumer_seq, pending;
    int64_t time_ns;
  };
  static bool parse(string_view reply, Delivery& out);
  bool in_order(const Delivery& d);
  void control(string_view reply, string_view header);
  void reply_when_applied(string_view reply, std::string header);
  void begin_entry();
  void append(const Delivery& d, string_view subject, string_view header, string_view body);
  string_view transformed(string_view subject);
  void source_header(std::string& out, uint64_t origin_seq, string_view subject) const;
  void stop(FeedState why);

  Stream& stream_;
  Subscription* subscription_ = nullptr;
  FeedState state_ = FeedState::open;
  uint64_t origin_seq_, consumer_seq_ = 0, lag_ = 0;
  int64_t seen_ns_ = 0;
  uint64_t logged_seq_;        // origin sequence of the last message in an entry, open or proposed
  uint64_t taken_ = 0, applied_ = 0;
  bool skips_ = false, restarts_ = false;  // still to be said by the next entry
  Buffer open_;
  uint32_t open_count_ = 0;
  struct FlowReply { uint64_t taken; std::string reply, header; };
  std::deque<FlowReply> flow_replies_;
  std::vector<std::unique_ptr<SubjectTransform>> transforms_;
  std::string edited_, stored_on_, copied_on_;  // scratch: the header and the subjects as they are stored
};

}  // namespace slipstream
