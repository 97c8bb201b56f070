// Reads a stream in order for a backup, as archive records, a piece at a time: from where it stands up to the sequence that was
// the last one when it began. What is removed meanwhile is not in the backup, what is stored meanwhile neither. A piece that is
// not in memory is fetched by the I/O pool; `readable` says when to come again.
#pragma once
#include <string>

#include "store/message_store.hpp"

namespace slipstream {

class Stream;

class BackupReader {
 public:
  enum class Outcome : uint8_t { more, pending, end, damaged };

  BackupReader(uint64_t stream, uint64_t first_seq, uint64_t last_seq, std::function<void()> readable)
      : stream_id(stream), next_seq_(first_seq), last_seq_(last_seq) {
    buffer_.ready = std::move(readable);
  }

  // Appends whole records until `out` has `bytes_max` or more.
  Outcome read(MessageStore& store, Buffer& out, size_t bytes_max);
  uint64_t next_seq() const { return next_seq_; }  // after `damaged`: the message that is

  const uint64_t stream_id;

 private:
  uint64_t next_seq_, last_seq_;
  ReadBuffer buffer_;
};

}  // namespace slipstream
