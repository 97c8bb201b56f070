// Decodes an S2 stream, chunk by chunk: Snappy's framing, with blocks of up to 4 MiB and repeated offsets. Snappy's own framed
// streams are a subset. https://github.com/klauspost/compress/tree/master/s2 has the format's extensions.
//
// The input is foreign: lengths, offsets and checksums are checked before use, and what is held is bounded by one chunk and one
// block, however the bytes arrive and however much they would grow.
#pragma once
#include "bytes/bytes.hpp"

namespace slipstream {

class S2Decoder {
 public:
  static constexpr size_t kBlockBytesMax = 4 << 20;
  static constexpr size_t kChunkBytesMax = kBlockBytesMax + kBlockBytesMax / 6 + 64;  // the longest encoding of a block

  void feed(string_view bytes);
  // The next block, valid until the next call; empty: more input is needed, or error() is set.
  string_view next();
  const char* error() const { return error_; }  // null: none
  bool between_chunks() const { return in_.size() == start_ && skip_ == 0; }
  bool began() const { return magic_seen_; }

 private:
  string_view fail(const char* why) { error_ = why; return {}; }
  bool decode_chunk(uint8_t type, string_view chunk);

  Buffer in_, block_;
  size_t start_ = 0;   // of what is not consumed yet
  size_t skip_ = 0;    // of a skippable chunk, still to come
  bool magic_seen_ = false, snappy_ = false;
  const char* error_ = nullptr;
};

// A block of raw S2 (without framing) that decodes to exactly `to_size` bytes. False: it does not.
bool decode_s2_block(string_view in, char* to, size_t to_size);
// The same of a block that begins with its length, as compressors write it.
bool decode_s2_block_with_length(string_view in, char* to, size_t to_size);

}  // namespace slipstream
