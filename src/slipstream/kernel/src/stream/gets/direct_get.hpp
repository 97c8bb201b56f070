// A direct get under way (S-161..S-173): from the request to its last message.
//
// A message that is in memory is answered at once. A batch goes out in slices, a turn each, so that other clients do
// not wait for it; it waits itself for cold messages, which the I/O pool reads, and for a receiver that is behind.
//
// The room stream/gets/:
//   direct_get.cpp   one message, or a batch in slices; how many gets may wait
//   multi_last.cpp   the last message of each of many subjects, as of now or as of a sequence in the past
#pragma once
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include "consumer/pull_request.hpp"
#include "message/get_request.hpp"
#include "store/message_store.hpp"

namespace slipstream {

class StreamHost;
class Stream;

class DirectGet {
 public:
  enum class Progress : uint8_t { done, more, waiting };  // more: in the next turn

  DirectGet(Stream& stream, string_view reply, GetRequest request, std::unique_ptr<ReadBuffer> reader);
  Progress run();
  bool reading() const { return reader_->waiting; }
  bool holds_bytes() const { return reader_->waiting || reader_->bytes; }  // that were read from the disk, or will be
  size_t cost() const;  // of the last run
  bool is_done() const { return phase_ == Phase::end; }
  size_t request_bytes() const { return request_.bytes; }
  Stream& stream() const { return stream_; }

 private:
  enum class Phase : uint8_t { seek_time, count, send, count_again, find_last, scan_last, send_last, end };
  enum class Found : uint8_t { yes, no, later };

  Progress seek_time();
  Progress count();
  Progress send();
  Progress find_last();
  Progress scan_last();
  Progress send_last();
  Progress send_one(uint64_t seq, bool& sent);
  Progress go(Phase next);
  Progress refuse(const char* status);
  Progress end_of_batch();
  void last_of_subject(uint32_t id);
  Found next_match(uint64_t& from, uint64_t& found);
  bool congested();
  bool gone();
  void answer(string_view header, string_view body);

  Stream& stream_;
  StreamHost& host_;
  MessageStore& store_;
  GetRequest request_;
  std::unique_ptr<ReadBuffer> reader_;
  DeliveryTarget target_;
  Phase phase_ = Phase::send;
  int steps_ = 0;          // of searching that this turn has left
  size_t bytes_left_ = 0;  // of sending
  uint64_t at_ = 0;        // where seeking, counting, sending goes on
  int64_t sent_ = 0;
  uint64_t sent_bytes_ = 0, last_sent_ = 0;
  uint64_t pending_ = 0, counted_to_ = 0, count_at_ = 0;
  // multi_last
  uint64_t up_to_ = 0, scan_at_ = 0, scan_floor_ = 0;
  uint32_t next_id_ = 0;
  std::unordered_set<uint32_t> unresolved_;  // subjects with much on them behind up_to_
  std::vector<uint64_t> found_;
  size_t next_found_ = 0;
};

// All that could not be answered at once.
class DirectGets {
 public:
  static constexpr size_t kWaitingMax = 10'000, kWaitingBytesMax = 16 << 20;  // bytes: of the requests' bodies
  static constexpr size_t kReadsAtOnce = 64;  // cold ones; each holds a read-ahead buffer
  bool empty() const { return gets_.empty(); }
  bool crowded() const { return gets_.size() >= kReadsAtOnce; }  // then nobody begins at once
  bool full(size_t request_bytes) const { return gets_.size() >= kWaitingMax || bytes_ + request_bytes > kWaitingBytesMax; }
  void add(std::unique_ptr<DirectGet> get) {
    bytes_ += get->request_bytes();
    gets_.push_back(std::move(get));
  }
  void forget(const Stream& stream);
  bool run();  // true: the next turn should come at once

 private:
  struct Turn {
    size_t holding = 0, cost = 0;
    bool more = false;
  };
  static void run_one(DirectGet& get, Turn& turn);
  template <class Which>
  void erase(Which which);

  std::vector<std::unique_ptr<DirectGet>> gets_;
  size_t next_ = 0, bytes_ = 0;
};

// The header of a direct get's message: its own, and where it stands.
std::string positioned_header(string_view stream, const StoredMessage& message);

}  // namespace slipstream
