// The message blocks of nats-server's file store, as its versions before 2.15 put them into a backup: records of
//   length (32 bits, the highest: it has a header), sequence (64), time (64), subject length (16), subject,
//   [header length (32), header,] body, checksum (64)
// in little-endian order. A sequence may be marked: erased (nothing is there any more), or a tombstone (an earlier message is gone).
#pragma once
#include <string>
#include <vector>

#include "bytes/bytes.hpp"

namespace slipstream {

struct BlockPiece {
  size_t consumed = 0;
  uint64_t last_seq = 0;          // the greatest that was seen
  std::vector<uint64_t> removed;  // of messages that stood before, in this block or an earlier one
  std::string fault;              // of the record behind what was consumed
};

// Takes whole records off the front of `in` and writes the messages with a sequence above `last_seq` and of `first_seq` or more as
// archive records, until `out` has `bytes_max` or more. `key` are the 32 bytes of the block's checksums.
BlockPiece take_block_records(string_view in, const char* key, uint64_t first_seq, uint64_t last_seq, size_t bytes_max, Buffer& out);

}  // namespace slipstream
