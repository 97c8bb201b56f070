// The bytes of the journal. A file is named by its generation, "<16 hex digits>.journal", and is a 4 KiB
// header block and `capacity` bytes of records; a file that waits to be used is "<16 hex digits>.spare", one
// being filled with zeros ".new".
//
//   header  "SLIPJRNL", u32 version, u32 crc of what follows, u64 generation, u64 start, u64 capacity,
//           u64 salt, and in version 2 u32 key number (0: not encrypted)
//   record  u32 length (this header and the payload), u32 crc, u64 group, u64 term, u64 index, u64 stable,
//           u8 kind, payload, zeros to 8
//
// `start` is the logical position of the first record byte; the next file starts at start + capacity,
// whatever was used. `stable` is the position that was known synced when the record was written. It tells a
// torn tail from damage: a bad record at or behind every later record's `stable` was never acknowledged; one
// below it was. The crc starts from a number made of generation and salt, so that what an earlier life of the
// file left never reads as valid, and nobody who can only publish can forge a record. A file that another
// follows ends in a record of kind kNextFile.
//
// In an encrypted file each payload is sealed (cipher.hpp) in the context of the record's header; checksums are of what is stored.
#pragma once
#include <cstdint>
#include <string>

#include "bytes/bytes.hpp"
#include "disk/cipher.hpp"
#include "log/journal.hpp"

namespace slipstream {

constexpr uint32_t kJournalVersion = 2;
constexpr uint64_t kJournalHeaderBytes = 4096;
constexpr size_t kRecordHeaderBytes = 41;
constexpr uint8_t kNextFile = 0xff;  // index: the generation that follows

struct JournalFile {
  std::string path;
  int handle = -1;
  uint64_t generation = 0, start = 0, capacity = 0;
  uint32_t seed = 0;
  uint64_t salt = 0;
  uint32_t key_number = 0;
  uint64_t end() const { return start + capacity; }
  uint64_t file_bytes() const { return kJournalHeaderBytes + capacity; }
};

constexpr size_t record_bytes(size_t payload) { return (kRecordHeaderBytes + payload + 7) & ~(size_t)7; }
constexpr size_t kNextFileBytes = record_bytes(0);  // the room that every file keeps for the mark

inline uint32_t record_seed(uint64_t generation, uint64_t salt) {
  return (uint32_t)fold(generation ^ 0x9E3779B97F4A7C15ull, salt ^ 0xD6E8FEB86659FD93ull);
}

// The key of a file is made from what never comes twice.
inline std::string journal_cipher_salt(uint64_t generation, uint64_t salt) {
  std::string bytes(kSaltBytes, '\0');
  store64(bytes.data(), generation);
  store64(bytes.data() + 8, salt);
  return bytes;
}

inline string_view record_context(const char* record) { return {record + 8, kRecordHeaderBytes - 8}; }

// `cipher` is null where nothing is encrypted.
inline void encode_record(char* to, uint32_t seed, uint64_t group, uint64_t term, uint64_t index,
                          uint64_t stable, uint8_t kind, string_view payload, FileCipher* cipher) {
  size_t stored = payload.size() + (cipher ? kSealBytes : 0);
  uint32_t length = (uint32_t)(kRecordHeaderBytes + stored);
  store64(to + record_bytes(stored) - 8, 0);  // the padding; the rest is written below
  store32(to, length);
  store64(to + 8, group);
  store64(to + 16, term);
  store64(to + 24, index);
  store64(to + 32, stable);
  to[40] = (char)kind;
  if (cipher) cipher->seal(payload, record_context(to), to + kRecordHeaderBytes);
  else if (!payload.empty()) memcpy(to + kRecordHeaderBytes, payload.data(), payload.size());
  store32(to + 4, crc32c(seed ^ length, to + 8, length - 8));
}

// False when there is no valid record in the `room` bytes at `from`. `end` of the record is left to the
// caller.
inline bool decode_record(const char* from, uint64_t room, uint32_t seed, JournalRecord& record,
                          uint64_t& stable) {
  if (room < kNextFileBytes) return false;
  uint32_t length = load32(from);
  if (length < kRecordHeaderBytes || length > room) return false;
  if (load32(from + 4) != crc32c(seed ^ length, from + 8, length - 8)) return false;
  record.group = load64(from + 8);
  record.term = load64(from + 16);
  record.index = load64(from + 24);
  stable = load64(from + 32);
  record.kind = (uint8_t)from[40];
  record.payload = string_view(from + kRecordHeaderBytes, length - kRecordHeaderBytes);
  return true;
}

void encode_journal_header(char* block, uint64_t generation, uint64_t start, uint64_t capacity,
                           uint64_t salt, uint32_t key_number);
// Fills all but path and handle; an empty string, or what is wrong.
std::string decode_journal_header(const char* block, JournalFile& file);
// The same of the file of that generation. One wrong bit is put right in `block`; the string then says what was wrong, and `mended`
// that it is whole now.
std::string mend_journal_header(char* block, uint64_t generation, JournalFile& file, bool& mended);

std::string hex16(uint64_t number);
// The number in "<16 hex digits><suffix>", or false.
bool parse_hex16(const std::string& name, const std::string& suffix, uint64_t& number);

}  // namespace slipstream
