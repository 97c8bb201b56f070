// Encoding of journal headers and file names; records are inline in the header file because appending is hot.
#include "journal_format.hpp"

#include <cstdio>

namespace slipstream {
namespace {

constexpr char kMagic[9] = "SLIPJRNL";
constexpr size_t kHeaderUsed = 48;

}  // namespace

void encode_journal_header(char* block, uint64_t generation, uint64_t start, uint64_t capacity,
                           uint64_t salt) {
  memset(block, 0, kJournalHeaderBytes);
  memcpy(block, kMagic, 8);
  store32(block + 8, kJournalVersion);
  store64(block + 16, generation);
  store64(block + 24, start);
  store64(block + 32, capacity);
  store64(block + 40, salt);
  store32(block + 12, crc32c(0, block + 16, kHeaderUsed - 16));
}

std::string decode_journal_header(const char* block, JournalFile& file) {
  if (memcmp(block, kMagic, 8) != 0) return "is not a journal file (its first bytes are wrong)";
  if (load32(block + 8) != kJournalVersion)
    return "has format version " + std::to_string(load32(block + 8)) + ", this program knows " +
           std::to_string(kJournalVersion);
  if (load32(block + 12) != crc32c(0, block + 16, kHeaderUsed - 16)) return "has a damaged header";
  file.generation = load64(block + 16);
  file.start = load64(block + 24);
  file.capacity = load64(block + 32);
  file.seed = record_seed(file.generation, load64(block + 40));
  return {};
}

std::string hex16(uint64_t number) {
  char text[17];
  snprintf(text, sizeof text, "%016llx", (unsigned long long)number);
  return text;
}

bool parse_hex16(const std::string& name, const std::string& suffix, uint64_t& number) {
  if (name.size() != 16 + suffix.size() || name.compare(16, suffix.size(), suffix) != 0) return false;
  number = 0;
  for (size_t i = 0; i < 16; i++) {
    char c = name[i];
    uint64_t digit = c >= '0' && c <= '9'   ? (uint64_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10)
                                            : 16;
    if (digit == 16) return false;
    number = number << 4 | digit;
  }
  return true;
}

}  // namespace slipstream
