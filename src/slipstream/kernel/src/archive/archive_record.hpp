// The records of a stream's backup as nats-server 2.15 writes them: behind the magic, one after the other
//   name length (uvarint), time in ns (zigzag varint), sequence (uvarint), header length, payload length (uvarints), name,
//   header, payload.
// A message's name is its subject. What has no sequence is a file (`state.json`, `consumers/<name>`); a record of zeros
// ends the backup. Readable twin: slipstream/jetstream/archive/records.py.
//
// The room archive/:
//   archive_record.cpp   reading and writing such records
//   message_block.hpp, message_block.cpp   the files of nats-server's versions before 2.15, read only
#pragma once
#include "bytes/bytes.hpp"

namespace slipstream {

constexpr string_view kArchiveMagic = "NATSARC1";

struct ArchiveRecord {
  string_view name, header, payload;
  int64_t time_ns = 0;
  uint64_t seq = 0;
  bool ends() const { return name.empty() && header.empty() && payload.empty() && time_ns == 0 && seq == 0; }
};

enum class ArchiveStatus : uint8_t { ok, incomplete, invalid };

void put_archive_record(Buffer& out, const ArchiveRecord& record);

// Takes a record off the front of `in`. A record that says it is longer than `bytes_max` is invalid, whether it is there or not.
ArchiveStatus take_archive_record(string_view& in, ArchiveRecord& record, uint64_t bytes_max);

}  // namespace slipstream
