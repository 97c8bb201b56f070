// Encoding of journal headers and file names; records are inline in the header file because appending is hot.
#include "log/journal_format.hpp"

#include <cstdio>

namespace slipstream {
namespace {

constexpr char kMagic[9] = "SLIPJRNL";
constexpr size_t kHeaderUsed = 52, kHeaderUsedBefore = 48;  // in version 1

}  // namespace

void encode_journal_header(char* block, uint64_t generation, uint64_t start, uint64_t capacity,
                           uint64_t salt, uint32_t key_number) {
  memset(block, 0, kJournalHeaderBytes);
  memcpy(block, kMagic, 8);
  store32(block + 8, kJournalVersion);
  store64(block + 16, generation);
  store64(block + 24, start);
  store64(block + 32, capacity);
  store64(block + 40, salt);
  store32(block + 48, key_number);
  store32(block + 12, crc32c(0, block + 16, kHeaderUsed - 16));
}

std::string decode_journal_header(const char* block, JournalFile& file) {
  if (memcmp(block, kMagic, 8) != 0) return "is not a journal file (its first bytes are wrong)";
  uint32_t version = load32(block + 8);
  if (version < 1 || version > kJournalVersion)
    return "has format version " + std::to_string(version) + ", this program knows " + std::to_string(kJournalVersion);
  size_t used = version == 1 ? kHeaderUsedBefore : kHeaderUsed;
  if (load32(block + 12) != crc32c(0, block + 16, used - 16)) return "has a damaged header";
  file.generation = load64(block + 16);
  file.start = load64(block + 24);
  file.capacity = load64(block + 32);
  file.salt = load64(block + 40);
  file.seed = record_seed(file.generation, file.salt);
  file.key_number = version == 1 ? 0 : load32(block + 48);
  return {};
}

std::string mend_journal_header(char* block, uint64_t generation, JournalFile& file, bool& mended) {
  std::string problem = decode_journal_header(block, file);
  mended = false;
  for (size_t bit = 0; !problem.empty() && bit < kHeaderUsed * 8; bit++) {
    block[bit / 8] ^= (char)(1 << bit % 8);
    mended = decode_journal_header(block, file).empty() && file.generation == generation;
    if (mended) break;
    block[bit / 8] ^= (char)(1 << bit % 8);
  }
  return problem;
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
