#include "archive/message_block.hpp"

#include <algorithm>

#include "archive/archive_record.hpp"
#include "bytes/highwayhash.hpp"

namespace slipstream {
namespace {

constexpr size_t kHead = 22, kChecksum = 8, kHeaderLength = 4;
constexpr uint32_t kHasHeader = 1u << 31, kRecordMax = 32 << 20;
constexpr uint64_t kErased = 1ull << 63, kTombstone = 1ull << 62;

struct BlockRecord {
  uint64_t seq;
  ArchiveRecord message;
};

// The fault of a record that is there as a whole, or null.
const char* decode(string_view record, bool has_header, const char* key, BlockRecord& out) {
  size_t subject = load16(record.data() + 20), fixed = subject + (has_header ? kHeaderLength : 0);
  string_view data = record.substr(kHead, record.size() - kHead - kChecksum);
  if (fixed > data.size()) return "a record of a message block is damaged";
  string_view content = data.substr(fixed);
  HighwayHash hash(key);
  hash.update(record.substr(4, 16));
  hash.update(data.substr(0, subject));
  hash.update(content);
  if (hash.finish() != load64(record.data() + record.size() - kChecksum)) return "a checksum of a message block is wrong";
  size_t header = has_header ? load32(data.data() + subject) : 0;
  if (header > content.size()) return "a record of a message block is damaged";
  out.seq = load64(record.data() + 4);
  out.message.name = data.substr(0, subject);
  out.message.header = content.substr(0, header);
  out.message.payload = content.substr(header);
  out.message.time_ns = (int64_t)load64(record.data() + 12);
  out.message.seq = out.seq;
  return nullptr;
}

}  // namespace

BlockPiece take_block_records(string_view in, const char* key, uint64_t first_seq, uint64_t last_seq, size_t bytes_max, Buffer& out) {
  BlockPiece piece;
  piece.last_seq = last_seq;
  while (out.size() < bytes_max && in.size() - piece.consumed >= kHead) {
    const char* head = in.data() + piece.consumed;
    bool has_header = load32(head) & kHasHeader;
    uint32_t length = load32(head) & ~kHasHeader;
    if (length < kHead + kChecksum || length > kRecordMax) {
      piece.fault = "a record of a message block is damaged";
      break;
    }
    if (in.size() - piece.consumed < length) break;
    BlockRecord r{};
    if (const char* fault = decode({head, length}, has_header, key, r)) {
      piece.fault = fault;
      break;
    }
    piece.consumed += length;
    if (r.seq & kErased) {
      piece.last_seq = std::max(piece.last_seq, r.seq & ~(kErased | kTombstone));
    } else if (r.seq & kTombstone) {
      piece.removed.push_back(r.seq & ~kTombstone);
    } else if (r.seq > piece.last_seq) {
      if (r.seq >= first_seq) put_archive_record(out, r.message);
      piece.last_seq = r.seq;
    }
  }
  return piece;
}

}  // namespace slipstream
