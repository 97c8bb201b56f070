// What turns a backup's records into entries of the log. See stream_restore.cpp for how a restored stream comes to be.
//
// The room stream/backup/:
//   stream_restore.cpp   records into entries of a hidden stream, which its last entry shows
//   backup_reader.hpp, backup_reader.cpp   reads a stream in order as the records of an archive, without waiting for the disk
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "archive/archive_record.hpp"

namespace slipstream {

constexpr uint64_t kArchiveSubjectBytesMax = 1 << 16;

struct RestoreLimits {
  uint64_t payload_bytes_max = 1 << 20;
  int64_t message_bytes_max = -1;  // the stream's; -1: none
};

struct RestoredBatch {
  size_t consumed = 0;    // bytes of whole records
  uint64_t last_seq = 0;
  uint32_t count = 0;
  bool refused = false;   // the store took no entry
  bool ended = false;     // the record that ends a backup was among them
  std::string fault;      // of the record behind what was consumed; empty: none
};

// When a record that is a schedule runs next; nothing for all others.
using NextRunOf = std::function<std::optional<int64_t>(const ArchiveRecord&)>;

// As many messages as fit one entry, from the front of `records` into the payload of an entry.
RestoredBatch take_restored_messages(string_view records, uint64_t last_seq, int64_t now_ns, const RestoreLimits& limits,
                                     const NextRunOf& next_run_of, Buffer& payload);

}  // namespace slipstream
