// The file of a segment that is compressed, encrypted or both. Everything else in the store counts in offsets of the segment, in
// which its records lie one behind the other; here is where they are in the file.
//
//   head   64 bytes: as of every segment, with version 2, u32 key number at 24 (0: not encrypted), 16 bytes of salt at 32
//   frame  u32 length of what it holds of the segment (top bit: compressed), u32 length of what is stored,
//          u32 crc of these two and of what is stored, then that: the bytes, first compressed (one block of S2), then sealed
//
// A frame holds up to 64 KiB, is written once and never changed. It is sealed in the context of its place, so that frames cannot
// change theirs.
#pragma once
#include <memory>
#include <mutex>
#include <vector>

#include "bytes/bytes.hpp"
#include "disk/cipher.hpp"
#include "disk/handle_cache.hpp"

namespace slipstream {

// Compresses into `to` (with room for compressed_room(n)) a raw block of S2, which Snappy's are; 0 when it does not get smaller.
// Called on I/O threads. The one that is used by all stores is set once.
using Compressor = size_t (*)(const char* from, size_t n, char* to, size_t room);
void set_compressor(Compressor compressor);
constexpr size_t compressed_room(size_t n) { return 32 + n + n / 6; }

class FramedFile {
 public:
  static constexpr uint32_t kFrameBytes = 64 << 10;

  // Of a file that does not exist yet.
  FramedFile(uint64_t base, bool compressed, const KeyRing* keys);
  // Of one that does: reads its head, the heads of the frames up to `size` of the segment, and the last of these frames.
  // `compressed`: what is appended.
  // Null with `why`.
  static std::shared_ptr<FramedFile> open(const OpenFile& file, uint64_t base, uint32_t size, bool compressed, const KeyRing* keys,
                                          std::string& why);

  uint32_t key_number() const { return cipher_ ? cipher_->key_number() : 0; }
  uint64_t file_bytes() const;  // what is behind them in the file belongs to nobody

  // Appends what of the segment's bytes [offset, offset + n) is not in the file yet; two threads may come with the same.
  // 0 or -errno; after an error nothing was appended.
  int write(const OpenFile& file, const char* bytes, uint32_t n, uint32_t offset, bool may_compress);

  struct Span {
    uint64_t at;          // in the file
    uint32_t stored;      // there
    uint32_t start, end;  // in the segment
  };
  // The frames that hold [offset, offset + need), and those behind them that end before offset + ask.
  Span span(uint32_t offset, uint32_t need, uint32_t ask) const;
  // Takes apart what was read of a span; `to` has room for end - start. False: it is damaged.
  bool decode(const Span& span, string_view stored, char* to) const;

 private:
  struct Frame {
    uint32_t start;  // in the segment
    uint64_t at;     // in the file
  };
  FramedFile(uint64_t base, bool compressed) : base_(base), compressed_(compressed) {}
  bool find_frames(const OpenFile& file, uint32_t size, std::string& why);
  bool head_plausible(const char* head, uint32_t& length, uint32_t& stored) const;
  void put_head(Buffer& out) const;
  void put_frame(Buffer& out, string_view bytes, uint32_t offset, bool compress);
  std::string context(uint32_t offset, uint32_t length_word) const;

  const uint64_t base_;
  const bool compressed_;
  std::string salt_ = std::string(kSaltBytes, '\0');
  std::shared_ptr<FileCipher> cipher_;  // null: not encrypted

  std::mutex writing_;           // held while frames are made and written
  Buffer compressed_bytes_;      // under it
  mutable std::mutex mutex_;     // of what follows; never held over a system call
  std::vector<Frame> frames_;
  uint32_t length_ = 0;          // of the segment's bytes that are in the file
  uint64_t end_ = 0;             // of the file's
};

}  // namespace slipstream
